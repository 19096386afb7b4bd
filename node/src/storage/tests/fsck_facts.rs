//! Fsck looks at what is kept beside the logs as well: what was vouched for, evidence, cards, and which payloads
//! are asked for.

use super::fsck::{Sound, check};
use crate::storage::{cards, codec, facts, missing, notes, payloads};
use hashpact_core::effect::{Fact, FactWrite, SizedNote, StoredPayload};
use hashpact_protocol::digest::Root;
use hashpact_protocol::evidence::Evidence;

use super::TestLog;

/// The same log of 25 entries with another last one: properly signed, and a fork.
fn forked() -> TestLog {
    let mut forked = TestLog::new("south");
    let mut entries: Vec<_> = (0..25).map(|index| forked.entry(index)).collect();
    entries[24].leaf[20] ^= 1;
    let _ = forked.batch_of(entries);
    forked
}

fn cosigned(size: u64, root: Root) -> Vec<u8> {
    [size.to_be_bytes().as_slice(), root.as_bytes()].concat()
}

#[test]
fn what_was_cosigned_is_what_the_leaves_lead_to() {
    let sound = Sound::new();
    let (origin, log, root) = (&sound.south.origin, sound.south.log, sound.south.frontier.root());
    let fact = Fact::Cosigned { size: 25, root };
    sound.store.write_fact(&FactWrite { id: 1, log, generation: None, fact }).expect("stored");
    check(&sound.fsck(), &[]);
    let other = Root::new([9; 32]);
    sound.put(facts::COSIGNED, log.as_bytes(), &cosigned(25, other));
    check(
        &sound.fsck(),
        &[format!("{origin}: this node cosigned root {other} at size 25, the leaves lead to {root}")],
    );
    sound.put(facts::COSIGNED, log.as_bytes(), &cosigned(26, other));
    check(&sound.fsck(), &[format!("{origin}: this node cosigned size 26, 25 entries are stored")]);
    sound.delete(facts::COSIGNED, log.as_bytes());
    sound.put(facts::COSIGNED, &[7; 32], &cosigned(1, other));
    check(&sound.fsck(), &["cosigned has rows of log 0707".to_owned()]);
    sound.put(facts::COSIGNED, &[7; 32], b"garbage");
    check(&sound.fsck(), &["facts beside the logs: a value of column family cosigned".to_owned()]);
}

#[test]
fn the_note_that_a_quorum_cosigned_is_verified() {
    let sound = Sound::new();
    let (origin, log) = (&sound.south.origin, sound.south.log);
    let put = |note: &SizedNote| {
        sound.put(facts::QUORUM, log.as_bytes(), &notes::encode(note).expect("short"));
    };
    let wrong = |detail: &str, size: u64| {
        format!("{origin}: the note that a quorum cosigned at size {size} is wrong: {detail}")
    };
    let good = sound.south.note();
    put(&good);
    check(&sound.fsck(), &[]);
    put(&SizedNote { size: 24, ..good.clone() });
    check(&sound.fsck(), &[wrong("it signs size 25", 24)]);
    let mut torn = good;
    torn.note.truncate(torn.note.len() - 9);
    put(&torn);
    check(&sound.fsck(), &[wrong("", 25)]);
    let mut longer = TestLog::new("south");
    let _ = longer.batch(30);
    put(&longer.note());
    check(&sound.fsck(), &[wrong("25 entries are stored", 30)]);
    let forked = forked();
    put(&forked.note());
    check(&sound.fsck(), &[wrong(&format!("it signs root {}", forked.frontier.root()), 25)]);
}

#[test]
fn evidence_proves_what_it_says() {
    let sound = Sound::new();
    let (origin, log) = (&sound.south.origin, sound.south.log);
    let put = |bytes: &[u8]| sound.put(facts::EVIDENCE, log.as_bytes(), bytes);
    let (first, second) = (sound.south.note().note, forked().note().note);
    let evidence = Evidence { first: first.clone(), second, old: None, divergence: None };
    put(&evidence.encode());
    check(&sound.fsck(), &[]);
    // The same note twice contradicts nothing.
    put(&Evidence { second: first.clone(), ..evidence.clone() }.encode());
    check(&sound.fsck(), &[format!("{origin}: the evidence kept does not verify: ")]);
    put(b"garbage");
    check(&sound.fsck(), &[format!("{origin}: the evidence kept does not verify: ")]);
    let north = sound.north.note().note;
    put(&Evidence { first: north.clone(), second: north, ..evidence }.encode());
    check(&sound.fsck(), &[format!("{origin}: the evidence kept does not verify: it is about ")]);
}

#[test]
fn the_list_of_missing_payloads_is_compared_row_by_row() {
    let sound = Sound::new();
    let (origin, log) = (&sound.south.origin, sound.south.log);
    let key = |index| codec::entry_key(&log, index);
    sound.put(payloads::FAMILY, &key(3), &payloads::encode(&StoredPayload::NotHere).expect("short"));
    check(
        &sound.fsck(),
        &[format!("{origin}: the payload of entry 3 is not here, and not listed as missing")],
    );
    sound.put(missing::FAMILY, &key(3), &[]);
    check(&sound.fsck(), &[]);
    sound.put(missing::FAMILY, &key(5), &[]);
    check(&sound.fsck(), &[format!("{origin}: 2 payloads are listed as missing, 1 are")]);
    sound.delete(missing::FAMILY, &key(5));
    sound.put(missing::FAMILY, &key(30), &[]);
    check(
        &sound.fsck(),
        &[
            format!("{origin}: missing has a row for 30, beyond the 25 entries"),
            format!("{origin}: 2 payloads are listed as missing, 1 are"),
        ],
    );
}

#[test]
fn a_card_that_is_none_is_named() {
    let sound = Sound::new();
    sound.store.card_put("south", b"card").expect("kept as it is");
    check(&sound.fsck(), &[]);
    sound.put(cards::FAMILY, &[b'x'; 200], b"card");
    check(&sound.fsck(), &["cards: ".to_owned()]);
}
