//! The records snapshot: what it brings, what it leaves out, and what becomes of one that is not as it was.

use super::*;
use crate::lookup::confirm::Unconfirmable;
use xxhash_rust::xxh3::xxh3_64;

const CHECKSUM_BYTES: usize = 8;

fn file(world: &World) -> std::path::PathBuf {
    world.dir.path().join("records.snapshot")
}

/// A start: look-ups, and why the file was not used, if it was not.
fn start(world: &World) -> (Lookup, Option<String>) {
    let lookup = Lookup::new(1);
    let done = replay(&world.store, &lookup, &world.extents(world.sizes()), &world.place(), &rules());
    lookup.set_loaded();
    (lookup, done.expect("replayed").unused.map(|unused| unused.to_string()))
}

fn confirm(lookup: &Lookup) -> Result<bool, Unconfirmable> {
    lookup.confirm_records(|_| ControlFlow::Continue(()))
}

fn write(world: &World, mut bytes: Vec<u8>, is_summed: bool) {
    if is_summed {
        let end = bytes.len() - CHECKSUM_BYTES;
        let sum = xxh3_64(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
    }
    std::fs::write(file(world), bytes).expect("written");
}

#[test]
fn a_start_takes_pictures_from_it_until_the_logs_have_confirmed_them() {
    let world = super::saved();
    let (lookup, unused) = start(&world);
    assert_eq!(unused, None);
    assert!(lookup.reads_disk(), "hits are held against the database");
    let truth = world.start_from_logs();
    assert_eq!(everything(&lookup), everything(&truth));
    assert!(confirm(&lookup).expect("as it was"));
    assert!(!lookup.reads_disk());
    assert_eq!(answers(&lookup), answers(&truth));
}

#[test]
fn one_that_is_cut_off_or_has_a_flipped_bit_is_not_used() {
    let world = super::saved();
    let good = std::fs::read(file(&world)).expect("there");
    let truth = everything(&world.start_from_logs());
    let mut reasons = std::collections::BTreeSet::new();
    for length in (0..good.len()).step_by(97).chain([good.len() - 1]) {
        write(&world, good[..length].to_vec(), false);
        let (lookup, unused) = start(&world);
        reasons.insert(unused.expect("a reason"));
        assert_eq!(everything(&lookup), truth, "cut to {length} bytes");
    }
    for at in (0..good.len()).step_by(31) {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        write(&world, flipped, false);
        let (lookup, unused) = start(&world);
        reasons.insert(unused.expect("a reason"));
        assert_eq!(everything(&lookup), truth, "byte {at}");
    }
    for words in ["it ends too early", "it fails its checksum", "at another moment", "no records snapshot"] {
        assert!(reasons.iter().any(|reason| reason.contains(words)), "{words}: {reasons:?}");
    }
    let mut longer = good.clone();
    longer.extend([0; 9]);
    write(&world, longer, false);
    assert_eq!(start(&world).1.as_deref(), Some("it goes on behind its end"));
    std::fs::remove_file(file(&world)).expect("removed");
    assert_eq!(start(&world).1.as_deref(), Some("there is none"));
}

/// A byte of a sound file is another, whichever: nothing is made up, nothing panics, and what differs is found out.
#[test]
fn one_that_lies_makes_nothing_up_and_is_found_out() {
    let world = super::saved();
    let good = std::fs::read(file(&world)).expect("there");
    let truth = world.start_from_logs();
    let (stands, all) = (found(&truth), everything(&truth));
    let (mut used, mut caught) = (0, 0);
    for at in (0..good.len() - CHECKSUM_BYTES).step_by(7) {
        let mut other = good.clone();
        other[at] ^= 0x15;
        write(&world, other, true);
        let (lookup, unused) = start(&world);
        if unused.is_some() {
            assert_eq!(everything(&lookup), all, "byte {at}");
            continue;
        }
        used += 1;
        let shown = found(&lookup);
        assert!(shown.is_subset(&stands), "byte {at}: {:?}", shown.difference(&stands));
        match confirm(&lookup) {
            Ok(_) => assert_eq!(everything(&lookup), all, "byte {at}"),
            Err(Unconfirmable::Contradicted { .. }) => caught += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(used > 150 && caught > 100, "{used} used, {caught} caught");
}

#[test]
fn one_with_a_block_that_comes_twice_is_not_used() {
    let world = super::saved();
    let good = std::fs::read(file(&world)).expect("there");
    let number = |at: usize| u32::from_le_bytes(*good[at..].first_chunk().expect("there")) as usize;
    let block = 16 + number(12);
    let end = block + 12 + number(block + 4) * 48 + number(block + 8);
    write(&world, [&good[..end], &good[block..]].concat(), true);
    let (lookup, unused) = start(&world);
    assert_eq!(unused.as_deref(), Some("its blocks are out of order"));
    assert_eq!(everything(&lookup), everything(&world.start_from_logs()));
}

#[test]
fn nothing_of_what_was_erased_is_in_it() {
    let mut world = super::saved();
    let holds = |bytes: &[u8], value: &[u8]| bytes.windows(value.len()).any(|window| window == value);
    let erased = value(2, &[2, 2 ^ 0x55]);
    assert!(holds(&std::fs::read(file(&world)).expect("there"), &erased));
    world.order(2);
    world.store();
    let (lookup, _) = start(&world);
    world.place().save(&lookup).expect("saved");
    assert!(!holds(&std::fs::read(file(&world)).expect("there"), &erased));
    let (lookup, unused) = start(&world);
    assert_eq!(unused, None);
    assert_eq!(everything(&lookup), everything(&world.start_from_logs()));
}

#[test]
fn one_of_another_moment_is_not_used() {
    let mut world = super::saved();
    let older = std::fs::read(file(&world)).expect("there");
    take(&mut world, &[Step::State(0, (vec![value(1, &[9])], vec![], false), None)]);
    let (lookup, _) = start(&world);
    world.place().save(&lookup).expect("saved");
    write(&world, older, false);
    let (lookup, unused) = start(&world);
    assert_eq!(unused.as_deref(), Some("it was written at another moment than the index snapshot"));
    assert_eq!(everything(&lookup), everything(&world.start_from_logs()));
}
