//! What may not change from one version to the next (SPEC §8.4).

use super::{ChainError, LogEntry, LogStatus, Member, MemberId, MemberStatus, Roster, Term, Terms};

pub(super) fn check_succession(held: &Roster, next: &Roster) -> Result<(), ChainError> {
    for before in &held.members {
        check_member(before, next)?;
    }
    check_groups(held, next)?;
    check_features(held, next)?;
    check_terms(&held.terms, &next.terms)
}

fn fixed(what: &'static str, detail: String) -> ChainError {
    ChainError::Immutable { what, detail }
}

fn check_member(before: &Member, next: &Roster) -> Result<(), ChainError> {
    let Some(after) = next.member(&before.id) else {
        let detail = format!("{} is gone; members who leave stay listed", before.id);
        return Err(fixed("the list of member ids", detail));
    };
    if before.status == MemberStatus::Left && after.status == MemberStatus::Active {
        return Err(fixed("the status of a member who left", before.id.to_string()));
    }
    before.logs.iter().try_for_each(|log| check_log(&before.id, log, after))
}

fn check_log(member: &MemberId, log: &LogEntry, after: &Member) -> Result<(), ChainError> {
    let name = format!("{member}/{}", log.n);
    let Some(now) = after.logs.iter().find(|other| other.n == log.n) else {
        return Err(fixed("the list of logs", format!("{name} is gone")));
    };
    if now.key != log.key {
        return Err(fixed("the key of a log", name));
    }
    if matches!(log.status, LogStatus::Closed { .. }) && now.status != log.status {
        return Err(fixed("a closed log", name));
    }
    if log.status == LogStatus::Open && now.status == LogStatus::Spare {
        return Err(fixed("an opened log", name));
    }
    Ok(())
}

/// Leaves carry the numbers of groups for ever.
fn check_groups(held: &Roster, next: &Roster) -> Result<(), ChainError> {
    for before in &held.groups {
        if next.group(before.n) != Some(before) {
            return Err(fixed("a group", format!("{} {}", before.n, before.word)));
        }
    }
    Ok(())
}

/// Features that are in use stay so; others begin with the version that names them, or later.
fn check_features(held: &Roster, next: &Roster) -> Result<(), ChainError> {
    for before in held.features.iter().filter(|feature| feature.from <= held.version) {
        if !next.features.contains(before) {
            let detail = format!("{} from version {} on", before.word, before.from);
            return Err(fixed("a feature in use", detail));
        }
    }
    for after in next.features.iter().filter(|feature| !held.features.contains(feature)) {
        if after.from < next.version {
            let (feature, from) = (after.word.clone(), after.from);
            return Err(ChainError::Retrospective { feature, from, version: next.version });
        }
    }
    Ok(())
}

/// What was said while a term lasted stays said: a term may be ended, and nothing else.
fn check_terms(held: &Terms, next: &Terms) -> Result<(), ChainError> {
    let kept = |before: &Term, after: &Term| {
        (&after.member, after.from) == (&before.member, before.from)
            && (before.until.is_none() || after.until == before.until)
    };
    for before in &held.erasers {
        if !next.erasers.iter().any(|after| kept(before, after)) {
            return Err(fixed("a term of an erasure authority", before.to_string()));
        }
    }
    for before in &held.panel {
        let mut panel = next.panel.iter();
        if !panel.any(|after| after.needed == before.needed && kept(&before.term, &after.term)) {
            return Err(fixed("a term of a panellist", format!("{} {}", before.needed, before.term)));
        }
    }
    for before in &held.declarers {
        if !next.declarers.iter().any(|after| kept(before, after)) {
            return Err(fixed("a term of a declarer of incidents", before.to_string()));
        }
    }
    for before in &held.stewards {
        let mut stewards = next.stewards.iter();
        if !stewards.any(|after| after.of == before.of && kept(&before.term, &after.term)) {
            return Err(fixed("a term of a steward", format!("{} {}", before.of, before.term)));
        }
    }
    Ok(())
}
