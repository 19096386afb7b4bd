//! The life of a roster in files, and the message of every mistake that a person can make on the way
//! (`tests/vectors/messages/roster-files.txt`).

use super::draft::Draft;
use super::{RosterCommand, answer};
use clap::Parser;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::roster::{Roster, RosterChain, SignedRoster};
use std::fmt::Write as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// Commands as they are typed.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Typed {
    #[command(subcommand)]
    command: RosterCommand,
}

/// A folder in which commands are run, and what they said.
struct Desk {
    dir: TempDir,
    said: String,
}

impl Desk {
    /// Three governance keys, join files of three members, and version 1 signed by ana and ben.
    fn founded() -> Self {
        let mut desk = Self { dir: tempfile::tempdir().expect("a folder"), said: String::new() };
        for (name, seed) in [("ana", 1), ("ben", 2), ("cho", 3), ("dora", 4)] {
            let key = SecretKey::from_seed([seed; 32]);
            let line = format!(
                "hashpact-secret-key-1 governance {}\n",
                hashpact_protocol::digest::hex_encode(&[seed; 32])
            );
            desk.write_key(&format!("{name}.key"), &line, &key);
        }
        for (member, seed) in [("acme", 10), ("birch", 20), ("cedar", 30), ("elm", 40)] {
            desk.write_join(member, seed);
        }
        let [ana, ben, cho] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]).public().to_hex());
        desk.done(&format!(
            "create --name test --threshold 2 --governance ana={ana} --governance ben={ben} --governance cho={cho} \
             --member acme.toml --member birch.toml --member cedar.toml,name=Cedar,role=hotline --witness acme --out one"
        ));
        desk.done("sign --key ana.key --name ana one");
        desk.done("sign --key ben.key --name ben one");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_key(&self, name: &str, line: &str, key: &SecretKey) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, line).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let read =
            crate::keystore::open_key(&path, hashpact_protocol::keys::KeyRole::Governance).expect("a key");
        assert_eq!(read.public(), key.public());
    }

    fn write_join(&self, member: &str, seed: u8) {
        let key = |seed| SecretKey::from_seed([seed; 32]).public();
        let text = format!(
            "member = \"{member}\"\nlog_key = \"{}\"\ncard_key = \"{}\"\ncosigner_key = \"{}\"\n",
            key(seed),
            key(seed + 1),
            key(seed + 2)
        );
        std::fs::write(self.path(&format!("{member}.toml")), text).expect("written");
    }

    /// Runs a command; words that name files are taken from the folder.
    fn run(&mut self, line: &str) -> Result<String, String> {
        let in_folder = |word: &str| {
            let is_file = word.ends_with(".key") || word.contains(".toml") || FILES.contains(&word);
            if is_file { self.path(word).display().to_string() } else { word.to_owned() }
        };
        let words: Vec<String> = line.split_whitespace().map(in_folder).collect();
        let outcome = match Typed::try_parse_from(&words) {
            Ok(typed) => answer(typed.command).map_err(|error| format!("{error:#}")),
            Err(error) => Err(error.to_string()),
        };
        let (mark, text) = match &outcome {
            Ok(text) => ("", text.as_str()),
            Err(text) => ("error: ", text.as_str()),
        };
        let shown = self.shown(&format!("{mark}{text}"));
        let indented: String = shown.lines().fold(String::new(), |mut all, line| {
            writeln!(all, "    {line}").expect("a string takes every write");
            all
        });
        let typed = self.shown(line);
        write!(self.said, "$ roster {typed}\n{indented}").expect("a string takes every write");
        outcome
    }

    fn done(&mut self, line: &str) -> String {
        self.run(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn refused(&mut self, line: &str) {
        let outcome = self.run(line);
        assert!(outcome.is_err(), "{line} must be refused: {outcome:?}");
    }

    /// Without what differs from run to run: the folder, the random part of the id, what follows from it, times.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(&format!("{}/", self.dir.path().display()), "");
        let is_hex = |word: &str| word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut shown = String::new();
        let mut word = String::new();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() {
                word.push(c);
                continue;
            }
            shown.push_str(if is_hex(&word) { "HEX" } else { &word });
            word.clear();
            shown.push(c);
        }
        shown.pop();
        times_away(&shown)
    }

    fn chain(&self, name: &str) -> RosterChain {
        let bytes = std::fs::read(self.path(name)).expect("a file");
        RosterChain::walk(&SignedRoster::parse_file(&bytes).expect("versions")).expect("valid")
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).expect("copied");
    }

    fn note(&mut self, text: &str) {
        writeln!(self.said, "# {text}").expect("a string takes every write");
    }
}

/// Names of files that commands of these tests read and write.
const FILES: [&str; 20] = [
    "one", "two", "three", "other", "rival", "copy-a", "copy-b", "both", "edited", "nowhere", "cut", "fixed",
    "held", "later", "again", "settled", "bad-text", "none", "four", "five",
];

/// Times become `TIME`: those of RFC 3339, and seconds behind `created` and `expires` in the text form.
fn times_away(text: &str) -> String {
    let is_seconds = |word: &str| word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit());
    let line = |line: &str| match line.trim_start().split_once(' ') {
        Some((key @ ("created" | "expires"), time)) if is_seconds(time.trim_end()) => {
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = if line.ends_with('\n') { "\n" } else { "" };
            format!("{indent}{key} TIME{end}")
        }
        _ => line.to_owned(),
    };
    let text = text.split_inclusive('\n').map(line).collect::<String>();
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Z") {
        let start = at.saturating_sub(23);
        let is_time = rest.get(start..at).is_some_and(|time| {
            time.len() == 23
                && time.as_bytes().get(10) == Some(&b'T')
                && time.as_bytes().get(4) == Some(&b'-')
        });
        if is_time {
            shown.push_str(&rest[..start]);
            shown.push_str("TIME");
        } else {
            shown.push_str(&rest[..=at]);
        }
        rest = &rest[at + 1..];
    }
    shown + rest
}

/// Compares a golden file, or rewrites it with `UPDATE_GOLDEN=1`.
fn check_golden(name: &str, content: &str) {
    // Whether a second passes between two drafts, so that they expire at other times, is chance.
    let is_chance = |line: &&str| line.trim() == "expires TIME → TIME";
    let content: String =
        content.lines().filter(|line| !is_chance(line)).map(|line| format!("{line}\n")).collect();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/messages").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &content).expect("written");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(held, content, "{} differs; if that is meant, run with UPDATE_GOLDEN=1", path.display());
}

#[test]
fn the_life_of_a_roster_is_told_step_by_step() {
    let mut desk = Desk::founded();
    let pin = desk.chain("one").root();
    desk.done(&format!("verify one --pin {pin}"));
    desk.note("A member joins, another becomes witness; two signers work on copies of their own.");
    desk.done(
        "propose --roster one --join elm.toml,name=Elm,role=observer --witness birch --group licensees \
               --in-group acme=licensees --out two",
    );
    desk.done("diff two");
    desk.copy("two", "copy-a");
    desk.copy("two", "copy-b");
    desk.done("sign --key ana.key --name ana copy-a");
    desk.done("sign --key cho.key --name cho copy-b");
    desk.done("combine copy-a copy-b --out both");
    assert_eq!(desk.chain("both").version(), 2);
    desk.done("verify both --held one");
    desk.note("cho's key is lost: ana and ben go on, dora's key takes its place.");
    let dora = SecretKey::from_seed([4; 32]).public();
    desk.done(&format!("propose --roster both --no-governance cho --governance dora={dora} --out three"));
    desk.done("sign --key ana.key --name ana three");
    desk.done("sign --key ben.key --name ben three");
    desk.note("The text is changed by hand: the threshold, and a rename.");
    let text = desk.done("text three").replace("threshold 2", "threshold 3").replace("Elm", "Elm Trust");
    std::fs::write(desk.path("edited"), text).expect("written");
    desk.done("propose --roster three --text edited --out four");
    for name in ["ana", "dora", "ben"] {
        desk.done(&format!("sign --key {name}.key --name {name} four"));
    }
    let chain = desk.chain("four");
    assert_eq!((chain.version(), chain.current().threshold), (4, 3));
    assert_eq!(chain.current().member(&"elm".parse_id()).map(|elm| elm.name.as_str()), Some("Elm Trust"));
    check_golden("roster-life.txt", &desk.said.clone());
}

trait ParseId {
    fn parse_id(&self) -> hashpact_protocol::roster::MemberId;
}

impl ParseId for str {
    fn parse_id(&self) -> hashpact_protocol::roster::MemberId {
        hashpact_protocol::roster::MemberId::parse(self).expect("valid")
    }
}

#[test]
fn every_mistake_with_files_has_its_message() {
    let mut desk = Desk::founded();
    desk.said.clear();
    desk.note("Files");
    desk.refused("show nowhere");
    std::fs::write(desk.path("none"), "").expect("written");
    desk.refused("show none");
    let whole = std::fs::read(desk.path("one")).expect("a file");
    std::fs::write(desk.path("cut"), &whole[..whole.len() - 9]).expect("written");
    desk.refused("verify cut");
    desk.refused("diff one");
    desk.refused("propose --roster one --out one");
    desk.refused("propose --roster one --join nowhere --out two");
    desk.refused("propose --roster one --join acme.toml --out two");
    desk.refused("propose --roster one --checkpoint one --out two");
    desk.refused("propose --roster one --reject one --out two");
    desk.refused("verify one --pin 12");
    desk.refused(&format!("verify one --pin {}", "00".repeat(32)));

    desk.note("Signing");
    desk.refused("sign --key nowhere --name ana one");
    desk.refused("sign --key ana.key --name ana one");
    desk.refused("sign --key cho.key --name dora one");
    desk.refused("sign --key dora.key --name cho one");
    desk.done("propose --roster one --threshold 3 --out two");
    desk.refused(&format!("sign --key cho.key --name cho --digest {} two", "00".repeat(32)));
    desk.done("sign --key ana.key --name ana two");
    desk.done("show two");
    desk.refused("verify two");
    desk.refused("propose --roster two --out three");
    desk.note("A second draft of version 2");
    desk.done("propose --roster one --hash-set cg-csam --out other");
    desk.refused("sign --key ana.key --name ana other");
    desk.refused("combine two other --out both");
    desk.refused("combine one none --out both");
    desk.copy("other", "copy-a");
    desk.refused("combine other copy-a --out both");
    desk.note("A draft that breaks a rule of succession is not signed");
    let draft = Draft::read(&desk.path("other")).expect("a draft");
    let mut broken = Roster::parse(&draft.body).expect("a roster");
    broken.members.remove(0);
    broken.witnesses.clear();
    let chain = desk.chain("one");
    super::draft::write_new(&desk.path("again"), Some(&chain), &broken).expect("written");
    desk.refused("sign --key cho.key --name cho again");

    desk.note("Text");
    let text = desk.done("text one");
    for (name, from, to) in [
        ("a line by mistake", "hold 72", "hold seventy"),
        ("a rule", "threshold 2", "threshold 1"),
        ("an order", "witness acme\n", "witness cedar\nwitness acme\n"),
        ("an old text", "version 1\nc", "version 7\nc"),
    ] {
        desk.note(name);
        let mut changed = text.replacen(from, to, 1);
        if name == "an old text" {
            changed = changed.replacen("previous none", &format!("previous {}", "00".repeat(32)), 1);
        }
        std::fs::write(desk.path("bad-text"), changed).expect("written");
        desk.refused("propose --roster one --text bad-text --out three");
    }
    desk.note("Changes that no node accepts");
    let acme = SecretKey::from_seed([10; 32]).public();
    desk.refused(&format!("propose --roster one --governance dora={acme} --out three"));
    desk.refused("propose --roster one --feature weaving@1 --out three");
    desk.refused("propose --roster one --leave cedar --out three");
    check_golden("roster-files.txt", &desk.said.clone());
}

#[test]
fn a_rollback_and_a_rival_are_told_apart() {
    let mut desk = Desk::founded();
    desk.done("propose --roster one --hash-set cg-csam --out two");
    desk.done("propose --roster one --hash-set weights --out rival");
    for name in ["ana", "ben"] {
        desk.done(&format!("sign --key {name}.key --name {name} two"));
        // Whoever lost the memory of a key signs twice.
        std::fs::remove_file(desk.path(&format!("{name}.key.signed"))).expect("the memory");
        desk.done(&format!("sign --key {name}.key --name {name} rival"));
    }
    desk.said.clear();
    desk.refused("verify one --held two");
    desk.refused("verify rival --held two");
    desk.note("The successor of version 2 rejects the rival.");
    desk.done("propose --roster two --reject rival --out three");
    for name in ["ana", "ben"] {
        desk.done(&format!("sign --key {name}.key --name {name} three"));
    }
    let chain = desk.chain("three");
    let rival = desk.chain("rival");
    assert_eq!(
        chain.rival(&rival.suffix_from(1)[0]).expect("a rival"),
        chain.current().rejected.first().copied()
    );
    desk.refused("propose --roster three --reject two --out four");
    check_golden("roster-rivals.txt", &desk.said.clone());
}
