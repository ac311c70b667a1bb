//! Label selectors: `k=v,k!=v,k in (a,b),k notin (a,b),k,!k`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// Longer texts are refused: no selector that a person writes comes near.
const SELECTOR_BYTES_MAX: usize = 64 * 1024;

/// A parsed label selector. All requirements must hold; no requirement selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    /// The label exists and has one of the values.
    In(String, Vec<String>),
    /// The label does not exist or has none of the values.
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// A text that is no label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label selector at byte {position}: {fault}")]
pub struct SelectorError {
    /// Where, in bytes from the start.
    pub position: usize,
    /// What is wrong there.
    pub fault: &'static str,
}

impl Selector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => value(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|v| values.iter().all(|w| w != v)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError { position: SELECTOR_BYTES_MAX, fault: "too long" });
        }
        let mut parser = Parser { text, position: 0 };
        let mut requirements = Vec::new();
        parser.skip_space();
        if parser.is_at_end() {
            return Ok(Self { requirements });
        }
        loop {
            requirements.push(parser.requirement()?);
            if parser.is_at_end() {
                return Ok(Self { requirements });
            }
            parser.expect(",", "expected `,` between requirements")?;
        }
    }
}

/// The canonical text; it parses to an equal selector.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::Missing(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn skip_space(&mut self) {
        self.position += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    fn error(&self, fault: &'static str) -> SelectorError {
        SelectorError { position: self.position, fault }
    }

    /// Takes `token` and the space after it, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
            self.skip_space();
        }
        found
    }

    fn expect(&mut self, token: &str, fault: &'static str) -> Result<(), SelectorError> {
        if self.take(token) { Ok(()) } else { Err(self.error(fault)) }
    }

    /// A label key or value, as far as its characters reach, and the space after it.
    fn word(&mut self) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        let length = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_owned();
        self.position += length;
        self.skip_space();
        word
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        let position = self.position;
        let key = self.word();
        let (prefix, name) = key.rsplit_once('/').map_or((None, key.as_str()), |(p, n)| (Some(p), n));
        let prefix_is_valid = prefix.is_none_or(|p| !p.is_empty() && !p.contains('/') && p.len() <= 253);
        if prefix_is_valid && !name.is_empty() && is_label_text(name) {
            Ok(key)
        } else {
            Err(SelectorError { position, fault: "expected a label key" })
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let position = self.position;
        let value = self.word();
        if is_label_text(&value) { Ok(value) } else { Err(SelectorError { position, fault: "no valid label value" }) }
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        self.expect("(", "expected `(`")?;
        let mut values = vec![self.value()?];
        while self.take(",") {
            values.push(self.value()?);
        }
        self.expect(")", "expected `,` or `)`")?;
        Ok(values)
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take("!") {
            return Ok(Requirement::Missing(self.key()?));
        }
        let key = self.key()?;
        if self.take("!=") {
            return Ok(Requirement::NotIn(key, vec![self.value()?]));
        }
        if self.take("==") || self.take("=") {
            return Ok(Requirement::In(key, vec![self.value()?]));
        }
        if self.is_at_end() || self.rest().starts_with(',') {
            return Ok(Requirement::Exists(key));
        }
        let position = self.position;
        match self.word().as_str() {
            "in" => Ok(Requirement::In(key, self.values()?)),
            "notin" => Ok(Requirement::NotIn(key, self.values()?)),
            _ => Err(SelectorError { position, fault: "expected `=`, `==`, `!=`, `in`, `notin` or `,`" }),
        }
    }
}

/// At most 63 characters, beginning and ending with a letter or digit; may be empty.
fn is_label_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && !text.contains('/') && edge(text.chars().next()) && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests;
