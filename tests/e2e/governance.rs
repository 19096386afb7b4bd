//! What several members decide together holds at every node: rulings of a panel, suspensions, and who may see what in a
//! bundle.

use crate::audit::verify;
use crate::evidence::wait_until;
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::roster::{Group, MemberId, PanelTerm, Term};
use hashpact_tests::Consortium;
use serde_json::{Value, json};

/// Three members who all sit on a panel of which two must agree; the first two are a group.
pub(crate) fn with_panel() -> Result<(Consortium, Vec<Api>)> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let roster = consortium.next_roster(|roster| {
        let members = ["ash", "birch", "cedar"].map(|id| MemberId::parse(id).expect("an id"));
        let term = |member| PanelTerm { needed: 2, term: Term::from_the_first(member) };
        roster.terms.panel = members.map(term).into();
        roster.groups.push(Group { n: 1, word: "licensees".to_owned(), within: None });
        for member in &mut roster.members[..2] {
            member.groups.insert(1);
        }
    })?;
    consortium.nodes[0].command(&["roster", "install", roster.to_str().context("a path")?])?;
    for node in &consortium.nodes {
        node.wait_for("the roster version", |status| status.roster == 2)?;
        node.wait_until_open()?;
    }
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    Ok((consortium, apis))
}

pub(crate) fn id_of(receipts: &[Value], nth: usize) -> Result<String> {
    Ok(receipts[nth]["record"].as_str().context("an id")?.to_owned())
}

/// Status and reason of a record, as a node tells them; empty before it has it.
fn standing(api: &Api, id: &str) -> Result<(String, String)> {
    let answer = api.get(&format!("/v1/records/{id}"))?;
    if answer.status != 200 {
        return Ok(Default::default());
    }
    let shown = answer.ok()?;
    let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason")))
}

fn outcome(api: &Api, number: u64) -> Result<Value> {
    let signals = json!([{ "type": "pdq", "value": value(number, 64), "quality": 90 }]);
    let asked = json!({ "items": [{ "id": "a", "signals": signals }] });
    Ok(api.post("/v1/match", &asked)?.ok()?["results"][0]["outcome"].clone())
}

/// Waits until the record is told of in this way at every node.
pub(crate) fn everywhere(apis: &[Api], id: &str, status: &str) -> Result<Vec<String>> {
    let wait = |api: &Api| -> Result<String> {
        wait_until(&format!("{status} at every node"), || Ok(standing(api, id)?.0 == status))?;
        Ok(standing(api, id)?.1)
    };
    apis.iter().map(wait).collect()
}

#[test]
fn a_dispute_ends_in_a_ruling_at_every_node_and_the_ruling_can_be_taken_back() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let id = id_of(&apis[0].contribute(&[record(1)])?, 0)?;
    everywhere(&apis, &id, "active")?;
    ensure!(outcome(&apis[2], 1)? == "review");

    let opinion = json!({ "opinion": "disagree", "reason": "benign_collision" });
    apis[1].post(&format!("/v1/records/{id}/opinions"), &opinion)?.ok()?;
    for reason in everywhere(&apis, &id, "disputed")? {
        ensure!(reason.contains("birch (benign_collision)"), "{reason}");
    }
    // One of three says so: that is no ruling. A second makes it one, whoever has heard what first.
    let rule = ["rule", "stands", "--record", &id, "--reason", "appeal"];
    consortium.nodes[2].hashpact_ok(&rule)?;
    wait_until("the first word", || Ok(consortium.nodes[0].held("cedar")? >= 2))?;
    ensure!(standing(&apis[0], &id)?.0 == "disputed");
    consortium.nodes[0].hashpact_ok(&rule)?;
    everywhere(&apis, &id, "active")?;

    // The panel changes its mind: nothing is to be done because of this signal any more.
    for node in [1, 2] {
        consortium.nodes[node].hashpact_ok(&["rule", "benign", "--record", &id])?;
    }
    for reason in everywhere(&apis, &id, "ruled")? {
        ensure!(reason.starts_with("ruled benign by 2 of the review panel"), "{reason}");
        ensure!(reason.contains("birch, cedar"), "{reason}");
    }
    // What others state with the same value later is bound by it.
    let again = id_of(&apis[2].contribute(&[record(1)])?, 0)?;
    everywhere(&apis, &again, "ruled")?;
    for api in &apis {
        ensure!(outcome(api, 1)?.is_null(), "{}", outcome(api, 1)?);
    }
    for node in [1, 2] {
        consortium.nodes[node].hashpact_ok(&["rule", "withdrawn", "--record", &id])?;
    }
    everywhere(&apis, &again, "active")?;
    everywhere(&apis, &id, "disputed")?;
    let listed = consortium.nodes[1].hashpact_ok(&["rulings"])?;
    ensure!(!listed.stdout.contains("benign"), "{listed:?}");
    Ok(())
}

#[test]
fn a_suspended_member_does_not_count_anywhere_until_the_votes_are_taken_back() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let before = id_of(&apis[2].contribute(&[record(1)])?, 0)?;
    everywhere(&apis, &before, "active")?;
    consortium.nodes[0].hashpact_ok(&["suspend", "cedar", "--reason", "false_records"])?;
    let after = id_of(&apis[2].contribute(&[record(2)])?, 0)?;
    everywhere(&apis, &after, "active")?;
    // Two of three are more than half.
    consortium.nodes[1].hashpact_ok(&["suspend", "cedar", "--from", "1:1"])?;
    for reason in everywhere(&apis, &after, "suspended")? {
        ensure!(reason.contains("2 of 3 members"), "{reason}");
    }
    everywhere(&apis, &before, "active")?;
    for api in &apis {
        ensure!(outcome(api, 2)?.is_null() && outcome(api, 1)? == "review");
    }
    // It goes on stating, and nothing of it counts; neither does its own vote.
    let later = id_of(&apis[2].contribute(&[record(3)])?, 0)?;
    everywhere(&apis, &later, "suspended")?;
    let own = json!({ "member": "cedar", "vote": "withdraw" });
    let refused = apis[2].post("/v1/suspensions", &own)?;
    ensure!(refused.status == 409 && refused.text().contains("own_suspension"), "{}", refused.text());
    for node in &consortium.nodes[..2] {
        node.hashpact_ok(&["suspend", "cedar", "--withdraw"])?;
    }
    everywhere(&apis, &later, "active")?;
    everywhere(&apis, &after, "active")?;
    Ok(())
}

#[test]
fn a_bundle_carries_what_its_audience_may_see() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let mut red = record(1);
    red["labels"]["tlp"] = json!("red");
    let mut green = record(2);
    green["labels"]["tlp"] = json!("green");
    apis[0].contribute(&[red, green, record(3)])?;
    let grouped = json!({ "records": [record(4)] });
    apis[0].post("/v1/records?group=licensees", &grouped)?.ok()?;
    let birch = &consortium.nodes[1];
    wait_until("all of it", || Ok(birch.held("ash")? == 4))?;

    let carried = |options: &[&str], name: &str| -> Result<(Value, Value)> {
        let out = birch.dir.join(name);
        let out = out.to_str().context("a path")?;
        birch.hashpact_ok(&[&["audit", "fetch", "--out", out], options].concat())?;
        let found = verify(&consortium, &birch.dir.join(name))?;
        let payloads = &found["logs"][0]["payloads"];
        Ok((payloads["present"].clone(), payloads["withheld"].clone()))
    };
    ensure!(carried(&[], "usual.tar")? == (json!(2), json!(2)));
    ensure!(carried(&["--tlp", "green"], "green.tar")? == (json!(1), json!(3)));
    ensure!(carried(&["--tlp", "red"], "red.tar")? == (json!(3), json!(1)));
    let all = ["--tlp", "red", "--group", "licensees"];
    ensure!(carried(&all, "all.tar")? == (json!(4), json!(0)));
    ensure!(carried(&["--no-payloads"], "none.tar")? == (json!(0), json!(4)));

    for (query, needle) in [
        ("tlp=purple", "clear, green, amber, amber+strict, red"),
        ("groups=friends", "the roster has no group friends"),
        ("payloads=false&tlp=red", "leaves nothing for tlp and groups to choose"),
    ] {
        let refused = apis[1].get(&format!("/v1/audit/export?{query}"))?;
        ensure!(refused.status == 400 && refused.text().contains(needle), "{query}: {}", refused.text());
    }
    let listed = birch.hashpact_ok(&["export"])?;
    ensure!(listed.stdout.lines().count() == 3, "{listed:?}");
    ensure!(listed.stderr.contains("1 record left out: marked stricter than TLP:AMBER+STRICT"), "{listed:?}");
    ensure!(birch.hashpact_ok(&["export", "--tlp", "red"])?.stdout.lines().count() == 4);
    Ok(())
}

/// Entries whose payload a node does not have, of a member's first log.
fn withheld(consortium: &Consortium, node: usize, member: &str) -> Result<u64> {
    let logs = consortium.nodes[node].status()?.logs;
    let log = logs.iter().find(|log| log.origin.ends_with(&format!("/{member}/1"))).context("the log")?;
    Ok(log.without_payload)
}

#[test]
fn what_is_said_about_a_record_of_a_group_stays_in_the_group() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let grouped = json!({ "records": [record(1)] });
    let stated = apis[0].post("/v1/records?group=licensees", &grouped)?.ok()?;
    let id = stated["receipts"][0]["record"].as_str().context("an id")?.to_owned();
    everywhere(&apis[..2], &id, "active")?;
    let disagree = json!({ "opinion": "disagree", "reason": "not_cg" });
    apis[1].post(&format!("/v1/records/{id}/opinions"), &disagree)?.ok()?;
    everywhere(&apis[..2], &id, "disputed")?;
    consortium.nodes[1].hashpact_ok(&["rule", "stands", "--record", &id])?;
    // The new record has the same signals: it must not be told to everybody, nor what is held of them.
    let mut corrected = record(1);
    corrected["review"] = json!("dual");
    let corrected = apis[0].post(&format!("/v1/records/{id}/supersede"), &corrected)?.ok()?;
    let corrected = corrected["record"].as_str().context("an id")?.to_owned();
    everywhere(&apis[..2], &id, "superseded")?;
    everywhere(&apis[..2], &corrected, "active")?;
    wait_until("cedar to hold the leaves", || {
        let cedar = &consortium.nodes[2];
        Ok(cedar.held("ash")? == 2 && cedar.held("birch")? >= 3)
    })?;
    ensure!(withheld(&consortium, 2, "ash")? == 2);
    // The opinion and two rulings, one a signal.
    ensure!(withheld(&consortium, 2, "birch")? == 3);
    for text in [apis[2].get("/v1/rulings")?.text(), apis[2].get("/v1/records")?.text()] {
        ensure!(!text.contains(&value(1, 64)) && !text.contains(&value(1, 32)), "{text}");
    }
    let nothing = json!({ "reason": "error" });
    apis[0].post(&format!("/v1/records/{corrected}/retraction"), &nothing)?.ok()?;
    everywhere(&apis[..2], &corrected, "retracted")?;
    Ok(())
}

/// Records that a node matches by one signal.
fn found(api: &Api, kind: &str, value: &str) -> Result<Vec<Value>> {
    let asked = json!({ "items": [{ "id": "a", "signals": [{ "type": kind, "value": value }] }] });
    let answer = api.post("/v1/match", &asked)?.ok()?;
    Ok(answer["results"][0]["matches"].as_array().context("matches")?.clone())
}

#[test]
fn signals_under_licence_reach_licensees_alone() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let ash = &consortium.nodes[0];
    let (pdq, photodna, alone) = (value(1, 64), value(2, 288), value(3, 288));
    let signal = |kind: &str, value: &str| json!({ "type": kind, "value": value });
    let lines = [
        json!({ "kind": "content", "signals": [signal("pdq", &pdq), signal("photodna", &photodna)] }),
        json!({ "kind": "content", "signals": [signal("photodna", &alone)] }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(ash.dir.join("list.jsonl"), text)?;

    let without = ash.hashpact(&["contribute", "--signals", "list.jsonl"])?;
    ensure!(
        without.code == Some(2) && without.stderr.contains("--licensees names their group"),
        "{without:?}"
    );
    let without = ash.hashpact(&["import", "list.jsonl"])?;
    ensure!(
        without.code == Some(2) && without.stderr.contains("--licensees names their group"),
        "{without:?}"
    );
    let unknown = ash.hashpact(&["contribute", "--signals", "list.jsonl", "--licensees", "friends"])?;
    ensure!(
        unknown.code == Some(2) && unknown.stderr.contains("is not in this group, but in licensees"),
        "{unknown:?}"
    );
    ensure!(ash.held("ash")? == 0, "nothing was stated");
    let with = ["contribute", "--signals", "list.jsonl", "--licensees", "licensees"];
    ash.hashpact_ok(&with)?;
    ash.hashpact_ok(&with)?;
    ash.hashpact_ok(&["import", "list.jsonl", "--licensees", "licensees", "--dry-run"])?;
    ensure!(ash.held("ash")? == 3, "{} entries", ash.held("ash")?);
    for (node, api) in apis.iter().enumerate() {
        wait_until("all entries", || Ok(consortium.nodes[node].held("ash")? == 3))?;
        let open = found(api, "pdq", &pdq)?;
        ensure!(open.len() == 1, "{open:?}");
        let licensed = [&photodna, &alone].map(|value| found(api, "photodna", value));
        for matches in licensed {
            ensure!(matches?.len() == usize::from(node < 2), "node {node}");
        }
        if node < 2 {
            let linked =
                found(api, "photodna", &photodna)?[0]["record"].as_str().context("an id")?.to_owned();
            let shown = api.get(&format!("/v1/records/{linked}"))?.ok()?;
            ensure!(shown["subject"] == open[0]["record"], "{shown}");
        }
    }
    Ok(())
}
