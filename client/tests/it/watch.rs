//! `hashpact watch` against a scripted node: what is printed, what is kept, what comes again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hashpact_protocol::api::{AsOf, ChangeJson, ChangesSnapshot, StatusTurn};

use crate::command::hashpact;
use crate::fake_node::{FakeNode, Reply, Request};

fn change(sequence: u64) -> ChangeJson {
    ChangeJson {
        cursor: format!("00000000000000aa-{sequence}"),
        time: "2026-11-30T21:04:05.678Z".to_owned(),
        kind: ChangeJson::RECORD.to_owned(),
        record: Some(format!("{sequence:064x}")),
        member: Some("acme".to_owned()),
        status: Some(StatusTurn { before: Some("active".to_owned()), after: "retracted".to_owned() }),
        ..ChangeJson::default()
    }
}

fn after(request: &Request) -> u64 {
    let after =
        request.target.split(['?', '&']).find_map(|part| part.strip_prefix("after=00000000000000aa-"));
    after.unwrap_or_else(|| panic!("{}", request.target)).parse().unwrap()
}

/// Answers like a node that keeps these changes of one epoch.
fn node(changes: Arc<Mutex<Vec<ChangeJson>>>) -> FakeNode {
    FakeNode::start(move |request, _| {
        let changes = changes.lock().unwrap();
        if request.target == "/v1/changes/snapshot" {
            let cursor = changes.last().map_or("00000000000000aa-0".to_owned(), |last| last.cursor.clone());
            let as_of = AsOf { view: "0-0".to_owned(), roster: 1 };
            let records = "/v1/records?limit=1000".to_owned();
            return Reply::json(&ChangesSnapshot { cursor, records, complete: true, reason: None, as_of });
        }
        if !request.target.contains("after=00000000000000aa-") {
            return Reply::error(410, "", "cursor_gone");
        }
        let behind = changes.iter().skip(after(request) as usize);
        let lines: String = behind.map(|change| serde_json::to_string(change).unwrap() + "\n").collect();
        Reply::Answer(200, "", lines)
    })
}

fn watch(node: &FakeNode, dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = hashpact()
        .env("HASHPACT_URL", &node.url)
        .current_dir(dir)
        .args(["watch", "--once", "--state", "cursor"])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_begins_now_goes_on_from_its_file_and_says_when_something_was_missed() {
    let dir = tempfile::tempdir().unwrap();
    let changes = Arc::new(Mutex::new(vec![change(1)]));
    let node = node(Arc::clone(&changes));
    assert_eq!(watch(&node, dir.path(), &[]), (Some(0), String::new(), String::new()), "from now on");
    changes.lock().unwrap().push(change(2));
    let (code, shown, _) = watch(&node, dir.path(), &[]);
    assert_eq!(code, Some(0));
    assert_eq!(shown, "2026-11-30 21:04:05 acme 0000000000000000… active → retracted\n");
    assert_eq!(watch(&node, dir.path(), &[]).1, "", "once");
    let (_, shown, _) = watch(&node, dir.path(), &["--after", "00000000000000aa-0", "--json"]);
    let lines: Vec<ChangeJson> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [change(1), change(2)]);
    std::fs::write(dir.path().join("cursor"), "00000000000000bb-7\n").unwrap();
    let (code, shown, _) = watch(&node, dir.path(), &[]);
    assert_eq!(code, Some(0));
    assert!(shown.starts_with("EVERYTHING (changes were missed)") && shown.lines().count() == 1, "{shown}");
    assert_eq!(std::fs::read_to_string(dir.path().join("cursor")).unwrap(), "00000000000000aa-2\n");
}

#[test]
fn a_program_that_fails_gets_the_same_change_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(Arc::new(Mutex::new((1..=3).map(change).collect())));
    let program = dir.path().join("act");
    let write = |fails_on: &str| {
        let script = format!(
            "#!/bin/sh\nread line\ncase \"$line\" in *{fails_on}*) exit 9;; esac\necho \"$line\" >> seen\n"
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let act = ["--after", "00000000000000aa-0", "--exec", "./act", "--quiet"];
    write("aa-2");
    let (code, _, said) = watch(&node, dir.path(), &act);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("failed on 00000000000000aa-2") && said.contains("comes again"), "{said}");
    assert_eq!(std::fs::read_to_string(dir.path().join("cursor")).unwrap(), "00000000000000aa-1\n");
    write("nothing");
    let (code, ..) = watch(&node, dir.path(), &act[2..]);
    assert_eq!(code, Some(0));
    let seen = std::fs::read_to_string(dir.path().join("seen")).unwrap();
    let seen: Vec<ChangeJson> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seen, [change(1), change(2), change(3)]);
}
