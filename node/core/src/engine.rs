//! The one entry: `handle(event, now)` gives back effects in order.
//!
//! This file only routes: each sub-machine owns its state and its rules. What belongs to no single
//! one is here: clearing the own log to append, answering what peers ask, and the health that
//! look-ups report.

mod branches;
mod cosign;
mod damage;
mod erasing;
mod forks;
mod identity;
mod opening;
mod peer;
mod priority;
mod receipts;
mod replica;
mod roster;
mod stored;
#[cfg(test)]
mod tests;

use crate::admit::{OwnNode, Peers};
use crate::append::OwnLog;
pub use opening::{EngineConfig, HeldLog, Opening};
pub use replica::{NodeRole, replica_origin};

use crate::branches::Branches;
use crate::cosigning::{Collector, count};
use crate::coverage::Coverage;
use crate::effect::{
    CosignedHead, Effect, Receipts, RequestId, SizedNote, StoredEntry, StoredPayload, SubmitError, Timer,
    ViewChange, WriteId,
};
use crate::entitled::Mine;
use crate::erasing::Erasing;
use crate::event::{Ack, Channel, Event, Peer, Submit};
use crate::follow::{Barred, FollowedLog, Healing, News};
use crate::forks::Forks;
use crate::health::{Completeness, Health};
use crate::limits::{
    ANNOUNCE_INTERVAL_MS, CLEARANCE_WAIT_MS, FETCHES_MAX, FETCHES_PER_LOG_MAX, FETCHES_PER_SERVER_MAX,
    ISOLATION_GRACE_MS, TICK_INTERVAL_MS,
};
use crate::recover::recover;
use crate::stop::StopReason;
use crate::view::{Author, View};
use crate::witness::{Asker, Cosigner};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::keys::{PublicKey, Signer};
use hashpact_protocol::leaf::{Kind, marked_kind};
use hashpact_protocol::roster::{MemberId, Roster, RosterChain, quorum};
use hashpact_protocol::wire::{Announce, HeadNote, Request};
use identity::{followed, own_identity};
use priority::Recent;
use receipts::Receipting;
use replica::READ_REPLICA;
use roster::{Adopting, authors, is_witness};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How an entry goes into the view: as a whole, or its payload only.
type Fold = fn(&mut View, &Author, u64, &[u8], &StoredPayload) -> Vec<ViewChange>;

/// Effects being collected, and the source of ids.
#[derive(Debug, Default)]
pub struct Out {
    effects: Vec<Effect>,
    last_id: u64,
}

impl Out {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn view(&mut self, changes: Vec<ViewChange>) {
        if !changes.is_empty() {
            self.effects.push(Effect::View(changes));
        }
    }
}

/// A member node's decisions.
pub struct Engine {
    roster: RosterChain,
    own: OwnLog,
    logs: BTreeMap<LogId, FollowedLog>,
    origins: BTreeMap<String, LogId>,
    peers: Peers,
    /// Present if this member is a witness.
    cosigner: Option<Cosigner>,
    collector: Collector,
    /// The largest cosigned heads, by log.
    cosigned: BTreeMap<LogId, CosignedHead>,
    forks: Forks,
    branches: Branches,
    recent: Recent,
    adopting: Option<Adopting>,
    /// What this member may have of others' payloads.
    mine: Mine,
    /// Whether a peer told versions of another history, whose beginning is not known yet.
    sees_elsewhere: bool,
    /// `None` in a read replica.
    cosigner_key: Option<PublicKey>,
    receipting: Receipting,
    /// Who has heard of incidents.
    coverage: Coverage,
    suspicions: BTreeMap<RequestId, forks::Suspicion>,
    reads: BTreeMap<u64, ReadFor>,
    facts_writing: BTreeSet<WriteId>,
    /// Damaged entries that are being fetched again.
    healing: Option<Healing>,
    from_backup: bool,
    view: View,
    erasing: Erasing,
    /// Authors of all logs of the roster.
    members: BTreeMap<LogId, MemberId>,
    started_ms: u64,
    caught_up_once: bool,
    announced_ms: u64,
    announce_due: bool,
    health: Option<Health>,
    stopped: Option<StopReason>,
    out: Out,
}

/// What a read of a stored tree is for.
enum ReadFor {
    /// A peer asked.
    Serve { channel: Channel },
    /// The request to cosign that is under way.
    Cosign,
    /// A proof for a witness of ours.
    Offer { witness: MemberId, old: u64 },
    /// A note of our own log, seen at a peer.
    OwnHead { size: u64, root: Root },
    /// A head of a smaller size than the note held then.
    Head { log: LogId, head: SignedCheckpoint, against: SizedNote },
    /// The search for where two histories part.
    Search { log: LogId },
    /// Where the followed tree leaves the histories of the evidence.
    Branch { log: LogId },
}

/// Why a member's own log is blocked for good: somebody else signs with its key.
const FORKED: &str = "evidence shows two histories signed with this log's key; the roster must close this log and open the next one";
/// Where a member's own log is blocked before it is cleared.
const WAITING_FOR_HEADS: &str = "comparing with connected peers after the start";
/// The same for a node that cannot trust its own disk or machine.
const WAITING_IN_DOUBT: &str = "this node's machine or lock file is not as it was left: it waits for the heads of more than two \
     thirds of the other members; an operator may override this with `hashpact-node run --override-doubt`";
/// A recovered node whose roster has not opened its new log yet.
const WAITING_FOR_ROSTER: &str =
    "this node has given up its former log; governance must close that log and open the next one";

/// What an author's log waits for at a start; a sole member's for nothing.
const fn waits_for(is_open: bool, is_sole: bool, is_doubtful: bool) -> Option<&'static str> {
    match (is_open, is_sole, is_doubtful) {
        (false, ..) => Some(WAITING_FOR_ROSTER),
        (true, true, _) => None,
        (true, false, true) => Some(WAITING_IN_DOUBT),
        (true, false, false) => Some(WAITING_FOR_HEADS),
    }
}

impl Engine {
    /// Starts from what is on disk.
    ///
    /// # Errors
    /// The reason why this node must not start.
    pub fn open(opening: Opening) -> Result<(Self, Vec<Effect>), StopReason> {
        let Opening { config, roster, own, last_time_ms, mut held, mut priority, facts, view, now_ms } =
            opening;
        let mut out = Out::default();
        let current = roster.current();
        let locked = own.lock.as_ref().map(|lock| lock.origin.as_str());
        let (log_key, cosigner_key) = match config.role {
            NodeRole::Author { log_key, cosigner_key } => (Some(log_key), Some(cosigner_key)),
            NodeRole::Replica => (None, None),
        };
        let is_replica = log_key.is_none();
        let (identity, is_open) = own_identity(&config.member, log_key, current, locked)?;
        let own_log = identity.author.log;
        // A replica always has its author to compare itself with.
        let sole = identity.others.is_empty() && !is_replica;
        let recovered = recover(&identity.origin, own)?;
        let blocked =
            if is_replica { Some(READ_REPLICA) } else { waits_for(is_open, sole, config.is_doubtful) };
        let own = OwnLog::new(identity, recovered, last_time_ms, blocked, &mut out);
        let mut logs = BTreeMap::new();
        let mut origins = BTreeMap::new();
        let recent = Recent::new(&mut priority);
        for start in followed(current, own_log, &mut held, &mut priority) {
            origins.insert(start.origin.clone(), start.author.log);
            logs.insert(start.author.log, FollowedLog::new(start, &mut out));
        }
        let own_node = OwnNode { peer: config.peer, member: config.member.clone(), is_replica };
        let peers = Peers::new(own_node, roster::hello(&roster, config.card), current, now_ms, &mut out);
        let cosigner_public = cosigner_key.as_ref().map(Signer::public);
        let cosigner = cosigner_key
            .filter(|_| is_witness(current, &config.member, cosigner_public.as_ref()))
            .map(|key| Cosigner::new(current.witness_name(&config.member), key, facts.cosigned));
        let collector = Collector::new(current.witness_keys(&config.member));
        let members = authors(current);
        let mine = Mine::of(current, &config.member);
        let mut engine = Self {
            erasing: Erasing::new(facts.seen),
            members,
            roster,
            own,
            logs,
            origins,
            peers,
            cosigner,
            collector,
            cosigned: BTreeMap::new(),
            forks: Forks::default(),
            branches: Branches::default(),
            recent,
            adopting: None,
            mine,
            sees_elsewhere: false,
            cosigner_key: cosigner_public,
            receipting: Receipting::new(config.receipt_interval_ms, now_ms),
            coverage: Coverage::new(now_ms),
            suspicions: BTreeMap::new(),
            reads: BTreeMap::new(),
            facts_writing: BTreeSet::new(),
            healing: None,
            // A sole member has nobody who could know of an order that it does not.
            from_backup: config.from_backup && !sole,
            view,
            started_ms: now_ms,
            caught_up_once: sole,
            announced_ms: 0,
            announce_due: false,
            health: None,
            stopped: None,
            out,
        };
        engine.out.push(Effect::SetTimer { timer: Timer::Tick, at_ms: now_ms + TICK_INTERVAL_MS });
        engine.load_quorum_heads(facts.quorum_heads, now_ms);
        for (log, evidence) in &facts.evidence {
            engine.load_evidence(*log, evidence);
        }
        for ((log, number), held) in facts.branches {
            engine.load_branch(log, number, held);
        }
        engine.load_erasures(&facts.erased, now_ms);
        engine.report_health(now_ms);
        engine.cover(now_ms);
        let effects = engine.out.take();
        Ok((engine, effects))
    }

    /// Takes one event and says what to do, in order. After `Effect::Stop` nothing more is done.
    pub fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Effect> {
        if self.stopped.is_some() {
            if let Event::Submit(Submit { request, .. }) = event {
                return vec![Effect::Answer { request, answer: Err(SubmitError::Stopping) }];
            }
            return Vec::new();
        }
        if let Err(reason) = self.dispatch(event, now_ms) {
            self.stopped = Some(reason.clone());
            // What was decided before the reason was found is dropped: nothing of it may be released.
            self.out.effects.clear();
            return vec![Effect::Stop(reason)];
        }
        self.clear_to_append(now_ms);
        self.clear_backup();
        self.report_health(now_ms);
        self.cover(now_ms);
        self.out.take()
    }

    fn dispatch(&mut self, event: Event, now_ms: u64) -> Result<(), StopReason> {
        match event {
            Event::Timer(timer) => self.timer(timer, now_ms),
            Event::Connected { peer } => self.peers.connected(peer, now_ms, &mut self.out),
            Event::Disconnected { peer } => {
                self.peers.disconnected(&peer);
                self.collector.lost(&peer, now_ms);
                self.forks.lost(&peer);
                self.branches.lost(&peer);
                for log in self.logs.values_mut() {
                    log.lost(&peer, now_ms, &mut self.out);
                }
            }
            Event::Inbound { peer, channel, request } => self.inbound(peer, channel, request, now_ms)?,
            Event::Outcome { peer, request, result } => self.outcome(peer, request, result, now_ms)?,
            Event::Submit(submit) => self.submit(submit, now_ms),
            Event::Card { card } => self.renew_card(card, now_ms),
            Event::AddCheckpoint { request, body } => {
                self.ask_cosign(None, Asker::Local(request), body, now_ms);
            }
            Event::TreeRead { read, found } => self.tree_read(read, found, now_ms)?,
            Event::Written { write, read_back } => self.written(write, &read_back, now_ms)?,
            Event::Missing { log, found } => {
                if let Some(log) = self.logs.get_mut(&log) {
                    log.found_missing(found, now_ms, &mut self.out);
                }
            }
            Event::SubjectsFound { found } => self.subjects_found(&found),
            Event::Erased { write, changed } => {
                // Write 0 was not asked for: a legal hold was released.
                if write != 0 && !self.erasing.finished(write) {
                    return Err(StopReason::Internal("an erasure was reported that is not under way"));
                }
                self.erased(&changed);
            }
            Event::LockWritten { write } => self.lock_written(write, now_ms)?,
            Event::Repaired { write, payloads_missing } => self.repaired(write, payloads_missing, now_ms),
            Event::Damaged(damage) => self.damaged(damage, now_ms)?,
            Event::Roster { versions } => self.installed(&versions, now_ms)?,
            Event::Holdings { read, found, salt } => self.holdings_read(read, found, salt, now_ms),
            Event::WriteFailed { detail, .. } => return Err(StopReason::WriteFailed { detail }),
        }
        Ok(())
    }

    /// A key that was used in a former log of this member is answered from there, as far as that log
    /// counts; what was cut off with its tail is stated anew.
    fn submit(&mut self, mut submit: Submit, now_ms: u64) {
        if self.own.is_replica() {
            let answer = Err(self.refuse_statement());
            self.out.push(Effect::Answer { request: submit.request, answer });
            return;
        }
        let former = submit.prior.as_ref().filter(|prior| prior.log != self.own.author().log);
        if let Some(prior) = former {
            let end = prior.first_index.saturating_add(prior.records.len() as u64);
            let log = self.logs.get(&prior.log).filter(|log| log.size() >= end);
            if let Some(log) = log {
                let answer = if prior.digest != submit.digest {
                    Err(SubmitError::KeyReused)
                } else if submit.ack == Ack::Local {
                    Ok(Receipts {
                        origin: log.origin().to_owned(),
                        first_index: prior.first_index,
                        records: prior.records.clone(),
                        tree_size: prior.tree_size,
                        ack: Ack::Local,
                    })
                } else {
                    Err(SubmitError::LogClosed(
                        "this key was used in its former log, where other members' copies are not counted any more; \
                         with ack=local it is answered from there",
                    ))
                };
                self.out.push(Effect::Answer { request: submit.request, answer });
                return;
            }
            submit.prior = None;
        }
        self.own.submit(submit, &self.view, now_ms, &mut self.out);
    }

    fn timer(&mut self, timer: Timer, now_ms: u64) {
        match timer {
            Timer::Append => self.own.form_batch(now_ms, &mut self.out),
            Timer::Announce => self.announce(now_ms),
            Timer::Tick => {
                self.out.push(Effect::SetTimer { timer: Timer::Tick, at_ms: now_ms + TICK_INTERVAL_MS });
                self.own.tick(now_ms, &mut self.out);
                self.peers.tick(now_ms, &mut self.out);
                self.share_fetches();
                for log in self.logs.values_mut() {
                    log.poll(now_ms, &mut self.out);
                }
                self.collect(now_ms);
                self.spread_evidence();
                self.keep_branches(now_ms);
                self.heal(now_ms);
                self.look_for_receipt(now_ms);
                self.coverage.tick(now_ms);
                self.spread_roster(now_ms);
                let expired = self.view.expire(now_ms);
                self.take_changes(expired);
                self.erase_due(now_ms);
                if self.announce_due {
                    self.announce(now_ms);
                }
            }
        }
    }

    /// Shares what may be in hand at once among the logs that are behind. With fewer places than logs the first
    /// in order have one each and the others none; logs that catch up make room.
    fn share_fetches(&mut self) {
        let behind = || self.logs.values().filter(|log| !log.is_caught_up());
        let servers: BTreeSet<&Peer> = behind().flat_map(FollowedLog::servers).collect();
        let mut places = FETCHES_MAX.min(servers.len() * FETCHES_PER_SERVER_MAX);
        let each = (places / behind().count().max(1)).clamp(1, FETCHES_PER_LOG_MAX);
        for log in self.logs.values_mut() {
            let fetches_max = if log.is_caught_up() { 1 } else { each.min(places) };
            if !log.is_caught_up() {
                places -= fetches_max;
            }
            log.allow(fetches_max);
        }
    }

    fn written(&mut self, write: u64, read_back: &[Vec<u8>], now_ms: u64) -> Result<(), StopReason> {
        if self.own.is_writing(write) {
            return self.own.written(read_back, &mut self.out);
        }
        if self.cosigner.as_ref().is_some_and(|cosigner| cosigner.is_writing(write)) {
            self.cosign_written();
            return Ok(());
        }
        if self.roster_written(write, now_ms)? {
            return Ok(());
        }
        if self.facts_writing.remove(&write) {
            if self.forks.written(write) {
                self.spread_evidence();
            }
            return Ok(());
        }
        if self.branch_written(write, now_ms) {
            return Ok(());
        }
        let Some(log) = self.logs.values_mut().find(|log| log.is_writing(write)) else {
            return Err(StopReason::Internal("a write was reported that is not under way"));
        };
        let target = log.target().cloned();
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        let Some(followed) = log.written(write, &barred, &mut self.out) else { return Ok(()) };
        let author = log.author().clone();
        if let Some(fault) = followed.fault {
            self.blame(author.log, fault, target.as_ref());
        }
        let fold = match followed.news {
            News::Next => View::fold,
            News::Payloads => View::supply,
            News::Ahead => View::fold_ahead,
        };
        if followed.news == News::Next {
            self.recent.note(author.log, &followed.entries);
        }
        self.fold(&author, &followed.entries, fold, now_ms);
        if let Some((size, root)) = followed.completed {
            self.confirm_stored(&author, size, root);
        }
        Ok(())
    }

    fn lock_written(&mut self, write: u64, now_ms: u64) -> Result<(), StopReason> {
        if self.cosigner.as_ref().is_some_and(|cosigner| cosigner.is_writing(write)) {
            self.cosign_locked(now_ms);
            return Ok(());
        }
        if !self.own.is_writing(write) {
            return Err(StopReason::Internal("a lock write was reported that is not under way"));
        }
        let mark = self.out.effects.len();
        let appended = self.own.lock_written(now_ms, &mut self.out)?;
        let author = self.own.author().clone();
        // Look-ups see the record before its author is answered: the view change goes right after
        // publication, ahead of the receipts. The next batch goes before it: the disk need not wait for it.
        let rest = self.out.effects.split_off(mark + 1);
        let (next, rest): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|effect| matches!(effect, Effect::Write(_)));
        self.out.effects.extend(next);
        let entries: Vec<_> = (appended.start..).zip(appended.entries).collect();
        self.recent.note(author.log, &entries);
        self.fold(&author, &entries, View::fold, now_ms);
        self.out.effects.extend(rest);
        self.announce_due = true;
        self.announce(now_ms);
        Ok(())
    }

    fn fold(&mut self, author: &Author, entries: &[(u64, StoredEntry)], fold: Fold, now_ms: u64) {
        let mut changes = Vec::new();
        for (index, entry) in entries {
            changes.extend(fold(&mut self.view, author, *index, &entry.leaf, &entry.payload));
        }
        // A vote may have begun a suspension just now.
        if entries.iter().any(|(_, entry)| marked_kind(&entry.leaf) == Some(Kind::Suspension)) {
            changes.extend(self.view.expire(now_ms));
        }
        // When a retraction destroys is counted from its first sight, so that comes first.
        self.note_entries(author, entries, now_ms);
        self.take_changes(changes);
        // Shown like the view: before the author of a declaration is answered.
        self.cover(now_ms);
        self.tell_folded(author);
        if entries.iter().any(|(_, entry)| marked_kind(&entry.leaf) == Some(Kind::Receipt)) {
            let (member, stated) = (author.member.clone(), self.view.receipts_of(&author.member));
            self.out.push(Effect::Receipted { member, stated: stated.cloned().collect() });
        }
    }

    /// Records stand otherwise, and what else the view has to tell.
    pub(super) fn take_changes(&mut self, changes: Vec<ViewChange>) {
        self.note_changes(&changes);
        self.out.view(changes);
        let news = self.view.take_news();
        if news.incidents.is_some() {
            self.coverage.changed();
        }
        if !news.is_empty() {
            self.out.push(Effect::News(news));
        }
    }

    /// Of a history that is kept beside another nothing is counted.
    fn tell_folded(&mut self, author: &Author) {
        let log = author.log;
        if author.is_beside() {
            return;
        }
        let ahead = self.logs.get(&log).map_or(0, |log| log.ahead().count() as u64);
        self.out.push(Effect::Folded { log, counts: self.view.counts(&log), ahead });
    }

    fn announce(&mut self, now_ms: u64) {
        let Some(note) = self.own.note() else { return };
        let due_ms = self.announced_ms.saturating_add(ANNOUNCE_INTERVAL_MS);
        if self.announced_ms <= now_ms && now_ms < due_ms {
            self.out.push(Effect::SetTimer { timer: Timer::Announce, at_ms: due_ms });
            return;
        }
        self.announced_ms = now_ms;
        self.announce_due = false;
        let notes = self.notes_of(self.own.author().log, self.own.origin(), note).collect();
        let priority = self.news_of_own(note.size);
        let request = Request::Announce(Announce { notes, priority });
        self.peers.announce(&request, &mut self.out);
    }

    /// The newest note of a log, and the largest that a quorum cosigned.
    fn notes_of<'a>(
        &'a self,
        log: LogId,
        origin: &'a str,
        newest: &'a SizedNote,
    ) -> impl Iterator<Item = HeadNote> {
        let cosigned = self.cosigned.get(&log).filter(|head| head.quorum && head.note != newest.note);
        let notes = std::iter::once(&newest.note).chain(cosigned.map(|head| &head.note));
        notes.map(|note| HeadNote { origin: origin.to_owned(), note: note.clone() })
    }

    /// The largest cosigned heads that start-up found. They were compared with our trees before they were
    /// kept; their signatures count under the roster of today.
    fn load_quorum_heads(&mut self, heads: BTreeMap<LogId, SizedNote>, now_ms: u64) {
        for (log, head) in heads {
            let author = match self.logs.get(&log) {
                Some(followed) => followed.author().member.clone(),
                None if log == self.own.author().log => self.own.author().member.clone(),
                None => continue,
            };
            let witnesses = self.roster.current().witness_keys(&author);
            let (note, times) = count(&head.note, &witnesses, None, now_ms);
            if quorum(witnesses.len()).is_some_and(|needed| times.len() >= needed) {
                let head = CosignedHead { log, size: head.size, note, witnesses: times, quorum: true };
                self.cosigned.insert(log, head.clone());
                self.out.push(Effect::Cosigned(head));
            }
        }
    }

    /// After a start the own log waits until connected peers told their heads, or a bounded time:
    /// a larger note of our own, seen at a peer, must stop us before we sign anything.
    fn clear_to_append(&mut self, now_ms: u64) {
        let waited_ms = now_ms.saturating_sub(self.started_ms);
        let is_clear = match self.own.blocked() {
            Some(WAITING_FOR_HEADS) => self.peers.all_told_heads() || waited_ms >= CLEARANCE_WAIT_MS,
            // In doubt no time is long enough: silence proves nothing.
            Some(WAITING_IN_DOUBT) => {
                let others = self.own.other_members();
                self.peers.members_told_heads() > 2 * others / 3
            }
            _ => false,
        };
        if is_clear {
            self.own.clear(now_ms, &mut self.out);
        }
    }

    /// A node that was put back from a backup shows payloads again once it has caught up with more than two thirds of
    /// the other members: it then has every order to erase that a quorum has.
    fn clear_backup(&mut self) {
        let enough = self.peers.members_told_heads() > 2 * self.own.other_members() / 3;
        if self.from_backup && enough && self.logs.values().all(FollowedLog::is_caught_up) {
            self.from_backup = false;
        }
    }

    fn report_health(&mut self, now_ms: u64) {
        let caught_up = self.logs.values().all(FollowedLog::is_caught_up);
        self.caught_up_once |= caught_up && self.peers.all_told_heads();
        let health = Health {
            completeness: self.completeness(now_ms),
            append_blocked: self.own.blocked(),
            from_backup: self.from_backup,
            peers: self.peers.health(),
            roster: roster::health(&self.roster, self.peers.newest_claimed()),
            replica: self.replica_health(),
        };
        if self.health.as_ref() != Some(&health) {
            self.health = Some(health.clone());
            self.out.push(Effect::Health(health));
        }
    }

    fn completeness(&self, now_ms: u64) -> Completeness {
        let origins = |wanted: &dyn Fn(&FollowedLog) -> bool| -> Vec<String> {
            self.logs.values().filter(|log| wanted(log)).map(|log| log.origin().to_owned()).collect()
        };
        // Who writes what this node does not hold yet: other members; for a replica of a sole member, its author.
        let others = self.own.other_members() > 0;
        let is_alone = match (others, self.own.is_replica()) {
            (true, _) => !self.peers.meets_others(),
            (false, true) => self.peers.admitted().next().is_none(),
            (false, false) => false,
        };
        let frozen = origins(&FollowedLog::is_frozen);
        let lagging = origins(&|log| log.is_lagging(now_ms));
        if !frozen.is_empty() {
            Completeness::Frozen { logs: frozen }
        } else if is_alone {
            let young = now_ms.saturating_sub(self.started_ms) < ISOLATION_GRACE_MS;
            if young && !self.caught_up_once { Completeness::Starting } else { Completeness::Isolated }
        } else if !self.caught_up_once || self.from_backup {
            Completeness::Starting
        } else if !lagging.is_empty() {
            Completeness::Lagging { logs: lagging }
        } else {
            Completeness::Complete
        }
    }

    /// What currently stands.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The own log.
    #[must_use]
    pub fn own(&self) -> &OwnLog {
        &self.own
    }

    /// The followed logs.
    pub fn followed(&self) -> impl Iterator<Item = &FollowedLog> {
        self.logs.values()
    }

    /// The largest cosigned heads, by log.
    #[must_use]
    pub fn cosigned(&self) -> &BTreeMap<LogId, CosignedHead> {
        &self.cosigned
    }

    /// Logs with evidence of equivocation, and where their histories part as far as that is proven.
    pub fn forked(&self) -> impl Iterator<Item = (LogId, Option<u64>)> {
        self.forks.logs().map(|(log, evidence)| (*log, evidence.diverges_at()))
    }

    /// The roster in force.
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        self.roster.current_shared()
    }

    /// The last health reported.
    #[must_use]
    pub fn health(&self) -> Option<&Health> {
        self.health.as_ref()
    }
}
