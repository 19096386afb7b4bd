//! Witnesses of one log: who they are, under which keys, and how many are enough (SPEC §3.5).

use super::{MemberId, Roster};
use crate::note::{NoteAlgorithm, NoteKey};

/// How many cosignatures of `witnesses` are a quorum: ⌊2n/3⌋ + 1, so that any two quorums share a
/// witness that is honest as long as fewer than a third are not. Up to three witnesses that is all of
/// them; none have no quorum.
#[must_use]
pub const fn quorum(witnesses: usize) -> Option<usize> {
    if witnesses == 0 { None } else { Some(2 * witnesses / 3 + 1) }
}

/// How many witnesses may be down or dishonest while the others still reach a quorum.
#[must_use]
pub const fn faults_tolerated(witnesses: usize) -> usize {
    match quorum(witnesses) {
        Some(needed) => witnesses - needed,
        None => 0,
    }
}

impl Roster {
    /// Name under which a member cosigns: `<consortium>/witness/<member>`.
    #[must_use]
    pub fn witness_name(&self, member: &MemberId) -> String {
        format!("{}/witness/{member}", self.consortium)
    }

    /// The witnesses of an author's logs, which are all but itself, with the keys of their lines.
    #[must_use]
    pub fn witness_keys(&self, author: &MemberId) -> Vec<(MemberId, NoteKey)> {
        let others = self.witnesses.iter().filter(|witness| *witness != author);
        others
            .filter_map(|witness| {
                let key = self.member(witness)?.cosigner_key?;
                let algorithm = NoteAlgorithm::CosignatureV1;
                Some((witness.clone(), NoteKey { name: self.witness_name(witness), algorithm, key }))
            })
            .collect()
    }
}

const _: () = {
    assert!(quorum(0).is_none());
    let mut witnesses = 1;
    while witnesses <= 15 {
        let Some(needed) = quorum(witnesses) else { panic!("a witness makes a quorum possible") };
        assert!(needed <= witnesses);
        // Two quorums overlap in more than a third of the witnesses.
        assert!(3 * (2 * needed - witnesses) > witnesses);
        assert!(witnesses > 3 || needed == witnesses);
        witnesses += 1;
    }
};
