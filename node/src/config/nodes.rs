//! `role` and `[[replicas]]`: which of its member's nodes this one is, and which others there are.

use super::{ConfigError, value};
use crate::network::{AddressRole, check_address};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::CardNode;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Most replicas on one card beside the author.
const REPLICAS_MAX: usize = 7;
/// Most addresses of one of them.
const ADDRESSES_MAX: usize = 8;

/// What a node does for its member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleWord {
    /// It writes the member's log.
    #[default]
    Author,
    /// It follows every log and signs nothing.
    Replica,
}

/// One of `[[replicas]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawReplica {
    /// Peer key of the replica, 64 hex digits.
    pub peer_key: String,
    /// Multiaddresses that other nodes should dial.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// The replicas as they stand on the member's card.
pub(super) fn check(role: RoleWord, raw: &[RawReplica]) -> Result<Vec<CardNode>, ConfigError> {
    if let (RoleWord::Replica, Some(first)) = (role, raw.first()) {
        return Err(value(
            "replicas.peer_key",
            &first.peer_key,
            "belongs into the configuration of the author, which signs the card",
        ));
    }
    if raw.len() > REPLICAS_MAX {
        return Err(value("replicas", &raw.len().to_string(), &format!("must be at most {REPLICAS_MAX}")));
    }
    let mut keys = BTreeSet::new();
    raw.iter()
        .map(|replica| {
            let given = &replica.peer_key;
            let peer_key = PublicKey::from_hex(given).map_err(|_| {
                let rule = "must be the 64 hex digits that `hashpact-node init --replica` printed";
                value("replicas.peer_key", given, rule)
            })?;
            if !keys.insert(*peer_key.as_bytes()) {
                return Err(value("replicas.peer_key", given, "is listed twice"));
            }
            if replica.addresses.len() > ADDRESSES_MAX {
                let rule = format!("must be at most {ADDRESSES_MAX}");
                return Err(value("replicas.addresses", &replica.addresses.len().to_string(), &rule));
            }
            for address in &replica.addresses {
                check_address(address, AddressRole::Dial)
                    .map_err(|error| value("replicas.addresses", address, &error.to_string()))?;
            }
            Ok(CardNode { peer_key, addresses: replica.addresses.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::path::Path;

    fn parse(rest: &str) -> Result<Config, String> {
        let text = format!("member = \"acme\"\ndata_dir = \"d\"\n{rest}");
        Config::parse(&text, Path::new("base")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_its_members_author_unless_it_is_told_otherwise() {
        assert!(!parse("").expect("the default").is_replica());
        assert!(parse("role = \"replica\"").expect("a replica").is_replica());
        let error = parse("role = \"standby\"").expect_err("no role");
        assert!(error.contains("standby") && error.contains("replica"), "{error}");
    }

    #[test]
    fn replicas_are_checked_one_by_one() {
        let key = hashpact_protocol::keys::SecretKey::from_seed([3; 32]).public().to_hex();
        let one = format!("[[replicas]]\npeer_key = \"{key}\"\n");
        let good =
            parse(&format!("{one}addresses = [\"/dns/two.acme.example/tcp/7411\"]")).expect("one replica");
        assert_eq!(good.replicas[0].peer_key.to_hex(), key);
        let many = (0..8).map(|at| {
            let key = hashpact_protocol::keys::SecretKey::from_seed([at; 32]).public().to_hex();
            format!("[[replicas]]\npeer_key = \"{key}\"\n")
        });
        let cases = [
            (format!("{one}{one}"), "is listed twice"),
            ("[[replicas]]\npeer_key = \"12D3KooW\"".to_owned(), "must be the 64 hex digits"),
            (format!("{one}addresses = [\"two.acme.example:7411\"]"), "replicas.addresses"),
            (format!("{one}port = 1"), "unknown field `port`"),
            ("[[replicas]]\naddresses = []".to_owned(), "missing field `peer_key`"),
            (format!("role = \"replica\"\n{one}"), "belongs into the configuration of the author"),
            (many.collect(), "replicas = \"8\": must be at most 7"),
        ];
        for (text, expected) in cases {
            let error = parse(&text).expect_err(expected);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
