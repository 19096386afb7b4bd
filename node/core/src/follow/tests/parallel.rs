//! One log from several peers at once: in any order, in parts of any length, stored in the log's order.

use super::*;
use proptest::prelude::*;

const SIZE: u64 = 40_000;

/// A log whose leaves are cheap, because only their order matters here.
fn long_log(size: u64) -> AuthorLog {
    let entry = |index: u64| WireEntry {
        leaf: [b"HPL9".as_slice(), &index.to_be_bytes()].concat(),
        payload: WirePayload::NotHere,
    };
    AuthorLog { entries: (0..size).map(entry).collect() }
}

fn behind(author: &AuthorLog, peers: u8) -> Bench {
    let mut bench = Bench::new();
    let note = author.note(author.entries.len() as u64);
    for number in 1..=peers {
        bench.hear(peer(number), number == 1, &note, NOW_MS).expect("valid");
    }
    allow(&mut bench, FETCHES_PER_LOG_MAX);
    bench
}

fn allow(bench: &mut Bench, fetches_max: usize) {
    bench.log.allow(fetches_max);
    bench.log.poll(NOW_MS, &mut bench.out);
}

#[test]
fn parts_are_asked_of_several_peers_and_no_more_than_the_bound() {
    let author = long_log(SIZE);
    let mut bench = behind(&author, 3);
    let asked = bench.asked_ranges();
    assert_eq!(asked.len(), FETCHES_PER_LOG_MAX);
    let starts: Vec<u64> = asked.iter().map(|(_, _, range)| range.start).collect();
    assert_eq!(starts, [0, 4_096, 8_192, 12_288]);
    for number in 1..=3 {
        let of_one = asked.iter().filter(|(_, asked, _)| *asked == peer(number)).count();
        assert!((1..=FETCHES_PER_PEER_MAX).contains(&of_one), "{of_one} of peer {number}");
    }
    // What arrives early waits, counts, and is neither visible nor written.
    for (request, _, range) in asked.iter().skip(1).rev() {
        let chunk = author.chunk(range.start, range.start + 4_096, SIZE);
        assert_eq!(bench.answered(*request, chunk, NOW_MS), Ok(None));
    }
    assert_eq!((bench.asked_ranges().len(), bench.log.size()), (0, 0));
    let (request, _, _) = &asked[0];
    let first = bench.answered(*request, author.chunk(0, 4_096, SIZE), NOW_MS).expect("proven");
    assert_eq!(first.expect("its turn has come").start, 0);
    assert_eq!(bench.written(NOW_MS).entries.len(), 4_096);
    assert_eq!(bench.batch().expect("the next is here already").start, 4_096);
    // Each that is stored makes room for one.
    assert_eq!(bench.asked_ranges().len(), 1);
}

#[test]
fn a_log_that_waits_for_others_asks_for_nothing_more() {
    let author = long_log(SIZE);
    let mut bench = behind(&author, 1);
    let asked = bench.asked_ranges();
    assert_eq!(asked.len(), FETCHES_PER_PEER_MAX);
    allow(&mut bench, 0);
    let first = bench.answered(asked[0].0, author.chunk(0, 4_096, SIZE), NOW_MS).expect("proven");
    assert_eq!(first.expect("what was asked for is stored").start, 0);
    bench.written(NOW_MS);
    assert!(bench.asked_ranges().is_empty(), "not even the next part");
    allow(&mut bench, 1);
    assert!(bench.asked_ranges().is_empty(), "the part on its way is the one allowed");
    bench.answered(asked[1].0, author.chunk(4_096, 8_192, SIZE), NOW_MS).expect("proven").expect("a batch");
    bench.written(NOW_MS);
    assert_eq!(bench.asked_ranges().len(), 1, "it goes on");
}

#[test]
fn a_false_part_is_blamed_on_who_sent_it_and_fetched_elsewhere() {
    let author = long_log(SIZE);
    let mut bench = behind(&author, 2);
    let asked = bench.asked_ranges();
    let (first, second) = (&asked[0], &asked[1]);
    assert_ne!(first.1, second.1, "two peers");
    let mut false_part = author.chunk(4_096, 8_192, SIZE);
    false_part.entries[7].leaf[5] ^= 1;
    assert_eq!(bench.answered(second.0, false_part, NOW_MS), Ok(None), "nothing can be said of it yet");
    bench.answered(first.0, author.chunk(0, 4_096, SIZE), NOW_MS).expect("proven").expect("a batch");
    let fault = bench.written(NOW_MS).fault.expect("now it can");
    assert_eq!(fault, Fault { peer: second.1, error: ChunkError::Root { size: SIZE } });
    let again = bench.asked_ranges();
    assert!(again.iter().any(|(_, asked, range)| *asked == first.1 && range.start == 4_096), "{again:?}");
    assert_eq!(bench.log.size(), 4_096);
}

#[test]
fn what_no_connected_peer_can_serve_any_more_is_started_anew() {
    let author = long_log(SIZE);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(SIZE), NOW_MS).expect("valid");
    bench.hear(peer(2), false, &author.note(9_000), NOW_MS).expect("valid");
    allow(&mut bench, FETCHES_PER_LOG_MAX);
    let asked = bench.asked_ranges();
    assert!(asked.iter().all(|(_, asked, range)| *asked == peer(1) && range.size == SIZE), "{asked:?}");
    bench.answered(asked[1].0, author.chunk(4_096, 8_192, SIZE), NOW_MS).expect("early");
    bench.asked_ranges();
    bench.log.lost(&peer(1), NOW_MS, &mut bench.out);
    let asked = bench.asked_ranges();
    assert!(asked.iter().all(|(_, asked, range)| *asked == peer(2) && range.size == 9_000), "{asked:?}");
    assert_eq!(asked[0].2.start, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order, the lengths, the failures and the losses: the log arrives whole, in order, and
    /// never are more parts in hand than allowed.
    #[test]
    fn any_order_of_answers_gives_the_log(
        size in 1_u64..400, peers in 1_u8..5, fetches_max in 1_usize..5, choices in proptest::collection::vec(any::<u32>(), 0..200),
    ) {
        let author = long_log(size);
        let mut bench = behind(&author, peers);
        bench.log.allow(fetches_max);
        let mut choices = choices.into_iter();
        // When the choices are used up, peers are honest and answer with eight entries.
        let mut choose = |of: usize| choices.next().unwrap_or(7) as usize % of.max(1);
        let (mut waiting, mut now_ms, mut order) = (Vec::new(), NOW_MS, 0);
        for _ in 0..2_000 {
            waiting.extend(bench.asked_ranges());
            if let Some(batch) = bench.batch() {
                prop_assert_eq!(batch.start, order, "stored in the order of the log");
                order += batch.entries.len() as u64;
                bench.written(now_ms);
                continue;
            }
            if bench.log.size() == size {
                break;
            }
            if waiting.is_empty() {
                now_ms += RETRY_MAX_MS;
                bench.log.poll(now_ms, &mut bench.out);
                continue;
            }
            let (request, from, range) = waiting.remove(choose(waiting.len()));
            match choose(8) {
                0 => bench.log.fetch_failed(request, now_ms, &mut bench.out),
                1 => {
                    bench.log.lost(&from, now_ms, &mut bench.out);
                    bench.hear(from, false, &author.note(size), now_ms).expect("valid");
                }
                _ => {
                    let most = u64::from(range.entries_max).min(range.size - range.start);
                    let end = range.start + 1 + choose(most as usize) as u64;
                    let chunk = author.chunk(range.start, end, range.size);
                    if let Some(batch) = bench.answered(request, chunk, now_ms).expect("honest") {
                        prop_assert_eq!(batch.start, order);
                        order += batch.entries.len() as u64;
                        bench.written(now_ms);
                    }
                }
            }
            prop_assert!(bench.log.window.in_hand() <= fetches_max + 1);
        }
        prop_assert_eq!((bench.log.size(), bench.log.root()), (size, author.tree(size).root()));
    }
}
