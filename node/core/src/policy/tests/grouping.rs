//! Near-duplicates: who has looked, and whether somebody must.

use super::properties::a_record;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A record and the source that it names.
type Sourced = (Stated, &'static str);

fn group(records: &[Sourced]) -> Group {
    let members = members();
    let standings: Vec<Standing> = records
        .iter()
        .map(|(record, _)| Standing {
            status: record.status,
            reason: None,
            statements: record.statements.clone(),
        })
        .collect();
    let grouped = records.iter().zip(&standings).map(|((record, source), standing)| Grouped {
        facts: record.facts(&members),
        source,
        standing: Some(standing),
    });
    Group::of(grouped, &members)
}

fn by(id: &str, review: Review) -> Stated {
    Stated { member: member(id), review: review.into(), ..Stated::default() }
}

fn agree() -> Statement {
    says(OpinionValue::Agree, None)
}

fn disagree(reason: Reason) -> Statement {
    says(OpinionValue::Disagree, Some(reason))
}

fn disputed(mut record: Stated, by: &str, reason: Reason) -> Stated {
    record.status = Status::Disputed;
    record.with(by, disagree(reason))
}

#[test]
fn what_was_looked_at_is_said_in_a_word() {
    use Review::{Dual, HotlineConfirmed, Single, Unreviewed};
    let contested = |record: Stated| Stated { status: Status::Contested, ..record };
    let waiting = |record: Stated| Stated { flooded: Some(Flooded::Waiting), ..record };
    let benign = |record: Stated| Stated { negative: Some(Negative::Members { count: 2 }), ..record };
    let cases: Vec<(Vec<Sourced>, Look, u32)> = vec![
        (vec![], Look::Unreviewed, 0),
        (vec![(by("old", Unreviewed), "old"), (by("new", Unreviewed), "new")], Look::Unreviewed, 0),
        (vec![(by("old", Single), "old")], Look::SingleReview, 1),
        (vec![(by("old", Single), "old"), (by("old", Single), "old")], Look::SingleReview, 1),
        // Importers of one list have looked once.
        (vec![(by("old", Single), "list"), (by("new", Single), "list")], Look::SingleReview, 1),
        (vec![(by("old", Single), "old"), (by("new", Single), "new")], Look::ReviewedTwice, 2),
        (vec![(by("old", Dual), "old")], Look::ReviewedTwice, 2),
        // Who agrees has looked.
        (vec![(by("old", Single).with("new", agree()), "old")], Look::ReviewedTwice, 2),
        (vec![(by("old", Unreviewed).with("new", agree()), "old")], Look::SingleReview, 1),
        (vec![(by("old", Single).with("muted", agree()), "old")], Look::SingleReview, 1),
        (vec![(by("hotline", HotlineConfirmed), "hotline")], Look::HotlineConfirmed, 2),
        // Whoever is no hotline cannot say so.
        (vec![(by("old", HotlineConfirmed), "old")], Look::Unreviewed, 0),
        (vec![(by("muted", HotlineConfirmed), "muted")], Look::Unreviewed, 0),
        // What nobody may rely on.
        (vec![(contested(by("old", Dual)), "old")], Look::Unreviewed, 0),
        (vec![(waiting(by("old", Dual)), "old"), (by("new", Single), "new")], Look::SingleReview, 1),
        // A dispute about one of them is one about all.
        (
            vec![
                (disputed(by("old", Dual), "new", Reason::Adult), "old"),
                (by("hotline", HotlineConfirmed), "h"),
            ],
            Look::Disputed,
            2,
        ),
        (vec![(disputed(by("old", Dual), "muted", Reason::Adult), "old")], Look::ReviewedTwice, 2),
        (vec![(disputed(by("old", Dual), "new", Reason::NotCg), "old")], Look::ReviewedTwice, 2),
        (vec![(by("old", Dual).with("new", disagree(Reason::Adult)), "old")], Look::ReviewedTwice, 2),
        (vec![(benign(by("old", Dual)), "old")], Look::Disputed, 2),
        (vec![(benign(by("hotline", HotlineConfirmed)), "hotline")], Look::HotlineConfirmed, 2),
    ];
    for (records, look, looks) in cases {
        let found = group(&records);
        assert_eq!((found.look, found.looks), (look, looks), "{found}");
        assert_eq!(found.look.is_needed(), !found.to_string().contains("no further look"), "{found}");
    }
}

#[test]
fn what_does_not_stand_is_no_part_of_it() {
    let retracted =
        Stated { status: Status::Retracted, ..disputed(by("old", Review::Dual), "new", Reason::Adult) };
    let gone = Stated { status: Status::Lapsed, ..by("new", Review::Dual) };
    assert_eq!(group(&[(retracted, "old"), (gone, "new")]), group(&[]));
}

fn sourced() -> impl Strategy<Value = Vec<Sourced>> {
    let source = prop::sample::select(["hotline", "old", "new", "list-a", "list-b"].as_slice());
    prop::collection::vec((a_record(), source), 0..6)
}

proptest! {
    #[test]
    fn a_record_more_never_lowers_what_was_reviewed_and_never_ends_a_dispute(
        records in sourced(), more in sourced(),
    ) {
        let before = group(&records);
        let all: Vec<Sourced> = records.into_iter().chain(more).collect();
        let after = group(&all);
        prop_assert!(after.review >= before.review);
        prop_assert!(after.looks >= before.looks && after.sources >= before.sources);
        prop_assert!(after.records >= before.records);
        prop_assert!(after.members.is_superset(&before.members));
        prop_assert!(after.reviewed_by.is_superset(&before.reviewed_by));
        prop_assert!(after.disputed_by.is_superset(&before.disputed_by));
        if !before.disputed_by.is_empty() {
            prop_assert_eq!(after.look, Look::Disputed);
        }
        // Only a dispute makes somebody look at what needed no look.
        if !before.look.is_needed() && after.look.is_needed() {
            prop_assert_eq!(after.look, Look::Disputed);
        }
    }

    #[test]
    fn the_order_of_records_makes_no_difference(records in sourced(), keys in prop::collection::vec(any::<u64>(), 6)) {
        let mut other: Vec<(u64, Sourced)> = keys.into_iter().zip(records.clone()).collect();
        other.sort_by_key(|(key, _)| *key);
        let other: Vec<Sourced> = other.into_iter().map(|(_, record)| record).collect();
        prop_assert_eq!(group(&records), group(&other));
    }

    #[test]
    fn who_is_muted_changes_nothing(records in sourced(), more in a_record()) {
        let muted = Stated { member: member("muted"), ..more };
        let with: Vec<Sourced> = records.iter().cloned().chain([(muted, "muted")]).collect();
        prop_assert_eq!(group(&records), group(&with));
    }

    #[test]
    fn copies_of_one_source_are_one_look(copiers in prop::collection::btree_set(prop::sample::select(["old", "new", "stranger"].as_slice()), 1..4)) {
        let records: Vec<Sourced> = copiers.iter().map(|id| (by(id, Review::Single), "list")).collect();
        prop_assert_eq!((group(&records).looks, group(&records).look), (1, Look::SingleReview));
        prop_assert_eq!(group(&records).reviewed_by.len(), copiers.len());
    }
}

#[test]
fn every_word_is_its_own() {
    let names: BTreeSet<&str> = Look::ALL.into_iter().map(Look::name).collect();
    assert_eq!(names.len(), Look::ALL.len());
}
