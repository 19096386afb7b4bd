//! Which payloads members say that they hold: of each member and log the newest receipt.

use super::Author;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::record::{Holding, Receipt};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;

/// What a member stated last about one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedHolding {
    /// Number of the member's log that the receipt is in.
    pub n: u32,
    /// The receipt's place there.
    pub index: u64,
    /// Its time: the member's claim.
    pub time_ms: u64,
    /// What it says.
    pub holding: Holding,
}

/// The newest receipts, by who wrote them and what they are about.
#[derive(Debug, Default)]
pub(super) struct Receipts(BTreeMap<MemberId, BTreeMap<LogId, StatedHolding>>);

impl Receipts {
    pub(super) fn fold(&mut self, author: &Author, leaf: &Leaf, receipt: &Receipt) {
        let stated = self.0.entry(author.member.clone()).or_default();
        for holding in receipt.holdings() {
            let newest = stated.get(&holding.log).map(|held| (held.n, held.index));
            if newest < Some((author.n, leaf.index)) {
                let (n, index, time_ms) = (author.n, leaf.index, leaf.time_ms);
                stated.insert(holding.log, StatedHolding { n, index, time_ms, holding: holding.clone() });
            }
        }
    }

    pub(super) fn of(&self, member: &MemberId) -> impl Iterator<Item = &StatedHolding> {
        self.0.get(member).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn about(&self, log: &LogId) -> impl Iterator<Item = (&MemberId, &StatedHolding)> {
        self.0.iter().filter_map(move |(member, stated)| Some((member, stated.get(log)?)))
    }
}
