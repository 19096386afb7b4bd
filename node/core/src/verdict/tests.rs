//! Outcomes rest on what stands and on nothing that is said about origin.

use super::*;
use crate::effect::StoredPayload;
use crate::view::{Author, Statement, Status, View};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::record::{
    Content, Evidence, Label, OpinionValue, Origin, Reason, Record, Review, Signal, SignalType, Source,
    Token, Vocabulary as _,
};
use hashpact_protocol::roster::MemberId;
use proptest::prelude::*;

fn record(member: &str, organisation: Option<&str>) -> RecordView {
    let log = LogId::of_origin(&format!("test-0000000000000000/{member}/1"));
    let author = Author { member: MemberId::parse(member).expect("valid"), n: 1, log };
    let signal = Signal::new(SignalType::Pdq, &[5; 32], Some(3)).expect("valid");
    let mut content = Content::new(vec![signal]).expect("valid");
    content.source = organisation.map(|name| Source::new(Token::new(name).expect("valid")));
    let record = Record::Content(content);
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index: 0,
        time_ms: 1_800_000_000_000,
        roster_version: 1,
        log_id: log,
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &record, [0; 32]).expect("valid");
    let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
    let mut view = View::new(0);
    let changes = view.fold(&author, 0, &sealed.leaf_bytes, &payload);
    RecordView::clone(&changes[0].record)
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
        let record = RecordView { status, ..record("north", None) };
        assert_eq!(outcome([&record]), expected, "{status:?}");
        let standing = self::record("south", None);
        assert_eq!(outcome([&record, &standing]), Some(Outcome::Review), "one that stands is enough");
    }
    assert_eq!(Outcome::Review.name(), "review");
}

#[test]
fn importers_of_one_list_are_one_source() {
    let sources = |records: &[RecordView]| independent_sources(records);
    assert_eq!(sources(&[]), 0);
    assert_eq!(sources(&[record("north", None), record("north", None)]), 1);
    assert_eq!(sources(&[record("north", None), record("south", None)]), 2);
    assert_eq!(sources(&[record("north", Some("hotline")), record("south", Some("hotline"))]), 1);
    assert_eq!(sources(&[record("north", Some("hotline")), record("south", None)]), 2);
    let withdrawn = RecordView { status: Status::Retracted, ..record("south", None) };
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
        let plain = record("north", None);
        let mut labelled = plain.clone();
        labelled.content.labels.origin = Origin::from_code(origin).map_or_else(Label::default, Label::Known);
        labelled.content.review = Review::from_code(review).map_or_else(Label::default, Label::Known);
        for at in evidence {
            if let Some(word) = Evidence::all().nth(at) {
                labelled.content.labels.evidence.insert(word);
            }
        }
        let reason = if says_not_cg { Reason::NotCg } else { Reason::WrongClass };
        let statement = Statement { opinion: OpinionValue::Disagree, reason: Some(reason), time_ms: 0 };
        labelled.statements.insert(MemberId::parse("south").expect("valid"), statement);
        labelled.status = Status::Disputed;
        prop_assert_eq!(outcome([&labelled]), outcome([&plain]));
    }
}
