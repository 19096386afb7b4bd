//! The server process: the node's own API over a read model filled with synthetic signals.
//!
//! Only the filling is short: signals go straight into the view's changes instead of through a log.
//! The signals belong to a few thousand records whose rows stand, because ten million rows would
//! measure the memory of the machine; what answers a request is the node's code, unchanged.

use super::data::{Data, SIGNALS_PER_RECORD, record_id};
use anyhow::{Context as _, Result};
use hashpact_core::effect::{IndexChange, ViewChange};
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_core::view::{Author, KnownRecord, Standing, Stated};
use hashpact_node::config::Config;
use hashpact_node::driver::now_ms;
use hashpact_node::http::Server;
use hashpact_node::lookup::Lookup;
use hashpact_node::metrics::Metrics;
use hashpact_node::service::{Identity, SUBMISSIONS_QUEUED_MAX, Service};
use hashpact_node::storage::Store;
use hashpact_node::tokens::{LiveTokens, NewToken, Scope, Tokens};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Content, Signal, SignalType};
use hashpact_protocol::roster::{MemberId, Roster, Terms};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Name of the consortium that the server pretends to belong to.
const CONSORTIUM: &str = "bench-0011223344556677";
/// Records that change in one call: the index copies what readers share once a call.
const CHANGES_AT_ONCE: usize = 16_384;

/// Fills a server and serves until standard input ends. Prints port and token when it is ready.
pub(crate) async fn run(data: Data) -> Result<()> {
    let dir = tempfile::tempdir().context("temporary folder")?;
    let lookup = Arc::new(Lookup::new(1));
    let started = Instant::now();
    fill(&lookup, data)?;
    eprintln!("{} signals of {} records in {:.1?}", data.count, data.records, started.elapsed());
    lookup.set_health(Health {
        completeness: Completeness::Complete,
        append_blocked: None,
        from_backup: false,
        peers: Vec::new(),
        roster: RosterHealth::default(),
        replica: None,
    });
    lookup.set_loaded();

    let store = Arc::new(Store::create(&dir.path().join("database"), CONSORTIUM, "bench")?);
    let (submit, _submissions) = mpsc::channel(SUBMISSIONS_QUEUED_MAX);
    let identity = Identity {
        member: "bench".to_owned(),
        is_replica: false,
        roster: Arc::new(roster()),
        started: Instant::now(),
    };
    let service = Service::new(identity, submit, lookup, store, Arc::new(Metrics::default()));
    let path = dir.path().join("tokens");
    let new = NewToken::new("bench", BTreeSet::from([Scope::Lookup]));
    let (_, token) = Tokens::create(&path, &new, now_ms() / 1_000, |_| Ok(()))?;
    let text = "member = \"bench\"\ndata_dir = \".\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let config = Config::parse(text, dir.path())?;
    let server = Server::bind(&config, service, Arc::new(LiveTokens::open(&path)?)).await?;
    println!("{} {token}", server.address().port());
    std::io::stdout().flush()?;

    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(server.serve(stopped));
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    stop.send(true)?;
    Ok(serving.await?)
}

fn fill(lookup: &Lookup, data: Data) -> Result<()> {
    let log = LogId::of_origin(&format!("{CONSORTIUM}/bench/1"));
    let author = Author::new(MemberId::parse("bench")?, 1, log);
    let mut changes = Vec::with_capacity(CHANGES_AT_ONCE);
    for first in (0..data.count).step_by(SIGNALS_PER_RECORD as usize) {
        let signals = (first..data.count.min(first + SIGNALS_PER_RECORD))
            .map(|nth| Signal::new(SignalType::Pdq, &data.signal(nth), Some(100)))
            .collect::<Result<Vec<_>, _>>()?;
        let number = data.record_of(first);
        let record = KnownRecord {
            id: record_id(number),
            author: author.clone(),
            index: number,
            standing: Standing::UNDISPUTED,
        };
        let stated =
            Stated { kind: Kind::Content, time_ms: 1_800_000_000_000, content: Content::new(signals)? };
        changes.push(ViewChange { record, stated: Some(Box::new(stated)), index: IndexChange::Add });
        if changes.len() == CHANGES_AT_ONCE {
            lookup.apply(&changes);
            changes.clear();
        }
    }
    lookup.apply(&changes);
    Ok(())
}

/// A roster of nobody: look-ups ask it for nothing but its version.
fn roster() -> Roster {
    Roster {
        consortium: CONSORTIUM.to_owned(),
        version: 1,
        created_s: 0,
        expires_s: u64::from(u32::MAX),
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: Vec::new(),
        taxonomies: Vec::new(),
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: Vec::new(),
        witnesses: Vec::new(),
        terms: Terms::default(),
    }
}
