//! `/logs/<member>/<n>/…`: what C2SP tlog-tiles readers get, and who may read.

use super::*;
use fixture::{CONSORTIUM, Stated, log_key, origin};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{NodeHash, leaf_hash};
use hashpact_protocol::merkle::{Frontier, decode_bundle, decode_tile, entries_path};

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
    let paths = ["/logs/north/1/checkpoint", "/logs/north/1/tile/0/000"];
    let (closed, open) = (with_records("").await, with_records("public_logs = true").await);
    for path in paths {
        closed.send(request(&Method::GET, path, None, None)).await.refused(401, "unauthorized");
        assert_eq!(open.send(request(&Method::GET, path, None, None)).await.status, StatusCode::OK);
    }
    open.send(request(&Method::GET, "/v1/logs", None, None)).await.refused(401, "unauthorized");
}
