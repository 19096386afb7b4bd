//! From what a caller drafts to what the log will say: subjects resolved, rights checked.

use crate::effect::SubmitError;
use crate::event::Draft;
use crate::view::{Author, KnownRecord, Status, StatusReason, View};
use hashpact_protocol::digest::{LeafHash, RecordId};
use hashpact_protocol::leaf::pad_payload;
use hashpact_protocol::record::{
    Content, Detail, Erasure, Incident, IncidentStep, Opinion, Record, Retraction, Ruling, SubjectRef,
    Suspension,
};

/// A record ready to be sealed at whatever index it gets.
pub(super) struct Statement {
    pub(super) record: Record,
    pub(super) subject: Option<LeafHash>,
    pub(super) priority: bool,
    pub(super) group: u32,
}

/// Checks every draft; the first that fails refuses them all.
pub(super) fn resolve(
    drafts: Vec<Draft>,
    group: u32,
    own: &Author,
    view: &View,
) -> Result<Vec<Statement>, SubmitError> {
    let mut statements = Vec::with_capacity(drafts.len());
    for (position, draft) in drafts.into_iter().enumerate() {
        let statement = Statement { group, ..resolve_one(draft, own, view)? };
        pad_payload(&statement.record.encode())
            .map_err(|error| SubmitError::Payload { position, detail: error.to_string() })?;
        statements.push(statement);
    }
    Ok(statements)
}

fn resolve_one(draft: Draft, own: &Author, view: &View) -> Result<Statement, SubmitError> {
    match draft {
        Draft::Content(content) => Ok(contribute(content, view)),
        Draft::Addition { subject, content } => add(subject, content, own, view),
        Draft::Opinion { subject, opinion, reason } => {
            let record = find(&subject, view)?;
            if record.author.member == own.member {
                return Err(SubmitError::OwnRecord(subject));
            }
            let opinion = Opinion::new(place(&record), opinion, reason.unwrap_or_default());
            Ok(Statement {
                record: Record::Opinion(opinion),
                subject: Some(subject),
                priority: false,
                group: 0,
            })
        }
        Draft::Retraction { subject, reason } => {
            let record = find(&subject, view)?;
            if !may_withdraw(&record, own, view) {
                return Err(SubmitError::NotAuthor {
                    record: subject,
                    author: record.author.member.to_string(),
                });
            }
            if record.status() == Status::Retracted {
                return Err(SubmitError::AlreadyRetracted(subject));
            }
            let retraction = Retraction::new(place(&record), reason);
            Ok(Statement {
                record: Record::Retraction(retraction),
                subject: Some(subject),
                priority: true,
                group: 0,
            })
        }
        Draft::Erasure { subject, reason, basis } => {
            let record = find(&subject, view)?;
            // Whether the order's place is within the term is judged by everybody once it has one; a term that
            // covers the log from here on covers it there.
            let is_authority = view.orders().rules().is_authority(&own.member, own.n, u64::MAX);
            if !may_withdraw(&record, own, view) && !is_authority {
                let author = record.author.member.to_string();
                return Err(SubmitError::MayNotErase { record: subject, author });
            }
            if record.is_blank() {
                return Err(SubmitError::AlreadyErased(subject, record.status().name()));
            }
            let erasure = Erasure::new(place(&record), reason, basis);
            Ok(Statement {
                record: Record::Erasure(erasure),
                subject: Some(subject),
                priority: true,
                group: 0,
            })
        }
        Draft::Supersession { subject, content } => supersede(subject, content, own, view),
        Draft::Ruling { subject, signal, verdict, reason } => {
            // As with erasures: a term that covers the log from here on covers the place that the entry gets.
            if !view.rules().is_panellist(&own.member, own.n, u64::MAX) {
                return Err(SubmitError::MayNotRule);
            }
            let ruling = Ruling::new(&signal, verdict, reason);
            let ruling = match &subject {
                Some(subject) => ruling.about(place(&find(subject, view)?)),
                None => ruling,
            };
            Ok(Statement { record: Record::Ruling(ruling), subject, priority: true, group: 0 })
        }
        Draft::Vote { member, vote, reason } => {
            if member == own.member {
                return Err(SubmitError::OwnSuspension);
            }
            if !view.rules().members().contains(&member) {
                return Err(SubmitError::UnknownMember(member.to_string()));
            }
            let vote = Suspension::new(member, view.rules().version(), vote, reason);
            Ok(Statement { record: Record::Suspension(vote), subject: None, priority: true, group: 0 })
        }
        Draft::Incident(incident) => declare(incident, own, view),
    }
}

/// What belongs to an incident that goes on overtakes a backlog like the incident itself.
fn contribute(content: Content, view: &View) -> Statement {
    let incident = content.handling.as_ref().and_then(|handling| handling.incident);
    let incident = incident.and_then(|id| view.incident(&id));
    let priority = incident.is_some_and(|incident| incident.closed.is_none());
    Statement { record: Record::Content(content), subject: None, priority, group: 0 }
}

/// A further part of a model belongs to a record of our own; whatever else is stated may add to anybody's.
fn add(subject: RecordId, content: Content, own: &Author, view: &View) -> Result<Statement, SubmitError> {
    let record = find(&subject, view)?;
    let is_further_part =
        matches!(content.detail.as_deref(), Some(Detail::Model(model)) if model.is_further_part());
    if is_further_part && record.author.member != own.member {
        return Err(SubmitError::NotAuthor { record: subject, author: record.author.member.to_string() });
    }
    if record.is_blank() {
        return Err(SubmitError::AlreadyErased(subject, record.status().name()));
    }
    let content = Content { subject: Some(place(&record)), ..content };
    Ok(Statement { subject: Some(subject), ..contribute(content, view) })
}

fn supersede(
    subject: RecordId,
    content: Content,
    own: &Author,
    view: &View,
) -> Result<Statement, SubmitError> {
    let record = find(&subject, view)?;
    if !may_withdraw(&record, own, view) {
        return Err(SubmitError::NotAuthor { record: subject, author: record.author.member.to_string() });
    }
    match &record.standing.reason {
        Some(StatusReason::SupersededBy { record, .. }) => {
            return Err(SubmitError::AlreadySuperseded(subject, *record));
        }
        _ if record.status() == Status::Retracted => return Err(SubmitError::AlreadyRetracted(subject)),
        _ if record.is_blank() => return Err(SubmitError::AlreadyErased(subject, record.status().name())),
        _ => {}
    }
    let content = Content { subject: Some(place(&record)), ..content };
    Ok(Statement { record: Record::Supersede(content), subject: Some(subject), priority: false, group: 0 })
}

fn declare(incident: Incident, own: &Author, view: &View) -> Result<Statement, SubmitError> {
    if !view.rules().may_declare(&own.member, own.n, u64::MAX) {
        return Err(SubmitError::MayNotDeclare);
    }
    let id = incident.id;
    match (incident.step, view.incident(&id)) {
        (IncidentStep::Closed, None) => Err(SubmitError::UnknownIncident(id)),
        (_, Some(held)) if held.closed.is_some() => Err(SubmitError::IncidentIs(id, "closed")),
        (IncidentStep::Declared, Some(_)) => Err(SubmitError::IncidentIs(id, "declared")),
        (IncidentStep::Declared, None) | (IncidentStep::Closed, Some(_)) => {
            Ok(Statement { record: Record::Incident(incident), subject: None, priority: true, group: 0 })
        }
    }
}

fn find(id: &RecordId, view: &View) -> Result<KnownRecord, SubmitError> {
    view.record(id).ok_or(SubmitError::UnknownRecord(*id))
}

/// Whether what this log says of a record counts as its author's: it is, or it is the steward of one who left.
fn may_withdraw(record: &KnownRecord, own: &Author, view: &View) -> bool {
    view.rules().may_withdraw(&record.author.member, &own.member, own.n)
}

fn place(record: &KnownRecord) -> SubjectRef {
    SubjectRef { log: record.author.log, index: record.index }
}
