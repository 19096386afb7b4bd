//! Entries that come ahead of their log's end, and receipts.

use super::*;
use hashpact_protocol::digest::Root;
use hashpact_protocol::record::{Gap, Holding, Receipt};

/// Folds all entries in their order; those whose place is in `ahead` before all others, as well.
fn fold_with_ahead(script: &Script, ahead: &[usize]) -> View {
    let mut view = empty();
    for at in ahead {
        let (author, index, leaf, payload) = &script.entries[*at];
        view.fold_ahead(author, *index, leaf, payload);
        assert_eq!(view.counts(&author.log).entries(), 0, "it is counted when the log reaches it");
    }
    for (author, index, leaf, payload) in &script.entries {
        view.fold(author, *index, leaf, payload);
    }
    view
}

proptest! {
    /// What overtook changes nothing once the log has reached it: neither what stands nor what is counted.
    #[test]
    fn what_came_ahead_is_one_entry(
        choices in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..40),
        picked in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let script = script(&choices);
        let retractions: Vec<usize> = (0..script.entries.len())
            .filter(|at| {
                let (author, index, leaf, _) = &script.entries[*at];
                withdrawn_record(author, *index, leaf).is_some()
            })
            .collect();
        let mut ahead: Vec<usize> = Vec::new();
        if !retractions.is_empty() {
            ahead.extend(picked.iter().map(|index| retractions[index.index(retractions.len())]));
            ahead.sort_unstable();
            ahead.dedup();
        }
        let (view, plain) = (fold_with_ahead(&script, &ahead), script.in_order());
        prop_assert_eq!(standing(&view), standing(&plain));
        for log in script.sizes.keys() {
            prop_assert_eq!(view.counts(log), plain.counts(log));
        }
    }
}

#[test]
fn a_retraction_ahead_acts_on_what_is_held_and_on_what_is_still_to_come() {
    let mut script = Script::default();
    let (id, place) = script.content(1, 7, None);
    let retraction = Record::Retraction(Retraction::new(place, RetractionReason::Error));
    script.push(1, retraction, Some(id));
    let [(author, _, leaf, payload), (_, at, withdrawal, reason)] = script.entries.as_slice() else {
        panic!("two entries")
    };
    let mut view = View::new(NOW_MS);
    view.fold(author, 0, leaf, payload);
    let changes = view.fold_ahead(author, *at, withdrawal, reason);
    assert_eq!(changes.iter().map(|change| change.index).collect::<Vec<_>>(), [IndexChange::Remove]);
    let mut view = View::new(NOW_MS);
    assert!(view.fold_ahead(author, *at, withdrawal, reason).is_empty(), "nothing is here yet");
    let changes = view.fold(author, 0, leaf, payload);
    assert!(changes.iter().all(|change| change.index == IndexChange::Keep), "it never stands");
    assert_eq!(view.record(&id).map(|record| record.status()), Some(Status::Retracted));
}

fn receipt(about: &[(u8, u64, u64)]) -> Record {
    let holdings = about.iter().map(|(log, size, missing)| Holding {
        log: author(*log).log,
        size: *size,
        root: Root::new([9; 32]),
        missing: (*missing > 0).then_some(Gap { start: 0, count: *missing }).into_iter().collect(),
    });
    Record::Receipt(Receipt::new(holdings.collect()).expect("valid"))
}

#[test]
fn of_receipts_the_newest_about_each_log_is_kept_whatever_the_order() {
    let mut script = Script::default();
    script.push(1, receipt(&[(2, 10, 1), (3, 5, 0)]), None);
    script.push(1, receipt(&[(2, 12, 0)]), None);
    script.push(4, receipt(&[(2, 3, 2)]), None);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let view = script.fold(&order);
        let told: Vec<_> = view
            .receipts_about(&author(2).log)
            .map(|(member, stated)| (member.to_string(), stated.index, stated.holding.size))
            .collect();
        assert_eq!(told, [("member-1".to_owned(), 1, 12), ("member-4".to_owned(), 0, 3)]);
        let of_first: Vec<u64> =
            view.receipts_of(&author(1).member).map(|stated| stated.holding.size).collect();
        assert_eq!(of_first.iter().sum::<u64>(), 17);
        let held = |index| {
            let log = author(2).log;
            let mut about = view.receipts_about(&log);
            about
                .find(|(member, _)| member.as_str() == "member-4")
                .is_some_and(|(_, it)| it.holding.holds(index))
        };
        assert_eq!([held(0), held(1), held(2), held(3)], [false, false, true, false]);
        assert_eq!(view.counts(&author(1).log).statements, 2);
    }
}
