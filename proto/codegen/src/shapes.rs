//! The limits in `firn.proto` as a table in Rust.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use prost_reflect::{DescriptorPool, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// The package that the table is made of.
pub(crate) const PACKAGE: &str = "firn.v1";

/// The options that a field may have.
struct Options {
    bytes_max: ExtensionDescriptor,
    count_max: ExtensionDescriptor,
}

/// The whole file.
pub(crate) fn text(pool: &DescriptorPool) -> Result<String> {
    let option = |name: &str| {
        pool.get_extension_by_name(&format!("{PACKAGE}.{name}")).with_context(|| format!("no option {name}"))
    };
    let options = Options { bytes_max: option("bytes_max")?, count_max: option("count_max")? };
    let mut out = String::from(
        "// Made from firn.proto by `cargo xtask proto`.\nuse super::messages;\nuse crate::limits::{Bounded, Field, Shape};\n",
    );
    let messages: Vec<_> = pool.all_messages().filter(|message| message.package_name() == PACKAGE).collect();
    for message in &messages {
        refuse_cycles(message, &mut Vec::new())?;
        let constant = constant(message);
        writeln!(out, "\nstatic {constant}: Shape = Shape {{\n    name: \"{}\",\n    fields: &[", message.name())?;
        for field in message.fields() {
            writeln!(out, "        {},", row(&field, &options)?)?;
        }
        writeln!(out, "    ],\n}};")?;
        if message.name() != "Secret" {
            let path = format!("messages::{}", message.name());
            writeln!(out, "\nimpl Bounded for {path} {{\n    const SHAPE: &'static Shape = &{constant};\n}}")?;
        }
    }
    Ok(out)
}

fn row(field: &FieldDescriptor, options: &Options) -> Result<String> {
    let bytes_max = number(field, &options.bytes_max);
    let count_max = number(field, &options.count_max);
    let name = field.full_name().to_owned();
    if field.is_list() == (count_max == 0) {
        bail!("{name}: a list has a count_max, and nothing else does");
    }
    let kind = field.kind();
    let (is_text, shape) = match &kind {
        Kind::String | Kind::Bytes => (true, "None".to_owned()),
        Kind::Message(message) => (false, format!("Some(&{})", constant(message))),
        _ if field.is_list() => bail!("{name}: a list of numbers takes more memory than it takes on the wire"),
        _ => (false, "None".to_owned()),
    };
    if is_text && bytes_max == 0 {
        bail!("{name}: has no bytes_max");
    }
    let bytes_max = if bytes_max == 0 { "u32::MAX".to_owned() } else { bytes_max.to_string() };
    let (short, number) = (field.name(), field.number());
    let count_max = count_max.max(1);
    let parts =
        format!("number: {number}, name: \"{short}\", count_max: {count_max}, bytes_max: {bytes_max}, shape: {shape}");
    Ok(format!("Field {{ {parts} }}"))
}

fn number(field: &FieldDescriptor, option: &ExtensionDescriptor) -> u32 {
    field.options().get_extension(option).as_u32().unwrap_or(0)
}

/// `CaptureVolume` becomes `CAPTURE_VOLUME`.
fn constant(message: &MessageDescriptor) -> String {
    let mut out = String::new();
    for (n, letter) in message.name().chars().enumerate() {
        if n > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// The check descends into messages, so how deep they go must be written in the file.
fn refuse_cycles(message: &MessageDescriptor, above: &mut Vec<String>) -> Result<()> {
    if above.iter().any(|name| name == message.full_name()) {
        bail!("{}: contains itself", message.full_name());
    }
    above.push(message.full_name().to_owned());
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            refuse_cycles(&inner, above)?;
        }
    }
    above.pop();
    Ok(())
}
