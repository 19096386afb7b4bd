//! Who is a member, which keys speak for whom, and who may change that.
//!
//! A roster is one version of the consortium's membership, as canonical text (SPEC §8). Versions form
//! a log of their own: version v is its v-th leaf, and its checkpoint is signed by governance. A
//! [`RosterChain`] holds the versions that verified, one after the other; a [`VerifiedCard`] says where
//! a member's nodes are, signed by the key that the roster lists for that (SPEC §9).
//!
//! What this module deliberately does not do: read a clock (whether a roster or card has expired is
//! asked with the time), choose between rivals, or decide what an expired roster stops.
//!
//! Invariants: a [`Roster`] that was parsed obeys every rule that one version can break, and encodes to
//! the bytes it came from. A [`RosterChain`] never goes back and never skips a version.

mod card;
mod chain;
mod groups;
mod member;
mod rules;
mod succession;
mod terms;
#[cfg(test)]
mod tests;
mod text;
mod witnesses;

pub use card::{CardError, CardNode, NodeCard, VerifiedCard, sign_card, sign_card_by};
pub use chain::{ChainError, RosterChain, SignedRoster, assemble, sign_roster};
pub use groups::{EVERYBODY, FEATURES_MAX, Feature, GROUPS_MAX, Group, HASH_SETS_MAX};
pub use member::{LogEntry, LogRef, LogStatus, Member, MemberId, MemberIdError, MemberStatus, Role};
pub use rules::RosterRule;
pub use terms::{LogPlace, PanelTerm, StewardTerm, TERMS_MAX, Term, Terms};
pub use text::RosterError;
pub use witnesses::{faults_tolerated, quorum};

use crate::digest::{LogId, RosterDigest};
use crate::keys::PublicKey;
use crate::limits::{MEMBER_ID_MAX, NODE_CARD_LIFETIME_MAX_S};

/// Longest consortium id: a name of up to 64 bytes, a hyphen and 16 hex digits.
pub const CONSORTIUM_ID_MAX_BYTES: usize = CONSORTIUM_NAME_MAX_BYTES + 17;
/// Longest name inside a consortium id.
pub const CONSORTIUM_NAME_MAX_BYTES: usize = 64;
/// Longest log origin: consortium, member and a log number of up to ten digits.
pub const ORIGIN_MAX_BYTES: usize = CONSORTIUM_ID_MAX_BYTES + 1 + MEMBER_ID_MAX + 1 + 10;
/// Longest display name of a member, in bytes.
pub const MEMBER_NAME_MAX_BYTES: usize = 80;
/// Most governance keys.
pub const GOVERNANCE_MAX: usize = 16;
/// Most label taxonomies.
pub const TAXONOMIES_MAX: usize = 16;
/// Most rejected rivals that one version names.
pub const REJECTED_MAX: usize = 16;
/// Priority entries that a member may append a day where nothing else is agreed.
pub const PRIORITY_ENTRIES_PER_DAY_DEFAULT: u64 = 10_000;
/// Longest retention of retracted payloads, in seconds (a century).
pub const RETENTION_MAX_S: u64 = 36_525 * 86_400;
/// Longest hold of an erasure, in seconds (a year).
pub const HOLD_MAX_S: u64 = 8_784 * 3_600;
/// Retention where nothing else is agreed, in seconds: 90 days.
pub const RETENTION_DEFAULT_S: u64 = 90 * 86_400;
/// Hold where nothing else is agreed, in seconds: 72 hours.
pub const HOLD_DEFAULT_S: u64 = 72 * 3_600;

const _: () = assert!(NODE_CARD_LIFETIME_MAX_S > 0, "cards must be able to live");
const _: () = assert!(
    2 * GOVERNANCE_MAX <= crate::limits::NOTE_SIGNATURES_MAX,
    "when all keys rotate, old and new ones sign"
);

/// A governance root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GovernanceKey {
    /// Its name, `[a-z0-9-]{1,32}`.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// A version that governance signed beside one that is held, and that members do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejected {
    /// Its number.
    pub version: u64,
    /// Its digest.
    pub digest: RosterDigest,
}

/// One version of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// Consortium id: `<name>-<16 hex digits>`.
    pub consortium: String,
    /// Version, from 1.
    pub version: u64,
    /// When it was made, seconds since 1970.
    pub created_s: u64,
    /// When it stops admitting, seconds since 1970. Look-ups and retractions go on.
    pub expires_s: u64,
    /// Digest of the version before; `None` for version 1.
    pub previous: Option<RosterDigest>,
    /// Rivals of earlier versions that this one rejects, ascending.
    pub rejected: Vec<Rejected>,
    /// How many governance keys must sign: more than half.
    pub threshold: u8,
    /// The governance keys, ascending by name.
    pub governance: Vec<GovernanceKey>,
    /// Label taxonomies in use, ascending.
    pub taxonomies: Vec<String>,
    /// Registered hash sets, ascending.
    pub hash_sets: Vec<String>,
    /// Seconds until retracted and expired payloads are destroyed.
    pub retention_s: u64,
    /// Seconds that an erasure waits before it destroys.
    pub hold_s: u64,
    /// Features in use or agreed for later, ascending by word.
    pub features: Vec<Feature>,
    /// Groups of members, numbered from 1.
    pub groups: Vec<Group>,
    /// The members, ascending by id; those who left stay listed.
    pub members: Vec<Member>,
    /// Members whose cosigner keys are witnesses, ascending.
    pub witnesses: Vec<MemberId>,
    /// Rights that begin and end at places of logs.
    pub terms: Terms,
}

impl Roster {
    /// Reads canonical text: parsing and encoding give the same bytes.
    ///
    /// # Errors
    /// The line and the rule that is broken.
    pub fn parse(body: &[u8]) -> Result<Self, RosterError> {
        text::parse(body)
    }

    /// The canonical text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        text::encode(self).into_bytes()
    }

    /// Checks every rule that one version can break.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RosterRule> {
        rules::check(self).map_err(|(_, rule)| rule)
    }

    /// A member by id, also one who left.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        let at = self.members.binary_search_by(|member| member.id.cmp(id)).ok()?;
        self.members.get(at)
    }

    /// Origin of a member's log: `<consortium>/<member>/<n>`.
    #[must_use]
    pub fn origin(&self, member: &MemberId, n: u32) -> String {
        format!("{}/{member}/{n}", self.consortium)
    }

    /// Origin of the log of rosters: `<consortium>/roster`.
    #[must_use]
    pub fn roster_origin(&self) -> String {
        roster_origin(&self.consortium)
    }

    /// Every log of every member, in the order of (member, number).
    pub fn logs(&self) -> impl Iterator<Item = LogRef<'_>> {
        self.members.iter().flat_map(move |member| {
            member.logs.iter().map(move |log| {
                let origin = self.origin(&member.id, log.n);
                LogRef {
                    member: &member.id,
                    n: log.n,
                    log_id: LogId::of_origin(&origin),
                    origin,
                    key: &log.key,
                    status: &log.status,
                }
            })
        })
    }
}

fn roster_origin(consortium: &str) -> String {
    format!("{consortium}/roster")
}

fn governance_signer(consortium: &str, name: &str) -> String {
    format!("{consortium}/governance/{name}")
}
