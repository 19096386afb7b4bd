//! Receipts of our own: at most one in an interval, about the logs that are followed, and none while nothing but
//! receipts came into them (SPEC §7.9). Otherwise members would answer each other's receipts for ever.

use super::Engine;
use crate::effect::{Effect, HoldingRead};
use crate::event::FoundHolding;
use crate::limits::RECEIPT_SETTLE_MS;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::limits::{RECEIPT_GAPS_MAX, RECEIPT_LOGS_MAX};
use hashpact_protocol::record::{Holding, Receipt, Record};

/// Logs with the size and root that a receipt is about.
type Asked = Vec<(LogId, u64, Root)>;

/// When a receipt is due, and what is being read for it.
#[derive(Debug)]
pub(super) struct Receipting {
    interval_ms: u64,
    /// The disk is not looked through before this.
    due_ms: u64,
    reading: Option<(u64, Asked)>,
}

impl Receipting {
    /// One receipt in so many milliseconds; none for 0.
    pub(super) fn new(interval_ms: u64, now_ms: u64) -> Self {
        let due_ms = now_ms.saturating_add(interval_ms.min(RECEIPT_SETTLE_MS));
        Self { interval_ms, due_ms, reading: None }
    }
}

impl Engine {
    /// What we stated last about a log.
    fn stated(&self, log: &LogId) -> Option<&Holding> {
        let mut stated = self.view.receipts_of(&self.own.author().member);
        stated.find(|stated| stated.holding.log == *log).map(|stated| &stated.holding)
    }

    /// Has the disk looked through when a receipt is due and something may have changed since the last.
    pub(super) fn look_for_receipt(&mut self, now_ms: u64) {
        let Receipting { interval_ms, due_ms, reading } = &self.receipting;
        let last_ms = self.view.receipts_of(&self.own.author().member).map(|stated| stated.time_ms).max();
        let next_ms = last_ms.map_or(0, |last_ms| last_ms.saturating_add(*interval_ms));
        if *interval_ms == 0
            || reading.is_some()
            || self.own.blocked().is_some()
            || now_ms < next_ms.max(*due_ms)
        {
            return;
        }
        let held = self.logs.values().filter(|log| log.size() > 0 && !log.is_frozen());
        let held = held.map(|log| (log.author().log, log.size(), log.root())).take(RECEIPT_LOGS_MAX);
        let held: Vec<_> = held.collect();
        let may_differ = |(log, size, _): &(LogId, u64, Root)| {
            self.stated(log).is_none_or(|stated| stated.size < *size || !stated.missing.is_empty())
        };
        if !held.iter().any(may_differ) {
            return;
        }
        let gaps_max = RECEIPT_GAPS_MAX / held.len().max(1);
        let reads = held.iter().map(|(log, size, _)| {
            let stated_size = self.stated(log).map_or(0, |stated| stated.size.min(*size));
            HoldingRead { log: *log, stated_size, size: *size, gaps_max }
        });
        let reads = reads.collect();
        let read = self.out.next_id();
        self.out.push(Effect::ReadHoldings { read, logs: reads });
        self.receipting.reading = Some((read, held));
        self.receipting.due_ms = now_ms.saturating_add(self.receipting.interval_ms);
    }

    /// The disk says what is held: states it, if it says anything new.
    pub(super) fn holdings_read(
        &mut self,
        read: u64,
        found: Option<Vec<FoundHolding>>,
        salt: [u8; 32],
        now_ms: u64,
    ) {
        let Some((_, held)) = self.receipting.reading.take_if(|(ours, _)| *ours == read) else { return };
        let Some(found) = found.filter(|found| found.len() == held.len()) else { return };
        let is_news = held.iter().zip(&found).any(|((log, ..), found)| {
            let stated = self.stated(log);
            let before = stated.map(|stated| {
                let below = found.missing.iter().filter(|gap| gap.start < stated.size);
                below.copied().collect::<Vec<_>>() != stated.missing
            });
            found.has_grown || before.unwrap_or(false)
        });
        if !is_news {
            return;
        }
        let holdings = held.into_iter().zip(found).map(|((log, size, root), found)| Holding {
            log,
            size,
            root,
            missing: found.missing,
        });
        if let Ok(receipt) = Receipt::new(holdings.collect()) {
            self.own.state(Record::Receipt(receipt), salt, now_ms, &mut self.out);
        }
    }
}
