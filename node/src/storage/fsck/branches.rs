//! The check of histories that are kept beside the followed ones: what each checkpoint signs is what is kept.

use super::problem::Problem;
use super::{BranchReport, FsckReport, LogKeys};
use crate::storage::branches::{HEADS, LEAVES, PAYLOADS, parse_entry_key};
use crate::storage::error::StoreError;
use crate::storage::{PayloadRef, Store, StoredHead, places};
use hashpact_core::effect::{HeldBranch, HeldFacts};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::merkle::Frontier;
use rocksdb::IteratorMode;
use std::ops::ControlFlow;

/// Checks every kept history against its checkpoint, and that nothing else is stored where they are.
pub(super) fn check(
    store: &Store,
    heads: &[StoredHead],
    facts: &HeldFacts,
    keys: &LogKeys,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    for ((log, number), held) in &facts.branches {
        let Some(head) = heads.iter().find(|head| head.log == *log) else {
            report.add(Problem::Orphan { family: HEADS, log: *log });
            continue;
        };
        let is_forked = facts.evidence.contains_key(log);
        let found = check_one(store, head, (*number, held), keys.get(log), is_forked);
        for detail in found {
            report.add(Problem::Branch { origin: head.origin.clone(), size: held.note.size, detail });
        }
        let (origin, size) = (head.origin.clone(), held.note.size);
        let (start, end) = (held.start, held.frontier.size());
        report.branches.push(BranchReport { origin, size, start, end });
    }
    for family in [LEAVES, PAYLOADS] {
        strays(store, family, facts, report)?;
    }
    Ok(())
}

/// What is wrong with one of them.
fn check_one(
    store: &Store,
    head: &StoredHead,
    (number, held): (u8, &HeldBranch),
    key: Option<&PublicKey>,
    is_forked: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if !is_forked {
        wrong.push("no evidence of a fork is kept".to_owned());
    }
    let signed = key.map(|key| SignedCheckpoint::verify(&held.note.note, &head.origin, key));
    match &signed {
        None => wrong.push("the roster lists no key for it".to_owned()),
        Some(Err(error)) => wrong.push(format!("its checkpoint: {error}")),
        Some(Ok(signed)) if signed.size() != held.note.size => {
            wrong.push(format!("its checkpoint signs size {}", signed.size()));
        }
        Some(Ok(_)) => {}
    }
    if held.start > head.size {
        wrong.push(format!("it begins at {}, and {} entries are followed", held.start, head.size));
        return wrong;
    }
    let tree = match entries(store, &head.log, number, held, &mut wrong) {
        Ok(tree) => tree,
        Err(error) => {
            wrong.push(error.to_string());
            return wrong;
        }
    };
    if tree != held.frontier {
        wrong.push(format!("its leaves lead to another tree at {} than is stored", tree.size()));
    }
    if let Some(Ok(signed)) = signed
        && held.is_whole()
        && tree.root() != signed.root()
    {
        wrong.push(format!("it signs root {}, the leaves lead to {}", signed.root(), tree.root()));
    }
    wrong
}

/// Hashes what is kept behind the shared entries, and holds payloads against their leaves.
fn entries(
    store: &Store,
    log: &LogId,
    number: u8,
    held: &HeldBranch,
    wrong: &mut Vec<String>,
) -> Result<Frontier, StoreError> {
    let mut tree = store.frontier_at(log, held.start)?;
    store.for_each_branch_entry(
        log,
        number,
        (held.start, held.frontier.size()),
        |index, leaf, payload| {
            tree.append(leaf_hash(leaf));
            if let PayloadRef::Present { salt, padded } = payload
                && places::named_place(leaf).is_some()
                && let Err(error) = check_commitment(leaf, &salt, padded)
            {
                wrong.push(format!("payload of entry {index}: {error}"));
            }
            ControlFlow::Continue(())
        },
    )?;
    Ok(tree)
}

/// Rows of no kept history, or outside what is kept of it.
fn strays(
    store: &Store,
    family: &'static str,
    facts: &HeldFacts,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut named = None;
    for row in store.db.iterator_cf(store.family(family), IteratorMode::Start) {
        let (key, _) = row?;
        let Some((log, number, index)) = parse_entry_key(&key) else {
            report.add(Problem::Key { family, len_bytes: key.len() });
            continue;
        };
        let held = facts.branches.get(&(log, number));
        let is_kept = held.is_some_and(|held| (held.start..held.frontier.size()).contains(&index));
        // Named once: all rows of a history may be superfluous.
        if !is_kept && named.replace((log, number)) != Some((log, number)) {
            report.add(Problem::Orphan { family, log });
        }
    }
    Ok(())
}
