//! What is a flood, and what becomes of its entries.

use super::*;
use crate::policy::flood::FloodEntry;
use hashpact_protocol::digest::LogId;
use proptest::prelude::*;

const LIMITS: FloodLimits = FloodLimits { contributions_per_hour: 10, withdrawals_per_hour: 5 };
const HOUR_MS: u64 = 3_600_000;

fn log() -> LogId {
    LogId::of_origin("test-0011223344556677/old/1")
}

/// Notes a run of entries from a leaf index on, all at one time.
fn note(floods: &mut Floods, kind: FloodKind, indexes: std::ops::Range<u64>, time_ms: u64, now_ms: u64) {
    for index in indexes {
        let withdrawn = (kind == FloodKind::Withdrawals).then_some(1_000 + index);
        let entry = FloodEntry { kind, member: &member("old"), log: log(), index, time_ms, withdrawn };
        floods.note(&entry, now_ms);
    }
}

fn id(kind: FloodKind, time_ms: u64) -> FloodId {
    FloodId { kind, member: member("old"), hour: time_ms / HOUR_MS }
}

#[test]
fn an_hour_beyond_the_floor_waits_as_a_whole_until_somebody_decides() {
    let mut floods = Floods::new(LIMITS, []);
    note(&mut floods, FloodKind::Contributions, 0..10, NOW_MS, NOW_MS);
    assert!(floods.settle().is_empty(), "the floor itself is no flood");
    note(&mut floods, FloodKind::Contributions, 10..11, NOW_MS, NOW_MS);
    assert_eq!(floods.contribution(&log(), 3), None, "not before it is looked at");
    let flood = id(FloodKind::Contributions, NOW_MS);
    assert_eq!(floods.settle(), std::slice::from_ref(&flood));
    assert!(floods.settle().is_empty(), "told once");
    note(&mut floods, FloodKind::Contributions, 11..20, NOW_MS, NOW_MS);
    note(&mut floods, FloodKind::Contributions, 20..22, NOW_MS + 2 * HOUR_MS, NOW_MS + 2 * HOUR_MS);
    for (index, expected) in [(0, Some(Flooded::Waiting)), (19, Some(Flooded::Waiting)), (20, None)] {
        assert_eq!(floods.contribution(&log(), index), expected, "{index}");
    }
    assert_eq!((floods.waiting(), floods.get(&flood).map(|flood| flood.count)), (1, Some(20)));
    for (decision, expected) in [
        (Decision::Accepted, None),
        (Decision::Rejected, Some(Flooded::Rejected)),
        (Decision::Waiting, Some(Flooded::Waiting)),
    ] {
        assert!(floods.decide(&flood, decision));
        assert_eq!(floods.contribution(&log(), 4), expected);
    }
    assert!(!floods.decide(&id(FloodKind::Withdrawals, NOW_MS), Decision::Accepted));
}

#[test]
fn a_member_that_always_works_much_may_go_on() {
    let mut floods = Floods::new(LIMITS, []);
    // Fifteen of the 28 days before hold a hundred entries each: the median is a hundred.
    for day in 1..=15 {
        let then_ms = NOW_MS - day * 24 * HOUR_MS;
        for hour in 0..10 {
            note(&mut floods, FloodKind::Contributions, 0..10, then_ms + hour * 1_000, then_ms);
        }
    }
    floods.settle();
    let before = floods.found().count();
    note(&mut floods, FloodKind::Contributions, 500..600, NOW_MS, NOW_MS);
    floods.settle();
    assert_eq!(floods.found().count(), before, "as much in an hour as on a usual day");
    note(&mut floods, FloodKind::Contributions, 600..601, NOW_MS, NOW_MS);
    assert_eq!(floods.settle(), [id(FloodKind::Contributions, NOW_MS)]);
}

#[test]
fn who_dates_entries_ahead_lands_in_the_present() {
    let mut floods = Floods::new(LIMITS, []);
    for hour in 0..20 {
        note(&mut floods, FloodKind::Contributions, hour..hour + 1, NOW_MS + hour * HOUR_MS, NOW_MS);
    }
    assert_eq!(floods.settle(), [id(FloodKind::Contributions, NOW_MS)]);
}

#[test]
fn withdrawals_of_a_flood_do_not_count_until_they_are_accepted() {
    let mut floods = Floods::new(LIMITS, []);
    note(&mut floods, FloodKind::Withdrawals, 0..5, NOW_MS, NOW_MS);
    floods.settle();
    assert!(floods.withheld().is_empty());
    note(&mut floods, FloodKind::Withdrawals, 5..7, NOW_MS, NOW_MS);
    let [flood] = floods.settle().try_into().expect("one flood");
    assert_eq!(floods.withheld(), (1_000..1_007).collect(), "those before it was one, too");
    floods.decide(&flood, Decision::Accepted);
    assert!(floods.withheld().is_empty());
    floods.decide(&flood, Decision::Rejected);
    assert_eq!(floods.withheld().len(), 7);
    assert_eq!(floods.contribution(&log(), 3), None, "what it withdraws is elsewhere");
}

#[test]
fn a_flood_that_was_found_survives_a_restart_in_another_hour() {
    let mut floods = Floods::new(LIMITS, []);
    for hour in 0..7 {
        note(&mut floods, FloodKind::Withdrawals, hour..hour + 1, NOW_MS + hour * HOUR_MS, NOW_MS);
    }
    assert_eq!(floods.settle().len(), 1);
    let kept: Vec<Flood> = floods.found().cloned().collect();
    let later_ms = NOW_MS + 100 * HOUR_MS;
    let mut again = Floods::new(LIMITS, kept);
    for hour in 0..7 {
        note(&mut again, FloodKind::Withdrawals, hour..hour + 1, NOW_MS + hour * HOUR_MS, later_ms);
    }
    assert!(again.settle().is_empty(), "they are spread over hours now");
    assert_eq!(again.withheld(), floods.withheld());
}

#[test]
fn names_of_floods_have_one_spelling() {
    let flood = id(FloodKind::Withdrawals, NOW_MS);
    assert_eq!(flood.to_string(), "withdrawals.old.500000");
    assert_eq!(FloodId::parse("withdrawals.old.500000"), Some(flood));
    for wrong in [
        "",
        "withdrawals.old",
        "withdrawals.old.0500000",
        "withdrawals.old.+1",
        "withdrawals.Old.1",
        "x.old.1",
        "withdrawals.old.1.2",
    ] {
        assert_eq!(FloodId::parse(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_is_a_flood_does_not_depend_on_the_order(
        (entries, order) in prop::collection::vec((0..6_u64, 0..3_u64), 0..80)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
    ) {
        let fold = |entries: &[(u64, u64)]| {
            let mut floods = Floods::new(LIMITS, []);
            for (day, hour) in entries {
                let time_ms = NOW_MS - day * 24 * HOUR_MS - hour * HOUR_MS;
                let entry = FloodEntry {
                    kind: FloodKind::Contributions, member: &member("old"), log: log(), index: *day, time_ms, withdrawn: None,
                };
                floods.note(&entry, NOW_MS);
            }
            floods.settle();
            floods.found().cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(fold(&entries), fold(&order));
    }
}
