use super::*;
use proptest::prelude::*;

mod vectors;

const SQUARE: Class = Class::Tile { rows: 64, columns: 64 };

/// Tiles whose bits are far from one another.
fn fingerprint(tiles: u64, seed: u64) -> Fingerprint {
    (0..tiles).map(|nth| (SQUARE, vectors::tile(seed, nth))).collect()
}

/// With `count` bits of each tile turned round.
fn changed(fingerprint: &Fingerprint, count: usize) -> Fingerprint {
    fingerprint.iter().map(|(class, bits)| (class, vectors::turned(*bits, count))).collect()
}

fn of(listed: &Fingerprint, asked: &Fingerprint) -> Verdict {
    decide(listed, asked, &[], &Thresholds::default()).verdict
}

fn first(fingerprint: &Fingerprint, count: usize) -> Fingerprint {
    fingerprint.iter().take(count).map(|(class, bits)| (class, *bits)).collect()
}

#[test]
fn each_threshold_at_its_bound_and_one_past_it() {
    let listed = fingerprint(32, 1);
    for (bits, verdict) in
        [(31, Verdict::Same), (32, Verdict::Review), (60, Verdict::Review), (61, Verdict::Nothing)]
    {
        assert_eq!(of(&listed, &changed(&listed, bits)), verdict, "{bits} bits");
    }
    assert_eq!(of(&listed, &fingerprint(32, 2)), Verdict::Nothing);
    // Eight of thirty-two tiles are a quarter; seven are too few, and eight of thirty-three too little.
    assert_eq!(of(&listed, &first(&listed, 8)), Verdict::Same);
    assert_eq!(of(&listed, &first(&listed, 7)), Verdict::Nothing);
    assert_eq!(of(&fingerprint(33, 1), &first(&fingerprint(33, 1), 8)), Verdict::Nothing);
}

#[test]
fn a_small_listing_is_for_a_person() {
    let listed = fingerprint(7, 1);
    assert_eq!(of(&listed, &changed(&listed, 31)), Verdict::Review);
    assert_eq!(of(&listed, &changed(&listed, 32)), Verdict::Nothing);
    assert_eq!(of(&Fingerprint::default(), &listed), Verdict::Nothing);
    let other: Fingerprint =
        listed.iter().map(|(_, bits)| (Class::Tile { rows: 64, columns: 65 }, *bits)).collect();
    assert_eq!(compare(&listed, &other, &Thresholds::default()).pairs, 0, "shapes keep tiles apart");
}

#[test]
fn a_nearer_benign_model_wins() {
    let listed = fingerprint(20, 1);
    let asked = changed(&listed, 25);
    let (near, far) = (changed(&listed, 30), fingerprint(20, 9));
    let decide = |benign: &[&Fingerprint]| {
        let decision = decide(&listed, &asked, benign, &Thresholds::default());
        (decision.verdict, decision.nearest_benign.map(|(nth, _)| nth))
    };
    assert_eq!(decide(&[&far, &near]), (Verdict::Nothing, Some(1)));
    assert_eq!(decide(&[&far]), (Verdict::Same, Some(0)));
    // One that is nearer by a few tiles only does not shield, and neither does one that is as near.
    assert_eq!(decide(&[&first(&asked, 2)]).0, Verdict::Same);
    assert_eq!(decide(&[&listed]).0, Verdict::Same);
}

#[test]
fn a_listing_near_a_benign_model_is_refused() {
    let new = fingerprint(20, 1);
    let (near, far) = (changed(&new, 64), changed(&new, 65));
    let refused = |benign: &[&Fingerprint]| refusal(&new, benign, &Thresholds::default()).map(|(nth, _)| nth);
    assert_eq!(refused(&[&far, &near]), Some(1));
    assert_eq!(refused(&[&far]), None);
    assert_eq!(refused(&[&first(&new, 7)]), None, "seven tiles are no ground for refusal");
    assert_eq!(refused(&[&first(&new, 8)]), Some(0));
    let small = first(&new, 3);
    assert!(refusal(&small, &[&small], &Thresholds::default()).is_some(), "all of it");
    assert!(refusal(&Fingerprint::default(), &[&new], &Thresholds::default()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn order_plays_no_part(tiles in 1u64..40, bits in 0usize..100, turn in 0usize..40) {
        let listed = fingerprint(tiles, 1);
        let asked = changed(&listed, bits);
        let mut turned: Vec<_> = asked.iter().map(|(class, bits)| (class, *bits)).collect();
        turned.rotate_left(turn % tiles as usize);
        prop_assert_eq!(&asked, &turned.into_iter().collect::<Fingerprint>());
        let (there, back) = (compare(&listed, &asked, &Thresholds::default()), compare(&asked, &listed, &Thresholds::default()));
        prop_assert_eq!((there.pairs, there.near > 0), (back.pairs, back.near > 0));
    }

    #[test]
    fn farther_is_never_worth_more(
        listed in 1u64..64, pairs in 1u64..64, sum in 0u64..8000, near in 0u64..64, more in 1u64..500, fewer in 0u64..8,
    ) {
        let (pairs, near) = (pairs.min(listed), near.min(pairs).min(listed));
        let found = Comparison { listed, pairs, sum_bits: sum, near, ..Comparison::default() };
        let farther = Comparison { sum_bits: sum + more, near: near.saturating_sub(fewer), ..found };
        let thresholds = Thresholds::default();
        prop_assert!(verdict(&farther, &thresholds) <= verdict(&found, &thresholds));
        let less = Comparison { listed: listed + more, ..found };
        prop_assert!(verdict(&less, &thresholds) <= verdict(&found, &thresholds).max(Verdict::Review));
    }

    #[test]
    fn unrelated_tiles_beside_it_change_nothing(tiles in 8u64..40, bits in 0usize..31, others in 1u64..200) {
        let listed = fingerprint(tiles, 1);
        let asked = changed(&listed, bits);
        let longer: Fingerprint = asked.iter().chain(fingerprint(others, 7).iter()).map(|(class, bits)| (class, *bits)).collect();
        prop_assert_eq!(of(&listed, &longer), Verdict::Same);
        prop_assert_eq!(of(&listed, &asked), Verdict::Same);
    }

    #[test]
    fn another_benign_model_never_makes_it_more(tiles in 1u64..30, bits in 0usize..80, other in 0usize..80) {
        let listed = fingerprint(tiles, 1);
        let (asked, benign) = (changed(&listed, bits), changed(&listed, other));
        let with = decide(&listed, &asked, &[&benign], &Thresholds::default());
        let alone = of(&listed, &asked);
        prop_assert!(with.verdict <= alone);
        // What is the listed model itself stays it; what is a benign one itself is nothing.
        if bits == 0 {
            prop_assert_eq!(with.verdict, alone);
        } else if other == bits {
            prop_assert_eq!(with.verdict, Verdict::Nothing);
        }
    }

    #[test]
    fn many_tiles_of_one_shape_take_bounded_time(tiles in 4000u64..4100) {
        let asked = fingerprint(tiles, 3);
        let found = compare(&asked, &asked, &Thresholds::default());
        prop_assert_eq!((found.pairs, found.sum_bits), (tiles, 0));
    }
}
