//! `hashpact audit fetch`: a bundle from the node, resumable.
//!
//! The plain archive is asked for, since only that can be taken up again. What has arrived lies beside the file,
//! with the heads and the moment that make the node write the same bundle again. The node sends the rest only if that bundle
//! begins with exactly what has arrived; if a note, a payload or an erasure changed it, the transfer begins
//! again. Nothing is judged here.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hashpact_client::{Arrived, AuditFetch, Client, ClientError, OTHER_BEGINNING};
use hashpact_protocol::bundle::Scope;
use hashpact_protocol::record::Tlp;

use super::{Outcome, Output};
use crate::cli::labels::words;
use crate::cli::output::grouped;
use crate::cli::progress;

/// Arguments of `audit fetch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the bundle to this file; run the same command again to take up a broken transfer
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to export: "all", "member ID", "period FROM TO" (seconds since 1970 UTC) or "record ID"
    #[arg(long, default_value = "all", value_parser = parse_scope)]
    scope: Scope,
    /// Mark all payloads as withheld, so that no signal is in the file
    #[arg(long)]
    no_payloads: bool,
    /// The strictest marking that payloads in the file may have; left out: amber+strict
    #[arg(long, value_name = "WORD", value_parser = words::<Tlp>(), conflicts_with = "no_payloads")]
    tlp: Option<String>,
    /// A group whose payloads may be in the file; may be given more than once
    #[arg(long = "group", value_name = "NAME", conflicts_with = "no_payloads")]
    groups: Vec<String>,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text)
        .ok_or_else(|| "must be \"all\", \"member ID\", \"period FROM TO\" or \"record ID\"".to_owned())
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let shown = || args.out.display().to_string();
    ensure!(!args.out.exists(), "{} exists; a bundle never overwrites a file", shown());
    let (part, state) = (beside(&args.out, ".part"), beside(&args.out, ".part.state"));
    let asked = AuditFetch {
        scope: args.scope.clone(),
        payloads: !args.no_payloads,
        tlp: args.tlp.clone(),
        groups: args.groups.clone(),
        resume: None,
    };
    let mut asked = taken_up(asked, &part, &state)?;
    let mut file = OpenOptions::new().create(true).append(true).open(&part).with_context(shown)?;
    let mut had = if asked.resume.is_some() { read(&part).with_context(shown)? } else { Arrived::default() };
    if had.len == 0 {
        file.set_len(0).with_context(shown)?;
    }
    let bar = progress::bar(output, "fetching", None, progress::Unit::Bytes);
    for attempt in 1.. {
        let mut answer = match client.audit_export(&asked, &had).await {
            Ok(answer) => answer,
            Err(error) if had.len > 0 && begins_otherwise(&error) => {
                output.warn("the bundle has changed since; the transfer begins again");
                asked.resume = None;
                had = Arrived::default();
                file.set_len(0).with_context(shown)?;
                continue;
            }
            Err(error) if attempt >= 3 || had.len == 0 => return Err(error.into()),
            Err(_) => continue,
        };
        let text = format!("{}\n{}\n{}\n", answer.heads, answer.begun_s, wanted(&asked));
        fs::write(&state, text).with_context(shown)?;
        asked.resume = Some((answer.heads.clone(), answer.begun_s));
        let broke_off = loop {
            match answer.next().await {
                Ok(Some(bytes)) => {
                    file.write_all(&bytes).with_context(shown)?;
                    had.take(&bytes);
                    bar.set_position(had.len);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match broke_off {
            None => break,
            Some(error) if attempt >= 3 => {
                output.warn("the transfer broke off; run the same command again to go on");
                return Err(error.into());
            }
            Some(_) => {}
        }
    }
    bar.finish_and_clear();
    file.sync_all().with_context(shown)?;
    fs::rename(&part, &args.out).with_context(shown)?;
    let _ = fs::remove_file(&state);
    output.note(&format!(
        "{}: {} bytes; now: hashpact audit verify {} --trust ROOT",
        shown(),
        grouped(had.len),
        shown()
    ));
    Ok(Outcome::Done)
}

/// Whether the node says that what has arrived is not how the bundle begins now.
fn begins_otherwise(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { code, .. } if code == OTHER_BEGINNING || code == "range")
}

/// What an earlier run received.
fn read(part: &Path) -> std::io::Result<Arrived> {
    let (mut file, mut bytes, mut arrived) = (File::open(part)?, vec![0; 1 << 20], Arrived::default());
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(arrived),
            count => arrived.take(bytes.get(..count).unwrap_or_default()),
        }
    }
}

/// What an earlier run left, if it asked for the same.
fn taken_up(mut asked: AuditFetch, part: &Path, state: &Path) -> anyhow::Result<AuditFetch> {
    let Ok(text) = fs::read_to_string(state) else { return Ok(asked) };
    let lines: Vec<&str> = text.lines().collect();
    if let [heads, begun, what] = lines.as_slice()
        && *what == wanted(&asked)
        && part.exists()
    {
        let begun_s = begun.parse().with_context(|| state.display().to_string())?;
        asked.resume = Some(((*heads).to_owned(), begun_s));
    }
    Ok(asked)
}

/// What is asked for, on one line.
fn wanted(asked: &AuditFetch) -> String {
    let AuditFetch { scope, payloads, tlp, groups, .. } = asked;
    format!(
        "{} payloads={payloads} tlp={} groups={}",
        scope.text(),
        tlp.as_deref().unwrap_or(""),
        groups.join(",")
    )
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
