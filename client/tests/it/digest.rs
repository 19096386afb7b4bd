//! `hashpact digest` as a process: records that `import` and `contribute` take, and no address anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hashpact_protocol::api::NewRecord;
use serde_json::{Value, json};

use crate::command::{hashpact, run};
use crate::fake_node::{FakeNode, Ledger, Reply, Request};

/// A part of every address here, which must be found nowhere.
const SECRET: &str = "telltale";
/// HMAC-SHA-256, by Python's hmac, under the key 00 01 … 1f of the addresses `https://telltale.example/N.jpg`, N from 0 on.
const DIGESTS: [&str; 3] = [
    "686db7f31832083fd6af3c5dcb24e4f45de462779de700f728aea49a054055ed",
    "c4f33b80c8bfca19726bb8ee69582ab9b2e70e4969201a3297738ca142347627",
    "410e9db59bca06349e2504fa61aed667e790854f599e39f88cdd6d72bfe9c185",
];
/// The same of the host name `telltale.example`.
const HOST: &str = "35451581ec109f7607853120bc4d1e751ee2d39bdcccd10e9db28e30176aa12c";

struct World {
    folder: tempfile::TempDir,
    key: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let digits: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        write_private(&key, &digits);
        World { folder, key }
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `digest` with these words, the key and the list.
    fn digest(&self, words: &[&str], list: &Path) -> (i32, String, String) {
        let ran = run(hashpact().args(words).arg("--key-file").arg(&self.key).arg(list));
        assert!(!ran.1.contains(SECRET) && !ran.2.contains(SECRET), "{ran:?}");
        ran
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn addresses(count: usize) -> String {
    (0..count).map(|nth| format!("https://{SECRET}.example/{nth}.jpg\n")).collect()
}

fn records(text: &str) -> Vec<NewRecord> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn values(record: &NewRecord) -> Vec<&str> {
    record.signals.iter().map(|signal| signal.value.as_str()).collect()
}

#[test]
fn urls_become_records_of_64_digests_and_bad_lines_are_told_by_number() {
    let world = World::new();
    let text =
        format!("{}\n{SECRET}.example/no-scheme\nHTTPS://{SECRET}.EXAMPLE:443/1.jpg#x\n", addresses(65));
    let list = world.file("list", text);
    let (code, stdout, stderr) = world.digest(&["digest", "urls"], &list);
    assert_eq!(code, 3, "{stderr}");
    assert_eq!(
        stderr,
        "line 67: not an address of the form scheme://host/path\n\
         68 lines read, 65 keyed digests in 2 records; check value of the key 6b37f622a8aabcf6\n  \
         1 left out, given before\n  1 blank\n  1 not usable, reported\n"
    );
    let made = records(&stdout);
    assert_eq!(made.iter().map(|record| record.signals.len()).collect::<Vec<_>>(), [64, 1]);
    assert_eq!(&values(&made[0])[..3], &DIGESTS);
    assert!(made.iter().all(|record| record.kind == "dataset" && record.to_record().is_ok()));
}

#[test]
fn every_unusable_line_is_in_the_errors_file_and_the_summary_is_json() {
    let world = World::new();
    let mut text = addresses(2).into_bytes();
    text.extend(std::iter::repeat_n(&b"telltale\n"[..], 150).flatten());
    text.extend(b"https://telltale.example/\xff\n");
    text.extend(format!("https://{SECRET}.example/{}\n", "x".repeat(200_000)).bytes());
    let list = world.file("list", text);
    let (errors, out) = (world.folder.path().join("errors"), world.folder.path().join("out"));
    let (_, stdout, stderr) = world.digest(&["--json", "digest", "urls"], &list);
    let summary: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(
        (records(&stdout).len(), &summary["records"]),
        (1, &json!(1)),
        "beside records on standard output"
    );
    let words = ["--json", "digest", "urls", "--errors"];
    let words = [&words[..], &[errors.to_str().unwrap(), "--out", out.to_str().unwrap()]].concat();
    let (code, stdout, stderr) = world.digest(&words, &list);
    assert_eq!(code, 3, "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&summary["lines"], &summary["bad_lines"]), (&json!(154), &json!(152)));
    assert_eq!((&summary["digests"], &summary["key_check"]), (&json!(2), &json!("6b37f622a8aabcf6")));
    assert_eq!(stderr.lines().count(), 101, "a hundred, and where the rest is");
    let errors = fs::read_to_string(errors).unwrap();
    assert_eq!(errors.lines().count(), 152);
    assert!(errors.contains("line 153: not UTF-8 text\n") && !errors.contains(SECRET), "{errors}");
    assert!(errors.ends_with("more than 131072 are not read\n"), "{errors}");
    assert_eq!(values(&records(&fs::read_to_string(out).unwrap())[0]), DIGESTS[..2]);
}

#[test]
fn hosts_are_one_record_each_and_a_list_without_any_makes_nothing() {
    let world = World::new();
    let list = world.file("list", format!("{SECRET}.EXAMPLE.\nhttps://other.{SECRET}.example/x\n"));
    let words = ["digest", "hosts", "--form", "site", "--platform", "web", "--technique", "HP-T0034"];
    let (code, stdout, _) = world.digest(&words, &list);
    let made = records(&stdout);
    assert_eq!((code, made.len(), values(&made[0])), (0, 2, vec![HOST]));
    let service = made[1].service.as_ref().unwrap();
    assert_eq!(
        (service.form.as_deref(), service.techniques.as_slice()),
        (Some("site"), &["HP-T0034".to_owned()][..])
    );

    let out = world.folder.path().join("out");
    let list = world.file("list", "\n");
    let (code, _, stderr) = world.digest(&["digest", "hosts", "--out", out.to_str().unwrap()], &list);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "hashpact: no line of the list could be used; nothing was made\n")
    );
    let mut left: Vec<_> =
        fs::read_dir(world.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["key", "list"]);
}

/// Answers as a node whose member is in the group `crawl`.
fn members(request: &Request) -> Option<Reply> {
    match request.target.as_str() {
        "/v1/status" => Some(Reply::json(&json!({
            "member": "alpha", "consortium": "demo-0123456789abcdef", "version": "0", "roster": 1, "view": "v",
            "ready": true, "complete": true, "uptime_s": 1, "logs": [], "peers": [], "index": {}
        }))),
        "/v1/members" => Some(Reply::json(&json!({
            "consortium": "demo-0123456789abcdef", "roster": 1, "members": [{
                "member": "alpha", "name": "Alpha", "status": "active", "roles": [], "groups": ["crawl"], "logs": []
            }]
        }))),
        _ => None,
    }
}

#[test]
fn keyed_digests_are_imported_into_a_group_only() {
    let world = World::new();
    let list = world.file("list", addresses(130));
    let out = world.folder.path().join("records.jsonl");
    let subject = "ab".repeat(32);
    let words = ["digest", "urls", "--subject", &subject, "--out", out.to_str().unwrap()];
    assert_eq!(world.digest(&words, &list).0, 0);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let node = FakeNode::with_ledger(Arc::clone(&ledger), |request, _| members(request));
    let import = |words: &[&str]| run(hashpact().args(["--url", &node.url]).args(words).arg(&out));

    let (code, stdout, stderr) = import(&["import"]);
    assert!(code == 3 && stdout.contains("0 records stated\n  3 not usable, reported"), "{stdout}{stderr}");
    assert!(stderr.contains("line 1: a keyed digest, which only"), "{stderr}");
    let (code, _, stderr) = import(&["contribute", "--signals"]);
    assert!(code == 2 && stderr.contains("line 3: a keyed digest, which only"), "{code} {stderr}");
    let (code, _, stderr) = import(&["import", "--group", "others"]);
    assert!(
        code == 2 && stderr.contains("--group others: alpha is not in this group, but in crawl"),
        "{stderr}"
    );
    assert!(ledger.lock().unwrap().stated.is_empty());

    // The journal in which nothing was begun does not stand in the way.
    let (code, stdout, stderr) = import(&["import", "--group", "crawl", "--review", "dual"]);
    assert!(code == 0 && stdout.contains("3 lines read, 3 records stated"), "{stdout}{stderr}");
    let stated = ledger.lock().unwrap().stated.clone();
    assert_eq!(stated.iter().map(|record| record.signals.len()).collect::<Vec<_>>(), [64, 64, 2]);
    assert!(
        stated.iter().all(|record| record.subject.as_ref() == Some(&subject)),
        "what they add to is kept"
    );
    let posted = node.requests();
    let posted = posted.iter().filter(|request| request.method == "POST").collect::<Vec<_>>();
    assert!(posted.iter().all(|request| request.target == "/v1/records?ack=local&group=crawl"));
    assert!(posted.iter().all(|request| !request.body.contains(SECRET)));

    let (code, _, stderr) = import(&["import", "--group", "crawl"]);
    assert!(code == 2 && stderr.contains("was started with other labels"), "{stderr}");
    let (code, _, stderr) = import(&["contribute", "--group", "crawl", "--signals"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(ledger.lock().unwrap().stated.len(), 6);
}

#[test]
fn look_ups_are_of_the_line_of_the_same_number() {
    let world = World::new();
    let list = world.file("list", format!("{SECRET}\n\n{}{}", addresses(2), addresses(1)));
    let out = world.folder.path().join("list.tx");
    let (code, _, _) =
        world.digest(&["digest", "urls", "--for-match", "--out", out.to_str().unwrap()], &list);
    let [first, second, _] = DIGESTS;
    assert_eq!(code, 3);
    assert_eq!(
        fs::read_to_string(&out).unwrap(),
        format!("\n\nurl_key {first}\nurl_key {second}\nurl_key {first}\n")
    );
    let node = FakeNode::start(|request, _| {
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let result = |item: &Value| json!({"id": item["id"], "outcome": "review", "total": 1, "matches": []});
        let results: Vec<Value> = asked["items"].as_array().unwrap().iter().map(result).collect();
        Reply::json(&json!({"complete": true, "as_of": {"view": "v", "roster": 1}, "results": results}))
    });
    let (code, stdout, stderr) = run(hashpact().args(["--url", &node.url, "match", "--list"]).arg(&out));
    assert_eq!(code, 0, "{stderr}");
    let named = stdout.lines().filter(|line| line.starts_with("line "));
    let lines: Vec<&str> = named.map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["line 3", "line 4", "line 5"], "{stdout}");
}

#[test]
fn keys_are_made_once_read_from_private_files_alone_and_never_shown() {
    let world = World::new();
    let list = world.file("list", addresses(1));
    let made = world.folder.path().join("made");
    let (code, stdout, _) = run(hashpact().args(["digest", "key"]).arg(&made));
    let digits = fs::read_to_string(&made).unwrap();
    assert_eq!((code, digits.len()), (0, 65));
    let (_, again, _) = run(hashpact().args(["digest", "key", "--check"]).arg(&made));
    assert_eq!(stdout, again);
    assert!(!stdout.contains(&digits[..8]), "{stdout}");
    let (code, _, stderr) = run(hashpact().args(["digest", "key"]).arg(&made));
    assert!(code == 2 && stderr.contains("File exists"), "{stderr}");
    let (_, stdout, _) = run(hashpact().args(["--json", "digest", "key", "--check"]).arg(&world.key));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["check"], "6b37f622a8aabcf6");

    for (text, why) in
        [("", "expected one line with the key"), ("abcd", "expected 32 bytes in hexadecimal, found 2")]
    {
        write_private(&world.key, text);
        let (code, _, stderr) = world.digest(&["digest", "urls"], &list);
        assert!(code == 2 && stderr.contains(why), "{stderr}");
    }
    write_private(&world.key, &"XY".repeat(32));
    let (_, _, stderr) = world.digest(&["digest", "urls"], &list);
    assert!(stderr.contains("byte 0 of the text is not") && !stderr.contains("XY"), "{stderr}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&made).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o640)).unwrap();
        let (code, _, stderr) = run(hashpact().args(["digest", "urls", "--key-file"]).arg(&made).arg(&list));
        assert!(code == 2 && stderr.contains("can be read by others (mode 0640)"), "{stderr}");
    }
}

#[test]
fn a_data_set_is_its_files_and_their_root_or_nothing() {
    let world = World::new();
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/keyed/vectors.json")).unwrap();
    let files = world.folder.path().join("files");
    fs::create_dir_all(files.join("inner")).unwrap();
    for nth in 0..9 {
        let folder = if nth % 2 == 0 { files.clone() } else { files.join("inner") };
        fs::write(folder.join(format!("{SECRET}-{nth}")), format!("file {nth}")).unwrap();
    }
    fs::write(files.join("twin"), "file 0").unwrap();
    let words = ["digest", "dataset", "--form", "files", "--known", "2", "--items", "9"];
    let (code, stdout, stderr) = run(hashpact().args(words).arg(&files));
    assert_eq!(code, 0, "{stderr}");
    let root = vectors["roots"][8]["root"].as_str().unwrap();
    let said = format!("10 files, 1 the same as another, 60 bytes; dataset_root {root}, 1 record\n");
    assert_eq!(stderr, said);
    let made = records(&stdout);
    let mut expected: Vec<&str> = vectors["roots"][8]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|digest| digest.as_str().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(values(&made[0]), [&[root], &expected[..]].concat());
    let dataset = made[0].dataset.as_ref().unwrap();
    assert_eq!((dataset.items, dataset.known, dataset.size_bytes), (Some(9), Some(2), Some(60)));
    assert!(!stdout.contains(SECRET));

    // The same of what sha256sum says, in its forms.
    let sums: String =
        expected.iter().map(|digest| format!("{}  {SECRET}\n", digest.to_uppercase())).collect();
    let list = world.file("sums", format!("{sums}\\{} *{SECRET}\\n\n", expected[0]));
    let (_, stdout, _) = run(hashpact().args(["digest", "dataset", "--root-only", "--sums"]).arg(&list));
    assert_eq!(values(&records(&stdout)[0]), [root]);

    let missing = files.join("missing");
    let (code, stdout, stderr) = run(hashpact().args(["digest", "dataset"]).arg(&files).arg(&missing));
    assert!(
        code == 2 && stdout.is_empty() && stderr.contains("1 file could not be read; nothing was made"),
        "{stderr}"
    );
    let list = world.file("sums", format!("{sums}{SECRET}\n"));
    let (code, stdout, stderr) = run(hashpact().args(["digest", "dataset", "--sums"]).arg(&list));
    assert!(
        code == 2 && stdout.is_empty() && stderr.starts_with("line 10: not a SHA-256 digest"),
        "{stderr}"
    );
    assert!(!stderr.contains(SECRET));
    let (code, _, stderr) =
        run(hashpact().args(["digest", "dataset", "--known", "3", "--items", "2"]).arg(&files));
    assert!(code == 2 && stderr.contains("dataset.known"), "{stderr}");
}

#[test]
fn a_large_data_set_is_told_in_several_records() {
    let world = World::new();
    let sums: String = (0..130).map(|nth| format!("{nth:064x}\n")).collect();
    let list = world.file("sums", sums);
    let words = ["digest", "dataset", "--form", "files", "--items", "130", "--sums"];
    let (_, stdout, _) = run(hashpact().args(words).arg(&list));
    let made = records(&stdout);
    assert_eq!(made.iter().map(|record| record.signals.len()).collect::<Vec<_>>(), [64, 64, 3]);
    let items: Vec<_> = made.iter().map(|record| record.dataset.as_ref().unwrap().items).collect();
    assert_eq!(items, [Some(130), None, None], "stated once");
}

#[test]
fn a_service_is_its_packages_and_certificates() {
    let world = World::new();
    let package = world.file("app.apk", "a package");
    // A sequence of one number: all that is looked at is that it is whole.
    let der = [0x30, 0x03, 0x02, 0x01, 0x07];
    let certificate = world.file("cert.der", der);
    let pem =
        world.file("cert.pem", "x\n-----BEGIN CERTIFICATE-----\nMAMC\nAQc=\n-----END CERTIFICATE-----\n");
    let words = ["digest", "service", "--form", "app", "--certificate"];
    let (code, stdout, stderr) =
        run(hashpact().args(words).arg(&certificate).arg("--certificate").arg(&pem).arg(&package));
    assert_eq!(code, 0, "{stderr}");
    let made = records(&stdout);
    let kinds: Vec<_> = made[0].signals.iter().map(|signal| signal.signal_type.as_str()).collect();
    assert_eq!(kinds, ["package_sha256", "certificate_sha256"], "DER and PEM are one certificate");
    assert_eq!(
        values(&made[0]),
        [
            "c0cd5ccfdb563a59366e33e73001b78fdb8cca5a6c48e2f90fffcde44b81f1f6",
            "eceda61045db145d209debf0d245e44b5b1cc52e3c04266aa2a486fdb6a2b285"
        ]
    );

    let long = [&[0x30, 0x82, 0x01, 0x00][..], &[0; 256]].concat();
    for (bytes, is_one) in [
        (&long[..], true),
        (&long[..259], false),
        (&der[1..], false),
        (b"", false),
        (b"\x30", false),
        (b"\x30\x80\x00\x00", false),
    ] {
        let file = world.file("cert.der", bytes);
        let (code, _, stderr) = run(hashpact().args(words).arg(&file));
        assert_eq!(code == 0, is_one, "{bytes:02x?}: {stderr}");
    }
    let (code, _, stderr) = run(hashpact().args(["digest", "service"]).arg(world.file("empty", "")));
    assert!(code == 2 && stderr.contains("the file is empty"), "{stderr}");
}
