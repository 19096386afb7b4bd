//! Every way in which database and lock file can disagree at a start.

use super::*;
use hashpact_protocol::digest::{Root, empty_root};

const ORIGIN: &str = "test-0000000000000000/north/1";

fn entry(at: u8) -> StoredEntry {
    StoredEntry { leaf: vec![at; 136], payload: crate::effect::StoredPayload::NotHere }
}

fn tree(leaves: std::ops::Range<u8>) -> Frontier {
    let mut tree = Frontier::empty();
    for at in leaves {
        tree.append(leaf_hash(&entry(at).leaf));
    }
    tree
}

/// A database of `stored` entries beside a lock that says `locked`.
fn disk(stored: u8, locked: u8) -> OwnDisk {
    let at_lock = (locked <= stored).then(|| tree(0..locked));
    let signed = tree(0..locked);
    let lock = LockState {
        generation: 3,
        origin: ORIGIN.to_owned(),
        size: signed.size(),
        root: signed.root(),
        note: b"note".to_vec(),
    };
    let beyond_lock = (locked..stored).map(entry).collect();
    OwnDisk { frontier: tree(0..stored), at_lock, lock: Some(lock), beyond_lock, generation: 0 }
}

#[test]
fn equal_is_a_clean_stop() {
    for size in [0, 1, 5] {
        let recovered = recover(ORIGIN, disk(size, size)).expect("clean");
        assert_eq!((recovered.signed, recovered.lock.generation), (tree(0..size), 3));
        assert!(recovered.unsigned.is_none());
    }
}

#[test]
fn a_database_ahead_gives_the_entries_to_sign() {
    for (stored, locked) in [(1, 0), (5, 3), (8, 7)] {
        let recovered = recover(ORIGIN, disk(stored, locked)).expect("a crash between write and lock");
        let (entries, after) = recovered.unsigned.expect("entries to sign");
        assert_eq!(recovered.signed, tree(0..locked));
        assert_eq!((entries, after), ((locked..stored).map(entry).collect(), tree(0..stored)));
    }
}

#[test]
fn everything_else_stops_and_says_what_to_do() {
    type Damage = fn(&mut OwnDisk);
    let mismatch = |from, to| StopReason::LeavesMismatch { origin: ORIGIN.to_owned(), from, to };
    let rooted =
        |computed, signed| StopReason::RootMismatch { origin: ORIGIN.to_owned(), size: 3, computed, signed };
    let cases: [(&str, OwnDisk, Damage, StopReason, &str); 9] = [
        (
            "lock missing",
            disk(3, 3),
            |disk| disk.lock = None,
            StopReason::LockMissing { origin: ORIGIN.to_owned() },
            "lock file is missing",
        ),
        (
            "empty database, lock missing",
            disk(0, 0),
            |disk| disk.lock = None,
            StopReason::LockMissing { origin: ORIGIN.to_owned() },
            "Restore the newest lock",
        ),
        (
            "a lock of another log",
            disk(3, 3),
            |disk| lock(disk).origin = "test-0000000000000000/south/1".to_owned(),
            StopReason::LockOrigin {
                locked: "test-0000000000000000/south/1".to_owned(),
                expected: ORIGIN.to_owned(),
            },
            "files of two nodes were mixed",
        ),
        (
            "database behind",
            disk(2, 3),
            |_| {},
            StopReason::DatabaseBehind { origin: ORIGIN.to_owned(), held: 2, signed: 3 },
            "Do not delete the lock file",
        ),
        (
            "other root",
            disk(3, 3),
            |disk| lock(disk).root = Root::new([7; 32]),
            rooted(tree(0..3).root(), Root::new([7; 32])),
            "run fsck",
        ),
        (
            "other root below the end",
            disk(5, 3),
            |disk| lock(disk).root = empty_root(),
            rooted(tree(0..3).root(), empty_root()),
            "run fsck",
        ),
        (
            "frontier is not that of the leaves",
            disk(3, 3),
            |disk| disk.frontier = tree(1..4),
            mismatch(3, 3),
            "database is damaged",
        ),
        (
            "a leaf beyond the lock is another",
            disk(5, 3),
            |disk| disk.beyond_lock[1].leaf[7] ^= 1,
            mismatch(3, 5),
            "database is damaged",
        ),
        (
            "a leaf beyond the lock is missing",
            disk(5, 3),
            |disk| drop(disk.beyond_lock.pop()),
            mismatch(3, 5),
            "database is damaged",
        ),
    ];
    for (name, mut disk, damage, expected, advice) in cases {
        damage(&mut disk);
        let stopped = recover(ORIGIN, disk).expect_err(name);
        assert_eq!(stopped, expected, "{name}");
        assert!(stopped.to_string().contains(advice), "{name}: {stopped}");
    }
}

fn lock(disk: &mut OwnDisk) -> &mut LockState {
    disk.lock.as_mut().expect("has a lock")
}
