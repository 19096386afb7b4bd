//! The daemon of one consortium member: RocksDB, libp2p, HTTP, configuration.
//!
//! It does what `hashpact-core` decided and decides nothing that two members could disagree about.
//! The rooms: [`driver`] is the one loop that joins them; `storage`, `network` and `http` never
//! import one another; [`lookup`] answers matches without the loop; [`service`] is what HTTP may ask.
//! `ARCHITECTURE.md` beside this crate names the invariants.
//!
//! The node accepts no media on any interface: there is no request, message or file of ours with a
//! field that could hold any.

pub mod alarms;
pub mod backup;
mod cards;
pub mod changes;
pub mod cli;
pub mod config;
pub mod driver;
mod entitled;
mod eraser;
pub mod export;
pub mod host;
pub mod http;
pub mod journal;
pub mod keystore;
pub mod lists;
pub mod lookup;
pub mod metrics;
pub mod models;
pub mod network;
pub mod restored;
pub mod rosters;
pub mod scrub;
pub mod service;
pub mod storage;
pub mod telemetry;
pub mod tokens;
pub mod vault;
pub mod webhooks;
