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
    let ended =
        member.logs.iter().find(|log| log.key == *key && matches!(log.status, LogStatus::Closed { .. }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::empty_root;
    use hashpact_protocol::keys::SecretKey;
    use hashpact_protocol::roster::{
        LogEntry, Member, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, Terms,
    };

    const ORIGIN: &str = "test-0000000000000000/acme";

    fn key(number: u8) -> PublicKey {
        SecretKey::from_seed([number; 32]).public()
    }

    fn acme() -> MemberId {
        MemberId::parse("acme").expect("valid")
    }

    /// A roster that lists these logs of acme, the first under key 1, the next under key 2 and so on.
    fn roster(logs: &[LogStatus]) -> Roster {
        let entry = |(n, status): (u32, &LogStatus)| LogEntry { n, key: key(n as u8), status: *status };
        Roster {
            consortium: "test-0000000000000000".to_owned(),
            version: 7,
            created_s: 1,
            expires_s: 2,
            previous: None,
            rejected: Vec::new(),
            threshold: 1,
            governance: Vec::new(),
            taxonomies: Vec::new(),
            hash_sets: Vec::new(),
            retention_s: 1,
            hold_s: 1,
            features: Vec::new(),
            groups: Vec::new(),
            members: vec![Member {
                id: acme(),
                name: "acme".to_owned(),
                status: MemberStatus::Active,
                roles: BTreeSet::from([Role::Contributor]),
                groups: BTreeSet::new(),
                card_key: key(90),
                cosigner_key: None,
                history_start_s: 0,
                quota_entries_per_day: 1,
                priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
                agreement: None,
                records_lapse: false,
                logs: (1..).zip(logs).map(entry).collect(),
            }],
            witnesses: Vec::new(),
            terms: Terms::default(),
        }
    }

    fn place(key: Option<&PublicKey>, logs: &[LogStatus], locked: &str) -> Result<(u32, bool), String> {
        own_place(&acme(), key, &roster(logs), Some(locked)).map_err(|reason| reason.to_string())
    }

    #[test]
    fn a_replica_has_no_log_whatever_the_roster_opens() {
        let closed = LogStatus::Closed { size: 0, root: empty_root() };
        for logs in [&[LogStatus::Open][..], &[closed, LogStatus::Open], &[closed, LogStatus::Spare]] {
            assert_eq!(place(None, logs, &format!("{ORIGIN}/0")), Ok((0, false)));
        }
        let other =
            own_place(&MemberId::parse("birch").expect("valid"), None, &roster(&[LogStatus::Open]), None);
        assert!(other.is_err(), "a member that is not listed has no replica either");
    }

    #[test]
    fn a_promoted_replica_waits_and_then_writes_the_next_log() {
        let next = format!("{ORIGIN}/2");
        assert_eq!(place(Some(&key(2)), &[LogStatus::Open], &next), Ok((2, false)));
        let spare = [LogStatus::Open, LogStatus::Spare];
        assert_eq!(place(Some(&key(2)), &spare, &next), Ok((2, false)));
        assert!(place(Some(&key(3)), &spare, &next).is_err(), "not the key of the spare log");
        let closed = LogStatus::Closed { size: 5, root: empty_root() };
        assert_eq!(place(Some(&key(2)), &[closed, LogStatus::Open], &next), Ok((2, true)));
    }

    #[test]
    fn a_former_author_is_told_who_took_its_place() {
        let closed = LogStatus::Closed { size: 5, root: empty_root() };
        let error = place(Some(&key(1)), &[closed, LogStatus::Open], &format!("{ORIGIN}/1"));
        let error = error.expect_err("its log ended");
        for part in
            ["version 7", "closed test-0000000000000000/acme/1", "another node of acme writes", "/acme/2"]
        {
            assert!(error.contains(part), "{error}");
        }
        // One whose key was never listed is another matter.
        let error =
            place(Some(&key(9)), &[LogStatus::Open], &format!("{ORIGIN}/1")).expect_err("another key");
        assert!(error.contains("recover") && !error.contains("another node"), "{error}");
    }
}
