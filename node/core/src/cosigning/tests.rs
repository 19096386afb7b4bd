//! Rounds in virtual time, with witnesses of any honesty.

use super::*;
use hashpact_protocol::checkpoint::sign_checkpoint;
use hashpact_protocol::cosignature::sign_cosignature;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::note::NoteAlgorithm;
use hashpact_protocol::witness::encode_signatures;

const NOW_MS: u64 = 1_800_000_000_000;
const ORIGIN: &str = "test-0000000000000000/north/1";

fn member(id: &str) -> MemberId {
    MemberId::parse(id).expect("a valid id")
}

fn key(witness: &str) -> SecretKey {
    SecretKey::from_seed([witness.as_bytes()[0]; 32])
}

fn name(witness: &str) -> String {
    format!("test-0000000000000000/witness/{witness}")
}

fn witnesses() -> Witnesses {
    let key = |id| NoteKey { name: name(id), algorithm: NoteAlgorithm::CosignatureV1, key: key(id).public() };
    ["east", "south", "west"].map(|id| (member(id), key(id))).into()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: Root::new([size as u8; 32]) }
}

fn own(size: u64) -> SizedNote {
    SizedNote { size, note: sign_checkpoint(&checkpoint(size), &SecretKey::from_seed([9; 32])) }
}

fn signed(witness: &str, size: u64, time_s: u64) -> Option<CosignAnswer> {
    let line = sign_cosignature(&checkpoint(size).text(), &name(witness), &key(witness), time_s);
    Some(CosignAnswer::Cosigned(encode_signatures(&[line])))
}

fn due(collector: &Collector, now_ms: u64) -> Vec<(String, u64, u64)> {
    let due = collector.due(now_ms, |_| true).into_iter();
    due.map(|offer| (offer.witness.to_string(), offer.old, offer.size)).collect()
}

fn all(old: u64, size: u64) -> Vec<(String, u64, u64)> {
    ["east", "south", "west"].map(|id| (id.to_owned(), old, size)).into()
}

fn lines(collected: Collected) -> Vec<String> {
    let Collected::Cosigned(note) = collected else { panic!("no cosignature was taken") };
    let (canonical, times) = count(&note.note, &witnesses(), None, NOW_MS + COSIGN_REFRESH_MS);
    assert_eq!(canonical, note.note, "the author and the witnesses in their order");
    times.into_iter().map(|(witness, time_s)| format!("{witness} {}", time_s - NOW_MS / 1_000)).collect()
}

#[test]
fn one_note_is_offered_to_all_and_the_next_not_before_ten_seconds() {
    let mut collector = Collector::new(witnesses());
    collector.start(None, NOW_MS);
    collector.start(Some(&own(0)), NOW_MS);
    assert_eq!(due(&collector, NOW_MS), [], "nothing to cosign");
    collector.start(Some(&own(3)), NOW_MS);
    assert_eq!(due(&collector, NOW_MS), all(0, 3));
    collector.start(Some(&own(5)), NOW_MS + COSIGN_INTERVAL_MS - 1);
    assert_eq!(due(&collector, NOW_MS + COSIGN_INTERVAL_MS - 1), all(0, 3), "the same note for everybody");
    collector.start(Some(&own(5)), NOW_MS + COSIGN_INTERVAL_MS);
    assert_eq!(due(&collector, NOW_MS + COSIGN_INTERVAL_MS), all(0, 5));

    let mut nobody = Collector::new(Vec::new());
    nobody.start(Some(&own(3)), NOW_MS);
    assert_eq!(due(&nobody, NOW_MS), []);
}

#[test]
fn each_answer_leads_to_its_next_step() {
    let now_s = NOW_MS / 1_000;
    let mut collector = Collector::new(witnesses());
    collector.start(Some(&own(5)), NOW_MS);
    let [east, south, west] = ["east", "south", "west"].map(member);
    // At another size: asked again at once from there, but only if it says something new.
    let conflict = |cosigned| Some(CosignAnswer::Conflict { cosigned });
    collector.answered(&east, conflict(2), NOW_MS);
    assert_eq!(due(&collector, NOW_MS)[0], ("east".to_owned(), 2, 5));
    collector.answered(&east, conflict(2), NOW_MS);
    assert!(due(&collector, NOW_MS + COSIGN_INTERVAL_MS - 1).iter().all(|(witness, ..)| witness != "east"));
    // Ahead of us, as it says: nothing that we could prove, and nothing that we believe.
    collector.answered(&east, conflict(9), NOW_MS);
    assert!(due(&collector, NOW_MS).iter().all(|(witness, ..)| witness != "east"));
    assert_eq!(due(&collector, NOW_MS + COSIGN_INTERVAL_MS)[0], ("east".to_owned(), 0, 5));
    // Behind: when it said, within the bounds of a round.
    for (said_s, waits_ms) in [(0, COSIGN_RETRY_MS), (3, 3_000), (u32::MAX, COSIGN_INTERVAL_MS)] {
        let not_yet = CosignAnswer::NotYet { held: 1, retry_after_s: said_s };
        collector.answered(&south, Some(not_yet), NOW_MS);
        let is_due = |at_ms| due(&collector, at_ms).iter().any(|(witness, ..)| witness == "south");
        assert!(!is_due(NOW_MS + waits_ms - 1) && is_due(NOW_MS + waits_ms), "{said_s} s");
    }
    // Signatures that do not count.
    let broken = [
        signed("west", 4, now_s),
        signed("south", 5, now_s),
        signed("west", 5, now_s + COSIGN_AHEAD_MAX_S + 1),
        Some(CosignAnswer::Cosigned(b"x".to_vec())),
        Some(CosignAnswer::BadProof),
        Some(CosignAnswer::Malformed),
    ];
    for (at, answer) in broken.into_iter().enumerate() {
        assert!(matches!(collector.answered(&west, answer, NOW_MS), Collected::Broken), "{at}");
    }
    assert_eq!(lines(collector.answered(&west, signed("west", 5, now_s), NOW_MS)), ["west 0"]);
    assert_eq!(
        lines(collector.answered(&south, signed("south", 5, now_s + 2), NOW_MS)),
        ["south 2", "west 0"]
    );
    assert!(due(&collector, NOW_MS + COSIGN_INTERVAL_MS).iter().all(|(witness, ..)| witness == "east"));
}

#[test]
fn old_cosignatures_are_renewed_and_kept_until_then() {
    let now_s = NOW_MS / 1_000;
    let mut collector = Collector::new(witnesses());
    collector.start(Some(&own(5)), NOW_MS);
    for id in ["east", "south", "west"] {
        collector.answered(&member(id), signed(id, 5, now_s), NOW_MS);
    }
    collector.start(Some(&own(5)), NOW_MS + COSIGN_REFRESH_MS - 1);
    assert_eq!(due(&collector, NOW_MS + COSIGN_REFRESH_MS - 1), []);
    let later_ms = NOW_MS + COSIGN_REFRESH_MS;
    collector.start(Some(&own(5)), later_ms);
    assert_eq!(due(&collector, later_ms), all(5, 5), "the same size again: no proof is needed");
    let renewed = collector.answered(&member("south"), signed("south", 5, later_ms / 1_000), later_ms);
    assert_eq!(lines(renewed), ["east 0", "south 600", "west 0"]);
}

#[test]
fn a_lost_witness_is_asked_again() {
    let mut collector = Collector::new(witnesses());
    collector.start(Some(&own(5)), NOW_MS);
    let peer = SecretKey::from_seed([7; 32]).public();
    collector.sent(&member("east"), 4, peer);
    assert_eq!(collector.asked(4), Some(member("east")));
    assert_eq!(due(&collector, NOW_MS).len(), 2);
    collector.lost(&peer, NOW_MS);
    assert_eq!((collector.asked(4), due(&collector, NOW_MS + COSIGN_RETRY_MS).len()), (None, 3));
}

#[test]
fn what_is_held_does_not_change_what_is_counted() {
    let now_s = NOW_MS / 1_000;
    let note = |size, by: &[(&str, u64)]| {
        let mut note = Note::parse(&own(size).note).expect("a note");
        let text = note.text.clone();
        let sign = |(id, time_s): &(&str, u64)| sign_cosignature(&text, &name(id), &key(id), *time_s);
        note.signatures.extend(by.iter().map(sign));
        note
    };
    let held = note(5, &[("east", now_s), ("south", now_s)]).encode();
    let (held, times) = count(&held, &witnesses(), None, NOW_MS);
    let head =
        CosignedHead { log: LogId::of_origin(ORIGIN), size: 5, note: held, witnesses: times, quorum: false };
    let mut broken = note(5, &[("east", now_s), ("west", now_s)]);
    for line in &mut broken.signatures {
        *line.bytes.last_mut().expect("bytes") ^= 1;
    }
    let told = [
        note(5, &[("east", now_s), ("south", now_s), ("west", now_s)]),
        note(5, &[("east", now_s + 1), ("west", now_s)]),
        note(5, &[("east", now_s), ("east", now_s)]),
        note(6, &[("east", now_s), ("south", now_s)]),
        broken,
        // The lines of another checkpoint.
        Note {
            signatures: note(5, &[("east", now_s), ("south", now_s)]).signatures,
            text: checkpoint(6).text(),
        },
    ];
    let counted = told.map(|note| {
        let note = note.encode();
        let counted = count(&note, &witnesses(), Some(&head), NOW_MS);
        assert_eq!(counted, count(&note, &witnesses(), None, NOW_MS));
        counted.1.len()
    });
    assert_eq!(counted, [3, 2, 0, 2, 0, 0]);
}
