//! `hashpact-node run`: open what `init` created, replay, connect, serve.
//!
//! It never creates identity or log. The HTTP side starts before the replay, so that look-ups during
//! it are answered with `complete: false` and the reason, not with a refused connection; with an index
//! snapshot they are answered with matches from the first second on.

mod snapshots;

use crate::cards::CardFile;
use crate::changes::Feed;
use crate::config::Config;
use crate::driver::{Driver, Parts, now_ms};
use crate::export::Holder;
use crate::host::Host;
use crate::http::HttpThreads;
use crate::keystore::{KeyStore, NodeKeys};
use crate::lists::{DecisionFiles, Lists};
use crate::lookup::replay::{Replayed, replay};
use crate::lookup::snapshot::SnapshotPlace;
use crate::lookup::{KeptExtent, LogExtent, Lookup};
use crate::metrics::Metrics;
use crate::network::{Network, NetworkConfig, NetworkEvent, NetworkHandle, NetworkLimits};
use crate::restored::Restored;
use crate::rosters::RosterFile;
use crate::scrub::{Scrub, ScrubAsk, ScrubPace, ScrubParts, Shown};
use crate::service::{Identity, Operations, SUBMISSIONS_QUEUED_MAX, Service, Submission};
use crate::storage::{LockFile, Store};
use crate::tokens::LiveTokens;
use crate::vault::Vault;
use anyhow::Context as _;
use hashpact_core::effect::LockState;
use hashpact_core::engine::{HeldLog, replica_origin};
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_core::models::Thresholds;
use hashpact_core::recover::OwnDisk;
use hashpact_core::view::{Author, Rules};
use hashpact_core::{Engine, EngineConfig, NodeRole, Opening, StopReason};
use hashpact_protocol::digest::{LogId, empty_root};
use hashpact_protocol::keys::{KeyRole, PublicKey, SecretKey, Signer};
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{LogStatus, Roster, RosterChain, SignedRoster};
use snapshots::{FoundSnapshots, Snapshots};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::info;

/// How often floods that were found are journalled and kept. They hold their entries back at once.
const FLOODS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(super) struct RunArguments {
    /// Append although this is another machine than last time, without waiting for more than two thirds
    /// of the other members. Say why; it goes to the journal. Make sure that no other copy runs.
    #[arg(long, value_name = "REASON")]
    override_doubt: Option<String>,
}

/// How this run differs from others.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Why an operator overrides what makes the node doubt its own data folder.
    pub override_doubt: Option<String>,
}

impl From<RunArguments> for RunOptions {
    fn from(arguments: RunArguments) -> Self {
        Self { override_doubt: arguments.override_doubt }
    }
}

/// Why the node ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine stopped: the operator must look.
    #[error("{0}")]
    Stopped(#[from] StopReason),
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs a node until `shutdown` turns true. `listening` is told the HTTP address once it is bound.
///
/// # Errors
/// Why the node could not start, or why it stopped itself.
pub async fn run(
    config: Config,
    options: RunOptions,
    shutdown: watch::Receiver<bool>,
    listening: Option<oneshot::Sender<SocketAddr>>,
) -> Result<(), StartError> {
    info!(member.id = %config.member, data_dir = %config.data_dir.display(), http = %config.http_listen,
        listen = ?config.network.listen, peers = ?config.network.peers, "starting");
    let keys = open_keys(&config)?;
    let tokens = Arc::new(LiveTokens::open(&config.tokens_file()).map_err(anyhow::Error::from)?);
    tokio::spawn(LiveTokens::watch(Arc::downgrade(&tokens)));
    let hooks = crate::webhooks::open(&config.webhooks, &config.data_dir)?;
    let chain = RosterFile::of(&config).load().context("the roster (was `init --roster` run?)")?;
    let store = Arc::new(super::database::open(&config).context("database (was `init --roster` run?)")?);
    let restored = Restored::find(&config.restored_file()).context("the mark of a restored data folder")?;
    let lock = open_lock(&config, chain.current(), restored.as_ref())?;
    let lock_state = lock.state().clone();
    want_again(&config, &store, chain.current())?;
    let cards = CardFile::of(&config, &chain.current().consortium, keys.peer.public(), keys.card.clone());
    let card = cards.current(chain.current())?;
    let host = Host::find(config.host_file());

    let (lookup, metrics) =
        (new_lookup(&chain, config.models, restored.is_some()), Arc::new(Metrics::default()));
    let (service, submissions) = new_service(&config, &chain, &lookup, &store, &metrics);
    let lists = let_decide(&config, &chain, &lookup, &service, &tokens)?;
    let log_keys = chain.current().logs().map(|log| (log.log_id, *log.key)).collect();
    service.set_holder(holder(&config, &chain, keys.card));
    let answering = answer(&config, &service, tokens, listening).await?;

    let own_log = LogId::of_origin(&lock_state.origin);
    let place = snapshots::place(&config, own_log, chain.version());
    let seeds = EngineConfig {
        member: config.member.clone(),
        role: keys.role,
        peer: keys.peer.public(),
        card,
        from_backup: restored.is_some(),
        is_doubtful: !config.is_replica() && doubts(&config, host.as_ref(), restored.as_ref(), &options)?,
        receipt_interval_ms: config.receipts.interval_s.saturating_mul(1_000),
    };
    let read_side = (Arc::clone(&store), Arc::clone(&lookup), place.clone());
    let opened = replayed(read_side, (chain, lock_state), seeds, config.changes.keep).await;
    let (Opened { engine, effects, found }, feed) = opened.inspect_err(|_| {
        let _ = answering.stop.send(true);
    })?;
    service.set_feed(Arc::clone(&feed));
    crate::webhooks::start(hooks, &service, &answering.stop.subscribe());
    // Database and lock file agree: what a power cut left unfinished is of no use to anybody now.
    store.forget_torn_tails().context("what was cut off the write-ahead log")?;
    let card_files = watch_cards(&cards, &service);
    let (roster_files, adopted) = (watch_rosters(&config), adopter(&service, &lookup, &place));
    tokio::spawn(keep_floods(lists, Arc::clone(&store)));
    let (snapshots, contradicted) = Snapshots::keep(&config, place, (&lookup, &metrics), &found)?;
    let (network, network_events) = start_network(&config, &keys.peer)?;
    let (found, scrub_asks) = mpsc::channel(1);
    let scrub = start_scrub(&config, &service, (&store, &metrics), (log_keys, own_log), found)?;
    let driver = Driver::new(Parts {
        engine,
        store,
        lock,
        lookup,
        metrics,
        network,
        network_events,
        submissions,
        cosign_asks: service.cosign_asks(),
        backup_asks: service.backup_asks(),
        scrub_asks,
        scrub_told: scrub.as_ref().map(Scrub::told),
        restored,
        host,
        rosters: RosterFile::of(&config),
        roster_files,
        cards,
        card_files,
        adopted,
        vault: Vault::of(&config.data_dir, &config.keys),
        snapshots: snapshots.forgetter(),
        contradicted,
    });
    let outcome = driver.context("storage thread")?.run(effects, shutdown).await;
    finish(scrub, feed, snapshots, outcome.clone()).await;
    answering.end().await;
    info!("stopped");
    Ok(outcome?)
}

/// The keys that this node needs in its role.
struct RoleKeys {
    role: NodeRole,
    card: Option<Signer>,
    peer: SecretKey,
}

fn holder(config: &Config, chain: &RosterChain, card: Option<Signer>) -> Holder {
    Holder { chain: chain.clone(), member: config.member.clone(), card, journal: config.journal_file() }
}

fn open_keys(config: &Config) -> anyhow::Result<RoleKeys> {
    if !config.is_replica() {
        let keys = config.keys.open().context("keys (was `init` run? of a replica, `promote`?)")?;
        let NodeKeys { log, card, cosigner, peer } = keys;
        let role = NodeRole::Author { log_key: log, cosigner_key: cosigner };
        return Ok(RoleKeys { role, card: Some(card), peer });
    }
    // A log key beside a role that never signs is a mix-up that somebody has to look at.
    anyhow::ensure!(
        KeyStore::roles_in(&config.keys_dir()) == [KeyRole::Peer] || !config.keys_dir().exists(),
        "role = \"replica\", but {} holds the keys of an author: one member has one author, and a replica has a peer key alone \
         (`hashpact-node init --replica` in an empty data folder)",
        config.keys_dir().display()
    );
    let peer = config.keys.open_peer().context("peer key (was `init --replica` run?)")?;
    Ok(RoleKeys { role: NodeRole::Replica, card: None, peer })
}

/// Looks from now on whether the member's card was renewed or brought.
fn watch_cards(cards: &CardFile, service: &Service) -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel(1);
    let service = service.clone();
    tokio::spawn(cards.clone().watch(move || service.roster(), tell));
    told
}

/// Looks for payloads again that the roster did not let this member have before.
fn want_again(config: &Config, store: &Store, roster: &Roster) -> anyhow::Result<()> {
    let wanted = crate::entitled::want_again(store, &config.entitled_file(), roster, &config.member)?;
    if wanted > 0 {
        info!(payloads = wanted, "the roster lets this member have payloads that were withheld before");
    }
    Ok(())
}

/// Replays the logs on a thread that may block, and begins the feed of changes before the loop changes anything.
async fn replayed(
    (store, lookup, place): (Arc<Store>, Arc<Lookup>, SnapshotPlace),
    (chain, lock): (RosterChain, LockState),
    seeds: EngineConfig,
    keep: u64,
) -> Result<(Opened, Arc<Feed>), StartError> {
    let work = move || {
        let opened = open_engine(&store, &lookup, &place, chain, lock, seeds)?;
        let feed = Feed::begin(lookup, store, keep)?;
        Ok((opened, feed))
    };
    tokio::task::spawn_blocking(work).await.context("replay")?
}

/// Looks whether the journal is whole; gives what is wrong with it. A node with a broken one answers and replicates.
fn check_journal(config: &Config) -> Option<String> {
    let fault = crate::journal::check(&config.journal_file()).err()?;
    tracing::error!(%fault, "look what was done at this node; `hashpact-node journal restart` puts the journal aside");
    Some(fault.to_string())
}

/// What look-ups read; of a node that came from a backup they read nothing before the loop has begun.
fn new_lookup(chain: &RosterChain, thresholds: Thresholds, from_backup: bool) -> Arc<Lookup> {
    let lookup = Lookup::new(chain.version()).with_thresholds(thresholds);
    if from_backup {
        let (completeness, append_blocked) = (Completeness::Starting, Some("loading"));
        lookup.set_health(Health {
            completeness,
            append_blocked,
            from_backup,
            peers: Vec::new(),
            roster: RosterHealth::default(),
            replica: None,
        });
    }
    Arc::new(lookup)
}

/// What the operator decided and must know, in force from the first look-up on.
fn let_decide(
    config: &Config,
    chain: &RosterChain,
    lookup: &Arc<Lookup>,
    service: &Service,
    tokens: &Arc<LiveTokens>,
) -> anyhow::Result<Arc<Lists>> {
    service.set_operations(Operations::new(config, Arc::clone(tokens), check_journal(config)));
    let files = DecisionFiles::of(&config.data_dir, config.journal_file());
    let lists = Lists::open(files, Arc::clone(lookup), chain, config.quarantine);
    let lists = Arc::new(lists.context("lists and decisions")?);
    service.set_lists(Arc::clone(&lists));
    Ok(lists)
}

/// Keeps floods that are found from now on.
async fn keep_floods(lists: Arc<Lists>, store: Arc<Store>) {
    loop {
        tokio::time::sleep(FLOODS_INTERVAL).await;
        let (lists, store) = (Arc::clone(&lists), Arc::clone(&store));
        if tokio::task::spawn_blocking(move || lists.keep_floods(&store)).await.is_err() {
            return;
        }
    }
}

/// Looks from now on whether the operator installs a roster.
fn watch_rosters(config: &Config) -> mpsc::Receiver<Vec<SignedRoster>> {
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(crate::rosters::watch(RosterFile::of(config), tell));
    told
}

/// Who must know of a newer roster beside the engine.
fn adopter(
    service: &Service,
    lookup: &Arc<Lookup>,
    place: &SnapshotPlace,
) -> Box<dyn Fn(&RosterChain) + Send + Sync> {
    let (service, lookup, place) = (service.clone(), Arc::clone(lookup), place.clone());
    Box::new(move |chain| {
        place.set_roster_version(chain.version());
        lookup.set_roster_version(chain.version());
        service.adopt(chain);
    })
}

fn new_service(
    config: &Config,
    chain: &RosterChain,
    lookup: &Arc<Lookup>,
    store: &Arc<Store>,
    metrics: &Arc<Metrics>,
) -> (Service, mpsc::Receiver<Submission>) {
    let (submit, submissions) = mpsc::channel(SUBMISSIONS_QUEUED_MAX);
    let identity = Identity {
        member: config.member.to_string(),
        is_replica: config.is_replica(),
        roster: chain.current_shared().clone(),
        started: Instant::now(),
    };
    let (lookup, store, metrics) = (Arc::clone(lookup), Arc::clone(store), Arc::clone(metrics));
    (Service::new(identity, submit, lookup, store, metrics), submissions)
}

/// The loop has ended: what is written now is what the next start finds.
async fn finish(
    scrub: Option<Scrub>,
    feed: Arc<Feed>,
    snapshots: Snapshots,
    outcome: Result<(), StopReason>,
) {
    let work = move || {
        // They wait for nobody now but themselves: a step ends within a fraction of a second.
        drop(scrub);
        // A start under another roster finds out by itself whether records stand otherwise by it.
        feed.finish(matches!(outcome, Ok(()) | Err(StopReason::Reopen { .. })));
        snapshots.end(&outcome);
    };
    let _ = tokio::task::spawn_blocking(work).await;
}

/// The API, on threads of its own.
struct Answering {
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
    _threads: HttpThreads,
}

impl Answering {
    /// Lets requests that are under way come to their end.
    async fn end(self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.served).await;
    }
}

/// Begins to answer requests.
async fn answer(
    config: &Config,
    service: &Service,
    tokens: Arc<LiveTokens>,
    listening: Option<oneshot::Sender<SocketAddr>>,
) -> anyhow::Result<Answering> {
    let threads = HttpThreads::start().context("threads for HTTP")?;
    let bound = threads.spawn(bind(config.clone(), service.clone(), tokens, listening));
    let server = bound.await.context("binding the API")??;
    let (stop, stopped) = watch::channel(false);
    let served = threads.spawn(server.serve(stopped));
    Ok(Answering { stop, served, _threads: threads })
}

async fn bind(
    config: Config,
    service: Service,
    tokens: Arc<LiveTokens>,
    listening: Option<oneshot::Sender<SocketAddr>>,
) -> anyhow::Result<crate::http::Server> {
    if tokens.is_empty() {
        tracing::warn!("no bearer tokens exist; create one with `hashpact-node token create`");
    }
    let server = crate::http::Server::bind(&config, service, tokens).await?;
    if let Some(listening) = listening {
        let _ = listening.send(server.address());
    }
    info!(address = %server.address(), "the API is up");
    Ok(server)
}

fn start_network(
    config: &Config,
    peer_key: &SecretKey,
) -> anyhow::Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>)> {
    let limits =
        NetworkLimits { established_inbound_max: config.network.connections_max, ..NetworkLimits::default() };
    Ok(Network::start(NetworkConfig {
        peer_key,
        listen: config.network.listen.clone(),
        bootstrap: config.network.peers.clone(),
        limits,
    })?)
}

/// Starts to read again what is stored, unless that is switched off.
fn start_scrub(
    config: &Config,
    service: &Service,
    (store, metrics): (&Arc<Store>, &Arc<Metrics>),
    (keys, own): (BTreeMap<LogId, PublicKey>, LogId),
    asks: mpsc::Sender<ScrubAsk>,
) -> anyhow::Result<Option<Scrub>> {
    if config.scrub.rate_mb_s == 0 {
        tracing::warn!("scrub.rate_mb_s is 0: damage on the disk is found only when it is read");
        return Ok(None);
    }
    let pace = ScrubPace {
        bytes_per_s: u64::from(config.scrub.rate_mb_s) * 1_000_000,
        interval: Duration::from_secs(config.scrub.interval_s),
    };
    let shown = Arc::new(Shown::default());
    shown.begin(pace.bytes_per_s);
    service.set_scrub(Arc::clone(&shown));
    let parts = ScrubParts {
        store: Arc::clone(store),
        metrics: Arc::clone(metrics),
        shown,
        pace,
        state_file: config.scrub_file(),
        journal_file: config.journal_file(),
        keys,
        own,
        asks,
    };
    Ok(Some(Scrub::start(parts).context("scrub thread")?))
}

/// Whether the data folder was last used on another machine or came from a backup, and nobody vouches for it.
fn doubts(
    config: &Config,
    host: Option<&Host>,
    restored: Option<&Restored>,
    options: &RunOptions,
) -> anyhow::Result<bool> {
    let has_changed = host.is_some_and(Host::has_changed);
    let Some(reason) = &options.override_doubt else {
        if has_changed {
            tracing::warn!(
                "this is another machine than last time: nothing is appended before more than two thirds of the other \
                 members have told their heads. If no other copy of this node can be running, `--override-doubt` ends this"
            );
        }
        return Ok(has_changed || restored.is_some());
    };
    anyhow::ensure!(!reason.trim().is_empty(), "--override-doubt needs a reason");
    let details = serde_json::json!({ "reason": reason, "machine_changed": has_changed, "restored": restored.is_some() });
    crate::journal::record(
        &config.journal_file(),
        &crate::journal::Actor::of_command(),
        "override-doubt",
        &details,
    )?;
    Ok(false)
}

fn open_lock(config: &Config, roster: &Roster, restored: Option<&Restored>) -> Result<LockFile, StartError> {
    let path = config.lock_file();
    let no_log = replica_origin(roster, &config.member);
    if !path.exists() && config.is_replica() {
        // It says that nothing is signed here, which a lost or restored one says as well.
        let lock = LockState {
            generation: 0,
            origin: no_log.clone(),
            size: 0,
            root: empty_root(),
            note: Vec::new(),
        };
        drop(LockFile::create(&path, &lock).with_context(|| format!("lock file {}", path.display()))?);
    }
    if !path.exists() {
        let origin = roster
            .member(&config.member)
            .and_then(|member| member.logs.iter().find(|log| log.status == LogStatus::Open))
            .map_or_else(|| config.member.to_string(), |log| roster.origin(&config.member, log.n));
        let stop = match restored {
            Some(restored) => StopReason::Restored { origin, taken: restored.taken().to_owned() },
            None => StopReason::LockMissing { origin },
        };
        return Err(stop.into());
    }
    let lock = LockFile::open(&path).with_context(|| format!("lock file {}", path.display()))?;
    let locked = &lock.state().origin;
    if config.is_replica() != (*locked == no_log) {
        let is = if config.is_replica() { "that of an author" } else { "a read replica's" };
        let (member, file) = (&config.member, path.display());
        return Err(anyhow::anyhow!(
            "{file} is for {locked}: this data folder is {is} of {member}, and the configuration says otherwise (`role`). \
             `hashpact-node promote` makes a replica the author; an author never becomes a replica, but starts anew as one in an \
             empty data folder"
        )
        .into());
    }
    if let Some(repair) = lock.repair() {
        tracing::warn!(?repair, "one slot of the lock file was damaged and has been written again");
    }
    Ok(lock)
}

struct Opened {
    engine: Engine,
    effects: Vec<hashpact_core::Effect>,
    found: FoundSnapshots,
}

/// The logs that the roster names, as far as they are signed (the own one) or held (all others).
pub(super) fn extents(store: &Store, roster: &Roster, lock: &LockState) -> anyhow::Result<Vec<LogExtent>> {
    let own_log = LogId::of_origin(&lock.origin);
    let heads = store.heads().context("heads")?;
    let sizes: BTreeMap<LogId, u64> = heads.into_iter().map(|head| (head.log, head.size)).collect();
    let kept = store.branches().context("kept histories")?;
    let logs = roster.logs().map(|log| {
        let stored = sizes.get(&log.log_id).copied().unwrap_or(0);
        let size = match log.status {
            _ if log.log_id == own_log => stored.min(lock.size),
            // What lies beyond a closure was disowned, or nobody can vouch for it.
            LogStatus::Closed { size, .. } => stored.min(*size),
            _ => stored,
        };
        let end = match log.status {
            LogStatus::Closed { size, .. } => *size,
            _ => u64::MAX,
        };
        let priority = store.priority(&log.log_id, size, end).context("priority entries")?;
        let author = Author::new(log.member.clone(), log.n, log.log_id);
        let kept = kept.range((log.log_id, 0)..=(log.log_id, u8::MAX));
        let kept = kept.map(|((_, number), held)| KeptExtent {
            number: *number,
            start: held.start,
            end: held.frontier.size(),
        });
        Ok(LogExtent { author, size, priority, kept: kept.collect() })
    });
    logs.collect()
}

fn open_engine(
    store: &Arc<Store>,
    lookup: &Lookup,
    place: &SnapshotPlace,
    roster: RosterChain,
    lock: LockState,
    config: EngineConfig,
) -> Result<Opened, StartError> {
    let now = now_ms();
    let own_log = LogId::of_origin(&lock.origin);
    let logs = extents(store, roster.current(), &lock)?;
    let counted: BTreeMap<LogId, u64> = logs.iter().map(|extent| (extent.author.log, extent.size)).collect();
    let priority = logs.iter().map(|extent| (extent.author.log, extent.priority.clone())).collect();
    let rules = Rules::from(&roster);
    let Replayed { view, entries, origin, unused } = replay(store, lookup, &logs, place, &rules).context(
        "the logs cannot be read: run `hashpact-node fsck` to see what is damaged; damage of other members' logs is left behind \
         by `hashpact-node repair` and comes back from them",
    )?;
    info!(entries, duration_ms = now_ms().saturating_sub(now), "replayed the logs");
    let mut own_frontier = Frontier::empty();
    let mut held = BTreeMap::new();
    for head in store.heads().context("heads")? {
        let frontier = Frontier::from_parts(head.size, head.frontier).context("stored tree")?;
        if head.log == own_log {
            own_frontier = frontier;
        } else {
            let size = counted.get(&head.log).copied().unwrap_or(head.size);
            let frontier = if size < head.size {
                store.frontier_at(&head.log, size).context("tree of a closed log")?
            } else {
                frontier
            };
            let payloads_missing = store.missing_count(&head.log, size).context("missing payloads")?;
            held.insert(head.log, HeldLog { frontier, note: head.note, payloads_missing });
        }
    }
    let at_lock = if own_frontier.size() >= lock.size {
        Some(store.frontier_at(&own_log, lock.size).context("tree at the lock's size")?)
    } else {
        None
    };
    let beyond_lock = if own_frontier.size() > lock.size {
        store.entries(&own_log, lock.size, own_frontier.size()).context("entries beyond the lock")?
    } else {
        Vec::new()
    };
    let facts = store.facts().context("facts beside the logs")?;
    let last_time_ms = last_time_ms(store, &own_log, own_frontier.size())?;
    let own = OwnDisk {
        frontier: own_frontier,
        at_lock,
        lock: Some(lock),
        beyond_lock,
        generation: store.generation().context("generation")?,
    };
    let (engine, effects) = Engine::open(Opening {
        config,
        roster,
        own,
        last_time_ms,
        held,
        priority,
        facts,
        view,
        now_ms: now,
    })?;
    lookup.set_loaded();
    Ok(Opened { engine, effects, found: FoundSnapshots { origin, unused } })
}

fn last_time_ms(store: &Store, log: &LogId, size: u64) -> anyhow::Result<u64> {
    let Some(last) = size.checked_sub(1) else { return Ok(0) };
    let entry =
        store.entries(log, last, size).context("last entry")?.pop().context("the last entry is missing")?;
    Ok(match read_leaf(&entry.leaf, log, last) {
        EntryLeaf::Known(leaf) => leaf.time_ms,
        _ => 0,
    })
}
