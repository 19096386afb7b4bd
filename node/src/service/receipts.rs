//! Receipts as status shows them: of each member, whose payloads it states that it holds.

use hashpact_core::effect::PublishedHead;
use hashpact_core::view::StatedHolding;
use hashpact_protocol::api;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{MemberId, Roster};
use std::collections::BTreeMap;

/// The newest receipts of all members, in the order of their ids. What is stated about a log that the roster does not
/// name is left out.
pub(super) fn status(
    stated: &BTreeMap<MemberId, Vec<StatedHolding>>,
    roster: &Roster,
    heads: &BTreeMap<LogId, PublishedHead>,
) -> Vec<api::ReceiptStatus> {
    let origins: BTreeMap<LogId, String> = roster.logs().map(|log| (log.log_id, log.origin)).collect();
    let receipts = stated.iter().filter_map(|(member, stated)| {
        let newest = stated.iter().max_by_key(|stated| (stated.n, stated.index))?;
        let about = |stated: &StatedHolding| {
            let log = &stated.holding.log;
            let held = heads.get(log).map_or(0, |head| head.size);
            Some(holding(stated, origins.get(log)?.clone(), held))
        };
        let mut holdings: Vec<_> = stated.iter().filter_map(about).collect();
        holdings.sort_unstable_by(|one, other| one.log.cmp(&other.log));
        Some(api::ReceiptStatus {
            member: member.to_string(),
            log: roster.origin(member, newest.n),
            index: newest.index,
            time: api::time::rfc3339(newest.time_ms),
            holdings,
        })
    });
    receipts.collect()
}

fn holding(stated: &StatedHolding, log: String, held: u64) -> api::HoldingStatus {
    let missing = &stated.holding.missing;
    api::HoldingStatus {
        log,
        size: stated.holding.size,
        lacking: missing.iter().map(|gap| gap.count).fold(0, u64::saturating_add),
        first_lacking: missing.first().map(|gap| gap.start),
        unstated: held.saturating_sub(stated.holding.size),
    }
}
