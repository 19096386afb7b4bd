//! Who may have the payload of an entry: members of its group, from their history start on (SPEC §8.6).
//!
//! The server judges by the newest roster that it holds, whoever asks and however: by range, by entry, by payload
//! or by history of a fork. Leaves, proofs and covers go to every member. What a member may not have it is told to be
//! *withheld*, never *not here*, so that it does not go on asking. A receiver judges by its own roster and keeps nothing
//! that it may not have, whoever sends it.

use hashpact_protocol::leaf::MAGIC;
use hashpact_protocol::limits::LEAF_BYTES;
use hashpact_protocol::roster::{EVERYBODY, MemberId, Roster};
use hashpact_protocol::wire::{WireEntry, WirePayload};
use std::collections::BTreeSet;

/// What one member may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entitled {
    /// All of it: of its own logs, everything.
    All,
    /// No payload, which is nobody's fault: each is *not here*.
    Nothing,
    /// Payloads of these groups and of everybody, from a time on.
    Groups {
        /// The groups.
        groups: BTreeSet<u32>,
        /// Earliest time of a leaf, in milliseconds since 1970.
        from_ms: u64,
    },
}

impl Entitled {
    /// What a member of no group has, whose history starts with the first entry.
    pub const UNRESTRICTED: Self = Self::Groups { groups: BTreeSet::new(), from_ms: 0 };

    /// What a member may have of a log that `author` writes. Who is not listed as active may have nothing of others.
    #[must_use]
    pub fn of(roster: &Roster, member: &MemberId, author: Option<&MemberId>) -> Self {
        if author == Some(member) {
            return Self::All;
        }
        match roster.member(member).filter(|listed| listed.is_active()) {
            None => Self::Groups { groups: BTreeSet::new(), from_ms: u64::MAX },
            Some(listed) => Self::Groups {
                groups: listed.groups.clone(),
                from_ms: listed.history_start_s.saturating_mul(1_000),
            },
        }
    }

    /// Whether the payload beside this leaf is for the member. Beside a leaf of another form there is none.
    #[must_use]
    pub fn covers(&self, leaf: &[u8]) -> bool {
        group_and_time(leaf).is_none_or(|(group, time_ms)| self.reaches(group, time_ms))
    }

    /// Whether payloads of a group beside leaves of this time, in milliseconds since 1970, are for the member.
    #[must_use]
    pub fn reaches(&self, group: u32, time_ms: u64) -> bool {
        let Self::Groups { groups, from_ms } = self else { return true };
        (group == EVERYBODY || groups.contains(&group)) && time_ms >= *from_ms
    }

    /// What is told of a payload that stands beside this leaf. That it is erased is told to everybody.
    #[must_use]
    pub fn shown(&self, leaf: &[u8], payload: WirePayload) -> WirePayload {
        match payload {
            _ if *self == Self::Nothing => WirePayload::NotHere,
            WirePayload::Present { .. } | WirePayload::NotHere if !self.covers(leaf) => WirePayload::Withheld,
            other => other,
        }
    }

    /// The same of whole entries.
    #[must_use]
    pub fn shown_entry(&self, entry: WireEntry) -> WireEntry {
        let payload = self.shown(&entry.leaf, entry.payload);
        WireEntry { payload, leaf: entry.leaf }
    }
}

/// What this node's own member may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mine {
    /// The member.
    pub member: MemberId,
    /// What it may have of others' logs.
    pub entitled: Entitled,
}

impl Mine {
    /// By a roster.
    #[must_use]
    pub fn of(roster: &Roster, member: &MemberId) -> Self {
        Self { member: member.clone(), entitled: Entitled::of(roster, member, None) }
    }

    /// Whether the payload beside this leaf of this author is for the member.
    #[must_use]
    pub fn covers(&self, author: &MemberId, leaf: &[u8]) -> bool {
        *author == self.member || self.entitled.covers(leaf)
    }
}

/// The group in which a member writes an entry: the one asked for, else that of its subject.
///
/// # Errors
/// Why it may not.
pub fn group_for(
    roster: &Roster,
    author: &MemberId,
    asked: Option<&str>,
    subject: Option<u32>,
) -> Result<u32, GroupError> {
    let of_subject = subject.unwrap_or(EVERYBODY);
    let Some(word) = asked else { return Ok(of_subject) };
    let known = || roster.groups.iter().map(|group| group.word.clone()).collect();
    let group = roster.group_named(word);
    let group = group.ok_or_else(|| GroupError::Unknown { word: word.to_owned(), known: known() })?;
    if !roster.is_entitled(author, group.n) {
        return Err(GroupError::NotIn(word.to_owned()));
    }
    if !roster.is_within(group.n, of_subject) {
        let wider =
            roster.group(of_subject).map_or_else(|| of_subject.to_string(), |group| group.word.clone());
        return Err(GroupError::Wider { word: word.to_owned(), subject: wider });
    }
    Ok(group.n)
}

/// Why an entry cannot be written in a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The roster lists no such group.
    #[error("the roster lists no group {word:?}; it lists {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    Unknown {
        /// The name.
        word: String,
        /// Groups there are.
        known: Vec<String>,
    },
    /// The author is not in it, and could not read what it wrote.
    #[error("this member is not in group {0:?}")]
    NotIn(String),
    /// Wider than the subject's group.
    #[error("group {word:?} is not within {subject:?}, the group of the record that this is about")]
    Wider {
        /// The name.
        word: String,
        /// The subject's group.
        subject: String,
    },
}

/// Group and time that a leaf of version 1 states.
fn group_and_time(leaf: &[u8]) -> Option<(u32, u64)> {
    if leaf.len() != LEAF_BYTES || !leaf.starts_with(&MAGIC) {
        return None;
    }
    let time = leaf.get(16..24)?.first_chunk().copied()?;
    let group = leaf.get(96..100)?.first_chunk().copied()?;
    Some((u32::from_be_bytes(group), u64::from_be_bytes(time)))
}

#[cfg(test)]
pub(crate) mod tests;
