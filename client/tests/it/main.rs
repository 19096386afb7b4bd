//! The client from outside: the HTTP client and the `hashpact` command against a scripted responder,
//! and imports that are cut off between any two steps. Real nodes are the business of the end-to-end
//! tests.

mod command;
mod fake_node;
mod http;
mod proofs;
mod resume;
mod snapshot;
