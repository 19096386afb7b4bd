//! Which heads are believed, whom the log is fetched from, and when it stops for good.

use super::*;

#[test]
fn a_head_must_carry_the_authors_signature_for_this_very_log() {
    let author = AuthorLog::of(3);
    let root = author.tree(3).root();
    let elsewhere = Checkpoint { origin: "test-0000000000000000/south/1".to_owned(), size: 3, root };
    let stranger = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root };
    let mut flipped = author.note(3);
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    let stranger_key = SecretKey::from_seed([8; 32]);
    for note in
        [sign_checkpoint(&elsewhere, &key()), sign_checkpoint(&stranger, &stranger_key), flipped, Vec::new()]
    {
        let mut bench = Bench::new();
        assert_eq!(bench.hear(peer(1), true, &note, NOW_MS), Err(HeadError::Signature));
        assert_eq!((bench.asked(), bench.log.last_heard_ms()), (None, None));
    }
}

#[test]
fn a_closed_log_is_followed_to_its_closure_and_no_further() {
    let author = AuthorLog::of(5);
    let mut bench = Bench::closed_at(Some(4));
    assert_eq!(bench.hear(peer(1), true, &author.note(5), NOW_MS), Err(HeadError::BeyondClosure));
    assert_eq!(bench.asked(), None);
    bench.hear(peer(1), true, &author.note(4), NOW_MS).expect("up to the closure");
    assert_eq!(bench.asked(), Some((peer(1), 0, 4)));
}

fn holding(size: u64, author: &AuthorLog) -> Bench {
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(size), NOW_MS).expect("valid");
    bench.asked();
    bench.fetched(author.chunk(0, size, size), NOW_MS).expect("proven");
    bench.written(NOW_MS);
    bench.out.take();
    bench
}

#[test]
fn two_signed_heads_of_one_size_freeze_the_log_at_what_is_held() {
    let author = AuthorLog::of(6);
    let mut other = AuthorLog::of(6);
    other.entries[5] = entry(5, 1);
    // Against what is held.
    let mut bench = holding(6, &author);
    assert!(matches!(bench.hear(peer(2), false, &other.note(6), NOW_MS), Ok(Heard::Contradiction { .. })));
    assert!(bench.log.is_frozen() && bench.log.is_caught_up());

    // Against what another peer offers, with a fetch under way: its chunk is not taken any more.
    let mut bench = holding(3, &author);
    bench.hear(peer(1), true, &author.note(6), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(1), 3, 6)));
    assert!(matches!(bench.hear(peer(2), false, &other.note(6), NOW_MS), Ok(Heard::Contradiction { .. })));
    assert_eq!(bench.fetched(author.chunk(3, 6, 6), NOW_MS), Ok(None));
    assert_eq!((bench.log.size(), bench.log.is_frozen()), (3, true));

    // Nothing is fetched afterwards, whoever offers it.
    bench.log.poll(NOW_MS + 60_000, &mut bench.out);
    assert_eq!(bench.asked(), None);
    bench.hear(peer(3), true, &author.note(6), NOW_MS).expect("one branch again");
    assert_eq!((bench.asked(), bench.log.size()), (None, 3));
    assert!(!bench.log.is_lagging(NOW_MS + 60_000), "frozen is told apart from lagging");
}

#[test]
fn a_write_under_way_when_the_log_freezes_is_still_published() {
    let author = AuthorLog::of(4);
    let mut other = AuthorLog::of(6);
    other.entries[3] = entry(3, 1);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(4), NOW_MS).expect("valid");
    bench.fetched(author.chunk(0, 4, 4), NOW_MS).expect("proven");
    assert!(matches!(bench.hear(peer(2), false, &other.note(4), NOW_MS), Ok(Heard::Contradiction { .. })));
    bench.written(NOW_MS);
    assert_eq!(bench.log.size(), 4, "the database has it");
}

#[test]
fn the_author_is_asked_first_then_the_largest_head_then_whoever_failed_least() {
    let author = AuthorLog::of(8);
    let mut bench = Bench::new();
    bench.hear(peer(1), false, &author.note(2), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(1), 0, 2)), "the only source");
    bench.hear(peer(2), false, &author.note(8), NOW_MS).expect("valid");
    bench.hear(peer(3), true, &author.note(5), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), None, "one fetch at a time");
    bench.log.fetch_failed(NOW_MS, &mut bench.out);
    assert_eq!(bench.asked(), Some((peer(3), 0, 5)), "the author, although its head is smaller");
    bench.log.fetch_failed(NOW_MS, &mut bench.out);
    assert_eq!(bench.asked(), Some((peer(2), 0, 8)));
    bench.log.fetch_failed(NOW_MS, &mut bench.out);
    assert_eq!(bench.asked(), None, "all are being left alone for a while");
    bench.log.poll(NOW_MS + RETRY_FIRST_MS, &mut bench.out);
    assert_eq!(bench.asked(), Some((peer(3), 0, 5)));
}

#[test]
fn back_off_doubles_to_its_bound_survives_a_reconnect_and_ends_with_progress() {
    let author = AuthorLog::of(4);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(4), NOW_MS).expect("valid");
    let mut now_ms = NOW_MS;
    let mut pause_ms = RETRY_FIRST_MS;
    for _ in 0..10 {
        assert_eq!(bench.asked(), Some((peer(1), 0, 4)));
        bench.log.fetch_failed(now_ms, &mut bench.out);
        bench.log.lost(&peer(1), now_ms, &mut bench.out);
        bench.hear(peer(1), true, &author.note(4), now_ms).expect("valid");
        bench.log.poll(now_ms + pause_ms - 1, &mut bench.out);
        assert_eq!(bench.asked(), None, "reconnecting does not shorten {pause_ms} ms");
        now_ms += pause_ms;
        bench.log.poll(now_ms, &mut bench.out);
        pause_ms = (pause_ms * 2).min(RETRY_MAX_MS);
    }
    assert_eq!(pause_ms, RETRY_MAX_MS);
    bench.fetched(author.chunk(0, 2, 4), now_ms).expect("proven");
    bench.written(now_ms);
    assert_eq!(bench.asked(), Some((peer(1), 2, 4)), "a peer that delivered starts afresh");
}

#[test]
fn a_lost_peer_can_serve_nothing_and_its_fetch_goes_to_another() {
    let author = AuthorLog::of(4);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(4), NOW_MS).expect("valid");
    bench.hear(peer(2), false, &author.note(3), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(1), 0, 4)));
    bench.log.lost(&peer(1), NOW_MS, &mut bench.out);
    assert_eq!(bench.asked(), Some((peer(2), 0, 3)), "the largest that is served, not the largest claimed");
    bench.log.lost(&peer(2), NOW_MS, &mut bench.out);
    assert!(bench.log.is_caught_up(), "nobody connected has more");
    assert!(!bench.log.is_lagging(NOW_MS + 60_000));
}

#[test]
fn lagging_is_said_after_the_tolerated_time_and_taken_back_when_caught_up() {
    let author = AuthorLog::of(2);
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(2), NOW_MS).expect("valid");
    assert!(!bench.log.is_lagging(NOW_MS + LAG_TOLERATED_MS));
    assert!(bench.log.is_lagging(NOW_MS + LAG_TOLERATED_MS + 1));
    bench.fetched(author.chunk(0, 2, 2), NOW_MS).expect("proven");
    bench.written(NOW_MS);
    assert!(!bench.log.is_lagging(NOW_MS + 60_000));
}

#[test]
fn an_older_head_of_a_peer_changes_nothing() {
    let author = AuthorLog::of(4);
    let mut bench = holding(4, &author);
    let heard = bench.hear(peer(1), true, &author.note(2), NOW_MS).expect("valid, and old");
    assert!(matches!(heard, Heard::Unchecked { .. }), "to be compared with the tree");
    bench.log.remember(2, author.tree(2).root());
    let heard = bench.hear(peer(1), true, &author.note(2), NOW_MS).expect("valid, and old");
    assert!(matches!(heard, Heard::Ours(_)), "compared once");
    assert_eq!((bench.asked(), bench.log.is_caught_up()), (None, true));
}

#[test]
fn a_settled_log_is_followed_to_the_pinned_head_only() {
    let author = AuthorLog::of(6);
    let mut other = AuthorLog::of(6);
    other.entries[4] = entry(4, 1);
    let mut bench = holding(3, &author);
    bench.hear(peer(2), false, &other.note(6), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(2), 3, 6)));
    bench.log.fetch_failed(NOW_MS, &mut bench.out);
    bench.log.settle(5, author.tree(5).root());
    for (from, note) in [(1, author.note(6)), (2, other.note(6)), (3, other.note(5)), (4, author.note(4))] {
        bench.hear(peer(from), false, &note, NOW_MS).expect("valid");
        assert_eq!(bench.asked(), None, "not the pinned head");
    }
    bench.hear(peer(5), false, &author.note(5), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(5), 3, 5)));
    assert!(!bench.log.is_frozen());
}
