//! Cosignatures of the own log: one note is offered to all witnesses, so that they sign the same
//! (size, root), at most every ten seconds (DESIGN: Cosignature).
//!
//! A *round* is one note and what became of it at each witness. A witness that is behind its own leaves
//! is asked again for the same note; a new round begins when the log has grown, or when the cosignatures
//! grow old. Nothing is believed of a witness but a signature that verifies: the size that it says it
//! cosigned last only chooses the proof that it is sent.
//!
//! [`count`] reads the cosignatures of any note, whoever relays it.

use crate::effect::{CosignedHead, RequestId, SizedNote};
use crate::event::Peer;
use crate::limits::{COSIGN_AHEAD_MAX_S, COSIGN_INTERVAL_MS, COSIGN_REFRESH_MS, COSIGN_RETRY_MS};
use hashpact_protocol::checkpoint::Checkpoint;
use hashpact_protocol::cosignature::verify_cosignature;
use hashpact_protocol::note::{Note, NoteKey, NoteSignature};
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::CosignAnswer;
use hashpact_protocol::witness::parse_signatures;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// The witnesses of one log with the keys of their lines.
pub(crate) type Witnesses = Vec<(MemberId, NoteKey)>;

/// Collects cosignatures of the own log.
pub(crate) struct Collector {
    witnesses: Witnesses,
    /// The size that each witness cosigned last, as far as it told.
    at: BTreeMap<MemberId, u64>,
    round: Option<Round>,
}

struct Round {
    started_ms: u64,
    checkpoint: Checkpoint,
    /// The author's note alone.
    offered: Note,
    /// Lines of witnesses; those of an earlier round over the same checkpoint stay until renewed.
    lines: BTreeMap<MemberId, NoteSignature>,
    asks: BTreeMap<MemberId, Ask>,
    /// Witnesses that were asked again at once: once a round each.
    hurried: BTreeSet<MemberId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Due(u64),
    Reading(u64),
    Sent(RequestId, Peer),
    Done,
}

/// An offer to be made: which witness, from which size the proof starts, to which it leads.
pub(crate) struct Offer {
    pub(crate) witness: MemberId,
    pub(crate) old: u64,
    pub(crate) size: u64,
}

/// What a witness's answer brought.
pub(crate) enum Collected {
    /// A cosignature: the note with all lines so far.
    Cosigned(SizedNote),
    /// Nothing; the witness is asked again, or not.
    Nothing,
    /// An answer that no honest witness gives.
    Broken,
}

impl Collector {
    pub(crate) fn new(witnesses: Witnesses) -> Self {
        Self { witnesses, at: BTreeMap::new(), round: None }
    }

    /// Starts a round if one is due.
    pub(crate) fn start(&mut self, own: Option<&SizedNote>, now_ms: u64) {
        let Some(own) = own.filter(|own| own.size > 0 && !self.witnesses.is_empty()) else { return };
        if let Some(round) = &self.round {
            let age_ms = now_ms.saturating_sub(round.started_ms);
            let grown = own.size > round.checkpoint.size && age_ms >= COSIGN_INTERVAL_MS;
            if !grown && age_ms < COSIGN_REFRESH_MS {
                return;
            }
        }
        let Ok(mut offered) = Note::parse(&own.note) else { return };
        let Ok(checkpoint) = Checkpoint::parse_text(&offered.text) else { return };
        offered.signatures.retain(|line| line.name == checkpoint.origin);
        let asks = self.witnesses.iter().map(|(member, _)| (member.clone(), Ask::Due(now_ms))).collect();
        let before = self.round.take().filter(|round| round.checkpoint == checkpoint);
        let lines = before.map(|round| round.lines).unwrap_or_default();
        let hurried = BTreeSet::new();
        self.round = Some(Round { started_ms: now_ms, offered, lines, asks, hurried, checkpoint });
    }

    /// Offers that are due to connected witnesses.
    pub(crate) fn due(&self, now_ms: u64, is_connected: impl Fn(&MemberId) -> bool) -> Vec<Offer> {
        let Some(round) = &self.round else { return Vec::new() };
        let due = round.asks.iter().filter(|(_, ask)| matches!(ask, Ask::Due(at_ms) if *at_ms <= now_ms));
        let size = round.checkpoint.size;
        due.filter(|(witness, _)| is_connected(witness))
            .map(|(witness, _)| {
                // A witness that says it is ahead of us is asked from nothing: it will say so again.
                let old = self.at.get(witness).copied().filter(|old| *old <= size).unwrap_or(0);
                Offer { witness: witness.clone(), old, size }
            })
            .collect()
    }

    /// The proof for an offer is being read.
    pub(crate) fn reading(&mut self, witness: &MemberId, read: u64) {
        self.set(witness, Ask::Reading(read));
    }

    /// The note for a witness whose proof was read, unless the round is another by now.
    pub(crate) fn offered(&self, witness: &MemberId, read: Option<u64>) -> Option<Vec<u8>> {
        let round = self.round.as_ref()?;
        let ask = round.asks.get(witness)?;
        let fits = match read {
            Some(read) => *ask == Ask::Reading(read),
            None => matches!(ask, Ask::Due(_)),
        };
        fits.then(|| round.offered.encode())
    }

    pub(crate) fn sent(&mut self, witness: &MemberId, request: RequestId, peer: Peer) {
        self.set(witness, Ask::Sent(request, peer));
    }

    /// A proof could not be read: tried again later.
    pub(crate) fn failed(&mut self, witness: &MemberId, now_ms: u64) {
        self.set(witness, Ask::Due(now_ms + COSIGN_RETRY_MS));
    }

    fn set(&mut self, witness: &MemberId, ask: Ask) {
        if let Some(round) = &mut self.round {
            round.asks.insert(witness.clone(), ask);
        }
    }

    /// The witness whose answer `request` is.
    pub(crate) fn asked(&self, request: RequestId) -> Option<MemberId> {
        let asks = &self.round.as_ref()?.asks;
        let ours = |ask: &Ask| matches!(ask, Ask::Sent(ours, _) if *ours == request);
        asks.iter().find(|(_, ask)| ours(ask)).map(|(witness, _)| witness.clone())
    }

    /// A peer is gone: what it was asked is asked again.
    pub(crate) fn lost(&mut self, peer: &Peer, now_ms: u64) {
        let asks = self.round.iter_mut().flat_map(|round| round.asks.values_mut());
        for ask in asks.filter(|ask| matches!(ask, Ask::Sent(_, asked) if asked == peer)) {
            *ask = Ask::Due(now_ms + COSIGN_RETRY_MS);
        }
    }

    /// Takes a witness's answer; `None` when there is none.
    pub(crate) fn answered(
        &mut self,
        witness: &MemberId,
        answer: Option<CosignAnswer>,
        now_ms: u64,
    ) -> Collected {
        let Some(round) = &mut self.round else { return Collected::Nothing };
        let size = round.checkpoint.size;
        let before = self.at.get(witness).copied().unwrap_or(0);
        let mut wait_ms = COSIGN_INTERVAL_MS;
        let mut collected = Collected::Nothing;
        match answer {
            Some(CosignAnswer::Cosigned(lines)) => {
                let key = self.witnesses.iter().find(|(member, _)| member == witness).map(|(_, key)| key);
                let line = key.and_then(|key| {
                    let answered = parse_signatures(&round.checkpoint, &lines).ok()?;
                    let time_s = verify_cosignature(&answered, key).ok()?;
                    let line = answered.signature_by(key).ok()?.clone();
                    (time_s <= now_ms / 1_000 + COSIGN_AHEAD_MAX_S).then_some(line)
                });
                let Some(line) = line else {
                    round.asks.insert(witness.clone(), Ask::Due(now_ms + COSIGN_INTERVAL_MS));
                    return Collected::Broken;
                };
                round.lines.insert(witness.clone(), line);
                round.asks.insert(witness.clone(), Ask::Done);
                self.at.insert(witness.clone(), size);
                let mut note = round.offered.clone();
                note.signatures.extend(round.lines.values().cloned());
                return Collected::Cosigned(SizedNote { size, note: note.encode() });
            }
            Some(CosignAnswer::Conflict { cosigned }) => {
                self.at.insert(witness.clone(), cosigned);
                // At once with the proof from there, but not again and again.
                if cosigned != before && cosigned <= size && round.hurried.insert(witness.clone()) {
                    wait_ms = 0;
                }
            }
            Some(CosignAnswer::NotYet { retry_after_s, .. }) => {
                wait_ms =
                    u64::from(retry_after_s).saturating_mul(1_000).clamp(COSIGN_RETRY_MS, COSIGN_INTERVAL_MS);
            }
            Some(CosignAnswer::BadProof | CosignAnswer::Malformed) => collected = Collected::Broken,
            Some(CosignAnswer::UnknownLog | CosignAnswer::NotSigned) => {}
            None => wait_ms = COSIGN_RETRY_MS,
        }
        round.asks.insert(witness.clone(), Ask::Due(now_ms + wait_ms));
        collected
    }
}

/// How many of these witnesses have a line in a note; whether it is good is not looked at.
pub(crate) fn lines(note: &[u8], witnesses: &Witnesses) -> usize {
    let Ok(note) = Note::parse(note) else { return 0 };
    witnesses.iter().filter(|(_, key)| note.signature_by(key).is_ok()).count()
}

/// The cosignatures of these witnesses on a note, with their times in seconds since 1970, and the note
/// with the author's line and theirs alone. The author's signature is not looked at, nor those that were counted
/// before, in `held`.
pub(crate) fn count(
    note: &[u8],
    witnesses: &Witnesses,
    held: Option<&CosignedHead>,
    now_ms: u64,
) -> (Vec<u8>, BTreeMap<MemberId, u64>) {
    let Ok(mut note) = Note::parse(note) else { return (Vec::new(), BTreeMap::new()) };
    let counted = held.and_then(|held| Some((Note::parse(&held.note).ok()?, &held.witnesses)));
    let counted = counted.filter(|(held, _)| held.text == note.text);
    let known_time_s = |member: &MemberId, key: &NoteKey| {
        let (held, times) = counted.as_ref()?;
        let is_same = held.signature_by(key).ok()? == note.signature_by(key).ok()?;
        times.get(member).copied().filter(|_| is_same)
    };
    let mut times = BTreeMap::new();
    let mut lines = Vec::new();
    for (member, key) in witnesses {
        let time_s = known_time_s(member, key).or_else(|| verify_cosignature(&note, key).ok());
        let Some(time_s) = time_s else { continue };
        if time_s <= now_ms / 1_000 + COSIGN_AHEAD_MAX_S
            && let Ok(line) = note.signature_by(key)
        {
            lines.push(line.clone());
            times.insert(member.clone(), time_s);
        }
    }
    let origin = note.text.split('\n').next().unwrap_or_default().to_owned();
    note.signatures.retain(|line| line.name == origin);
    note.signatures.extend(lines);
    (note.encode(), times)
}
