//! What is different about witnesses and terms.

use super::{Found, list, place};
use hashpact_protocol::roster::{Roster, Term, quorum};

pub(super) fn compare(found: &mut Found, before: &Roster, after: &Roster) {
    of_witnesses(found, before, after);
    of_terms(
        found,
        &before.terms.erasers,
        &after.terms.erasers,
        &Words {
            right: "erasure authority",
            begins: "its orders destroy payloads of every member, after the hold",
            ends: "what it ordered before stays ordered",
        },
    );
    of_panel(found, before, after);
    of_terms(
        found,
        &before.terms.declarers,
        &after.terms.declarers,
        &Words {
            right: "declarer of incidents",
            begins: "it may declare and close incidents, whose records overtake all others",
            ends: "incidents that it declared before stay declared",
        },
    );
    of_stewards(found, before, after);
}

struct Words {
    right: &'static str,
    begins: &'static str,
    ends: &'static str,
}

fn of_witnesses(found: &mut Found, before: &Roster, after: &Roster) {
    let gone = before.witnesses.iter().filter(|id| !after.witnesses.contains(id));
    let come = after.witnesses.iter().filter(|id| !before.witnesses.contains(id));
    let (gone, come): (Vec<_>, Vec<_>) = (gone.collect(), come.collect());
    for id in &gone {
        found.say(format!("{id} is witness no more"));
    }
    for id in &come {
        found.say(format!("{id} becomes witness"));
    }
    if !(gone.is_empty() && come.is_empty()) {
        let n = after.witnesses.len();
        let means = match quorum(n) {
            None => "nobody vouches that all members see the same logs".to_owned(),
            Some(needed) => format!(
                "a log of a member who is no witness needs {needed} of {n} cosignatures; {} may be missing",
                n.saturating_sub(needed)
            ),
        };
        found.mean(format!("witnesses {} → {n}", before.witnesses.len()), means);
    }
}

/// Terms that began, and terms that ended.
fn of_terms(found: &mut Found, before: &[Term], after: &[Term], words: &Words) {
    let right = words.right;
    for term in after {
        let held = before.iter().find(|other| (&other.member, other.from) == (&term.member, term.from));
        let member = &term.member;
        match (held, term.until) {
            (None, until) => {
                found.mean(format!("{member} is {right} from {} on", place(term.from)), words.begins);
                if let Some(until) = until {
                    found.say(format!("{member} is {right} until before {}", place(until)));
                }
            }
            (Some(held), Some(until)) if held.until.is_none() => {
                found.mean(format!("{member} is {right} no more, from {} on", place(until)), words.ends);
            }
            (Some(_), _) => {}
        }
    }
}

fn sitting(roster: &Roster) -> (Vec<String>, Option<u8>) {
    let panel = || roster.terms.panel.iter().filter(|seat| seat.term.until.is_none());
    (panel().map(|seat| seat.term.member.to_string()).collect(), panel().map(|seat| seat.needed).next())
}

fn of_panel(found: &mut Found, before: &Roster, after: &Roster) {
    if before.terms.panel == after.terms.panel {
        return;
    }
    let ((was, was_needed), (now, needed)) = (sitting(before), sitting(after));
    let rule = |panel: &[String], needed: Option<u8>| match needed {
        Some(needed) => format!("{needed} of {}", panel.len()),
        None => "none".to_owned(),
    };
    found.mean(
        format!("review panel {} → {}", rule(&was, was_needed), rule(&now, needed)),
        match needed {
            Some(needed) => format!(
                "{} rule; {needed} must state the same. What was ruled before stays ruled",
                list(&now)
            ),
            None => "nobody rules from then on. What was ruled before stays ruled".to_owned(),
        },
    );
    for seat in &after.terms.panel {
        let held = before
            .terms
            .panel
            .iter()
            .find(|other| (&other.term.member, other.term.from) == (&seat.term.member, seat.term.from));
        let member = &seat.term.member;
        match (held, seat.term.until) {
            (None, _) => found.say(format!(
                "{member} sits on the review panel from {} on, where {} must agree",
                place(seat.term.from),
                seat.needed
            )),
            (Some(held), Some(until)) if held.term.until.is_none() && !now.contains(&member.to_string()) => {
                found.mean(
                    format!("{member} leaves the review panel at {}", place(until)),
                    "what it stated before goes on to count; later statements count for nothing",
                );
            }
            (Some(_), _) => {}
        }
    }
}

fn of_stewards(found: &mut Found, before: &Roster, after: &Roster) {
    let mut leavers: Vec<_> = after.terms.stewards.iter().map(|steward| &steward.of).collect();
    leavers.dedup();
    for of in leavers {
        let terms = |roster: &Roster| -> Vec<Term> {
            let stewards = roster.terms.stewards.iter().filter(|steward| steward.of == *of);
            stewards.map(|steward| steward.term.clone()).collect()
        };
        let mut ours = Found::default();
        of_terms(
            &mut ours,
            &terms(before),
            &terms(after),
            &Words {
                right: "steward",
                begins: "it retracts, replaces and erases as the member who left could have",
                ends: "what it retracted before stays retracted",
            },
        );
        for mut difference in ours.0 {
            difference.says = difference.says.replacen("steward", &format!("steward of {of}"), 1);
            found.0.push(difference);
        }
    }
}
