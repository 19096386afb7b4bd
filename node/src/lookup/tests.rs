//! Look-ups agree with a model that compares every query value with every signal of every record.

use super::*;
use hashpact_core::effect::StoredPayload;
use hashpact_core::view::{Author, View};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::limits::MATCHES_PER_ITEM_MAX;
use hashpact_protocol::record::{Content, Record, Retraction, RetractionReason, Signal, SubjectRef};
use hashpact_protocol::roster::MemberId;
use proptest::prelude::*;

mod following;
mod restart;

const NOW_MS: u64 = 1_800_000_000_000;

/// A value near one of a few centres, so that distances of every size occur. The first centre has no
/// bit set: few of its values are searched by distance.
fn value(centre: u8, flips: &[u8]) -> [u8; 32] {
    let mut value = [centre.wrapping_mul(0x35); 32];
    for bit in flips {
        value[usize::from(bit / 8)] ^= 1 << (bit % 8);
    }
    value
}

fn near() -> impl Strategy<Value = [u8; 32]> {
    (0..3_u8, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(centre, flips)| value(centre, &flips))
}

/// Perceptual values, exact values and whether the record is withdrawn.
type Spec = (Vec<[u8; 32]>, Vec<u8>, bool);

fn records() -> impl Strategy<Value = Vec<Spec>> {
    let record = (
        prop::collection::vec(near(), 0..3),
        prop::collection::vec(0..4_u8, 0..2),
        prop::bool::weighted(0.2),
    );
    prop::collection::vec(record, 0..40)
}

/// Some values are stated with a low quality.
fn quality(value: &[u8; 32]) -> u8 {
    if value[7] & 1 == 0 { 50 } else { 49 }
}

fn signals(spec: &Spec) -> Vec<Signal> {
    let near = spec.0.iter().map(|value| Signal::new(SignalType::Pdq, value, Some(quality(value))));
    let exact = spec.1.iter().map(|value| Signal::new(SignalType::Md5, &[*value; 16], None));
    let mut signals: Vec<Signal> = near.chain(exact).map(|signal| signal.expect("valid")).collect();
    signals.sort_unstable_by_key(|signal| (signal.kind(), signal.value().to_vec()));
    signals.dedup_by(|a, b| a.same_value(b));
    signals
}

fn north() -> Author {
    let member = MemberId::parse("north").expect("valid");
    Author::new(member, 1, LogId::of_origin("test-0000000000000000/north/1"))
}

/// An entry of north's: record id, leaf and payload.
fn entry(index: u64, record: &Record, subject: Option<RecordId>) -> (RecordId, Vec<u8>, StoredPayload) {
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index,
        time_ms: NOW_MS,
        roster_version: 1,
        log_id: north().log,
        subject,
        group: 0,
    };
    let sealed = seal(header, record, [0; 32]).expect("valid");
    let id = sealed.record_id();
    (id, sealed.leaf_bytes.to_vec(), StoredPayload::Present { salt: sealed.salt, padded: sealed.padded })
}

/// A read model that was told everything as the driver would tell it.
fn filled(specs: &[Spec]) -> Lookup {
    let lookup = Lookup::new(1);
    let author = north();
    let mut view = View::new(NOW_MS);
    let mut index = 0;
    let mut changes = Vec::new();
    let mut state = |record: &Record, subject| {
        let (id, leaf, payload) = entry(index, record, subject);
        changes.extend(view.fold(&author, index, &leaf, &payload));
        index += 1;
        (id, SubjectRef { log: author.log, index: index - 1 })
    };
    for spec in specs {
        let signals = signals(spec);
        if signals.is_empty() {
            continue;
        }
        let (id, place) = state(&Record::Content(Content::new(signals).expect("valid")), None);
        if spec.2 {
            state(&Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
        }
    }
    // In one call: a record and its withdrawal may arrive in the same batch.
    lookup.apply(&changes);
    lookup.set_loaded();
    lookup
}

#[test]
fn a_record_of_a_kept_history_that_the_followed_one_reaches_is_found_once() {
    let signal = Signal::new(SignalType::Md5, &[7; 16], None).expect("valid");
    let (id, leaf, payload) = entry(0, &Record::Content(Content::new(vec![signal]).expect("valid")), None);
    let (lookup, mut view) = (Lookup::new(1), View::new(NOW_MS));
    lookup.set_loaded();
    let found = |lookup: &Lookup| {
        let answer = lookup.match_queries(vec![query(0, &[], Some(7))], &Question::default(), &LogId::to_hex);
        let result = answer.results.first().expect("one item").clone();
        (result.total, result.matches.iter().map(|found| found.status.clone()).collect::<Vec<_>>())
    };
    lookup.apply(&view.fold(&north().beside(0), 0, &leaf, &payload));
    assert_eq!(found(&lookup), (1, vec!["contested".to_owned()]));
    lookup.apply(&view.fold(&north(), 0, &leaf, &payload));
    assert_eq!(found(&lookup), (1, vec!["active".to_owned()]));
    assert_eq!(lookup.records_count(), 1);
    assert!(lookup.record(&id).is_some_and(|record| !record.known.author.is_beside()));
    assert_eq!(lookup.index_stats().exact.values().map(|held| held.postings).sum::<u64>(), 1);
}

/// (distance, variant, signal type) of a record's best hit, by looking at everything.
fn best(record: &RecordView, query: &api::Query, radius: u16) -> Option<(u32, u8, &'static str)> {
    let mut best: Option<(u32, u8, SignalType)> = None;
    for (asked, variants) in &query.signals {
        for (variant, asked_value) in
            (0u8..).zip(std::iter::once(asked.value()).chain(variants.iter().map(|v| &v[..])))
        {
            for held in record.stated.content.signals.iter().filter(|held| held.kind() == asked.kind()) {
                let pairs = held.value().iter().zip(asked_value);
                let distance: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
                let ones: u32 = held.value().iter().map(|byte| byte.count_ones()).sum();
                let is_near = asked.kind() == SignalType::Pdq
                    && held.quality().is_some_and(|quality| quality >= 50)
                    && (32..=224).contains(&ones);
                let most = if is_near { u32::from(radius) } else { 0 };
                if distance <= most {
                    let hit = (distance, variant, asked.kind());
                    best = Some(best.map_or(hit, |held| held.min(hit)));
                }
            }
        }
    }
    best.map(|(distance, variant, kind)| (distance, variant, kind.name()))
}

fn query(id: usize, near: &[[u8; 32]], exact: Option<u8>) -> api::Query {
    let mut signals = Vec::new();
    if let Some((first, variants)) = near.split_first() {
        signals.push((Signal::new(SignalType::Pdq, first, Some(90)).expect("valid"), variants.to_vec()));
    }
    if let Some(value) = exact {
        signals.push((Signal::new(SignalType::Md5, &[value; 16], None).expect("valid"), Vec::new()));
    }
    api::Query { id: id.to_string(), signals }
}

fn check(specs: &[Spec], queries: &[api::Query], radius: u16) -> Result<(), TestCaseError> {
    let lookup = filled(specs);
    let (standing, _) = lookup.page(&RecordsFilter::default(), None, usize::MAX);
    let answer = lookup.match_queries(queries.to_vec(), &within(radius), &|log| log.to_hex());
    prop_assert_eq!(answer.results.len(), queries.len());
    for (result, query) in answer.results.iter().zip(queries) {
        let mut expected: Vec<((u32, u64), (u32, u8, &str), String)> = standing
            .iter()
            .filter_map(|record| {
                let hit = best(record, query, radius)?;
                Some(((hit.0, record.known.index), hit, record.known.id.to_hex()))
            })
            .collect();
        expected.sort();
        prop_assert_eq!(&result.id, &query.id);
        prop_assert_eq!(result.total, expected.len() as u64);
        prop_assert_eq!(result.outcome.as_deref(), (!expected.is_empty()).then_some("review"));
        let shown: Vec<_> = result
            .matches
            .iter()
            .map(|hit| ((hit.distance, hit.variant, hit.signal_type.as_str()), hit.record.clone()))
            .collect();
        let expected: Vec<_> =
            expected.into_iter().take(MATCHES_PER_ITEM_MAX).map(|(_, hit, id)| (hit, id)).collect();
        prop_assert_eq!(shown, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_answer_is_that_of_the_naive_model(
        specs in records(),
        near_values in prop::collection::vec(prop::collection::vec(near(), 0..9), 1..6),
        exact in prop::option::of(0..4_u8),
        radius in 0..=64_u16,
    ) {
        let queries: Vec<api::Query> =
            near_values.iter().enumerate().map(|(id, near)| query(id, &near[..near.len().min(8)], exact)).collect();
        check(&specs, &queries, radius)?;
    }
}

#[test]
fn a_batch_that_is_shared_among_cores_answers_as_one_by_one() {
    let specs: Vec<Spec> =
        (0..64_u8).map(|at| (vec![value(at % 3, &[at, at ^ 0x55])], vec![at % 4], at % 7 == 0)).collect();
    let queries: Vec<api::Query> = (0..=255_u8)
        .map(|at| query(usize::from(at), &[value(at % 3, &[at]), value(at % 5, &[1, at])], None))
        .collect();
    for radius in [0, 1, 2, 31, 64] {
        check(&specs, &queries, radius).expect("agrees");
    }
}

#[test]
fn many_values_at_once_find_what_one_item_each_finds() {
    let specs: Vec<Spec> = (0..64_u8)
        .map(|at| (vec![value(at % 3, &[at, at ^ 0x55]), value(at % 3, &[at])], vec![], at % 7 == 0))
        .collect();
    let lookup = filled(&specs);
    let values: Vec<[u8; 32]> = (0..=255_u8).map(|at| value(at % 5, &[at])).collect();
    for radius in [0, 2, 31, 64] {
        let mut near = lookup.near(&values, &within(radius)).into_iter().peekable();
        for (position, value) in values.iter().enumerate() {
            let answer =
                lookup.match_queries(vec![query(0, &[*value], None)], &within(radius), &|log| log.to_hex());
            let result = &answer.results[0];
            let found = near.next_if(|(at, _)| *at == position).map(|(_, found)| found);
            let total = found.as_ref().map_or(0, |found| found.total as u64);
            assert_eq!(result.total, total, "value {position}, radius {radius}");
            let closest = found.map_or(Vec::new(), |found| found.closest);
            assert_eq!(closest.len(), result.matches.len());
            for ((distance, record), shown) in closest.iter().zip(&result.matches) {
                assert_eq!(
                    (u32::from(*distance), record.known.id.to_hex()),
                    (shown.distance, shown.record.clone())
                );
            }
        }
        assert!(near.next().is_none());
    }
}

#[test]
fn a_record_and_its_withdrawal_in_one_batch_leave_nothing_in_the_index() {
    let lookup = filled(&[(vec![[1; 32], [2; 32]], vec![3], true)]);
    let stats = lookup.index_stats();
    assert_eq!((stats.hamming.postings, stats.exact.len(), lookup.records_count()), (0, 0, 1));
}

#[test]
fn a_listing_in_pages_of_any_size_shows_each_record_once() {
    let specs: Vec<Spec> = (0..23_u8).map(|at| (vec![[at; 32]], Vec::new(), at % 4 == 0)).collect();
    let lookup = filled(&specs);
    let filter = RecordsFilter::default();
    let (whole, none) = lookup.page(&filter, None, 1_000);
    assert_eq!((whole.len(), none), (17, None), "what stands");
    for limit in [1, 2, 5, 16, 17, 18] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = lookup.page(&filter, after, limit);
            assert!(page.len() <= limit);
            seen.extend(page.iter().map(|record| record.known.id));
            let Some(cursor) = next else { break };
            after = Cursor::parse(&cursor.encode());
            assert_eq!(after, Some(cursor));
        }
        assert_eq!(seen, whole.iter().map(|record| record.known.id).collect::<Vec<_>>(), "pages of {limit}");
    }
    let retracted = RecordsFilter { status: Some("retracted".to_owned()), ..RecordsFilter::default() };
    assert_eq!(lookup.page(&retracted, None, 1_000).0.len(), 6);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    for text in ["", "-", "00-1", "x-1", &format!("{}-", "0".repeat(64)), &format!("{}--1", "0".repeat(64))] {
        assert_eq!(Cursor::parse(text), None, "{text:?}");
    }
}

#[test]
fn the_name_of_the_view_changes_with_what_is_held() {
    let lookup = Lookup::new(1);
    let empty = lookup.as_of().view;
    let log = LogId::of_origin("test-0000000000000000/north/1");
    let origin = "test-0000000000000000/north/1".to_owned();
    let root = hashpact_protocol::digest::Root::new([1; 32]);
    lookup.publish(&PublishedHead { log, origin, size: 1, root, note: None, announced: 1 });
    assert_ne!(lookup.as_of().view, empty);
}

/// A question with this distance, to all lists.
fn within(radius: u16) -> Question<'static> {
    Question { distance: Some(radius), ..Question::default() }
}
