//! Members that follow from others and are there for readers: the witness policy and the taxonomy
//! (SPEC §12.4). A verifier writes them itself and compares.

use crate::note::{NoteAlgorithm, NoteKey};
use crate::record::{
    Activity, AgeBand, AgeGroup, Evidence, Likeness, Origin, Realism, Reason, RetractionReason, Review, Tlp,
    Vocabulary,
};
use crate::roster::{LogStatus, MemberId, Roster, quorum};

/// Names and contents of all derived members, in their order.
#[must_use]
pub(super) fn derived_members(roster: &Roster) -> Vec<(String, String)> {
    let policy = |author: &MemberId| Some((format!("core/policy/{author}"), policy(roster, author)?));
    let mut members: Vec<(String, String)> =
        roster.members.iter().filter_map(|member| policy(&member.id)).collect();
    members.push(("core/taxonomy".to_owned(), taxonomy(roster)));
    members
}

/// The C2SP tlog-policy of a member's logs: their keys, the witnesses other than the member, and how many of
/// these are a quorum (SPEC §12.4). `None` for whoever has no log but spares.
#[must_use]
pub fn policy(roster: &Roster, author: &MemberId) -> Option<String> {
    let mut text = String::new();
    for log in roster.logs().filter(|log| log.member == author && *log.status != LogStatus::Spare) {
        let key = NoteKey { name: log.origin, algorithm: NoteAlgorithm::Ed25519, key: *log.key };
        text.push_str(&format!("log {}\n", key.vkey()));
    }
    if text.is_empty() {
        return None;
    }
    let witnesses = roster.witness_keys(author);
    for (witness, key) in &witnesses {
        text.push_str(&format!("witness {witness} {}\n", key.vkey()));
    }
    match quorum(witnesses.len()) {
        None => text.push_str("quorum none\n"),
        Some(needed) => {
            let names: Vec<&str> = witnesses.iter().map(|(witness, _)| witness.as_str()).collect();
            // No member has the id `witness`, which is the group's name, or `none`, which the format keeps.
            text.push_str(&format!("group witness {needed} {}\nquorum witness\n", names.join(" ")));
        }
    }
    Some(text)
}

/// The words behind the codes of each taxonomy that the roster lists and this version has words for.
fn taxonomy(roster: &Roster) -> String {
    let mut text = String::new();
    for name in &roster.taxonomies {
        text.push_str(&format!("taxonomy {name}\n"));
        if name == "cg-taxonomy/1" {
            words::<Origin>(&mut text, "origin");
            words::<Realism>(&mut text, "realism");
            words::<Activity>(&mut text, "activity");
            words::<AgeGroup>(&mut text, "age_group");
            words::<AgeBand>(&mut text, "age_band");
            words::<Likeness>(&mut text, "likeness");
            words::<Evidence>(&mut text, "evidence");
            words::<Tlp>(&mut text, "tlp");
            words::<Review>(&mut text, "review");
            words::<Reason>(&mut text, "opinion_reason");
            words::<RetractionReason>(&mut text, "retraction_reason");
        }
    }
    text
}

fn words<T: Vocabulary>(text: &mut String, field: &str) {
    for (_, code, name) in T::TABLE {
        text.push_str(&format!("{field} {code} {name}\n"));
    }
}
