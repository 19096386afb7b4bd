//! Rows from judgements: pure.

use crate::lookup::{Compared, Judgement, Local, OwnOutcomes, RecordNews};
use crate::storage::{CauseRow, ChangeRow, DecidedRow, ListRow, RecordRow};
use hashpact_core::policy::{List, Outcome};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;

/// The row of a record's change; none if neither its status nor what it comes to is another one than before.
pub(super) fn row_of_news(news: &RecordNews, judgement: &Judgement) -> Option<ChangeRow> {
    let before = news.before.as_ref().map(|before| before.status);
    let after = news.known.status();
    if before == Some(after) && !judgement.is_other() {
        return None;
    }
    let record = RecordRow {
        id: *news.known.id.as_bytes(),
        status_before: before.map(|status| status.name().to_owned()),
        status_after: after.name().to_owned(),
        ..judged(judgement)
    };
    Some(ChangeRow { time_ms: 0, record: Some(record), cause: None })
}

/// The row of a record that something else than the record itself makes another thing of.
pub(super) fn row_of_compared(compared: &Compared, cause: &CauseRow) -> ChangeRow {
    let status = compared.status.name().to_owned();
    let record = RecordRow {
        id: *compared.id.as_bytes(),
        status_before: Some(status.clone()),
        status_after: status,
        ..judged(&compared.judgement)
    };
    ChangeRow { time_ms: 0, record: Some(record), cause: Some(cause.clone()) }
}

/// The row that asks for a snapshot.
pub(super) fn marker(what: &str, name: Option<String>) -> ChangeRow {
    marker_of(cause(what, name))
}

pub(super) fn marker_of(cause: CauseRow) -> ChangeRow {
    ChangeRow { time_ms: 0, record: None, cause: Some(cause) }
}

pub(super) fn cause(what: &str, name: Option<String>) -> CauseRow {
    CauseRow { what: what.to_owned(), name, version: None }
}

fn judged(Judgement { before, after }: &Judgement) -> RecordRow {
    RecordRow {
        before: decided(before),
        after: decided(after),
        lists: turns(before, after),
        ..RecordRow::default()
    }
}

fn decided(outcomes: &OwnOutcomes) -> Option<DecidedRow> {
    let (outcome, list) = outcomes.verdict.as_ref()?;
    Some(DecidedRow { outcome: outcome.name().to_owned(), list: list.name.clone() })
}

/// The lists that make something else of a record than before, by name.
fn turns(before: &OwnOutcomes, after: &OwnOutcomes) -> Vec<ListRow> {
    let mut turns: BTreeMap<&str, (&List, [Option<Outcome>; 2])> = BTreeMap::new();
    for (at, outcomes) in [before, after].into_iter().enumerate() {
        for (list, outcome) in &outcomes.lists {
            let turn = turns.entry(&list.name).or_insert((list, [None; 2]));
            // The newer version of two is named.
            turn.0 = list;
            turn.1[at] = Some(*outcome);
        }
    }
    let changed = turns.into_values().filter(|(_, [before, after])| before != after);
    let word = |outcome: Option<Outcome>| outcome.map(|outcome| outcome.name().to_owned());
    changed
        .map(|(list, [before, after])| ListRow {
            list: list.name.clone(),
            version: list.version,
            before: word(before),
            after: word(after),
        })
        .collect()
}

/// How two decisions of the operator differ, in words; of several differences, the first is what is told.
pub(super) fn difference(before: &Local, after: &Local) -> Option<CauseRow> {
    lists(before, after).or_else(|| members(before, after)).or_else(|| negatives(before, after))
}

fn lists(before: &Local, after: &Local) -> Option<CauseRow> {
    for list in after.policy.lists() {
        if before.policy.list(&list.name) != Some(list) {
            let version = Some(list.version);
            return Some(CauseRow { version, ..cause("list", Some(list.name.clone())) });
        }
    }
    let gone = before.policy.lists().iter().find(|list| after.policy.list(&list.name).is_none())?;
    Some(CauseRow { version: Some(gone.version), ..cause("list_deleted", Some(gone.name.clone())) })
}

fn members(before: &Local, after: &Local) -> Option<CauseRow> {
    let (before, after) = (before.policy.members(), after.policy.members());
    let muted = |member: &MemberId| (before.is_muted(member), after.is_muted(member));
    let name = |member: &MemberId| Some(member.to_string());
    for (member, _) in after.iter() {
        match muted(member) {
            (false, true) => return Some(cause("mute", name(member))),
            (true, false) => return Some(cause("unmute", name(member))),
            _ => {}
        }
    }
    (before != after).then(|| cause("roster", None))
}

fn negatives(before: &Local, after: &Local) -> Option<CauseRow> {
    let digests = |local: &Local| -> BTreeMap<String, String> {
        local.negatives.iter().map(|list| (list.name.clone(), list.digest.clone())).collect()
    };
    let (before, after) = (digests(before), digests(after));
    let other = before.iter().find(|(name, digest)| after.get(*name) != Some(*digest));
    let other = other.or_else(|| after.iter().find(|(name, _)| !before.contains_key(*name)));
    other.map(|(name, _)| cause("negatives", Some(name.clone())))
}
