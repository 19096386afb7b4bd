//! Bytes on our own disk that are not what they were.

use super::Engine;
use crate::effect::{RequestId, WriteId};
use crate::event::{Damage, Peer, SendFailure};
use crate::follow::{Barred, Healing};
use crate::stop::StopReason;
use crate::view::View;
use hashpact_protocol::wire::Response;

impl Engine {
    /// Stops over damage of the own log: nobody else may say what this node signed. Entries of other logs are fetched
    /// again. One run is healed at a time; a new one takes the place of one that nobody could help with.
    pub(super) fn damaged(&mut self, damage: Damage, now_ms: u64) -> Result<(), StopReason> {
        if damage.log == self.own.author().log {
            let origin = self.own.origin().to_owned();
            return Err(StopReason::OwnLogDamaged { origin, detail: damage.detail });
        }
        if damage.start < damage.end && damage.before.size() == damage.start {
            self.healing = Some(Healing::new(damage, now_ms));
            self.heal(now_ms);
        }
        Ok(())
    }

    /// Goes on with what is damaged.
    pub(super) fn heal(&mut self, now_ms: u64) {
        let Some(healing) = &mut self.healing else { return };
        if let Some(log) = self.logs.get(&healing.log()) {
            healing.poll(log, now_ms, &mut self.out);
        }
    }

    /// Takes the answer to a request for damaged entries.
    pub(super) fn take_healing(
        &mut self,
        peer: Peer,
        request: RequestId,
        result: &Result<Response, SendFailure>,
        now_ms: u64,
    ) -> bool {
        let Some(healing) = self.healing.as_mut().filter(|healing| healing.is_asking(request)) else {
            return false;
        };
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        match (result, self.logs.get(&healing.log())) {
            (Ok(Response::Range(chunk)), Some(log)) => {
                let taken = healing.answered(log, chunk.clone(), &barred, &mut self.out);
                if let Err(error) = taken
                    && !matches!(error, crate::follow::ChunkError::Root { .. })
                {
                    self.misbehaved(peer, error.label());
                }
            }
            _ => healing.failed(),
        }
        self.heal(now_ms);
        true
    }

    /// Repaired entries are on disk.
    pub(super) fn repaired(&mut self, write: WriteId, payloads_missing: u64, now_ms: u64) {
        let Some(healing) = self.healing.as_mut().filter(|healing| healing.is_writing(write)) else { return };
        let Some(log) = self.logs.get_mut(&healing.log()) else { return };
        let mended = healing.written(log, payloads_missing, &mut self.out);
        let author = log.author().clone();
        log.poll(now_ms, &mut self.out);
        self.fold(&author, &mended.entries, View::mend, now_ms);
        if mended.is_done {
            self.healing = None;
        }
        self.heal(now_ms);
    }
}
