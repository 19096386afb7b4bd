//! A newer roster while the node runs: verified, persisted, and only then in force (SPEC §8.4, §9.4).
//!
//! Versions come with a peer's *Hello*, or from the operator. Each is checked against the one before it; the
//! whole run is taken or nothing of it. A version that is persisted stays, and nothing ever goes back: a rival of it, which
//! governance signed as well, is kept as evidence and told to all, and stops changes until a successor rejects it by name.
//!
//! What a version changes is applied in place: who may connect, which logs are followed and where they end,
//! who witnesses. There are three exceptions: a closure that cuts off entries that were folded, whose effects lapse,
//! another word on who may order erasures and how long they wait, and other payloads that this member may have. The view that comes of that is the one
//! that a start makes: the node asks to be opened again.

use super::identity::{followed, others, own_place};
use super::{Engine, WAITING_FOR_HEADS, WAITING_FOR_ROSTER};
use crate::cosigning::Collector;
use crate::effect::{CosignedHead, Effect, RosterWrite, SizedNote, WriteId};
use crate::entitled::Mine;
use crate::follow::{Closure, FollowedLog};
use crate::health::RosterHealth;
use crate::limits::HELLO_ROSTERS_BYTES_MAX;
use crate::stop::StopReason;
use crate::view::Rules;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{ChainError, LogStatus, MemberId, Roster, RosterChain, SignedRoster};
use hashpact_protocol::wire::Hello;
use hashpact_protocol::wire::bounds::HELLO_ROSTERS_MAX;
use std::collections::BTreeMap;

/// Versions that are told of one's own history to somebody who has another one.
const ELSEWHERE_VERSIONS: u64 = 8;

/// A verified chain that is being persisted.
pub(super) struct Adopting {
    write: WriteId,
    chain: RosterChain,
}

/// What a run of versions brings to the chain held.
#[derive(Default)]
struct Brought {
    /// The chain with those that follow.
    newer: Option<RosterChain>,
    /// Versions that governance signed beside those held, and that were not known.
    rivals: Vec<SignedRoster>,
    /// Some are of another history, whose beginning was not sent.
    is_elsewhere: bool,
    /// One does not verify.
    is_broken: bool,
}

/// Goes along versions from the chain held.
fn walk(held: &RosterChain, versions: &[SignedRoster]) -> Brought {
    let mut chain = held.clone();
    let mut brought = Brought::default();
    for next in versions {
        if is_held(held, next) {
            continue;
        }
        let Ok(roster) = Roster::parse(&next.body) else {
            return Brought { is_broken: true, ..brought };
        };
        if roster.version > chain.version().saturating_add(1) {
            // Of a peer that could not know how far we are.
            break;
        }
        let taken = if roster.version > chain.version() {
            chain.advance(next).map(|()| false)
        } else {
            chain.note_rival(next)
        };
        match taken {
            Ok(true) => brought.rivals.push(next.clone()),
            Ok(false) => {}
            // Changes pause: whoever sends this may not know the rival.
            Err(ChainError::Unsettled { .. }) => break,
            Err(ChainError::OtherPrevious { .. }) => brought.is_elsewhere = true,
            Err(_) => return Brought { is_broken: true, ..brought },
        }
    }
    let is_newer = chain.version() > held.version() || !brought.rivals.is_empty();
    brought.newer = is_newer.then_some(chain);
    brought
}

/// Whether a chain has a version, or knows it as a rival. Every hello carries the newest, and reading one means
/// checking every key of it.
fn is_held(chain: &RosterChain, version: &SignedRoster) -> bool {
    let rivals = chain.unsettled().values();
    chain.suffix_from(0).iter().rev().chain(rivals).any(|held| held.body == version.body)
}

impl Engine {
    /// Takes the versions of a peer's hello; `false` if they break a rule.
    pub(super) fn take_versions(&mut self, hello: &Hello) -> bool {
        // One chain is persisted at a time; what comes meanwhile comes again.
        if hello.roster.is_empty() || self.adopting.is_some() {
            return true;
        }
        let versions: Vec<SignedRoster> = hello
            .roster
            .iter()
            .map(|(body, note)| SignedRoster { body: body.clone(), note: note.clone() })
            .collect();
        let brought = walk(&self.roster, &versions);
        if brought.is_elsewhere && !self.sees_elsewhere {
            self.sees_elsewhere = true;
            self.peers.set_hello(self.hello_for(self.roster.version()));
        }
        if let Some(chain) = brought.newer {
            let write = self.out.next_id();
            let versions = chain.suffix_from(self.roster.version()).to_vec();
            let rivals = brought.rivals;
            self.out.push(Effect::WriteRoster(RosterWrite { id: write, versions, rivals }));
            self.adopting = Some(Adopting { write, chain });
        }
        !brought.is_broken
    }

    /// Versions that the operator installed: on disk already.
    pub(super) fn installed(&mut self, versions: &[SignedRoster], now_ms: u64) -> Result<(), StopReason> {
        match walk(&self.roster, versions).newer {
            Some(chain) => self.enforce(chain, now_ms),
            None => Ok(()),
        }
    }

    /// A chain is on disk; `false` if the write is another's.
    pub(super) fn roster_written(&mut self, write: WriteId, now_ms: u64) -> Result<bool, StopReason> {
        let Some(Adopting { chain, .. }) = self.adopting.take_if(|adopting| adopting.write == write) else {
            return Ok(false);
        };
        if chain.version() > self.roster.version() || chain.unsettled() != self.roster.unsettled() {
            self.enforce(chain, now_ms)?;
        }
        Ok(true)
    }

    /// From now on this chain counts. It is on disk.
    fn enforce(&mut self, chain: RosterChain, now_ms: u64) -> Result<(), StopReason> {
        let before = self.roster.current_shared().clone();
        self.roster = chain;
        let roster = self.roster.current_shared().clone();
        let version = roster.version;
        self.peers.set_hello(self.hello_for(version));
        if version == before.version {
            // Nothing but a rival is new: who sent it and everybody else hear of both.
            self.out.push(Effect::Roster(self.roster.clone()));
            self.health = None;
            self.greet_all(now_ms);
            return Ok(());
        }
        let may_have = Mine::of(&roster, &self.mine.member) == self.mine;
        let rules = Rules::from(&self.roster);
        if self.cuts_off(&roster) || !may_have || rules.need_refold(self.view.rules()) {
            return Err(StopReason::Reopen { version });
        }
        let own = self.own.author().clone();
        let place = own_place(&own.member, self.own.public_key().as_ref(), &roster, Some(self.own.origin()))?;
        // Another log than the one that is written, or another role: what a start sorts out.
        let cosigns = is_witness(&roster, &own.member, self.cosigner_key.as_ref());
        // A card under another card key is signed at a start.
        let card_key = |roster: &Roster| roster.member(&own.member).map(|member| member.card_key);
        let needs_card = !self.own.is_replica() && card_key(&roster) != card_key(&before);
        if place.0 != own.n || self.cosigner.is_some() != cosigns || needs_card {
            return Err(StopReason::Reopen { version });
        }
        self.own.enforce(version, others(&roster, &own.member));
        if place.1 && self.own.blocked() == Some(WAITING_FOR_ROSTER) {
            self.own.block(WAITING_FOR_HEADS);
            self.started_ms = now_ms;
        }
        self.members = authors(&roster);
        let changes = self.view.adopt(rules);
        self.take_changes(changes);
        self.follow_anew(&roster);
        self.witness_anew(&roster, now_ms);
        self.out.push(Effect::Roster(self.roster.clone()));
        self.peers.enforce(&before, &roster, now_ms, &mut self.out);
        self.health = None;
        Ok(())
    }

    /// Whether a closure ends a log before what is held of it, or on another branch.
    fn cuts_off(&self, roster: &Roster) -> bool {
        roster.logs().any(|listed| {
            let LogStatus::Closed { size, root } = *listed.status else { return false };
            let log = self.logs.get(&listed.log_id);
            log.is_some_and(|log| !log.can_end_at(&Closure { size, root }))
        })
    }

    /// New logs are followed, closed ones to their closure.
    fn follow_anew(&mut self, roster: &Roster) {
        let own = self.own.author().log;
        for start in followed(roster, own, &mut BTreeMap::new(), &mut BTreeMap::new()) {
            let id = start.author.log;
            match self.logs.get_mut(&id) {
                Some(log) => {
                    let Some(closure) = start.closed else { continue };
                    log.end_at(closure);
                    // With evidence it is followed to the closure and to nothing else.
                    if self.forks.evidence(&id).is_some() {
                        self.freeze(id);
                        self.contest(id);
                    }
                }
                None => {
                    self.origins.insert(start.origin.clone(), id);
                    self.logs.insert(id, FollowedLog::new(start, &mut self.out));
                }
            }
        }
    }

    /// Witnesses may have changed, and with them what counts as cosigned.
    fn witness_anew(&mut self, roster: &Roster, now_ms: u64) {
        let member = self.own.author().member.clone();
        self.collector = Collector::new(roster.witness_keys(&member));
        let heads = std::mem::take(&mut self.cosigned).into_iter().filter(|(_, head)| head.quorum);
        let note = |head: CosignedHead| SizedNote { size: head.size, note: head.note };
        self.load_quorum_heads(heads.map(|(log, head)| (log, note(head))).collect(), now_ms);
    }

    /// Whether a peer that is not admitted may be under a newer roster than ours.
    pub(super) fn may_be_listed(&self, hello: &Hello) -> bool {
        self.adopting.is_some() || hello.roster_version > self.roster.version()
    }

    /// Our hello, with the versions that somebody who holds `version` lacks; always with the newest, by which another
    /// history shows. When one has shown, with some before that and with the rivals that are known.
    pub(super) fn hello_for(&self, version: u64) -> Hello {
        let newest = self.roster.version();
        let is_split = self.sees_elsewhere || !self.roster.unsettled().is_empty();
        let behind = if is_split { ELSEWHERE_VERSIONS } else { 1 };
        let mut roster = lacking(&self.roster, version.min(newest.saturating_sub(behind)));
        let mut room = HELLO_ROSTERS_BYTES_MAX
            .saturating_sub(roster.iter().map(|(body, note)| body.len() + note.len()).sum());
        for rival in self.roster.unsettled().values() {
            let bytes = rival.body.len() + rival.note.len();
            if roster.len() < HELLO_ROSTERS_MAX && bytes <= room {
                room -= bytes;
                roster.push((rival.body.clone(), rival.note.clone()));
            }
        }
        Hello { roster, roster_version: newest, ..self.peers.hello().clone() }
    }

    /// Says hello to every admitted peer.
    pub(super) fn greet_all(&mut self, now_ms: u64) {
        let hello = self.hello_for(self.roster.version());
        let admitted: Vec<_> = self.peers.admitted().map(|(peer, _)| *peer).collect();
        for peer in admitted {
            self.peers.say_hello(peer, hello.clone(), now_ms, &mut self.out);
        }
    }

    /// Says hello again to peers that hold an older version than ours, or a newer one.
    pub(super) fn spread_roster(&mut self, now_ms: u64) {
        for (peer, theirs) in self.peers.to_be_greeted(self.roster.version(), now_ms) {
            let hello = self.hello_for(theirs);
            self.peers.say_hello(peer, hello, now_ms, &mut self.out);
        }
    }
}

/// Authors of all logs of a roster.
pub(super) fn authors(roster: &Roster) -> BTreeMap<LogId, MemberId> {
    roster.logs().map(|log| (log.log_id, log.member.clone())).collect()
}

/// What is to be known about the roster.
pub(super) fn health(chain: &RosterChain, newest_claimed: u64) -> RosterHealth {
    RosterHealth {
        rivals: chain.unsettled().keys().copied().collect(),
        newer_claimed: Some(newest_claimed).filter(|claimed| *claimed > chain.version()),
    }
}

/// What a node says first, with its card.
pub(super) fn hello(chain: &RosterChain, card: Vec<u8>) -> Hello {
    Hello {
        consortium: chain.current().consortium.clone(),
        roster_version: chain.version(),
        roster: lacking(chain, chain.version().saturating_sub(1)),
        card,
    }
}

/// The versions behind one, as many as a hello may carry.
pub(super) fn lacking(chain: &RosterChain, version: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut bytes = 0;
    let behind = chain.suffix_from(version).iter().take(HELLO_ROSTERS_MAX);
    let fits = |signed: &&SignedRoster| {
        bytes += signed.body.len() + signed.note.len();
        bytes <= HELLO_ROSTERS_BYTES_MAX
    };
    behind.take_while(fits).map(|signed| (signed.body.clone(), signed.note.clone())).collect()
}

/// Whether a member witnesses under a roster, with this cosigner key. A recovered node holds a new one, which the
/// roster may not list yet; a read replica has none.
pub(super) fn is_witness(roster: &Roster, member: &MemberId, key: Option<&PublicKey>) -> bool {
    let listed = roster.member(member).and_then(|member| member.cosigner_key);
    roster.witnesses.contains(member) && key.is_some() && listed.as_ref() == key
}
