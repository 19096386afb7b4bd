//! A consortium whose twelve authors have stated much, one relay that holds all of it, and one new member.
//!
//! The authors' nodes never run: twelve more processes do not fit the machine. Their logs are made with
//! their keys by the code that a node seals and signs with, and are written into the relay's database by the
//! product's own write path, synced batches and all. From then on everything is real: relay and new member are
//! processes that verify every byte. Any peer may serve any log.

use crate::records;
use anyhow::{Context as _, Result};
use hashpact_core::effect::{SizedNote, StoredEntry, StoredPayload, WriteBatch};
use hashpact_node::keystore::KeyStore;
use hashpact_node::storage::Store;
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, leaf_hash, sha256};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::merkle::Frontier;
use hashpact_tests::{Consortium, Node};

/// Entries of one synced batch of the preparation.
const BATCH: u64 = 20_000;

/// Position of the relay, and of new members that reach it over either transport: the harness lets nodes
/// whose positions differ by an even number dial each other over TCP, others over QUIC.
const RELAY: usize = 0;
const OVER_QUIC: usize = 1;
const OVER_TCP: usize = 2;

/// How the new member reaches the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Quic,
}

/// Relay, new member and authors.
pub(crate) struct World {
    consortium: Consortium,
    newcomer: usize,
    /// Members whose logs the relay holds.
    pub(crate) authors: usize,
    /// Records of all logs.
    pub(crate) records: u64,
}

impl World {
    /// Founds a consortium and writes `records` records of `authors` logs into the relay's database.
    pub(crate) fn prepare(authors: usize, records: u64, transport: Transport) -> Result<Self> {
        let names: Vec<String> = ["relay", "quic", "tcp"]
            .map(String::from)
            .into_iter()
            .chain((1..=authors).map(|nth| format!("author-{nth}")))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let consortium = Consortium::found(&names)?;
        let newcomer = if transport == Transport::Tcp { OVER_TCP } else { OVER_QUIC };
        let records = records / authors as u64 * authors as u64;
        let world = Self { consortium, newcomer, authors, records };
        let store = Store::open(&world.consortium.nodes[RELAY].dir.join("data/database"))?;
        for (list, author) in (0..).zip(&world.consortium.nodes[OVER_TCP + 1..]) {
            write_log(&store, author, list, records / authors as u64)
                .with_context(|| format!("the log of {}", author.member))?;
        }
        Ok(world)
    }

    /// The process that holds all logs.
    pub(crate) fn relay(&mut self) -> &mut Node {
        &mut self.consortium.nodes[RELAY]
    }

    /// The process that knows nothing yet.
    pub(crate) fn newcomer(&mut self) -> &mut Node {
        &mut self.consortium.nodes[self.newcomer]
    }
}

fn write_log(store: &Store, author: &Node, list: u64, count: u64) -> Result<()> {
    let key = KeyStore::open(&author.dir.join("data/keys"))?.log;
    let origin = format!("{}/{}/1", store.identity().consortium, author.member);
    let log = LogId::of_origin(&origin);
    let mut frontier = Frontier::empty();
    for first in (0..count).step_by(BATCH as usize) {
        let end = count.min(first + BATCH);
        let mut entries = Vec::new();
        for (index, record) in (first..end).zip(records::records(list, first..end)?) {
            let header = LeafHeader {
                kind: record.kind(),
                priority: false,
                index,
                time_ms: 1_780_000_000_000 + index,
                roster_version: 1,
                log_id: log,
                subject: None,
                group: 0,
            };
            let sealed = seal(header, &record, sha256(&[b"salt", log.as_bytes(), &index.to_be_bytes()]))?;
            frontier.append(leaf_hash(&sealed.leaf_bytes));
            entries.push(StoredEntry {
                leaf: sealed.leaf_bytes.to_vec(),
                payload: StoredPayload::Present { salt: sealed.salt, padded: sealed.padded },
            });
        }
        let note = (end == count).then(|| {
            let checkpoint = Checkpoint { origin: origin.clone(), size: end, root: frontier.root() };
            SizedNote { size: end, note: sign_checkpoint(&checkpoint, &key) }
        });
        store.write(&WriteBatch {
            id: 0,
            log,
            origin: origin.clone(),
            start: first,
            entries,
            frontier: frontier.hashes().to_vec(),
            note,
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        })?;
    }
    Ok(())
}
