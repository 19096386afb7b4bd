//! Malformed files: a node with a broken configuration, key, token or roster file does not start,
//! says which file or value and what is wrong with it, and leaves everything as it was.

use anyhow::{Context as _, Result, ensure};
use hashpact_tests::node::run;
use hashpact_tests::{Consortium, Node};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Content of every file below a folder, but the database's.
fn content(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            if !path.ends_with("database") {
                files.extend(content(&path)?);
            }
        } else {
            files.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    Ok(files)
}

/// Runs a command that must fail with this code and say all of this, and change nothing.
fn refused(node: &Node, arguments: &[&str], code: i32, says: &[&str]) -> Result<()> {
    let before = content(&node.dir)?;
    let done = node.try_command(arguments)?;
    let shown = format!("{arguments:?} ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    ensure!(done.code == Some(code), "not {code}: {shown}");
    for words in says {
        ensure!(done.stderr.contains(words) || done.stdout.contains(words), "{words:?} is not said: {shown}");
    }
    ensure!(content(&node.dir)? == before, "files were changed: {shown}");
    Ok(())
}

#[test]
fn a_malformed_configuration_is_named_field_by_field() -> Result<()> {
    let consortium = Consortium::found(&["ash"])?;
    let node = &consortium.nodes[0];
    let good = std::fs::read_to_string(node.config())?;
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let cases: Vec<(String, &[&str])> = vec![
        (String::new(), &["missing field `member`"]),
        ("not toml at all".to_owned(), &["TOML parse error", "line 1"]),
        (replaced("member = \"ash\"", "member = \"Ash!\""), &["member = \"Ash!\""]),
        (replaced("member = \"ash\"", "member = 7"), &["line 1", "expected a string"]),
        (format!("passphrase = \"x\"\n{good}"), &["unknown field `passphrase`"]),
        (format!("{good}\ncolour = 1\n"), &["unknown field `colour`"]),
        (format!("{good}\n[telemetry]\nx = 1\n"), &["unknown field `telemetry`"]),
        (replaced("127.0.0.1:", "0.0.0.0:"), &["http.listen = \"0.0.0.0:", "allow_remote"]),
        (
            replaced("listen = \"127.0.0.1:", "listen = \"localhost:"),
            &["http.listen = \"localhost:", "address and port"],
        ),
        (format!("{good}\nrequests_max = 0\n"), &["http.requests_max = \"0\"", "1 to 4096"]),
        (format!("{good}\ntimeout_ms = 1\n"), &["http.timeout_ms = \"1\"", "100 to 600000"]),
        (replaced("peers = []", "peers = [\"ash.example:7411\"]"), &["network.peers = \"ash.example:7411\""]),
        (
            replaced("peers = []", "peers = [\"/ip4/127.0.0.1/tcp/0\"]"),
            &["network.peers = \"/ip4/127.0.0.1/tcp/0\""],
        ),
        (replaced("peers = []", "connections_max = 0"), &["network.connections_max = \"0\"", "1 to 4096"]),
        (replaced("/quic-v1", "/quic-v9"), &["network.listen"]),
        (format!("{good}\n[log]\nformat = \"xml\"\n"), &["xml", "`text`"]),
        (format!("{good}\n[log]\nfilter = \"hashpact_node=loudest\"\n"), &["log.filter", "loudest"]),
    ];
    for (text, says) in &cases {
        std::fs::write(node.config(), text)?;
        refused(node, &["run"], 1, says).with_context(|| text.clone())?;
    }
    std::fs::remove_file(node.config())?;
    refused(node, &["run"], 1, &["cannot read the configuration", "hashpact.toml"])
}

#[test]
fn damaged_and_readable_files_stop_the_start() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let node = &mut consortium.nodes[0];
    let data = node.dir.join("data");
    for file in ["keys/log.key", "keys/peer.key", "keys/card.key", "tokens"] {
        let path = data.join(file);
        for mode in [0o644, 0o660, 0o604] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            refused(node, &["run"], 1, &[file, &format!("{mode:03o}"), "chmod 600"])?;
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    }
    let damage: [(&str, fn(&mut Vec<u8>), &[&str]); 12] = [
        ("keys/log.key", |bytes| bytes.truncate(20), &["log.key", "is not in the form"]),
        ("keys/log.key", |bytes| bytes[0] = b'X', &["log.key", "is not in the form"]),
        (
            "keys/log.key",
            |bytes| {
                let at = bytes.len() - 2;
                bytes[at] = b'g';
            },
            &["log.key"],
        ),
        ("tokens", |bytes| bytes.extend_from_slice(b"one more line\n"), &["tokens", "line 2"]),
        ("roster", |bytes| bytes.clear(), &["roster"]),
        (
            "roster",
            |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            },
            &["roster"],
        ),
        (
            "roster",
            |bytes| {
                let at = bytes.len() - 10;
                bytes[at] ^= 1;
            },
            &["roster"],
        ),
        ("roster", |bytes| bytes.truncate(bytes.len() - 1), &["roster"]),
        ("roster", |bytes| bytes.push(b'\n'), &["roster"]),
        ("signed.lock", |bytes| bytes.truncate(100), &["signed.lock", "100 bytes instead of 40960"]),
        ("signed.lock", |bytes| bytes.push(0), &["signed.lock", "40961 bytes instead of 40960"]),
        (
            "signed.lock",
            |bytes| {
                bytes[30] ^= 1;
                bytes[20_480 + 30] ^= 1;
            },
            &["both slots", "checksum"],
        ),
    ];
    for (number, (file, damage, says)) in damage.iter().enumerate() {
        let path = data.join(file);
        let good = std::fs::read(&path)?;
        let mut bad = good.clone();
        damage(&mut bad);
        std::fs::write(&path, &bad)?;
        refused(node, &["run"], 1, says).with_context(|| format!("damage {number} of {file}"))?;
        std::fs::write(&path, &good)?;
    }
    // One bad slot of two is a torn write: the other one counts, and the bad one is rewritten.
    for slot in [0, 20_480] {
        let path = data.join("signed.lock");
        let mut bytes = std::fs::read(&path)?;
        bytes[slot + 30] ^= 1;
        std::fs::write(&path, &bytes)?;
        node.start()?;
        node.wait_until_open()?;
        node.stop()?;
    }
    std::fs::rename(data.join("roster"), data.join("roster.away"))?;
    refused(node, &["run"], 1, &["data/roster: No such file", "was `init --roster` run?"])?;
    std::fs::rename(data.join("roster.away"), data.join("roster"))?;
    std::fs::rename(data.join("keys/card.key"), data.join("keys/card.away"))?;
    refused(node, &["run"], 1, &["card.key", "missing"])?;
    Ok(())
}

#[test]
fn init_never_overwrites_and_run_never_creates() -> Result<()> {
    let consortium = Consortium::found(&["ash", "birch"])?;
    let roster = consortium.roster.to_str().context("path")?;
    let node = &consortium.nodes[0];
    refused(node, &["init"], 1, &["already initialised"])?;
    refused(node, &["init", "--roster", roster], 1, &["already holds a log"])?;
    let fresh = consortium.dir().join("fresh");
    std::fs::create_dir(&fresh)?;
    let config = fresh.join("hashpact.toml");
    std::fs::write(
        &config,
        "member = \"oak\"\ndata_dir = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[network]\nlisten = []\n",
    )?;
    let command = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let done =
            Command::new(&consortium.programs.node).arg("--config").arg(&config).args(arguments).output()?;
        Ok((done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned()))
    };
    let (code, words) = command(&["run"])?;
    ensure!(code == Some(1) && words.contains("init") && !fresh.join("data").exists(), "{code:?} {words}");
    ensure!(command(&["init"])?.0 == Some(0), "a first init creates keys");
    let keys = content(&fresh)?;
    let (code, words) = command(&["init", "--roster", roster])?;
    ensure!(code == Some(1) && words.contains("oak is not in roster"), "{code:?} {words}");
    let (code, words) = command(&["run"])?;
    ensure!(code == Some(1) && words.contains("roster"), "{code:?} {words}");
    let pin = "0".repeat(64);
    let (code, words) = command(&["init", "--roster", roster, "--pin", &pin])?;
    ensure!(code == Some(1) && words.contains("roster"), "{code:?} {words}");
    ensure!(content(&fresh)? == keys, "a refused command left something behind");
    // Wrong usage is told apart from failure.
    ensure!(command(&["init", "--pin", &pin])?.0 == Some(2) && command(&["dance"])?.0 == Some(2), "usage");
    Ok(())
}

#[test]
fn a_draft_that_too_few_signed_is_no_roster() -> Result<()> {
    let consortium = Consortium::found(&["ash"])?;
    let dir = consortium.dir().join("governance");
    let node = &consortium.programs.node;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let (draft, join) = (text(&dir.join("other"))?, text(&consortium.nodes[0].dir.join("data/join.toml"))?);
    let mut create = vec![
        "roster".to_owned(),
        "create".into(),
        "--name".into(),
        "other".into(),
        "--threshold".into(),
        "2".into(),
    ];
    for name in ["north", "south", "west"] {
        let key = std::fs::read_to_string(dir.join(format!("{name}.key")))?;
        let seed = hashpact_protocol::digest::hex_array(key.split_whitespace().last().context("digits")?)?;
        let public = hashpact_protocol::keys::SecretKey::from_seed(seed).public();
        create.extend(["--governance".into(), format!("{name}={public}")]);
    }
    create.extend(["--member".into(), join, "--out".into(), draft.clone()]);
    run(Command::new(node).args(&create))?;
    let sign = |name: &str| {
        let key = text(&dir.join(format!("{name}.key")))?;
        run(Command::new(node).args(["roster", "sign", "--key", &key, "--name", name, &draft]))
    };
    sign("north")?;
    ensure!(sign("north").is_err(), "a second signature under one name counted");
    let adopt = |says: &str| -> Result<()> {
        let fresh = consortium.dir().join("adopt");
        if !fresh.exists() {
            std::fs::create_dir_all(fresh.join("data"))?;
            run(Command::new("cp")
                .arg("-rp")
                .arg(consortium.nodes[0].dir.join("data/keys"))
                .arg(fresh.join("data/keys")))?;
            std::fs::write(fresh.join("hashpact.toml"), "member = \"ash\"\ndata_dir = \"data\"\n")?;
        }
        let done = Command::new(node)
            .arg("--config")
            .arg(fresh.join("hashpact.toml"))
            .args(["init", "--roster", &draft])
            .output()?;
        let words = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.code() == Some(1) && words.contains(says), "{:?} {words}", done.status);
        ensure!(
            !fresh.join("data/signed.lock").exists() && !fresh.join("data/database").exists(),
            "a log was created"
        );
        Ok(())
    };
    adopt("roster")?;
    // Somebody who is not in governance cannot sign.
    let outsider = text(&dir.join("outsider.key"))?;
    run(Command::new(node).args(["roster", "keygen", "--out", &outsider]))?;
    for name in ["south", "outsider"] {
        let done = Command::new(node)
            .args(["roster", "sign", "--key", &outsider, "--name", name, &draft])
            .output()?;
        ensure!(done.status.code() == Some(1), "{:?}", done);
    }
    adopt("roster")
}
