//! What a bundle is about (SPEC §12.3).

use crate::checkpoint::parse_decimal;
use crate::digest::{LogId, RecordId};
use crate::leaf::{EntryLeaf, Kind, read_leaf};
use crate::limits::TIME_S_MAX;
use crate::roster::MemberId;

/// Which entries a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All entries of all logs.
    All,
    /// All entries of a member's logs, and what other logs say about them.
    Member(MemberId),
    /// Entries whose stated time is in `[from_s, to_s)`, seconds since 1970 UTC.
    Period {
        /// First second.
        from_s: u64,
        /// One past the last second.
        to_s: u64,
    },
    /// One entry, and what any log says about it.
    Record(RecordId),
}

impl Scope {
    /// The words of the manifest, which are also those of the command line and of the HTTP API.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Member(member) => format!("member {member}"),
            Self::Period { from_s, to_s } => format!("period {from_s} {to_s}"),
            Self::Record(record) => format!("record {record}"),
        }
    }

    /// Reads what [`Scope::text`] writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["all"] => Some(Self::All),
            ["member", id] => MemberId::parse(id).ok().map(Self::Member),
            ["record", id] => RecordId::from_hex(id).ok().map(Self::Record),
            ["period", from, to] => {
                let (from_s, to_s) = (parse_decimal(from)?, parse_decimal(to)?);
                (from_s < to_s && to_s <= TIME_S_MAX).then_some(Self::Period { from_s, to_s })
            }
            _ => None,
        }
    }

    /// Whether every entry of this member's logs is in it.
    #[must_use]
    pub fn is_whole(&self, member: &MemberId) -> bool {
        match self {
            Self::All => true,
            Self::Member(only) => only == member,
            Self::Period { .. } | Self::Record(_) => false,
        }
    }

    /// Whether an entry of a log that is not in it as a whole is in it. `is_subject` says whether a leaf
    /// hash is that of an entry of the scope's member.
    pub fn takes(
        &self,
        leaf: &[u8],
        id: &RecordId,
        log: &LogId,
        index: u64,
        is_subject: impl Fn(&RecordId) -> bool,
    ) -> bool {
        // Of an entry that cannot be read, only its own id is known.
        let known = match read_leaf(leaf, log, index) {
            EntryLeaf::Known(known) => Some(known),
            EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => None,
        };
        let subject = known.as_ref().and_then(|leaf| leaf.subject);
        match self {
            Self::All => true,
            Self::Member(_) => subject.is_some_and(|subject| is_subject(&subject)),
            Self::Period { from_s, to_s } => {
                known.is_some_and(|leaf| (*from_s..*to_s).contains(&(leaf.time_ms / 1000)))
            }
            Self::Record(record) => {
                let is_receipt = known.as_ref().is_some_and(|leaf| leaf.kind == Kind::Receipt);
                id == record || subject.as_ref() == Some(record) || is_receipt
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_one_text() {
        let record = format!("record {}", "ab".repeat(32));
        for text in ["all", "member north", "period 0 1", "period 1700000000 1800000000", record.as_str()] {
            assert_eq!(Scope::parse(text).map(|scope| scope.text()).as_deref(), Some(text));
        }
        let upper = format!("record {}", "AB".repeat(32));
        for text in ["", "all ", "member", "member North", "period 1 1", "period 01 2", "record ab", &upper] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
}
