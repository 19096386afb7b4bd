//! Several nodes of one member: a read replica answers, states nothing, goes on when its author is lost, and takes its place
//! in the member's next log.

use crate::evidence::{fsck_clean, wait_until};
use crate::http::{Api, record};
use crate::recover::{held, install, next_roster};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::api::StatusResponse;
use hashpact_tests::consortium::path;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::ops::Range;

/// How many of these records a node finds, each by its own signals.
fn matched(node: &Node, numbers: Range<u64>) -> Result<usize> {
    let items =
        numbers.map(|number| json!({ "id": number.to_string(), "signals": record(number)["signals"] }));
    let body = json!({ "items": items.collect::<Vec<_>>() });
    let answer = Api::of(node)?.post("/v1/match", &body)?.ok()?;
    let results = answer["results"].as_array().context("results")?;
    Ok(results
        .iter()
        .filter(|result| result["matches"].as_array().is_some_and(|found| !found.is_empty()))
        .count())
}

fn state(node: &Node, numbers: Range<u64>) -> Result<Vec<Value>> {
    Api::of(node)?.contribute(&numbers.map(record).collect::<Vec<_>>())
}

fn is_whole_replica(status: &StatusResponse) -> bool {
    let author = status.author.as_ref();
    status.role == "replica"
        && status.complete
        && author.is_some_and(|author| author.connected && author.listed)
}

/// acme with an author and a replica, and birch; all of them complete.
fn founded() -> Result<(Consortium, usize)> {
    let mut consortium = Consortium::found(&["acme", "birch"])?;
    let replica = consortium.add_replica(0)?;
    for node in &mut consortium.nodes {
        node.start()?;
    }
    for node in &consortium.nodes[..replica] {
        node.wait_until_open()?;
    }
    consortium.nodes[replica].wait_for("a replica that its author lists", is_whole_replica)?;
    Ok((consortium, replica))
}

/// Every way to state something is refused, with the node that can.
fn refuses_statements(node: &Node, id: &str) -> Result<()> {
    let author = node.status()?.author.and_then(|author| author.peer).context("the author's key")?;
    let api = Api::of(node)?;
    for (target, body) in [
        ("/v1/records".to_owned(), json!({ "records": [record(9_000)] })),
        (format!("/v1/records/{id}/retraction"), json!({ "reason": "error" })),
        (format!("/v1/records/{id}/opinions"), json!({ "opinion": "agree" })),
    ] {
        let answer = api.post(&target, &body)?;
        let said = answer.text();
        ensure!(
            answer.status == 409 && answer.json()?["error"]["code"] == "read_replica",
            "{target}: {said}"
        );
        ensure!(said.contains(&author) && said.contains("/ip4/127.0.0.1/"), "names the author: {said}");
    }
    let cosign = api.post("/witness/add-checkpoint", &json!({}))?;
    ensure!(cosign.status == 409 && cosign.text().contains("read_replica"), "{}", cosign.text());
    let export = api.get("/v1/audit/export")?;
    ensure!(export.status == 409 && export.text().contains("read_replica"), "{}", export.text());
    Ok(())
}

#[test]
fn a_replica_answers_for_its_member_and_states_nothing() -> Result<()> {
    let (mut consortium, replica) = founded()?;
    state(&consortium.nodes[0], 0..30)?;
    let stated = state(&consortium.nodes[1], 100..110)?;
    wait_until("everything at the replica", || {
        let node = &consortium.nodes[replica];
        Ok(held(node, "/acme/1")? >= 30 && held(node, "/birch/1")? >= 10)
    })?;
    ensure!(matched(&consortium.nodes[replica], 0..30)? == 30, "its author's records");
    ensure!(matched(&consortium.nodes[replica], 100..110)? == 10, "birch's records");
    refuses_statements(&consortium.nodes[replica], stated[0]["record"].as_str().context("an id")?)?;
    // One member is one copy, however many nodes it has.
    let api = Api::of(&consortium.nodes[0])?;
    let body = json!({ "records": [record(500)] });
    let refused = api.post("/v1/records?ack=replicated:2", &body)?;
    ensure!(refused.status == 400 && refused.text().contains("too_few_members"), "{}", refused.text());
    consortium.nodes[1].kill()?;
    let waited = api.post("/v1/records?ack=replicated:1", &body)?;
    ensure!(waited.status != 200 && waited.text().contains("replicated"), "{}", waited.text());
    // Not stated twice for it, and there at the replica.
    wait_until("the record at the replica", || Ok(matched(&consortium.nodes[replica], 500..501)? == 1))?;

    // What is mixed up is said, and changes nothing.
    let node = &mut consortium.nodes[replica];
    node.stop()?;
    let refused = node.try_command(&["recover", "--reason", "no log"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("promote"), "{refused:?}");
    let refused = node.try_command(&["init"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("--replica"), "{refused:?}");
    let refused = node.try_command(&["promote", "--reason", "too early"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("role = \"author\""), "{refused:?}");
    let config = std::fs::read_to_string(node.config())?;
    std::fs::write(node.config(), config.replace("role = \"replica\"", "role = \"author\""))?;
    let refused = node.try_command(&["run"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("promote"), "{refused:?}");
    std::fs::write(node.config(), config)?;
    fsck_clean(node)?;
    let shown = node.command(&["card", "show"])?;
    ensure!(shown.contains("author ") && shown.contains("replica "), "{shown}");
    ensure!(!node.dir.join("data/keys/log.key").exists() && !node.dir.join("data/keys/card.key").exists());
    node.start()?;
    node.wait_for("the author", |status| status.author.as_ref().is_some_and(|author| author.connected))
}

#[test]
fn a_replica_takes_the_place_of_an_author_that_is_lost() -> Result<()> {
    let (mut consortium, replica) = founded()?;
    state(&consortium.nodes[0], 0..40)?;
    for node in [1, replica] {
        wait_until("acme's records", || Ok(held(&consortium.nodes[node], "/acme/1")? >= 40))?;
    }
    consortium.nodes[0].kill()?;
    // It goes on: what others state arrives, and answers are complete.
    state(&consortium.nodes[1], 200..220)?;
    wait_until("birch's records without the author", || {
        Ok(matched(&consortium.nodes[replica], 200..220)? == 20)
    })?;
    let node = &consortium.nodes[replica];
    node.wait_for("a replica alone", |status| {
        status.complete && status.author.as_ref().is_some_and(|author| !author.connected)
    })?;

    // Promoted: the next log's key, and nothing signed before governance opens it.
    let node = &mut consortium.nodes[replica];
    node.stop()?;
    let config = std::fs::read_to_string(node.config())?;
    std::fs::write(node.config(), config.replace("role = \"replica\"", "role = \"author\""))?;
    let said = node.command(&["promote", "--reason", "the author's machine burnt"])?;
    ensure!(said.contains("/acme/2") && said.contains("never sign for"), "{said}");
    let again = node.command(&["promote", "--reason", "again"])?;
    ensure!(again.contains("nothing was changed"), "{again}");
    node.start()?;
    node.wait_for("answers without a log", |status| status.complete && !status.appending)?;
    ensure!(matched(node, 0..40)? == 40, "it answers meanwhile");
    let join = node.dir.join("data/join.toml");
    let note = node.dir.join("data/checkpoint.1");
    let roster = next_roster(&consortium, "roster.2", &join, &["--checkpoint", path(&note)?])?;
    // birch has it; everybody else hears it from birch.
    install(&mut consortium.nodes[1], &roster)?;
    consortium.nodes[replica].wait_until_open()?;
    let stated = state(&consortium.nodes[replica], 300..310)?;
    ensure!(stated[0]["index"] == 0, "a new log begins at 0: {}", stated[0]);
    wait_until("the new author's records at birch", || Ok(held(&consortium.nodes[1], "/acme/2")? >= 10))?;
    for node in [1, replica] {
        ensure!(matched(&consortium.nodes[node], 0..40)? == 40, "what was stated before");
        ensure!(matched(&consortium.nodes[node], 300..310)? == 10, "what is stated now");
    }
    consortium.nodes[replica].wait_for("an author", |status| status.role == "author" && status.complete)?;

    // The former author comes back, and must never sign again.
    let ended = consortium.nodes[0].try_command(&["run"])?;
    ensure!(ended.code == Some(4) && ended.stderr.contains("another node of acme writes"), "{ended:?}");
    let ended = consortium.nodes[0].try_command(&["run"])?;
    ensure!(ended.code == Some(4) && ended.stderr.contains("init --replica"), "{ended:?}");
    for node in [1, replica] {
        ensure!(held(&consortium.nodes[node], "/acme/1")? >= 40);
        consortium.nodes[node].stop()?;
        fsck_clean(&consortium.nodes[node])?;
    }
    Ok(())
}
