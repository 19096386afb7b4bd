//! Fsck holds the list of entries that overtake a backlog against the leaves, and looks at what is ahead of a log.

use super::TestLog;
use super::fsck::{Sound, check};
use crate::storage::{codec, priority};
use hashpact_core::effect::{AheadBatch, StoredEntry, StoredPayload};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::commitment;

/// A sound retraction that overtakes.
fn urgent(log: &TestLog, index: u64) -> StoredEntry {
    let StoredEntry { mut leaf, payload } = log.entry(index);
    (leaf[4], leaf[5], leaf[64]) = (7, 3, 1);
    if let StoredPayload::Present { salt, padded } = &payload {
        let prefix = *leaf.first_chunk().expect("136 bytes");
        leaf[104..].copy_from_slice(commitment(&prefix, salt, padded).as_bytes());
    }
    StoredEntry { leaf, payload }
}

/// A sound database in which entries 26 and 29 of the second log overtake, and 40 and 50 are held ahead.
fn with_urgent_entries() -> Sound {
    let mut sound = Sound::new();
    let south = &mut sound.south;
    let entries = (25..30)
        .map(|index| if [26, 29].contains(&index) { urgent(south, index) } else { south.entry(index) });
    let entries = entries.collect();
    sound.store.write(&south.batch_of(entries)).expect("five more");
    let ahead = [40, 50].map(|index| (index, urgent(south, index))).to_vec();
    let batch = AheadBatch { id: 1, log: south.log, entries: ahead };
    sound.store.write_ahead(&batch).expect("ahead");
    sound
}

#[test]
fn a_sound_list_is_clean_and_what_is_ahead_is_counted() {
    let report = with_urgent_entries().fsck();
    check(&report, &[]);
    assert_eq!(report.ahead, 2);
}

#[test]
fn every_row_is_one_that_the_leaves_call_for() {
    let sound = with_urgent_entries();
    let (origin, log) = (&sound.south.origin, sound.south.log);
    let key = |index| codec::entry_key(&log, index);
    sound.delete(priority::FAMILY, &key(26));
    sound.put(priority::FAMILY, &key(3), b"");
    let value = priority::encode(&urgent(&sound.south, 29)).expect("short");
    sound.put(priority::FAMILY, &key(29), &value);
    check(
        &sound.fsck(),
        &[
            format!("{origin}: entry 3 is listed as overtaking a backlog, and is not"),
            format!("{origin}: entry 26 overtakes a backlog and is not listed"),
            format!("{origin}: what is kept of entry 29 ahead of the log is wrong: the log has reached it"),
        ],
    );
}

#[test]
fn what_is_ahead_is_whole_and_overtakes() {
    let sound = with_urgent_entries();
    let log = sound.south.log;
    let wrong = |index: u64, detail: &str| {
        format!("{}: what is kept of entry {index} ahead of the log is wrong: {detail}", log.to_hex())
    };
    let put = |index: u64, entry: &StoredEntry| {
        let value = priority::encode(entry).expect("short");
        sound.put(priority::FAMILY, &codec::entry_key(&log, index), &value);
    };
    put(30, &sound.south.entry(30));
    // An entry of another place.
    put(31, &urgent(&sound.south, 32));
    let mut changed = urgent(&sound.south, 40);
    if let StoredPayload::Present { padded, .. } = &mut changed.payload {
        padded[9] ^= 1;
    }
    put(40, &changed);
    sound.put(priority::FAMILY, &codec::entry_key(&log, 50), b"");
    sound.put(priority::FAMILY, &codec::entry_key(&log, 51), b"\x00\x05ab");
    check(
        &sound.fsck(),
        &[
            wrong(30, "it is not an entry that overtakes"),
            wrong(31, "it is not an entry that overtakes"),
            wrong(40, "payload and salt do not match"),
            wrong(50, "a value of column family priority"),
            wrong(51, "a value of column family priority"),
        ],
    );
}

#[test]
fn rows_of_nobody_and_bad_keys_are_named() {
    let sound = with_urgent_entries();
    let (nobody, log) = (LogId::new([7; 32]), sound.south.log);
    let value = priority::encode(&urgent(&sound.south, 40)).expect("short");
    sound.put(priority::FAMILY, &codec::entry_key(&nobody, 1), &value);
    sound.put(priority::FAMILY, &[codec::entry_key(&log, 4).as_slice(), b"x"].concat(), b"");
    sound.put(priority::FAMILY, b"short", b"");
    let report = sound.fsck();
    let mut found: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found.len(), 4, "{found:#?}");
    let named = |part: &str| found.iter().any(|problem| problem.contains(part));
    assert!(named("41 bytes") && named("5 bytes") && named("priority has rows of log 0707"), "{found:#?}");
    assert!(named(&format!("{}: what is kept of entry 1", nobody.to_hex())), "{found:#?}");
}

/// A restart that finds the log grown over what was ahead writes no row twice.
#[test]
fn what_the_log_reaches_is_listed_once() {
    let mut sound = with_urgent_entries();
    let south = &mut sound.south;
    let entries = (30..45).map(|index| if index == 40 { urgent(south, index) } else { south.entry(index) });
    let entries = entries.collect();
    sound.store.write(&south.batch_of(entries)).expect("fifteen more");
    let report = sound.fsck();
    check(&report, &[]);
    assert_eq!(report.ahead, 1);
}
