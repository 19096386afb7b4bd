//! Records as people read them, with a sentence for how each stands.

use super::Inner;
use crate::lookup::opinions;
use hashpact_core::view::{RecordView, Standing, StatusReason};
use hashpact_protocol::api;
use hashpact_protocol::digest::{RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, read_leaf};
use hashpact_protocol::record::{ErasureBasis, Vocabulary as _};
use hashpact_protocol::roster::MemberId;

impl Inner {
    /// A record as listings and answers show it.
    pub(super) fn show(&self, record: &RecordView) -> api::RecordJson {
        let RecordView { known, stated } = record;
        let (subject, supersedes) = match self.subject(record) {
            Some(id) if stated.kind == Kind::Supersede => (None, Some(id.to_hex())),
            other => (other.map(|id| id.to_hex()), None),
        };
        let statements = known.standing.statements.iter();
        let shown = api::RecordJson {
            record: known.id.to_hex(),
            member: known.author.member.to_string(),
            log: self.origin(&known.author.log),
            index: known.index,
            kind: stated.kind.name().to_owned(),
            time: api::time::rfc3339(stated.time_ms),
            status: known.status().name().to_owned(),
            reason: reason_text(&known.standing),
            subject,
            supersedes,
            opinions: opinions(&known.standing),
            statements: statements
                .map(|(member, statement)| api::StatementJson {
                    member: member.to_string(),
                    opinion: statement.opinion.name().to_owned(),
                    reason: statement.reason.map(|reason| reason.name().to_owned()),
                    time: api::time::rfc3339(statement.time_ms),
                    record: None,
                })
                .collect(),
            proof: format!("/v1/records/{}/proof", known.id.to_hex()),
            ..api::RecordJson::default()
        };
        // Of a sealed or erased record nothing is left to show; defaults would read as statements.
        if known.is_blank() { shown } else { shown.with_content(&stated.content) }
    }

    /// The entry that a record's leaf names. Only records that may name one cost a read; of a history that is kept beside
    /// the followed one this is not told.
    fn subject(&self, RecordView { known, stated }: &RecordView) -> Option<RecordId> {
        if stated.kind != Kind::Supersede && stated.content.subject.is_none() {
            return None;
        }
        let entry = self.store.entry(&known.author.log, known.index).ok().flatten()?;
        let is_this = leaf_hash(&entry.leaf) == known.id;
        match read_leaf(&entry.leaf, &known.author.log, known.index) {
            EntryLeaf::Known(leaf) if is_this => leaf.subject,
            _ => None,
        }
    }
}

/// A status reason as a sentence for people.
pub(super) fn reason_text(standing: &Standing) -> Option<String> {
    let reason = standing.reason.as_ref()?;
    Some(match reason {
        StatusReason::OrderedBy { member, time_ms, reason, basis, entry: _ } => {
            let why = reason.map_or(String::new(), |reason| format!(": {}", reason.name()));
            let demand = basis.filter(|basis| *basis != ErasureBasis::Own);
            let demand = demand.map_or(String::new(), |basis| format!(", for {}", basis.name()));
            format!("erasure ordered by {member} on {}{why}{demand}", api::time::rfc3339(*time_ms))
        }
        StatusReason::RetractedBy { member, time_ms, reason, entry: _ } => {
            let why = reason.map_or(String::new(), |reason| format!(": {}", reason.name()));
            format!("retracted by {member} on {}{why}", api::time::rfc3339(*time_ms))
        }
        StatusReason::SupersededBy { member, time_ms, record, entry: _ } => {
            format!("superseded by {member} on {}: see {record}", api::time::rfc3339(*time_ms))
        }
        StatusReason::SuspendedBy { votes, members, until_ms, roster_version } => format!(
            "its author is suspended by {votes} of {members} members until {}, under roster version {roster_version}",
            api::time::rfc3339(*until_ms)
        ),
        StatusReason::LapsedWith { member, roster_version } => {
            format!(
                "lapsed: {member} left, and since roster version {roster_version} its records do not count"
            )
        }
        StatusReason::NamesAnother { subject, named } => format!(
            "void: its leaf names {subject}, and its payload entry {} of log {}, which is another one",
            named.index,
            named.log.to_hex()
        ),
        StatusReason::RuledBy { ruled } => {
            let names: Vec<&str> = ruled.panellists.iter().map(|member| member.as_str()).collect();
            format!(
                "ruled {} by {} of the review panel on {}: {}",
                ruled.verdict.name(),
                names.len(),
                api::time::rfc3339(ruled.time_ms),
                names.join(", ")
            )
        }
        StatusReason::DisagreedBy { members } => {
            let names: Vec<String> = members.iter().map(|member| disagreeing(standing, member)).collect();
            format!("{} disagree: {}", members.len(), names.join(", "))
        }
        StatusReason::ForkedFrom { index } => {
            format!(
                "its author signed two histories that differ from entry {index} on, or were settled up to there"
            )
        }
        StatusReason::ExpiredAt { time_ms } => format!("expired on {}", api::time::rfc3339(*time_ms)),
        other => format!("{other:?}"),
    })
}

/// Who disagrees, and why if it says so.
fn disagreeing(standing: &Standing, member: &MemberId) -> String {
    match standing.statements.get(member).and_then(|statement| statement.reason) {
        Some(reason) => format!("{member} ({})", reason.name()),
        None => member.to_string(),
    }
}
