//! How fast a node that is behind catches up, and when it will be done.
//!
//! The rate is that of the last half minute, so that an estimate follows a change of peers or disks soon,
//! and one large batch does not make it jump.

use hashpact_core::effect::PublishedHead;
use hashpact_protocol::api::CatchUp;
use hashpact_protocol::digest::LogId;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Time between two samples.
const SAMPLE: Duration = Duration::from_secs(1);
/// Samples kept.
const SAMPLES_MAX: usize = 30;

/// Entries held, by time.
#[derive(Debug, Default)]
pub(super) struct Progress {
    samples: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// Heads changed.
    pub(super) fn note(&mut self, heads: &BTreeMap<LogId, PublishedHead>, now: Instant) {
        if self.samples.back().is_some_and(|(last, _)| now.duration_since(*last) < SAMPLE) {
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, held(heads)));
    }

    /// How far it is; `None` when peers offer nothing more.
    pub(super) fn catch_up(&self, heads: &BTreeMap<LogId, PublishedHead>, now: Instant) -> Option<CatchUp> {
        let entries_held = held(heads);
        let entries_offered: u64 = heads.values().map(|head| head.announced).sum();
        if entries_offered <= entries_held {
            return None;
        }
        let oldest_kept = SAMPLE * SAMPLES_MAX as u32;
        let recent = self.samples.iter().find(|(at, _)| now.duration_since(*at) <= oldest_kept);
        let entries_per_s = recent.map_or(0, |(at, then)| {
            let elapsed_ms = now.duration_since(*at).as_millis().max(1);
            let gained = u128::from(entries_held.saturating_sub(*then)) * 1_000;
            u64::try_from(gained / elapsed_ms).unwrap_or(u64::MAX)
        });
        let lacking = entries_offered - entries_held;
        let remaining_s = (entries_per_s > 0).then(|| lacking.div_ceil(entries_per_s));
        Some(CatchUp { entries_held, entries_offered, entries_per_s, remaining_s })
    }
}

fn held(heads: &BTreeMap<LogId, PublishedHead>) -> u64 {
    heads.values().map(|head| head.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::empty_root;

    fn heads(size: u64, announced: u64) -> BTreeMap<LogId, PublishedHead> {
        let (log, origin) = (LogId::new([1; 32]), "one".to_owned());
        BTreeMap::from([(
            log,
            PublishedHead { log, origin, size, root: empty_root(), note: None, announced },
        )])
    }

    #[test]
    fn an_estimate_follows_the_last_half_minute() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut progress = Progress::default();
        assert_eq!(progress.catch_up(&heads(5, 5), start), None, "nothing more is offered");
        let stalled = progress.catch_up(&heads(0, 100), start).expect("behind");
        assert_eq!((stalled.entries_per_s, stalled.remaining_s), (0, None));
        for second in 0..=10 {
            progress.note(&heads(second * 100, 10_000), at(second));
        }
        let going = progress.catch_up(&heads(1_000, 10_000), at(10)).expect("behind");
        assert_eq!((going.entries_per_s, going.remaining_s), (100, Some(90)));
        // Faster for a minute: what was before is forgotten.
        for second in 11..=70 {
            progress.note(&heads(1_000 + (second - 10) * 1_000, 1_000_000), at(second));
        }
        let faster = progress.catch_up(&heads(61_000, 1_000_000), at(70)).expect("behind");
        assert_eq!(faster.entries_per_s, 1_000);
        assert!(progress.samples.len() <= SAMPLES_MAX);
        // Nothing for a long time: no estimate, rather than an old one.
        let stuck = progress.catch_up(&heads(61_000, 1_000_000), at(1_000)).expect("behind");
        assert_eq!((stuck.entries_per_s, stuck.remaining_s), (0, None));
    }
}
