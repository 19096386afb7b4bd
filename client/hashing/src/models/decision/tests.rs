use super::*;
use proptest::prelude::*;

mod vectors;

const SHAPE: TileShape = TileShape { rows: 64, columns: 64 };

/// Tiles whose bits are far from one another.
fn fingerprint(tiles: u8, seed: u8) -> Fingerprint {
    let bits = |nth: u8| -> Bits {
        let mut state = u32::from(nth) * 7919 + u32::from(seed) * 104_729 + 1;
        std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
    };
    let tiles = (0..tiles).map(|nth| Evidence { shape: SHAPE, bits: bits(nth) }).collect();
    Fingerprint { tiles, vectors: Vec::new() }
}

/// With `count` bits of each tile turned round.
fn changed(fingerprint: &Fingerprint, count: usize) -> Fingerprint {
    let mut changed = fingerprint.clone();
    for tile in &mut changed.tiles {
        (0..count).for_each(|bit| tile.bits[bit / 8] ^= 1 << (bit % 8));
    }
    changed
}

fn of(listed: &Fingerprint, asked: &Fingerprint) -> Verdict {
    decide(listed, asked, &[], &Thresholds::default()).verdict
}

#[test]
fn each_threshold_at_its_bound_and_one_past_it() {
    let listed = fingerprint(32, 1);
    assert_eq!(of(&listed, &changed(&listed, 31)), Verdict::Same);
    assert_eq!(of(&listed, &changed(&listed, 32)), Verdict::Review);
    assert_eq!(of(&listed, &changed(&listed, 60)), Verdict::Review);
    assert_eq!(of(&listed, &changed(&listed, 61)), Verdict::Nothing);
    assert_eq!(of(&listed, &fingerprint(32, 2)), Verdict::Nothing);
    // Eight of thirty-two tiles are a quarter; seven are too few, and eight of thirty-three too little.
    let part = |count: usize| Fingerprint { tiles: listed.tiles[..count].to_vec(), vectors: Vec::new() };
    assert_eq!(of(&listed, &part(8)), Verdict::Same);
    assert_eq!(of(&listed, &part(7)), Verdict::Nothing);
    let mut longer = listed.clone();
    longer.tiles.push(Evidence { shape: SHAPE, bits: [0x55; 32] });
    assert_eq!(of(&longer, &part(8)), Verdict::Nothing);
    // A mean that half of the tiles pull down is not enough when fewer than half are near.
    let mut mixed = changed(&listed, 40);
    mixed.tiles[..15].clone_from_slice(&listed.tiles[..15]);
    assert_eq!(of(&listed, &mixed), Verdict::Review);
    mixed.tiles[15] = listed.tiles[15];
    assert_eq!(of(&listed, &mixed), Verdict::Same);
}

#[test]
fn a_small_listing_is_for_a_person() {
    let listed = fingerprint(7, 1);
    assert_eq!(of(&listed, &changed(&listed, 31)), Verdict::Review);
    assert_eq!(of(&listed, &changed(&listed, 32)), Verdict::Nothing);
    assert_eq!(of(&Fingerprint::default(), &listed), Verdict::Nothing);
    let vectors = Fingerprint { tiles: Vec::new(), vectors: vec![[1; 32], [2; 32]] };
    assert_eq!(of(&vectors, &vectors), Verdict::Review);
    let other_shape = Evidence { shape: TileShape { rows: 64, columns: 65 }, ..listed.tiles[0] };
    let other = Fingerprint { tiles: vec![other_shape; 9], vectors: Vec::new() };
    assert_eq!(compare(&listed, &other, &Thresholds::default()).pairs, 0, "shapes keep tiles apart");
}

#[test]
fn a_nearer_benign_model_wins() {
    let listed = fingerprint(20, 1);
    let asked = changed(&listed, 25);
    let (near, far) = (changed(&listed, 30), fingerprint(20, 9));
    let decide = |benign: &[&Fingerprint]| decide(&listed, &asked, benign, &Thresholds::default());
    let decision = decide(&[&far, &near]);
    assert_eq!((decision.verdict, decision.nearest_benign.unwrap().0), (Verdict::Nothing, 1));
    let decision = decide(&[&far]);
    assert_eq!((decision.verdict, decision.nearest_benign.unwrap().0), (Verdict::Same, 0));
    // A benign model that is nearer by a few tiles only does not shield.
    let few = Fingerprint { tiles: asked.tiles[..2].to_vec(), vectors: Vec::new() };
    assert_eq!(decide(&[&few]).verdict, Verdict::Same);
}

#[test]
fn one_member_alone_shields_nothing() {
    let new = fingerprint(20, 1);
    let (near, far) = (changed(&new, 64), changed(&new, 65));
    let refused =
        |benign: &[(&Fingerprint, u32)]| refusal(&new, benign, &Thresholds::default()).map(|(nth, _)| nth);
    assert_eq!(refused(&[(&far, 5), (&near, 2)]), Some(1));
    assert_eq!(refused(&[(&near, 1)]), None);
    assert_eq!(refused(&[(&far, 5)]), None);
    let sliver = Fingerprint { tiles: new.tiles[..4].to_vec(), vectors: Vec::new() };
    assert_eq!(refused(&[(&sliver, 2)]), None, "a fifth of the tiles is no ground for refusal");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn order_plays_no_part(tiles in 1u8..40, bits in 0usize..100, turn in 0usize..40) {
        let listed = fingerprint(tiles, 1);
        let mut asked = changed(&listed, bits);
        let before = compare(&listed, &asked, &Thresholds::default());
        let length = asked.tiles.len();
        asked.tiles.rotate_left(turn % length);
        let after = compare(&listed, &asked, &Thresholds::default());
        prop_assert_eq!(before, after);
    }

    #[test]
    fn many_tiles_of_one_shape_take_bounded_time(tiles in 4000usize..4200) {
        let asked = Fingerprint { tiles: vec![Evidence { shape: SHAPE, bits: [3; 32] }; tiles], vectors: Vec::new() };
        let found = compare(&asked, &asked, &Thresholds::default());
        prop_assert_eq!(found.pairs as usize, tiles);
    }
}
