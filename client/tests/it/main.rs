//! The client from outside: the HTTP client and the `hashpact` command against a scripted responder,
//! and imports that are cut off between any two steps. Real nodes are the business of the end-to-end
//! tests.

mod audit;
mod command;
mod digest;
mod fake_node;
mod http;
mod models;
mod packed;
mod proofs;
mod resume;
mod snapshot;
mod watch;
#[path = "../../../protocol/tests/bundle/world.rs"]
mod world;
