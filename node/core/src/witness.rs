//! This node as a witness of other members' logs: what it cosigned, what it is asked, one request at a
//! time (SPEC §3.5; DESIGN: Cosignature).
//!
//! A cosignature says "as of T I hold, durably and verified, every leaf below this size". So a request
//! passes, in order: the rules of C2SP tlog-witness against what was cosigned last; the comparison with
//! the stored tree; one synced step of the database that remembers (size, root) and the raised
//! generation; the lock file with that generation. Only then is it signed. Requests wait for one another,
//! so that check and memory are one step; a crash anywhere before the end leaves a memory that is larger
//! than what was released, never smaller.
//!
//! What is here is state; [`crate::engine`] joins it with the logs and the lock.

use crate::effect::WriteId;
use crate::event::Channel;
use crate::limits::{COSIGN_NOT_YET_S, COSIGN_QUEUED_MAX};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::cosignature::sign_cosignature_by;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::keys::Signer;
use hashpact_protocol::wire::CosignAnswer;
use hashpact_protocol::witness::{Refusal, encode_signatures};
use std::collections::{BTreeMap, VecDeque};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A peer.
    Peer(Channel),
    /// A local caller.
    Local(u64),
}

/// A witness's key, memory and work.
pub(crate) struct Cosigner {
    name: String,
    key: Signer,
    cosigned: BTreeMap<LogId, (u64, Root)>,
    queue: VecDeque<(Asker, Vec<u8>)>,
    busy: Option<Busy>,
}

/// The request under way.
pub(crate) struct Busy {
    pub(crate) asker: Asker,
    pub(crate) log: LogId,
    pub(crate) signed: SignedCheckpoint,
    pub(crate) stage: Stage,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The stored tree is being read.
    Reading(u64),
    /// The database is being written, at this generation.
    Writing(WriteId, u64),
    /// The lock file is being written.
    Locking(WriteId),
}

impl Cosigner {
    pub(crate) fn new(name: String, key: Signer, cosigned: BTreeMap<LogId, (u64, Root)>) -> Self {
        Self { name, key, cosigned, queue: VecDeque::new(), busy: None }
    }

    /// What was cosigned last of a log.
    pub(crate) fn cosigned(&self, log: &LogId) -> Option<(u64, Root)> {
        self.cosigned.get(log).copied()
    }

    /// Puts a request in line; `false` when the line is full.
    pub(crate) fn enqueue(&mut self, asker: Asker, body: Vec<u8>) -> bool {
        let fits = self.queue.len() < COSIGN_QUEUED_MAX;
        if fits {
            self.queue.push_back((asker, body));
        }
        fits
    }

    /// The next request, unless one is under way.
    pub(crate) fn next(&mut self) -> Option<(Asker, Vec<u8>)> {
        if self.busy.is_some() { None } else { self.queue.pop_front() }
    }

    pub(crate) fn begin(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }

    pub(crate) fn busy(&mut self) -> Option<&mut Busy> {
        self.busy.as_mut()
    }

    /// Ends the request under way without a signature.
    pub(crate) fn give_up(&mut self) -> Option<Asker> {
        self.busy.take().map(|busy| busy.asker)
    }

    pub(crate) fn is_writing(&self, write: WriteId) -> bool {
        self.busy.as_ref().is_some_and(
            |busy| matches!(busy.stage, Stage::Writing(ours, _) | Stage::Locking(ours) if ours == write),
        )
    }

    /// The database knows: from now on nothing else is cosigned. Returns the generation for the lock.
    pub(crate) fn written(&mut self) -> Option<u64> {
        let busy = self.busy.as_mut()?;
        let Stage::Writing(_, generation) = busy.stage else { return None };
        self.cosigned.insert(busy.log, (busy.signed.size(), busy.signed.root()));
        Some(generation)
    }

    /// The lock knows, too: signs.
    pub(crate) fn locked(&mut self, now_ms: u64) -> Option<(Asker, CosignAnswer)> {
        let busy = self.busy.take_if(|busy| matches!(busy.stage, Stage::Locking(_)))?;
        let text = busy.signed.checkpoint().text();
        let answer = match sign_cosignature_by(&text, &self.name, &self.key, now_ms / 1_000) {
            Ok(line) => CosignAnswer::Cosigned(encode_signatures(&[line])),
            // What is remembered is more than what was released; asking again is safe.
            Err(_) => CosignAnswer::NotYet { held: busy.signed.size(), retry_after_s: COSIGN_NOT_YET_S },
        };
        Some((busy.asker, answer))
    }
}

/// A rule of C2SP tlog-witness as an answer.
pub(crate) fn answer(refusal: &Refusal) -> CosignAnswer {
    match refusal {
        Refusal::OldAbove { .. } => CosignAnswer::Malformed,
        Refusal::Conflict { cosigned } | Refusal::OtherRoot { cosigned } => {
            CosignAnswer::Conflict { cosigned: *cosigned }
        }
        Refusal::BadProof => CosignAnswer::BadProof,
        _ => CosignAnswer::NotSigned,
    }
}
