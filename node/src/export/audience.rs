//! For whom a bundle is: which payloads it carries (SPEC §12.6).
//!
//! A record's marking (TLP 2.0) and group travel with it; a bundle leaves the consortium's nodes, so both decide
//! whether it may be in there. What an audience may not see is marked as withheld, and its leaf and proof stand.

use super::HeadsError;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{EntryLeaf, Kind, read_leaf};
use hashpact_protocol::record::{Payload, Tlp, Vocabulary, read_padded};
use hashpact_protocol::roster::{EVERYBODY, Roster};
use std::collections::BTreeSet;

/// For whom a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The strictest marking that it may see; `None` is for somebody who may see who did what when, and no signals.
    pub tlp: Option<Tlp>,
    /// Names of the groups whose records it may see, beside those for everybody.
    pub groups: BTreeSet<String>,
}

impl Default for Audience {
    /// All members: everything that is for everybody, but for TLP:RED.
    fn default() -> Self {
        Self { tlp: Some(Tlp::AmberStrict), groups: BTreeSet::new() }
    }
}

impl Audience {
    /// Somebody who may see no signals.
    #[must_use]
    pub fn without_payloads() -> Self {
        Self { tlp: None, groups: BTreeSet::new() }
    }

    /// Reads a marking and names of groups.
    ///
    /// # Errors
    /// What is no marking of TLP 2.0.
    pub fn parse(tlp: Option<&str>, groups: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let tlp = match tlp {
            None => Self::default().tlp,
            Some(word) => Some(Tlp::parse(word).ok_or_else(|| {
                let mut words: Vec<Tlp> = Tlp::all().collect();
                words.sort_unstable();
                let words: Vec<&str> = words.into_iter().map(Tlp::name).collect();
                format!("tlp: must be one of {}", words.join(", "))
            })?),
        };
        Ok(Self { tlp, groups: groups.into_iter().collect() })
    }

    pub(super) fn of_roster(&self, roster: &Roster) -> Result<Carried, HeadsError> {
        let number = |name: &String| {
            let group = roster.group_named(name).ok_or_else(|| HeadsError::UnknownGroup(name.clone()))?;
            Ok(group.n)
        };
        let mut groups: BTreeSet<u32> = self.groups.iter().map(number).collect::<Result<_, HeadsError>>()?;
        groups.insert(EVERYBODY);
        Ok(Carried { tlp: self.tlp, groups })
    }
}

/// The same with the numbers that leaves carry.
pub(super) struct Carried {
    tlp: Option<Tlp>,
    groups: BTreeSet<u32>,
}

impl Carried {
    /// Whether the payload of an entry may be in the bundle. Receipts speak of possession and of no signal; what
    /// cannot be read is as strict as can be.
    pub(super) fn takes(&self, log: &LogId, index: u64, leaf: &[u8], padded: &[u8]) -> bool {
        let EntryLeaf::Known(leaf) = read_leaf(leaf, log, index) else { return self.tlp == Some(Tlp::Red) };
        if !self.groups.contains(&leaf.group) {
            return false;
        }
        let Some(tlp_max) = self.tlp else { return leaf.kind == Kind::Receipt };
        let tlp = match read_padded(&leaf, padded) {
            Payload::Record(record) => record.tlp(),
            Payload::Opaque(_) | Payload::Void(_) => Tlp::Red,
        };
        tlp <= tlp_max
    }
}
