//! Payloads against `tests/vectors/records`, and the laws of codec and schemas on random values.

mod hex_vectors;

use std::collections::BTreeMap;

use hashpact_protocol::api::NewRecord;
use hashpact_protocol::codec::{Int, Value, decode_map, encode_map};
use hashpact_protocol::digest::{LeafHash, LogId, PayloadCommitment};
use hashpact_protocol::leaf::{Kind, Leaf};
use hashpact_protocol::record::{
    Activity, AgeBand, AgeGroup, ClosingReason, Content, Date, ErasureBasis, ErasureReason, Evidence,
    EvidenceSet, Handling, IncidentClass, IncidentId, IncidentStep, Label, LabelWord, Labels, Likeness,
    Month, OpinionValue, Origin, OtherClass, Payload, Realism, Reason, Record, Report, ReportedTo,
    RetractionReason, Review, RulingReason, Scheme, Signal, SignalType, Source, SuspensionReason, Tlp, Token,
    UnknownFields, Verdict, Vocabulary, VoteWord, read_payload,
};
use hex_vectors::vectors;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn leaf(kind: Kind, has_subject: bool) -> Leaf {
    Leaf {
        kind,
        has_subject,
        priority: false,
        payload_codec: 1,
        index: 9,
        time_ms: 0,
        roster_version: 1,
        log_id: LogId::new([1; 32]),
        subject: has_subject.then(|| LeafHash::new([2; 32])),
        group: 0,
        payload_len: 128,
        commitment: PayloadCommitment::new([3; 32]),
    }
}

#[test]
fn vectors_hold() {
    let files = vectors("records");
    let passing = files.iter().filter(|file| file.expect == "record").count();
    assert!(passing >= 10 && files.len() > 2 * passing, "{passing} of {} vectors pass", files.len());
    for file in files {
        let kind = Kind::parse(file.field("kind")).expect("kind");
        let cbor = file.bytes("cbor");
        let group = file.optional("group").map_or(0, |group| group.parse().expect("group"));
        let leaf = Leaf { group, ..leaf(kind, file.field("subject") == "yes") };
        let verdict = match read_payload(&leaf, &cbor) {
            Payload::Void(reason) => format!("void {reason}"),
            Payload::Opaque(reason) => format!("opaque {reason}"),
            Payload::Record(record) => {
                assert_eq!(record.encode(), cbor, "{}: encode after read", file.name);
                if let (Some(json), Record::Content(content)) = (file.optional("json"), &record) {
                    let shown = serde_json::to_string(&NewRecord::from(content)).expect("json");
                    assert_eq!(shown, json, "{}", file.name);
                }
                "record".to_owned()
            }
        };
        assert_eq!(verdict, file.expect, "{}: {}", file.name, file.reason);
    }
}

fn check_vocabulary<T: Vocabulary>() {
    for (nth, word) in T::all().enumerate() {
        assert_eq!(T::from_code(word.code().into()), Some(word));
        assert_eq!(T::parse(word.name()), Some(word));
        assert_eq!(T::TABLE.iter().filter(|row| row.1 == word.code()).count(), 1, "{word:?}");
        assert!(T::TABLE[..nth].iter().all(|row| row.1 < word.code()), "{word:?} is out of order");
    }
}

fn check_label<T: LabelWord>() {
    check_vocabulary::<T>();
    assert_eq!(T::DEFAULT.code(), 0);
    assert_eq!(Label::<T>::default().code(), 0);
    assert_eq!(Label::<T>::from_code(1 << 40).get(), T::FALLBACK);
    assert_eq!(Label::<T>::from_code(1 << 40).code(), 1 << 40);
}

#[test]
fn vocabularies_are_tables_without_doubles() {
    check_label::<Origin>();
    check_label::<Realism>();
    check_label::<Activity>();
    check_label::<AgeGroup>();
    check_label::<AgeBand>();
    check_label::<Likeness>();
    check_label::<Review>();
    check_label::<Tlp>();
    check_label::<Reason>();
    check_label::<RetractionReason>();
    check_label::<ErasureReason>();
    check_label::<ErasureBasis>();
    check_label::<ReportedTo>();
    check_label::<Scheme>();
    check_label::<RulingReason>();
    check_label::<SuspensionReason>();
    check_label::<IncidentClass>();
    check_label::<ClosingReason>();
    check_vocabulary::<Verdict>();
    check_vocabulary::<VoteWord>();
    check_vocabulary::<IncidentStep>();
    check_vocabulary::<Evidence>();
    check_vocabulary::<OpinionValue>();
}

#[test]
fn the_industry_class_follows_from_age_group_and_activity() {
    let class = |age_group: AgeGroup, activity: Activity| {
        Labels { age_group: age_group.into(), activity: activity.into(), ..Labels::default() }
            .industry_class()
    };
    assert_eq!(class(AgeGroup::Prepubescent, Activity::SexAct), Some("A1"));
    assert_eq!(class(AgeGroup::Prepubescent, Activity::LasciviousExhibition), Some("A2"));
    assert_eq!(class(AgeGroup::Pubescent, Activity::SexAct), Some("B1"));
    assert_eq!(class(AgeGroup::Pubescent, Activity::LasciviousExhibition), Some("B2"));
    assert_eq!(class(AgeGroup::Prepubescent, Activity::OtherSexualised), None);
    assert_eq!(class(AgeGroup::Undetermined, Activity::SexAct), None);
}

#[test]
fn a_signal_does_not_show_its_value() {
    let signal = Signal::new(SignalType::Md5, &[0xab; 16], None).expect("signal");
    assert_eq!(format!("{signal:?}"), "Signal(md5)");
    assert!(size_of::<Signal>() <= 48, "a node holds tens of millions of signals");
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<u64>().prop_map(|value| Value::Int(Int::Unsigned(value))),
        (0..300u64).prop_map(|value| Value::Int(Int::Unsigned(value))),
        any::<u64>().prop_map(|value| Value::Int(Int::Negative(value))),
        vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
    ];
    scalar.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            btree_map(any::<u64>(), inner, 0..6).prop_map(Value::Map),
        ]
    })
}

fn any_signal() -> impl Strategy<Value = Signal> {
    (0..5usize, vec(any::<u8>(), 144), option::of(0..=100u8)).prop_map(|(kind, bytes, quality)| {
        let kind = SignalType::ALL[kind];
        let quality = quality.filter(|_| kind.has_quality());
        Signal::new(kind, &bytes[..kind.width_bytes()], quality).expect("signal")
    })
}

fn any_unknown(first: u64) -> impl Strategy<Value = UnknownFields> {
    let integer = prop_oneof![any::<u64>().prop_map(Int::Unsigned), any::<u64>().prop_map(Int::Negative)];
    vec((0..1000u64, integer), 0..4)
        .prop_map(move |pairs| pairs.into_iter().map(|(nth, value)| (first + 2 * nth, value)).collect())
}

fn any_label<T: LabelWord>() -> impl Strategy<Value = Label<T>> {
    (0..12u64).prop_map(Label::from_code)
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let first = (any_label(), any_label(), any_label(), any_label());
    let second = (any_label(), any_label(), any::<u64>(), any_label(), any_unknown(17));
    (first, second).prop_map(|(first, second)| {
        let (origin, realism, activity, age_group) = first;
        let (age_band, likeness, evidence, tlp, unknown) = second;
        let evidence = EvidenceSet::from_bits(evidence);
        Labels { origin, realism, activity, age_group, age_band, likeness, evidence, tlp, unknown }
    })
}

fn any_token() -> impl Strategy<Value = Token> {
    "[a-z0-9._-]{1,64}".prop_map(|text| Token::new(&text).expect("token"))
}

fn any_source() -> impl Strategy<Value = Source> {
    let parts = (any_token(), option::of(any_token()), option::of(any_token()));
    (parts, option::of(0..=2_932_896u64), any_unknown(3)).prop_map(
        |((organisation, list, id), days, unknown)| {
            let date = days.map(|days| Date::from_days(days).expect("day"));
            Source { organisation, list, id, date, unknown }
        },
    )
}

fn any_handling() -> impl Strategy<Value = Option<Box<Handling>>> {
    let report = (any_label(), 0..96_360u64)
        .prop_map(|(to, months)| Report { to, month: Month::from_months(months).expect("month") });
    let class = (any_label(), "[a-z0-9._-]{1,32}", "[a-z0-9._-]{1,32}")
        .prop_map(|(scheme, version, class)| OtherClass::new(scheme, &version, &class).expect("ids"));
    let times = (option::of(1..=253_402_300_799u64), option::of(1..1_000u64));
    let parts = (option::of(any_token()), vec(report, 0..4), times, option::of(any::<[u8; 16]>()));
    (parts, vec(class, 0..4)).prop_filter_map("twice", |((hash_set, reports, times, incident), classes)| {
        let (preserved_until_s, valid_from_s) = times;
        let incident = incident.map(IncidentId::new);
        let handling = Handling { hash_set, reports, preserved_until_s, valid_from_s, incident, classes };
        handling.boxed().ok()
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let parts = (vec(any_signal(), 1..20), any_labels(), any_label(), option::of(any_source()));
    let expires_s = option::of(1_000..=253_402_300_799u64);
    (parts, expires_s, any_handling(), any_unknown(13)).prop_filter_map(
        "signals twice",
        |((signals, labels, review, source), expires_s, handling, unknown)| {
            let content = Content::new(signals).ok()?;
            Some(Content { labels, review, source, expires_s, handling, unknown, ..content })
        },
    )
}

proptest! {
    #[test]
    fn decoding_after_encoding_is_identity(fields in btree_map(any::<u64>(), any_value(), 0..6)) {
        prop_assert_eq!(decode_map(&encode_map(&fields)), Ok(fields));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        fields in btree_map(0..40u64, any_value(), 0..5), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let mut bytes = encode_map(&fields);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(read) = decode_map(&bytes) {
            prop_assert_eq!(encode_map(&read), bytes);
        }
    }

    #[test]
    fn reading_never_panics(bytes in vec(any::<u8>(), 0..400), kind in 0..14usize, subject: bool) {
        let _ = read_payload(&leaf(Kind::ALL[kind], subject), &bytes);
    }

    #[test]
    fn damaged_payloads_are_void_opaque_or_canonical(
        content in any_content(), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let mut bytes = Record::Content(content).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Payload::Record(read) = read_payload(&leaf(Kind::Content, false), &bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn content_reads_back(content in any_content()) {
        let record = Record::Content(content);
        prop_assert_eq!(read_payload(&leaf(Kind::Content, false), &record.encode()), Payload::Record(record));
    }

    #[test]
    fn known_content_survives_json(content in any_content()) {
        let json = NewRecord::from(&content);
        let text = serde_json::to_string(&json).expect("json");
        let again: NewRecord = serde_json::from_str(&text).expect("shape");
        prop_assert_eq!(&again, &json);
        let read = again.to_record().expect("a known record");
        prop_assert_eq!(&read.signals, &content.signals);
        prop_assert_eq!(read.labels.origin.get(), content.labels.origin.get());
        prop_assert_eq!(read.labels.tlp.get(), content.labels.tlp.get());
        prop_assert_eq!(read.review.get(), content.review.get());
        prop_assert_eq!(read.expires_s, content.expires_s);
        prop_assert_eq!(NewRecord::from(&read), json);
    }

    #[test]
    fn unknown_odd_keys_survive(unknown in any_unknown(13)) {
        let mut content = Content::new(vec![Signal::new(SignalType::Md5, &[1; 16], None).expect("signal")])
            .expect("content");
        content.unknown = unknown.clone();
        match read_payload(&leaf(Kind::Content, false), &Record::Content(content).encode()) {
            Payload::Record(Record::Content(read)) => prop_assert_eq!(read.unknown, unknown),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_map_of_many_keys_is_read_in_one_pass() {
    let fields: BTreeMap<u64, Value> = (0..20_000).map(|key| (key, Value::Bool(true))).collect();
    let bytes = encode_map(&fields);
    assert!(bytes.len() > 65_532);
    assert!(decode_map(&bytes).is_err());
    let fields: BTreeMap<u64, Value> = (0..15_000).map(|key| (key, Value::Bool(true))).collect();
    assert_eq!(decode_map(&encode_map(&fields)), Ok(fields));
}
