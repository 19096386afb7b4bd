//! Edits of a roster.

use super::error::EditError;
use super::terms::{Right, begin, end, seat};
use hashpact_protocol::digest::{Root, RosterDigest, empty_root};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{
    Feature, GovernanceKey, Group, LogEntry, LogPlace, LogStatus, Member, MemberId, MemberStatus, Rejected,
    Role, Roster,
};

/// A member, and where a term of it begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOf {
    /// The member.
    pub member: MemberId,
    /// The place; where it may be left out, the member's first entry.
    pub place: Option<LogPlace>,
}

/// One change of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// How many governance keys must sign.
    Threshold(u8),
    /// A new governance key, or a new key under an old name.
    Governance(GovernanceKey),
    /// A governance key goes.
    NoGovernance(String),
    /// A taxonomy comes or goes.
    Taxonomy(String, bool),
    /// A hash set is registered, or is not any more.
    HashSet(String, bool),
    /// A feature is in use from a version on; from this one if none is said.
    Feature(String, Option<u64>),
    /// A new group, perhaps a part of another one.
    Group(String, Option<String>),
    /// A member joins.
    Join(Box<Member>),
    /// A member leaves; its open log is closed in the same proposal.
    Leave(MemberId),
    /// A member's display name.
    Name(MemberId, String),
    /// A member takes a role on, or lays it down.
    Role(MemberId, Role, bool),
    /// A member comes into a group and those around it, or goes out of it.
    InGroup(MemberId, String, bool),
    /// A member's card key.
    CardKey(MemberId, PublicKey),
    /// A member's cosigner key.
    CosignerKey(MemberId, PublicKey),
    /// From when on a member may have payloads, in seconds since 1970.
    History(MemberId, u64),
    /// Entries that a member may append a day.
    Quota(MemberId, u64),
    /// Priority entries that a member may append a day.
    Priority(MemberId, u64),
    /// Version of the agreement that a member signed.
    Agreement(MemberId, u32),
    /// Whether the records of a member who left lapse.
    Lapse(MemberId, bool),
    /// The open log of a member ends.
    Close(MemberId, u64, Root),
    /// A further log of a member is authorised in advance.
    Spare(MemberId, PublicKey),
    /// The first spare log of a member opens.
    OpenSpare(MemberId),
    /// A member becomes a witness, or is one no longer.
    Witness(MemberId, bool),
    /// A term begins.
    Begin(Right, PlaceOf),
    /// A term ends.
    End(Right, PlaceOf),
    /// The review panel: how many must agree, and who sits on it from where on.
    Panel(u8, Vec<PlaceOf>),
    /// Seconds until retracted payloads are destroyed.
    Retention(u64),
    /// Seconds that an erasure waits.
    Hold(u64),
    /// A rival is rejected.
    Reject(Rejected),
}

/// The version after this one, before any edit: made now, valid for as long as said.
#[must_use]
pub fn successor(held: &Roster, digest: RosterDigest, now_s: u64, valid_s: u64) -> Roster {
    let created_s = now_s.max(held.created_s);
    Roster {
        version: held.version.saturating_add(1),
        previous: Some(digest),
        rejected: Vec::new(),
        created_s,
        expires_s: created_s.saturating_add(valid_s),
        ..held.clone()
    }
}

/// Makes one edit.
///
/// # Errors
/// It cannot be made. The roster may be changed in part: edits belong on a copy.
pub fn apply(roster: &mut Roster, edit: Edit) -> Result<(), EditError> {
    match edit {
        Edit::Threshold(threshold) => set(&mut roster.threshold, threshold, "threshold"),
        Edit::Governance(key) => add_governance(roster, key),
        Edit::NoGovernance(name) => remove_governance(roster, &name),
        Edit::Taxonomy(word, is_listed) => change_word(&mut roster.taxonomies, "taxonomy", word, is_listed),
        Edit::HashSet(word, is_listed) => change_word(&mut roster.hash_sets, "hash set", word, is_listed),
        Edit::Feature(word, from) => add_feature(roster, word, from),
        Edit::Group(word, within) => add_group(roster, word, within.as_deref()),
        Edit::Join(member) => join(roster, *member),
        Edit::Leave(id) => leave(roster, &id),
        Edit::Role(id, role, has) => change_role(roster, &id, role, has),
        Edit::InGroup(id, word, is_in) => change_group(roster, &id, &word, is_in),
        Edit::Lapse(id, lapse) => change_lapse(roster, &id, lapse),
        Edit::Close(id, size, root) => close(roster, &id, size, root),
        Edit::Spare(id, key) => add_spare(roster, &id, key),
        Edit::OpenSpare(id) => open_spare(roster, &id),
        Edit::Witness(id, is_witness) => change_witness(roster, id, is_witness),
        Edit::Begin(right, at) => {
            require(roster, &at.member)?;
            begin(roster, &right, &at)
        }
        Edit::End(right, at) => {
            require(roster, &at.member)?;
            end(roster, &right, &at)
        }
        Edit::Panel(needed, panel) => {
            panel.iter().try_for_each(|at| require(roster, &at.member))?;
            seat(roster, needed, &panel)
        }
        Edit::Retention(seconds) => set(&mut roster.retention_s, seconds, "retention"),
        Edit::Hold(seconds) => set(&mut roster.hold_s, seconds, "hold"),
        Edit::Reject(rival) => {
            roster.rejected.push(rival);
            roster.rejected.sort_unstable();
            Ok(())
        }
        of_member => change_member(roster, of_member),
    }
}

/// Edits of one field of one member.
fn change_member(roster: &mut Roster, edit: Edit) -> Result<(), EditError> {
    match edit {
        Edit::Name(id, name) => set(&mut member(roster, &id)?.name, name, "name"),
        Edit::CardKey(id, key) => set(&mut active(roster, &id)?.card_key, key, "card key"),
        Edit::CosignerKey(id, key) => set(&mut active(roster, &id)?.cosigner_key, Some(key), "cosigner key"),
        Edit::History(id, start_s) => {
            set(&mut member(roster, &id)?.history_start_s, start_s, "history start")
        }
        Edit::Quota(id, entries) => set(&mut member(roster, &id)?.quota_entries_per_day, entries, "quota"),
        Edit::Priority(id, entries) => {
            set(&mut member(roster, &id)?.priority_entries_per_day, entries, "quota of priority entries")
        }
        Edit::Agreement(id, version) => {
            set(&mut member(roster, &id)?.agreement, Some(version), "version of the agreement")
        }
        _ => Ok(()),
    }
}

fn already(what: impl Into<String>) -> EditError {
    EditError::Already(what.into())
}

fn set<T: PartialEq>(held: &mut T, given: T, what: &str) -> Result<(), EditError> {
    if *held == given {
        return Err(already(format!("the {what} is this already")));
    }
    *held = given;
    Ok(())
}

fn member<'a>(roster: &'a mut Roster, id: &MemberId) -> Result<&'a mut Member, EditError> {
    require(roster, id)?;
    let none = EditError::NoMember { member: id.clone(), known: Vec::new() };
    roster.members.iter_mut().find(|member| member.id == *id).ok_or(none)
}

fn active<'a>(roster: &'a mut Roster, id: &MemberId) -> Result<&'a mut Member, EditError> {
    let member = member(roster, id)?;
    if member.is_active() { Ok(member) } else { Err(EditError::HasLeft(id.clone())) }
}

fn require(roster: &Roster, id: &MemberId) -> Result<(), EditError> {
    if roster.member(id).is_some() {
        return Ok(());
    }
    let known = roster.members.iter().map(|member| member.id.to_string()).collect();
    Err(EditError::NoMember { member: id.clone(), known })
}

fn add_governance(roster: &mut Roster, key: GovernanceKey) -> Result<(), EditError> {
    match roster.governance.iter_mut().find(|held| held.name == key.name) {
        Some(held) => return set(&mut held.key, key.key, "governance key"),
        None => roster.governance.push(key),
    }
    roster.governance.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

fn remove_governance(roster: &mut Roster, name: &str) -> Result<(), EditError> {
    let at = roster.governance.iter().position(|held| held.name == name);
    let known = || roster.governance.iter().map(|held| held.name.clone()).collect();
    let at = at.ok_or_else(|| EditError::NoGovernance { name: name.to_owned(), known: known() })?;
    roster.governance.remove(at);
    Ok(())
}

fn change_word(list: &mut Vec<String>, what: &str, word: String, is_listed: bool) -> Result<(), EditError> {
    match (list.binary_search(&word), is_listed) {
        (Ok(_), true) => Err(already(format!("{what} {word} is listed"))),
        (Err(_), false) => Err(already(format!("{what} {word} is not listed"))),
        (Ok(at), false) => {
            list.remove(at);
            Ok(())
        }
        (Err(at), true) => {
            list.insert(at, word);
            Ok(())
        }
    }
}

fn add_feature(roster: &mut Roster, word: String, from: Option<u64>) -> Result<(), EditError> {
    let from = from.unwrap_or(roster.version);
    match roster.features.iter_mut().find(|held| held.word == word) {
        Some(held) => return set(&mut held.from, from, "version of the feature"),
        None => roster.features.push(Feature { word, from }),
    }
    roster.features.sort_by(|a, b| a.word.cmp(&b.word));
    Ok(())
}

fn group_number(roster: &Roster, word: &str) -> Result<u32, EditError> {
    let known = || roster.groups.iter().map(|group| group.word.clone()).collect();
    let found = roster.group_named(word).map(|group| group.n);
    found.ok_or_else(|| EditError::NoGroup { word: word.to_owned(), known: known() })
}

fn add_group(roster: &mut Roster, word: String, within: Option<&str>) -> Result<(), EditError> {
    if roster.group_named(&word).is_some() {
        return Err(already(format!("group {word} is listed")));
    }
    let within = within.map(|within| group_number(roster, within)).transpose()?;
    let n = roster.groups.last().map_or(1, |last| last.n.saturating_add(1));
    roster.groups.push(Group { n, word, within });
    Ok(())
}

fn change_group(roster: &mut Roster, id: &MemberId, word: &str, is_in: bool) -> Result<(), EditError> {
    let n = group_number(roster, word)?;
    let around: Vec<u32> =
        roster.groups.iter().map(|group| group.n).filter(|outer| roster.is_within(n, *outer)).collect();
    let inside: Vec<(u32, String)> = roster
        .groups
        .iter()
        .filter(|group| group.n != n && roster.is_within(group.n, n))
        .map(|group| (group.n, group.word.clone()))
        .collect();
    let member = member(roster, id)?;
    if member.groups.contains(&n) == is_in {
        let is = if is_in { "is" } else { "is not" };
        return Err(already(format!("{id} {is} in {word}")));
    }
    if is_in {
        member.groups.extend(around);
        return Ok(());
    }
    if let Some((_, inner)) = inside.into_iter().find(|(inner, _)| member.groups.contains(inner)) {
        return Err(EditError::InnerGroup { member: id.clone(), word: word.to_owned(), inner });
    }
    member.groups.remove(&n);
    Ok(())
}

fn join(roster: &mut Roster, member: Member) -> Result<(), EditError> {
    match roster.members.binary_search_by(|held| held.id.cmp(&member.id)) {
        Ok(_) => Err(EditError::Taken(member.id)),
        Err(at) => {
            roster.members.insert(at, member);
            Ok(())
        }
    }
}

/// Spare logs of a leaver end empty, and it witnesses no more.
fn leave(roster: &mut Roster, id: &MemberId) -> Result<(), EditError> {
    let leaver = active(roster, id)?;
    if let Some(open) = leaver.open_log() {
        return Err(EditError::LogOpen { member: id.clone(), n: open.n });
    }
    leaver.status = MemberStatus::Left;
    for log in &mut leaver.logs {
        if log.status == LogStatus::Spare {
            log.status = LogStatus::Closed { size: 0, root: empty_root() };
        }
    }
    roster.witnesses.retain(|witness| witness != id);
    Ok(())
}

fn change_role(roster: &mut Roster, id: &MemberId, role: Role, has: bool) -> Result<(), EditError> {
    let roles = &mut member(roster, id)?.roles;
    let is_new = if has { roles.insert(role) } else { roles.remove(&role) };
    let is = if has { "has" } else { "has not" };
    if is_new { Ok(()) } else { Err(already(format!("{id} {is} the role {}", role.name()))) }
}

fn change_lapse(roster: &mut Roster, id: &MemberId, lapse: bool) -> Result<(), EditError> {
    let member = member(roster, id)?;
    if member.is_active() {
        return Err(EditError::TakesPart(id.clone()));
    }
    set(&mut member.records_lapse, lapse, "word on these records")
}

fn close(roster: &mut Roster, id: &MemberId, size: u64, root: Root) -> Result<(), EditError> {
    let logs = &mut active(roster, id)?.logs;
    let open = logs.iter_mut().find(|log| log.status == LogStatus::Open);
    open.ok_or_else(|| EditError::NoOpenLog(id.clone()))?.status = LogStatus::Closed { size, root };
    Ok(())
}

fn add_spare(roster: &mut Roster, id: &MemberId, key: PublicKey) -> Result<(), EditError> {
    let logs = &mut active(roster, id)?.logs;
    let n = logs.last().map_or(1, |last| last.n.saturating_add(1));
    logs.push(LogEntry { n, key, status: LogStatus::Spare });
    Ok(())
}

fn open_spare(roster: &mut Roster, id: &MemberId) -> Result<(), EditError> {
    let member = active(roster, id)?;
    if let Some(open) = member.open_log() {
        return Err(EditError::StillOpen { member: id.clone(), n: open.n });
    }
    let spare = member.logs.iter_mut().find(|log| log.status == LogStatus::Spare);
    spare.ok_or_else(|| EditError::NoSpare(id.clone()))?.status = LogStatus::Open;
    Ok(())
}

fn change_witness(roster: &mut Roster, id: MemberId, is_witness: bool) -> Result<(), EditError> {
    require(roster, &id)?;
    match (roster.witnesses.binary_search(&id), is_witness) {
        (Ok(_), true) => Err(already(format!("{id} is a witness"))),
        (Err(_), false) => Err(already(format!("{id} is no witness"))),
        (Ok(at), false) => {
            roster.witnesses.remove(at);
            Ok(())
        }
        (Err(at), true) => {
            roster.witnesses.insert(at, id);
            Ok(())
        }
    }
}
