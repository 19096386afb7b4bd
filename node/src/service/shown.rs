//! Records as people read them, with a sentence for how each stands.

use super::Inner;
use crate::lookup::opinions;
use hashpact_core::view::{RecordView, Standing, StatusReason};
use hashpact_protocol::api;
use hashpact_protocol::record::{ErasureBasis, Vocabulary as _};
use hashpact_protocol::roster::MemberId;

impl Inner {
    /// A record as listings and answers show it.
    pub(super) fn show(&self, record: &RecordView) -> api::RecordJson {
        let RecordView { known, stated } = record;
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
