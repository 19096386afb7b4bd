//! Lists as files: what each mistake is told, and what survives a restart.

use super::*;
use crate::http::tests::fixture::{CONSORTIUM, NOW_MS, chain};
use crate::lookup::Lookup;
use crate::storage::Store;
use hashpact_core::policy::{Decision, Flood, FloodId, FloodKind, Outcome};
use hashpact_protocol::api::NewSignal;
use std::fmt::Write as _;
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/lists/messages.txt");

fn ana() -> Actor {
    Actor::Token("ana".to_owned())
}

/// Compares with a reviewed file, or writes it.
pub(crate) fn check_golden(path: &str, now: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, now).expect("the file can be written");
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(now == reviewed, "{path} differs; if that is meant, run with UPDATE_GOLDEN=1 and review:\n{now}");
}

/// Every mistake that a person can make in a file, as the file.
const MISTAKES: [(&str, &str); 36] = [
    ("empty", ""),
    ("no TOML", "name = mine\noutcome = \"block\"\n"),
    ("a string without its end", "name = \"mine\noutcome = \"block\"\n"),
    ("no outcome", "name = \"mine\"\n"),
    ("a key twice", "name = \"mine\"\noutcome = \"block\"\noutcome = \"log\"\n"),
    ("an unknown key", "name = \"mine\"\noutcome = \"block\"\nreveiw = [\"dual\"]\n"),
    ("an unknown table", "name = \"mine\"\noutcome = \"block\"\n[distances]\npdq = 3\n"),
    ("a word instead of a list of words", "name = \"mine\"\noutcome = \"block\"\nreview = \"dual\"\n"),
    ("a number instead of a word", "name = \"mine\"\noutcome = 1\n"),
    ("a word instead of a number", "name = \"mine\"\noutcome = \"block\"\nsources_min = \"two\"\n"),
    ("a negative number", "name = \"mine\"\noutcome = \"block\"\nsources_min = -1\n"),
    ("no name", "name = \"\"\noutcome = \"block\"\n"),
    ("a name that is none", "name = \"My list\"\noutcome = \"block\"\n"),
    ("the built-in list", "name = \"built-in\"\noutcome = \"block\"\n"),
    ("an unknown outcome", "name = \"mine\"\noutcome = \"delete\"\n"),
    ("too high a priority", "name = \"mine\"\noutcome = \"block\"\npriority = 1001\n"),
    ("a note with a line break", "name = \"mine\"\noutcome = \"block\"\nnote = \"a\\nb\"\n"),
    ("a condition over origin", "name = \"mine\"\noutcome = \"block\"\n\norigin = [\"photographic\"]\n"),
    ("a condition over evidence", "evidence = []\nname = \"mine\"\noutcome = \"block\"\n"),
    ("an unknown signal type", "name = \"mine\"\noutcome = \"block\"\nsignals = [\"pdq\", \"phash\"]\n"),
    ("a word twice", "name = \"mine\"\noutcome = \"block\"\nsignals = [\"pdq\", \"pdq\"]\n"),
    ("an unknown review", "name = \"mine\"\noutcome = \"block\"\nreview = [\"double\"]\n"),
    (
        "two ways of saying review",
        "name = \"mine\"\noutcome = \"block\"\nreview = [\"dual\"]\nreview_min = \"dual\"\n",
    ),
    ("an unknown least review", "name = \"mine\"\noutcome = \"block\"\nreview_min = \"much\"\n"),
    ("an unknown label", "name = \"mine\"\noutcome = \"block\"\nage_group = [\"young\"]\n"),
    ("an unknown class", "name = \"mine\"\noutcome = \"block\"\nindustry_class = [\"A3\"]\n"),
    ("an unknown status", "name = \"mine\"\noutcome = \"block\"\nstatus = [\"erased\"]\n"),
    ("an unknown role", "name = \"mine\"\noutcome = \"block\"\nroles = [\"admin\"]\n"),
    ("no member id", "name = \"mine\"\noutcome = \"block\"\nmembers = [\"Acme Inc.\"]\n"),
    ("a distance that is too far", "name = \"mine\"\noutcome = \"block\"\n[distance]\npdq = 65\n"),
    ("a distance of digests", "name = \"mine\"\noutcome = \"block\"\n[distance]\nmd5 = 1\n"),
    ("too high a quality", "name = \"mine\"\noutcome = \"block\"\nquery_quality_min = 101\n"),
    ("no sources", "name = \"mine\"\noutcome = \"block\"\nsources_min = 0\n"),
    ("days of newcomers alone", "name = \"mine\"\noutcome = \"block\"\nnewcomer_days = 30\n"),
    ("sources of newcomers alone", "name = \"mine\"\noutcome = \"block\"\nnewcomer_sources_min = 2\n"),
    ("an age of ages", "name = \"mine\"\noutcome = \"block\"\nage_days_max = 36526\n"),
];

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    let mut told =
        String::from("# What a person is told who makes a mistake in a list (node/src/lists/tests.rs).\n");
    for (name, text) in MISTAKES {
        let error = read_toml(text).expect_err(name);
        let _ = writeln!(told, "\n{name}\n    {error}");
    }
    let long =
        format!("name = \"mine\"\noutcome = \"block\"\nnote = \"{}\"\n", "x".repeat(LIST_FILE_MAX_BYTES));
    let _ = writeln!(told, "\na file that is too long\n    {}", read_toml(&long).expect_err("too long"));
    for (name, text) in [
        ("JSON: no JSON", "{\"name\": mine}"),
        ("JSON: an unknown key", "{\"name\":\"mine\",\n\"outcome\":\"block\",\n\"reveiw\":[]}"),
        ("JSON: a condition over origin", "{\"name\":\"mine\",\"outcome\":\"block\",\"origin\":[]}"),
        ("JSON: an unknown word", "{\"name\":\"mine\",\"outcome\":\"block\",\"tlp\":[\"amber+\"]}"),
        ("JSON: no object", "[]"),
    ] {
        let error = read_json(text.as_bytes()).expect_err(name);
        let _ = writeln!(told, "\n{name}\n    {error}");
    }
    check_golden(GOLDEN, &told);
}

#[test]
fn the_examples_for_operators_are_lists() {
    let page = include_str!("../../LISTS.md");
    let examples: Vec<List> = page
        .split("```toml list\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end"))
        .map(|text| read_toml(text).unwrap_or_else(|error| panic!("{error}:\n{text}")))
        .collect();
    let names: Vec<&str> = examples.iter().map(|list| list.name.as_str()).collect();
    assert_eq!(names, ["confirmed", "trial", "corroborated", "same-bytes"]);
    for list in examples {
        assert_eq!(read_toml(&text::write_toml(&list)).expect("written here"), list);
    }
    for condition in hashpact_core::policy::Condition::ALL {
        assert!(page.contains(&format!("`{}`", condition.name())), "{} is not explained", condition.name());
    }
}

fn open(folder: &Path) -> anyhow::Result<Lists> {
    let files = DecisionFiles::of(folder, folder.join("journal"));
    Lists::open(files, Arc::new(Lookup::new(1)), &chain(), FloodLimits::default())
}

fn list(text: &str) -> List {
    read_toml(text).expect("a list")
}

const BLOCK: &str = "name = \"mine\"\noutcome = \"block\"\nreview_min = \"dual\"\n";
const LOG: &str = "name = \"mine\"\noutcome = \"log\"\n";

#[test]
fn versions_grow_and_say_who_changed_what_from_which() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let lists = open(folder.path()).expect("an empty folder");
    let put = |text: &str, if_match: Option<&str>| lists.put(list(text), if_match, &ana());
    let first = put(BLOCK, None).expect("a new list");
    assert_eq!((first.list.version, lists.all().len()), (1, 2));
    let blind = put(LOG, None).expect_err("it exists").to_string();
    assert!(blind.contains("list \"mine\" exists, at version 1"), "{blind}");
    let second = put(&format!("version = 1\n{LOG}"), None).expect("made from it");
    assert_eq!(second.list.version, 2);
    let late = put(BLOCK, Some(&first.etag)).expect_err("changed meanwhile").to_string();
    assert!(late.starts_with("list \"mine\" is at version 2"), "{late}");
    assert!(put(&format!("version = 1\n{BLOCK}"), Some(&second.etag)).is_err(), "both must agree");
    assert_eq!(put(BLOCK, Some(&second.etag)).expect("made from it").list.version, 3);
    assert!(matches!(lists.delete("mine", Some(&second.etag), &ana()), Err(ListsError::Changed { .. })));
    lists.delete("mine", None, &ana()).expect("it is there");
    assert!(matches!(lists.delete("mine", None, &ana()), Err(ListsError::NoList(_))));
    assert!(matches!(put(&format!("version = 3\n{BLOCK}"), None), Err(ListsError::NotThere(_))));
    assert_eq!(put(BLOCK, None).expect("new again").list.version, 4, "no version is given away twice");
    assert!(matches!(lists.delete(BUILT_IN_LIST, None, &ana()), Err(ListsError::BuiltIn)));

    let journal = std::fs::read_to_string(folder.path().join("journal")).expect("a journal");
    let actions: Vec<String> = journal
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"))
        .map(|line| format!("{} {}", line["action"].as_str().expect("an action"), line["details"]["version"]))
        .collect();
    assert_eq!(actions, ["put-list 1", "put-list 2", "put-list 3", "delete-list 3", "put-list 4"]);
    assert!(
        journal.lines().nth(1).is_some_and(|line| line.contains("\"outcome\":\"log\"")),
        "each version is kept"
    );
}

#[test]
fn decisions_survive_a_restart_and_a_changed_file_is_a_new_version() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let signal = NewSignal { signal_type: "md5".to_owned(), value: "00".repeat(16), quality: None };
    let negatives = NegativesRequest { radius: Some(9), signals: vec![signal] };
    let lists = open(folder.path()).expect("an empty folder");
    assert_eq!(&*lists.lookup.local().name, "", "nothing is decided");
    lists.put(list(BLOCK), None, &ana()).expect("a new list");
    lists.mute("south", "north", "lies", &ana()).expect("a member");
    lists.put_negatives("logos", negatives, &ana()).expect("a list of signals");
    let before = lists.lookup.local();
    assert_eq!(before.name.len(), 9, "the view is another one");

    let again = open(folder.path()).expect("what was written");
    assert_eq!(again.lookup.local().name, before.name);
    assert_eq!(again.get("mine").map(|state| state.list.version), Some(1));
    let local = again.lookup.local();
    let south = MemberId::parse("south").expect("valid");
    assert!(local.policy.members().is_muted(&south));
    assert_eq!(local.policy.members().get(&south).map(|facts| facts.joined_s), Some(NOW_MS / 1_000 - 60));
    assert_eq!(local.negatives.len(), 1);

    std::fs::write(folder.path().join("lists/mine.toml"), LOG).expect("the operator's editor");
    let again = open(folder.path()).expect("a list");
    let changed = again.get("mine").expect("there");
    assert_eq!((changed.list.version, changed.list.outcome.as_str()), (2, "log"));
    assert_eq!(open(folder.path()).expect("a list").get("mine").map(|state| state.list.version), Some(2));

    std::fs::write(folder.path().join("lists/mine.toml"), "name = \"mine\"\noutcome = \"stop\"\n")
        .expect("written");
    let error = format!("{:#}", open(folder.path()).err().expect("no list"));
    assert!(
        error.ends_with(
            "lists/mine.toml: line 2: outcome: unknown word \"stop\"; expected one of: log, review, block"
        ),
        "{error}"
    );
    std::fs::rename(folder.path().join("lists/mine.toml"), folder.path().join("lists/other.toml"))
        .expect("renamed");
    std::fs::write(folder.path().join("lists/other.toml"), LOG).expect("written");
    let error = format!("{:#}", open(folder.path()).err().expect("another name"));
    assert!(error.ends_with("name: \"mine\" must be the file's name, \"other\""), "{error}");
}

#[test]
fn a_mute_is_undone_like_it_was_done_and_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let lists = open(folder.path()).expect("an empty folder");
    let mute = |member: &str| lists.mute(member, "north", "why", &ana()).map_err(|error| error.to_string());
    assert_eq!(
        mute("north").expect_err("own"),
        "member: north is this node's own member, which cannot be muted"
    );
    assert_eq!(mute("west").expect_err("unknown"), "member: \"west\" is not in the roster");
    assert_eq!(mute("south").expect("a member").mutes.len(), 1);
    assert_eq!(mute("south").expect_err("again"), "south is muted already");
    lists.unmute("south", &ana()).expect("muted");
    assert_eq!(lists.unmute("south", &ana()).expect_err("again").to_string(), "south is not muted");
    assert!(!lists.lookup.local().policy.members().is_muted(&MemberId::parse("south").expect("valid")));
}

#[test]
fn a_flood_is_kept_as_it_was_found() {
    let id =
        FloodId { kind: FloodKind::Withdrawals, member: MemberId::parse("south").expect("valid"), hour: 7 };
    let flood = Flood {
        id: id.clone(),
        count: 12,
        norm_per_day: 3,
        ranges: [(hashpact_protocol::digest::LogId::new([5; 32]), (3, 99))].into(),
        decision: Decision::Waiting,
    };
    let folder = tempfile::tempdir().expect("temporary folder");
    {
        let lists = open(folder.path()).expect("an empty folder");
        lists.lookup.set_floods(Floods::new(FloodLimits::default(), [flood.clone()]));
        let store = Store::create(&folder.path().join("database"), CONSORTIUM, "north").expect("fresh");
        lists.keep_floods(&store);
        let text = id.to_string();
        assert!(lists.decide_flood("x", Decision::Accepted, "r", &ana()).is_err());
        lists.decide_flood(&text, Decision::Rejected, "stolen key", &ana()).expect("found");
        let again = lists.decide_flood(&text, Decision::Rejected, "r", &ana()).expect_err("decided so");
        assert_eq!(again.to_string(), "flood withdrawals.south.7 is rejected already");
    }
    let lists = open(folder.path()).expect("what was kept");
    assert_eq!(lists.lookup.floods(), [Flood { decision: Decision::Rejected, ..flood }]);
    let shown = lists.quarantine();
    assert_eq!((shown.waiting, shown.floods[0].reason.as_deref()), (0, Some("stolen key")));
}

#[test]
fn a_dry_run_changes_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let lists = open(folder.path()).expect("an empty folder");
    let local = lists.with(Ok(list(BLOCK))).expect("a list");
    assert_eq!(local.policy.list("mine").map(|list| list.outcome), Some(Outcome::Block));
    assert!(lists.get("mine").is_none());
    lists.put(list(LOG), None, &ana()).expect("new");
    assert!(lists.with(Err("mine".to_owned())).expect("there").policy.list("mine").is_none());
    assert!(matches!(lists.with(Err("other".to_owned())), Err(ListsError::NoList(_))));
    assert!(matches!(lists.with(Err(BUILT_IN_LIST.to_owned())), Err(ListsError::BuiltIn)));
}
