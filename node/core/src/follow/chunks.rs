//! From a chunk that a peer sent to entries on disk: each is checked against the signed root when its turn comes, and
//! the next is checked when the one before is written.

use super::judge::{accept_entry, check_place, lead_on};
use super::{Barred, ChunkError, Fault, Followed, FollowedLog, News, Target, Writing};
use crate::effect::{Effect, RequestId, SizedNote, StoredEntry, StoredPayload, WriteBatch, WriteId};
use crate::engine::Out;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::RangeChunk;

impl FollowedLog {
    /// A request brought a chunk: store it, when its turn comes and if it proves itself.
    pub(crate) fn fetched(
        &mut self,
        request: RequestId,
        chunk: RangeChunk,
        barred: &Barred<'_>,
        out: &mut Out,
    ) -> Option<Fault> {
        let now_ms = barred.now_ms;
        let Some((start, end, peer)) = self.window.asked(request) else {
            // An answer of another kind than the question answers nothing.
            self.fetch_failed(request, now_ms, out);
            return None;
        };
        if self.frozen {
            // The contradiction was found while this was under way: stay at the size held.
            self.window.clear();
            return None;
        }
        if let Err(error) = check_place(&chunk, start, end) {
            self.fetch_failed(request, now_ms, out);
            return Some(Fault { peer, error });
        }
        self.window.arrived(start, peer, chunk);
        let fault = self.store_next(barred, out);
        self.poll(now_ms, out);
        fault
    }

    /// Writes the part that follows what is held, if it is here.
    fn store_next(&mut self, barred: &Barred<'_>, out: &mut Out) -> Option<Fault> {
        if self.writing.is_some() || self.frozen {
            return None;
        }
        let start = self.frontier.size();
        let target = self.window.target()?.clone();
        let (peer, chunk) = self.window.take(start)?;
        let end = start + chunk.entries.len() as u64;
        let from_author = self.sources.get(&peer).is_some_and(|source| source.is_author);
        let (entries, after) = match self.check_chunk(chunk, &target, from_author, barred) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.window.reopen(start, end);
                self.pause(peer, barred.now_ms);
                return Some(Fault { peer, error });
            }
        };
        self.pauses.remove(&peer);
        let write = out.next_id();
        let note = target.signed.as_ref().filter(|_| after.size() == target.size);
        out.push(Effect::Write(WriteBatch {
            id: write,
            log: self.author.log,
            origin: self.origin.clone(),
            start,
            entries: entries.clone(),
            frontier: after.hashes().to_vec(),
            note: note.map(|signed| SizedNote { size: signed.size(), note: signed.note().to_vec() }),
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        }));
        self.writing = Some(Writing { write, after, entries, target });
        None
    }

    fn check_chunk(
        &self,
        chunk: RangeChunk,
        target: &Target,
        from_author: bool,
        barred: &Barred<'_>,
    ) -> Result<(Vec<StoredEntry>, Frontier), ChunkError> {
        let start = self.frontier.size();
        let after = lead_on(&self.frontier, &chunk, target.size, &target.root)?;
        let entries = (start..)
            .zip(chunk.entries)
            .map(|(index, entry)| {
                let mut entry = accept_entry(&self.author.log, index, entry, from_author, barred)?;
                // What came ahead of the rest may have brought what this peer does not have. About an entry
                // that is still without a payload here no order counts.
                if let (StoredPayload::NotHere, Some(payload)) =
                    (&entry.payload, self.overtaking.payload(index))
                {
                    entry.payload = payload.clone();
                }
                Ok(entry)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok((entries, after))
    }

    /// A write is on disk: publish what it brought, and go on.
    pub(crate) fn written(&mut self, write: WriteId, barred: &Barred<'_>, out: &mut Out) -> Option<Followed> {
        let now_ms = barred.now_ms;
        if self.missing.is_writing(write) {
            let entries = self.missing.written(out);
            self.poll(now_ms, out);
            let (news, completed) = (News::Payloads, self.held_head());
            return Some(Followed { entries, news, completed, fault: None });
        }
        if let Some(entries) = self.ahead_written(write) {
            self.poll(now_ms, out);
            return Some(Followed { entries, news: News::Ahead, completed: None, fault: None });
        }
        let Writing { after, entries, target, .. } = self.writing.take_if(|ours| ours.write == write)?;
        let start = self.frontier.size();
        self.missing
            .add(entries.iter().filter(|entry| entry.payload == StoredPayload::NotHere).count() as u64);
        self.frontier = after;
        self.overtaking.reached(self.frontier.size());
        let complete = self.frontier.size() == target.size;
        if complete && let Some(signed) = target.signed {
            self.note = Some(SizedNote { size: signed.size(), note: signed.note().to_vec() });
            self.note_root = Some(signed.root());
            self.remember(signed.size(), signed.root());
        }
        out.push(self.published());
        let fault = self.store_next(barred, out);
        self.poll(now_ms, out);
        let completed = self.held_head().filter(|_| complete);
        Some(Followed { entries: (start..).zip(entries).collect(), news: News::Next, completed, fault })
    }
}
