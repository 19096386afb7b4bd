//! Which priority entries this node lists to its peers, and how many of a member may overtake here.

use super::Engine;
use crate::effect::{Effect, HeldPriority, StoredEntry};
use crate::event::{Channel, Peer};
use crate::limits::{OVERTAKING_MAX, PRIORITY_AGAIN_MAX, PRIORITY_RECENT_MAX};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::is_overtaking;
use hashpact_protocol::roster::{MemberId, Roster};
use hashpact_protocol::wire::bounds::{ANNOUNCE_PRIORITY_MAX, HEADS_PRIORITY_MAX};
use hashpact_protocol::wire::{EntriesRequest, Refusal, Response};
use std::collections::{BTreeMap, VecDeque};

/// How many entries of one log may be held ahead of its end: no more than its member may append a day.
pub(super) fn ahead_max(roster: &Roster, member: &MemberId) -> usize {
    let quota = roster.member(member).map_or(0, |member| member.priority_entries_per_day);
    usize::try_from(quota).unwrap_or(usize::MAX).min(OVERTAKING_MAX)
}

/// The newest priority entries of every log that this node can serve.
#[derive(Debug, Default)]
pub(super) struct Recent {
    by_log: BTreeMap<LogId, VecDeque<u64>>,
    /// Entries of the own log that were announced before.
    announced: u64,
}

impl Recent {
    /// From what the database holds.
    pub(super) fn new(held: &mut BTreeMap<LogId, HeldPriority>) -> Self {
        let by_log = held.iter_mut().map(|(log, held)| (*log, std::mem::take(&mut held.recent).into()));
        Self { by_log: by_log.collect(), announced: 0 }
    }

    /// Entries became visible: those that overtake are listed from now on.
    pub(super) fn note(&mut self, log: LogId, entries: &[(u64, StoredEntry)]) {
        for (index, entry) in entries {
            if is_overtaking(&entry.leaf, &log, *index) {
                let recent = self.by_log.entry(log).or_default();
                recent.push_back(*index);
                if recent.len() > PRIORITY_RECENT_MAX {
                    recent.pop_front();
                }
            }
        }
    }

    /// The newest of a log below a size, at most so many, oldest first.
    fn newest(&self, log: &LogId, size: u64, max: usize) -> impl Iterator<Item = u64> + use<> {
        let recent = self.by_log.get(log).into_iter().flatten().copied();
        let below: Vec<u64> = recent.filter(|index| *index < size).collect();
        let skipped = below.len().saturating_sub(max);
        below.into_iter().skip(skipped)
    }
}

impl Engine {
    /// Priority entries of the own log for an announcement of this size: those that no announcement listed
    /// yet, and a few again.
    pub(super) fn news_of_own(&mut self, size: u64) -> Vec<(String, u64)> {
        let log = self.own.author().log;
        let announced = std::mem::replace(&mut self.recent.announced, size);
        let newest: Vec<u64> = self.recent.newest(&log, size, ANNOUNCE_PRIORITY_MAX).collect();
        let new = newest.iter().filter(|index| **index >= announced).count();
        let skipped = newest.len().saturating_sub(new.max(PRIORITY_AGAIN_MAX));
        newest.into_iter().skip(skipped).map(|index| (self.own.origin().to_owned(), index)).collect()
    }

    /// Recent priority entries of every log, below the newest checkpoint that this node offers of it.
    pub(super) fn recent_of_all(&self) -> Vec<(String, u64)> {
        let own = self.own.note().map(|note| (self.own.author().log, self.own.origin(), note.size));
        let others =
            self.logs.values().filter_map(|log| Some((log.author().log, log.origin(), log.note()?.size)));
        let logs: Vec<_> = own.into_iter().chain(others).collect();
        let each_max = HEADS_PRIORITY_MAX.checked_div(logs.len()).unwrap_or(0).min(PRIORITY_RECENT_MAX);
        logs.into_iter()
            .flat_map(|(log, origin, size)| {
                self.recent.newest(&log, size, each_max).map(move |index| (origin.to_owned(), index))
            })
            .collect()
    }

    /// Takes what a peer lists, log by log.
    pub(super) fn hear_listed(&mut self, peer: Peer, listed: &[(String, u64)], now_ms: u64) {
        let mut by_log: BTreeMap<LogId, Vec<u64>> = BTreeMap::new();
        for (origin, index) in listed {
            // Our own log, or one of a newer roster than ours: nothing to look for.
            if let Some(log) = self.origins.get(origin) {
                by_log.entry(*log).or_default().push(*index);
            }
        }
        for (log, indexes) in by_log {
            if let Some(log) = self.logs.get_mut(&log) {
                log.listed(peer, &indexes, now_ms, &mut self.out);
            }
        }
    }

    pub(super) fn serve_entries(&mut self, peer: Peer, channel: Channel, ask: EntriesRequest) {
        let refusal = match self.served(&LogId::new(ask.log)) {
            None => Some(Refusal::UnknownLog),
            // Their payloads may have been erased since the backup; the log itself brings the leaves.
            _ if self.from_backup => Some(Refusal::Busy),
            Some(held) if ask.size > held => Some(Refusal::BeyondSize { held }),
            Some(_) if ask.indexes.last().is_none_or(|last| *last >= ask.size) => Some(Refusal::Malformed),
            Some(_) => None,
        };
        match refusal {
            Some(refusal) => self.reply(channel, Response::Refused(refusal)),
            None => {
                let entitled = self.entitled(&peer, &LogId::new(ask.log));
                self.out.push(Effect::ServeEntries { channel, ask, entitled });
            }
        }
    }
}
