//! Lists, mutes and floods by the commands that an operator uses, over restarts.

use crate::evidence::wait_until;
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::Path;

fn pdq(number: u64) -> Value {
    json!({ "type": "pdq", "value": value(number, 64), "quality": 90 })
}

/// Outcome and deciding list of one picture.
fn decided(api: &Api, number: u64) -> Result<(Value, Value)> {
    let asked = json!({ "items": [{ "id": "a", "signals": [pdq(number)] }] });
    let result = &api.post("/v1/match", &asked)?.ok()?["results"][0];
    Ok((result["outcome"].clone(), result["list"].clone()))
}

fn write(node: &Node, name: &str, text: &str) -> Result<String> {
    let path = node.dir.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("UTF-8")?.to_owned())
}

fn reviewed(number: u64) -> Value {
    let mut record = record(number);
    record["review"] = json!("dual");
    record
}

/// Sets the floors of floods in a node's configuration.
fn limit_floods(node: &Node, per_hour: u64) -> Result<()> {
    let text = std::fs::read_to_string(node.config())?;
    let section =
        format!("\n[quarantine]\ncontributions_per_hour = {per_hour}\nwithdrawals_per_hour = {per_hour}\n");
    Ok(std::fs::write(node.config(), text + &section)?)
}

fn journalled(node: &Node, action: &str) -> Result<usize> {
    let text = std::fs::read_to_string(Path::new(&node.dir).join("data/journal"))?;
    Ok(text.lines().filter(|line| line.contains(&format!("\"action\":\"{action}\""))).count())
}

#[test]
fn an_operator_decides_by_commands_and_a_restart_forgets_nothing() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    ash.contribute(&(0..4).map(reviewed).collect::<Vec<_>>())?;
    let birch = &consortium.nodes[1];
    let api = Api::of(birch)?;
    wait_until("birch to hold the records", || Ok(birch.held("ash")? == 4))?;
    ensure!(decided(&api, 1)? == (json!("review"), json!("built-in")));

    let list =
        write(birch, "confirmed.toml", "name = \"confirmed\"\noutcome = \"block\"\nreview_min = \"dual\"\n")?;
    let signals =
        write(birch, "signals.csv", &format!("type,value\npdq,{}\npdq,{}\n", value(1, 64), value(99, 64)))?;
    let tried = birch.hashpact_ok(&["lists", "dry-run", &list, &signals])?;
    ensure!(tried.stdout == "line 2: review (built-in) -> block (confirmed)\n", "{tried:?}");
    ensure!(tried.stderr.contains("1 of 2 items would change"), "{tried:?}");
    birch.hashpact_ok(&["lists", "put", &list])?;
    ensure!(decided(&api, 1)? == (json!("block"), json!("confirmed")));
    let blind = birch.hashpact(&["lists", "put", &list])?;
    ensure!(blind.code == Some(4) && blind.stderr.contains("version = 1"), "{blind:?}");
    let shown = birch.hashpact_ok(&["lists", "show", "confirmed"])?.stdout;
    let edited = write(birch, "confirmed.toml", &(shown + "\n[distance]\npdq = 0\n"))?;
    birch.hashpact_ok(&["lists", "put", &edited])?;
    let wrong =
        write(birch, "wrong.toml", "name = \"wrong\"\noutcome = \"block\"\norigin = [\"generated\"]\n")?;
    let refused = birch.hashpact(&["lists", "put", &wrong])?;
    ensure!(
        refused.code == Some(4)
            && refused.stderr.contains("line 3: origin: a list has no condition over origin"),
        "{refused:?}"
    );
    let why = birch.hashpact_ok(&["match", "--explain", "--list", &signals])?;
    ensure!(
        why.stdout.contains("confirmed counts it: block") && why.stdout.contains("built-in counts it"),
        "{why:?}"
    );

    birch.hashpact_ok(&["negatives", "put", "logos", &signals, "--radius", "4"])?;
    ensure!(decided(&api, 1)?.0 == "review");
    birch.hashpact_ok(&["negatives", "delete", "logos"])?;
    birch.hashpact_ok(&["mutes", "add", "ash", "--reason", "case 17"])?;
    ensure!(decided(&api, 1)?.0 == Value::Null);

    let birch = &mut consortium.nodes[1];
    birch.stop()?;
    birch.start()?;
    birch.wait_until_open()?;
    ensure!(decided(&api, 1)?.0 == Value::Null, "still muted");
    birch.hashpact_ok(&["mutes", "remove", "ash"])?;
    ensure!(decided(&api, 1)? == (json!("block"), json!("confirmed")));
    ensure!(birch.hashpact_ok(&["lists", "show"])?.stdout.contains("confirmed  2"));
    birch.hashpact_ok(&["lists", "delete", "confirmed"])?;
    ensure!(decided(&api, 1)?.0 == "review");
    for (action, count) in [
        ("put-list", 2),
        ("delete-list", 1),
        ("mute-member", 1),
        ("unmute-member", 1),
        ("put-negatives", 1),
        ("delete-negatives", 1),
    ] {
        ensure!(journalled(birch, action)? == count, "{action}");
    }
    Ok(())
}

#[test]
fn a_member_that_takes_everything_back_at_once_waits_for_a_decision_elsewhere() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    limit_floods(&consortium.nodes[1], 8)?;
    consortium.start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    let receipts = ash.contribute(&(0..8).map(reviewed).collect::<Vec<_>>())?;
    let ninth = ash.contribute(&[reviewed(8)])?;
    let api = Api::of(&consortium.nodes[1])?;
    wait_until("birch to hold the records", || Ok(consortium.nodes[1].held("ash")? == 9))?;
    ensure!(decided(&api, 1)?.0 == "review");
    let waiting = api.get("/v1/quarantine")?.ok()?;
    ensure!(waiting["floods"][0]["kind"] == "contributions" && waiting["waiting"] == 1, "{waiting}");
    for (at, receipt) in receipts.iter().chain(&ninth).enumerate() {
        let record = receipt["record"].as_str().context("record")?;
        // Two are erased, the others retracted.
        let how = if at < 2 { "erasure" } else { "retraction" };
        ash.post(&format!("/v1/records/{record}/{how}"), &json!({ "reason": "error" }))?.ok()?;
    }
    wait_until("birch to hold all withdrawals", || Ok(consortium.nodes[1].held("ash")? == 18))?;
    let all_match = |api: &Api| -> Result<bool> {
        let outcomes: Vec<Value> = (0..9).map(|at| Ok(decided(api, at)?.0)).collect::<Result<_>>()?;
        Ok(outcomes.iter().all(|outcome| outcome == "review"))
    };
    wait_until("everything to match for review", || all_match(&api))?;
    ensure!(decided(&ash, 1)?.0 == Value::Null, "ash itself, with other limits, finds nothing any more");

    let birch = &mut consortium.nodes[1];
    wait_until("the floods to be kept", || Ok(journalled(birch, "found-flood")? == 2))?;
    birch.kill()?;
    birch.start()?;
    birch.wait_until_open()?;
    wait_until("everything to match for review again", || all_match(&api))?;
    let shown = birch.hashpact_ok(&["quarantine", "show"])?.stdout;
    let mut names = shown.lines().filter_map(|line| line.split(':').next());
    let flood =
        names.find(|name| name.starts_with("withdrawals.ash.")).context("the flood of withdrawals")?;
    birch.hashpact_ok(&["quarantine", "accept", flood, "--reason", "they called us"])?;
    ensure!((0..9).all(|at| decided(&api, at).is_ok_and(|decided| decided.0 == Value::Null)));
    birch.hashpact_ok(&["quarantine", "reject", flood, "--reason", "it was not them"])?;
    wait_until("everything to match for review again", || all_match(&api))?;
    ensure!(journalled(birch, "decide-flood")? == 2);
    Ok(())
}
