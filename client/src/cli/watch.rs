//! `hashpact watch`: what changes at the node, one line a change, over reconnects and restarts.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hashpact_client::{Client, Follower};
use hashpact_protocol::api::{ChangeCause, ChangeJson, OutcomeTurn};

use super::exit::Outcome;
use super::output::{Output, printable};

/// How long the node is asked to wait, in seconds.
const WAIT_S: u32 = 30;
/// Pause before a node that cannot be reached is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// No state file is longer, in bytes.
const STATE_MAX_BYTES: u64 = 256;
/// Digits of a record id that are shown to people.
const ID_DIGITS: usize = 16;

/// Options of `watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Begin behind this cursor; `oldest`: with whatever the node still keeps; without it, where the state file says, or
    /// from now on
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Keep in this file how far everything was printed (and, with --exec, dealt with)
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Run this program for each change, with the change as JSON on its standard input; if it fails, end, and begin with the
    /// same change next time
    #[arg(long, value_name = "PROGRAM")]
    exec: Option<PathBuf>,
    /// Print what there is and end, instead of waiting for more
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let kept = args.state.as_deref().map(read_state).transpose()?.flatten();
    let mut follower = Follower::new(client.clone(), args.after.clone().or(kept));
    let mut is_away = false;
    loop {
        let wait_s = if args.once { 0 } else { WAIT_S };
        let changes = match follower.next(wait_s).await {
            Ok(changes) => changes,
            Err(error) if error.may_pass() && !args.once => {
                if !std::mem::replace(&mut is_away, true) {
                    output.note(&format!("hashpact: {error}; trying on"));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if std::mem::take(&mut is_away) {
            output.note("hashpact: the node answers again");
        }
        let is_empty = changes.is_empty();
        for change in changes {
            show(&change, output);
            let done = args.exec.as_deref().map(|program| execute(program, &change)).transpose();
            if let Err(error) = done {
                keep(args, &follower)?;
                output.warn(&format!("hashpact: {error:#}; this change comes again next time"));
                return Ok(Outcome::SomeFailed);
            }
            follower.move_on(&change.cursor);
            if args.exec.is_some() {
                keep(args, &follower)?;
            }
        }
        keep(args, &follower)?;
        if args.once && is_empty {
            return Ok(Outcome::Done);
        }
    }
}

fn show(change: &ChangeJson, output: Output) {
    if output.json {
        output.json_line(change);
    } else {
        output.line(&printable(&sentence(change)));
    }
}

fn keep(args: &Args, follower: &Follower) -> anyhow::Result<()> {
    match (&args.state, follower.cursor()) {
        (Some(path), Some(cursor)) => {
            write_state(path, cursor).with_context(|| format!("state file {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn read_state(path: &Path) -> anyhow::Result<Option<String>> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) => ensure!(
            metadata.is_file() && metadata.len() <= STATE_MAX_BYTES,
            "state file {shown}: expected a small regular file"
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("state file {shown}")),
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("state file {shown}"))?;
    ensure!(text.trim().lines().count() == 1, "state file {shown}: expected one line with a cursor");
    Ok(Some(text.trim().to_owned()))
}

/// Written beside it, synced, renamed: a crash leaves the old one or the new one.
fn write_state(path: &Path, cursor: &str) -> anyhow::Result<()> {
    if read_state(path).is_ok_and(|held| held.as_deref() == Some(cursor)) {
        return Ok(());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let mut file = std::fs::File::create(&beside)?;
    writeln!(file, "{cursor}")?;
    file.sync_all()?;
    Ok(std::fs::rename(&beside, path)?)
}

fn execute(program: &Path, change: &ChangeJson) -> anyhow::Result<()> {
    let shown = program.display();
    let mut child =
        Command::new(program).stdin(Stdio::piped()).spawn().with_context(|| format!("cannot run {shown}"))?;
    let line = serde_json::to_string(change)? + "\n";
    // A program that does not read its input may still succeed.
    let _ = child.stdin.take().map(|mut input| input.write_all(line.as_bytes()));
    let status = child.wait().with_context(|| format!("cannot wait for {shown}"))?;
    ensure!(status.success(), "{shown} failed on {}: {status}", change.cursor);
    Ok(())
}

/// One change for people: when, who, which, what happened, what it means here, what to do.
fn sentence(change: &ChangeJson) -> String {
    let at = change.time.get(..19).unwrap_or_default().replace('T', " ");
    let cause = change.cause.as_ref().map(because);
    let Some(record) = change.record.as_deref().filter(|_| change.kind == ChangeJson::RECORD) else {
        let why = cause.unwrap_or_else(|| "unknown cause".to_owned());
        let sentence = format!("{at} EVERYTHING ({why}): match again what you acted upon, and what you host");
        return sentence.trim_start().to_owned();
    };
    let record = record.get(..ID_DIGITS).unwrap_or(record);
    let member = change.member.as_deref().unwrap_or("?");
    let status = match &change.status {
        None => String::new(),
        Some(turn) if turn.before.as_deref() == Some(&turn.after) => turn.after.clone(),
        Some(turn) => format!("{} → {}", turn.before.as_deref().unwrap_or("new"), turn.after),
    };
    let why = cause.or_else(|| change.reason.clone()).map_or_else(String::new, |why| format!(" ({why})"));
    let outcome = change.outcome.as_ref().map_or_else(String::new, |turn| format!(" · {}", meaning(turn)));
    format!("{at} {member} {record}… {status}{why}{outcome}")
}

fn because(cause: &ChangeCause) -> String {
    let name = cause.name.as_deref().unwrap_or_default();
    let version = cause.version.map_or_else(String::new, |version| format!(" version {version}"));
    match cause.what.as_str() {
        "list" => format!("list {name}{version}"),
        "list_deleted" => format!("list {name} deleted"),
        "mute" => format!("{name} muted"),
        "unmute" => format!("{name} no longer muted"),
        "negatives" => format!("negatives {name}"),
        "flood" => format!("flood {name}").trim_end().to_owned(),
        "record" => format!("because of record {}…", name.get(..ID_DIGITS).unwrap_or(name)),
        "roster" => "the roster".to_owned(),
        "restart" => "what decides changed while the node was down".to_owned(),
        "overflow" => "more changed at once than could be noted".to_owned(),
        "cursor_gone" => "changes were missed".to_owned(),
        other => other.to_owned(),
    }
}

fn meaning(turn: &OutcomeTurn) -> String {
    let word = |outcome: &Option<String>| outcome.as_deref().unwrap_or("none").to_owned();
    let rank = |outcome: &Option<String>| match outcome.as_deref() {
        None => 0,
        Some("log") => 1,
        Some("review") => 2,
        Some(_) => 3,
    };
    let (before, after) = (rank(&turn.before), rank(&turn.after));
    let advice = match () {
        () if after == before => "",
        () if after > before => ": act",
        () if after == 0 => ": un-action",
        () => ": re-check",
    };
    if before == after {
        return word(&turn.after);
    }
    format!("{} → {}{advice}", word(&turn.before), word(&turn.after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::api::StatusTurn;

    fn change() -> ChangeJson {
        ChangeJson {
            cursor: "0000000000000001-7".to_owned(),
            time: "2026-11-30T21:04:05.678Z".to_owned(),
            kind: ChangeJson::RECORD.to_owned(),
            record: Some("3f2a91c0d4e5b697".repeat(4)),
            member: Some("acme".to_owned()),
            status: Some(StatusTurn { before: Some("active".to_owned()), after: "retracted".to_owned() }),
            reason: Some("retracted by acme on 2026-11-30T21:04:05.000Z: error".to_owned()),
            outcome: Some(OutcomeTurn { before: Some("block".to_owned()), ..OutcomeTurn::default() }),
            ..ChangeJson::default()
        }
    }

    #[test]
    fn one_line_says_what_to_do() {
        assert_eq!(
            sentence(&change()),
            "2026-11-30 21:04:05 acme 3f2a91c0d4e5b697… active → retracted (retracted by acme on \
             2026-11-30T21:04:05.000Z: error) · block → none: un-action"
        );
        let turn = |before: Option<&str>, after: Option<&str>| OutcomeTurn {
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            ..OutcomeTurn::default()
        };
        for (before, after, expected) in [
            (None, Some("block"), "none → block: act"),
            (Some("block"), Some("review"), "block → review: re-check"),
            (Some("log"), None, "log → none: un-action"),
            (Some("block"), Some("block"), "block"),
        ] {
            assert_eq!(meaning(&turn(before, after)), expected);
        }
        let new = ChangeJson {
            status: Some(StatusTurn { before: None, after: "active".to_owned() }),
            reason: None,
            outcome: Some(turn(None, Some("review"))),
            ..change()
        };
        assert!(sentence(&new).ends_with("new → active · none → review: act"), "{}", sentence(&new));
        let list = ChangeJson {
            status: Some(StatusTurn { before: Some("active".to_owned()), after: "active".to_owned() }),
            cause: Some(ChangeCause {
                what: "list".to_owned(),
                name: Some("confirmed".to_owned()),
                version: Some(3),
            }),
            ..change()
        };
        assert!(
            sentence(&list).contains("… active (list confirmed version 3) · block"),
            "{}",
            sentence(&list)
        );
    }

    #[test]
    fn a_call_for_a_snapshot_cannot_be_overlooked() {
        let cause = ChangeCause { what: "cursor_gone".to_owned(), name: None, version: None };
        let missed =
            ChangeJson { kind: ChangeJson::SNAPSHOT.to_owned(), cause: Some(cause), ..ChangeJson::default() };
        assert_eq!(
            sentence(&missed),
            "EVERYTHING (changes were missed): match again what you acted upon, and what you host"
        );
    }

    #[test]
    fn the_state_file_holds_one_cursor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(read_state(&path).unwrap(), None);
        write_state(&path, "a-1").unwrap();
        write_state(&path, "a-2").unwrap();
        assert_eq!(read_state(&path).unwrap().as_deref(), Some("a-2"));
        std::fs::write(&path, "a-1\na-2\n").unwrap();
        assert!(read_state(&path).is_err());
        std::fs::write(&path, "x".repeat(300)).unwrap();
        assert!(read_state(&path).is_err());
        assert!(read_state(dir.path()).is_err());
    }
}
