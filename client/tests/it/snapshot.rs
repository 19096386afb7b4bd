//! The help texts as they are: a change of the command line is a change of this file, and reviewed.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p hashpact-client` writes it anew.

use std::path::Path;

use crate::command::hashpact;

#[test]
fn help_texts() {
    let commands = [
        "",
        "hash",
        "digest",
        "digest key",
        "digest urls",
        "digest hosts",
        "digest dataset",
        "digest service",
        "match",
        "contribute",
        "import",
        "export",
        "opinion",
        "retract",
        "erase",
        "ttp",
        "ttp add",
        "ttp list",
        "ttp statistics",
        "report genmeta",
        "record",
        "verify",
        "watch",
        "status",
        "members",
        "models",
        "models fingerprint",
        "models compare",
        "models match",
        "models contribute",
        "models register",
        "models scan",
        "completions",
    ];
    let mut text = String::new();
    for command in commands {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = hashpact()
            .env_remove("HASHPACT_URL")
            .env_remove("HASHPACT_TOKEN")
            .args(&arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        text.push_str(&format!(
            "$ hashpact {}\n{}\n",
            arguments.join(" "),
            String::from_utf8(output.stdout).unwrap()
        ));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "the help texts changed; see the head of this file");
}
