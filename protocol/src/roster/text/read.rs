//! Reading the text, each line with the keyword that must stand there.

use super::super::{
    Feature, GovernanceKey, Group, LogEntry, LogPlace, LogStatus, Member, MemberStatus,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, PanelTerm, Rejected, Role, Roster, StewardTerm, Term, Terms,
};
use super::lines::Lines;
use super::{DAYS, END, HEADER, HOURS, RosterError};
use crate::digest::{Root, RosterDigest};
use std::collections::BTreeSet;

pub(super) fn read(lines: &mut Lines<'_>) -> Result<Roster, RosterError> {
    if lines.next(HEADER)? != HEADER {
        return Err(RosterError::Keyword { line: lines.number, expected: HEADER });
    }
    let consortium = lines.value("consortium")?.to_owned();
    let version = lines.number("version")?;
    let created_s = lines.number("created")?;
    let expires_s = lines.number("expires")?;
    let previous = match lines.value("previous")? {
        "none" => None,
        hex => Some(
            RosterDigest::from_hex(hex).map_err(|_| lines.bad("previous", hex, "64 hex digits or none"))?,
        ),
    };
    let rejected = lines.repeated("rejected", read_rejected)?;
    let threshold = lines.number("threshold")?;
    let governance = lines.repeated("governance", |lines, rest| {
        let (name, key) = lines.pair("governance", rest, "<name> <key>")?;
        Ok(GovernanceKey { name: name.to_owned(), key: lines.key(key)? })
    })?;
    let taxonomies = lines.repeated("taxonomy", |_, rest| Ok(rest.to_owned()))?;
    let hash_sets = lines.repeated("hash-set", |_, rest| Ok(rest.to_owned()))?;
    let retention_s = lines.length_s("retention", &DAYS)?;
    let hold_s = lines.length_s("hold", &HOURS)?;
    let features = lines.repeated("feature", read_feature)?;
    let groups = lines.repeated("group", read_group)?;
    let mut members = Vec::new();
    while let Some(rest) = lines.take("member") {
        members.push(read_member(lines, rest)?);
    }
    let witnesses = lines.repeated("witness", |lines, rest| lines.member_id(rest))?;
    let terms = Terms {
        erasers: lines.repeated("eraser", read_term)?,
        panel: lines.repeated("panellist", read_panellist)?,
        declarers: lines.repeated("declarer", read_term)?,
        stewards: lines.repeated("steward", read_steward)?,
    };
    if lines.next(END)? != END {
        return Err(RosterError::Keyword { line: lines.number, expected: END });
    }
    if !lines.is_done() {
        return Err(RosterError::AfterEnd { line: lines.number + 1 });
    }
    Ok(Roster {
        consortium,
        version,
        created_s,
        expires_s,
        previous,
        rejected,
        threshold,
        governance,
        taxonomies,
        hash_sets,
        retention_s,
        hold_s,
        features,
        groups,
        members,
        witnesses,
        terms,
    })
}

fn read_member(lines: &mut Lines<'_>, rest: &str) -> Result<Member, RosterError> {
    let mut words = rest.splitn(3, ' ');
    let (Some(id), Some(status), Some(name)) = (words.next(), words.next(), words.next()) else {
        return Err(lines.bad("member", rest, "<id> <status> <name>"));
    };
    let id = lines.member_id(id)?;
    let status = MemberStatus::ALL
        .into_iter()
        .find(|known| known.name() == status)
        .ok_or_else(|| lines.bad("status", status, "active or left"))?;
    let roles: Vec<Role> = lines.repeated("role", |lines, rest| {
        let role = Role::ALL.into_iter().find(|known| known.name() == rest);
        role.ok_or_else(|| lines.bad("role", rest, "contributor, hotline, observer or auditor"))
    })?;
    let groups: Vec<u32> = lines.repeated("in-group", |lines, rest| lines.decimal("group number", rest))?;
    let card = lines.value("card")?;
    let card_key = lines.key(card)?;
    let cosigner_key = match lines.take("cosigner") {
        Some(key) => Some(lines.key(key)?),
        None => None,
    };
    let history_start_s = lines.number("history")?;
    let quota_entries_per_day = lines.number("quota")?;
    let priority_entries_per_day = match lines.take("priority") {
        Some(entries) => lines.decimal("priority", entries)?,
        None => PRIORITY_ENTRIES_PER_DAY_DEFAULT,
    };
    let agreement = match lines.take("agreement") {
        Some(version) => Some(lines.decimal("agreement", version)?),
        None => None,
    };
    let records_lapse = match lines.take("records") {
        Some("lapse") => true,
        Some(other) => return Err(lines.bad("records", other, "lapse")),
        None => false,
    };
    let logs = lines.repeated("log", read_log)?;
    Ok(Member {
        id,
        name: name.to_owned(),
        status,
        roles: BTreeSet::from_iter(roles),
        groups: BTreeSet::from_iter(groups),
        card_key,
        cosigner_key,
        history_start_s,
        quota_entries_per_day,
        priority_entries_per_day,
        agreement,
        records_lapse,
        logs,
    })
}

fn read_log(lines: &Lines<'_>, rest: &str) -> Result<LogEntry, RosterError> {
    let form = "<n> open|spare <key>, or <n> closed <key> <size> <root>";
    let words: Vec<&str> = rest.split(' ').collect();
    let (n, key, status) = match words.as_slice() {
        [n, "open", key] => (n, key, LogStatus::Open),
        [n, "spare", key] => (n, key, LogStatus::Spare),
        [n, "closed", key, size, root] => {
            let root = Root::from_hex(root).map_err(|_| lines.bad("root", root, "64 hex digits"))?;
            (n, key, LogStatus::Closed { size: lines.decimal("size", size)?, root })
        }
        _ => return Err(lines.bad("log", rest, form)),
    };
    Ok(LogEntry { n: lines.decimal("log number", n)?, key: lines.key(key)?, status })
}

/// `<id> <n> <index>`, and the place at which it ended, if it has.
fn read_term(lines: &Lines<'_>, rest: &str) -> Result<Term, RosterError> {
    let words: Vec<&str> = rest.split(' ').collect();
    let place = |n: &str, index: &str| -> Result<LogPlace, RosterError> {
        Ok(LogPlace { n: lines.decimal("log number", n)?, index: lines.decimal("leaf index", index)? })
    };
    let (member, from, until) = match words.as_slice() {
        [member, n, index] => (member, place(n, index)?, None),
        [member, n, index, last_n, last] => (member, place(n, index)?, Some(place(last_n, last)?)),
        _ => return Err(lines.bad("term", rest, "<id> <n> <index>, and <n> <index> once it has ended")),
    };
    Ok(Term { member: lines.member_id(member)?, from, until })
}

fn read_panellist(lines: &Lines<'_>, rest: &str) -> Result<PanelTerm, RosterError> {
    let (needed, term) = lines.pair("panellist", rest, "<number that must agree> <term>")?;
    Ok(PanelTerm { needed: lines.decimal("number that must agree", needed)?, term: read_term(lines, term)? })
}

fn read_steward(lines: &Lines<'_>, rest: &str) -> Result<StewardTerm, RosterError> {
    let (of, term) = lines.pair("steward", rest, "<id of the leaver> <term>")?;
    Ok(StewardTerm { of: lines.member_id(of)?, term: read_term(lines, term)? })
}

fn read_rejected(lines: &Lines<'_>, rest: &str) -> Result<Rejected, RosterError> {
    let (version, digest) = lines.pair("rejected", rest, "<version> <digest>")?;
    let digest =
        RosterDigest::from_hex(digest).map_err(|_| lines.bad("rejected", digest, "64 hex digits"))?;
    Ok(Rejected { version: lines.decimal("rejected", version)?, digest })
}

fn read_feature(lines: &Lines<'_>, rest: &str) -> Result<Feature, RosterError> {
    let (word, from) = lines.pair("feature", rest, "<word> <version>")?;
    Ok(Feature { word: word.to_owned(), from: lines.decimal("version", from)? })
}

fn read_group(lines: &Lines<'_>, rest: &str) -> Result<Group, RosterError> {
    let words: Vec<&str> = rest.split(' ').collect();
    let (n, word, within) = match words.as_slice() {
        [n, word] => (n, word, None),
        [n, word, within] => (n, word, Some(lines.decimal("number of the wider group", within)?)),
        _ => return Err(lines.bad("group", rest, "<number> <word>, and the number of a wider group")),
    };
    Ok(Group { n: lines.decimal("group number", n)?, word: (*word).to_owned(), within })
}
