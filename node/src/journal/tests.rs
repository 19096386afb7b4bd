use super::*;
use serde_json::json;

fn journal(lines: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("journal");
    for number in 0..lines {
        record(&path, &Actor::Node, "test", &json!({ "number": number })).expect("written");
    }
    (dir, path)
}

fn fault(path: &Path) -> String {
    let checked = check(path).expect_err("broken").to_string();
    let refused = record(path, &Actor::Node, "test", &json!({}));
    // What lies before the head is found by `check` alone; the end is looked at for every line.
    if let Err(error) = refused {
        assert!(
            format!("{error:#}").starts_with("test was not done, for it cannot be journalled: "),
            "{error:#}"
        );
    }
    checked
}

#[test]
fn lines_are_chained_and_say_who_did_what() {
    let (_dir, path) = journal(2);
    record(&path, &Actor::Token("ops".to_owned()), "mute", &json!({ "member": "birch" })).expect("written");
    assert_eq!(check(&path).expect("whole").lines, 3);
    let text = std::fs::read_to_string(&path).expect("text");
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
    assert_eq!(
        (&last["line"], &last["actor"], &last["action"]),
        (&json!(3), &json!("token:ops"), &json!("mute"))
    );
    assert_eq!(last["details"]["member"], "birch");
    assert!(Actor::of_command().to_string().starts_with("cli:"));
}

#[test]
fn no_journal_is_whole() {
    let (_dir, path) = journal(0);
    assert_eq!(check(&path).expect("nothing is wrong"), JournalHead::default());
    assert!(read(&path).expect("nothing").is_empty());
}

#[test]
fn a_changed_a_cut_and_an_added_line_are_named() {
    let (_dir, path) = journal(3);
    let good = std::fs::read_to_string(&path).expect("text");
    let lines: Vec<&str> = good.lines().collect();
    let head = std::fs::read(head_file(&path)).expect("head");
    let broken = |text: &str| {
        std::fs::write(&path, text).expect("written");
        std::fs::write(head_file(&path), &head).expect("written");
        fault(&path)
    };
    let changed = broken(&good.replace("\"number\":1", "\"number\":7"));
    assert!(
        changed.ends_with("is broken: line 2 was changed: line 3 carries another digest of it"),
        "{changed}"
    );
    let last = broken(&good.replace("\"number\":2", "\"number\":7"));
    assert!(last.ends_with("was changed: line 3 is not the one that was written"), "{last}");
    let cut = broken(&format!("{}\n{}\n", lines[0], lines[1]));
    assert!(cut.ends_with("was cut: 3 lines were written, 2 are there"), "{cut}");
    let middle = broken(&format!("{}\n{}\n", lines[0], lines[2]));
    assert!(middle.contains("line 2 says that it is line 3"), "{middle}");
    let added = broken(&format!("{good}hello\n"));
    assert!(added.contains("line 4 is not a line of a journal"), "{added}");
    std::fs::write(&path, &good).expect("written");
    std::fs::write(head_file(&path), &head).expect("written");
    check(&path).expect("whole again");
    std::fs::remove_file(head_file(&path)).expect("own file");
    assert!(fault(&path).ends_with("journal.head is missing, and the journal has lines"));
    std::fs::write(head_file(&path), "nonsense").expect("written");
    assert!(fault(&path).ends_with("journal.head is not what the program writes"));
}

#[test]
fn a_crash_at_any_byte_of_a_line_leaves_a_whole_journal() {
    let (_dir, path) = journal(2);
    let head = std::fs::read(head_file(&path)).expect("head");
    let before = std::fs::read(&path).expect("text");
    record(&path, &Actor::Node, "third", &json!({})).expect("written");
    let after = std::fs::read(&path).expect("text");
    for length in before.len()..=after.len() {
        // The head is written last.
        std::fs::write(head_file(&path), &head).expect("written");
        std::fs::write(&path, &after[..length]).expect("written");
        let whole = if length == after.len() { 3 } else { 2 };
        assert_eq!(check(&path).expect("whole").lines, whole);
        record(&path, &Actor::Node, "next", &json!({})).expect("goes on");
        assert_eq!(check(&path).expect("whole").lines, whole + 1);
    }
    // Of the first line as well, whose head was never there.
    let (_dir, first) = journal(1);
    std::fs::remove_file(head_file(&first)).expect("own file");
    assert_eq!(check(&first).expect("whole").lines, 1);
    record(&first, &Actor::Node, "next", &json!({})).expect("goes on");
}

#[test]
fn two_writers_never_tear_the_chain() {
    let (_dir, path) = journal(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    record(&path, &Actor::Node, "test", &json!({})).expect("written");
                }
            });
        }
    });
    assert_eq!(check(&path).expect("whole").lines, 100);
}

#[test]
fn a_broken_journal_is_put_aside_and_the_new_one_says_so() {
    let (_dir, path) = journal(3);
    assert!(restart(&path, &Actor::Node, "no need").is_err(), "a whole one goes on");
    let good = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, good.replace("\"number\":0", "\"number\":7")).expect("written");
    let aside = restart(&path, &Actor::Node, "disk was replaced").expect("anew");
    assert_eq!(std::fs::read_to_string(&aside).expect("kept"), good.replace("\"number\":0", "\"number\":7"));
    assert_eq!(check(&path).expect("whole").lines, 1);
    let line: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("text")).expect("one line of JSON");
    assert_eq!(
        (&line["action"], &line["details"]["reason"]),
        (&json!("restart-journal"), &json!("disk was replaced"))
    );
    assert!(line["details"]["fault"].as_str().expect("text").contains("line 1 was changed"));
}
