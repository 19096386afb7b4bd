//! Tokens that end, limits of tokens, and addresses that try them.

use super::*;
use crate::http::access::CallerAddress;
use crate::http::guard::{FREE, SLOWED};
use crate::tokens::{Limits, NewToken, Scope, Tokens};
use hashpact_protocol::api::frames::{BrokenFrame, BrokenOff, Frame};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

fn limited(name: &str, limits: Limits) -> NewToken {
    NewToken { limits, ..NewToken::new(name, BTreeSet::from([Scope::Lookup, Scope::Contribute])) }
}

fn look_up(items: usize) -> Value {
    let item =
        |id: usize| json!({"id": id.to_string(), "signals": [{"type": "pdq", "value": "0".repeat(64)}]});
    json!({ "items": (0..items).map(item).collect::<Vec<_>>() })
}

async fn status(node: &Fixture, secret: &str) -> Answer {
    node.send(request(&Method::GET, "/v1/status", Some(secret), None)).await
}

async fn match_items(node: &Fixture, secret: &str, items: usize) -> Answer {
    node.send(request(&Method::POST, "/v1/match", Some(secret), Some(&look_up(items)))).await
}

#[tokio::test]
async fn a_token_that_is_over_is_told_so_by_name() {
    let node = Fixture::new();
    let new = NewToken { lifetime_s: 60, ..limited("brief", Limits::default()) };
    let secret = node.create_token(&new, 59);
    assert_eq!(status(&node, &secret).await.status, StatusCode::OK);
    let old = node.create_token(&NewToken { name: "old".to_owned(), ..new }, 60);
    let answer = status(&node, &old).await;
    let message = answer.refused(401, "unauthorized");
    assert!(message.starts_with("token old expired on 20"), "{message}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_a_new_one_served_without_a_restart() {
    let node = Fixture::new();
    let watch = tokio::spawn(crate::tokens::LiveTokens::watch(std::sync::Arc::downgrade(&node.live)));
    let path = node.dir.path().join("tokens");
    let new = limited("new", Limits::default());
    let (_, secret) =
        Tokens::create(&path, &new, crate::driver::now_ms() / 1_000, |_| Ok(())).expect("created");
    let within = Instant::now() + Duration::from_secs(5);
    while status(&node, &secret).await.status != StatusCode::OK {
        assert!(Instant::now() < within, "a new token must count");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Tokens::revoke(&path, "new", |_| Ok(())).expect("revoked");
    while status(&node, &secret).await.status != StatusCode::UNAUTHORIZED {
        assert!(Instant::now() < within, "a revoked token must not count");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    watch.abort();
}

#[tokio::test]
async fn each_limit_is_named_counted_and_says_when_to_come_back() {
    let node = Fixture::new();
    let cases = [
        (
            Limits { requests_per_s: Some(1), burst_s: Some(2), ..Limits::default() },
            "rate_limited",
            "requests_per_s = 1",
        ),
        (
            Limits { items_per_s: Some(3), burst_s: Some(2), ..Limits::default() },
            "rate_limited",
            "items_per_s = 3",
        ),
        (Limits { requests_per_day: Some(2), ..Limits::default() }, "quota_exceeded", "requests_per_day = 2"),
        (Limits { items_per_day: Some(6), ..Limits::default() }, "quota_exceeded", "items_per_day = 6"),
    ];
    for (number, (limits, code, named)) in cases.into_iter().enumerate() {
        let secret = node.create_token(&limited(&format!("limited-{number}"), limits), 0);
        for _ in 0..2 {
            let answer = match_items(&node, &secret, 3).await;
            assert_eq!(answer.status, StatusCode::OK, "{named}: {}", answer.text());
        }
        let answer = match_items(&node, &secret, 3).await;
        let message = answer.refused(429, code);
        let seconds: u64 =
            answer.header("retry-after").and_then(|value| value.parse().ok()).expect("a number");
        assert_eq!(message, format!("this token's limit {named} is used up; try again in {seconds} s"));
        assert!(
            if code == "rate_limited" { seconds == 1 } else { (1..=86_400).contains(&seconds) },
            "{message}"
        );
        let key = named.split(' ').next().expect("a key");
        let metrics = node.get("/metrics").await.text();
        assert!(metrics.contains(&format!("hashpact_http_limited_total{{limit=\"{key}\"}} 1")), "{metrics}");
    }
    assert_eq!(
        match_items(&node, node.token(Scope::Lookup), 3).await.status,
        StatusCode::OK,
        "others are not limited"
    );
}

#[tokio::test]
async fn records_count_as_items_and_what_is_refused_is_not_appended() {
    let node = Fixture::new();
    let secret =
        node.create_token(&limited("importer", Limits { items_per_day: Some(2), ..Limits::default() }), 0);
    let state = |values: &[u8]| {
        let records: Vec<Value> = values.iter().map(|value| super::refusals::record(*value)).collect();
        request(&Method::POST, "/v1/records", Some(&secret), Some(&json!({ "records": records })))
    };
    assert_eq!(node.send(state(&[1])).await.status, StatusCode::OK);
    node.send(state(&[2, 3])).await.refused(429, "quota_exceeded");
    assert_eq!(node.lookup.records_count(), 1);
    assert_eq!(node.send(state(&[2])).await.status, StatusCode::OK, "what is left of the day");
}

#[tokio::test]
async fn a_bulk_look_up_is_paced_by_a_rate_and_ended_by_a_quota() {
    let node = Fixture::new();
    let bulk = |secret: &str, values: usize| {
        Request::post("/v1/match/bulk")
            .header("authorization", format!("Bearer {secret}"))
            .header("content-type", "application/octet-stream")
            .body(Body::from(vec![0; 32 * values]))
            .expect("a valid request")
    };
    let rate = Limits { items_per_s: Some(1_000), burst_s: Some(1), ..Limits::default() };
    let secret = node.create_token(&limited("paced", rate), 0);
    let started = Instant::now();
    assert_eq!(node.send(bulk(&secret, 2_000)).await.status, StatusCode::OK);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(20), "{took:?}");
    let quota = Limits { items_per_day: Some(100), ..Limits::default() };
    let secret = node.create_token(&limited("daily", quota), 0);
    let answer = node.send(bulk(&secret, 1_000)).await;
    // The first part is within the quota: the answer has begun when the second is not.
    assert_eq!(answer.status, StatusCode::OK);
    let broken = BrokenFrame { why: BrokenOff::QuotaExceeded, items: 64 };
    assert_eq!(super::bulk::frames(&answer.body).last, Frame::Broken(broken));
    node.send(bulk(&secret, 64)).await.refused(429, "quota_exceeded");
}

#[tokio::test]
async fn an_address_that_tries_tokens_is_slowed_and_refused_and_good_tokens_are_served() {
    let node = Fixture::new();
    let from = |secret: &str, address: [u8; 4]| {
        let mut request = request(&Method::GET, "/v1/status", Some(secret), None);
        request.extensions_mut().insert(CallerAddress(IpAddr::from(address)));
        request
    };
    let bad = [10, 0, 0, 1];
    for _ in 0..FREE {
        node.send(from("hpt_guess", bad)).await.refused(401, "unauthorized");
    }
    let slowed = (FREE..SLOWED).map(|_| async {
        let began = Instant::now();
        node.send(from("hpt_guess", bad)).await.refused(401, "unauthorized");
        began.elapsed()
    });
    let mut waited = futures::future::join_all(slowed).await;
    waited.sort();
    assert!(waited[0] >= Duration::from_millis(100) && waited[29] >= Duration::from_secs(2), "{waited:?}");
    let answer = node.send(from("hpt_guess", bad)).await;
    assert!(answer.refused(429, "too_many_unknown_tokens").contains("from this address"));
    assert_eq!(answer.header("retry-after"), Some("300"));
    assert!(answer.header("www-authenticate").is_none());
    let good = node.token(Scope::Admin);
    assert_eq!(node.send(from(good, bad)).await.status, StatusCode::OK, "from the same address");
    assert_eq!(node.send(from(good, [10, 0, 0, 2])).await.status, StatusCode::OK, "from another");
    node.send(from("hpt_guess", [10, 0, 0, 2])).await.refused(401, "unauthorized");
    let metrics = node.get("/metrics").await.text();
    assert!(metrics.contains("hashpact_http_unknown_tokens_total 42"), "{metrics}");
    assert!(metrics.contains("hashpact_http_addresses_refused_total 1"), "{metrics}");
    assert!(!metrics.contains("guess"));
}
