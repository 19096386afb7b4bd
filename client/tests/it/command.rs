//! The `hashpact` command as a process: exit codes, what it prints, and that it sends what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use hashpact_protocol::api::MatchRequest;
use image::{Rgb, RgbImage};

use crate::fake_node::{FakeNode, Ledger, Reply, Request};

const MD5: &str = "0123456789abcdef0123456789abcdef";

/// A command without this machine's settings; the address is one where nothing listens.
pub(crate) fn hashpact() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hashpact"));
    command
        .env_clear()
        .env("HASHPACT_URL", "http://127.0.0.1:9")
        .env("HASHPACT_TOKEN", "secret")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A plain synthetic picture with enough structure for a good hash.
fn picture(path: &Path, seed: u32) {
    let wave = |x: u32, y: u32, by: u32| ((x * x / (7 + seed) + y * by + x * y / 31) % 256) as u8;
    let image =
        RgbImage::from_fn(160, 120, |x, y| Rgb([wave(x, y, 3), wave(y, x, 5 + seed), wave(x, y, 11)]));
    image.save(path).unwrap();
}

fn folder_of_inputs() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("in");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    picture(&root.join("b.png"), 1);
    picture(&root.join("sub/a.bmp"), 2);
    std::fs::write(root.join("notes.txt"), "not a picture").unwrap();
    (folder, root)
}

#[test]
fn hash_prints_signals_in_order_and_talks_to_nobody() {
    let (_folder, root) = folder_of_inputs();
    let (code, stdout, stderr) = run(hashpact().args(["--json", "hash"]).arg(&root));
    assert_eq!((code, stderr.as_str()), (0, "3 files hashed\n"));
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let name = |line: &serde_json::Value| {
        line["file"].as_str().unwrap().strip_prefix(root.to_str().unwrap()).unwrap().to_owned()
    };
    assert_eq!(lines.iter().map(name).collect::<Vec<_>>(), ["/b.png", "/notes.txt", "/sub/a.bmp"]);
    let pdq = &lines[0]["signals"][0];
    assert_eq!(pdq["type"], "pdq");
    assert_eq!(pdq["variants"].as_array().unwrap().len(), 7);
    assert!(pdq["quality"].as_u64().unwrap() <= 100);
    let types: Vec<_> =
        lines[1]["signals"].as_array().unwrap().iter().map(|signal| signal["type"].clone()).collect();
    assert_eq!(types, ["md5", "sha1", "sha256"]);
    let notes_md5 = &lines[1]["signals"][0]["value"];
    assert_eq!(notes_md5, "6e9c44002049964f36de016a79ef10d7");
    let (_, again, _) = run(hashpact().args(["--json", "hash"]).arg(&root));
    assert_eq!(stdout, again);
}

#[test]
fn hash_reports_what_it_cannot_hash_and_does_the_rest() {
    let (_folder, root) = folder_of_inputs();
    let whole = std::fs::read(root.join("b.png")).unwrap();
    std::fs::write(root.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    let missing = root.join("missing.png");
    let (code, stdout, stderr) = run(hashpact().args(["--json", "hash"]).arg(&root).arg(&missing));
    assert_eq!(code, 3, "{stderr}");
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert!(
        lines[1]["error"].as_str().unwrap().starts_with("the picture could not be hashed: "),
        "{}",
        lines[1]
    );
    assert_eq!(lines[1]["signals"].as_array().unwrap().len(), 3, "digests are there all the same");
    assert!(lines[4]["error"].as_str().unwrap().contains("No such file"), "{}", lines[4]);
    assert_eq!(lines[4]["signals"].as_array().unwrap().len(), 0);
    assert!(stderr.contains("2 of them could not be hashed"), "{stderr}");
}

#[test]
fn import_dry_run_checks_every_line_and_writes_nothing_but_the_errors() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    let errors = folder.path().join("errors.txt");
    std::fs::write(
        &list,
        format!("type,value,origin\nmd5,{MD5},generated\nmd5,{MD5},generated\nmd5,12,\nsha1,{MD5},\n"),
    )
    .unwrap();
    let (code, stdout, stderr) = run(hashpact()
        .args(["import", "--dry-run", "--errors"])
        .arg(&errors)
        .args(["--review", "dual"])
        .arg(&list));
    assert_eq!(code, 3);
    assert_eq!(
        stdout,
        "5 lines read, 1 record would be stated\n  1 left out, equal to an earlier line\n  2 not usable, reported\n"
    );
    let reasons = "line 4: signals[0].value: expected 32 lower-case hex digits, got 2\n\
                   line 5: signals[0].value: expected 40 lower-case hex digits, got 32\n";
    assert!(stderr.contains(reasons), "{stderr}");
    assert!(stderr.contains("review: dual"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&errors).unwrap(), reasons);
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["errors.txt", "list.csv"]);

    let (code, stdout, _) = run(hashpact().args(["--json", "import", "--dry-run"]).arg(&list));
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &summary["records"], &summary["bad_lines"]), (3, &1.into(), &2.into()));
}

#[test]
fn import_refuses_lists_and_options_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    std::fs::write(&list, format!("md5,case\n{MD5},7\n")).unwrap();
    let (code, _, stderr) = run(hashpact().args(["import", "--dry-run"]).arg(&list));
    assert_eq!(code, 2);
    assert!(stderr.contains("line 1: unknown column(s) \"case\""), "{stderr}");
    let (code, _, _) = run(hashpact().args(["import", "--dry-run", "--ignore-unknown-columns"]).arg(&list));
    assert_eq!(code, 0);
    let (code, _, stderr) = run(hashpact().args(["import", "--dry-run", "--origin", "generatd"]).arg(&list));
    assert_eq!(code, 2);
    assert!(stderr.contains("generated"), "{stderr}");
    let (code, _, stderr) =
        run(hashpact().args(["import", "--dry-run", "--source-org", "Free Text"]).arg(&list));
    assert_eq!(code, 2);
    assert!(stderr.contains("source organisation"), "{stderr}");
    let (code, _, _) = run(hashpact().args(["import", "--batch", "0"]).arg(&list));
    assert_eq!(code, 2);
}

#[test]
fn import_survives_a_node_that_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.tx");
    std::fs::write(&list, (0..10).map(|nth| format!("md5 {nth:032x}\n")).collect::<String>()).unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    // States the third batch, says nothing, and refuses from then on.
    let node = FakeNode::with_ledger(Arc::clone(&ledger), |_, count| match count {
        0 | 1 => None,
        2 => Some(Reply::Hangup),
        _ => Some(Reply::error(503, "Retry-After: 600\r\n", "stopping")),
    });
    let (code, _, stderr) = run(hashpact().args(["--url", &node.url, "import", "--batch", "3"]).arg(&list));
    assert_eq!(code, 4, "{stderr}");
    assert!(
        stderr.contains("lines 7 to 9 (6 records were stated before; run the same command again"),
        "{stderr}"
    );
    assert!(stderr.contains("request r-1"), "{stderr}");
    let node = FakeNode::with_ledger(Arc::clone(&ledger), |_, _| None);
    let (code, stdout, stderr) =
        run(hashpact().args(["--url", &node.url, "import", "--batch", "3"]).arg(&list));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("10 lines read, 4 records stated\n  6 stated by an earlier run\n"), "{stdout}");
    let values: Vec<String> =
        ledger.lock().unwrap().stated.iter().map(|record| record.signals[0].value.clone()).collect();
    assert_eq!(values, (0..10).map(|nth| format!("{nth:032x}")).collect::<Vec<_>>());
    // Other labels under the same journal would be half of one list and half of another.
    let (code, _, stderr) =
        run(hashpact().args(["--url", &node.url, "import", "--batch", "3", "--review", "dual"]).arg(&list));
    assert_eq!(code, 2);
    assert!(stderr.contains("was started with other labels"), "{stderr}");
}

/// Answers a match call: `md5` of 32 zeros matches, nothing else does.
fn answer_match(request: &Request, complete: bool) -> Reply {
    let asked: MatchRequest = serde_json::from_str(&request.body).unwrap();
    let results: Vec<serde_json::Value> = asked
        .items
        .iter()
        .map(|item| {
            let hit = item.signals.iter().any(|signal| signal.value == "0".repeat(32));
            let found = serde_json::json!({
                "record": "ab".repeat(32), "member": "alpha", "log": "demo/alpha/1", "index": 1, "signal_type": "md5",
                "distance": 0, "variant": 0, "status": "active", "labels": {"origin": "generated"}, "review": "dual",
                "first_stated": "2026-01-01T00:00:00Z", "sources": 1,
                "opinions": {"agree": 1, "disagree": 0, "unsure": 0, "seen": 0}, "proof": "/v1/records/ab/proof"
            });
            serde_json::json!({
                "id": item.id, "outcome": if hit { Some("review") } else { None }, "total": u32::from(hit),
                "matches": if hit { vec![found] } else { vec![] },
            })
        })
        .collect();
    let mut answer =
        serde_json::json!({"complete": complete, "as_of": {"view": "v", "roster": 1}, "results": results});
    if !complete {
        answer["reason"] = "loading".into();
    }
    Reply::Answer(200, "", answer.to_string())
}

#[test]
fn match_of_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.tx");
    std::fs::write(&list, format!("md5 {}\nmd5 {MD5}\nmd5 1\n", "0".repeat(32))).unwrap();
    let node = FakeNode::start(|request, _| answer_match(request, true));
    let arguments = ["--url", &node.url, "match", "--list"];
    let (code, stdout, stderr) = run(hashpact().args(arguments).arg(&list));
    assert_eq!(code, 3, "the bad line is a failed input");
    assert!(
        stdout.starts_with(
            "line 1: review, 1 record\n    md5 distance 0, stated by alpha (active), review dual, generated\n"
        ),
        "{stdout}"
    );
    assert!(stdout.contains("opinions: 1 agree"), "{stdout}");
    assert!(
        stderr.contains("line 3: signals[0].value: expected 32 lower-case hex digits, got 1; not looked up"),
        "{stderr}"
    );
    assert!(stderr.contains("1 of 2 items matched"), "{stderr}");

    std::fs::write(&list, format!("md5 {}\n", "0".repeat(32))).unwrap();
    assert_eq!(run(hashpact().args(arguments).arg(&list)).0, 0);
    assert_eq!(run(hashpact().args(arguments).arg(&list).arg("--exit-code")).0, 10);
    std::fs::write(&list, format!("md5 {MD5}\n")).unwrap();
    assert_eq!(run(hashpact().args(arguments).arg(&list).arg("--exit-code")).0, 0);
}

#[test]
fn an_incomplete_answer_is_never_silent() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.tx");
    std::fs::write(&list, format!("md5 {MD5}\n")).unwrap();
    let node = FakeNode::start(|request, _| answer_match(request, false));
    let (code, stdout, stderr) =
        run(hashpact().args(["--quiet", "--url", &node.url, "match", "--all", "--list"]).arg(&list));
    assert_eq!(code, 6);
    assert_eq!(stdout, "line 1: UNKNOWN: the answer is incomplete\n");
    assert!(stderr.contains("THE ANSWER IS INCOMPLETE: loading."), "{stderr}");
    assert!(!stdout.contains("no match"));
    let (code, stdout, stderr) =
        run(hashpact().args(["--quiet", "--json", "--url", &node.url, "match", "--list"]).arg(&list));
    let line: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &line["complete"], &line["reason"]), (6, &false.into(), &"loading".into()));
    assert!(stderr.contains("INCOMPLETE"), "{stderr}");
}

#[test]
fn match_of_files_sends_signals_and_nothing_else() {
    let (_folder, root) = folder_of_inputs();
    let node = FakeNode::start(|request, _| answer_match(request, true));
    let (code, stdout, stderr) = run(hashpact().args(["--json", "--url", &node.url, "match"]).arg(&root));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), 3);
    assert!(stdout.contains("\"file\":"), "{stdout}");
    let requests = node.requests();
    assert_eq!(requests.len(), 1);
    for secret in ["b.png", "notes", "sub", "not a picture"] {
        assert!(!requests[0].body.contains(secret), "{secret} left this machine");
    }
    let asked: MatchRequest = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(asked.items[0].signals[0].variants.len(), 7);
    assert_eq!(asked.items.iter().map(|item| item.signals.len()).collect::<Vec<_>>(), [4, 3, 4]);
}

#[test]
fn contribute_twice_states_once_and_a_flat_picture_is_left_out() {
    let (_folder, root) = folder_of_inputs();
    RgbImage::from_pixel(64, 64, Rgb([90, 90, 90])).save(root.join("flat.png")).unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let node = FakeNode::with_ledger(Arc::clone(&ledger), |_, _| None);
    let mut arguments = vec!["--url", &node.url, "contribute", "--origin", "generated", "--review", "single"];
    arguments.extend(["--evidence", "human_review", "--evidence", "watermark", "--json"]);
    let (code, stdout, stderr) = run(hashpact().args(&arguments).arg(&root));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("PDQ quality under 50; the PDQ hash is left out"), "{stderr}");
    assert!(stderr.contains("To state: 4 records with 14 signals"), "{stderr}");
    let (_, again, _) = run(hashpact().args(&arguments).arg(&root));
    assert_eq!(stdout, again, "the second run gets the receipts of the first");
    let ledger = ledger.lock().unwrap();
    assert_eq!(ledger.stated.len(), 4);
    assert_eq!(ledger.stated[0].labels.evidence, ["human_review", "watermark"]);
    assert!(node.requests().iter().all(|request| !request.body.contains(".png")));
}

#[test]
fn contribute_without_a_node_or_with_an_open_token_file() {
    let (folder, root) = folder_of_inputs();
    let (code, _, stderr) = run(hashpact().args(["contribute", "--dry-run"]).arg(&root));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("dry run: nothing was stated"), "{stderr}");
    let token = folder.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for (mode, refused) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
            std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
            let node = FakeNode::start(|_, _| Reply::error(401, "", "unauthorized"));
            let (code, _, stderr) =
                run(hashpact().args(["--url", &node.url, "--token-file"]).arg(&token).arg("status"));
            assert_eq!(code, if refused { 2 } else { 4 }, "{mode:o}: {stderr}");
            assert_eq!(stderr.contains("can be read by others"), refused, "{stderr}");
            assert_eq!(node.requests().len(), usize::from(!refused));
        }
    }
}

#[test]
fn verify_refuses_what_is_no_proof() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("proof.txt");
    std::fs::write(&proof, "not a proof\n").unwrap();
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (code, stdout, _) = run(hashpact().arg("verify").arg(&proof).args(["--key", key]));
    assert_eq!(code, 7);
    assert_eq!(stdout, "NOT PROVEN: first line is not that of a tlog-proof of version 1\n");
    let (code, stdout, _) = run(hashpact().args(["--json", "verify"]).arg(&proof).args(["--key", key]));
    assert_eq!(code, 7);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["proven"], false);
    for key in ["00", "name+00000000+AAAA", &"0".repeat(64)] {
        let (code, _, stderr) = run(hashpact().arg("verify").arg(&proof).args(["--key", key]));
        assert_eq!(code, 2, "{key}: {stderr}");
    }
    let (code, _, stderr) =
        run(hashpact().arg("verify").arg(folder.path().join("none")).args(["--key", key]));
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn completions_and_exit_codes_of_usage() {
    let (code, stdout, _) = run(hashpact().args(["completions", "bash"]));
    assert_eq!(code, 0);
    assert!(stdout.contains("_hashpact"), "{stdout}");
    for arguments in
        [&["match"][..], &["opinion", "xyz", "agree"], &["retract", &"ab".repeat(32)], &["nonsense"], &[]]
    {
        assert_eq!(run(hashpact().args(arguments)).0, 2, "{arguments:?}");
    }
}
