use super::*;

const NOW_S: u64 = 1_800_000_000;

fn journalled(_: &Token) -> anyhow::Result<()> {
    Ok(())
}

fn create(path: &Path, new: &NewToken) -> Result<(Token, String), TokenError> {
    Tokens::create(path, new, NOW_S, journalled)
}

fn lookup(name: &str) -> NewToken {
    NewToken::new(name, BTreeSet::from([Scope::Lookup]))
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("tokens");
    (dir, path)
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}

#[test]
fn a_created_token_is_found_and_only_its_hash_is_kept() {
    let (_dir, path) = file();
    let (token, secret) = create(&path, &lookup("pipeline")).expect("create");
    assert!(!std::fs::read_to_string(&path).expect("read").contains(&secret));
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Tokens::load(&path).expect("load").all(), std::slice::from_ref(&token));
    let tokens = LiveTokens::open(&path).expect("load");
    let found = tokens.find(&secret).expect("found");
    assert_eq!(found.token(), &token);
    assert!(token.allows(Scope::Lookup) && !token.allows(Scope::Contribute));
    assert_eq!(token.expires_s, NOW_S + LIFETIME_DEFAULT_S);
    assert!(!token.has_expired(token.expires_s - 1) && token.has_expired(token.expires_s));
    assert!(tokens.find("hpt_00").is_none() && tokens.find("").is_none());
}

#[test]
fn a_token_that_cannot_be_as_asked_changes_nothing() {
    let (_dir, path) = file();
    create(&path, &lookup("pipeline")).expect("create");
    let before = std::fs::read(&path).expect("read");
    let limits = Limits { burst_s: Some(0), ..Limits::default() };
    let cases = [
        (lookup("pipeline"), "is taken"),
        (lookup("Pipe"), "must be 1 to 64 of [a-z0-9._-]"),
        (lookup(&"x".repeat(65)), "must be 1 to 64"),
        (NewToken { scopes: BTreeSet::new(), ..lookup("x") }, "needs at least one scope"),
        (NewToken { lifetime_s: LIFETIME_MAX_S + 1, ..lookup("x") }, "must expire within 366 days"),
        (NewToken { lifetime_s: 0, ..lookup("x") }, "not at once"),
        (NewToken { limits, ..lookup("x") }, "burst_s = 0: must be 1 to 3600"),
    ];
    for (new, expected) in cases {
        let error = create(&path, &new).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let refused = Tokens::create(&path, &lookup("x"), NOW_S, |_| anyhow::bail!("the journal is broken"));
    assert!(refused.expect_err("not journalled").to_string().contains("the journal is broken"));
    let refused = Tokens::revoke(&path, "pipeline", |_| anyhow::bail!("the journal is broken"));
    assert!(refused.is_err());
    assert!(
        Tokens::revoke(&path, "nobody", journalled).expect_err("unknown").to_string().contains("token list")
    );
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[test]
fn the_last_token_that_fits_is_taken_and_one_more_is_not() {
    let (_dir, path) = file();
    let line =
        |number: usize| format!("t{number} lookup {:064x} created={NOW_S} expires={}\n", number, NOW_S + 10);
    write(&path, &(1..TOKENS_MAX).map(line).collect::<String>());
    create(&path, &lookup("last")).expect("fits");
    assert!(create(&path, &lookup("more")).expect_err("full").to_string().contains("one token too many"));
    write(&path, &(1..=TOKENS_MAX + 1).map(line).collect::<String>());
    assert!(Tokens::load(&path).expect_err("too many").to_string().contains("line 1025: too many tokens"));
}

#[test]
fn bad_files_are_named() {
    let (_dir, path) = file();
    let zeros = "0".repeat(64);
    let good = format!("a admin {zeros} created=1 expires=2");
    for (text, expected) in [
        ("a b", "line 1: must be"),
        ("a root 00", "unknown scope"),
        ("a admin 00", "64 hex"),
        ("A! admin 00", "a name must be"),
        (&format!("a admin {zeros}"), "must be: name scopes hash created=S expires=S"),
        (&format!("a admin {zeros} expires=1 created=2"), "must be: name"),
        (&format!("a admin {zeros} created=1 expires=99999999"), "within 366 days"),
        (&format!("{good} burst_s=0"), "0 or too large"),
        (&format!("{good}\n{good}\n"), "line 2: this token is in the file twice"),
    ] {
        write(&path, text);
        let error = Tokens::load(&path).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(Tokens::load(&path).expect_err("mode").to_string().contains("chmod 600"));
}

#[test]
fn a_change_of_the_file_counts_without_a_restart_and_meters_go_on() {
    let (_dir, path) = file();
    let limits = Limits { requests_per_day: Some(2), ..Limits::default() };
    let (_, kept) = create(&path, &NewToken { limits, ..lookup("kept") }).expect("create");
    let (_, revoked) = create(&path, &lookup("revoked")).expect("create");
    let tokens = LiveTokens::open(&path).expect("load");
    tokens.find(&kept).expect("found").request(NOW_S).expect("one of two");
    Tokens::revoke(&path, "revoked", journalled).expect("revoked");
    let (_, new) = create(&path, &lookup("new")).expect("create");
    assert!(tokens.find(&revoked).is_some(), "not read yet");
    tokens.reload().expect("whole");
    assert!(tokens.find(&revoked).is_none() && tokens.find(&new).is_some());
    let found = tokens.find(&kept).expect("found");
    found.request(NOW_S).expect("two of two");
    assert!(found.request(NOW_S).is_err(), "reading the file anew gives nobody a new day");
    std::fs::write(&path, "garbage").expect("write");
    assert!(tokens.reload().is_err() && tokens.is_stale());
    assert!(tokens.find(&kept).is_some(), "the tokens before it count on");
}

#[test]
fn commands_at_the_same_time_lose_nothing() {
    let (_dir, path) = file();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..10 {
                    create(path, &lookup(&format!("t{thread}-{number}"))).expect("create");
                    if number % 2 == 0 {
                        Tokens::revoke(path, &format!("t{thread}-{number}"), journalled).expect("revoke");
                    }
                }
            });
        }
    });
    assert_eq!(Tokens::load(&path).expect("load").all().len(), 20);
}

#[test]
fn quotas_of_a_day_outlive_the_node_and_rates_do_not() {
    let (_dir, path) = file();
    let limits = Limits {
        requests_per_s: Some(1),
        burst_s: Some(1),
        items_per_day: Some(10),
        requests_per_day: Some(2),
        ..Limits::default()
    };
    let (_, secret) = create(&path, &NewToken { limits, ..lookup("pipeline") }).expect("create");
    let open = || LiveTokens::open(&path).expect("load");
    let tokens = open();
    let found = tokens.find(&secret).expect("found");
    found.request(NOW_S).expect("the first");
    found.items(9, NOW_S).expect("nine of ten");
    assert_eq!(found.request(NOW_S).expect_err("one a second").limit, "requests_per_s");
    drop(tokens);

    let tokens = open();
    let found = tokens.find(&secret).expect("found");
    assert_eq!(found.items(2, NOW_S).expect_err("eleven of ten").limit, "items_per_day");
    found.items(1, NOW_S).expect("ten of ten");
    found.request(NOW_S).expect("the second; the second of time is not kept");
    drop(tokens);
    let found = open().find(&secret).expect("found");
    assert_eq!(found.request(NOW_S).expect_err("two of two").limit, "requests_per_day");
    found.items(10, NOW_S + 86_400).expect("a new day");
}

/// What a request pays for its token, beside the one SHA-256 that it must pay: measured against that, so that a loaded
/// machine does not matter. A walk over all tokens would cost more than the bound.
#[test]
fn a_token_among_many_costs_little_more_than_its_digest() {
    const ROUNDS: u32 = 20_000;
    let (_dir, path) = file();
    let (_, kept) = create(&path, &lookup("kept")).expect("create");
    let mut text = std::fs::read_to_string(&path).expect("read");
    let line =
        |number: usize| format!("t{number} lookup {number:064x} created={NOW_S} expires={}\n", NOW_S + 10);
    text.extend((1..TOKENS_MAX).map(line));
    write(&path, &text);
    let tokens = LiveTokens::open(&path).expect("load");
    let measure = |work: &dyn Fn()| {
        let rounds = (0..5).map(|_| {
            let started = std::time::Instant::now();
            (0..ROUNDS).for_each(|_| work());
            started.elapsed()
        });
        rounds.min().expect("five")
    };
    let digest = measure(&|| {
        std::hint::black_box(sha256(&[std::hint::black_box(kept.as_bytes())]));
    });
    let whole = measure(&|| {
        let token = tokens.find(std::hint::black_box(&kept)).expect("found");
        token.request(NOW_S).and_then(|()| token.items(1, NOW_S)).expect("no limits");
    });
    println!("{:?} of which the digest {:?}", whole / ROUNDS, digest / ROUNDS);
    assert!(whole < digest * 6, "{whole:?} for {ROUNDS} requests, {digest:?} for as many digests");
}
