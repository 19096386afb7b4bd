//! What a node says about itself: `/v1/status`.

use super::{Inner, receipts};
use hashpact_core::effect::{BranchState, CosignedHead, LogBranches};
use hashpact_protocol::api;
use hashpact_protocol::limits::TIME_MS_MAX;
use hashpact_protocol::record::SignalType;
use hashpact_protocol::roster::{LogRef, LogStatus, Rejected, faults_tolerated, quorum};
use std::collections::{BTreeMap, BTreeSet};

impl Inner {
    fn muted(&self) -> Vec<String> {
        let mutes = self.lists.get().map(|lists| lists.mutes().mutes);
        mutes.into_iter().flatten().map(|mute| mute.member).collect()
    }

    /// A node that hides payloads shows nothing of what payloads say.
    fn open_incidents(&self, hides_payloads: bool) -> Vec<api::IncidentJson> {
        if hides_payloads { Vec::new() } else { self.incidents(|state| state.closed.is_none()) }
    }

    fn erasures(&self) -> api::ErasureStatus {
        let (counts, roster) = (self.lookup.erasures(), self.roster());
        api::ErasureStatus {
            sealed: counts.sealed,
            next_due: counts.next_due_ms.filter(|due_ms| *due_ms <= TIME_MS_MAX).map(api::time::rfc3339),
            erased: counts.erased,
            held: counts.held,
            hold_s: roster.hold_s,
            retention_s: roster.retention_s,
        }
    }

    fn cosigned(&self, log: &LogRef<'_>, head: Option<&CosignedHead>) -> api::CosignedStatus {
        let witnesses = self.roster().witness_keys(log.member).len();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let now_s = crate::driver::now_ms() / 1_000;
        api::CosignedStatus {
            witnesses: count(witnesses),
            quorum: count(quorum(witnesses).unwrap_or(0)),
            faults_tolerated: count(faults_tolerated(witnesses)),
            size: head.map_or(0, |head| head.size),
            by: head.map_or_else(Vec::new, |head| head.witnesses.keys().map(ToString::to_string).collect()),
            has_quorum: head.is_some_and(|head| head.quorum),
            age_s: head
                .and_then(|head| head.witnesses.values().min())
                .map(|oldest_s| now_s.saturating_sub(*oldest_s)),
        }
    }

    /// What this node is, holds and waits for.
    pub(super) fn status(&self) -> api::StatusResponse {
        let (complete, reason) = self.lookup.completeness();
        let health = self.lookup.health();
        let roster = self.roster();
        let heads = self.lookup.heads();
        let (cosigned, forked) = (self.lookup.cosigned(), self.lookup.forked());
        let branches = self.lookup.branches();
        let connected: BTreeSet<&str> = health.peers.iter().map(|peer| peer.member.as_str()).collect();
        api::StatusResponse {
            member: self.identity.member.clone(),
            role: if self.identity.is_replica { "replica" } else { "author" }.to_owned(),
            author: health.replica.as_ref().map(|replica| api::AuthorStatus {
                peer: replica.author.map(|peer| peer.to_hex()),
                connected: replica.is_connected,
                listed: replica.has_card,
            }),
            consortium: roster.consortium.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster: roster.version,
            roster_expired: crate::driver::now_ms() / 1_000 >= roster.expires_s,
            roster_expires: Some(api::time::rfc3339(roster.expires_s.saturating_mul(1_000))),
            roster_rivals: health.roster.rivals.iter().map(rival_shown).collect(),
            roster_newer: health.roster.newer_claimed,
            view: self.lookup.as_of().view,
            ready: self.lookup.is_loaded(),
            complete,
            reason,
            alarms: self.alarms(),
            uptime_s: self.identity.started.elapsed().as_secs(),
            appending: health.append_blocked.is_none(),
            append_blocked: health.append_blocked.map(str::to_owned),
            restored: health.from_backup,
            scrub: self.scrub.get().map(|scrub| scrub.status()),
            catch_up: self.lookup.catch_up(),
            erasures: self.erasures(),
            quarantine_waiting: self.lookup.floods_waiting() as u64,
            muted: self.muted(),
            incidents: self.open_incidents(health.from_backup),
            changes: self.feed_status(),
            webhooks: self.hook_status(),
            logs: roster
                .logs()
                .filter(|log| *log.status != LogStatus::Spare)
                .map(|log| {
                    let head = heads.get(&log.log_id);
                    let (counts, ahead) = self.lookup.folded(&log.log_id);
                    api::LogStatus {
                        void: counts.void,
                        opaque: counts.opaque,
                        without_payload: counts.without_payload,
                        ahead,
                        cosigned: self.cosigned(&log, cosigned.get(&log.log_id)),
                        forked: forked.contains_key(&log.log_id),
                        diverges_at: forked.get(&log.log_id).and_then(|forked| forked.diverges_at),
                        branches: branches.get(&log.log_id).map(branch_status).unwrap_or_default(),
                        origin: log.origin,
                        size: head.map_or(0, |head| head.size),
                        announced: head.map_or(0, |head| head.announced),
                    }
                })
                .collect(),
            receipts: receipts::status(&self.lookup.receipts(), &roster, &heads),
            peers: roster
                .members
                .iter()
                .filter(|member| member.is_active() && member.id.as_str() != self.identity.member)
                .map(|member| api::PeerStatus {
                    member: member.id.to_string(),
                    peer: None,
                    connected: connected.contains(member.id.as_str()),
                    last_seen: None,
                    refused: 0,
                })
                .collect(),
            index: self.indexed(),
        }
    }

    /// Values in the index, by type of signal.
    fn indexed(&self) -> BTreeMap<String, u64> {
        let stats = self.lookup.index_stats();
        let name = |code: u64| {
            let known = SignalType::from_code(code);
            known.map_or_else(|| format!("type-{code}"), |kind| kind.name().to_owned())
        };
        let exact = stats.exact.iter().map(|(code, count)| (name(u64::from(*code)), count.postings));
        exact.chain([("pdq".to_owned(), stats.hamming.postings)]).collect()
    }
}

fn rival_shown(rival: &Rejected) -> String {
    format!("{} {}", rival.version, rival.digest)
}

/// What is held of both histories of a forked log.
pub(super) fn branch_status(held: &LogBranches) -> Vec<api::BranchStatus> {
    let status = |branch: &BranchState| api::BranchStatus {
        size: branch.size,
        root: branch.root.to_hex(),
        followed: branch.is_followed,
        held: branch.held,
        kept_from: branch.kept_from.filter(|_| !branch.is_too_long),
        too_long: branch.is_too_long,
    };
    held.branches.iter().map(status).collect()
}
