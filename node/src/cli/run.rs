//! `hashpact-node run`: open what `init` created, replay, connect, serve.
//!
//! It never creates identity or log. The HTTP side starts before the replay, so that look-ups during
//! it are answered with `complete: false` and the reason, not with a refused connection.

use crate::config::Config;
use crate::driver::{Driver, Parts, now_ms};
use crate::keystore::KeyStore;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::network::{Network, NetworkConfig, NetworkLimits};
use crate::service::{Identity, SUBMISSIONS_QUEUED_MAX, Service};
use crate::storage::{LockFile, Store};
use crate::tokens::Tokens;
use anyhow::Context as _;
use hashpact_core::effect::{LockState, StoredEntry};
use hashpact_core::engine::HeldLog;
use hashpact_core::recover::OwnDisk;
use hashpact_core::view::{Author, View};
use hashpact_core::{Engine, EngineConfig, Opening, StopReason};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use hashpact_protocol::limits::NODE_CARD_LIFETIME_MAX_S;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{
    CardNode, LogStatus, NodeCard, Roster, RosterChain, VerifiedCard, sign_card,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

/// Entries replayed at a time.
const REPLAY_ENTRIES: u64 = 4_096;
/// A card with less time left than this is renewed at the start, in seconds.
const CARD_RENEW_S: u64 = 10 * 86_400;

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
    shutdown: watch::Receiver<bool>,
    listening: Option<oneshot::Sender<SocketAddr>>,
) -> Result<(), StartError> {
    info!(member.id = %config.member, data_dir = %config.data_dir.display(), http = %config.http_listen,
        listen = ?config.network.listen, peers = ?config.network.peers, "starting");
    let keys = KeyStore::open(&config.keys_dir()).context("keys (was `init` run?)")?;
    let tokens = Tokens::load(&config.tokens_file()).map_err(anyhow::Error::from)?;
    let (chain, _) = super::init::load_roster(&config.roster_file(), None)?;
    let store = Arc::new(Store::open(&config.database_dir()).context("database (was `init --roster` run?)")?);
    let lock = open_lock(&config, chain.current())?;
    let lock_state = lock.state().clone();
    if let Some(repair) = lock.repair() {
        tracing::warn!(?repair, "one slot of the lock file was damaged and has been written again");
    }
    let card = node_card(&config, &keys, chain.current())?;

    let lookup = Arc::new(Lookup::new(chain.version()));
    let metrics = Arc::new(Metrics::default());
    let (submit, submissions) = mpsc::channel(SUBMISSIONS_QUEUED_MAX);
    let identity = Identity {
        member: config.member.to_string(),
        roster: chain.current_shared().clone(),
        started: Instant::now(),
    };
    let service =
        Service::new(identity, submit, Arc::clone(&lookup), Arc::clone(&store), Arc::clone(&metrics));
    if tokens.is_empty() {
        tracing::warn!("no bearer tokens exist; create one with `hashpact-node token create`");
    }
    let server = crate::http::Server::bind(&config, service, tokens).await.map_err(anyhow::Error::from)?;
    if let Some(listening) = listening {
        let _ = listening.send(server.address());
    }
    info!(address = %server.address(), "the API is up");
    let (http_stop, http_stopped) = watch::channel(false);
    let http = tokio::spawn(server.serve(http_stopped));

    let engine = {
        let (store, lookup) = (Arc::clone(&store), Arc::clone(&lookup));
        let seeds =
            EngineConfig { member: config.member.clone(), log_key: keys.log, peer: keys.peer.public(), card };
        tokio::task::spawn_blocking(move || open_engine(&store, &lookup, chain, lock_state, seeds))
            .await
            .context("replay")?
    };
    let (engine, effects) = match engine {
        Ok(opened) => opened,
        Err(error) => {
            let _ = http_stop.send(true);
            return Err(error);
        }
    };
    lookup.set_loaded();
    let limits =
        NetworkLimits { established_inbound_max: config.network.connections_max, ..NetworkLimits::default() };
    let network = NetworkConfig {
        peer_key: &keys.peer,
        listen: config.network.listen.clone(),
        bootstrap: config.network.peers.clone(),
        limits,
    };
    let (network, network_events) = Network::start(network).map_err(anyhow::Error::from)?;
    let parts = Parts { engine, store, lock, lookup, metrics, network, network_events, submissions };
    let driver = Driver::new(parts).context("storage thread")?;
    let outcome = driver.run(effects, shutdown).await;
    let _ = http_stop.send(true);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), http).await;
    info!("stopped");
    Ok(outcome?)
}

fn open_lock(config: &Config, roster: &Roster) -> Result<LockFile, StartError> {
    let path = config.lock_file();
    if !path.exists() {
        let origin = roster
            .member(&config.member)
            .and_then(|member| member.logs.iter().find(|log| log.status == LogStatus::Open))
            .map_or_else(|| config.member.to_string(), |log| roster.origin(&config.member, log.n));
        return Err(StopReason::LockMissing { origin }.into());
    }
    Ok(LockFile::open(&path).with_context(|| format!("lock file {}", path.display()))?)
}

fn open_engine(
    store: &Store,
    lookup: &Lookup,
    roster: RosterChain,
    lock: LockState,
    config: EngineConfig,
) -> Result<(Engine, Vec<hashpact_core::Effect>), StartError> {
    let now = now_ms();
    let own_log = LogId::of_origin(&lock.origin);
    let mut own_frontier = Frontier::empty();
    let mut held = BTreeMap::new();
    for head in store.heads().context("heads")? {
        let frontier = Frontier::from_parts(head.size, head.frontier).context("stored tree")?;
        if head.log == own_log {
            own_frontier = frontier;
        } else {
            held.insert(head.log, HeldLog { frontier, note: head.note });
        }
    }
    let mut view = View::new(now);
    let mut replayed: u64 = 0;
    for log in roster.current().logs() {
        let size = if log.log_id == own_log {
            lock.size.min(own_frontier.size())
        } else {
            held.get(&log.log_id).map_or(0, |held| held.frontier.size())
        };
        let author = Author { member: log.member.clone(), n: log.n, log: log.log_id };
        replay(store, lookup, &mut view, &author, size)?;
        replayed += size;
    }
    info!(entries = replayed, duration_ms = now_ms().saturating_sub(now), "replayed the logs");
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
    let last_time_ms = last_time_ms(store, &own_log, own_frontier.size())?;
    let own = OwnDisk { frontier: own_frontier, at_lock, lock: Some(lock), beyond_lock };
    Ok(Engine::open(Opening { config, roster, own, last_time_ms, held, view, now_ms: now })?)
}

fn replay(store: &Store, lookup: &Lookup, view: &mut View, author: &Author, size: u64) -> anyhow::Result<()> {
    let mut start = 0;
    while start < size {
        let end = size.min(start + REPLAY_ENTRIES);
        let entries: Vec<StoredEntry> = store.entries(&author.log, start, end).context("replay")?;
        anyhow::ensure!(
            !entries.is_empty(),
            "entry {start} of a log with {size} entries is missing; run fsck"
        );
        for (index, entry) in (start..).zip(&entries) {
            lookup.apply(&view.fold(author, index, &entry.leaf, &entry.payload));
        }
        start += entries.len() as u64;
    }
    lookup.set_counts(author.log, view.counts(&author.log));
    Ok(())
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

/// The signed card that tells others where this node is; renewed when addresses changed or time runs
/// out.
fn node_card(config: &Config, keys: &KeyStore, roster: &Roster) -> anyhow::Result<Vec<u8>> {
    let path = config.card_file();
    let now_s = now_ms() / 1_000;
    let nodes = vec![CardNode { peer_key: keys.peer.public(), addresses: config.advertised().to_vec() }];
    let mut sequence = now_s;
    if let Ok(bytes) = std::fs::read(&path)
        && let Ok(card) = VerifiedCard::verify(&bytes, roster, now_s)
    {
        let card = card.card();
        if card.nodes == nodes && card.expires_s > now_s + CARD_RENEW_S {
            return Ok(bytes);
        }
        sequence = sequence.max(card.sequence + 1);
    }
    let card = NodeCard {
        consortium: roster.consortium.clone(),
        member: config.member.clone(),
        sequence,
        expires_s: now_s + NODE_CARD_LIFETIME_MAX_S - 3_600,
        nodes,
    };
    let bytes = sign_card(&card, &keys.card);
    std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(bytes)
}
