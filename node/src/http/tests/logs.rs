//! `/logs/<member>/<n>/…`: what C2SP tlog-tiles readers get, and who may read.

use super::*;
use fixture::{CONSORTIUM, Stated, log_key, origin};
use hashpact_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use hashpact_protocol::digest::{NodeHash, leaf_hash};
use hashpact_protocol::merkle::{Frontier, decode_bundle, decode_tile, entries_path};
use hashpact_protocol::note::{Note, NoteAlgorithm, NoteKey};
use hashpact_protocol::roster::Roster;

async fn with_records(http: &'static str) -> Fixture {
    let node = Fixture::start(Options { http, ..Options::default() }, Stated::default());
    let record = |value: u16| json!({"kind": "content", "signals": [{"type": "sha256", "value": hex(&value.to_be_bytes().repeat(16))}]});
    let body = json!({"records": (0..300).map(record).collect::<Vec<_>>()});
    node.post("/v1/records", &body).await.ok();
    node
}

#[tokio::test]
async fn checkpoint_tiles_and_entries_fit_together() {
    let node = with_records("").await;
    let answer = node.get("/logs/north/1/checkpoint").await;
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let head =
        SignedCheckpoint::verify(&answer.body, &origin("north"), &log_key("north").public()).expect("signed");
    assert_eq!(head.size(), 300);

    let mut tree = Frontier::empty();
    let mut hashes = Vec::new();
    for (index, width) in [(0, 256), (1, 44)] {
        let answer = node.get(&format!("/logs/north/1/tile/entries/{}", entries_path(index, width))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let immutable = answer.header("cache-control").is_some_and(|value| value.contains("immutable"));
        assert_eq!(immutable, width == 256, "only what is full never changes");
        for leaf in decode_bundle(&answer.body).expect("a bundle") {
            tree.append(leaf_hash(leaf));
            hashes.push(NodeHash::from(leaf_hash(leaf)));
        }
    }
    assert_eq!((tree.size(), tree.root()), (300, head.root()));
    let full = node.get("/logs/north/1/tile/0/000").await;
    assert_eq!(decode_tile(&full.body).expect("a tile"), hashes[..256]);
    let partial = node.get("/logs/north/1/tile/0/001.p/44").await;
    assert_eq!(decode_tile(&partial.body).expect("a tile"), hashes[256..]);
}

#[tokio::test]
async fn the_roster_log_is_a_log_like_the_others() {
    let node = Fixture::new();
    let answer = node.get("/logs/roster/checkpoint").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let note = Note::parse(&answer.body).expect("a note");
    let head = Checkpoint::parse_text(&note.text).expect("a checkpoint");
    assert_eq!((head.origin.as_str(), head.size), (format!("{CONSORTIUM}/roster").as_str(), 1));
    let bundle = node.get("/logs/roster/tile/entries/000.p/1").await;
    assert_eq!(bundle.header("content-type"), Some("application/octet-stream"));
    let entries = decode_bundle(&bundle.body).expect("a bundle");
    let roster = Roster::parse(entries[0]).expect("a roster");
    assert_eq!((entries.len(), roster.consortium.as_str()), (1, CONSORTIUM));
    let tile = node.get("/logs/roster/tile/0/000.p/1").await;
    assert_eq!(tile.body, leaf_hash(entries[0]).as_bytes());
    assert_eq!(tile.body, head.root.as_bytes());
    for path in ["0/000", "0/000.p/2", "0/001.p/1", "1/000.p/1", "entries/000", "entries/000.p/2"] {
        node.get(&format!("/logs/roster/tile/{path}")).await.refused(404, "not_found");
    }
    node.get("/logs/roster/tile/0/0").await.refused(400, "invalid_tile_path");
}

#[tokio::test]
async fn the_policy_names_the_logs_keys() {
    let node = Fixture::new();
    let key =
        NoteKey { name: origin("south"), algorithm: NoteAlgorithm::Ed25519, key: log_key("south").public() };
    let answer = node.get("/logs/south/policy").await;
    assert_eq!(answer.text(), format!("log {}\nquorum none\n", key.vkey()));
    for member in ["west", "roster", "North"] {
        node.get(&format!("/logs/{member}/policy")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn nothing_beyond_the_checkpoint_and_no_second_spelling() {
    let node = with_records("").await;
    for path in ["tile/0/001.p/45", "tile/0/002", "tile/2/000", "tile/entries/001.p/45", "tile/entries/001"] {
        node.get(&format!("/logs/north/1/{path}")).await.refused(404, "not_found");
    }
    for path in ["tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/x/000", "tile/entries/1"] {
        node.get(&format!("/logs/north/1/{path}")).await.refused(400, "invalid_tile_path");
    }
    for place in ["north/01", "north/2", "north/-1", "North/1", "west/1"] {
        node.get(&format!("/logs/{place}/checkpoint")).await.refused(404, "not_found");
    }
    let message = node.get("/logs/south/1/checkpoint").await.refused(404, "not_found");
    assert!(message.contains(&format!("{CONSORTIUM}/south/1")), "{message}");
}

#[tokio::test]
async fn logs_need_a_token_unless_they_are_public() {
    let paths = [
        "/logs/north/1/checkpoint",
        "/logs/north/1/tile/0/000",
        "/logs/north/policy",
        "/logs/roster/checkpoint",
        "/logs/roster/tile/0/000.p/1",
    ];
    let (closed, open) = (with_records("").await, with_records("public_logs = true").await);
    for path in paths {
        closed.send(request(&Method::GET, path, None, None)).await.refused(401, "unauthorized");
        assert_eq!(open.send(request(&Method::GET, path, None, None)).await.status, StatusCode::OK);
    }
    open.send(request(&Method::GET, "/v1/logs", None, None)).await.refused(401, "unauthorized");
    let ask = || {
        let request = request(&Method::POST, "/witness/add-checkpoint", None, None);
        request.map(|_| axum::body::Body::from("old 1\n"))
    };
    closed.send(ask()).await.refused(401, "unauthorized");
    open.send(ask()).await.refused(503, "not_yet");
    // A shared cache must not hand on what its reader needed a token for.
    for (node, whose) in [(&closed, "private, "), (&open, "public, ")] {
        for path in ["0/000", "0/001.p/44", "entries/000"] {
            let answer = node.get(&format!("/logs/north/1/tile/{path}")).await;
            let caching = answer.header("cache-control").expect("a rule");
            assert!(caching.starts_with(whose), "{path}: {caching}");
        }
    }
}
