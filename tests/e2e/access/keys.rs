//! Keys sealed by a passphrase, and keys held by another program.

use crate::evidence::wait_until;
use crate::http::{Api, call, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::consortium::path;
use hashpact_tests::{Consortium, Node};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn secret_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

fn key_files(node: &Node) -> Result<Vec<String>> {
    let names = ["log", "card", "cosigner", "peer"];
    names
        .iter()
        .map(|name| Ok(std::fs::read_to_string(node.dir.join(format!("data/keys/{name}.key")))?))
        .collect()
}

#[test]
fn sealed_keys_open_with_their_passphrase_and_never_without() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let (old, new) = (consortium.dir().join("old"), consortium.dir().join("new"));
    secret_file(&old, "correct horse battery\n")?;
    secret_file(&new, "staple of another kind")?;
    let node = &mut consortium.nodes[0];
    let plain = key_files(node)?;
    let (old_arg, new_arg) = (["--passphrase-file", path(&old)?], ["--passphrase-file", path(&new)?]);
    let run = |node: &Node, words: &[&str], file: [&str; 2]| node.try_command(&[words, &file].concat());
    let done = run(node, &["keys", "encrypt"], old_arg)?;
    ensure!(done.code == Some(0) && done.stdout.contains("sealed: log, card, cosigner, peer"), "{done:?}");
    let sealed = key_files(node)?;
    for (plain, sealed) in plain.iter().zip(&sealed) {
        let seed = plain.trim().rsplit(' ').next().context("a seed")?;
        ensure!(sealed.starts_with("hashpact-sealed-key-1 ") && !sealed.contains(seed));
    }
    ensure!(
        node.command(&["keys", "show"])?
            .lines()
            .all(|line| line.ends_with("sealed") && !line.ends_with("not sealed"))
    );
    // Without, with a wrong one, and with the right one.
    let refused = node.try_command(&["run"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("a passphrase is needed"), "{refused:?}");
    let refused = run(node, &["run"], new_arg)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("the passphrase is another"), "{refused:?}");
    node.start_with(&old_arg)?;
    node.wait_until_open()?;
    Api::of(node)?.contribute(&[record(1)])?;
    node.stop()?;
    // A change of passphrase that a crash cut short is finished by the same command.
    let change = ["keys", "change-passphrase", "--new-passphrase-file", path(&new)?, old_arg[0], old_arg[1]];
    let changed = node.try_command(&change)?;
    ensure!(changed.code == Some(0) && changed.stdout.contains("sealed anew: log, card"), "{changed:?}");
    std::fs::write(node.dir.join("data/keys/peer.key"), &sealed[3])?;
    let changed = node.try_command(&change)?;
    ensure!(changed.code == Some(0) && changed.stdout.contains("sealed anew: peer"), "{changed:?}");
    ensure!(run(node, &["keys", "decrypt"], old_arg)?.code == Some(1));
    let done = run(node, &["keys", "decrypt"], new_arg)?;
    ensure!(done.code == Some(0), "{done:?}");
    ensure!(key_files(node)? == plain, "the same keys as before");
    node.start()?;
    node.wait_until_open()?;
    let actions: Vec<String> =
        crate::recover::journal(node)?.iter().map(|line| line["action"].to_string()).collect();
    ensure!(
        actions.iter().filter(|action| action.contains("keys") || action.contains("passphrase")).count() == 4,
        "{actions:?}"
    );
    Ok(())
}

#[test]
fn a_node_can_be_founded_with_sealed_keys_and_a_passphrase_from_the_environment() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let passphrase = consortium.dir().join("passphrase");
    secret_file(&passphrase, "correct horse battery")?;
    let file = path(&passphrase)?.to_owned();
    consortium.prepare_with("birch", "", &["--encrypt-keys", "--passphrase-file", &file])?;
    let node = &mut consortium.nodes[1];
    ensure!(key_files(node)?.iter().all(|key| key.starts_with("hashpact-sealed-key-1 ")));
    node.environment.push(("HASHPACT_PASSPHRASE".to_owned(), "correct horse battery".to_owned()));
    admit(&mut consortium)
}

/// Governance lists the second node, which opens its log and states a record.
fn admit(consortium: &mut Consortium) -> Result<()> {
    let joined = crate::rosters::join(&consortium.nodes[1])?;
    let roster = consortium.next_roster(|roster| roster.members.push(joined))?;
    consortium.nodes[0].command(&["roster", "install", path(&roster)?])?;
    consortium.admit(1)?;
    consortium.start()?;
    Api::of(&consortium.nodes[1])?.contribute(&[record(1)])?;
    wait_until("the record at the other member", || Ok(consortium.nodes[0].held("birch")? == 1))
}

/// A folder of seeds for the reference signer, and the configuration that starts it.
fn signer(consortium: &Consortium) -> Result<(PathBuf, String)> {
    let dir = consortium.dir().join("module");
    std::fs::create_dir(&dir)?;
    for (number, role) in ["log", "card", "cosigner"].into_iter().enumerate() {
        secret_file(&dir.join(format!("{role}.seed")), &format!("{:064x}", 4_711 + number))?;
    }
    let (program, folder) = (path(&consortium.programs.signer)?, path(&dir)?);
    let roles = "roles = [\"log\", \"card\", \"cosigner\"]";
    let lines =
        format!("\n[keys.signer]\ncommand = [\"{program}\", \"{folder}\"]\n{roles}\ntimeout_ms = 1000\n");
    Ok((dir, lines))
}

#[test]
fn another_program_holds_the_keys_and_may_fail_in_every_way() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let (module, lines) = signer(&consortium)?;
    consortium.prepare_with("birch", &lines, &[])?;
    let keys = consortium.nodes[1].dir.join("data/keys");
    let names: Vec<bool> = ["log.key", "log.public", "card.public", "cosigner.public", "peer.key"]
        .map(|name| keys.join(name).exists())
        .to_vec();
    ensure!(names == [false, true, true, true, true], "{names:?}");
    admit(&mut consortium)?;
    let (ash, birch) = (&consortium.nodes[0], &consortium.nodes[1]);
    let api = Api::of(birch)?;
    let mode = |mode: &str| std::fs::write(module.join("mode"), mode);
    for (number, fault) in (2..).zip(["wrong", "garbage", "exit", "hang", "refuse"]) {
        mode(fault)?;
        std::thread::scope(|scope| -> Result<()> {
            let stated = scope.spawn(|| api.contribute(&[record(number)]));
            birch
                .wait_for("a log that waits for its signer", |status| !status.appending)
                .with_context(|| fault.to_owned())?;
            // Look-ups are served, and nobody has seen what is not signed.
            ensure!(
                api.post(
                    "/v1/match",
                    &serde_json::json!({ "items": [{ "id": "a", "signals": [
                { "type": "md5", "value": "0".repeat(32) }] }] })
                )?
                .status
                    == 200,
                "{fault}"
            );
            ensure!(birch.held("birch")? == number - 1 && ash.held("birch")? == number - 1, "{fault}");
            mode("")?;
            stated.join().expect("no panic").with_context(|| fault.to_owned())?;
            Ok(())
        })?;
        wait_until("the record at the other member", || Ok(ash.held("birch")? == number))?;
    }
    let metrics = call(birch.http_port, "GET", "/metrics", &[], b"")?.text();
    let failures = metrics.lines().find_map(|line| line.strip_prefix("hashpact_signer_failures_total "));
    ensure!(
        failures.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 5),
        "{metrics}"
    );

    // A node starts, answers and replicates without its signer; it appends when the signer is back.
    mode("exit")?;
    let birch = &mut consortium.nodes[1];
    birch.stop()?;
    birch.start()?;
    birch.wait_for("complete answers", |status| status.complete)?;
    mode("")?;
    birch.wait_until_open()?;
    Api::of(birch)?.contribute(&[record(7)])?;
    birch.stop()?;
    ensure!(birch.command(&["fsck"])?.contains("clean"));
    // A key file beside it is a mistake that is named.
    std::fs::copy(keys.join("peer.key"), keys.join("log.key"))?;
    let refused = birch.try_command(&["run"])?;
    ensure!(
        refused.stderr.contains("the signer is to hold the log key, and") && refused.code == Some(1),
        "{refused:?}"
    );
    Ok(())
}
