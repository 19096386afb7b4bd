//! Witnesses at work: real nodes cosign one another, and a stranger to the program who only knows C2SP
//! tlog-witness gets the answers that the specification gives.

use crate::evidence::{checkpoint, log_identity, wait_until};
use crate::http::{Answer, Api, call, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_node::keystore::KeyStore;
use hashpact_protocol::checkpoint::{Checkpoint, SignedCheckpoint, sign_checkpoint};
use hashpact_protocol::cosignature::verify_cosignature;
use hashpact_protocol::digest::Root;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::note::{Note, NoteAlgorithm, NoteKey};
use hashpact_protocol::witness::{AddCheckpoint, parse_signatures};
use hashpact_tests::Consortium;
use serde_json::Value;

fn log_status(api: &Api, origin: &str) -> Result<Value> {
    let status = api.get("/v1/status")?.ok()?;
    let log = status["logs"].as_array().and_then(|logs| logs.iter().find(|log| log["origin"] == origin));
    Ok(log.with_context(|| format!("{origin} in {status}"))?["cosigned"].clone())
}

fn ask(api: &Api, body: &[u8]) -> Result<Answer> {
    let bearer = api.bearer();
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "text/plain")];
    call(api.port, "POST", "/witness/add-checkpoint", &headers, body)
}

fn witness_key(consortium: &Consortium, at: usize, origin: &str) -> Result<NoteKey> {
    let node = &consortium.nodes[at];
    let key = KeyStore::open(&node.dir.join("data/keys"))?.cosigner.public();
    let name = format!("{}/witness/{}", origin.split('/').next().context("origin")?, node.member);
    Ok(NoteKey { name, algorithm: NoteAlgorithm::CosignatureV1, key })
}

#[test]
fn a_log_is_cosigned_by_a_quorum_and_every_node_shows_it() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let apis: Vec<Api> = consortium.nodes.iter().map(Api::of).collect::<Result<_>>()?;
    let identity = log_identity(&apis[0], "ash")?;
    let origin = identity.0.as_str();
    apis[0].contribute(&(0..30).map(record).collect::<Vec<_>>())?;
    for api in &apis {
        wait_until("a quorum to be known", || {
            let cosigned = log_status(api, origin)?;
            Ok(cosigned["has_quorum"] == true && cosigned["size"] == 30)
        })?;
        let cosigned = log_status(api, origin)?;
        ensure!(cosigned["by"] == serde_json::json!(["birch", "cedar"]), "{cosigned}");
        // Two witnesses: both are needed, and none may fail.
        let numbers = ["witnesses", "quorum", "faults_tolerated"].map(|field| cosigned[field].as_u64());
        ensure!(numbers == [Some(2), Some(2), Some(0)] && cosigned["age_s"].is_u64(), "{cosigned}");
        for path in ["checkpoint", "checkpoint/cosigned"] {
            let note = api.get(&format!("/logs/ash/1/{path}"))?;
            ensure!(note.status == 200, "{path}: {}", note.text());
            let signed = SignedCheckpoint::verify(&note.body, origin, &identity.1)?;
            ensure!(signed.size() == 30);
            let note = Note::parse(&note.body)?;
            ensure!(note.signatures.len() == 3, "{path} carries the log and its two witnesses");
            for at in [1, 2] {
                verify_cosignature(&note, &witness_key(&consortium, at, origin)?)?;
            }
        }
        ensure!(api.get("/v1/evidence")?.ok()?["evidence"] == serde_json::json!([]));
    }
    let shown = consortium.nodes[1].hashpact_ok(&["status"])?.stdout;
    ensure!(shown.contains("30 by 2 of 2 (quorum 2, tolerates 0 faults)"), "{shown}");

    // A witness that was killed at any moment remembers what it signed.
    consortium.nodes[1].kill()?;
    apis[0].contribute(&(30..40).map(record).collect::<Vec<_>>())?;
    consortium.nodes[1].start()?;
    wait_until("the witness to sign what it had missed", || {
        let cosigned = log_status(&apis[2], origin)?;
        Ok(cosigned["has_quorum"] == true && cosigned["size"] == 40)
    })
}

#[test]
fn a_witness_answers_as_the_specification_says() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let (ash, birch) = (Api::of(&consortium.nodes[0])?, Api::of(&consortium.nodes[1])?);
    let identity = log_identity(&ash, "ash")?;
    let origin = identity.0.as_str();
    ash.contribute(&(0..5).map(record).collect::<Vec<_>>())?;
    wait_until("the first size to be cosigned", || Ok(log_status(&ash, origin)?["size"] == 5))?;
    let note = checkpoint(&ash, "ash", &identity)?.context("no checkpoint")?;
    let body = |old: u64, note: &[u8]| AddCheckpoint { old, proof: Vec::new(), note: note.to_vec() }.encode();

    let conflict = ask(&birch, &body(0, note.note()))?;
    ensure!(conflict.status == 409 && conflict.body == b"5\n", "{} {}", conflict.status, conflict.text());
    ensure!(conflict.content_type.as_deref() == Some("text/x.tlog.size"), "{conflict:?}");
    let again = ask(&birch, &body(5, note.note()))?;
    ensure!(again.status == 200, "{} {}", again.status, again.text());
    let lines = parse_signatures(note.checkpoint(), &again.body)?;
    verify_cosignature(&lines, &witness_key(&consortium, 1, origin)?)?;

    // Everything that is refused, and by which rule.
    let log_key = KeyStore::open(&consortium.nodes[0].dir.join("data/keys"))?.log;
    let sign = |size, root, key: &SecretKey| {
        sign_checkpoint(&Checkpoint { origin: origin.to_owned(), size, root: Root::new(root) }, key)
    };
    let foreign = Checkpoint { origin: "elsewhere/log".to_owned(), size: 5, root: Root::new([1; 32]) };
    let own = checkpoint(&birch, "birch", &log_identity(&birch, "birch")?)?;
    ensure!(own.is_none(), "birch has stated nothing");
    let cases = [
        (400, "invalid_body", b"old 05\n\n".to_vec()),
        (400, "invalid_body", body(9, note.note())),
        (400, "invalid_body", [&body(5, note.note())[..], b"\n"].concat()),
        (404, "unknown_log", body(0, &sign_checkpoint(&foreign, &log_key))),
        (403, "not_signed", body(5, &sign(6, [1; 32], &SecretKey::from_seed([5; 32])))),
        (422, "bad_proof", body(5, &sign(6, [1; 32], &log_key))),
        (413, "body_too_large", vec![b'x'; 40_000]),
    ];
    for (status, code, body) in cases {
        let refused = ask(&birch, &body)?;
        ensure!(refused.status == status, "{} instead of {status}: {}", refused.status, refused.text());
        ensure!(refused.json()?["error"]["code"] == code, "{}", refused.text());
    }
    // The logs of these nodes are public, and so is the witness, as the specification has it.
    let anybody = call(birch.port, "POST", "/witness/add-checkpoint", &[], &body(5, note.note()))?;
    ensure!(anybody.status == 200, "{}", anybody.text());
    // Its own log it does not witness.
    let birch_key = KeyStore::open(&consortium.nodes[1].dir.join("data/keys"))?.log;
    let own = Checkpoint { origin: origin.replace("/ash/", "/birch/"), size: 1, root: Root::new([1; 32]) };
    let refused = ask(&birch, &body(0, &sign_checkpoint(&own, &birch_key)))?;
    ensure!(refused.status == 404, "{}", refused.text());

    // With the log's own key: a second root of the size that is cosigned. It is refused, it is evidence,
    // and the log is frozen for good.
    let forged = sign(5, [9; 32], &log_key);
    let refused = ask(&birch, &body(5, &forged))?;
    ensure!(refused.status == 403 || refused.status == 409, "{} {}", refused.status, refused.text());
    check_frozen(&birch, origin, &identity.1, &forged)?;
    consortium.nodes[0].kill()?;
    consortium.nodes[1].stop()?;
    consortium.nodes[1].start()?;
    wait_until("birch to answer", || Ok(birch.get("/readyz")?.status == 200))?;
    check_frozen(&birch, origin, &identity.1, &forged)?;
    let refused = ask(&birch, &body(5, note.note()))?;
    ensure!(refused.status == 403, "a forked log is not cosigned: {}", refused.text());
    // Its author learns of it from the other member, and appends no more.
    consortium.nodes[0].start()?;
    wait_until("ash to be told", || {
        let evidence = ash.get("/v1/evidence")?.ok()?;
        Ok(evidence["evidence"].as_array().is_some_and(|list| list.len() == 1))
    })?;
    let refused = ash.post("/v1/records", &serde_json::json!({ "records": [record(9)] }))?;
    ensure!(refused.status == 503 && refused.text().contains("two histories"), "{}", refused.text());
    Ok(())
}

fn check_frozen(
    api: &Api,
    origin: &str,
    key: &hashpact_protocol::keys::PublicKey,
    forged: &[u8],
) -> Result<()> {
    wait_until("the evidence to be shown", || {
        let status = api.get("/v1/status")?.ok()?;
        let reason = status["reason"].as_str().unwrap_or_default();
        Ok(reason.contains("frozen") && reason.contains(origin))
    })?;
    let shown = api.get("/v1/evidence")?.ok()?["evidence"][0].clone();
    ensure!(shown["origin"] == origin && shown["sizes"] == serde_json::json!([5, 5]), "{shown}");
    let evidence = shown["evidence"].as_str().context("evidence")?;
    let evidence = hashpact_protocol::evidence::Evidence::parse(evidence.as_bytes())?;
    ensure!(evidence.first == forged || evidence.second == forged);
    evidence.verify(origin, key)?;
    ensure!(api.metric(&format!("hashpact_log_forked{{log=\"{origin}\"}}"))? == 1);
    Ok(())
}
