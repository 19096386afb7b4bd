//! Virtual time: a queue of happenings, nodes that live and die, and the checkers.

use crate::disk::{Disk, Job};
use crate::founding::{Founding, Member};
use crate::random::Random;
use crate::rogue::Rogue;
use hashpact_core::effect::{PublishedHead, Receipts, SubmitError, Timer};
use hashpact_core::event::{Ack, Draft, FoundHolding, MissingEntry, Peer, SendFailure, Submit};
use hashpact_core::view::Status;
use hashpact_core::{Engine, Event, StopReason};
use hashpact_protocol::digest::{LeafHash, LogId, RecordId};
use hashpact_protocol::record::{ErasureBasis, ErasureReason, OpinionValue, RetractionReason};
use hashpact_protocol::wire::{Request, Response};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

mod backlog;
pub(crate) mod checks;
mod effects;
mod faults;
mod incidents;
mod replicas;
mod start;
mod strike;

pub use strike::{Fate, Step};

/// What may go wrong, as "once in so many times"; 0 means never.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// A message is lost.
    pub loss: u64,
    /// Longest delay of a message in milliseconds; different delays reorder.
    pub delay_max_ms: u64,
    /// A node crashes, per submission.
    pub crash: u64,
    /// A connection breaks, per submission.
    pub cut: u64,
    /// A peer that is not the author leaves out the payload of an entry that it serves.
    pub bare: u64,
    /// The members part into two groups for some seconds, per submission.
    pub partition: u64,
}

/// What a run showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Submissions answered with receipts.
    pub acknowledged: u64,
    /// Submissions refused or cut short by a crash.
    pub unanswered: u64,
    /// Crashes.
    pub crashes: u64,
    /// Starts under a roster that changes what counts.
    pub reopened: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Messages lost.
    pub lost: u64,
    /// Payloads that were looked for because they did not come with their leaves.
    pub sought: u64,
    /// Priority entries that overtook a backlog.
    pub overtaken: u64,
    /// Receipts about payloads that were stated, and found to be true.
    pub receipts: u64,
    /// Cosignatures released.
    pub cosignatures: u64,
    /// Equivocations of which both halves reached honest members.
    pub forks: u64,
    /// Entries of a forked log at honest members that are contested in the end.
    pub contested: u64,
    /// Entries of forked histories that honest members keep beside the one that they follow.
    pub kept: u64,
    /// Audit bundles of members' disks that were verified in the end.
    pub bundles: u64,
    /// Payloads that an order destroyed everywhere.
    pub erased: u64,
    /// Payloads of retracted records that the end of the retention destroyed everywhere.
    pub outlived: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.crashes += other.crashes;
        self.reopened += other.reopened;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.sought += other.sought;
        self.overtaken += other.overtaken;
        self.receipts += other.receipts;
        self.cosignatures += other.cosignatures;
        self.forks += other.forks;
        self.contested += other.contested;
        self.kept += other.kept;
        self.bundles += other.bundles;
        self.erased += other.erased;
        self.outlived += other.outlived;
    }
}

/// What the one bad member does.
#[derive(Clone, Copy)]
enum Bad {
    Forks,
    Poisons,
}

#[derive(Clone)]
pub(crate) struct Stated {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) key: [u8; 32],
    pub(crate) digest: [u8; 32],
}

/// Where a member's node is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It takes part.
    Inside,
    /// It takes part until it holds the roster that says otherwise.
    Leaving,
    /// It is not started again.
    Outside,
}

pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) place: Place,
    pub(crate) engine: Option<Engine>,
    pub(crate) disk: Disk,
    jobs: VecDeque<Job>,
    life: u64,
    timers: BTreeMap<Timer, u64>,
    published: BTreeMap<String, PublishedHead>,
}

enum Happening {
    Deliver { to: usize, life: u64, from: usize, channel: u64, request: Request },
    Answer { to: usize, life: u64, from: usize, request_id: u64, result: Result<Response, SendFailure> },
    DiskDone { node: usize, life: u64 },
    Found { node: usize, life: u64, log: LogId, found: Vec<MissingEntry> },
    Timer { node: usize, life: u64, timer: Timer, at_ms: u64 },
    Restart { node: usize },
    Link { a: usize, b: usize },
    Read { node: usize, life: u64, read: u64, log: LogId, old: u64, new: u64 },
    Holdings { node: usize, life: u64, read: u64, found: Vec<FoundHolding>, salt: [u8; 32] },
}

pub(crate) struct Promise {
    node: usize,
    drafts: usize,
}

pub(crate) struct Acknowledged {
    pub(crate) log: LogId,
    pub(crate) first_index: u64,
    pub(crate) records: Vec<LeafHash>,
    ack: Ack,
}

/// A world of members.
pub struct World {
    pub(crate) founding: Founding,
    pub(crate) nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    links: BTreeSet<(usize, usize)>,
    apart: BTreeSet<(usize, usize)>,
    channels: BTreeMap<u64, (usize, u64, usize, u64)>,
    pub(crate) promises: BTreeMap<u64, Promise>,
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) notes: BTreeMap<String, BTreeMap<u64, [u8; 32]>>,
    /// The bad member, in the place of a node.
    pub(crate) rogue: Option<Rogue>,
    pub(crate) rogue_at: usize,
    /// Origins of logs of which two histories were ever signed.
    pub(crate) forked: BTreeSet<String>,
    /// What submissions were answered.
    pub(crate) answers: BTreeMap<u64, Result<Receipts, SubmitError>>,
    /// Bodies of requests to cosign that are under way, by channel.
    cosigning: BTreeMap<u64, Vec<u8>>,
    /// What each witness signed, by witness, origin and size.
    cosigned: BTreeMap<(usize, String), BTreeMap<u64, [u8; 32]>>,
    /// Until when which members are apart from the others.
    pub(crate) partition: (u64, BTreeSet<usize>),
    pub(crate) faults: Faults,
    strike: Option<(usize, Step, Fate)>,
    /// Whose disk has a flipped bit, and why it did not start on it.
    flipped: Option<usize>,
    refused: Option<StopReason>,
    stated: BTreeMap<usize, Stated>,
    reports: incidents::Reports,
    pub(crate) random: Random,
    pub(crate) now_ms: u64,
    /// When time last passed at once ([`Self::leap`]).
    leapt_ms: u64,
    sequence: u64,
    /// Whether a refusal that a member's people could have foreseen is what is looked for.
    pub(crate) probing: bool,
    /// Counts.
    pub report: Report,
}

impl World {
    /// A world of `members` members that are started and connected.
    #[must_use]
    pub fn new(seed: u64, members: usize, faults: Faults) -> Self {
        Self::found(seed, members, None, (0, 0), faults)
    }

    /// The same with one more member, which signs two histories.
    #[must_use]
    pub fn with_rogue(seed: u64, honest: usize, faults: Faults) -> Self {
        Self::found(seed, honest + 1, Some(Bad::Forks), (0, 0), faults)
    }

    /// The same with one more member, whose signed log is full of entries that break every rule.
    #[must_use]
    pub fn with_poisoner(seed: u64, honest: usize, faults: Faults) -> Self {
        Self::found(seed, honest + 1, Some(Bad::Poisons), (0, 0), faults)
    }

    /// A world whose members state what they hold, at most once in an interval.
    #[must_use]
    pub fn with_receipts(seed: u64, members: usize, interval_ms: u64, faults: Faults) -> Self {
        Self::found(seed, members, None, (interval_ms, 0), faults)
    }

    fn found(
        seed: u64,
        members: usize,
        bad: Option<Bad>,
        (receipt_interval_ms, replicas): (u64, usize),
        faults: Faults,
    ) -> Self {
        let mut random = Random::new(seed);
        let rogues = usize::from(bad.is_some());
        let mut founding = Founding::new(&mut random, members, rogues);
        founding.receipt_interval_ms = receipt_interval_ms;
        (0..replicas).for_each(|of| founding.add_replica(&mut random, of));
        let rogue = bad.map(|bad| match bad {
            Bad::Poisons => Rogue::poisoner(&founding, &founding.members[members - 1], members),
            Bad::Forks => {
                let mut sides: Vec<usize> = (0..members).map(|_| random.below(2) as usize).collect();
                (sides[0], sides[1]) = (0, 1);
                Rogue::new(&founding, &founding.members[members - 1], sides)
            }
        });
        let mut world = Self::of(founding, random, rogue, faults);
        for node in (0..members - rogues).chain(members..members + replicas) {
            world.start(node);
        }
        world
    }

    /// The world of a consortium none of whose nodes is started yet; a rogue is the last member.
    pub(crate) fn of(founding: Founding, random: Random, rogue: Option<Rogue>, faults: Faults) -> Self {
        let nodes: Vec<Node> = founding
            .members
            .iter()
            .chain(&founding.replicas)
            .map(|member| Node::new(member, &founding))
            .collect();
        let forked = founding.members.last().filter(|_| rogue.is_some());
        Self {
            rogue_at: nodes.len() - 1,
            forked: forked.map(|member| member.origin.clone()).into_iter().collect(),
            answers: BTreeMap::new(),
            probing: false,
            nodes,
            founding,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            links: BTreeSet::new(),
            apart: BTreeSet::new(),
            channels: BTreeMap::new(),
            promises: BTreeMap::new(),
            acknowledged: Vec::new(),
            notes: BTreeMap::new(),
            rogue,
            cosigning: BTreeMap::new(),
            cosigned: BTreeMap::new(),
            partition: (0, BTreeSet::new()),
            faults,
            strike: None,
            flipped: None,
            refused: None,
            stated: BTreeMap::new(),
            reports: incidents::Reports::default(),
            random,
            now_ms: Founding::NOW_MS,
            leapt_ms: 0,
            sequence: 0,
            report: Report::default(),
        }
    }

    /// Lets `span_ms` of virtual time pass.
    pub fn run(&mut self, span_ms: u64) {
        let until = self.now_ms + span_ms;
        while let Some(Reverse((at_ms, id))) = self.queue.peek().copied() {
            if at_ms > until {
                break;
            }
            self.queue.pop();
            self.now_ms = self.now_ms.max(at_ms);
            if let Some(happening) = self.happenings.remove(&id) {
                self.happen(happening);
            }
        }
        self.now_ms = until;
    }

    /// One random thing that a member's people do, and perhaps a fault.
    pub fn act(&mut self) {
        let node = self.random.below(self.nodes.len() as u64) as usize;
        let (crash, cut) = (self.faults.crash, self.faults.cut);
        if crash > 0 && self.random.once_in(crash) {
            self.crash(node);
        } else if cut > 0 && self.random.once_in(cut) {
            let other = (node + 1) % self.nodes.len();
            self.cut(node, other);
        }
        if self.faults.partition > 0 && self.random.once_in(self.faults.partition) {
            self.part();
        }
        if self.nodes[node].engine.is_some() {
            self.submit(node);
        }
        if self.rogue.is_some() && self.random.once_in(2) {
            self.misbehave(self.rogue_at);
        }
    }

    pub(crate) fn is_rogue(&self, node: usize) -> bool {
        self.rogue.is_some() && node == self.rogue_at
    }

    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].engine.is_some() || self.is_rogue(node)
    }

    fn submit(&mut self, node: usize) {
        let count = 1 + self.random.below(6) as usize;
        let drafts: Vec<Draft> = (0..count).map(|_| self.draft(node)).collect();
        let ack = match self.random.below(4) {
            0 => Ack::Replicated(1),
            _ => Ack::Local,
        };
        let (key, digest) = (self.random.bytes(), self.random.bytes());
        self.state(node, Stated { drafts, key, digest }, ack);
    }

    /// Submits something at a node; the request's number.
    pub(crate) fn state(&mut self, node: usize, stated: Stated, ack: Ack) -> u64 {
        let Stated { drafts, key, digest } = stated.clone();
        let salts = drafts.iter().map(|_| self.random.bytes()).collect();
        self.sequence += 1;
        let request = self.sequence;
        self.promises.insert(request, Promise { node, drafts: drafts.len() });
        let prior = self.nodes[node].disk.prior(&self.nodes[node].member.log, &key);
        let submit = Submit { request, drafts, group: 0, salts, key: Some(key), digest, prior, ack };
        self.stated.insert(node, stated);
        self.step(node, Event::Submit(submit));
        request
    }

    fn draft(&mut self, node: usize) -> Draft {
        let choice = self.random.below(8);
        // The first member is an erasure authority.
        let picked = self.pick_record(node, choice == 3 || (choice == 5 && node != 0));
        match (choice, picked) {
            (3, Some(subject)) => Draft::Retraction { subject, reason: RetractionReason::Error },
            (4, Some(subject)) => {
                let opinion =
                    if self.random.once_in(2) { OpinionValue::Disagree } else { OpinionValue::Agree };
                Draft::Opinion { subject, opinion, reason: None }
            }
            (5, Some(subject)) => {
                Draft::Erasure { subject, reason: ErasureReason::VictimRequest, basis: ErasureBasis::Hotline }
            }
            _ => Draft::Content(self.founding.content(&mut self.random)),
        }
    }

    fn pick_record(&mut self, node: usize, own: bool) -> Option<RecordId> {
        let engine = self.nodes[node].engine.as_ref()?;
        let member = &self.nodes[node].member.id;
        let records: Vec<RecordId> = engine
            .view()
            .records()
            .filter(|record| {
                let is_left = !matches!(
                    record.status(),
                    Status::Retracted | Status::Sealed | Status::Erased | Status::Held
                );
                (record.author.member == *member) == own && is_left
            })
            .map(|record| record.id)
            .collect();
        let at = self.random.below(records.len() as u64) as usize;
        records.get(at).copied()
    }

    /// Power cut: the engine is gone, jobs not yet done are stored up to a random one.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        self.report.crashes += 1;
        let held = &mut self.nodes[node];
        held.engine = None;
        held.life += 1;
        held.timers.clear();
        let jobs = std::mem::take(&mut held.jobs);
        let stored = self.random.below(jobs.len() as u64 + 1) as usize;
        for job in jobs.iter().take(stored) {
            held.disk.apply(job);
        }
        let gone: Vec<u64> =
            self.promises.iter().filter(|(_, promise)| promise.node == node).map(|(id, _)| *id).collect();
        for id in gone {
            self.promises.remove(&id);
            self.report.unanswered += 1;
        }
        for other in 0..self.nodes.len() {
            self.cut(node, other);
        }
        let delay = 50 + self.random.below(3_000);
        self.later(delay, Happening::Restart { node });
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        if !self.links.remove(&pair(a, b)) {
            return;
        }
        for (node, other) in [(a, b), (b, a)] {
            if self.nodes[node].engine.is_some() {
                let peer = self.nodes[other].member.peer;
                self.step(node, Event::Disconnected { peer });
            }
        }
        let delay = 100 + self.random.below(1_000);
        self.later(delay, Happening::Link { a, b });
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Link { a, b } => self.link(a, b),
            Happening::Restart { node } => {
                let held = &self.nodes[node];
                if held.engine.is_none() && held.place != Place::Outside && !self.is_rogue(node) {
                    self.start(node);
                }
            }
            Happening::DiskDone { node, life } => self.disk_done(node, life),
            Happening::Found { node, life, log, found } => {
                if self.nodes[node].life == life {
                    self.step(node, Event::Missing { log, found });
                }
            }
            Happening::Timer { node, life, timer, at_ms } => {
                let held = &mut self.nodes[node];
                if held.life == life && held.timers.get(&timer) == Some(&at_ms) {
                    held.timers.remove(&timer);
                    self.step(node, Event::Timer(timer));
                }
            }
            Happening::Holdings { node, life, read, found, salt } => {
                if self.nodes[node].life == life {
                    self.step(node, Event::Holdings { read, found: Some(found), salt });
                }
            }
            Happening::Read { node, life, read, log, old, new } => {
                if self.nodes[node].life == life {
                    let found = self.nodes[node].disk.logs.get(&log).map(|log| log.consistency(old, new));
                    self.step(node, Event::TreeRead { read, found });
                }
            }
            Happening::Deliver { to, from, channel, request, .. } if self.is_rogue(to) => {
                if self.linked(to, from) {
                    let response = self.rogue.as_ref().map(|rogue| rogue.answer(from, request));
                    self.reply(channel, response.expect("there is a rogue"));
                }
            }
            Happening::Answer { to, from, result, .. } if self.is_rogue(to) => {
                if let (Some(rogue), Ok(Response::Cosign(answer))) = (&mut self.rogue, &result) {
                    rogue.asked(from, answer);
                }
            }
            Happening::Deliver { to, life, from, channel, request } => {
                if let Request::Cosign(body) = &request {
                    self.cosigning.insert(channel, body.clone());
                }
                // What a process sent on a connection goes with the process: its next life has connections of its own.
                let sender = self.channels.get(&channel).map(|(_, life, ..)| *life);
                let arrives = self.nodes[to].life == life && sender == Some(self.nodes[from].life);
                if arrives && self.nodes[to].engine.is_some() && self.linked(to, from) {
                    self.report.delivered += 1;
                    let peer = self.nodes[from].member.peer;
                    self.step(to, Event::Inbound { peer, channel, request });
                }
            }
            Happening::Answer { to, life, from, request_id, result } => {
                if self.nodes[to].life == life && self.nodes[to].engine.is_some() {
                    let peer = self.nodes[from].member.peer;
                    self.step(to, Event::Outcome { peer, request: request_id, result });
                }
            }
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        if self.is_parted(a, b) {
            let delay = self.partition.0 - self.now_ms + 1 + self.random.below(500);
            self.later(delay, Happening::Link { a, b });
            return;
        }
        let alive = self.is_up(a) && self.is_up(b);
        if alive && !self.apart.contains(&pair(a, b)) && self.links.insert(pair(a, b)) {
            for (node, other) in [(a, b), (b, a)] {
                let peer = self.nodes[other].member.peer;
                self.step(node, Event::Connected { peer });
            }
        }
    }

    fn disk_done(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let Some(job) = self.nodes[node].jobs.pop_front() else { return };
        if let Some(fate) = self.struck(node, &job) {
            return self.meet(node, &job, fate);
        }
        let held = &mut self.nodes[node];
        if !matches!(job, Job::Erase(_)) {
            held.disk.apply(&job);
        }
        let event = match job {
            Job::Write(batch) => {
                let read_back = if batch.read_back {
                    let log = &held.disk.logs[&batch.log];
                    log.entries[batch.start as usize..].iter().map(|entry| entry.leaf.clone()).collect()
                } else {
                    Vec::new()
                };
                Event::Written { write: batch.id, read_back }
            }
            Job::Fact(fact) => Event::Written { write: fact.id, read_back: Vec::new() },
            Job::Lock(write, _) => Event::LockWritten { write },
            Job::Payloads(batch) => Event::Written { write: batch.id, read_back: Vec::new() },
            Job::Ahead(batch) => Event::Written { write: batch.id, read_back: Vec::new() },
            Job::Roster(write) => Event::Written { write: write.id, read_back: Vec::new() },
            Job::Branch(batch) => Event::Written { write: batch.id, read_back: Vec::new() },
            Job::Subjects(ids) => Event::SubjectsFound { found: held.disk.find_subjects(&ids) },
            Job::Erase(batch) => Event::Erased { write: batch.id, changed: held.disk.erase(&batch) },
        };
        self.step(node, event);
    }

    pub(crate) fn step(&mut self, node: usize, event: Event) {
        let now_ms = self.now_ms;
        let Some(engine) = self.nodes[node].engine.as_mut() else { return };
        let effects = engine.handle(event, now_ms);
        self.perform(node, effects);
    }

    fn by_peer(&self, peer: &Peer) -> usize {
        self.nodes.iter().position(|node| node.member.peer == *peer).expect("peers are members")
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        self.links.contains(&pair(a, b))
    }

    fn later(&mut self, delay_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert(self.sequence, happening);
        self.queue.push(Reverse((self.now_ms + delay_ms, self.sequence)));
    }
}

impl Node {
    pub(crate) fn new(member: &Member, founding: &Founding) -> Self {
        Self {
            member: member.clone(),
            place: Place::Inside,
            engine: None,
            disk: Disk { lock: Some(founding.empty_lock(member)), ..Disk::default() },
            jobs: VecDeque::new(),
            life: 0,
            timers: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
