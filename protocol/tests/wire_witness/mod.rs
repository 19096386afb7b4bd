//! Messages about cosigning and forks: one of each for the vectors, and any for the laws.

use hashpact_protocol::wire::{ConsistencyAnswer, ConsistencyRequest, CosignAnswer, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;

/// A vector: its name, what it shows, the message.
type Sample<T> = (&'static str, &'static str, T);

pub(crate) fn requests() -> Vec<Sample<Request>> {
    vec![
        ("request-cosign", "A witness's body travels as bytes.", Request::Cosign(b"old 0\n\nnote".to_vec())),
        (
            "request-consistency",
            "From the empty tree.",
            Request::Consistency(ConsistencyRequest { log: [0x11; 32], old: 0, new: 251 }),
        ),
        ("request-evidence", "Evidence travels as bytes.", Request::Evidence(b"evidence".to_vec())),
    ]
}

pub(crate) fn responses() -> Vec<Sample<Response>> {
    vec![
        (
            "response-cosigned",
            "Signature lines of a witness.",
            Response::Cosign(CosignAnswer::Cosigned(b"lines".to_vec())),
        ),
        (
            "response-cosign-conflict",
            "The size that the witness cosigned last.",
            Response::Cosign(CosignAnswer::Conflict { cosigned: 250 }),
        ),
        (
            "response-cosign-not-yet",
            "Leaves are missing there.",
            Response::Cosign(CosignAnswer::NotYet { held: 251, retry_after_s: 2 }),
        ),
        ("response-cosign-malformed", "The highest discriminant.", Response::Cosign(CosignAnswer::Malformed)),
        (
            "response-consistency",
            "One hash a proof.",
            Response::Consistency(ConsistencyAnswer {
                old_root: [0x22; 32],
                consistency: vec![[0x33; 32]],
                leaf: [0x44; 32],
                inclusion: vec![[0x55; 32]],
            }),
        ),
    ]
}

pub(crate) fn any_request() -> impl Strategy<Value = Request> {
    let bytes = || vec(any::<u8>(), 1..60);
    prop_oneof![
        bytes().prop_map(Request::Cosign),
        bytes().prop_map(Request::Evidence),
        (any::<[u8; 32]>(), 0..u64::MAX, 1..u64::MAX).prop_map(|(log, old, more)| {
            Request::Consistency(ConsistencyRequest { log, old, new: old.saturating_add(more) })
        }),
    ]
}

pub(crate) fn any_response() -> impl Strategy<Value = Response> {
    let hashes = || vec(any::<[u8; 32]>(), 0..5);
    let answer = prop_oneof![
        vec(any::<u8>(), 1..60).prop_map(CosignAnswer::Cosigned),
        any::<u64>().prop_map(|cosigned| CosignAnswer::Conflict { cosigned }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(held, retry_after_s)| CosignAnswer::NotYet { held, retry_after_s }),
        Just(CosignAnswer::UnknownLog),
        Just(CosignAnswer::NotSigned),
        Just(CosignAnswer::BadProof),
        Just(CosignAnswer::Malformed),
    ];
    let consistency = (any::<[u8; 32]>(), hashes(), any::<[u8; 32]>(), hashes());
    prop_oneof![
        answer.prop_map(Response::Cosign),
        consistency.prop_map(|(old_root, consistency, leaf, inclusion)| {
            Response::Consistency(ConsistencyAnswer { old_root, consistency, leaf, inclusion })
        }),
    ]
}
