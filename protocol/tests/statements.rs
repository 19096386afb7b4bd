//! Laws of the kinds of statement beside `content`, on random values: what is read back, and what has no room.

use hashpact_protocol::codec::{Fields, Value, decode_map, encode_map};
use hashpact_protocol::digest::{LeafHash, LogId, PayloadCommitment};
use hashpact_protocol::leaf::{Kind, Leaf, LeafHeader, pad_payload, seal};
use hashpact_protocol::limits::PAYLOAD_PADDED_MAX_BYTES;
use hashpact_protocol::record::{
    Basis, C2pa, CarrierSet, ClaimedId, Confidence, Container, Content, CountBucket, Dataset, DatasetForm,
    Detail, Genmeta, IdentifierType, Label, LabelWord, Labels, Model, ModelFamily, ModelForm, ModelRole,
    Month, Part, Payload, Platform, Record, RecordError, Resource, ResourceKind, Sampler, Scheduler, Service,
    ServiceForm, Signal, SignalType, SizeBucket, SourceType, SubjectRef, Surface, TechniqueId, TileBits,
    TileNumbers, TileShape, Tlp, Tool, Ttp, TtpStatus, UnknownFields, Vocabulary, WatermarkScheme,
    read_payload,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn leaf(kind: Kind, has_subject: bool, group: u32) -> Leaf {
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
        group,
        payload_len: 128,
        commitment: PayloadCommitment::new([3; 32]),
    }
}

fn label<T: LabelWord>() -> impl Strategy<Value = Label<T>> {
    (0..40u64).prop_map(Label::from_code)
}

fn related() -> impl Strategy<Value = Vec<SubjectRef>> {
    btree_set((any::<[u8; 32]>(), any::<u64>()), 0..4).prop_map(|set| {
        set.into_iter().map(|(log, index)| SubjectRef { log: LogId::new(log), index }).collect()
    })
}

fn techniques() -> impl Strategy<Value = Vec<TechniqueId>> {
    btree_set(1..=9_999u64, 0..4).prop_map(|set| {
        set.into_iter().map(|number| TechniqueId::from_number(number).expect("a number")).collect()
    })
}

fn claimed() -> impl Strategy<Value = ClaimedId> {
    (0..12u64, any::<[u8; 32]>(), 4..=32usize).prop_map(|(code, bytes, width)| {
        let label: Label<IdentifierType> = Label::from_code(code);
        let width = match label {
            Label::Known(word) => word.width_bytes().unwrap_or(width),
            Label::Unknown(_) => width,
        };
        ClaimedId::new(label, &bytes[..width]).expect("of its width")
    })
}

fn shape() -> impl Strategy<Value = TileShape> {
    (16..u32::MAX, 16..99u32).prop_map(|(rows, columns)| TileShape { rows, columns })
}

fn tiles(most: usize) -> impl Strategy<Value = Vec<TileBits>> {
    btree_map(shape(), vec(any::<[u8; 32]>(), 1..=most), 0..4).prop_map(|groups| {
        groups.into_iter().map(|(shape, values)| TileBits::new(shape, values).expect("tiles")).collect()
    })
}

fn model() -> impl Strategy<Value = Detail> {
    let words = (label(), label(), label::<WatermarkScheme>());
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), option::of(any::<[u8; 32]>()));
    let ids = (option::of(1..u32::MAX), btree_set(claimed(), 0..4));
    let lists = (techniques(), related(), related());
    let sketches = (tiles(5), tiles(1), vec(any::<[u8; 32]>(), 0..4), 0..3usize);
    (words, counts, ids, lists, sketches).prop_map(|(words, counts, ids, lists, sketches)| {
        let role = [ModelRole::Listed, ModelRole::Base, ModelRole::Intermediate][sketches.3];
        let shape = TileShape { rows: 16, columns: 16 };
        let numbers = TileNumbers::new(shape, vec![[7; 1024]]).expect("numbers");
        let model = Model {
            form: words.0,
            role,
            family: words.1,
            parameters: counts.0,
            tensors: counts.1,
            size_bytes: counts.2,
            autov1: ids.0.map(u32::to_be_bytes).filter(|bytes| *bytes != [0xe3, 0xb0, 0xc4, 0x42]),
            claimed: ids.1.into_iter().collect(),
            techniques: lists.0,
            derived_from: lists.1,
            trained_on: lists.2,
            watermark: words.2,
            copy: counts.3,
            tiles: sketches.0,
            roll_ups: sketches.1,
            vectors: sketches.2,
            numbers: if role.is_registration() { vec![numbers] } else { Vec::new() },
            ..Model::default()
        };
        Detail::Model(model)
    })
}

fn dataset() -> impl Strategy<Value = Detail> {
    let counts = (any::<u32>(), 0..=100u64, any::<u64>());
    (label(), counts, techniques(), related()).prop_map(|(form, counts, techniques, derived_from)| {
        let (items, known, size_bytes) = counts;
        let items = u64::from(items) + 100;
        Detail::Dataset(Dataset { form, items, known, size_bytes, techniques, derived_from })
    })
}

fn service() -> impl Strategy<Value = Detail> {
    (label(), label(), techniques(), related()).prop_map(|(form, platform, techniques, offers)| {
        Detail::Service(Service { form, platform, techniques, offers })
    })
}

fn ttp() -> impl Strategy<Value = Detail> {
    let words = (label(), label(), label(), label(), label());
    (1..=9_999u64, 0..96_360u64, words, related()).prop_map(|(technique, month, words, related)| {
        let technique = TechniqueId::from_number(technique).expect("a number");
        let month = Month::from_months(month).expect("a month");
        let (confidence, surface, count, basis, status) = words;
        Detail::Ttp(Ttp { technique, month, confidence, surface, count, basis, status, related })
    })
}

fn genmeta() -> impl Strategy<Value = Detail> {
    let resource =
        (label(), claimed(), any::<bool>()).prop_map(|(kind, id, claimed)| Resource { kind, id, claimed });
    let words = (label(), label(), label(), label(), label(), label(), label());
    let numbers = (0..=1_000u64, 0..=1_000u64, 0..=100u64, 0..=24u64, any::<u64>());
    let version = prop_oneof![Just(Vec::new()), vec(0..=999u16, 2..=3)];
    // Never nothing: a part that says nothing is left out.
    let parts = (btree_set(resource, 1..5), version, option::of(any::<[u8; 32]>()));
    (words, numbers, parts).prop_map(|(words, numbers, parts)| {
        let (container, tool, sampler, scheduler, size, c2pa, source_type) = words;
        let (steps, cfg_x10, denoise_x100, clip_skip, carriers) = numbers;
        Detail::Genmeta(Genmeta {
            container,
            carriers: CarrierSet::from_bits(carriers),
            tool,
            version: parts.1,
            resources: parts.0.into_iter().collect(),
            sampler,
            scheduler,
            steps,
            cfg_x10,
            denoise_x100,
            clip_skip,
            size,
            workflow: parts.2,
            c2pa,
            source_type,
            unknown: UnknownFields::new(),
        })
    })
}

fn signals(kind: Kind) -> impl Strategy<Value = Vec<Signal>> {
    let types: Vec<SignalType> =
        SignalType::ALL.into_iter().filter(|signal| signal.record_kind() == kind).collect();
    let nth = 0..types.len().max(1);
    btree_map((nth, any::<[u8; 32]>()), Just(()), 1..6).prop_map(move |set| {
        let signal = |(nth, value): (usize, [u8; 32])| {
            let kind = *types.get(nth)?;
            let value: Vec<u8> = value.iter().cycle().take(kind.width_bytes()).copied().collect();
            Signal::new(kind, &value, None).ok()
        };
        set.into_keys().filter_map(signal).collect()
    })
}

/// A statement of any kind, and whether it stands in the place of another.
fn statement() -> impl Strategy<Value = (Content, bool)> {
    let detail = prop_oneof![model(), dataset(), service(), ttp(), genmeta()];
    let detail = detail.prop_flat_map(|detail| (signals(detail.kind()), Just(detail)));
    (detail, 0..8u64, option::of(related()), any::<bool>(), label()).prop_filter_map(
        "a value twice",
        |((signals, detail), tlp, subject, supersedes, review)| {
            let is_ttp = detail.kind() == Kind::Ttp;
            let subject = subject.and_then(|related| related.first().copied());
            let content = Content::stating(signals, Some(detail)).ok()?;
            let review = if is_ttp { Label::default() } else { review };
            let labels = Labels { tlp: Label::from_code(tlp), ..Labels::default() };
            Some((Content { subject, review, labels, ..content }, supersedes && subject.is_some()))
        },
    )
}

fn record((content, supersedes): (Content, bool)) -> (Record, Leaf) {
    let has_subject = content.subject.is_some();
    let kind = if supersedes { Kind::Supersede } else { content.kind() };
    let record = if supersedes { Record::Supersede(content) } else { Record::Content(content) };
    (record, leaf(kind, has_subject, 7))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What a node keeps of a statement's own part comes back, but for the values of sketches.
    #[test]
    fn what_is_kept_comes_back(detail in prop_oneof![model(), dataset(), service(), ttp(), genmeta()]) {
        let detail = detail.sorted();
        let expected = match &detail {
            Detail::Model(model) => Detail::Model(model.without_values()),
            other => other.clone(),
        };
        let kept = detail.to_kept();
        prop_assert_eq!(Detail::from_kept(detail.kind(), &kept), Some(expected.clone()));
        prop_assert_eq!(expected.to_kept(), kept, "also a second time");
    }

    #[test]
    fn statements_read_back(statement in statement()) {
        let (record, leaf) = record(statement);
        prop_assert_eq!(record.kind(), leaf.kind);
        prop_assert_eq!(read_payload(&leaf, &record.encode()), Payload::Record(record));
    }

    #[test]
    fn damaged_statements_are_void_opaque_or_canonical(
        statement in statement(), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let (record, leaf) = record(statement);
        let mut bytes = record.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Payload::Record(read) = read_payload(&leaf, &bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    /// No key of any kind takes text in which something could be said: only tokens, which have no blank, slash,
    /// colon or at sign, stand in source, hash set and classes.
    #[test]
    fn there_is_no_room_for_text(
        statement in statement(), key in 0..60u64, inner: bool, text in "[ -~]{0,20}[ /:@!?,A-Z][ -~]{0,20}",
    ) {
        let (record, leaf) = record(statement);
        let mut fields = decode_map(&record.encode()).expect("canonical");
        let within = if inner { fields.get_mut(&20) } else { None };
        match within {
            Some(Value::Map(genmeta)) => drop(genmeta.insert(key, Value::Text(text))),
            _ => drop(fields.insert(key, Value::Text(text))),
        }
        let read = read_payload(&leaf, &encode_map(&fields));
        prop_assert!(!matches!(read, Payload::Record(_)), "{:?}", read);
    }

    /// A payload of one kind under the leaf of another is never taken for a record of that kind, because signals and
    /// required keys differ.
    #[test]
    fn kinds_do_not_pass_for_one_another(statement in statement(), other in 0..5usize) {
        let (record, leaf) = record((statement.0, false));
        let kinds = [Kind::Content, Kind::Model, Kind::Dataset, Kind::Service, Kind::Ttp];
        let other = Leaf { kind: kinds[other], ..leaf };
        if other.kind != record.kind() {
            let read = read_payload(&other, &record.encode());
            prop_assert!(!matches!(read, Payload::Record(_)), "{:?}", read);
        }
    }
}

fn sha256(value: u8) -> Signal {
    Signal::new(SignalType::ModelSha256, &[value; 32], None).expect("signal")
}

fn groups(count: usize) -> Vec<TileBits> {
    let shape = |nth: usize| TileShape { rows: 320 + nth as u32, columns: 320 };
    let group = |nth| TileBits::new(shape(nth), vec![[nth as u8; 32]; count / 64]).expect("tiles");
    (0..64).map(group).collect()
}

#[test]
fn a_full_checkpoint_of_many_tiles_fits_one_record() {
    let model = Model { tiles: groups(1_700), roll_ups: groups(64), ..Model::default() };
    let content = Content::stating(vec![sha256(1)], Some(Detail::Model(model))).expect("valid");
    let cbor = Record::Content(content).encode();
    assert_eq!(pad_payload(&cbor).expect("fits").len(), PAYLOAD_PADDED_MAX_BYTES);
    let model = Model { tiles: groups(2_048), ..Model::default() };
    let content = Content::stating(vec![sha256(1)], Some(Detail::Model(model))).expect("valid");
    assert!(pad_payload(&Record::Content(content).encode()).is_err(), "more goes on in further parts");
}

#[test]
fn what_is_stated_is_checked_before_it_is_sealed() {
    let detail = |model: Model| Some(Detail::Model(model));
    let check = |signals: Vec<Signal>, model: Model, rule: RecordError| {
        assert_eq!(Content::stating(signals, detail(model)), Err(rule));
    };
    let md5 = Signal::new(SignalType::Md5, &[1; 16], None).expect("signal");
    check(vec![], Model::default(), RecordError::NoSignals);
    check(vec![md5], Model::default(), RecordError::SignalOfOtherKind { code: 2, kind: Kind::Model });
    let numbers =
        vec![TileNumbers::new(TileShape { rows: 16, columns: 16 }, vec![[1; 1024]]).expect("tiles")];
    check(vec![sha256(1)], Model { numbers, ..Model::default() }, RecordError::NumbersOfListing);
    let part = Some(Part { number: 3, of: 2 });
    check(vec![sha256(1)], Model { part, ..Model::default() }, RecordError::PartNumber { number: 3, of: 2 });
    assert_eq!(
        Content::new(vec![sha256(1)]),
        Err(RecordError::SignalOfOtherKind { code: 16, kind: Kind::Content })
    );
    let unordered = vec![TechniqueId::from_number(9).expect("id"), TechniqueId::from_number(2).expect("id")];
    let stated =
        Content::stating(vec![sha256(1)], detail(Model { techniques: unordered, ..Model::default() }));
    assert!(stated.is_ok(), "lists are put in order");
}

#[test]
fn keyed_digests_are_sealed_for_groups_only() {
    let header = |group| LeafHeader {
        kind: Kind::Dataset,
        priority: false,
        index: 0,
        time_ms: 0,
        roster_version: 1,
        log_id: LogId::new([1; 32]),
        subject: None,
        group,
    };
    let key = Signal::new(SignalType::UrlKey, &[1; 32], None).expect("signal");
    let content = Content::stating(vec![key], Some(Detail::Dataset(Dataset::default()))).expect("valid");
    let record = Record::Content(content);
    assert!(seal(header(7), &record, [0; 32]).is_ok());
    let refused = seal(header(0), &record, [0; 32]).expect_err("to every member");
    assert!(refused.to_string().contains("url_key signals go to a group only"), "{refused}");
}

#[test]
fn left_out_values_leave_their_number() {
    let model = Model { tiles: groups(640), vectors: vec![[1; 32]; 5], ..Model::default() }.sorted();
    let kept = model.without_values();
    assert_eq!((kept.tile_count(), kept.vector_count), (640, 5));
    assert!(kept.tiles.iter().all(|group| group.values().is_empty()) && kept.vectors.is_empty());
}

fn check_label<T: LabelWord>() {
    assert_eq!((T::DEFAULT.code(), Label::<T>::default().code()), (0, 0));
    check_words::<T>();
}

fn check_words<T: Vocabulary>() {
    for (nth, word) in T::all().enumerate() {
        assert_eq!(usize::from(word.code()), nth, "{} has a gap", T::FIELD);
        assert_eq!((T::parse(word.name()), T::from_code(nth as u64)), (Some(word), Some(word)));
    }
}

#[test]
fn vocabularies_are_tables_without_gaps() {
    check_label::<ModelForm>();
    check_words::<ModelRole>();
    check_label::<ModelFamily>();
    check_label::<WatermarkScheme>();
    check_label::<IdentifierType>();
    check_label::<DatasetForm>();
    check_label::<ServiceForm>();
    check_label::<Platform>();
    check_label::<Confidence>();
    check_label::<Surface>();
    check_label::<CountBucket>();
    check_label::<Basis>();
    check_label::<TtpStatus>();
    check_label::<Container>();
    check_label::<Tool>();
    check_label::<ResourceKind>();
    check_label::<SizeBucket>();
    check_label::<C2pa>();
    check_label::<Sampler>();
    check_label::<Scheduler>();
    check_label::<SourceType>();
    assert_eq!(Label::<Tlp>::from_code(9).get(), Tlp::Red);
}

#[test]
fn types_of_signals_belong_to_one_kind_each() {
    for signal in SignalType::ALL {
        let kind = Kind::ALL[usize::from(signal.code() / 16)];
        assert_eq!(signal.record_kind(), kind, "{signal}");
        assert_eq!(SignalType::parse(signal.name()), Some(signal));
        assert_eq!(signal.is_keyed(), signal.name().ends_with("_key"));
    }
    let inexact: Vec<_> = SignalType::ALL.into_iter().filter(|signal| !signal.matches_exactly()).collect();
    assert_eq!(inexact, [SignalType::Pdq, SignalType::ModelCrc32]);
}

#[test]
fn an_empty_map_states_no_kind_but_opinions() {
    for kind in [Kind::Content, Kind::Model, Kind::Dataset, Kind::Service, Kind::Ttp] {
        let read = read_payload(&leaf(kind, false, 7), &encode_map(&Fields::new()));
        assert!(matches!(read, Payload::Void(_)), "{kind}: {read:?}");
    }
}
