//! Beginning and ending terms.

use super::edit::PlaceOf;
use super::error::EditError;
use hashpact_protocol::roster::{LogPlace, MemberId, PanelTerm, Roster, StewardTerm, Term};
use std::fmt;

/// A right that is given for a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// May order the erasure of what others stated.
    Eraser,
    /// Is on the review panel.
    Panellist,
    /// May declare and close incidents.
    Declarer,
    /// May retract what this member, who left, had stated.
    StewardOf(MemberId),
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eraser => f.write_str("erasure authority"),
            Self::Panellist => f.write_str("panellist"),
            Self::Declarer => f.write_str("declarer of incidents"),
            Self::StewardOf(of) => write!(f, "steward of {of}"),
        }
    }
}

/// Begins a term of any right but the panel's.
pub(super) fn begin(roster: &mut Roster, right: &Right, at: &PlaceOf) -> Result<(), EditError> {
    let from = beginning(&terms_of(roster, right, &at.member), right, at)?;
    let term = Term { member: at.member.clone(), from, until: None };
    let terms = &mut roster.terms;
    match right {
        Right::Eraser => insert(&mut terms.erasers, term, |term| (term.member.clone(), term.from)),
        Right::Declarer => insert(&mut terms.declarers, term, |term| (term.member.clone(), term.from)),
        Right::StewardOf(of) => {
            let key =
                |steward: &StewardTerm| (steward.of.clone(), steward.term.member.clone(), steward.term.from);
            insert(&mut terms.stewards, StewardTerm { of: of.clone(), term }, key);
        }
        Right::Panellist => return seat(roster, 1, std::slice::from_ref(at)),
    }
    Ok(())
}

/// Ends the term that goes on.
pub(super) fn end(roster: &mut Roster, right: &Right, at: &PlaceOf) -> Result<(), EditError> {
    let no_term = || EditError::NoTerm { right: right.clone(), member: at.member.clone() };
    let until = at.place.ok_or_else(no_term)?;
    let term = going_on(roster, right, &at.member).ok_or_else(no_term)?;
    if until <= term.from {
        return Err(EditError::EndsEarly { right: right.clone(), term: term.clone(), until });
    }
    term.until = Some(until);
    Ok(())
}

/// Seats a whole panel: who sits goes on under the new number from a place on, or begins there.
pub(super) fn seat(roster: &mut Roster, needed: u8, panel: &[PlaceOf]) -> Result<(), EditError> {
    let right = Right::Panellist;
    for at in panel {
        if let Some(term) = going_on(roster, &right, &at.member) {
            let from = term.from;
            if at.place.is_none() {
                return Err(EditError::PlaceNeeded { right, member: at.member.clone(), after: from });
            }
            end(roster, &right, at)?;
        }
        let from = beginning(&terms_of(roster, &right, &at.member), &right, at)?;
        let seat = PanelTerm { needed, term: Term { member: at.member.clone(), from, until: None } };
        insert(&mut roster.terms.panel, seat, |seat| (seat.term.member.clone(), seat.term.from));
    }
    let sitting = roster.terms.panel.iter().filter(|seat| seat.term.until.is_none());
    let is_named = |member: &MemberId| panel.iter().any(|at| at.member == *member);
    match sitting.map(|seat| &seat.term.member).find(|member| !is_named(member)) {
        Some(member) => Err(EditError::PanelLeft(member.clone())),
        None => Ok(()),
    }
}

/// Where a further term begins: where it is said, or at the first entry if there was none before.
fn beginning(before: &[Term], right: &Right, at: &PlaceOf) -> Result<LogPlace, EditError> {
    let Some(last) = before.last() else { return Ok(at.place.unwrap_or(LogPlace::FIRST)) };
    let (right, member) = (right.clone(), at.member.clone());
    let Some(after) = last.until else {
        return Err(EditError::GoesOn { right, member, from: last.from });
    };
    at.place.filter(|from| *from >= after).ok_or(EditError::PlaceNeeded { right, member, after })
}

fn terms_of(roster: &Roster, right: &Right, member: &MemberId) -> Vec<Term> {
    let terms = &roster.terms;
    let of: Vec<&Term> = match right {
        Right::Eraser => terms.erasers.iter().collect(),
        Right::Panellist => terms.panel.iter().map(|seat| &seat.term).collect(),
        Right::Declarer => terms.declarers.iter().collect(),
        Right::StewardOf(of) => {
            terms.stewards.iter().filter(|steward| steward.of == *of).map(|steward| &steward.term).collect()
        }
    };
    of.into_iter().filter(|term| term.member == *member).cloned().collect()
}

fn going_on<'a>(roster: &'a mut Roster, right: &Right, member: &MemberId) -> Option<&'a mut Term> {
    let terms = &mut roster.terms;
    let is_it = |term: &&mut Term| term.member == *member && term.until.is_none();
    match right {
        Right::Eraser => terms.erasers.iter_mut().find(is_it),
        Right::Panellist => terms.panel.iter_mut().map(|seat| &mut seat.term).find(is_it),
        Right::Declarer => terms.declarers.iter_mut().find(is_it),
        Right::StewardOf(of) => {
            let of_it = terms.stewards.iter_mut().filter(|steward| steward.of == *of);
            of_it.map(|steward| &mut steward.term).find(is_it)
        }
    }
}

/// Adds to an ascending list.
fn insert<T, K: Ord>(list: &mut Vec<T>, item: T, key: impl Fn(&T) -> K) {
    let at = list.partition_point(|other| key(other) < key(&item));
    list.insert(at, item);
}
