//! A client that knows nothing of Hashpact but C2SP tlog-tiles follows a log over HTTP.
//!
//! Paths, tiles, bundles and hashing are written out here in plain code on purpose: if they agreed
//! with the node only through a shared library, both could be wrong.

use crate::evidence::wait_until;
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::sha256;
use hashpact_tests::Consortium;

type Hash = [u8; 32];

/// What a follower knows of a log after one round.
#[derive(Debug, PartialEq, Eq)]
struct Followed {
    size: u64,
    leaves: Vec<Hash>,
}

#[test]
fn a_tlog_tiles_client_follows_a_log_across_tile_boundaries() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let missing = apis[0].get("/logs/ash/1/checkpoint")?;
    ensure!(missing.status == 404, "an empty log shows no checkpoint: {}", missing.text());
    let mut known = Vec::new();
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 700, 770] {
        let records: Vec<_> = (known.len() as u64..size).map(record).collect();
        apis[0].contribute(&records)?;
        for api in &apis {
            wait_until("the checkpoint to grow", || Ok(checkpoint(api)?.0 == size))?;
            let followed = follow(api).with_context(|| format!("size {size} at port {}", api.port))?;
            ensure!(followed.size == size, "{} entries instead of {size}", followed.size);
            ensure!(
                followed.leaves.starts_with(&known),
                "the log changed what it had shown at size {}",
                known.len()
            );
            if api.port == apis[1].port {
                known = followed.leaves;
            }
        }
    }
    for (path, status) in [
        ("0/003.p/3", 404),
        ("0/003", 404),
        ("0/004.p/1", 404),
        ("1/000.p/4", 404),
        ("2/000.p/1", 404),
        ("entries/003.p/3", 404),
        ("entries/003", 404),
        ("0/x001/000", 404),
        ("0/3.p/1", 400),
        ("0/003.p/256", 400),
        ("0/003.p/0", 400),
        ("0/003.p/02", 400),
        ("64/000", 400),
        ("00/000", 400),
        ("entries/0/000", 400),
        ("0/../0/000", 400),
        ("", 400),
    ] {
        let answer = apis[0].get(&format!("/logs/ash/1/tile/{path}"))?;
        ensure!(
            answer.status == status || (path.is_empty() && answer.status == 404),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    Ok(())
}

/// Size and root of the newest checkpoint.
fn checkpoint(api: &Api) -> Result<(u64, String)> {
    let answer = api.get("/logs/ash/1/checkpoint")?;
    ensure!(answer.status == 200, "{}", answer.text());
    let text = answer.text();
    let mut lines = text.lines();
    let origin = lines.next().context("origin")?;
    ensure!(origin.ends_with("/ash/1"), "origin {origin}");
    let size = lines.next().context("size")?.parse()?;
    let root = lines.next().context("root")?.to_owned();
    ensure!(lines.next() == Some(""), "a checkpoint's text ends with an empty line");
    ensure!(
        lines.next().context("signature")?.starts_with(&format!("\u{2014} {origin} ")),
        "signed under its origin"
    );
    Ok((size, root))
}

/// Reads checkpoint, hash tiles and entry bundles; checks all against one another.
fn follow(api: &Api) -> Result<Followed> {
    let (size, signed) = checkpoint(api)?;
    let mut leaves = Vec::new();
    for index in 0..size.div_ceil(256) {
        let bundle = tile(api, "entries", index, size)?;
        leaves.extend(entries(&bundle)?.into_iter().map(|entry| sha256(&[&[0], entry])));
    }
    ensure!(leaves.len() as u64 == size, "{} of {size} entries in the bundles", leaves.len());
    ensure!(base64(&root(&leaves)) == signed, "bundles do not hash to the signed root");
    let mut level = leaves.clone();
    let mut number = 0;
    while !level.is_empty() {
        for (index, expected) in level.chunks(256).enumerate() {
            let bytes = tile(api, &number.to_string(), index as u64, level.len() as u64)?;
            ensure!(bytes == expected.concat(), "hash tile {number}/{index}");
        }
        level = level.chunks_exact(256).map(root).collect();
        number += 1;
    }
    Ok(Followed { size, leaves })
}

/// One tile of a level that has `width` hashes, or one bundle of `width` entries.
fn tile(api: &Api, level: &str, index: u64, width: u64) -> Result<Vec<u8>> {
    let part = (width - index * 256).min(256);
    let partial = if part < 256 { format!(".p/{part}") } else { String::new() };
    let path = format!("/logs/ash/1/tile/{level}/{index:03}{partial}");
    let answer = api.get(&path)?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
    Ok(answer.body)
}

/// Entries of a bundle: each a length of two bytes, big-endian, then that many bytes.
fn entries(mut rest: &[u8]) -> Result<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        entries.push(after.get(..length).context("an entry broke off")?);
        rest = &after[length..];
    }
    ensure!(rest.is_empty(), "a byte too many in the bundle");
    Ok(entries)
}

/// RFC 6962: the root of a tree over these leaf hashes.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        more => {
            let split = 1 << (more.len() - 1).ilog2();
            sha256(&[&[1], &root(&more[..split]), &root(&more[split..])])
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = usize::try_from(word >> (18 - 6 * digit) & 63).unwrap_or(0);
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[value]) });
        }
    }
    text
}
