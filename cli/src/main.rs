//! `firn`: the command line.

#![expect(unreachable_pub, reason = "a program exports nothing; here `pub` says what a file offers the others")]

mod args;
mod bring_back;
mod cluster_objects;
mod command;
mod demo_app;
mod destination;
mod hooks;
mod interrupt;
mod listing;
mod outcome;
mod output;
mod path_text;
mod peers;
mod point;
mod process;
mod repository;
mod runtime;
mod secret;
mod table;
mod terminal;
mod volume_size;
mod volume_spec;

use std::process::ExitCode;

use args::Output;
use clap::{CommandFactory as _, FromArgMatches as _};
use outcome::{Report, USAGE};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::harden();
    log_if_asked();
    // There is one provider in this program; a second call finds the first one's.
    let _first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let output = cli.global.output;
    match interrupt::watch().and_then(|()| command::run(&cli)) {
        Ok(outcome) => outcome.code(),
        Err(error) => Report::of(&error).print(output),
    }
}

/// The arguments; what clap has to say otherwise is printed here.
fn parse() -> Result<args::Cli, ExitCode> {
    let mut command = args::Cli::command();
    if process::is_plugin() {
        command = as_plugin(command);
    }
    let parsed = command.try_get_matches().and_then(|matches| args::Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let is_error = error.use_stderr();
        if is_error && asks_for_json() {
            return Report::of(&outcome::usage(error.to_string().trim_end())).print(Output::Json);
        }
        // Nobody is left to tell if this fails.
        let _said = error.print();
        if is_error { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Whether `-o json` is among arguments that cannot be parsed.
fn asks_for_json() -> bool {
    let words: Vec<_> = std::env::args().collect();
    words.iter().any(|word| word == "-ojson" || word == "--output=json")
        || words.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json")
}

/// The same commands under the name that kubectl's users type.
fn as_plugin(command: clap::Command) -> clap::Command {
    let renamed = command.get_after_help().map(|help| help.to_string().replace(" firn ", " kubectl firn "));
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = match renamed {
        Some(help) => command.after_help(help),
        None => command,
    };
    for name in names {
        command = command.mut_subcommand(name, as_plugin);
    }
    command.bin_name("kubectl firn")
}

/// Diagnostics go to standard error, and only if FIRN_LOG asks for them (`debug`, `firn_store=trace`, …).
fn log_if_asked() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("FIRN_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
