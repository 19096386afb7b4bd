//! What the HTTP side may ask of the node: submit through the loop, read beside it.
//!
//! Submissions go through a bounded channel to the driver and come back when their promise holds.
//! Reads go to [`Lookup`] and to published entries of the store on blocking threads; nothing beyond a
//! log's published size can be read here, whatever the database already holds.

use crate::changes::{Feed, FeedError};
use crate::export::{HeadsError, Holder, OtherBeginning};
use crate::lists::Lists;
use crate::lookup::{Cursor, Lookup, RecordsFilter};
use crate::metrics::Metrics;
use crate::scrub::Shown;
use crate::storage::{Store, StoreError};
use crate::webhooks::Hook;
use hashpact_core::effect::{LockState, PublishedHead, Receipts, SubmitError};
use hashpact_core::entitled::{GroupError, group_for};
use hashpact_core::event::{Ack, Draft};
use hashpact_protocol::api;
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::merkle::TileId;
use hashpact_protocol::roster::{LogStatus, MemberId, Roster, RosterChain};
use hashpact_protocol::wire::CosignAnswer;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

mod audit;
pub(crate) mod backup;
mod changes;
mod entry;
mod governance;
mod lists;
mod matching;
mod models;
mod operations;
mod proof;
mod receipts;
mod roster_log;
mod shown;
mod status;
mod ttps;

pub use audit::{AuditRequest, AuditStream};
pub use changes::ChangesPage;
pub use matching::{BulkState, MatchAsk};
pub use operations::Operations;
pub use roster_log::RosterLog;
pub use ttps::taxonomy;

/// Submissions waiting for the loop.
pub const SUBMISSIONS_QUEUED_MAX: usize = 256;

/// A submission on its way to the loop.
pub struct Submission {
    /// What to state.
    pub drafts: Vec<Draft>,
    /// The group that may have the payloads; 0 for everybody.
    pub group: u32,
    /// The idempotency key, bound to its caller.
    pub key: Option<[u8; 32]>,
    /// Digest of what is asked.
    pub digest: [u8; 32],
    /// When to answer.
    pub ack: Ack,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Receipts, SubmitError>>,
}

/// Requests to cosign that wait for the loop.
const COSIGN_ASKS_QUEUED_MAX: usize = 16;

/// A local request to cosign on its way to the loop.
pub struct CosignAsk {
    /// The body of the `add-checkpoint` request.
    pub body: Vec<u8>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<CosignAnswer>,
}

/// Backups that wait for the loop.
const BACKUP_ASKS_QUEUED_MAX: usize = 1;

/// A backup that begins, on its way to the loop.
pub struct BackupAsk {
    /// Where what was signed last goes.
    pub answer: oneshot::Sender<LockState>,
}

/// Facts that do not change while the node runs.
pub struct Identity {
    /// Member id.
    pub member: String,
    /// Whether another node of the member writes its log.
    pub is_replica: bool,
    /// The roster in force at the start.
    pub roster: Arc<Roster>,
    /// When the process started.
    pub started: Instant,
}

/// The handle that HTTP holds.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    submissions: mpsc::Sender<Submission>,
    /// Set once the loop runs.
    cosign_asks: OnceLock<mpsc::Sender<CosignAsk>>,
    backup_asks: OnceLock<mpsc::Sender<BackupAsk>>,
    /// Set if the scrub is switched on.
    scrub: OnceLock<Arc<Shown>>,
    /// Set once the configuration is known.
    operations: OnceLock<Operations>,
    /// Set before anybody can ask.
    lists: OnceLock<Arc<Lists>>,
    /// Set when the logs are replayed.
    feed: OnceLock<Arc<Feed>>,
    hooks: OnceLock<Vec<Arc<Hook>>>,
    lookup: Arc<Lookup>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    matching: matching::Matching,
    log_names: RwLock<BTreeMap<LogId, String>>,
    /// Who exports; set once the keys are known.
    holder: RwLock<Option<Arc<Holder>>>,
    /// The roster in force.
    roster: RwLock<Arc<Roster>>,
}

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Storage failed; the cause is in the log.
    #[error("the database could not be read")]
    Storage(#[from] StoreError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// The logs are still being read.
    #[error("the node is still loading its logs")]
    Loading,
    /// The node came from a backup.
    #[error(
        "this node was put back from a backup and shows no payloads before it has caught up with more than two thirds of the \
         other members: some may have been erased since"
    )]
    Restored,
    /// Something that only the node can do that writes its member's log.
    #[error("this node is a read replica of its member and {0}")]
    ReadReplica(&'static str),
    /// Heads that cannot be exported.
    #[error(transparent)]
    Heads(#[from] HeadsError),
    /// A bundle could not be written; the cause is in the log.
    #[error("the bundle could not be written")]
    Export(String),
    /// The database could not be copied; the cause is in the log.
    #[error("the database could not be copied; the operator's log says why")]
    Backup(String),
    /// A transfer that cannot be taken up.
    #[error("{0}; begin the transfer again")]
    OtherBeginning(OtherBeginning),
    /// A list that this node does not have.
    #[error("there is no list {0:?} at this node")]
    UnknownList(String),
    /// Not a cursor of the feed of changes.
    #[error("after: not a cursor of this feed; expected one, \"oldest\" or \"now\"")]
    Cursor,
    /// The feed of changes cannot go on from a cursor.
    #[error("{0}")]
    Feed(FeedError),
}

impl Service {
    /// Joins the parts.
    #[must_use]
    pub fn new(
        identity: Identity,
        submissions: mpsc::Sender<Submission>,
        lookup: Arc<Lookup>,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let log_names = identity.roster.logs().map(|log| (log.log_id, log.origin)).collect();
        let matching = matching::Matching::default();
        let (cosign_asks, backup_asks, scrub) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let operations = OnceLock::new();
        let holder = RwLock::default();
        let (roster, log_names) = (RwLock::new(identity.roster.clone()), RwLock::new(log_names));
        let inner = Inner {
            identity,
            submissions,
            cosign_asks,
            backup_asks,
            scrub,
            operations,
            lists: OnceLock::new(),
            feed: OnceLock::new(),
            hooks: OnceLock::new(),
            lookup,
            store,
            metrics,
            matching,
            log_names,
            holder,
            roster,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A newer roster is in force.
    pub fn adopt(&self, chain: &RosterChain) {
        let roster = chain.current_shared();
        *write(&self.inner.log_names) = roster.logs().map(|log| (log.log_id, log.origin)).collect();
        *write(&self.inner.roster) = Arc::clone(roster);
        if let Some(lists) = self.inner.lists.get() {
            lists.adopt(chain);
        }
        let mut holder = write(&self.inner.holder);
        if let Some(before) = holder.take() {
            let card = before.card.clone();
            *holder = Some(Arc::new(Holder {
                chain: chain.clone(),
                member: before.member.clone(),
                card,
                journal: before.journal.clone(),
            }));
        }
    }

    /// States records in the own log; answers when the promise holds.
    ///
    /// # Errors
    /// Why not; unless it says otherwise, nothing was appended.
    pub async fn submit(
        &self,
        drafts: Vec<Draft>,
        group: u32,
        key: Option<[u8; 32]>,
        digest: [u8; 32],
        ack: Ack,
    ) -> Result<Receipts, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let submission = Submission { drafts, group, key, digest, ack, answer };
        self.inner.submissions.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                SubmitError::Busy { queued: SUBMISSIONS_QUEUED_MAX, max: SUBMISSIONS_QUEUED_MAX }
            }
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        answered.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// The number of the group that a caller wants to write in; everybody's without a name.
    ///
    /// # Errors
    /// There is none of this name, or this member is not in it.
    pub fn group_for(&self, word: Option<&str>) -> Result<u32, GroupError> {
        let roster = self.inner.roster();
        let member = MemberId::parse(&self.inner.identity.member);
        let not_in = || GroupError::NotIn(word.unwrap_or_default().to_owned());
        group_for(&roster, &member.map_err(|_| not_in())?, word, None)
    }

    /// The requests to cosign that callers make from now on; for the loop, once.
    #[must_use]
    pub fn cosign_asks(&self) -> mpsc::Receiver<CosignAsk> {
        let (asks, received) = mpsc::channel(COSIGN_ASKS_QUEUED_MAX);
        let _ = self.inner.cosign_asks.set(asks);
        received
    }

    /// Asks this node, as a witness, to cosign.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn add_checkpoint(&self, body: Vec<u8>) -> Result<CosignAnswer, ServiceError> {
        if self.inner.identity.is_replica {
            return Err(ServiceError::ReadReplica("cosigns nothing: ask the author's node"));
        }
        let (answer, answered) = oneshot::channel();
        let busy = CosignAnswer::NotYet { held: 0, retry_after_s: 1 };
        let Some(asks) = self.inner.cosign_asks.get() else { return Ok(busy) };
        match asks.try_send(CosignAsk { body, answer }) {
            Ok(()) => answered.await.map_err(|_| ServiceError::Stopping),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ServiceError::Stopping),
        }
    }

    /// The roster in force.
    pub(crate) fn roster(&self) -> Arc<Roster> {
        self.inner.roster()
    }

    /// The largest checkpoint of a log that a quorum cosigned.
    #[must_use]
    pub fn cosigned_checkpoint(&self, origin: &str) -> Option<Vec<u8>> {
        let head = self.inner.lookup.cosigned().remove(&LogId::of_origin(origin))?;
        head.quorum.then_some(head.note)
    }

    /// Evidence that authors signed two histories.
    #[must_use]
    pub fn evidence(&self) -> api::EvidenceResponse {
        let mut branches = self.inner.lookup.branches();
        let mut evidence: Vec<api::EvidenceJson> = self
            .inner
            .lookup
            .forked()
            .into_values()
            .map(|forked| api::EvidenceJson {
                origin: forked.origin,
                sizes: forked.notes.iter().map(|(size, _)| *size).collect(),
                roots: forked.notes.iter().map(|(_, root)| root.to_hex()).collect(),
                diverges_at: forked.diverges_at,
                contested_from: forked.contested_from,
                branches: branches
                    .remove(&forked.log)
                    .map(|held| status::branch_status(&held))
                    .unwrap_or_default(),
                evidence: String::from_utf8_lossy(&forked.evidence).into_owned(),
            })
            .collect();
        evidence.sort_by(|a, b| a.origin.cmp(&b.origin));
        api::EvidenceResponse { evidence }
    }

    /// One record with who said what, or an entry that this version cannot read or that breaks a rule.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn record(&self, id: RecordId) -> Result<Option<api::RecordJson>, ServiceError> {
        if let Some(record) = self.inner.lookup.record(&id) {
            return Ok(Some(self.inner.show(&record)));
        }
        self.blocking(move |inner| inner.unread_entry(&id)).await
    }

    /// What a record is a statement about, while something of it is left.
    #[must_use]
    pub fn about(&self, id: &RecordId) -> Option<Kind> {
        self.inner.lookup.about(id)
    }

    /// A page of records.
    #[must_use]
    pub fn records(&self, filter: &RecordsFilter, after: Option<Cursor>, limit: usize) -> api::RecordsPage {
        let (records, next) = self.inner.lookup.page(filter, after, limit);
        api::RecordsPage {
            records: records.iter().map(|record| self.inner.show(record)).collect(),
            next: next.map(|cursor| cursor.encode()),
        }
    }

    /// The newest checkpoint note of a log, by origin.
    #[must_use]
    pub fn checkpoint(&self, origin: &str) -> Option<Vec<u8>> {
        Some(self.head(origin)?.note?.note)
    }

    /// A hash tile, inside the size of the newest checkpoint.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn tile(&self, origin: &str, tile: TileId) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(head) = self.head(origin) else { return Ok(None) };
        self.blocking(move |inner| Ok(inner.store.tile(&head.log, tile)?)).await
    }

    /// A bundle of entries, inside the size of the newest checkpoint.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn entry_bundle(
        &self,
        origin: &str,
        index: u64,
        width: u16,
    ) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(head) = self.head(origin) else { return Ok(None) };
        self.blocking(move |inner| Ok(inner.store.entry_bundle(&head.log, index, width)?)).await
    }

    /// The members of the roster in force.
    #[must_use]
    pub fn members(&self) -> api::MembersResponse {
        let roster = self.inner.roster();
        let members = roster.members.iter().map(|member| api::MemberJson {
            member: member.id.to_string(),
            name: member.name.clone(),
            status: if member.is_active() { "active" } else { "left" }.to_owned(),
            roles: member.roles.iter().map(|role| role.name().to_owned()).collect(),
            groups: {
                let known = member.groups.iter().filter_map(|n| roster.group(*n));
                known.map(|group| group.word.clone()).collect()
            },
            logs: member.logs.iter().map(|log| roster.origin(&member.id, log.n)).collect(),
        });
        api::MembersResponse {
            consortium: roster.consortium.clone(),
            roster: roster.version,
            members: members.collect(),
        }
    }

    /// The logs of the roster in force, as held here.
    #[must_use]
    pub fn logs(&self) -> api::LogsResponse {
        let heads = self.inner.lookup.heads();
        let roster = self.inner.roster();
        let logs = roster.logs().filter(|log| *log.status != LogStatus::Spare).map(|log| {
            let head = heads.get(&log.log_id);
            api::LogJson {
                member: log.member.to_string(),
                n: log.n,
                size: head.map_or(0, |head| head.size),
                root: head.map_or_else(hashpact_protocol::digest::empty_root, |head| head.root).to_hex(),
                open: *log.status == LogStatus::Open,
                key: log.key.to_hex(),
                checkpoint: format!("/logs/{}/{}/checkpoint", log.member, log.n),
                origin: log.origin,
            }
        });
        api::LogsResponse { logs: logs.collect() }
    }

    /// What this node is, holds and waits for.
    #[must_use]
    pub fn status(&self) -> api::StatusResponse {
        self.inner.status()
    }

    /// Whether the node serves requests, and why not.
    #[must_use]
    pub fn ready(&self) -> api::ReadyResponse {
        let ready = self.inner.lookup.is_loaded();
        api::ReadyResponse { ready, reason: (!ready).then(|| "loading the logs from disk".to_owned()) }
    }

    /// Metrics in OpenMetrics text.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.inner.note_feed();
        let failures = self.inner.operations.get().map_or(0, Operations::signer_failures);
        self.inner.metrics.note_operations(&self.inner.facts(), failures);
        self.inner.metrics.encode(&self.inner.lookup, &self.inner.closed_logs())
    }

    /// Counters for the HTTP side.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The origin of a member's log, if the roster lists it.
    #[must_use]
    pub fn origin_of(&self, member: &str, n: u32) -> Option<String> {
        let roster = self.inner.roster();
        roster.logs().find(|log| log.member.as_str() == member && log.n == n).map(|log| log.origin)
    }

    fn head(&self, origin: &str) -> Option<PublishedHead> {
        self.inner.store.published(&LogId::of_origin(origin))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|_| ServiceError::Stopping)?
    }
}

impl Inner {
    fn origin(&self, log: &LogId) -> String {
        read(&self.log_names).get(log).cloned().unwrap_or_else(|| log.to_hex())
    }

    fn roster(&self) -> Arc<Roster> {
        read(&self.roster).clone()
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
