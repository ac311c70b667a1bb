//! Who somebody is: `firn://<cluster>/coordinator`, `firn://<cluster>/objects`, `firn://<cluster>/agent/<node>`.

use std::fmt;
use std::str::FromStr;

use crate::error::ProtoError;

/// Most bytes of a name, as Kubernetes has it.
const NAME_BYTES_MAX: usize = 253;

/// What a certificate may stand for. Has exactly one text, the URI in the certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// Decides, and is connected to.
    Coordinator {
        /// In which cluster.
        cluster: Name,
    },
    /// Captures objects.
    Objects {
        /// In which cluster.
        cluster: Name,
    },
    /// Works on a node.
    Agent {
        /// In which cluster.
        cluster: Name,
        /// On which node.
        node: Name,
    },
}

/// The name of a cluster or a node: lower-case letters, digits, dashes and dots, as in a DNS name; at most 253 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Identity {
    /// The cluster that it belongs to.
    pub fn cluster(&self) -> &Name {
        match self {
            Self::Coordinator { cluster } | Self::Objects { cluster } | Self::Agent { cluster, .. } => cluster,
        }
    }

    /// What a hello and a task have as its node: empty for what is bound to none.
    pub fn node(&self) -> &str {
        match self {
            Self::Coordinator { .. } | Self::Objects { .. } => "",
            Self::Agent { node, .. } => &node.0,
        }
    }

    /// Whether it gets tasks.
    pub fn is_agent(&self) -> bool {
        !matches!(self, Self::Coordinator { .. })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator { cluster } => write!(f, "firn://{cluster}/coordinator"),
            Self::Objects { cluster } => write!(f, "firn://{cluster}/objects"),
            Self::Agent { cluster, node } => write!(f, "firn://{cluster}/agent/{node}"),
        }
    }
}

impl FromStr for Identity {
    type Err = ProtoError;

    fn from_str(text: &str) -> Result<Self, ProtoError> {
        let parsed = text.strip_prefix("firn://").and_then(|rest| {
            let (cluster, role) = rest.split_once('/')?;
            let cluster = cluster.parse().ok()?;
            match role {
                "coordinator" => Some(Self::Coordinator { cluster }),
                "objects" => Some(Self::Objects { cluster }),
                role => Some(Self::Agent { cluster, node: role.strip_prefix("agent/")?.parse().ok()? }),
            }
        });
        parsed.ok_or_else(|| ProtoError::name("an identity", text))
    }
}

impl Name {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = ProtoError;

    fn from_str(text: &str) -> Result<Self, ProtoError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label = |label: &str| {
            let bytes = label.as_bytes();
            let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
            plain(*first) && plain(*last) && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
        };
        if text.len() > NAME_BYTES_MAX || !text.split('.').all(label) {
            return Err(ProtoError::name("a name", text));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "firn://1b4e28ba-2fa1-11d2-883f-0016d3cca427/coordinator",
            "firn://c/objects",
            "firn://c/agent/aks-pool1-12345678-vmss000001",
            "firn://c/agent/node.example.org",
        ] {
            assert_eq!(text.parse::<Identity>().expect("valid").to_string(), text);
        }
        let identity: Identity = "firn://c/agent/n1".parse().expect("valid");
        assert_eq!((identity.cluster().as_str(), identity.node()), ("c", "n1"));
    }

    #[test]
    fn nothing_else_is_an_identity() {
        for text in [
            "",
            "firn://",
            "firn:///coordinator",
            "firn://c",
            "firn://c/",
            "firn://c/agent",
            "firn://c/agent/",
            "firn://c/agent/a/b",
            "firn://c/agent/N1",
            "firn://c/agent/n1/",
            "firn://c/agent/n1?x=1",
            "firn://c/agent/n1#x",
            "firn://c/agent/..",
            "firn://c/agent/-n",
            "firn://c/agent/n%31",
            "firn://c/agent/n1 ",
            "firn://C/objects",
            "firn://user@c/objects",
            "firn://c:1/objects",
            "FIRN://c/objects",
            "spiffe://c/objects",
            "firn://c/Objects",
            "firn://c/coordinator/x",
        ] {
            let error = text.parse::<Identity>().expect_err(text);
            assert!(error.is_permanent());
        }
        assert!("a".repeat(253).parse::<Name>().is_ok());
        assert!("a".repeat(254).parse::<Name>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "firn://[a-z.-]{0,5}/(agent/|objects|coordinator)?[a-z0-9./-]{0,5}") {
            if let Ok(identity) = text.parse::<Identity>() {
                prop_assert_eq!(identity.to_string(), text);
            }
        }
    }
}
