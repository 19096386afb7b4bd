use super::*;
use hashpact_core::effect::{EntryRef, IndexChange};
use hashpact_core::models::decision::Bits;
use hashpact_core::view::{Author, KnownRecord, Ruled, Standing, Stated, Status};
use hashpact_protocol::api::{
    AskedFingerprint, AskedModel, ModelId, ModelIdType, ModelMatchRequest, RegisteredModelJson, SketchMatchJson,
};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{
    Content, Detail, IdentifierType, Model, Part, RulingReason, Signal, SubjectRef, TILE_NUMBERS_BYTES, TileBits,
    TileNumbers, TileShape, Verdict,
};
use hashpact_protocol::roster::MemberId;

const SHAPE: TileShape = TileShape { rows: 64, columns: 320 };

fn member(name: &str) -> MemberId {
    MemberId::parse(name).unwrap()
}

/// Bits that are far from those of other numbers.
fn bits(seed: u64) -> Bits {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

fn turned(mut bits: Bits, count: usize) -> Bits {
    (0..count).for_each(|bit| bits[bit / 8] ^= 1 << (bit % 8));
    bits
}

/// Numbers whose signs are these bits.
fn numbers(bits: Bits) -> [u8; TILE_NUMBERS_BYTES] {
    let mut numbers = [0; TILE_NUMBERS_BYTES];
    for (nth, number) in numbers.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let is_positive = bits[nth / 8] >> (7 - nth % 8) & 1 == 1;
        *number = if is_positive { 1.5f32 } else { -0.25 }.to_le_bytes();
    }
    numbers
}

fn tset(nth: u8) -> Signal {
    Signal::new(SignalType::Tset1, &[nth; 32], None).unwrap()
}

fn log(name: &str) -> LogId {
    let mut id = [0; 32];
    id[..name.len()].copy_from_slice(name.as_bytes());
    LogId::new(id)
}

fn id(name: &str, index: u64) -> RecordId {
    let mut id = [0; 32];
    id[..name.len()].copy_from_slice(name.as_bytes());
    id[31] = index as u8;
    RecordId::new(id)
}

fn model(role: ModelRole, tiles: &[Bits]) -> Model {
    let group = || TileBits::new(SHAPE, tiles.to_vec()).unwrap();
    let tiles = if tiles.is_empty() { Vec::new() } else { vec![group()] };
    Model { role, tiles, ..Model::default() }
}

fn content(signals: &[Signal], model: Model) -> Content {
    Content::stating(signals.to_vec(), Some(Detail::Model(model))).unwrap()
}

fn change(name: &str, index: u64, status: Status, content: Option<Content>) -> ViewChange {
    ViewChange {
        record: KnownRecord {
            id: id(name, index),
            author: Author::new(member(name), 0, log(name)),
            index,
            standing: Standing { status, ..Standing::UNDISPUTED },
        },
        stated: content.map(|content| Box::new(Stated { kind: Kind::Model, time_ms: 1, content })),
        index: IndexChange::Keep,
    }
}

fn states(models: &Models, name: &str, index: u64, content: Content) {
    assert!(models.apply(&[change(name, index, Status::Active, Some(content))]));
}

/// What is found of a model with these D-bits.
fn sketches(models: &Models, tiles: &[Bits]) -> Vec<SketchMatchJson> {
    let tiles = tiles.iter().map(|bits| (SHAPE, *bits)).collect();
    let fingerprints = vec![AskedFingerprint { tiles, ..AskedFingerprint::default() }];
    models.find(&AskedModel { ids: Vec::new(), fingerprints }).sketches
}

fn listed(seeds: std::ops::Range<u64>) -> Vec<Bits> {
    seeds.map(bits).collect()
}

#[test]
fn a_listing_counts_as_far_as_its_parts_have_come() {
    let models = Models::new(Thresholds::default());
    let tiles = listed(0..24);
    let part = |number, tiles: &[Bits]| Model {
        part: Some(Part { number, of: 3 }),
        ..model(ModelRole::Listed, tiles)
    };
    let further = |number, tiles: &[Bits]| Content {
        subject: Some(SubjectRef { log: log("ash"), index: 0 }),
        ..content(&[], part(number, tiles))
    };
    // The last part comes first, and another member's counts for nothing.
    states(&models, "ash", 2, further(3, &tiles[16..]));
    states(&models, "birch", 9, further(2, &listed(90..98)));
    assert!(sketches(&models, &tiles).is_empty(), "nothing counts before the first");
    states(&models, "ash", 0, content(&[tset(1)], part(1, &tiles[..8])));
    let found = sketches(&models, &tiles);
    assert_eq!((found[0].evidence.listed, found[0].parts_missing), (16, 1));
    assert_eq!(models.registry().incomplete, 1);
    states(&models, "ash", 1, further(2, &tiles[8..16]));
    let asked: Vec<Bits> = tiles.iter().map(|bits| turned(*bits, 20)).collect();
    let found = sketches(&models, &asked);
    assert_eq!((found.len(), found[0].verdict.as_str(), found[0].parts_missing), (1, "same", 0));
    assert_eq!((found[0].evidence.pairs, found[0].evidence.mean_bits_hundredths), (24, 2000));
    assert_eq!(found[0].listing.record, id("ash", 0).to_hex());
    // A part that is withdrawn counts no more; the first takes all with it, and comes back with it.
    models.apply(&[change("ash", 2, Status::Retracted, None)]);
    assert_eq!(sketches(&models, &asked)[0].parts_missing, 1);
    models.apply(&[change("ash", 0, Status::Suspended, None)]);
    assert!(sketches(&models, &asked).is_empty());
    assert_eq!(models.registry().listed_tiles, 0);
    models.apply(&[change("ash", 0, Status::Active, None)]);
    assert_eq!(sketches(&models, &asked)[0].evidence.listed, 16);
    // Sealed: nothing of it is kept.
    models.apply(&[change("ash", 1, Status::Sealed, None)]);
    assert_eq!(sketches(&models, &asked)[0].evidence.listed, 8);
    models.apply(&[change("ash", 0, Status::Sealed, None), change("ash", 2, Status::Erased, None)]);
    assert!(sketches(&models, &asked).is_empty());
    assert_eq!((models.listed.stats().hamming.values, models.registry().listings), (0, 0));
}

#[test]
fn verdicts_leave_out_what_is_unrelated() {
    let models = Models::new(Thresholds::default());
    states(&models, "ash", 0, content(&[tset(1)], model(ModelRole::Listed, &listed(0..12))));
    states(&models, "birch", 0, content(&[tset(2)], model(ModelRole::Listed, &listed(50..62))));
    let at = |count: usize| -> Vec<Bits> { listed(0..12).iter().map(|bits| turned(*bits, count)).collect() };
    for (count, verdict) in [(31, Some("same")), (32, Some("review")), (60, Some("review")), (61, None)] {
        let found = sketches(&models, &at(count));
        assert_eq!(found.first().map(|found| found.verdict.as_str()), verdict, "{count} bits");
        assert!(found.len() < 2);
    }
    assert!(sketches(&models, &listed(200..212)).is_empty());
}

fn base(seeds: std::ops::Range<u64>, role: ModelRole) -> Model {
    let values = listed(seeds).into_iter().map(numbers).collect();
    Model { numbers: vec![TileNumbers::new(SHAPE, values).unwrap()], ..model(role, &[]) }
}

#[test]
fn bases_are_found_by_the_signs_of_their_numbers() {
    let models = Models::new(Thresholds::default());
    states(&models, "ash", 0, content(&[tset(1)], base(0..4, ModelRole::Base)));
    states(&models, "birch", 0, content(&[tset(2)], base(0..2, ModelRole::Intermediate)));
    states(&models, "cedar", 0, content(&[], model(ModelRole::Stop, &[bits(70)])));
    let asked = [turned(bits(1), 3), bits(3), bits(99), turned(bits(70), 31)];
    let asked: Vec<_> = (0u32..).zip(asked).map(|(tile, bits)| (7, tile, (SHAPE, bits))).collect();
    let found = models.bases(&asked);
    let shown: Vec<_> = found
        .tiles
        .iter()
        .map(|tile| (tile.tile, tile.stopped, tile.near.iter().map(|near| (near.model, near.distance)).collect()))
        .collect::<Vec<(u32, bool, Vec<(u32, u32)>)>>();
    assert_eq!(shown, [(0, false, vec![(0, 3), (1, 3)]), (1, false, vec![(0, 0)]), (3, true, vec![])]);
    assert_eq!(found.numbers.len(), 3);
    let near = &found.tiles[0].near[0];
    let text = &found.numbers[near.numbers as usize];
    assert_eq!(hashpact_protocol::api::tile_numbers(text), Some(numbers(bits(1))));
    let roles: Vec<&str> = found.models.iter().map(|model: &RegisteredModelJson| model.role.as_str()).collect();
    assert_eq!(roles, ["base", "intermediate"]);
    let registry = models.registry();
    assert_eq!((registry.models, registry.doubly_registered, registry.base_tiles, registry.stop_tiles), (2, 0, 6, 1));
    models.apply(&[change("cedar", 0, Status::Retracted, None), change("ash", 0, Status::Retracted, None)]);
    let left = models.bases(&asked);
    assert_eq!((left.tiles.len(), left.models.len()), (1, 1));
    assert_ne!(models.registry().version, registry.version);
}

/// A benign model that two members registered, with what it adds to its base.
fn with_benign() -> Models {
    let models = Models::new(Thresholds::default());
    states(&models, "ash", 0, content(&[tset(9)], model(ModelRole::Intermediate, &listed(0..12))));
    states(&models, "birch", 0, content(&[tset(9)], model(ModelRole::Intermediate, &[])));
    models
}

#[test]
fn a_listing_near_a_benign_model_of_two_members_is_refused() {
    let models = with_benign();
    let near = |count: usize| listed(0..12).iter().map(|bits| turned(*bits, count)).collect::<Vec<Bits>>();
    let check = |models: &Models, signal: Signal, tiles: &[Bits]| {
        let content = content(&[signal], model(ModelRole::Listed, tiles));
        models.check_listings(&member("cedar"), [Some((None, &content))]).map_err(|refused| refused.members)
    };
    assert_eq!(check(&models, tset(1), &near(64)), Err(2));
    assert_eq!(check(&models, tset(1), &near(65)), Ok(()));
    assert_eq!(check(&models, tset(9), &[]), Err(2), "the very model");
    assert_eq!(check(&models, tset(1), &listed(40..60)), Ok(()));
    // One of the two withdraws, and it shields no more.
    models.apply(&[change("birch", 0, Status::Retracted, None)]);
    assert_eq!(check(&models, tset(1), &near(10)), Ok(()));
    assert_eq!(check(&models, tset(9), &[]), Ok(()));
}

fn ruling(signal: Signal, verdict: Verdict) -> RulingChange {
    let entry = EntryRef { log: log("ash"), index: 5 };
    let (panellists, reason) = (vec![member("ash")], RulingReason::Review);
    RulingChange { signal, ruled: Some(Ruled { verdict, panellists, needed: 1, time_ms: 1, entry, reason }) }
}

#[test]
fn a_replicated_listing_near_it_is_conflicting_until_the_panel_rules() {
    for is_first in [true, false] {
        let models = if is_first { Models::new(Thresholds::default()) } else { with_benign() };
        let tiles: Vec<Bits> = listed(0..12).iter().map(|bits| turned(*bits, 10)).collect();
        states(&models, "cedar", 0, content(&[tset(1)], model(ModelRole::Listed, &tiles)));
        if is_first {
            states(&models, "ash", 0, content(&[tset(9)], model(ModelRole::Intermediate, &listed(0..12))));
            assert!(models.conflicting().is_empty(), "one member alone shields nothing");
            states(&models, "birch", 0, content(&[tset(9)], model(ModelRole::Intermediate, &[])));
        }
        let conflicting = models.conflicting();
        assert_eq!(conflicting.keys().copied().collect::<Vec<_>>(), [id("cedar", 0)], "{is_first}");
        // The benign model is nearer to what it is, the listing to what it lists.
        let found = sketches(&models, &listed(0..12));
        assert_eq!((found[0].verdict.as_str(), found[0].listing.status.as_str()), ("nothing", "conflicting"));
        assert!(found[0].nearest_benign.is_some());
        assert_eq!(sketches(&models, &tiles)[0].verdict, "same");
        assert!(models.hear(&[ruling(tset(1), Verdict::Stands)]));
        assert!(models.conflicting().is_empty());
        assert!(!models.hear(&[ruling(Signal::new(SignalType::Md5, &[1; 16], None).unwrap(), Verdict::Benign)]));
    }
}

#[test]
fn descent_from_a_marked_base_is_told() {
    let models = Models::new(Thresholds::default());
    states(&models, "ash", 0, content(&[tset(9)], base(0..4, ModelRole::Base)));
    let fingerprint = AskedFingerprint { base: Some(id("ash", 0)), ..AskedFingerprint::default() };
    let asked = AskedModel { ids: Vec::new(), fingerprints: vec![fingerprint] };
    assert!(models.find(&asked).descent.is_empty());
    models.hear(&[ruling(tset(9), Verdict::TrainedOnKnownCsam)]);
    let found = models.find(&asked);
    assert!(found.descent[0].trained_on_known_csam && found.sketches.is_empty());
}

#[test]
fn leads_are_of_listings_only() {
    let models = Models::new(Thresholds::default());
    let sha = |nth: u8| Signal::new(SignalType::ModelSha256, &[nth; 32], None).unwrap();
    states(&models, "ash", 0, content(&[sha(7)], model(ModelRole::Listed, &[])));
    states(&models, "birch", 0, content(&[sha(8)], base(0..1, ModelRole::Base)));
    let ask = |id_type: Option<IdentifierType>, bytes: &[u8]| {
        let id = ModelId { id_type: id_type.map(ModelIdType::Known), bytes: bytes.to_vec() };
        models.find(&AskedModel { ids: vec![id], fingerprints: Vec::new() })
    };
    for (id_type, bytes, count) in [
        (None, &[7; 6][..], 1),
        (Some(IdentifierType::AutoV3), &[7; 6][..], 1),
        (Some(IdentifierType::AutoV2), &[7; 5][..], 1),
        (Some(IdentifierType::AutoV1), &[7; 4][..], 0),
        (None, &[7; 4][..], 1),
        (None, &[7; 32][..], 0),
        (None, &[8; 6][..], 0),
    ] {
        assert_eq!(ask(id_type, bytes).leads.len(), count, "{id_type:?} {bytes:?}");
    }
    let registered = ask(Some(IdentifierType::Sha256), &[8; 32]).registered;
    assert_eq!((registered.len(), registered[0].members), (1, 1));
    assert!(ModelMatchRequest::default().to_model().is_err());
}
