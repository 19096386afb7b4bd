//! A second implementation of the C2SP specifications, in Python and with nothing of ours in it, reads the
//! vectors and follows, verifies, monitors and asks real nodes over real sockets (`c2sp/*.py`).

use crate::evidence::wait_until;
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::roster::{Roster, SignedRoster};
use hashpact_tests::consortium::path;
use hashpact_tests::node::run;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of the programs; `-B`, so that it leaves nothing behind in the checkout.
fn python(program: &str) -> Command {
    let mut command = Command::new("python3");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/c2sp");
    command.arg("-B").arg(folder.join(program));
    command
}

/// The monitor beside one node.
struct Stranger<'a> {
    node: &'a Node,
    /// Where it keeps policies and what it saw.
    dir: PathBuf,
}

impl<'a> Stranger<'a> {
    fn beside(node: &'a Node, policies_of: &[&str]) -> Result<Self> {
        let stranger = Self { node, dir: node.dir.join("stranger") };
        std::fs::create_dir_all(&stranger.dir)?;
        let api = Api::of(node)?;
        for member in policies_of {
            let policy = api.get(&format!("/logs/{member}/policy"))?;
            ensure!(policy.status == 200, "{}", policy.text());
            std::fs::write(stranger.policy(member), &policy.body)?;
        }
        Ok(stranger)
    }

    fn policy(&self, member: &str) -> PathBuf {
        self.dir.join(format!("{member}.policy"))
    }

    fn prefix(&self, log: &str) -> String {
        format!("{}/logs/{log}", self.node.url())
    }

    fn does(&self, arguments: &[&str]) -> Result<Value> {
        let out = run(python("follow.py").env("TOKEN", self.node.token()?).args(arguments))
            .with_context(|| format!("beside {}", self.node.member))?;
        Ok(serde_json::from_str(&out)?)
    }

    fn monitor(&self, member: &str) -> Result<Value> {
        let state = self.dir.join(format!("{member}.state"));
        self.does(&[
            "monitor",
            &self.prefix(&format!("{member}/1")),
            path(&self.policy(member))?,
            path(&state)?,
        ])
    }
}

#[test]
fn the_second_implementation_agrees_with_every_vector() -> Result<()> {
    let told = run(python("vectors.py").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")))?;
    let areas: Vec<&str> = told.lines().filter_map(|line| line.split(':').next()).collect();
    ensure!(areas == ["notes", "merkle", "proofs", "witness"], "{told}");
    Ok(())
}

#[test]
fn a_client_that_only_knows_c2sp_follows_verifies_monitors_and_is_cosigned() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    let mut seen = 0;
    for size in [3, 255, 257, 513] {
        let receipts = ash.contribute(&(seen..size).map(record).collect::<Vec<_>>())?;
        for node in &consortium.nodes {
            wait_until("the log to arrive", || Ok(node.held("ash")? == size))?;
            let stranger = Stranger::beside(node, &["ash"])?;
            let told = stranger.monitor("ash")?;
            ensure!(told["size"] == size && told["from"] == seen, "{told}");
        }
        // The proof that the author gives is one for everybody.
        let id = receipts[0]["record"].as_str().context("an id")?;
        let stranger = Stranger::beside(&consortium.nodes[1], &["ash"])?;
        let proof = Api::of(&consortium.nodes[1])?.get(&format!("/v1/records/{id}/proof"))?;
        ensure!(proof.status == 200, "{}", proof.text());
        let file = stranger.dir.join("record.tlog-proof");
        std::fs::write(&file, &proof.body)?;
        let told = stranger.does(&["proof", path(&file)?, path(&stranger.policy("ash"))?])?;
        ensure!(told["index"] == seen && told["size"] == size, "{told}");
        seen = size;
    }
    let stranger = Stranger::beside(&consortium.nodes[0], &["ash", "birch"])?;
    wait_until("a quorum of cosignatures", || Ok(stranger.monitor("ash")?["quorum"] == true))?;

    // The stranger plays the log: whatever the witness has cosigned, it goes on from there.
    ash.contribute(&(seen..seen + 40).map(record).collect::<Vec<_>>())?;
    let cedar = &consortium.nodes[2];
    let witness = format!("{}/witness", cedar.url());
    let beside = Stranger::beside(cedar, &["ash"])?;
    wait_until("the log to arrive", || Ok(cedar.held("ash")? == seen + 40))?;
    let policy = beside.policy("ash");
    let told = beside.does(&["witness", &beside.prefix("ash/1"), path(&policy)?, "cedar", &witness])?;
    ensure!(told["size"] == seen + 40 && told["time"].as_u64() > Some(0), "{told}");
    roster_log(&consortium, &beside)
}

/// The roster log is a log like the others, but for the keys that sign it.
fn roster_log(consortium: &Consortium, stranger: &Stranger<'_>) -> Result<()> {
    let versions = SignedRoster::parse_file(&std::fs::read(&consortium.roster)?)?;
    let roster = Roster::parse(&versions[0].body)?;
    let vkeys = roster.governance.iter().map(|signer| {
        let name = format!("{}/governance/{}", roster.consortium, signer.name);
        NoteKey { name, algorithm: NoteAlgorithm::Ed25519, key: signer.key }.vkey()
    });
    let mut arguments = vec!["roster".to_owned(), stranger.prefix("roster"), roster.threshold.to_string()];
    arguments.extend(vkeys);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = stranger.does(&arguments)?;
    let digest = hashpact_protocol::digest::RosterDigest::of_body(&versions[0].body).to_string();
    ensure!(told["origin"] == format!("{}/roster", roster.consortium), "{told}");
    ensure!(told["size"] == 1 && told["digests"] == json!([digest]), "{told}");
    Ok(())
}
