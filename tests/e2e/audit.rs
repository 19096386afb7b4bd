//! Audit bundles from real nodes: the same core from every member, over HTTP and from a stopped database, verified by
//! the command that members ship; broken transfers are taken up again.

use crate::http::{Api, call, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::{hex_encode, leaf_hash, sha256};
use hashpact_protocol::roster::SignedRoster;
use hashpact_tests::Consortium;
use serde_json::{Value, json};
use std::path::Path;

/// The root that members pin: of the roster log at version 1.
fn trust(consortium: &Consortium) -> Result<String> {
    let versions = SignedRoster::parse_file(&std::fs::read(&consortium.roster)?)?;
    Ok(leaf_hash(&versions.first().context("a version")?.body).to_hex())
}

pub(crate) fn verify(consortium: &Consortium, file: &Path) -> Result<Value> {
    let trust = trust(consortium)?;
    let file = file.to_str().context("a path")?;
    let told = consortium.nodes[0].hashpact(&["audit", "verify", file, "--trust", &trust, "--json"])?;
    let found = told.json_lines()?.pop().with_context(|| told.stderr.clone())?;
    ensure!(found["proven"] == true && told.code == Some(0), "{found:#}");
    Ok(found)
}

#[test]
fn every_member_exports_the_same_core_and_anybody_verifies_it() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let records: Vec<Value> = (0..300).map(record).collect();
    let receipts = apis[0].contribute(&records)?;
    apis[1].contribute(&(900..905).map(record).collect::<Vec<_>>())?;
    for node in &consortium.nodes {
        node.wait_for("both logs", |status| status.logs.iter().all(|log| log.size >= 5) && status.complete)?;
        crate::evidence::wait_until("all entries", || {
            Ok(node.held("ash")? == 300 && node.held("birch")? == 5)
        })?;
    }
    let first = receipts[0]["record"].as_str().context("an id")?.to_owned();
    let opinion = json!({"opinion": "disagree", "reason": "not_cg"});
    let stated = apis[1].post(&format!("/v1/records/{first}/opinions"), &opinion)?;
    ensure!(stated.status == 200, "{}", stated.text());
    crate::evidence::wait_until("the opinion", || Ok(consortium.nodes[0].held("birch")? == 6))?;

    let dir = consortium.dir().to_owned();
    consortium.nodes[0].hashpact_ok(&["audit", "fetch", "--out", "all.tar"])?;
    let all = verify(&consortium, &dir.join("ash/all.tar"))?;
    ensure!(all["holder"] == "ash" && all["logs"][0]["entries"] == 300, "{all:#}");
    ensure!(all["logs"][1]["payloads"]["present"] == 6, "{all:#}");

    for scope in ["member ash", &format!("record {first}"), "period 0 253402300799"] {
        let target = format!("/v1/audit/export?scope={}", scope.replace(' ', "+"));
        let answer = apis[1].get(&target)?;
        ensure!(answer.status == 200, "{scope}: {} {}", answer.status, answer.text());
        let file = dir.join("part.tar.zst");
        std::fs::write(&file, &answer.body)?;
        let found = verify(&consortium, &file)?;
        ensure!(found["scope"] == scope, "{found:#}");
        // The record and what birch said about it.
        if scope.starts_with("record") {
            ensure!(found["logs"][0]["entries"] == 1 && found["logs"][1]["entries"] == 1, "{found:#}");
        }
    }

    // From a stopped database, at the same heads: the same core, signed by another holder.
    consortium.nodes[1].stop()?;
    let file = dir.join("stopped.tar.zst");
    let out = file.to_str().context("a path")?;
    let told = consortium.nodes[1].command(&["export", "--out", out, "--at", "1.300.6"])?;
    let stopped = verify(&consortium, &file)?;
    ensure!(stopped["core"] == all["core"] && stopped["holder"] == "birch", "{told}\n{stopped:#}");
    let again = consortium.nodes[1].try_command(&["export", "--out", out])?;
    ensure!(again.code == Some(1) && again.stderr.contains("never overwrites"), "{again:?}");
    Ok(())
}

#[test]
fn a_broken_transfer_is_taken_up_and_wrong_questions_change_nothing() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    consortium.start()?;
    let node = &consortium.nodes[0];
    let api = Api::of(node)?;
    api.contribute(&(0..600).map(record).collect::<Vec<_>>())?;
    let whole = api.get("/v1/audit/export?format=tar&at=1.600&begun=1800000000")?;
    ensure!(whole.status == 200, "{}", whole.text());
    let bearer = api.bearer();
    // Up to the statement at the end, which names the time at which this one was written.
    let until = whole.body.len() - 2048;
    for from in [1, 512, 70_001, until] {
        let digest = hex_encode(&sha256(&[&whole.body[..from]]));
        let range = format!("bytes={from}-");
        let headers = [("Authorization", &*bearer), ("Range", &range), ("Hashpact-Beginning", &digest)];
        let rest =
            call(api.port, "GET", "/v1/audit/export?format=tar&at=1.600&begun=1800000000", &headers, b"")?;
        ensure!(rest.status == 206, "{from}: {} {}", rest.status, rest.text());
        ensure!(rest.body.len() == whole.body.len() - from, "{from}: {}", rest.body.len());
        ensure!(rest.body[..until - from] == whole.body[from..until], "{from}");
    }
    let range = |range: &str, digest: &str| {
        let headers = [("Authorization", &*bearer), ("Range", range), ("Hashpact-Beginning", digest)];
        call(api.port, "GET", "/v1/audit/export?format=tar&at=1.600&begun=1800000000", &headers, b"")
    };
    let other = range("bytes=512-", &hex_encode(&sha256(&[b"another beginning"])))?;
    ensure!(other.status == 412 && other.json()?["error"]["code"] == "other_beginning", "{}", other.text());
    let none = range("bytes=512-", "")?;
    ensure!(none.status == 400 && none.text().contains("Hashpact-Beginning"), "{}", none.text());
    let all = hex_encode(&sha256(&[b""]));
    ensure!(range("bytes=99999999-", &all)?.status == 416, "beyond the end");
    ensure!(range("bytes=x-", &all)?.status == 400 && range("bytes=0-5", &all)?.status == 200, "forms");
    for (query, status) in [
        ("scope=everything", 400),
        ("scope=member+nobody", 400),
        ("scope=period+5+5", 400),
        ("scope=record+ab", 400),
        ("format=zip", 400),
        ("at=1", 400),
        ("at=1.x", 400),
        ("at=2.600", 400),
        ("at=1.99999", 409),
        ("begun=253402300800", 400),
        ("more=1", 400),
    ] {
        let answer = api.get(&format!("/v1/audit/export?{query}"))?;
        ensure!(answer.status == status, "{query}: {} {}", answer.status, answer.text());
    }
    let nobody = call(api.port, "GET", "/v1/audit/export", &[], b"")?;
    ensure!(nobody.status == 401, "without a token");

    // A file that broke off half way, as `audit fetch` leaves it.
    let part = node.dir.join("again.tar.part");
    std::fs::write(&part, &whole.body[..100_000])?;
    std::fs::write(node.dir.join("again.tar.part.state"), "1.600\n1800000000\nall\ntrue\n")?;
    node.hashpact_ok(&["audit", "fetch", "--out", "again.tar"])?;
    ensure!(!part.exists(), "the part became the file");
    let found = verify(&consortium, &node.dir.join("again.tar"))?;
    ensure!(found["logs"][0]["entries"] == 600, "{found:#}");
    let trust = trust(&consortium)?;
    let record = some_record(&api)?;
    let told = node.hashpact_ok(&["audit", "when", &record, "--trust", &trust])?;
    ensure!(told.stdout.contains("by third parties: nothing"), "{}", told.stdout);
    node.hashpact_ok(&["audit", "report", "again.tar", "--trust", &trust, "--html", "report.html"])?;
    ensure!(std::fs::read_to_string(node.dir.join("report.html"))?.contains("Audit report"), "a report");
    Ok(())
}

/// A transfer that broke off in the annex, before a retraction was stated and cosigned: more notes are kept now.
#[test]
fn a_transfer_that_no_longer_fits_begins_again() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let node = &consortium.nodes[0];
    let api = Api::of(node)?;
    api.contribute(&(0..300).map(record).collect::<Vec<_>>())?;
    let target = "/v1/audit/export?format=tar&at=1.300.0&begun=1800000000";
    let first = api.get(target)?;
    ensure!(first.status == 200, "{}", first.text());
    let core = position(&first.body, b"annex/").context("an annex")?;
    let payloads = position(&first.body, b"annex/payloads/").context("payloads")?;

    api.contribute(&(300..310).map(record).collect::<Vec<_>>())?;
    let second = api.get(target)?;
    ensure!(second.body[..core] == first.body[..core], "the core follows from the heads");
    ensure!(second.body != first.body, "another note is kept");

    let trust = trust(&consortium)?;
    for (name, broke_off_at, says) in [("core", core, false), ("annex", payloads + 1_000, true)] {
        let (out, part) = (format!("{name}.tar"), node.dir.join(format!("{name}.tar.part")));
        std::fs::write(&part, &first.body[..broke_off_at])?;
        let asked = "1.300.0\n1800000000\nall payloads=true tlp= groups=\n";
        std::fs::write(node.dir.join(format!("{name}.tar.part.state")), asked)?;
        let told = node.hashpact_ok(&["audit", "fetch", "--out", &out])?;
        ensure!(told.stderr.contains("begins again") == says, "{name}: {}", told.stderr);
        let told = node.hashpact(&["audit", "verify", &out, "--trust", &trust, "--json"])?;
        ensure!(told.code == Some(0), "{name}: {}{}", told.stdout, told.stderr);
        let found = told.json_lines()?.pop().context("a report")?;
        // From the core on it is the bundle that was begun; begun again, it is of the newest heads.
        ensure!(found["logs"][0]["entries"] == if says { 310 } else { 300 }, "{name}: {found:#}");
    }
    Ok(())
}

/// Where some bytes first stand in others.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The id of some record.
fn some_record(api: &Api) -> Result<String> {
    let page = api.get("/v1/records?limit=1")?.ok()?;
    Ok(page["records"][0]["record"].as_str().context("an id")?.to_owned())
}
