//! What a roster says about this node: which log it writes, and which it follows.

use super::replica::no_author;
use super::{HeldLog, priority};
use crate::append::OwnIdentity;
use crate::effect::HeldPriority;
use crate::follow::{Closure, FollowedStart};
use crate::stop::StopReason;
use crate::view::Author;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::keys::{PublicKey, Signer};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{LogStatus, MemberId, Roster};
use std::collections::{BTreeMap, BTreeSet};

/// Which log this node writes, and whether the roster has opened it.
///
/// A node that has given up its log (`hashpact-node recover`) holds the key and the lock of the next one.
/// Until the roster opens that, the node follows and serves everything, its former log like
/// anybody else's, and states nothing. A read replica, which has no key, has log 0, which is never open.
pub(super) fn own_place(
    id: &MemberId,
    key: Option<&PublicKey>,
    roster: &Roster,
    locked: Option<&str>,
) -> Result<(u32, bool), StopReason> {
    let refuse = |text: String| Err(StopReason::Roster(text));
    let Some(member) = roster.member(id) else {
        return refuse(format!("member {} is not in roster version {}", id, roster.version));
    };
    if !member.is_active() {
        return refuse(format!("member {} is no longer active", id));
    }
    let Some(key) = key else { return Ok((no_author(roster, id).n, false)) };
    let former = member.logs.iter().filter(|log| log.status != LogStatus::Spare).map(|log| log.n).max();
    let next = former.and_then(|former| former.checked_add(1)).unwrap_or(1);
    let spare = member.logs.iter().find(|log| log.n == next);
    let is_next = locked == Some(roster.origin(id, next).as_str());
    let ended = member.logs.iter().find(|log| log.key == *key && matches!(log.status, LogStatus::Closed { .. }));
    match member.open_log() {
        Some(log) if log.key == *key => Ok((log.n, true)),
        Some(log) if ended.is_some() => refuse(format!(
            "roster version {} closed {}, which this node wrote, and another node of {id} writes {} now. This node must never \
                 sign again. To go on as a read replica, empty its data folder and run `hashpact-node init --replica`; the other \
                 nodes have its records",
            roster.version,
            roster.origin(id, ended.map_or(0, |log| log.n)),
            roster.origin(id, log.n)
        )),
        _ if is_next && spare.is_none_or(|spare| spare.key == *key) => Ok((next, false)),
        Some(log) => refuse(format!(
            "the roster lists key {} for log {} of {}, but this node's log key is {}. If that key is lost, \
                 give this log up with `hashpact-node recover`",
            log.key, log.n, id, key
        )),
        None => refuse(format!(
            "member {id} has no open log. Prepare the next one with `hashpact-node recover`, and have governance open it"
        )),
    }
}

/// The own log, with its key; without one, that of a read replica.
///
/// # Errors
/// The roster does not list what this node has.
pub(super) fn own_identity(
    id: &MemberId,
    key: Option<Signer>,
    roster: &Roster,
    locked: Option<&str>,
) -> Result<(OwnIdentity, bool), StopReason> {
    let public = key.as_ref().map(Signer::public);
    let (n, is_open) = own_place(id, public.as_ref(), roster, locked)?;
    let origin = roster.origin(id, n);
    let identity = OwnIdentity {
        author: Author::new(id.clone(), n, LogId::of_origin(&origin)),
        origin,
        key,
        roster_version: roster.version,
        others: others(roster, id),
    };
    Ok((identity, is_open))
}

/// The other active members, with their groups.
pub(super) fn others(roster: &Roster, id: &MemberId) -> BTreeMap<MemberId, BTreeSet<u32>> {
    let others = roster.members.iter().filter(|other| other.is_active() && other.id != *id);
    others.map(|other| (other.id.clone(), other.groups.clone())).collect()
}

/// The logs that a roster has this node follow, with what is held of them.
pub(super) fn followed(
    roster: &Roster,
    own: LogId,
    held: &mut BTreeMap<LogId, HeldLog>,
    priority: &mut BTreeMap<LogId, HeldPriority>,
) -> Vec<FollowedStart> {
    roster
        .logs()
        .filter(|log| log.log_id != own && log.status != &LogStatus::Spare)
        .map(|log| {
            let held = held.remove(&log.log_id).unwrap_or(HeldLog {
                frontier: Frontier::empty(),
                note: None,
                payloads_missing: 0,
            });
            FollowedStart {
                author: Author::new(log.member.clone(), log.n, log.log_id),
                origin: log.origin,
                key: *log.key,
                closed: match log.status {
                    LogStatus::Closed { size, root } => Some(Closure { size: *size, root: *root }),
                    _ => None,
                },
                frontier: held.frontier,
                note: held.note,
                payloads_missing: held.payloads_missing,
                ahead: priority.remove(&log.log_id).unwrap_or_default().ahead,
                ahead_max: priority::ahead_max(roster, log.member),
            }
        })
        .collect()
}
