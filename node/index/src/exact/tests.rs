use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;

use super::save::LoadError;
use super::*;

const SEED: [u8; 32] = [7; 32];
const LIMITS: LoadLimits = LoadLimits { width_max: 4096, input_bytes: 1 << 24 };

type Pairs = BTreeSet<(u8, Vec<u8>, u64)>;

/// Values that differ only at their end, as those of an attacker or of a counter might.
fn value(number: u64, width: usize) -> Vec<u8> {
    let mut value = vec![0xab; width];
    let (bytes, len) = (number.to_be_bytes(), width.min(8));
    value[width - len..].copy_from_slice(&bytes[8 - len..]);
    value
}

fn pairs(maps: &ExactMaps) -> Pairs {
    let mut pairs = Pairs::new();
    maps.for_each(|kind, value, record| {
        assert!(pairs.insert((kind, value.to_vec(), record)), "shown twice");
    });
    pairs
}

fn saved(maps: &ExactMaps) -> Vec<u8> {
    let mut bytes = Vec::new();
    maps.save_into(&mut bytes).expect("a vector takes everything");
    bytes
}

fn load(seed: &[u8; 32], mut bytes: &[u8]) -> Result<ExactMaps, LoadError> {
    let limits = LoadLimits { input_bytes: bytes.len() as u64, ..LIMITS };
    let maps = ExactMaps::load_from(seed, &mut bytes, limits)?;
    assert!(bytes.is_empty(), "everything was read");
    Ok(maps)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, Vec<u8>, u64),
    Remove(u8, Vec<u8>, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let width = prop_oneof![Just(0_usize), Just(1), Just(16), Just(20), Just(32), Just(33), Just(144)];
    let record = prop_oneof![8 => 0..4_u64, 1 => u64::MAX - 1..=u64::MAX];
    (any::<bool>(), 2..4_u8, width, 0..400_u64, record).prop_map(|(insert, kind, width, number, record)| {
        // Few enough for the same pair to come again.
        let value = value(if width > 20 { number % 5 } else { number }, width);
        if insert { Step::Insert(kind, value, record) } else { Step::Remove(kind, value, record) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_maps_hold_what_a_set_of_pairs_holds(steps in proptest::collection::vec(step(), 0..2500)) {
        let (maps, mut model) = (ExactMaps::with_seed(&SEED), Pairs::new());
        for step in &steps {
            let (Step::Insert(kind, value, record) | Step::Remove(kind, value, record)) = step;
            let pair = (*kind, value.clone(), *record);
            match step {
                Step::Insert(..) => prop_assert_eq!(maps.insert(*kind, value, *record), model.insert(pair)),
                Step::Remove(..) => prop_assert_eq!(maps.remove(*kind, value, *record), model.remove(&pair)),
            }
            let range = model.range((*kind, value.clone(), 0)..=(*kind, value.clone(), u64::MAX));
            prop_assert_eq!(maps.query(*kind, value), range.map(|pair| pair.2).collect::<Vec<_>>());
        }
        prop_assert_eq!(&pairs(&maps), &model);
        for other in 2..4 {
            let postings = model.iter().filter(|(kind, ..)| *kind == other);
            let mut values: Vec<&Vec<u8>> = postings.map(|(_, value, _)| value).collect();
            let postings = values.len() as u64;
            values.dedup();
            let expected = SignalStats { values: values.len() as u64, postings };
            prop_assert_eq!(maps.stats().get(&other).copied().unwrap_or_default(), expected);
        }
        let again = load(&SEED, &saved(&maps)).expect("what was saved");
        prop_assert_eq!(&pairs(&again), &model);
        prop_assert_eq!(again.stats(), maps.stats());
        let elsewhere = load(&[8; 32], &saved(&maps)).expect("what was saved, under another seed");
        prop_assert_eq!(&pairs(&elsewhere), &model);
    }

    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ExactMaps::load_from(&SEED, &mut bytes.as_slice(), LIMITS);
    }
}

/// Small and large lists, several widths.
fn mixed() -> ExactMaps {
    let maps = ExactMaps::with_seed(&SEED);
    for number in 0..60 {
        maps.insert(2, &value(number, 16), number);
        maps.insert(4, &value(number, 33), number);
        maps.insert(4, &value(number % 7, 32), number << 30);
    }
    maps
}

#[test]
fn truncated_input_is_refused_at_every_length() {
    let bytes = saved(&mixed());
    for len in 0..bytes.len() {
        assert!(matches!(load(&SEED, &bytes[..len]), Err(LoadError::Io(_))), "{len} of {}", bytes.len());
    }
    assert_eq!(pairs(&load(&SEED, &bytes).expect("all of it")), pairs(&mixed()));
}

#[test]
fn flipped_input_never_panics() {
    let bytes = saved(&mixed());
    let mut refused = 0;
    for bit in (0..bytes.len() * 8).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused += usize::from(ExactMaps::load_from(&SEED, &mut flipped.as_slice(), LIMITS).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn lengths_beyond_their_bounds_have_precise_errors() {
    let table = |width: u32, values: u64, rest: &[u8]| {
        [&[1, 9][..], &width.to_le_bytes(), &values.to_le_bytes(), rest].concat()
    };
    let refusal = |bytes: Vec<u8>| {
        let error = ExactMaps::load_from(&SEED, &mut bytes.as_slice(), LIMITS).expect_err("bad input");
        error.to_string()
    };
    assert_eq!(refusal(vec![7]), "exact maps: byte 7 where 0 or 1 starts the next part");
    assert_eq!(refusal(table(5000, 1, &[])), "exact maps: values of 5000 bytes, at most 4096 are accepted");
    assert_eq!(
        refusal(table(32, 1, &u32::MAX.to_le_bytes())),
        "exact maps: a group of 4294967295, at most 1024 values of 32 bytes"
    );
    let group = |slot: u32, rest: &[u8]| {
        table(1, 1, &[&1_u32.to_le_bytes()[..], &slot.to_le_bytes(), &[0xee], rest].concat())
    };
    assert_eq!(refusal(group(1 << 31, &[])), "exact maps: slot 0x80000000 is neither a record nor a list");
    assert_eq!(refusal(group(u32::MAX, &[0; 8])), "exact maps: a list without records");
    assert!(refusal(group(u32::MAX, &[0xff; 16])).contains("cannot be read"));
    let twice = [&2_u64.to_le_bytes()[..], &[5, 0, 0, 0, 0, 0, 0, 0], &[5, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(
        refusal(group(u32::MAX, &twice)),
        "exact maps: signal type 9 has a value or one of its records twice"
    );
    // A count of values that cannot be true costs nothing.
    let maps = load(&SEED, &table(0, u64::MAX, &[0, 0, 0, 0, 0])).expect("an empty table");
    assert!(maps.bytes() < 1 << 20 && maps.stats().is_empty());
}

#[test]
fn an_output_that_fails_is_reported() {
    let mut small = [0_u8; 100];
    let error = mixed().save_into(&mut small.as_mut_slice()).expect_err("there is no room");
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn one_list_of_two_hundred_thousand_records_is_saved_whole() {
    let maps = ExactMaps::with_seed(&SEED);
    for record in 0..200_000 {
        assert!(maps.insert(4, &[0; 32], record));
    }
    let again = load(&SEED, &saved(&maps)).expect("what was saved");
    assert_eq!(again.query(4, &[0; 32]), (0..200_000).collect::<Vec<_>>());
    assert_eq!(again.stats()[&4], SignalStats { values: 1, postings: 200_000 });
}

#[test]
fn memory_follows_the_number_of_values_up_and_down() {
    const VALUES: u64 = 300_000;
    for (width, bytes_max) in [(16, 32), (20, 36), (32, 48), (144, 176)] {
        let maps = ExactMaps::with_seed(&SEED);
        for number in 0..VALUES {
            assert!(maps.insert(3, &value(number, width), number));
        }
        let per_value = maps.bytes() as u64 / VALUES;
        assert!(per_value <= bytes_max, "{per_value} bytes for a value of {width}");
        let loaded = load(&SEED, &saved(&maps)).expect("what was saved");
        let per_value = loaded.bytes() as u64 / VALUES;
        assert!(per_value <= bytes_max, "{per_value} bytes for a value of {width}, loaded");
        for number in 0..VALUES {
            assert!(maps.remove(3, &value(number, width), number));
            if number % 1000 == 0 {
                assert_eq!(maps.query(3, &value(VALUES - 1, width)), [VALUES - 1]);
                assert_eq!(maps.query(3, &value(number, width)), []);
            }
        }
        assert!(maps.stats().is_empty() && pairs(&maps).is_empty());
        assert!(maps.bytes() < 1 << 20, "{} bytes for nothing", maps.bytes());
    }
}

#[test]
fn many_widths_of_one_type_do_not_disturb_one_another() {
    let maps = ExactMaps::with_seed(&SEED);
    for width in 0..2000 {
        assert!(maps.insert(9, &vec![1; width], width as u64));
    }
    for width in 0..2000 {
        assert_eq!(maps.query(9, &vec![1; width]), [width as u64]);
        assert_eq!(maps.query(8, &vec![1; width]), []);
    }
    assert_eq!(maps.stats()[&9].values, 2000);
}

/// A walk and a snapshot beside a writer who makes the table grow and shrink show all that stays.
#[test]
fn a_walk_beside_a_writer_shows_what_stays_once() {
    const STAY: u64 = 3000;
    let (maps, stop) = (ExactMaps::with_seed(&SEED), AtomicBool::new(false));
    for number in 0..STAY {
        maps.insert(2, &value(number, 16), number);
    }
    thread::scope(|scope| {
        let (maps, stop) = (&maps, &stop);
        let writer = scope.spawn(move || {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                (STAY..STAY * 6).for_each(|number| assert!(maps.insert(2, &value(number, 16), number)));
                (STAY..STAY * 6).for_each(|number| assert!(maps.remove(2, &value(number, 16), number)));
                rounds += 1;
            }
            rounds
        });
        for walk in 0..60 {
            let shown = if walk % 3 == 0 {
                pairs(&load(&SEED, &saved(maps)).expect("what was saved"))
            } else {
                pairs(maps)
            };
            let stayed = shown.into_iter().filter(|(.., record)| *record < STAY);
            assert!(stayed.eq((0..STAY).map(|number| (2, value(number, 16), number))), "walk {walk}");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().expect("the writer's assertions hold") > 0);
    });
}
