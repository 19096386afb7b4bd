//! Groups of members, for payloads that not all of them may have, and features agreed on (SPEC §8.2).

use super::{MemberId, Roster};

/// Most groups.
pub const GROUPS_MAX: usize = 64;
/// Most features.
pub const FEATURES_MAX: usize = 64;
/// Most registered hash sets.
pub const HASH_SETS_MAX: usize = 256;

/// The group of everybody, which no roster lists.
pub const EVERYBODY: u32 = 0;

/// A group of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number in leaves, from 1.
    pub n: u32,
    /// What people call it, `[a-z0-9-]{1,32}`.
    pub word: String,
    /// The wider group that it is a part of, if that is not everybody.
    pub within: Option<u32>,
}

/// A feature that members agreed to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, `[a-z0-9-]{1,32}`.
    pub word: String,
    /// The roster version from which on it is in use: a leaf that claims this version or a later one may use it.
    pub from: u64,
}

impl Roster {
    /// A group by its number; `None` for everybody and for one that this version does not list.
    #[must_use]
    pub fn group(&self, n: u32) -> Option<&Group> {
        let at = usize::try_from(n.checked_sub(1)?).ok()?;
        self.groups.get(at)
    }

    /// A group by its word.
    #[must_use]
    pub fn group_named(&self, word: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.word == word)
    }

    /// Whether `inner` is `outer` or a part of it. Of a group that this version does not list nothing is known,
    /// except that it is itself and that everybody is wider.
    #[must_use]
    pub fn is_within(&self, inner: u32, outer: u32) -> bool {
        if inner == outer || outer == EVERYBODY {
            return true;
        }
        // A group lies in one of a smaller number, so this ends.
        let mut at = self.group(inner).and_then(|group| group.within);
        while let Some(n) = at {
            if n == outer {
                return true;
            }
            at = self.group(n).and_then(|group| group.within.filter(|within| *within < n));
        }
        false
    }

    /// Whether a member may have payloads of a group, by this version: it takes part, and is in the group.
    #[must_use]
    pub fn is_entitled(&self, member: &MemberId, group: u32) -> bool {
        let member = self.member(member).filter(|member| member.is_active());
        member.is_some_and(|member| group == EVERYBODY || member.groups.contains(&group))
    }

    /// Whether a leaf that claims a roster version may use a feature.
    #[must_use]
    pub fn is_activated(&self, feature: &str, claimed_version: u64) -> bool {
        self.features.iter().any(|known| known.word == feature && claimed_version >= known.from)
    }
}
