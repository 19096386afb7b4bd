//! Audit bundles as files, and the commands that read them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;

use hashpact_client::bundle::{FileFindings, verify_file};
use hashpact_protocol::bundle::{BLOCK_HEADER_BYTES, Scope};

use crate::packed::Packed;
use crate::world::{World, member_id};

struct Files {
    dir: tempfile::TempDir,
    world: World,
}

impl Files {
    fn new(entries: usize) -> Self {
        // Six hours between entries, so that a few hundred span some months.
        Self { dir: tempfile::tempdir().unwrap(), world: World::new(entries, 6 * 3600) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn packed(&self, scope: Scope) -> Vec<u8> {
        self.world.bundle_into(Packed::default(), scope, 1).finish()
    }

    fn verify(&self, path: &Path) -> FileFindings {
        verify_file(path, &self.world.trust(), &mut (), Rc::new(|_| {})).unwrap()
    }

    fn hashpact(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hashpact"))
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }
}

#[test]
fn a_compressed_bundle_is_what_every_zstd_and_tar_read() {
    let files = Files::new(600);
    let (plain, packed) = (files.world.bundle(Scope::All, 1), files.packed(Scope::All));
    assert!(packed.len() < plain.bytes.len());
    assert_eq!(zstd::stream::decode_all(packed.as_slice()).unwrap(), plain.bytes);
    let mut names = Vec::new();
    for member in tar::Archive::new(plain.bytes.as_slice()).entries().unwrap() {
        let member = member.unwrap();
        assert!(member.header().entry_type().is_file());
        names.push(member.path().unwrap().to_string_lossy().into_owned());
    }
    let expected = [
        "core/manifest",
        "core/logs/north/1/tile/entries/002.p/88",
        "core/logs/south/1/tile/1/000.p/2",
        "annex/statement",
    ];
    assert!(expected.iter().all(|name| names.iter().any(|found| found == name)), "{names:#?}");
    for (name, bytes) in [("a.tar", &plain.bytes), ("a.tar.zst", &packed)] {
        let found = files.verify(&files.write(name, bytes));
        assert!(found.is_clean(), "{name}: {:?} {:?}", found.damage, found.findings.problems);
    }
}

#[test]
fn a_forked_log_is_told_as_proven() {
    let mut files = Files::new(30);
    files.world.evidence = vec![files.world.fork(2)];
    files.write("a.tar", &files.world.bundle(Scope::All, 1).bytes);
    let trust = files.world.trust().to_hex();
    let told = files.hashpact(&["audit", "verify", "a.tar", "--trust", &trust]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{text}");
    let (proven, claimed) = text.split_once("CLAIMED").unwrap();
    assert!(
        proven.contains("two histories, of 30 and of 30 entries") && !claimed.contains("FORKED"),
        "{text}"
    );
}

#[test]
fn the_other_history_of_a_forked_log_is_told_as_proven_and_a_changed_one_is_not() {
    let mut files = Files::new(30);
    let (evidence, branch) = files.world.branch(2, 20);
    (files.world.evidence, files.world.branches) = (vec![evidence], vec![branch]);
    let trust = files.world.trust().to_hex();
    for (name, bit, expected) in [("a.tar", 0, "every entry from 20 on, 9 payloads"), ("b.tar", 1, "")] {
        files.world.branches[0].entries[4].0[9] ^= bit;
        files.write(name, &files.world.bundle(Scope::All, 1).bytes);
        let told = files.hashpact(&["audit", "verify", name, "--trust", &trust]);
        let text = String::from_utf8(told.stdout).unwrap();
        let is_told = text.split_once("CLAIMED").is_some_and(|(proven, _)| proven.contains("is here too"));
        assert_eq!((told.status.success(), is_told), (bit == 0, bit == 0), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn one_flipped_byte_of_a_file_is_found_and_located() {
    let files = Files::new(300);
    for (name, bytes) in
        [("a.tar", files.world.bundle(Scope::All, 0).bytes), ("a.tar.zst", files.packed(Scope::All))]
    {
        let is_packed = name.ends_with("zst");
        let mut changed = bytes.clone();
        for (nth, offset) in (0..bytes.len()).step_by(if is_packed { 1499 } else { 9001 }).enumerate() {
            changed[offset] ^= 1 << (nth % 8);
            let found = files.verify(&files.write(name, &changed));
            changed[offset] = bytes[offset];
            let offset = offset as u64;
            let in_file = found.damage.iter().any(|damage| (damage.start..damage.end).contains(&offset));
            let in_archive = !is_packed
                && found
                    .findings
                    .problems
                    .iter()
                    .any(|problem| (problem.start..problem.end).contains(&offset));
            assert!(!found.is_clean() && (in_file || in_archive), "{name}, byte {offset}: {found:#?}");
        }
    }
}

/// Every byte of every block's header, and both ends and the middle of its frame, core and annex alike.
#[test]
fn one_flipped_byte_of_any_block_is_found_and_located() {
    let files = Files::new(700);
    let packed = files.packed(Scope::All);
    let (mut at, mut blocks, mut offsets) = (0, 0, Vec::new());
    while at < packed.len() {
        let frame = u32::from_be_bytes(packed[at + 24..at + 28].try_into().unwrap()) as usize;
        offsets.extend(at..at + BLOCK_HEADER_BYTES);
        let from = at + BLOCK_HEADER_BYTES;
        offsets.extend([from, from + 4, from + 5, from + frame / 2, from + frame - 1]);
        (at, blocks) = (from + frame, blocks + 1);
    }
    assert!(blocks >= 3, "{blocks} blocks");
    for (nth, offset) in offsets.into_iter().enumerate() {
        let mut changed = packed.clone();
        changed[offset] ^= 1 << (nth % 8);
        let found = files.verify(&files.write("a.tar.zst", &changed));
        let located = found.damage.iter().any(|damage| (damage.start..damage.end).contains(&(offset as u64)));
        assert!(!found.is_clean() && located, "byte {offset}: {:?}", found.damage);
    }
}

#[test]
fn the_first_bytes_of_a_compressed_file_count_as_well() {
    let files = Files::new(20);
    let packed = files.packed(Scope::All);
    for offset in 0..60 {
        let mut changed = packed.clone();
        changed[offset] ^= 0x10;
        let found = files.verify(&files.write("a.tar.zst", &changed));
        assert!(!found.is_clean(), "byte {offset}");
    }
    for cut in [1, 40, 500, packed.len() - 3] {
        let found = files.verify(&files.write("cut.tar.zst", &packed[..packed.len() - cut]));
        assert!(!found.is_clean() && !found.damage.is_empty(), "cut by {cut}");
    }
    for garbage in [&b""[..], b"x", &[0; 1024], &[0x5e, 0x2a, 0x4d, 0x18], &packed[44..]] {
        let found = files.verify(&files.write("garbage", garbage));
        assert!(!found.is_clean() && !found.damage.is_empty(), "{} bytes", garbage.len());
    }
    let twice = [packed.as_slice(), &packed].concat();
    assert!(!files.verify(&files.write("twice", &twice)).is_clean());
}

#[test]
fn verify_says_what_is_proven_claimed_and_missing() {
    let files = Files::new(300);
    files.write("a.tar.zst", &files.packed(Scope::Member(member_id(1))));
    let trust = files.world.trust().to_hex();
    let told = files.hashpact(&["audit", "verify", "a.tar.zst", "--trust", &trust]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{text}");
    for part in [
        "PROVEN:",
        "all 300 entries; signed by its author; cosigned by a quorum up to 300",
        "CLAIMED, not proven:",
        "payloads erased: the word of the holder",
        "MISSING",
        "but the other logs are not whole",
        "written by north",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let told = files.hashpact(&["audit", "verify", "a.tar.zst", "--json", "--trust", &"11".repeat(32)]);
    assert_eq!(told.status.code(), Some(7));
    let json: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((json["proven"].as_bool(), json["problem_count"].as_u64()), (Some(false), Some(1)), "{json}");
    let told = files.hashpact(&["audit", "verify", "a.tar.zst", "--trust", "none"]);
    assert_eq!(told.status.code(), Some(2));
}

#[test]
fn when_brackets_a_record_by_the_times_of_third_parties() {
    let files = Files::new(300);
    let trust = files.world.trust().to_hex();
    let ask = |index: usize, json: bool| {
        let record = files.world.id(1, index);
        files.write("one.tar.zst", &files.packed(Scope::Record(record)));
        let record = record.to_hex();
        let mut arguments = vec!["audit", "when", &record, "--bundle", "one.tar.zst", "--trust", &trust];
        arguments.extend(json.then_some("--json"));
        let told = files.hashpact(&arguments);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    };
    // Heads of 100, 150 and 300 entries were cosigned, each a minute after its last entry.
    let text = ask(120, false);
    for part in [
        "is entry 120 of log north/1",
        "a head of 100 entries, which south cosigned, does not cover it",
        "a head of 150 entries, which east cosigned, covers it",
        "so it entered the log between",
        "NOT SHOWN:",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&ask(120, true)).unwrap();
    let claimed = &json["claimed"];
    assert_eq!(claimed["author_time"], "2026-01-31T00:00:00.000Z");
    assert_eq!(claimed["not_yet"]["time"], "2026-01-25T18:01:02Z");
    assert_eq!(claimed["held_by"][0]["time"], "2026-02-07T06:01:00Z");
    assert!(claimed["held_by"][0]["checkpoint"].as_str().unwrap().contains("/north/1\n150\n"));
    assert!(ask(20, false).contains("there is no \"not before\""));
}

#[test]
fn a_report_has_figures_and_tables_and_no_signal() {
    let files = Files::new(400);
    files.write("a.tar", &files.world.bundle(Scope::All, 2).bytes);
    let trust = files.world.trust().to_hex();
    let told = files.hashpact(&["audit", "report", "a.tar", "--trust", &trust, "--html", "out.html"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let read = |name: &str| std::fs::read_to_string(files.dir.path().join(name)).unwrap();
    let page = read("out.html");
    for part in [
        "<svg",
        "What was added, and what was taken back",
        "Cosigning",
        "list",
        "What this report rests on",
        "<td>400</td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http") && !page.contains("<script"), "the page asks nobody");
    let all = std::fs::read_dir(files.dir.path()).unwrap().map(|file| file.unwrap().path());
    let tables: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|ending| ending == "csv")).collect();
    assert_eq!(tables.len(), 8);
    for table in &tables {
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_path(table).unwrap();
        assert!(reader.records().all(|row| row.is_ok()), "{}", table.display());
        assert!(has_no_digest(&std::fs::read_to_string(table).unwrap()), "{}", table.display());
    }
    // Only the digest of the core is as long as a signal.
    let core = page.split("<code>").filter(|part| !has_no_digest(part)).count();
    assert!(core <= 2, "{core}");
    let members = read("out-members.csv");
    assert!(
        members.starts_with("member,contributed,opinions,disputed,retracted,corrected,erased\neast,"),
        "{members}"
    );
    files.write("bad.tar", &files.world.bundle(Scope::All, 2).bytes[..4096]);
    let told = files.hashpact(&["audit", "report", "bad.tar", "--trust", &trust, "--html", "bad.html"]);
    assert_eq!(told.status.code(), Some(7));
    assert!(!files.dir.path().join("bad.html").exists());
}

fn has_no_digest(text: &str) -> bool {
    !text.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 32)
}
