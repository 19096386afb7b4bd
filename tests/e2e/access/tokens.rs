//! Tokens while the node runs.

use crate::evidence::wait_until;
use crate::http::{call, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};

fn status(node: &Node, token: &str) -> Result<u16> {
    let bearer = format!("Bearer {token}");
    Ok(call(node.http_port, "GET", "/v1/status", &[("Authorization", &bearer)], b"")?.status)
}

#[test]
fn tokens_come_and_go_while_the_node_runs_and_each_is_journalled() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    consortium.start()?;
    let node = &consortium.nodes[0];
    let create = ["token", "create", "--name", "pipeline", "--scope", "lookup"];
    let limits = ["--expires", "30d", "--requests-per-s", "1", "--burst-s", "1", "--items-per-day", "20"];
    let secret = node.command(&[create.as_slice(), &limits].concat())?.trim().to_owned();
    wait_until("the new token to count", || Ok(status(node, &secret)? == 200))?;
    wait_until("its limit", || Ok(status(node, &secret)? == 429))?;

    let listed = node.command(&["token", "list"])?;
    let line = listed.lines().find(|line| line.starts_with("pipeline: ")).context("listed")?;
    ensure!(
        line.contains("lookup; expires on 20")
            // To the second it is thirty days, and a second later less.
            && ["in 29 days", "in 30 days"].iter().any(|left| line.contains(&format!("{left}; requests_per_s = 1"))),
        "{line}"
    );
    ensure!(!listed.contains(&secret));
    let first: Value =
        serde_json::from_str(node.command(&["token", "list", "--json"])?.lines().next().context("a line")?)?;
    ensure!(
        first["name"] == "everything" && first["scopes"] == json!(["lookup", "contribute", "audit", "admin"]),
        "{first}"
    );
    let soon = node.try_command(&["token", "show-expiring", "--within", "31d"])?;
    ensure!(soon.code == Some(1) && soon.stdout.starts_with("pipeline: "), "{soon:?}");
    ensure!(node.command(&["token", "show-expiring"])?.contains("none of 2 tokens expires within 14 days"));

    node.command(&["token", "revoke", "pipeline"])?;
    wait_until("the revoked token to be refused", || Ok(status(node, &secret)? == 401))?;
    let lines = crate::recover::journal(node)?;
    let said: Vec<(&Value, &Value)> =
        lines.iter().map(|line| (&line["action"], &line["details"]["name"])).collect();
    let [everything, pipeline] = [json!("everything"), json!("pipeline")];
    let (create, revoke) = (json!("create-token"), json!("revoke-token"));
    ensure!(said == [(&create, &everything), (&create, &pipeline), (&revoke, &pipeline)], "{said:?}");
    ensure!(
        lines.iter().all(|line| line["actor"].as_str().is_some_and(|actor| actor.starts_with("cli:"))),
        "{lines:?}"
    );
    let log = std::fs::read_to_string(node.dir.join("node.log"))?;
    ensure!(!log.contains(&secret) && !format!("{lines:?}").contains(&secret), "a secret was written down");
    Ok(())
}

/// A guess from one address does not lock out a good token from the same one, and nothing of it is logged.
#[test]
fn whoever_tries_tokens_is_refused_and_good_ones_are_served() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let node = &mut consortium.nodes[0];
    node.environment.push(("HASHPACT_LOG".to_owned(), "debug".to_owned()));
    node.start()?;
    node.wait_until_open()?;
    let guess = |number: usize| format!("hpt_{number:064x}");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..60)
            .map(|number| {
                scope.spawn({
                    let (node, guess) = (&*node, guess(number));
                    move || status(node, &guess)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<_>>()
    })?;
    let count = |code: u16| answers.iter().filter(|answer| **answer == code).count();
    ensure!(count(401) == 40 && count(429) == 20, "{answers:?}");
    ensure!(status(node, node.token()?)? == 200);
    let api = crate::http::Api::of(node)?;
    api.contribute(&[record(1)])?;
    let log = std::fs::read_to_string(node.dir.join("node.log"))?;
    ensure!((0..60).all(|number| !log.contains(&guess(number))), "a guess was logged");
    let metrics = call(node.http_port, "GET", "/metrics", &[], b"")?.text();
    ensure!(metrics.contains("hashpact_http_unknown_tokens_total 60"), "{metrics}");
    Ok(())
}
