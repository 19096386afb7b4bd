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
    let root = author.tree(4).root();
    // Somebody who holds what was disowned can serve what was not.
    let mut bench = Bench::closed_at(4, root);
    bench.hear(peer(1), true, &author.note(5), NOW_MS).expect("it holds the closed part too");
    assert_eq!(bench.asked(), Some((peer(1), 0, 4)));
    let batch =
        bench.fetched(author.chunk(0, 4, 4), NOW_MS).expect("under the pinned root").expect("a batch");
    assert_eq!(batch.note, None, "nobody has shown a note of the closing size");
    bench.written(NOW_MS);
    assert!(bench.log.is_caught_up());
    assert_eq!((bench.log.size(), bench.log.held_head()), (4, None));
    bench.hear(peer(2), false, &author.note(4), NOW_MS).expect("of the closing size");

    // With entries of another branch the pinned root is not met.
    let mut other = AuthorLog::of(5);
    other.entries[3] = entry(3, 1);
    let mut bench = Bench::closed_at(4, root);
    assert_eq!(bench.hear(peer(1), true, &other.note(4), NOW_MS), Err(HeadError::AgainstClosure));
    assert_eq!((bench.asked(), bench.log.is_frozen()), (None, false));
    bench.hear(peer(1), true, &other.note(5), NOW_MS).expect("believed until it is seen");
    assert_eq!(bench.asked(), Some((peer(1), 0, 4)));
    assert_eq!(bench.fetched(other.chunk(0, 4, 4), NOW_MS), Err(ChunkError::Root { size: 4 }));
}

#[test]
fn what_is_held_on_another_branch_than_the_closure_freezes_the_log() {
    let author = AuthorLog::of(4);
    let mut out = Out::default();
    let start = FollowedStart {
        author: Author::new(MemberId::parse("north").expect("valid"), 1, LogId::of_origin(ORIGIN)),
        origin: ORIGIN.to_owned(),
        key: key().public(),
        closed: Some(Closure { size: 4, root: AuthorLog::of(3).tree(3).root() }),
        frontier: author.tree(4),
        note: None,
        payloads_missing: 0,
        ahead: Vec::new(),
        ahead_max: 8,
    };
    assert!(FollowedLog::new(start, &mut out).is_frozen());
}

fn holding(size: u64, author: &AuthorLog) -> Bench {
    let mut bench = Bench::new();
    bench.hear(peer(1), true, &author.note(size), NOW_MS).expect("valid");
    bench.asked();
    bench.fetched(author.chunk(0, size, size), NOW_MS).expect("proven");
    bench.written(NOW_MS);
    bench.out.take();
    bench.effects.clear();
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
    bench.failed(NOW_MS);
    assert_eq!(bench.asked(), Some((peer(3), 0, 5)), "the author, although its head is smaller");
    bench.failed(NOW_MS);
    assert_eq!(bench.asked(), Some((peer(2), 0, 8)));
    bench.failed(NOW_MS);
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
        bench.failed(now_ms);
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
fn a_settled_log_is_followed_to_its_closure_only() {
    let author = AuthorLog::of(6);
    let mut other = AuthorLog::of(6);
    other.entries[4] = entry(4, 1);
    let mut bench = Bench::closed_at(5, author.tree(5).root());
    bench.hear(peer(4), false, &author.note(3), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(4), 0, 3)));
    bench.log.settle();
    bench.failed(NOW_MS);
    assert_eq!(bench.asked(), None, "not what the roster pinned");
    assert_eq!(bench.hear(peer(3), false, &other.note(5), NOW_MS), Err(HeadError::AgainstClosure));
    bench.hear(peer(4), false, &author.note(4), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), None, "nobody offers the closure");
    // Of a larger head nobody can tell yet which branch it is of.
    bench.hear(peer(2), false, &other.note(6), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(2), 0, 5)));
    assert_eq!(bench.fetched(other.chunk(0, 5, 5), NOW_MS), Err(ChunkError::Root { size: 5 }));
    assert_eq!(bench.log.target(), None, "no signature that the chunk could speak against");
    bench.hear(peer(5), false, &author.note(5), NOW_MS).expect("valid");
    assert_eq!(bench.asked(), Some((peer(5), 0, 5)));
    assert!(!bench.log.is_frozen());
}
