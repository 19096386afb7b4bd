//! Messages about the histories of a forked log: samples and broken ones for the vectors.

use crate::wire_samples::{Raw, Refused, range, raw};
use hashpact_protocol::wire::{BranchRequest, Refusal, Request, Response};

pub(crate) fn branch_request() -> BranchRequest {
    BranchRequest { range: range(), root: [0x22; 32] }
}

pub(crate) fn requests() -> Vec<(&'static str, &'static str, Request)> {
    vec![("request-branch", "A range of the tree with one root.", Request::Branch(branch_request()))]
}

pub(crate) fn responses() -> Vec<(&'static str, &'static str, Response)> {
    let refused = Response::Refused(Refusal::OtherHistory);
    vec![("response-refused-history", "No tree of that root is held.", refused)]
}

/// A request for a part of one history with these numbers behind its log id.
fn raw_branch(numbers: &[u8]) -> Raw {
    raw(10).repeat(&[0x11], 32).bytes(numbers)
}

pub(crate) fn refused_requests() -> Vec<Refused> {
    let root = |numbers: &[u8]| raw_branch(numbers).repeat(&[0x22], 32);
    vec![
        ("branch-empty", "EmptyRange", "Start is size.", root(&[9, 9, 1, 1])),
        ("branch-backwards", "EmptyRange", "Start is above size.", root(&[9, 8, 1, 1])),
        ("branch-of-nothing", "EmptyRange", "The tree is empty.", root(&[0, 0, 1, 1])),
        ("branch-no-entries", "None", "No entry is wanted.", root(&[0, 9, 0, 1])),
        ("branch-no-bytes", "None", "No byte is wanted.", root(&[0, 9, 1, 0])),
        ("branch-4097-entries", "TooMany", "4096 are the most.", root(&[0, 9, 251, 0x01, 0x10, 1])),
        (
            "branch-too-many-bytes",
            "TooMany",
            "1,048,576 are the most.",
            root(&[0, 9, 1, 252, 0x01, 0x00, 0x10, 0x00]),
        ),
        ("branch-no-root", "Truncated", "A range request of another code.", raw_branch(&[0, 9, 1, 1])),
        (
            "branch-root-cut",
            "Truncated",
            "31 bytes of a root.",
            raw_branch(&[0, 9, 1, 1]).repeat(&[0x22], 31),
        ),
        ("branch-trailing", "Trailing", "A byte follows.", root(&[0, 9, 1, 1]).byte(0)),
    ]
}
