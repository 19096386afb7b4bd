//! Since which version the records of members who left lapse (SPEC §8.6).

use super::RosterChain;
use crate::roster::{MemberId, Roster};
use std::collections::BTreeMap;

impl RosterChain {
    /// Members whose records lapse by the newest version, each with the version since which they do without a break.
    #[must_use]
    pub const fn lapsed(&self) -> &BTreeMap<MemberId, u64> {
        &self.lapsed
    }
}

/// The same for the next version, given what it was before.
pub(super) fn next(roster: &Roster, before: &BTreeMap<MemberId, u64>) -> BTreeMap<MemberId, u64> {
    let lapsing = roster.members.iter().filter(|member| member.records_lapse);
    let since = |id: &MemberId| before.get(id).copied().unwrap_or(roster.version);
    lapsing.map(|member| (member.id.clone(), since(&member.id))).collect()
}
