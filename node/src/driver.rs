//! The single loop: wait, hand to the engine, perform effects in order.
//!
//! The driver joins storage, network and look-ups and contains no rule that two members could
//! disagree about. Writes go to one storage thread behind a bounded inbox, in order, and their
//! completion comes back as events; what peers ask for is read on blocking threads; nothing
//! blocks the async runtime. `Stop` ends the loop with the reason: nothing signed or half-known leaves
//! after it.

mod jobs;

use crate::cards::CardFile;
use crate::eraser::Eraser;
use crate::host::Host;
use crate::lookup::{Lookup, SnapshotForgetter};
use crate::metrics::Metrics;
use crate::network::{NetworkEvent, NetworkHandle, NetworkStopped};
use crate::restored::Restored;
use crate::rosters::RosterFile;
use crate::scrub::{ScrubAsk, Told};
use crate::service::{BackupAsk, CosignAsk, Submission};
use crate::storage::{LockFile, Store, StoreError};
use crate::vault::Vault;
use hashpact_core::effect::{ForkedLog, HoldingRead, PublishedHead, Receipts, SubmitError, Timer};
use hashpact_core::entitled::Entitled;
use hashpact_core::event::Submit;
use hashpact_core::health::Health;
use hashpact_core::{Effect, Engine, Event, StopReason};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{RosterChain, SignedRoster};
use hashpact_protocol::wire::{ConsistencyAnswer, CosignAnswer, RangeChunk, Refusal, Response};
use jobs::{Disk, JOBS_QUEUED_MAX, Job, StorageThread};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

/// Ranges and payloads read for peers at once; each holds a message of up to two megabytes.
const RANGES_MAX: usize = 8;
/// Requests for them that may wait for their turn; a peer that catches up with many logs asks for two parts
/// of each. Beyond it they are told to come back.
const RANGES_QUEUED_MAX: usize = 128;

/// Milliseconds since 1970, from the system clock.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Everything that the loop joins.
pub struct Driver {
    engine: Engine,
    store: Arc<Store>,
    lookup: Arc<Lookup>,
    metrics: Arc<Metrics>,
    network: NetworkHandle,
    network_events: mpsc::Receiver<NetworkEvent>,
    submissions: mpsc::Receiver<Submission>,
    cosign_asks: mpsc::Receiver<CosignAsk>,
    backup_asks: mpsc::Receiver<BackupAsk>,
    scrub_asks: mpsc::Receiver<ScrubAsk>,
    /// Where the scrub is told what was healed.
    scrub_told: Option<std::sync::mpsc::SyncSender<Told>>,
    /// Present until a node that came from a backup has caught up.
    restored: Option<Restored>,
    cosign_answers: HashMap<u64, oneshot::Sender<CosignAnswer>>,
    done: mpsc::Receiver<Event>,
    report: mpsc::Sender<Event>,
    ranges: Arc<Semaphore>,
    ranges_queue: Arc<Semaphore>,
    timers: BTreeMap<Timer, u64>,
    answers: HashMap<u64, oneshot::Sender<Result<Receipts, SubmitError>>>,
    batch_started: Option<Instant>,
    last_request: u64,
    host: Option<Host>,
    roster_files: mpsc::Receiver<Vec<SignedRoster>>,
    cards: CardFile,
    card_files: mpsc::Receiver<Vec<u8>>,
    contradicted: mpsc::Receiver<String>,
    adopted: Box<dyn Fn(&RosterChain) + Send + Sync>,
    /// Dropped when nobody takes its reports any more.
    storage: StorageThread,
    _eraser: Eraser,
}

/// What [`Driver::new`] needs.
pub struct Parts {
    /// The opened engine.
    pub engine: Engine,
    /// The database.
    pub store: Arc<Store>,
    /// The lock file.
    pub lock: LockFile,
    /// The read model.
    pub lookup: Arc<Lookup>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The network's commands.
    pub network: NetworkHandle,
    /// The network's events.
    pub network_events: mpsc::Receiver<NetworkEvent>,
    /// Local submissions.
    pub submissions: mpsc::Receiver<Submission>,
    /// The machine, to be remembered once the log is open.
    pub host: Option<Host>,
    /// Local requests to cosign.
    pub cosign_asks: mpsc::Receiver<CosignAsk>,
    /// Backups that begin.
    pub backup_asks: mpsc::Receiver<BackupAsk>,
    /// What the scrub found.
    pub scrub_asks: mpsc::Receiver<ScrubAsk>,
    /// Where the scrub is told what was healed; `None` if it is switched off.
    pub scrub_told: Option<std::sync::mpsc::SyncSender<Told>>,
    /// The mark of a data folder that came from a backup.
    pub restored: Option<Restored>,
    /// Where roster versions are kept.
    pub rosters: RosterFile,
    /// Versions that the operator installed while the node runs.
    pub roster_files: mpsc::Receiver<Vec<SignedRoster>>,
    /// Where the card of this member is kept.
    pub cards: CardFile,
    /// Cards that were signed anew, or that the operator brought, while the node runs.
    pub card_files: mpsc::Receiver<Vec<u8>>,
    /// Who must know of a newer roster beside the engine.
    pub adopted: Box<dyn Fn(&RosterChain) + Send + Sync>,
    /// Legal holds.
    pub vault: Vault,
    /// Makes the snapshots forget what is destroyed.
    pub snapshots: SnapshotForgetter,
    /// Word that a snapshot is not what the logs say.
    pub contradicted: mpsc::Receiver<String>,
}

impl Driver {
    /// Starts the storage thread and joins the parts.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let Parts {
            engine,
            store,
            lock,
            lookup,
            metrics,
            network,
            network_events,
            submissions,
            cosign_asks,
            backup_asks,
            scrub_asks,
            scrub_told,
            restored,
            host,
            rosters,
            roster_files,
            cards,
            card_files,
            adopted,
            vault,
            snapshots,
            contradicted,
        } = parts;
        let (report, done) = mpsc::channel(JOBS_QUEUED_MAX);
        let eraser = Eraser::start(Arc::clone(&store), vault.clone(), snapshots, report.clone())?;
        let disk = Disk { store: Arc::clone(&store), rosters, vault, purges: eraser.purges() };
        let storage = StorageThread::start(disk, lock, report.clone())?;
        Ok(Self {
            engine,
            store,
            lookup,
            metrics,
            network,
            network_events,
            submissions,
            cosign_asks,
            backup_asks,
            scrub_asks,
            scrub_told,
            restored,
            cosign_answers: HashMap::new(),
            done,
            report,
            ranges: Arc::new(Semaphore::new(RANGES_MAX)),
            ranges_queue: Arc::new(Semaphore::new(RANGES_MAX + RANGES_QUEUED_MAX)),
            timers: BTreeMap::new(),
            answers: HashMap::new(),
            batch_started: None,
            last_request: 0,
            host,
            roster_files,
            cards,
            card_files,
            contradicted,
            adopted,
            storage,
            _eraser: eraser,
        })
    }

    /// Runs until shutdown or until the engine stops.
    ///
    /// # Errors
    /// Why the engine stopped.
    pub async fn run(
        mut self,
        first: Vec<Effect>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), StopReason> {
        let mut stopping_until: Option<tokio::time::Instant> = None;
        self.perform(first).await?;
        loop {
            let due_ms = self.timers.values().min().copied();
            let wait_ms = due_ms.map_or(60_000, |due_ms| due_ms.saturating_sub(now_ms()));
            let event = tokio::select! {
                biased;
                changed = shutdown.changed(), if stopping_until.is_none() => {
                    if changed.is_err() || *shutdown.borrow() {
                        info!("stopping: finishing what was accepted");
                        stopping_until = Some(tokio::time::Instant::now() + Duration::from_secs(10));
                        self.submissions.close();
                    }
                    None
                }
                Some(event) = self.done.recv() => {
                    self.note_duration(&event);
                    Some(event)
                }
                Some(submission) = self.submissions.recv() => self.accept(submission),
                Some(ask) = self.cosign_asks.recv(), if stopping_until.is_none() => Some(self.accept_cosign(ask)),
                Some(ask) = self.backup_asks.recv(), if stopping_until.is_none() => {
                    self.job(Job::LockState(ask.answer))?;
                    None
                }
                Some(ask) = self.scrub_asks.recv() => self.accept_finding(ask)?,
                Some(event) = self.network_events.recv() => self.translate(event),
                Some(versions) = self.roster_files.recv() => Some(Event::Roster { versions }),
                Some(card) = self.card_files.recv() => Some(Event::Card { card }),
                Some(detail) = self.contradicted.recv() => return Err(StopReason::Snapshot { detail }),
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => None,
            };
            if let Some(event) = event {
                self.step(event).await?;
            }
            self.fire_timers().await?;
            let idle = self.answers.is_empty() && self.submissions.is_empty();
            if stopping_until.is_some_and(|until| idle || tokio::time::Instant::now() >= until) {
                self.network.shutdown().await;
                return Ok(());
            }
        }
    }

    /// Observes the time from an own batch to its synced lock.
    fn note_duration(&mut self, event: &Event) {
        if matches!(event, Event::LockWritten { .. })
            && let Some(started) = self.batch_started.take()
        {
            self.metrics.append_seconds.observe(started.elapsed().as_secs_f64());
        }
    }

    async fn step(&mut self, event: Event) -> Result<(), StopReason> {
        let effects = self.engine.handle(event, now_ms());
        self.perform(effects).await
    }

    async fn fire_timers(&mut self) -> Result<(), StopReason> {
        let now = now_ms();
        let due: Vec<Timer> =
            self.timers.iter().filter(|(_, at_ms)| **at_ms <= now).map(|(timer, _)| *timer).collect();
        for timer in due {
            self.timers.remove(&timer);
            self.step(Event::Timer(timer)).await?;
        }
        Ok(())
    }

    /// Looks the idempotency key up at the last moment, so that nothing can be appended under it
    /// between the look-up and the engine's decision.
    fn accept(&mut self, submission: Submission) -> Option<Event> {
        let Submission { drafts, group, key, digest, ack, answer } = submission;
        let prior = match key.map(|key| self.store.prior(&key)).transpose() {
            Ok(prior) => prior.flatten(),
            Err(error) => {
                error!(%error, "an idempotency key could not be looked up; the submission is refused");
                let _ = answer.send(Err(SubmitError::Unavailable("the database could not be read")));
                return None;
            }
        };
        let mut salts = vec![[0u8; 32]; drafts.len()];
        if getrandom::fill(salts.as_flattened_mut()).is_err() {
            error!("the operating system gave no random bytes; the submission is refused");
            let _ = answer.send(Err(SubmitError::Unavailable("the operating system gave no random bytes")));
            return None;
        }
        self.last_request += 1;
        self.answers.insert(self.last_request, answer);
        let request = self.last_request;
        Some(Event::Submit(Submit { request, drafts, group, salts, key, digest, prior, ack }))
    }

    fn accept_cosign(&mut self, ask: CosignAsk) -> Event {
        self.last_request += 1;
        self.cosign_answers.insert(self.last_request, ask.answer);
        Event::AddCheckpoint { request: self.last_request, body: ask.body }
    }

    fn accept_finding(&self, ask: ScrubAsk) -> Result<Option<Event>, StopReason> {
        match ask {
            ScrubAsk::Damage(damage) => Ok(Some(Event::Damaged(damage))),
            ScrubAsk::Tiles { log, wrong } => self.job(Job::Tiles { log, wrong }).map(|()| None),
        }
    }

    fn translate(&self, event: NetworkEvent) -> Option<Event> {
        match event {
            NetworkEvent::Listening { address } => {
                info!(address, "listening for members' nodes");
                None
            }
            NetworkEvent::Refused { reason, .. } => {
                self.metrics.count_refused(reason);
                debug!(reason, "a connection or message was refused");
                None
            }
            NetworkEvent::Connected { peer } => Some(Event::Connected { peer }),
            NetworkEvent::Disconnected { peer } => Some(Event::Disconnected { peer }),
            NetworkEvent::Inbound { peer, channel, request } => {
                Some(Event::Inbound { peer, channel, request })
            }
            NetworkEvent::Outcome { peer, request_id, result } => {
                Some(Event::Outcome { peer, request: request_id, result })
            }
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), StopReason> {
        for effect in effects {
            match Job::of(effect) {
                Ok(job) => {
                    if let Job::Write(batch) = &job
                        && batch.read_back
                    {
                        self.metrics.appended.inc_by(batch.entries.len() as u64);
                        self.batch_started = Some(Instant::now());
                    }
                    self.job(job)?;
                }
                Err(effect) => self.act(*effect).await?,
            }
        }
        Ok(())
    }

    async fn act(&mut self, effect: Effect) -> Result<(), StopReason> {
        match effect {
            Effect::ReadTree { read, log, old, new } => self.read_tree(read, log, old, new),
            Effect::Roster(chain) => {
                info!(roster.version = chain.version(), "a newer roster is in force");
                (self.adopted)(&chain);
            }
            Effect::ReadHoldings { read, logs } => self.read_holdings(read, logs),
            Effect::AnswerCosign { request, answer } => self.cosigned(request, answer),
            Effect::Cosigned(head) => self.lookup.set_cosigned(head),
            Effect::Evidence(forked) => self.show_fork(forked),
            Effect::Publish(head) => self.publish(&head),
            Effect::Send { peer, request_id, request } => {
                heard(self.network.send(peer, request_id, request).await)?
            }
            Effect::Reply { channel, response } => heard(self.network.reply(channel, response).await)?,
            Effect::ServeRange { .. }
            | Effect::ServePayloads { .. }
            | Effect::ServeEntries { .. }
            | Effect::ServeBranch { .. } => self.serve_peer(effect).await,
            Effect::Branches(branches) => self.lookup.set_branches(branches),
            Effect::Healed { log, start, end, payloads_missing } => {
                self.tell_scrub(Told::Healed { log, start, end, payloads_missing });
            }
            Effect::Disconnect { peer, reason } => {
                info!(peer.id = %peer, reason, "disconnecting a peer");
                self.metrics.count_refused(reason);
                heard(self.network.disconnect(peer).await)?;
            }
            Effect::Admitted { peer, member, addresses } => {
                info!(peer.id = %peer, member.id = member, "a member's node is connected");
                heard(self.network.remember(peer, addresses).await)?;
            }
            Effect::Nodes { nodes } => {
                for (peer, addresses) in nodes {
                    heard(self.network.remember(peer, addresses).await)?;
                }
            }
            Effect::OwnCard { card } => self.cards.take(&card),
            Effect::SetTimer { timer, at_ms } => _ = self.timers.insert(timer, at_ms),
            Effect::Answer { request, answer } => self.submitted(request, answer),
            Effect::View(changes) => self.lookup.apply(&changes),
            Effect::News(news) => self.lookup.hear(news),
            Effect::Coverage(coverage) => self.lookup.set_coverage(coverage),
            Effect::Folded { log, counts, ahead } => self.lookup.set_folded(log, counts, ahead),
            Effect::Receipted { member, stated } => self.lookup.set_receipts(member, stated),
            Effect::Erasures(counts) => self.lookup.set_erasures(counts),
            Effect::Health(health) => self.show_health(health),
            Effect::Misbehaviour { peer, rule } => {
                warn!(peer.id = %peer, rule, "a peer broke a rule");
                self.metrics.count_misbehaviour(rule);
            }
            // Jobs for the storage thread are taken out above.
            Effect::Write(_)
            | Effect::WriteLock { .. }
            | Effect::WriteFact(_)
            | Effect::WritePayloads(_)
            | Effect::Repair(_)
            | Effect::WriteAhead(_)
            | Effect::FindMissing { .. }
            | Effect::WriteBranch(_)
            | Effect::WriteRoster(_)
            | Effect::FindSubjects { .. }
            | Effect::Erase(_) => {}
            Effect::Stop(reason @ StopReason::Reopen { .. }) => {
                info!(%reason, "stopping");
                return Err(reason);
            }
            Effect::Stop(reason) => {
                error!(%reason, "stopping: this node's own state may be wrong");
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Reads what a peer asked for, on a blocking thread.
    async fn serve_peer(&self, effect: Effect) {
        match effect {
            Effect::ServeRange { channel, log, start, size, entries_max, bytes_max, entitled } => {
                let range = move |store: &Store| store.range(&log, start, size, entries_max, bytes_max);
                self.serve(channel, move |store| Ok(shown(range(store)?, &entitled))).await;
            }
            Effect::ServePayloads { channel, log, indexes, bytes_max, entitled } => {
                self.serve(channel, move |store| {
                    store.payloads(&log, &indexes, bytes_max, &entitled).map(Response::Payloads)
                })
                .await;
            }
            Effect::ServeEntries { channel, ask, entitled } => {
                let entries = move |store: &Store| store.proven_entries(&ask, &entitled);
                self.serve(channel, move |store| entries(store).map(Response::Entries)).await;
            }
            Effect::ServeBranch { channel, ask, entitled } => {
                let other = Response::Refused(Refusal::OtherHistory);
                let range = move |store: &Store| store.branch_range(&ask);
                let found =
                    move |store: &Store| Ok(range(store)?.map_or(other, |chunk| shown(chunk, &entitled)));
                self.serve(channel, found).await;
            }
            _ => {}
        }
    }

    fn tell_scrub(&self, told: Told) {
        // A scrub that has ended needs no telling.
        let _ = self.scrub_told.as_ref().map(|scrub| scrub.try_send(told));
    }

    fn submitted(&mut self, request: u64, answer: Result<Receipts, SubmitError>) {
        if let Some(sender) = self.answers.remove(&request) {
            // The caller may have gone; what was appended stays appended.
            let _ = sender.send(answer);
        }
    }

    fn cosigned(&mut self, request: u64, answer: CosignAnswer) {
        if let Some(sender) = self.cosign_answers.remove(&request) {
            // The caller may have gone; what was cosigned is remembered.
            let _ = sender.send(answer);
        }
    }

    fn show_fork(&self, forked: ForkedLog) {
        error!(
            log.origin = forked.origin,
            first = forked.notes[0].0,
            second = forked.notes[1].0,
            diverges_at = forked.diverges_at,
            "a log is frozen: its author signed two histories; the roster must close it"
        );
        self.lookup.set_forked(forked);
    }

    fn show_health(&mut self, health: Health) {
        info!(
            state = %health.completeness,
            peers = health.peers.len(),
            append = health.append_blocked.unwrap_or("open"),
            "health changed"
        );
        for rival in &health.roster.rivals {
            error!(roster.version = rival.version, roster.digest = %rival.digest,
                "governance signed another version beside the one held; no version follows that does not reject it");
        }
        if health.append_blocked.is_none()
            && let Some(host) = self.host.take()
        {
            // Compared with the other members: from now on this machine is the known one.
            host.remember();
        }
        if !health.from_backup
            && let Some(restored) = self.restored.take()
        {
            restored.clear();
        }
        self.lookup.set_health(health);
    }

    fn job(&self, job: Job) -> Result<(), StopReason> {
        // At most one write per log is under way, so a full inbox means more logs than slots: waiting
        // here briefly is right, and the storage thread never waits for this loop.
        tokio::task::block_in_place(|| self.storage.send(job))
    }

    fn publish(&mut self, head: &PublishedHead) {
        if head.size > 0
            && let Err(error) = self.store.publish(head)
        {
            // The note is only cached here: lock file and later batches hold it too.
            warn!(%error, log.origin = head.origin, "a published note could not be cached");
        }
        self.lookup.publish(head);
    }

    /// Reads a tree on a blocking thread; the engine bounds how many are read at once.
    fn read_tree(&self, read: u64, log: LogId, old: u64, new: u64) {
        let (store, report) = (Arc::clone(&self.store), self.report.clone());
        tokio::spawn(async move {
            let found = tokio::task::spawn_blocking(move || store.lead(&log, old, new)).await;
            let found: Option<ConsistencyAnswer> = match found {
                Ok(Ok(found)) => Some(found),
                Ok(Err(error)) => {
                    error!(%error, "a tree could not be read; run fsck");
                    None
                }
                Err(_) => None,
            };
            // A loop that has ended needs no answer.
            let _ = report.send(Event::TreeRead { read, found }).await;
        });
    }

    /// Looks stored payloads through on a blocking thread; one look is under way at a time.
    fn read_holdings(&self, read: u64, logs: Vec<HoldingRead>) {
        let (store, report) = (Arc::clone(&self.store), self.report.clone());
        tokio::spawn(async move {
            let found = tokio::task::spawn_blocking(move || {
                logs.iter().map(|ask| store.holding(ask)).collect::<Result<Vec<_>, _>>()
            });
            let mut salt = [0; 32];
            let found = match found.await {
                Ok(Ok(found)) if getrandom::fill(&mut salt).is_ok() => Some(found),
                Ok(Err(error)) => {
                    error!(%error, "stored payloads could not be looked through; run fsck");
                    None
                }
                Ok(Ok(_)) | Err(_) => None,
            };
            // A loop that has ended needs no answer.
            let _ = report.send(Event::Holdings { read, found, salt }).await;
        });
    }

    async fn serve(
        &self,
        channel: u64,
        read: impl FnOnce(&Store) -> Result<Response, StoreError> + Send + 'static,
    ) {
        let Ok(place) = Arc::clone(&self.ranges_queue).try_acquire_owned() else {
            // A stopped network is noticed at the next effect that needs it.
            let _ = self.network.reply(channel, Response::Refused(Refusal::Busy)).await;
            return;
        };
        let (store, network, ranges) =
            (Arc::clone(&self.store), self.network.clone(), Arc::clone(&self.ranges));
        tokio::spawn(async move {
            // Nobody closes it.
            let Ok(turn) = ranges.acquire_owned().await else { return };
            let response = match tokio::task::spawn_blocking(move || read(&store)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    error!(%error, "entries could not be read for a peer; run fsck");
                    Response::Refused(Refusal::Busy)
                }
                Err(_) => Response::Refused(Refusal::Busy),
            };
            let _ = network.reply(channel, response).await;
            drop((turn, place));
        });
    }
}

/// A range with the payloads that a peer may have.
fn shown(chunk: RangeChunk, entitled: &Entitled) -> Response {
    let entries = chunk.entries.into_iter().map(|entry| entitled.shown_entry(entry)).collect();
    Response::Range(RangeChunk { entries, ..chunk })
}

/// A network that has ended leaves this node deaf: stop, rather than sign on unheard.
fn heard(sent: Result<(), NetworkStopped>) -> Result<(), StopReason> {
    sent.map_err(|_| StopReason::Internal("the network task has ended"))
}
