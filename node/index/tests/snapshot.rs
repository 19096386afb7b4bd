//! Snapshots from outside: what comes back, what is refused, and what happens beside a writer.

use std::fs;
use std::path::{Path, PathBuf};

use hashpact_index::{Change, MatchIndex, SnapshotError};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hashpact-index-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("index.snapshot")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Scrambles a number into a value.
fn value(number: u64) -> [u8; 32] {
    let mut value = [0; 32];
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    for chunk in value.chunks_exact_mut(8) {
        state ^= state >> 29;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 32;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    value
}

fn near(number: u64) -> [u8; 32] {
    let mut value = value(number);
    for bit in 0..number % 32 {
        value[(bit * 8 % 32) as usize] ^= 1 << (bit / 4 % 8);
    }
    value
}

fn filled(count: u64) -> MatchIndex {
    let index = MatchIndex::with_seed([42; 32]);
    let values: Vec<[u8; 32]> = (0..count).map(value).collect();
    index.apply((0..).zip(&values).map(|(record, value)| Change::InsertHamming { value, record }));
    // Lists, large record numbers, other signal types, and what was taken out again.
    for record in 0..40 {
        index.insert_hamming(&value(7), 1_000_000 + record);
        index.insert_hamming(&value(9), u64::MAX - record);
        index.insert_exact(2, &value(record)[..16], record);
        index.insert_exact(4, &value(record), record << 40);
    }
    for record in (0..count).step_by(10) {
        assert!(index.remove_hamming(&value(record), record));
    }
    index
}

fn assert_equal(a: &MatchIndex, b: &MatchIndex, count: u64) {
    assert_eq!(a.stats().hamming, b.stats().hamming);
    assert_eq!(a.stats().exact, b.stats().exact);
    assert_eq!(a.fingerprint(), b.fingerprint());
    for number in (0..count).step_by(11) {
        assert_eq!(a.query_hamming(&near(number), 31), b.query_hamming(&near(number), 31), "value {number}");
    }
    for number in 0..40 {
        assert_eq!(a.query_exact(2, &value(number)[..16]), b.query_exact(2, &value(number)[..16]));
        assert_eq!(a.query_exact(4, &value(number)), b.query_exact(4, &value(number)));
    }
}

#[test]
fn what_was_saved_comes_back_before_and_after_the_tables() {
    let folder = Folder::new("back");
    for count in [0, 5, 3000, 40_000] {
        let index = filled(count.max(1));
        index.save(&folder.file(), b"position 17").expect("saved");
        let (opened, tag) = MatchIndex::open(&folder.file()).expect("opened");
        assert_eq!(tag, b"position 17");
        assert_equal(&index, &opened, count.min(400));
        opened.warm().expect("tables");
        assert_equal(&index, &opened, count);
        // It goes on like any other.
        opened.insert_hamming(&value(77_777_777), 5);
        assert_eq!(opened.query_hamming(&value(77_777_777), 3).len(), 1);
        opened.compact();
        assert_equal(
            &{
                index.insert_hamming(&value(77_777_777), 5);
                index
            },
            &opened,
            count,
        );
    }
}

#[test]
fn the_first_change_reads_the_tables_by_itself() {
    let folder = Folder::new("first");
    let index = filled(20_000);
    index.save(&folder.file(), b"").expect("saved");
    let (opened, _) = MatchIndex::open(&folder.file()).expect("opened");
    opened.insert_hamming(&value(123_456_789), 1);
    index.insert_hamming(&value(123_456_789), 1);
    assert_equal(&index, &opened, 20_000);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("mode");
    filled(10).save(&folder.file(), b"").expect("saved");
    let mode = fs::metadata(folder.file()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the file holds the secret seed");
}

/// Opens and warms; an error of either is the answer.
fn read(path: &Path) -> Result<MatchIndex, SnapshotError> {
    let (index, _) = MatchIndex::open(path)?;
    index.warm()?;
    Ok(index)
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = Folder::new("flip");
    filled(12_000).save(&folder.file(), b"tag").expect("saved");
    let whole = fs::read(folder.file()).expect("read");
    let damaged = folder.0.join("damaged");
    let steps = whole.len() / 60;
    // All over the file, and every byte of the end.
    let places = (0..whole.len()).step_by(steps.max(1)).chain((whole.len() - 400..whole.len()).step_by(5));
    for (round, place) in places.enumerate() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (round % 8);
        fs::write(&damaged, &bytes).expect("written");
        let error = read(&damaged).err().unwrap_or_else(|| panic!("byte {place} of {}", whole.len()));
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_torn_file_is_found_at_every_length() {
    let folder = Folder::new("torn");
    filled(9_000).save(&folder.file(), b"tag").expect("saved");
    let whole = fs::read(folder.file()).expect("read");
    let torn = folder.0.join("torn");
    for length in (0..whole.len()).step_by(whole.len() / 97).chain(whole.len() - 60..whole.len()) {
        fs::write(&torn, &whole[..length]).expect("written");
        assert!(matches!(read(&torn), Err(SnapshotError::Torn(_))), "{length} of {} bytes", whole.len());
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(&torn, &longer).expect("written");
    assert!(matches!(read(&torn), Err(SnapshotError::Torn(_))));
    assert!(matches!(read(&folder.0.join("absent")), Err(SnapshotError::Io(_))));
}

#[test]
fn another_version_is_named() {
    let folder = Folder::new("version");
    filled(10).save(&folder.file(), b"tag").expect("saved");
    let mut bytes = fs::read(folder.file()).expect("read");
    let footer = bytes.len() - 56;
    bytes[footer + 8] = 9;
    fs::write(folder.file(), &bytes).expect("written");
    let error = read(&folder.file()).expect_err("version 9");
    assert!(matches!(error, SnapshotError::Version { found: 9 }), "{error}");
}

#[test]
fn damaged_tables_are_built_anew() {
    let folder = Folder::new("anew");
    let index = filled(12_000);
    index.save(&folder.file(), b"tag").expect("saved");
    let mut bytes = fs::read(folder.file()).expect("read");
    // The tables stand last before the contents.
    let place = bytes.len() * 3 / 4;
    bytes[place] ^= 1;
    fs::write(folder.file(), &bytes).expect("written");
    let (opened, _) = MatchIndex::open(&folder.file()).expect("the codes are whole");
    assert!(matches!(opened.warm(), Err(SnapshotError::Checksum { .. })));
    assert_equal(&index, &opened, 12_000);
}

#[test]
fn a_tag_that_is_too_long_changes_nothing() {
    let folder = Folder::new("tag");
    let index = filled(10);
    index.save(&folder.file(), b"short").expect("saved");
    let long = vec![0; hashpact_index::TAG_BYTES_MAX + 1];
    assert!(matches!(index.save(&folder.file(), &long), Err(SnapshotError::Tag { .. })));
    assert_eq!(MatchIndex::open(&folder.file()).expect("as before").1, b"short");
}

/// A writer that inserts and removes all the time; each snapshot, with all changes since its tag made again, holds
/// exactly what the index held at the end.
#[test]
fn a_snapshot_beside_a_writer_is_caught_up_from_its_tag() {
    let folder = Folder::new("beside");
    let index = filled(15_000);
    let (first, last) = (1_000_000, 1_030_000_u64);
    let change = |index: &MatchIndex, number: u64| {
        index.insert_hamming(&value(number), number);
        if number.is_multiple_of(3) {
            index.remove_hamming(&value(number - 3), number - 3);
        }
        if number.is_multiple_of(5) {
            index.remove_hamming(&value(number - first), number - first);
        }
    };
    let position = std::sync::atomic::AtomicU64::new(first);
    let snapshots: Vec<PathBuf> = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in first..last {
                change(&index, number);
                position.store(number + 1, std::sync::atomic::Ordering::Release);
            }
        });
        let mut snapshots = Vec::new();
        while position.load(std::sync::atomic::Ordering::Acquire) < first + 1000 {
            std::thread::yield_now();
        }
        while snapshots.is_empty() || !writer.is_finished() {
            let path = folder.0.join(format!("snapshot-{}", snapshots.len()));
            let tag = position.load(std::sync::atomic::Ordering::Acquire);
            index.save(&path, &tag.to_le_bytes()).expect("saved");
            snapshots.push(path);
        }
        snapshots
    });
    for path in snapshots {
        let (opened, tag) = MatchIndex::open(&path).expect("opened");
        let tag = u64::from_le_bytes(tag.try_into().expect("eight bytes"));
        assert!(tag > first);
        (tag..last).for_each(|number| change(&opened, number));
        assert_equal(&index, &opened, 3000);
    }
}
