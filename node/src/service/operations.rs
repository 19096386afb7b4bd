//! What the operator's part of metrics and status needs beside the read model: tokens, keys, journal, disk.

use super::{Inner, Service};
use crate::alarms::{Facts, alarms, certificate_expires_s, disk_bytes, now_s, written_s};
use crate::config::Config;
use crate::keystore::SignerProgram;
use crate::tokens::LiveTokens;
use hashpact_protocol::api::AlarmStatus;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{LogRef, LogStatus};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Where to look.
pub struct Operations {
    tokens: Arc<LiveTokens>,
    signer: Option<Arc<SignerProgram>>,
    data_dir: PathBuf,
    snapshot_file: PathBuf,
    /// The certificates that the API shows.
    certificate: Option<PathBuf>,
    /// What was wrong with the journal at the start.
    journal_fault: Option<String>,
}

impl Operations {
    /// Of this configuration.
    #[must_use]
    pub fn new(config: &Config, tokens: Arc<LiveTokens>, journal_fault: Option<String>) -> Self {
        Self {
            tokens,
            signer: config.keys.signer.as_ref().map(|(program, _)| Arc::clone(program)),
            data_dir: config.data_dir.clone(),
            snapshot_file: config.snapshot_file(),
            certificate: config.http.tls.as_ref().map(|files| files.certificate.clone()),
            journal_fault,
        }
    }

    /// How often the signer failed; none if there is none.
    #[must_use]
    pub fn signer_failures(&self) -> u64 {
        self.signer.as_ref().map_or(0, |signer| signer.failures())
    }
}

impl Service {
    /// From now on metrics and status tell of these as well.
    pub fn set_operations(&self, operations: Operations) {
        let _ = self.inner.operations.set(operations);
    }
}

impl Inner {
    /// Logs that the roster closed: nobody signs them any more.
    pub(super) fn closed_logs(&self) -> BTreeSet<LogId> {
        let roster = self.roster();
        let is_closed = |log: &LogRef<'_>| matches!(log.status, LogStatus::Closed { .. });
        roster.logs().filter(is_closed).map(|log| log.log_id).collect()
    }

    /// The alarms that stand.
    pub(super) fn alarms(&self) -> Vec<AlarmStatus> {
        alarms(&self.facts())
    }

    /// What is so now.
    pub(super) fn facts(&self) -> Facts {
        let (now_s, roster, health) = (now_s(), self.roster(), self.lookup.health());
        let (complete, reason) = self.lookup.completeness();
        let (heads, cosigned) = (self.lookup.heads(), self.lookup.cosigned());
        let behind =
            heads.values().map(|head| (head.origin.clone(), head.announced.saturating_sub(head.size)));
        let unfolded = heads.iter().map(|(log, head)| {
            let (counts, _) = self.lookup.folded(log);
            (head.origin.clone(), head.size.saturating_sub(counts.entries()))
        });
        let closed = self.closed_logs();
        let quorums = cosigned.values().filter(|head| head.quorum && !closed.contains(&head.log));
        let cosigned_age_s = quorums.filter_map(|head| {
            let oldest_s = head.witnesses.values().min()?;
            Some((heads.get(&head.log)?.origin.clone(), now_s.saturating_sub(*oldest_s)))
        });
        let signed_s = cosigned.values().flat_map(|head| head.witnesses.values().copied());
        let clock_behind_s = signed_s.max().map_or(0, |newest_s| newest_s.saturating_sub(now_s));
        let mut facts = Facts {
            now_s,
            incomplete: (!complete).then(|| reason.unwrap_or_else(|| "loading".to_owned())),
            // A read replica never appends: that is no reason to wake anybody.
            append_blocked: health.append_blocked.filter(|_| health.replica.is_none()).map(str::to_owned),
            behind: behind.collect(),
            unfolded: unfolded.collect(),
            floods_waiting: self.lookup.floods_waiting() as u64,
            cosigned_age_s: cosigned_age_s.collect(),
            forked: self.lookup.forked().into_values().map(|forked| forked.origin).collect(),
            roster_expires_s: roster.expires_s,
            erasure_due_s: self.lookup.erasures().next_due_ms.map(|due_ms| due_ms / 1_000),
            clock_behind_s,
            scrub_problems: self.metrics.scrub.problems.get(),
            ..Facts::default()
        };
        if let Some(operations) = self.operations.get() {
            let next = operations.tokens.next_to_expire(now_s);
            facts.next_token = next.map(|live| (live.token().name.clone(), live.token().expires_s));
            facts.tokens_stale = operations.tokens.is_stale();
            facts.snapshot_s = written_s(&operations.snapshot_file);
            facts.certificate_expires_s = operations.certificate.as_deref().and_then(certificate_expires_s);
            facts.disk = disk_bytes(&operations.data_dir);
            facts.journal_fault.clone_from(&operations.journal_fault);
        }
        facts
    }
}
