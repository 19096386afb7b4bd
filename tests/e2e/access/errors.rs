//! What a person is told who makes a mistake with tokens, keys or the journal, word for word.
//!
//! `UPDATE_GOLDEN=1` writes the file anew; its diff is reviewed as code.

use anyhow::{Context as _, Result, ensure};
use hashpact_tests::Consortium;
use hashpact_tests::consortium::path;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Something done to the node's files before a command: a file's new text and mode, below the member's folder.
type Before = Option<(&'static str, &'static str, u32)>;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn cases() -> Vec<(Before, Vec<&'static str>)> {
    let create = |rest: &[&'static str]| [&["token", "create", "--name", "x"][..], rest].concat();
    let secret = |text: &'static str| Some(("secret", text, 0o600));
    let with = |rest: &[&'static str]| [rest, &["--passphrase-file", "secret"][..]].concat();
    vec![
        (None, vec!["token", "create", "--name", "x"]),
        (None, create(&["--scope", "everything"])),
        (None, vec!["token", "create", "--name", "Pipe Line", "--scope", "lookup"]),
        (None, vec!["token", "create", "--name", "everything", "--scope", "lookup"]),
        (None, create(&["--scope", "lookup", "--expires", "soon"])),
        (None, create(&["--scope", "lookup", "--expires", "367d"])),
        (None, create(&["--scope", "lookup", "--expires", "0d"])),
        (None, create(&["--scope", "lookup", "--requests-per-s", "0"])),
        (None, create(&["--scope", "lookup", "--burst-s", "3601"])),
        (None, create(&["--scope", "lookup", "--items-per-day", "many"])),
        (None, create(&["--scope", "lookup", "--out", "a-file"])),
        (None, vec!["token", "revoke", "nobody"]),
        (None, vec!["token", "show-expiring", "--within", "100d"]),
        (Some(("data/tokens", "pipeline lookup\n", 0o600)), vec!["token", "list"]),
        (Some(("data/tokens", "pipeline root 00\n", 0o600)), vec!["run"]),
        (Some(("data/tokens", "", 0o644)), vec!["run"]),
        (None, vec!["keys", "encrypt"]),
        (secret("short\n"), with(&["keys", "encrypt"])),
        (secret(""), with(&["keys", "encrypt"])),
        (secret("two\nlines are not one\n"), with(&["keys", "encrypt"])),
        (Some(("secret", "correct horse battery", 0o640)), with(&["keys", "encrypt"])),
        (None, vec!["keys", "encrypt", "--passphrase-file", "missing"]),
        (None, vec!["keys", "encrypt", "--passphrase-fd", "9"]),
        (None, vec!["keys", "change-passphrase"]),
        (secret("correct horse battery"), with(&["roster", "keygen", "--out", "north.key"])),
        (secret("correct horse battery"), with(&["init", "--encrypt-keys"])),
        (Some(("data/keys/log.key", "hashpact-sealed-key-1 log\n", 0o600)), vec!["run"]),
        (
            Some(("data/keys/log.key", "hashpact-sealed-key-1 card argon2id 65536 3 00 00 00\n", 0o600)),
            vec!["run"],
        ),
        (None, vec!["journal", "restart", "--reason", " "]),
        (None, vec!["journal", "restart", "--reason", "curiosity"]),
        (Some(("data/journal", "{}\n", 0o600)), vec!["journal", "show"]),
        (Some(("data/journal.head", "7\n", 0o600)), vec!["journal", "verify"]),
    ]
}

#[test]
fn each_mistake_has_its_words() -> Result<()> {
    let consortium = Consortium::found(&["ash"])?;
    let node = &consortium.nodes[0];
    let dir = path(&node.dir)?.to_owned();
    let mut said = String::new();
    for (before, arguments) in cases() {
        let kept = before.map(|(file, ..)| (file, std::fs::read(node.dir.join(file)).ok()));
        if let Some((file, text, mode)) = before {
            let file = node.dir.join(file);
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        }
        let absolute: Vec<String> = arguments
            .iter()
            .map(|word| match *word {
                "secret" | "missing" => format!("{dir}/{word}"),
                "a-file" => format!("{dir}/token"),
                word => word.to_owned(),
            })
            .collect();
        let done = node.try_command(&absolute.iter().map(String::as_str).collect::<Vec<_>>())?;
        ensure!(done.code != Some(0), "{arguments:?} was taken: {}", done.stdout);
        if let Some((file, text, mode)) = before {
            writeln!(said, "# {file}, mode {mode:03o}: {text:?}")?;
        }
        let words = done
            .stderr
            .lines()
            .filter(|line| !line.contains(" INFO ") || line.contains(" WARN "))
            .collect::<Vec<_>>()
            .join("\n");
        let words = words.replace(&dir, "DIR").replace(ZEROS, "ZEROS");
        writeln!(
            said,
            "$ hashpact-node {}\n{}\n[{}]\n",
            arguments.join(" "),
            words.trim_end(),
            done.code.unwrap_or(-1)
        )?;
        if let Some((file, kept)) = kept {
            let file = node.dir.join(file);
            match kept {
                Some(bytes) => {
                    std::fs::write(&file, bytes)?;
                    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
                }
                None => std::fs::remove_file(&file)?,
            }
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/access/errors.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &said)?;
    }
    let expected = std::fs::read_to_string(&golden).context("UPDATE_GOLDEN=1 writes it")?;
    let differs = expected.lines().zip(said.lines()).find(|(old, new)| old != new);
    ensure!(
        expected == said,
        "what is said changed, first at {differs:?}; review it and run with UPDATE_GOLDEN=1"
    );
    node.command(&["journal", "verify"])?;
    Ok(())
}
