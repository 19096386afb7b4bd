//! The steps, in order. Every number printed was measured in this run.

use anyhow::{Context as _, Result, bail, ensure};
use hashpact_protocol::digest::RecordId;
use hashpact_tests::consortium::path;
use hashpact_tests::node::{DEADLINE, Node};
use hashpact_tests::{Consortium, pictures};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pictures rendered when no folder is given.
const PICTURES: u64 = 40;
/// Pictures whose variants are looked up.
const LOOKED_UP: usize = 5;
/// How soon the others must hold a contribution.
const PROPAGATION_MAX: Duration = Duration::from_secs(1);

pub(super) struct Story {
    consortium: Consortium,
    images: PathBuf,
    step: u32,
}

/// A record contributed for a picture.
struct Stated {
    file: PathBuf,
    record: String,
}

impl Story {
    pub(super) fn new(consortium: Consortium, images: Option<PathBuf>) -> Result<Self> {
        let images = match images {
            Some(images) => {
                images.canonicalize().with_context(|| format!("--images {}", images.display()))?
            }
            None => {
                let folder = consortium.dir().join("pictures");
                pictures::write_folder(&folder, 7, PICTURES)?;
                folder
            }
        };
        Ok(Self { consortium, images, step: 0 })
    }

    pub(super) fn keep(self) -> PathBuf {
        self.consortium.keep()
    }

    pub(super) fn print_logs(&self) {
        for node in &self.consortium.nodes {
            eprintln!("\n--- last log lines of {} ---\n{}", node.member, node.last_log());
        }
    }

    pub(super) fn tell(&mut self, list: u64) -> Result<()> {
        self.say("Three member nodes start: own keys, own RocksDB, own libp2p identity, own HTTP port.");
        println!("   The roster is signed by two of three governance keys.");
        let started = Instant::now();
        self.consortium.start()?;
        for node in &self.consortium.nodes {
            println!("   {:<6} {}  process {}", node.member, node.url(), node.pid().unwrap_or_default());
        }
        println!("   all connected and complete after {} ms", started.elapsed().as_millis());

        let stated = self.contribute()?;
        self.look_up(&stated)?;
        self.disagree(&stated)?;
        self.retract(&stated)?;
        self.prove(&stated)?;
        self.kill_and_catch_up()?;
        self.import_and_export(list)?;
        self.say("The nodes stop; every byte on every disk is verified from the leaves up.");
        for node in &mut self.consortium.nodes {
            node.stop()?;
            let report = node.command(&["fsck"])?;
            println!("   {:<6} {}", node.member, report.lines().last().unwrap_or_default());
        }
        Ok(())
    }

    fn contribute(&mut self) -> Result<Vec<Stated>> {
        self.say(
            "acme hashes a folder of images locally and contributes the hashes. No image leaves the machine.",
        );
        let images = path(&self.images)?.to_owned();
        let [a, b, c] = self.nodes()?;
        let hashed = a.hashpact_ok(&["hash", "--json", &images])?.json_lines()?;
        let pictures = hashed.iter().filter(|line| signal(line, "pdq").is_some()).count();
        ensure!(pictures > 0, "no image in {images} could be hashed");
        println!("   {} files, {pictures} images with a perceptual hash", hashed.len());
        let before = b.held("acme")?;
        let receipts = a
            .hashpact_ok(&[
                "contribute",
                "--json",
                "--origin",
                "generated",
                "--realism",
                "non_photorealistic",
                "--review",
                "dual",
                "--source-org",
                "acme-review",
                &images,
            ])?
            .json_lines()?;
        let answered = Instant::now();
        for node in [b, c] {
            wait_held(node, "acme", before + receipts.len() as u64, answered)?;
            println!(
                "   {} holds all {} records {} ms after acme's receipt",
                node.member,
                receipts.len(),
                answered.elapsed().as_millis()
            );
        }
        ensure!(answered.elapsed() < PROPAGATION_MAX, "took {:?}; promised under 1 s", answered.elapsed());
        receipts
            .iter()
            .map(|receipt| {
                Ok(Stated {
                    file: text(receipt, "file")?.into(),
                    record: text(receipt, "record")?.to_owned(),
                })
            })
            .collect()
    }

    fn look_up(&mut self, stated: &[Stated]) -> Result<()> {
        self.say("birch looks up changed copies of acme's pictures.");
        let variants_dir = self.consortium.dir().join("variants");
        let [_, b, _] = self.nodes()?;
        let images: Vec<&Stated> =
            stated.iter().filter(|stated| is_image(&stated.file)).take(LOOKED_UP).collect();
        println!(
            "   {:<34} {:>8} {:>7} {:<8} {:<6} labels",
            "change", "distance", "variant", "outcome", "member"
        );
        for (nth, stated) in images.iter().enumerate() {
            for variant in pictures::write_variants(&stated.file, &variants_dir)? {
                let result = one(b.hashpact_ok(&["match", "--json", path(&variant.path)?])?.json_lines()?)?;
                let found = best_match(&result, &stated.record).with_context(|| {
                    format!("{} of {}: no match\n{result}", variant.name, stated.file.display())
                })?;
                ensure!(
                    found["member"] == "acme" && found["labels"]["origin"] == "generated",
                    "labels: {found}"
                );
                let proof = text(found, "proof")?;
                ensure!(proof.contains(&stated.record), "proof link: {proof}");
                if nth == 0 {
                    println!(
                        "   {:<34} {:>8} {:>7} {:<8} {:<6} origin {}",
                        variant.name,
                        found["distance"],
                        found["variant"],
                        result["outcome"].as_str().unwrap_or("none"),
                        text(found, "member")?,
                        text(&found["labels"], "origin")?
                    );
                }
            }
        }
        println!("   {} pictures x 6 changes: every one matched, each with a proof link", images.len());
        let stranger = self.consortium.dir().join("stranger.png");
        pictures::save(&pictures::render(999_999, 500, 400), &stranger)?;
        let [_, b, _] = self.nodes()?;
        let result = one(b.hashpact_ok(&["match", "--json", path(&stranger)?])?.json_lines()?)?;
        ensure!(result["total"] == 0, "an unrelated picture matched: {result}");
        println!("   an unrelated picture: no match, and the answer is complete");
        Ok(())
    }

    fn disagree(&mut self, stated: &[Stated]) -> Result<()> {
        self.say("cedar disagrees on one record; everybody sees who, and why.");
        let record = &first(stated)?.record;
        let [a, b, c] = self.nodes()?;
        c.hashpact_ok(&["opinion", record, "disagree", "--reason", "wrong_class"])?;
        for node in [a, b, c] {
            wait_record(node, record, "cedar's opinion", |shown| shown["opinions"]["disagree"] == 1)?;
        }
        let shown = one(b.hashpact_ok(&["record", "--json", record])?.json_lines()?)?;
        println!("   birch shows: {} ({})", text(&shown, "status")?, shown["reason"].as_str().unwrap_or(""));
        Ok(())
    }

    fn retract(&mut self, stated: &[Stated]) -> Result<()> {
        self.say("acme retracts one record; all three stop matching it.");
        let withdrawn = stated.get(1).context("two records are needed")?;
        let [a, b, c] = self.nodes()?;
        let file = path(&withdrawn.file)?;
        for node in [a, b, c] {
            let result = one(node.hashpact_ok(&["match", "--json", file])?.json_lines()?)?;
            ensure!(best_match(&result, &withdrawn.record).is_some(), "{} did not match before", node.member);
        }
        a.hashpact_ok(&["retract", &withdrawn.record, "--reason", "error"])?;
        for node in [a, b, c] {
            wait_record(node, &withdrawn.record, "the retraction", |shown| shown["status"] == "retracted")?;
            let result = one(node.hashpact_ok(&["match", "--json", file])?.json_lines()?)?;
            ensure!(best_match(&result, &withdrawn.record).is_none(), "{} still matches it", node.member);
            println!("   {}: retracted, no longer matched", node.member);
        }
        let refused = b.hashpact(&["retract", &first(stated)?.record, "--reason", "error"])?;
        ensure!(refused.code == Some(4), "birch could retract acme's record: {refused:?}");
        println!(
            "   birch may not retract acme's record: {}",
            refused.stderr.lines().next().unwrap_or_default()
        );
        Ok(())
    }

    fn prove(&mut self, stated: &[Stated]) -> Result<()> {
        self.say(
            "cedar fetches a provenance proof and verifies it offline, with nothing but acme's public key.",
        );
        let record = &first(stated)?.record;
        let proof_file = self.consortium.dir().join("proof.txt");
        let [a, _, c] = self.nodes()?;
        let logs = hashpact_tests::node::block_on(a.client()?.logs())?.logs;
        let key = &logs.iter().find(|log| log.member == "acme").context("acme's log")?.key;
        let id = RecordId::from_hex(record)?;
        let proof = hashpact_tests::node::block_on(c.client()?.proof(&id))?;
        let proof = String::from_utf8(proof).context("a proof is text")?;
        std::fs::write(&proof_file, &proof)?;
        let verified = c.hashpact_ok(&["verify", path(&proof_file)?, "--key", key])?;
        for line in verified.stdout.lines() {
            println!("   {line}");
        }
        let forged = proof.replacen("index ", "index 1", 1);
        std::fs::write(&proof_file, forged)?;
        let refused = c.hashpact(&["verify", path(&proof_file)?, "--key", key])?;
        ensure!(refused.code == Some(7), "a changed proof was accepted: {refused:?}");
        println!("   the same proof with one digit changed is refused");
        Ok(())
    }

    fn kill_and_catch_up(&mut self) -> Result<()> {
        self.say("cedar is killed (SIGKILL) while acme keeps contributing, comes back, and catches up.");
        let folder = self.consortium.dir().join("more");
        for part in 0..3 {
            pictures::write_folder(&folder.join(part.to_string()), 100 + part, 10)?;
        }
        let held_before = self.nodes()?[2].held("acme")?;
        self.contribute_part(&folder, 0)?;
        self.node_mut(2)?.kill()?;
        self.contribute_part(&folder, 1)?;
        self.contribute_part(&folder, 2)?;
        let wanted = self.nodes()?[0].held("acme")?;
        ensure!(wanted == held_before + 30, "acme holds {wanted}");
        self.node_mut(2)?.start()?;
        let back = Instant::now();
        let cedar = self.nodes()?[2];
        cedar.wait_for("acme's whole log", |status| {
            status.logs.iter().any(|log| log.origin.ends_with("/acme/1") && log.size >= wanted)
                && status.complete
        })?;
        println!(
            "   cedar holds all {wanted} entries again {} ms after its start",
            back.elapsed().as_millis()
        );
        let roots: BTreeSet<String> = self
            .nodes()?
            .iter()
            .map(|node| {
                let logs = hashpact_tests::node::block_on(node.client()?.logs())?.logs;
                let log = logs.into_iter().find(|log| log.member == "acme").context("acme's log")?;
                Ok(log.root)
            })
            .collect::<Result<_>>()?;
        ensure!(roots.len() == 1, "the nodes hold different trees: {roots:?}");
        println!("   all three compute the same root of acme's log: {}…", &first_of(&roots)?[..16]);
        let last = folder.join("2").join("picture-009.jpg");
        let result = one(cedar.hashpact_ok(&["match", "--json", path(&last)?])?.json_lines()?)?;
        ensure!(result["total"].as_u64() > Some(0), "cedar does not match what it missed: {result}");
        println!("   cedar matches a picture that was contributed while it was down");
        Ok(())
    }

    fn contribute_part(&self, folder: &Path, part: u64) -> Result<()> {
        let images = folder.join(part.to_string());
        self.nodes()?[0].hashpact_ok(&["contribute", "--quiet", "--review", "single", path(&images)?])?;
        Ok(())
    }

    fn import_and_export(&mut self, list: u64) -> Result<()> {
        self.say(&format!("acme imports a CSV list of {list} signals; cedar exports the same set."));
        let file = self.consortium.dir().join("list.csv");
        let wanted = write_list(&file, list)?;
        let [a, _, c] = self.nodes()?;
        let started = Instant::now();
        let imported = a.hashpact_ok(&["import", path(&file)?])?;
        println!(
            "   imported in {:.1} s: {}",
            started.elapsed().as_secs_f64(),
            imported.stdout.lines().last().unwrap_or_default()
        );
        let total = a.held("acme")?;
        let caught_up = Instant::now();
        wait_held(c, "acme", total, caught_up)?;
        println!(
            "   cedar holds all {total} entries {} ms after the import returned",
            caught_up.elapsed().as_millis()
        );
        let exported_file = self.consortium.dir().join("exported.csv");
        let [_, _, c] = self.nodes()?;
        c.hashpact_ok(&["export", "--format", "csv", "--member", "acme", "--out", path(&exported_file)?])?;
        let exported = read_list(&exported_file, "demo-list")?;
        ensure!(
            exported == wanted,
            "imported {} lines, exported {}; {} differ",
            wanted.len(),
            exported.len(),
            exported.symmetric_difference(&wanted).count()
        );
        println!("   cedar's export has the same {} signals with the same labels", exported.len());
        let again = a.hashpact_ok(&["import", path(&file)?])?;
        ensure!(a.held("acme")? == total, "a second import of the same list stated lines twice");
        println!(
            "   importing the same list again states nothing twice: {}",
            again.stdout.lines().last().unwrap_or_default()
        );
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.step += 1;
        println!("\n{}. {text}", self.step);
    }

    fn nodes(&self) -> Result<[&Node; 3]> {
        match self.consortium.nodes.as_slice() {
            [a, b, c] => Ok([a, b, c]),
            _ => bail!("three nodes expected"),
        }
    }

    fn node_mut(&mut self, position: usize) -> Result<&mut Node> {
        self.consortium.nodes.get_mut(position).context("no such node")
    }
}

/// Columns of the list: what goes in must come out.
type Line = (String, String, String, String, String);

fn write_list(file: &Path, count: u64) -> Result<BTreeSet<Line>> {
    let origins = ["generated", "edited_benign", "undetermined"];
    let reviews = ["unreviewed", "single", "dual"];
    let mut csv = String::from("type,value,origin,review,source_org,source_list\n");
    let mut lines = BTreeSet::new();
    for nth in 0..count {
        let digest = hashpact_protocol::digest::sha256(&[b"demo list", &nth.to_be_bytes()]);
        let hex = hashpact_protocol::digest::hex_encode(&digest);
        let (kind, value) = match nth % 4 {
            0 => ("pdq", hex),
            1 => ("md5", hex[..32].to_owned()),
            2 => ("sha1", hex[..40].to_owned()),
            _ => ("sha256", hex),
        };
        let origin = origins[(nth % 3) as usize];
        let review = reviews[(nth / 3 % 3) as usize];
        writeln!(csv, "{kind},{value},{origin},{review},partner,demo-list")?;
        lines.insert((kind.to_owned(), value, origin.to_owned(), review.to_owned(), "demo-list".to_owned()));
    }
    std::fs::write(file, csv)?;
    Ok(lines)
}

/// Reads the lines of one source list back from an export, by the names of its columns.
fn read_list(file: &Path, list: &str) -> Result<BTreeSet<Line>> {
    let text = std::fs::read_to_string(file)?;
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<String>>());
    let header = rows.next().context("an export has a header")?;
    let column = |name: &str| header.iter().position(|held| held == name);
    let origin = column("origin").context("no origin column")?;
    let review = column("review").context("no review column")?;
    let source = column("source_list").context("no source_list column")?;
    let kinds: Vec<(usize, &str)> =
        ["pdq", "md5", "sha1", "sha256"].into_iter().filter_map(|kind| Some((column(kind)?, kind))).collect();
    let mut lines = BTreeSet::new();
    for row in rows {
        let cell = |at: usize| row.get(at).cloned().unwrap_or_default();
        if cell(source) != list {
            continue;
        }
        let mut signals: Vec<(String, String)> = kinds
            .iter()
            .map(|(at, kind)| ((*kind).to_owned(), cell(*at)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        if let (Some(kind), Some(value)) = (column("type"), column("value"))
            && !cell(kind).is_empty()
        {
            signals.push((cell(kind), cell(value)));
        }
        for (kind, value) in signals {
            lines.insert((kind, value, cell(origin), cell(review), cell(source)));
        }
    }
    Ok(lines)
}

fn wait_held(node: &Node, member: &str, size: u64, since: Instant) -> Result<()> {
    while since.elapsed() < DEADLINE {
        if node.held(member)? >= size {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("{} holds {} of {size} entries of {member} after {DEADLINE:?}", node.member, node.held(member)?)
}

fn wait_record(node: &Node, record: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    let mut last = Value::Null;
    while Instant::now() < until {
        last = one(node.hashpact_ok(&["record", "--json", record])?.json_lines()?)?;
        if condition(&last) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("{} does not show {what}: {last}", node.member)
}

fn signal<'a>(line: &'a Value, kind: &str) -> Option<&'a Value> {
    line["signals"].as_array()?.iter().find(|signal| signal["type"] == kind)
}

fn best_match<'a>(result: &'a Value, record: &str) -> Option<&'a Value> {
    result["matches"].as_array()?.iter().find(|found| found["record"] == record)
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field].as_str().with_context(|| format!("no {field} in {value}"))
}

fn one(lines: Vec<Value>) -> Result<Value> {
    let count = lines.len();
    let mut lines = lines.into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        _ => bail!("expected one line of JSON, got {count}"),
    }
}

fn first(stated: &[Stated]) -> Result<&Stated> {
    stated.iter().find(|stated| is_image(&stated.file)).context("no image was contributed")
}

fn first_of(set: &BTreeSet<String>) -> Result<&str> {
    set.first().map(String::as_str).context("nothing there")
}

fn is_image(file: &Path) -> bool {
    file.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
        ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"]
            .contains(&extension.to_ascii_lowercase().as_str())
    })
}
