//! Rules on groups, features, hash sets, rejected rivals and terms.

use super::super::{
    FEATURES_MAX, GROUPS_MAX, HASH_SETS_MAX, Member, MemberId, REJECTED_MAX, Roster, TERMS_MAX, Term,
};
use super::{Broken, Place, RosterRule, ascending, count, number, word};
use crate::merkle::TREE_SIZE_MAX;
use std::collections::BTreeSet;

pub(super) fn check_rejected(roster: &Roster) -> Result<(), Broken> {
    count("rejected versions", roster.rejected.len(), 0, REJECTED_MAX, Place::Rejected)?;
    let mut last = None;
    for (at, rival) in roster.rejected.iter().enumerate() {
        let (version, rejected) = (roster.version, rival.version);
        // Of version 1 there is no rival: whoever states another one states another consortium.
        if rejected < 2 || rejected >= version {
            return Err((Place::Rejected(at), RosterRule::Rejected { version, rejected }));
        }
        if last.is_some_and(|last| last >= rival) {
            let rule = RosterRule::Order { what: "rejected versions", at: rival.digest.to_string() };
            return Err((Place::Rejected(at), rule));
        }
        last = Some(rival);
    }
    Ok(())
}

pub(super) fn check_hash_sets(roster: &Roster) -> Result<(), Broken> {
    let sets = &roster.hash_sets;
    count("hash sets", sets.len(), 0, HASH_SETS_MAX, Place::HashSet)?;
    for (at, set) in sets.iter().enumerate() {
        word("hash set", set).map_err(|rule| (Place::HashSet(at), rule))?;
    }
    ascending("hash sets", sets.iter().map(String::as_str), Place::HashSet)
}

pub(super) fn check_features(roster: &Roster) -> Result<(), Broken> {
    let features = &roster.features;
    count("features", features.len(), 0, FEATURES_MAX, Place::Feature)?;
    for (at, feature) in features.iter().enumerate() {
        word("feature", &feature.word).map_err(|rule| (Place::Feature(at), rule))?;
        number(Place::Feature(at), "the version that activates a feature", feature.from, 1, TREE_SIZE_MAX)?;
    }
    ascending("features", features.iter().map(|feature| feature.word.as_str()), Place::Feature)
}

/// Numbered 1, 2, 3 and so on, each named once, and inside an earlier one at most: groups form a tree.
pub(super) fn check_groups(roster: &Roster) -> Result<(), Broken> {
    count("groups", roster.groups.len(), 0, GROUPS_MAX, Place::Group)?;
    let mut words = BTreeSet::new();
    for ((at, group), expected) in roster.groups.iter().enumerate().zip(1..) {
        let refuse = |rule| Err((Place::Group(at), rule));
        if group.n != expected {
            return refuse(RosterRule::GroupNumber { expected, got: group.n });
        }
        word("group", &group.word).map_err(|rule| (Place::Group(at), rule))?;
        if !words.insert(group.word.as_str()) {
            return refuse(RosterRule::GroupTwice(group.word.clone()));
        }
        if let Some(within) = group.within.filter(|within| !(1..group.n).contains(within)) {
            return refuse(RosterRule::GroupWithin { group: group.n, within });
        }
    }
    Ok(())
}

/// What a member says about groups, its agreement and its records.
pub(super) fn check_member(at: usize, member: &Member, roster: &Roster) -> Result<(), Broken> {
    for group in &member.groups {
        let id = || member.id.clone();
        let Some(listed) = roster.group(*group) else {
            return Err((Place::InGroup(at, *group), RosterRule::NoGroup { member: id(), group: *group }));
        };
        if let Some(within) = listed.within.filter(|within| !member.groups.contains(within)) {
            let rule = RosterRule::OuterGroup { member: id(), group: *group, within };
            return Err((Place::InGroup(at, *group), rule));
        }
    }
    if let Some(version) = member.agreement {
        let what = "version of the agreement";
        number(Place::Agreement(at), what, u64::from(version), 1, u64::from(u32::MAX))?;
    }
    if member.records_lapse && member.is_active() {
        return Err((Place::Records(at), RosterRule::Lapse(member.id.clone())));
    }
    Ok(())
}

pub(super) fn check_terms(roster: &Roster) -> Result<(), Broken> {
    let terms = &roster.terms;
    let erasers = terms.erasers.iter().map(|term| (None, term));
    check_list(roster, ("erasure authority", "terms of erasure authorities"), erasers, Place::Eraser)?;
    let panel = terms.panel.iter().map(|panellist| (None, &panellist.term));
    check_list(roster, ("panellist", "terms of panellists"), panel, Place::Panellist)?;
    check_panel(roster)?;
    let declarers = terms.declarers.iter().map(|term| (None, term));
    check_list(
        roster,
        ("declarer of incidents", "terms of declarers of incidents"),
        declarers,
        Place::Declarer,
    )?;
    let stewards = terms.stewards.iter().map(|steward| (Some(&steward.of), &steward.term));
    check_list(roster, ("steward", "terms of stewards"), stewards, Place::Steward)?;
    for (at, steward) in terms.stewards.iter().enumerate() {
        let (of, member) = (steward.of.clone(), steward.term.member.clone());
        let has_left = roster.member(&of).is_some_and(|leaver| !leaver.is_active());
        if !has_left || of == member {
            return Err((Place::Steward(at), RosterRule::Steward { of, member }));
        }
    }
    Ok(())
}

/// Terms of one member follow each other without overlapping; those of stewards, for each leaver.
fn check_list<'a>(
    roster: &Roster,
    (right, list): (&'static str, &'static str),
    terms: impl ExactSizeIterator<Item = (Option<&'a MemberId>, &'a Term)>,
    place: impl Fn(usize) -> Place,
) -> Result<(), Broken> {
    count(list, terms.len(), 0, TERMS_MAX, &place)?;
    let mut last: Option<(Option<&MemberId>, &Term)> = None;
    for (at, (of, term)) in terms.enumerate() {
        let ends_early = term.until.is_some_and(|until| until <= term.from);
        if ends_early || term.from.n == 0 || roster.member(&term.member).is_none() {
            return Err((place(at), RosterRule::Term { right, member: term.member.clone() }));
        }
        let follows = last.is_none_or(|(last_of, last)| {
            (last_of, &last.member) < (of, &term.member)
                || (last_of, &last.member) == (of, &term.member)
                    && last.until.is_some_and(|until| until <= term.from)
        });
        if !follows {
            return Err((place(at), RosterRule::Order { what: list, at: term.to_string() }));
        }
        last = Some((of, term));
    }
    Ok(())
}

/// Those whose terms go on rule by one number, which is more than half of them.
fn check_panel(roster: &Roster) -> Result<(), Broken> {
    let sitting =
        || roster.terms.panel.iter().enumerate().filter(|(_, panellist)| panellist.term.until.is_none());
    let panellists = sitting().count();
    let mut first = None;
    for (at, panellist) in sitting() {
        let needed = panellist.needed;
        let before = *first.get_or_insert(needed);
        if needed != before {
            let rule = RosterRule::PanelNumber { member: panellist.term.member.clone(), before, needed };
            return Err((Place::Panellist(at), rule));
        }
        if usize::from(needed) * 2 <= panellists || usize::from(needed) > panellists {
            return Err((Place::Panellist(at), RosterRule::Panel { needed, panellists }));
        }
    }
    Ok(())
}
