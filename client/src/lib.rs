//! The typed HTTP client of a Hashpact node, and what the `hashpact` command is made of.
//!
//! For a member's own programs: [`Client`] has one method per endpoint, speaks the shapes of
//! `hashpact_protocol::api`, and sends a request again only when that cannot state anything twice.
//! [`list`] reads and writes hash lists in the formats of the field, line by line; [`import`] and
//! [`journal`] state a list of millions of lines in batches, resumable after a kill. [`keyed`] makes the digests of addresses
//! that only a group with a common key can read.
//!
//! What it deliberately does not do: look at media (`hashpact-hashing`, called by the command, on
//! this machine), decide what a match means (the node's lists), or trust the node's word about
//! provenance (`hashpact_protocol::proof` verifies it offline). Nothing here has a way to send
//! media: the only things that leave are signals, labels, record ids and words of vocabularies.

mod audit;
mod bulk;
pub mod bundle;
mod changes;
mod client;
mod error;
pub mod import;
pub mod journal;
pub mod keyed;
mod licensed;
pub mod list;
mod policy;
pub mod retry;
mod tls;
mod ttps;

pub use audit::{Arrived, AuditAnswer, AuditFetch, OTHER_BEGINNING};
pub use changes::Follower;
pub use client::{ANSWER_MAX_BYTES, Client, DEFAULT_URL};
pub use error::ClientError;
pub use licensed::has_licensed;
pub use policy::ListText;
pub use tls::TlsOptions;
