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
fn join(node: &Node) -> Result<Member> {
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
    // It is let go, and what it stated stands.
    consortium.nodes[2].wait_for("isolation", |status| !status.complete)?;
    ash.contribute(&[record(3)])?;
    let birch = Api::of(&consortium.nodes[1])?;
    wait_until("the others go on", || is_matched(&birch, 3))?;
    ensure!(is_matched(&birch, 2)? && !is_matched(&cedar, 3)?);
    ensure!(pids == [consortium.nodes[0].pid(), consortium.nodes[1].pid()], "nobody was restarted");

    // What is on disk never goes back, and is what the next start begins with.
    consortium.nodes[0].kill()?;
    let refused = consortium.nodes[0].try_command(&["roster", "install", &second])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("does not continue"), "{refused:?}");
    consortium.nodes[0].start()?;
    wait_for_version(&consortium, &[0], 3)?;
    Ok(())
}
