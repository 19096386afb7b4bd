//! Peer messages: the requests and responses of `/hashpact/sync/1` (SPEC §10).
//!
//! One request, one response, each a single bincode 2 value in the standard configuration. Bincode
//! is the envelope only: whatever is signed or hashed (notes, roster bodies, leaves, payloads)
//! travels inside as opaque bytes and is judged by its own module over exactly those bytes.
//!
//! Invariants of everything that [`decode_request`] and [`decode_response`] return:
//!
//! - the message was at most [`crate::limits::WIRE_REQUEST_MAX_BYTES`] or
//!   [`crate::limits::WIRE_RESPONSE_MAX_BYTES`] long, checked before anything was decoded;
//! - no length claimed inside it led to an allocation beyond a fixed multiple of that size;
//! - every count and size is within `limits` and [`bounds`];
//! - there were no trailing bytes and no second encoding: encoding it again gives the same bytes.
//!
//! No type is recursive, so decoding needs constant stack. A message with an unknown variant is an
//! error, never skipped: a new message kind needs a new protocol name.
//!
//! What it deliberately does not do: verify signatures or proofs (`note`, `roster`, `merkle`),
//! decide what to answer (`hashpact-core`), or read from a stream (`hashpact-node`, which must
//! refuse a longer frame before it buffers it).
pub mod bounds;
mod codec;
mod message;

pub use codec::{DecodeFault, WireError, decode_request, decode_response, encode_request, encode_response};
pub use message::{
    Announce, BranchRequest, ConsistencyAnswer, ConsistencyRequest, CosignAnswer, EntriesAnswer,
    EntriesRequest, HeadNote, Heads, Hello, PayloadsRequest, ProvenEntry, RangeChunk, RangeRequest, Refusal,
    Request, Response, Stored, WireEntry, WirePayload,
};

/// The libp2p protocol name; its last part is the version of every message in this module.
pub const PROTOCOL_NAME: &str = "/hashpact/sync/1";
