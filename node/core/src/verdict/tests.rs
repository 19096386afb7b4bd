//! Outcomes rest on what stands and on nothing that is said about origin.

use super::*;
use crate::effect::{StoredPayload, ViewChange};
use crate::view::{Author, Status, View};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::record::{
    Content, Evidence, Label, Opinion, OpinionValue, Origin, Reason, Record, Review, Signal, SignalType,
    Source, SubjectRef, Token, Vocabulary as _,
};
use hashpact_protocol::roster::MemberId;
use proptest::prelude::*;

fn author(member: &str) -> Author {
    let log = LogId::of_origin(&format!("test-0000000000000000/{member}/1"));
    Author::new(MemberId::parse(member).expect("valid"), 1, log)
}

/// Folds the first entry of a member's log; the change that it makes.
fn fold(view: &mut View, member: &str, record: &Record, subject: Option<RecordId>) -> ViewChange {
    let author = author(member);
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index: 0,
        time_ms: 1_800_000_000_000,
        roster_version: 1,
        log_id: author.log,
        subject,
        group: 0,
    };
    let sealed = seal(header, record, [0; 32]).expect("valid");
    let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
    view.fold(&author, 0, &sealed.leaf_bytes, &payload).pop().expect("one change")
}

fn content() -> Content {
    Content::new(vec![Signal::new(SignalType::Pdq, &[5; 32], Some(3)).expect("valid")]).expect("valid")
}

fn record(member: &str, organisation: Option<&str>) -> RecordView {
    let source = organisation.map(|name| Source::new(Token::new(name).expect("valid")));
    let content = Content { source, ..content() };
    let change = fold(&mut View::new(0), member, &Record::Content(content), None);
    RecordView { known: change.record, stated: *change.stated.expect("it is stated") }
}

#[test]
fn the_built_in_list_says_review_for_what_stands_and_nothing_for_the_rest() {
    assert_eq!(outcome([]), None);
    for (status, expected) in [
        (Status::Active, Some(Outcome::Review)),
        (Status::Disputed, Some(Outcome::Review)),
        (Status::Retracted, None),
        (Status::Expired, None),
    ] {
        assert_eq!(outcome([status]), expected, "{status:?}");
        assert_eq!(outcome([status, Status::Active]), Some(Outcome::Review), "one that stands is enough");
    }
    assert_eq!(Outcome::Review.name(), "review");
}

#[test]
fn importers_of_one_list_are_one_source() {
    let sources = |records: &[RecordView]| {
        independent_sources(records.iter().map(|record| (record.known.status(), original_source(record))))
    };
    assert_eq!(sources(&[]), 0);
    assert_eq!(sources(&[record("north", None), record("north", None)]), 1);
    assert_eq!(sources(&[record("north", None), record("south", None)]), 2);
    assert_eq!(sources(&[record("north", Some("hotline")), record("south", Some("hotline"))]), 1);
    assert_eq!(sources(&[record("north", Some("hotline")), record("south", None)]), 2);
    let mut withdrawn = record("south", None);
    withdrawn.known.standing.status = Status::Retracted;
    assert_eq!(sources(&[record("north", None), withdrawn]), 1, "what was withdrawn corroborates nothing");
}

proptest! {
    #[test]
    fn origin_and_evidence_of_origin_never_change_an_outcome(
        origin in 0..8_u64,
        evidence in prop::collection::vec(0..8_usize, 0..4),
        review in 0..4_u64,
        says_not_cg in any::<bool>(),
    ) {
        let mut labelled = content();
        labelled.labels.origin = Origin::from_code(origin).map_or_else(Label::default, Label::Known);
        labelled.review = Review::from_code(review).map_or_else(Label::default, Label::Known);
        for at in evidence {
            if let Some(word) = Evidence::all().nth(at) {
                labelled.labels.evidence.insert(word);
            }
        }
        let mut view = View::new(0);
        let stated = fold(&mut view, "north", &Record::Content(labelled), None).record;
        let reason = if says_not_cg { Reason::NotCg } else { Reason::WrongClass };
        let subject = SubjectRef { log: stated.author.log, index: stated.index };
        let opinion = Record::Opinion(Opinion::new(subject, OpinionValue::Disagree, reason));
        let disputed = fold(&mut view, "south", &opinion, Some(stated.id)).record;
        prop_assert_eq!(disputed.status(), Status::Disputed);
        let plain = record("north", None).known;
        prop_assert_eq!(outcome([stated.status()]), outcome([plain.status()]));
        prop_assert_eq!(outcome([disputed.status()]), outcome([plain.status()]));
    }
}
