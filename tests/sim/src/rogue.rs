//! A member gone bad: one that signs two histories and shows one to some members, the other to the rest; or
//! one that signs a single history of entries that break every rule ([`crate::poison`]).
//!
//! It keeps no rule but those of the formats: what it serves proves itself under a note that it signed.
//! It answers honestly about the history that it shows to the asker, asks witnesses to cosign either of
//! them, and never says that anything is wrong.

use crate::disk::StoredLog;
use crate::founding::{Founding, Member};
use crate::poison;
use crate::random::Random;
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{RecordId, leaf_hash};
use hashpact_protocol::leaf::{Kind, LeafHeader, seal};
use hashpact_protocol::merkle::consistency_proof;
use hashpact_protocol::note::Note;
use hashpact_protocol::record::Record;
use hashpact_protocol::wire::{
    CosignAnswer, HeadNote, Heads, Hello, Refusal, Request, Response, WirePayload,
};
use hashpact_protocol::witness::{AddCheckpoint, parse_signatures};
use std::collections::BTreeMap;

/// One of the two histories.
#[derive(Default, Clone)]
struct Branch {
    log: StoredLog,
    /// Cosignatures that it could get, by size.
    cosigned: BTreeMap<u64, Note>,
}

/// The member.
pub(crate) struct Rogue {
    member: Member,
    hello: Hello,
    branches: [Branch; 2],
    /// How many entries both share; `None` before the fork.
    shared: Option<u64>,
    /// Which history each member is shown.
    sides: Vec<usize>,
    /// What each witness cosigned last.
    at: BTreeMap<usize, u64>,
    /// Whether it writes poison into one history, instead of two histories.
    poisons: bool,
}

impl Rogue {
    pub(crate) fn new(founding: &Founding, member: &Member, sides: Vec<usize>) -> Self {
        let config = founding.config(member, Founding::NOW_MS, None);
        let hello = Hello {
            consortium: founding.chain.current().consortium.clone(),
            roster_version: 1,
            roster: Vec::new(),
            card: config.card,
        };
        let member = member.clone();
        let at = BTreeMap::new();
        Self { member, hello, branches: Default::default(), shared: None, sides, at, poisons: false }
    }

    /// One that does not fork and whose entries are poison.
    pub(crate) fn poisoner(founding: &Founding, member: &Member, members: usize) -> Self {
        Self { poisons: true, ..Self::new(founding, member, vec![0; members]) }
    }

    /// One that has a member's keys and log since now, and signs two histories of what follows.
    pub(crate) fn thief(
        founding: &Founding,
        member: &Member,
        log: StoredLog,
        sides: Vec<usize>,
        now_ms: u64,
    ) -> Self {
        let branch = Branch { log, cosigned: BTreeMap::new() };
        let shared = Some(branch.log.entries.len() as u64);
        let mut thief =
            Self { branches: [branch.clone(), branch], shared, ..Self::new(founding, member, sides) };
        let newest = founding.published.last().expect("a first version");
        thief.hello.roster_version = newest.version();
        thief.hello.card = founding.config(member, now_ms, None).card;
        thief
    }

    /// Writes records into one history; their ids.
    pub(crate) fn write(
        &mut self,
        side: usize,
        records: Vec<(Record, Option<RecordId>)>,
        random: &mut Random,
        time_ms: u64,
    ) -> Vec<RecordId> {
        let write = records.into_iter().map(|(record, subject)| {
            let log = &mut self.branches[side].log;
            let header = LeafHeader {
                kind: record.kind(),
                priority: false,
                index: log.entries.len() as u64,
                time_ms,
                roster_version: self.hello.roster_version,
                log_id: self.member.log,
                subject,
                group: 0,
            };
            let sealed = seal(header, &record, random.bytes()).expect("a valid record");
            let leaf = sealed.leaf_bytes.to_vec();
            let id = leaf_hash(&leaf);
            let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
            log.push(StoredEntry { leaf, payload });
            id
        });
        write.collect()
    }

    /// Which history a member is shown.
    pub(crate) fn side(&self, member: usize) -> usize {
        self.sides[member]
    }

    pub(crate) fn is_poisoner(&self) -> bool {
        self.poisons
    }

    /// How many entries both histories share, once they differ.
    pub(crate) fn forked_at(&self) -> Option<u64> {
        let shared = self.shared?;
        let reached = |branch: &Branch| branch.log.entries.len() as u64 > shared;
        self.branches.iter().all(reached).then_some(shared)
    }

    /// Which history a head is of, if it is beyond what both share.
    pub(crate) fn side_of(&self, size: u64, root: &[u8; 32]) -> Option<usize> {
        if size <= self.shared.unwrap_or(u64::MAX) {
            return None;
        }
        self.branches.iter().position(|branch| {
            branch.log.entries.len() as u64 >= size
                && branch.log.frontier_at(size as usize).root().as_bytes() == root
        })
    }

    /// Grows one history, or both while they are one; sometimes that is where they part.
    pub(crate) fn act(&mut self, founding: &Founding, random: &mut Random, now_ms: u64) {
        if self.shared.is_none() && !self.poisons && random.once_in(4) {
            self.shared = Some(self.branches[0].log.entries.len() as u64);
        }
        let count = 1 + random.below(9);
        let side = random.below(2) as usize;
        for _ in 0..count {
            let index = self.branches[side].log.entries.len() as u64;
            let entry = self.entry(founding, random, index, now_ms);
            self.branches[side].log.push(entry.clone());
            if self.shared.is_none() {
                self.branches[1 - side].log.push(entry);
            }
        }
    }

    fn entry(&self, founding: &Founding, random: &mut Random, index: u64, time_ms: u64) -> StoredEntry {
        if self.poisons {
            let content = founding.content(random);
            let entry = poison::entry(content, self.member.log, index, time_ms, random.bytes());
            let payload = match entry.payload {
                WirePayload::Present { salt, padded } => StoredPayload::Present { salt, padded },
                _ => StoredPayload::NotHere,
            };
            return StoredEntry { leaf: entry.leaf, payload };
        }
        let record = Record::Content(founding.content(random));
        let header = LeafHeader {
            kind: Kind::Content,
            priority: false,
            index,
            time_ms,
            roster_version: 1,
            log_id: self.member.log,
            subject: None,
            group: 0,
        };
        let sealed = seal(header, &record, random.bytes()).expect("a valid record");
        StoredEntry {
            leaf: sealed.leaf_bytes.to_vec(),
            payload: StoredPayload::Present { salt: sealed.salt, padded: sealed.padded },
        }
    }

    /// Entries of a history.
    pub(crate) fn size(&self, side: usize) -> u64 {
        self.branches[side].log.entries.len() as u64
    }

    /// The note of a history's newest size with the cosignatures that it got.
    pub(crate) fn cosigned(&self, side: usize) -> Option<&Note> {
        self.branches[side].cosigned.get(&self.size(side))
    }

    fn note(&self, side: usize) -> Option<(u64, Vec<u8>)> {
        let log = &self.branches[side].log;
        let size = log.entries.len();
        let root = log.frontier_at(size).root();
        let checkpoint = Checkpoint { origin: self.member.origin.clone(), size: size as u64, root };
        (size > 0).then(|| (size as u64, sign_checkpoint(&checkpoint, &self.member.log_key)))
    }

    /// Answers a member.
    pub(crate) fn answer(&self, from: usize, request: Request) -> Response {
        let side = self.sides[from];
        let log = &self.branches[side].log;
        let held = log.entries.len() as u64;
        match request {
            Request::Hello(_) => Response::Hello(self.hello.clone()),
            Request::Heads => {
                let cosigned = self.branches[side].cosigned.values().next_back().map(Note::encode);
                let notes = self.note(side).map(|(_, note)| note).into_iter().chain(cosigned);
                let head = |note| HeadNote { origin: self.member.origin.clone(), note };
                Response::Heads(Heads { notes: notes.map(head).collect(), priority: self.listed(side) })
            }
            Request::Branch(ask) if log.has(ask.range.size, &ask.root) => {
                Response::Range(log.range(ask.range.start, ask.range.size, ask.range.entries_max.min(3)))
            }
            Request::Branch(_) => Response::Refused(Refusal::OtherHistory),
            Request::Range(range) if range.size <= held => {
                Response::Range(log.range(range.start, range.size, range.entries_max.min(5)))
            }
            Request::Consistency(ask) if ask.new <= held => {
                Response::Consistency(log.consistency(ask.old, ask.new))
            }
            Request::Entries(ask) if ask.size <= held => Response::Entries(log.proven(&ask)),
            Request::Range(_) | Request::Consistency(_) | Request::Entries(_) => {
                Response::Refused(Refusal::BeyondSize { held })
            }
            Request::Payloads(_) => Response::Refused(Refusal::Busy),
            Request::Cosign(_) => Response::Cosign(CosignAnswer::UnknownLog),
            Request::Announce(_) | Request::Stored(_) | Request::Evidence(_) => Response::Ack,
        }
    }

    /// Lists its newest entry as one that overtakes, which it is not.
    fn listed(&self, side: usize) -> Vec<(String, u64)> {
        let newest = self.branches[side].log.entries.len().checked_sub(1);
        newest.map(|index| (self.member.origin.clone(), index as u64)).into_iter().collect()
    }

    /// Asks a witness to cosign one of the two.
    pub(crate) fn ask(&self, witness: usize, side: usize) -> Option<Request> {
        let (size, note) = self.note(side)?;
        let old = self.at.get(&witness).copied().unwrap_or(0);
        let proof = if 0 < old && old < size {
            consistency_proof(&self.branches[side].log, old, size).expect("sizes in order")
        } else {
            Vec::new()
        };
        Some(Request::Cosign(AddCheckpoint { old, proof, note }.encode()))
    }

    /// Takes what a witness answered.
    pub(crate) fn asked(&mut self, witness: usize, answer: &CosignAnswer) {
        match answer {
            CosignAnswer::Conflict { cosigned } => {
                self.at.insert(witness, *cosigned);
            }
            CosignAnswer::Cosigned(lines) => {
                for side in [0, 1] {
                    let Some((size, note)) = self.note(side) else { continue };
                    let root = self.branches[side].log.frontier_at(size as usize).root();
                    let checkpoint = Checkpoint { origin: self.member.origin.clone(), size, root };
                    let Ok(answered) = parse_signatures(&checkpoint, lines) else { continue };
                    // It does not care which of the two a line is of: only the right one will verify.
                    let note = Note::parse(&note).expect("ours");
                    let held = self.branches[side].cosigned.entry(size).or_insert(note);
                    if self.poisons {
                        let is_new = |name: &str| answered.signatures.iter().any(|new| new.name == name);
                        held.signatures.retain(|line| !is_new(&line.name));
                    }
                    if held.signatures.len() < 12 {
                        held.signatures.extend(answered.signatures);
                    }
                }
            }
            _ => {}
        }
    }

    /// Hashes of the leaves of one history, for comparisons.
    pub(crate) fn leaf(&self, side: usize, index: u64) -> Option<[u8; 32]> {
        let entry = self.branches[side].log.entries.get(index as usize)?;
        Some(*leaf_hash(&entry.leaf).as_bytes())
    }
}
