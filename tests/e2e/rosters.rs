//! The roster changes while nodes run: a member joins, a member leaves, and nobody is restarted for it.

use crate::evidence::{checkpoint, log_identity, wait_until};
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{
    LogEntry, LogStatus, Member, MemberId, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role,
};
use hashpact_tests::{Consortium, Node};
use serde_json::json;

/// What governance lists of a node that has its keys.
pub(crate) fn join(node: &Node) -> Result<Member> {
    let text = std::fs::read_to_string(node.dir.join("data/join.toml"))?;
    let key = |name: &str| -> Result<PublicKey> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='));
        Ok(PublicKey::from_hex(line.context("a key")?.trim().trim_matches('"'))?)
    };
    Ok(Member {
        id: MemberId::parse(&node.member)?,
        name: node.member.clone(),
        status: MemberStatus::Active,
        roles: [Role::Contributor].into(),
        groups: std::collections::BTreeSet::new(),
        card_key: key("card_key")?,
        cosigner_key: Some(key("cosigner_key")?),
        history_start_s: 0,
        quota_entries_per_day: 1_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: key("log_key")?, status: LogStatus::Open }],
    })
}

fn wait_for_version(consortium: &Consortium, nodes: &[usize], version: u64) -> Result<()> {
    for node in nodes {
        consortium.nodes[*node].wait_for("the roster version", |status| status.roster == version)?;
    }
    Ok(())
}

fn is_matched(api: &Api, number: u64) -> Result<bool> {
    let signals = json!([{ "type": "pdq", "value": value(number, 64) }]);
    let answer = api.post("/v1/match", &json!({ "items": [{ "id": "one", "signals": signals }] }))?.ok()?;
    Ok(answer["results"][0]["matches"].as_array().is_some_and(|found| !found.is_empty()))
}

#[test]
fn members_join_and_leave_while_the_others_run() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let pids = [consortium.nodes[0].pid(), consortium.nodes[1].pid()];
    let ash = Api::of(&consortium.nodes[0])?;
    ash.contribute(&[record(1)])?;

    consortium.prepare("cedar")?;
    let cedar = join(&consortium.nodes[2])?;
    let second = consortium.next_roster(|roster| roster.members.push(cedar))?;
    let second = second.to_str().context("a path")?.to_owned();
    // Installed at one running node; the other hears of it from that one.
    consortium.nodes[0].command(&["roster", "install", &second])?;
    wait_for_version(&consortium, &[0, 1], 2)?;
    consortium.admit(2)?;
    consortium.nodes[2].start()?;
    consortium.nodes[2].wait_until_open()?;
    let cedar = Api::of(&consortium.nodes[2])?;
    wait_until("what was stated before it joined", || is_matched(&cedar, 1))?;
    cedar.contribute(&[record(2)])?;
    for node in &consortium.nodes[..2] {
        let api = Api::of(node)?;
        wait_until("the new member's record", || is_matched(&api, 2))?;
    }

    let identity = log_identity(&ash, "cedar")?;
    let head = checkpoint(&ash, "cedar", &identity)?.context("a checkpoint")?;
    let third = consortium.next_roster(|roster| {
        let cedar = roster.members.iter_mut().find(|member| member.id.as_str() == "cedar").expect("listed");
        cedar.status = MemberStatus::Left;
        cedar.logs[0].status = LogStatus::Closed { size: head.size(), root: head.root() };
    })?;
    let third = third.to_str().context("a path")?.to_owned();
    consortium.nodes[1].command(&["roster", "install", &third])?;
    wait_for_version(&consortium, &[0, 1], 3)?;
    // It is let go, and what it stated stands. Its own node is alone, or ends if somebody told it why in time.
    let left = &consortium.nodes[2];
    let ended = || left.last_log().contains("member cedar has left the consortium");
    wait_until("cedar to be let go", || Ok(ended() || left.status().is_ok_and(|status| !status.complete)))?;
    ash.contribute(&[record(3)])?;
    let birch = Api::of(&consortium.nodes[1])?;
    wait_until("the others go on", || is_matched(&birch, 3))?;
    ensure!(is_matched(&birch, 2)? && (ended() || !is_matched(&cedar, 3)?));
    ensure!(pids == [consortium.nodes[0].pid(), consortium.nodes[1].pid()], "nobody was restarted");

    // What is on disk never goes back, and is what the next start begins with.
    consortium.nodes[0].kill()?;
    let refused = consortium.nodes[0].try_command(&["roster", "install", &second])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("never goes back"), "{refused:?}");
    consortium.nodes[0].start()?;
    wait_for_version(&consortium, &[0], 3)?;
    Ok(())
}

/// Puts members into a group, which the version makes if there is none.
fn in_group(roster: &mut hashpact_protocol::roster::Roster, members: &[&str]) {
    if roster.groups.is_empty() {
        let group = hashpact_protocol::roster::Group { n: 1, word: "licensees".to_owned(), within: None };
        roster.groups.push(group);
    }
    for member in roster.members.iter_mut().filter(|member| members.contains(&member.id.as_str())) {
        member.groups.insert(1);
    }
}

#[test]
fn what_is_said_to_a_group_reaches_its_members_and_who_comes_later() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let second = consortium.next_roster(|roster| in_group(roster, &["ash", "birch"]))?;
    consortium.nodes[0].command(&["roster", "install", second.to_str().context("a path")?])?;
    wait_for_version(&consortium, &[0, 1, 2], 2)?;
    for node in &consortium.nodes {
        node.wait_until_open()?;
    }
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let records = json!({ "records": [record(1)] });
    let unknown = apis[0].post("/v1/records?group=friends", &records)?;
    ensure!(unknown.status == 400 && unknown.text().contains("licensees"), "{}", unknown.text());
    let stranger = apis[2].post("/v1/records?group=licensees", &records)?;
    ensure!(stranger.status == 403, "{}", stranger.text());
    // Two others exist, and one of them may have it.
    let both = apis[0].post("/v1/records?group=licensees&ack=replicated:2", &records)?;
    ensure!(both.status == 400, "{}", both.text());
    apis[0].post("/v1/records?group=licensees&ack=replicated:1", &records)?.ok()?;
    apis[0].contribute(&[record(2)])?;
    for (node, api) in apis.iter().enumerate() {
        wait_until("what is said to all", || is_matched(api, 2))?;
        ensure!(is_matched(api, 1)? == (node < 2), "node {node}");
    }
    // Who is outside holds the leaf, misses nothing, and lets nobody believe that it asks for it.
    let logs = consortium.nodes[2].status()?.logs;
    let ash = logs.iter().find(|log| log.origin.ends_with("/ash/1")).context("ash's log")?;
    ensure!((ash.size, ash.without_payload) == (2, 1), "{ash:?}");

    let before = apis[2].get("/v1/changes/snapshot")?.ok()?["cursor"].as_str().context("cursor")?.to_owned();
    let third = consortium.next_roster(|roster| in_group(roster, &["cedar"]))?;
    consortium.nodes[1].command(&["roster", "install", third.to_str().context("a path")?])?;
    wait_for_version(&consortium, &[0, 1, 2], 3)?;
    let cedar = Api::of(&consortium.nodes[2])?;
    wait_until("what was said before it came", || is_matched(&cedar, 1))?;
    // Its node started anew for the group, and goes on with its feed.
    let changes = cedar.get(&format!("/v1/changes?after={before}"))?;
    ensure!(changes.status == 200 && changes.text().lines().count() > 0, "{changes:?}");
    Ok(())
}

#[test]
fn rivals_are_kept_and_stop_changes_until_one_is_rejected() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let first = consortium.roster.clone();
    let second = consortium.next_roster(|roster| roster.retention_s += 86_400)?;
    // Whoever lost the memory of two keys signs another version 2.
    for name in ["north", "south", "west"] {
        let memory = first.with_file_name(format!("{name}.key.signed"));
        if memory.exists() {
            std::fs::remove_file(memory)?;
        }
    }
    let kept = second.with_file_name("kept");
    std::fs::rename(&second, &kept)?;
    consortium.roster = first;
    let rival = consortium.next_roster(|roster| roster.retention_s += 2 * 86_400)?;
    let path = |path: &std::path::Path| path.to_str().map(str::to_owned).context("a path");
    consortium.nodes[0].command(&["roster", "install", &path(&kept)?])?;
    wait_for_version(&consortium, &[0, 1], 2)?;
    let refused = consortium.nodes[1].try_command(&["roster", "install", &path(&rival)?])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("evidence"), "{refused:?}");
    for node in &consortium.nodes {
        node.wait_for("the rival", |status| status.roster_rivals.len() == 1)?;
    }
    // A successor that says nothing of it is not taken; one that rejects it is.
    consortium.roster.clone_from(&kept);
    let silent = consortium.next_roster(|_| {})?;
    let refused = consortium.nodes[0].try_command(&["roster", "install", &path(&silent)?])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("reject it by name"), "{refused:?}");
    Ok(())
}
