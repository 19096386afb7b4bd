//! The typed client against scripted answers: what is sent, what is repeated, what errors keep.

use std::sync::{Arc, Mutex};

use hashpact_client::{Client, ClientError};
use hashpact_protocol::api::{Ack, MatchRequest, NewRecord, NewSignal, OpinionRequest, RecordsQuery};
use hashpact_protocol::digest::RecordId;

use crate::fake_node::{FakeNode, Ledger, Reply};

fn record(nth: u64) -> NewRecord {
    let signal = NewSignal { signal_type: "md5".into(), value: format!("{nth:032x}"), quality: None };
    NewRecord { kind: "content".into(), signals: vec![signal], ..NewRecord::default() }
}

fn opinion() -> OpinionRequest {
    OpinionRequest { opinion: "agree".into(), reason: None }
}

#[tokio::test]
async fn a_lost_answer_states_nothing_twice() {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let node = FakeNode::with_ledger(Arc::clone(&ledger), |_, count| (count == 0).then_some(Reply::Hangup));
    let client = Client::new(&node.url, "secret").unwrap();
    let receipts = client.contribute(&[record(1), record(2)], "key-1", Ack::Replicated(2)).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(ledger.lock().unwrap().stated.len(), 2);
    let requests = node.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/v1/records?ack=replicated%3A2")
        );
        assert_eq!(request.headers["authorization"], "Bearer secret");
        assert_eq!(request.headers["idempotency-key"], "key-1");
    }
}

#[tokio::test]
async fn an_opinion_is_not_repeated_when_it_may_have_arrived() {
    let id = RecordId::new([7; 32]);
    let node = FakeNode::start(|_, _| Reply::Hangup);
    let client = Client::new(&node.url, "secret").unwrap();
    let error = client.opinion(&id, &opinion()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { attempts: 1, .. }), "{error}");
    assert_eq!(node.requests().len(), 1);

    let node = FakeNode::start(|_, _| Reply::error(503, "", "busy"));
    let error = Client::new(&node.url, "secret").unwrap().opinion(&id, &opinion()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error}");
    assert_eq!(node.requests().len(), 1);

    let node = FakeNode::start(|_, count| match count {
        0 => Reply::error(429, "Retry-After: 0\r\n", "slow_down"),
        _ => Reply::Answer(
            200,
            "",
            r#"{"record":"00","log":"l","index":3,"tree_size":4,"ack":"local"}"#.to_owned(),
        ),
    });
    let receipt = Client::new(&node.url, "secret").unwrap().opinion(&id, &opinion()).await.unwrap();
    assert_eq!((receipt.index, node.requests().len()), (3, 2));
    assert_eq!(node.requests()[1].body, r#"{"opinion":"agree"}"#);
}

#[tokio::test]
async fn refusals_keep_code_message_and_request_id() {
    let node = FakeNode::start(|_, _| Reply::error(403, "", "scope_missing"));
    let client = Client::new(&node.url, None).unwrap();
    let error = client.status().await.unwrap_err();
    assert_eq!(error.to_string(), "the node refused (403, scope_missing): as scripted (request r-1)");
    let request = &node.requests()[0];
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(node.requests().len(), 1, "a refusal is not repeated");

    let node = FakeNode::start(|_, _| Reply::Answer(200, "", "<html>".to_owned()));
    let error = Client::new(&node.url, None).unwrap().status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { .. }), "{error}");

    let node = FakeNode::start(|_, _| Reply::Answer(302, "Location: http://127.0.0.1:1/\r\n", String::new()));
    let error = Client::new(&node.url, "secret").unwrap().status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { .. }), "a token must not follow a redirect: {error}");
}

#[tokio::test]
async fn a_busy_node_is_asked_again() {
    let node = FakeNode::start(|_, count| match count {
        0 => Reply::error(503, "Retry-After: 0\r\n", "loading"),
        1 => Reply::Hangup,
        _ => Reply::Answer(
            200,
            "",
            r#"{"complete":false,"reason":"loading","as_of":{"view":"v","roster":1},"results":[]}"#
                .to_owned(),
        ),
    });
    let answer = Client::new(&node.url, "t").unwrap().match_signals(&MatchRequest::default()).await.unwrap();
    assert_eq!((answer.complete, answer.reason.as_deref()), (false, Some("loading")));
    assert_eq!(node.requests().len(), 3);
}

#[tokio::test]
async fn a_wait_of_minutes_is_the_callers_decision() {
    let node = FakeNode::start(|_, _| Reply::error(429, "Retry-After: 3600\r\n", "quota"));
    let error = Client::new(&node.url, "t").unwrap().status().await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 429, retry_after_s: Some(3600), .. }), "{error}");
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn pages_are_asked_for_with_their_filters() {
    let node = FakeNode::start(|_, _| Reply::Answer(200, "", r#"{"records":[],"next":null}"#.to_owned()));
    let client = Client::new(&format!("{}/behind/a/proxy", node.url), "t").unwrap();
    let query = RecordsQuery { limit: Some(10), member: Some("alpha".into()), ..RecordsQuery::default() };
    assert_eq!(client.records(&query).await.unwrap().next, None);
    assert_eq!(node.requests()[0].target, "/behind/a/proxy/v1/records?limit=10&member=alpha");
}

#[test]
fn addresses_and_tokens_are_checked_before_anything_is_sent() {
    for address in ["", "node", "ftp://node", "http://user:pw@node/", "http://node/?q=1", "http://node/#x"] {
        assert!(matches!(Client::new(address, None), Err(ClientError::Address { .. })), "{address}");
    }
    assert!(matches!(Client::new("http://node", "a\nb"), Err(ClientError::Token)));
    assert!(Client::new("http://node", "t").unwrap().sends_token_in_clear());
    assert!(!Client::new("https://node", "t").unwrap().sends_token_in_clear());
    assert!(!Client::new("http://[::1]:7410", "t").unwrap().sends_token_in_clear());
    let shown = format!("{:?}", Client::new("http://node", "topsecret").unwrap());
    assert!(!shown.contains("topsecret"), "{shown}");
}
