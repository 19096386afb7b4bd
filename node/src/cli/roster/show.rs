//! `hashpact-node roster show`, `text`, `diff` and `verify`: reading rosters.

use super::draft::Draft;
use super::load_roster;
use crate::driver::now_ms;
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_core::governance::{differences, thousands};
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::digest::{Root, RosterDigest};
use hashpact_protocol::note::Note;
use hashpact_protocol::roster::{LogStatus, Member, Roster, RosterChain, SignedRoster};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Days before its expiry from which on a roster is called about to expire.
const EXPIRING_DAYS: u64 = 30;

#[derive(clap::Args)]
pub(in crate::cli) struct VerifyArguments {
    /// The roster file, with all versions.
    pub(super) file: PathBuf,
    /// Root of version 1, as it is known from another channel; 64 hex digits.
    #[arg(long)]
    pub(super) pin: Option<String>,
    /// The roster that a node holds (its data folder's `roster`): is this file older, or another history?
    #[arg(long)]
    pub(super) held: Option<PathBuf>,
}

/// The newest version, signed by enough or not.
fn newest(path: &Path) -> Result<Roster> {
    Draft::read(path)?.roster(path)
}

pub(super) fn text(path: &Path) -> Result<String> {
    String::from_utf8(newest(path)?.encode()).context("a roster is text")
}

pub(super) fn diff(path: &Path, newer: Option<&Path>) -> Result<String> {
    let (before, after) = match newer {
        Some(newer) => (newest(path)?, newest(newer)?),
        None => {
            let draft = Draft::read(path)?;
            let Some(last) = draft.before.last() else {
                bail!(
                    "{} holds version 1 alone, which differs from nothing: read it with `hashpact-node roster show`",
                    path.display()
                );
            };
            (Roster::parse(&last.body).context("the version before")?, draft.roster(path)?)
        }
    };
    let mut said = format!("version {} → {} of {}\n", before.version, after.version, after.consortium);
    let found = differences(&before, &after);
    if found.is_empty() {
        said.push_str("nothing is different\n");
    }
    for difference in found {
        writeln!(said, "{difference}")?;
    }
    Ok(said)
}

pub(super) fn verify(arguments: &VerifyArguments) -> Result<String> {
    let path = &arguments.file;
    let pin = arguments.pin.as_deref().map(Root::from_hex).transpose().context("--pin")?;
    let (chain, _) = load_roster(path, pin.as_ref())?;
    let mut said = String::new();
    for signed in chain.suffix_from(0) {
        let roster = Roster::parse(&signed.body).context("a verified version")?;
        let created = rfc3339(roster.created_s.saturating_mul(1_000));
        writeln!(said, "version {} of {created}, signed by {}", roster.version, signers(signed, &roster)?)?;
    }
    if let Some(held) = &arguments.held {
        writeln!(said, "{}", compare(&chain, held, path)?)?;
    }
    writeln!(said, "root {}", chain.root())?;
    if pin.is_none() {
        let first = RosterChain::walk(chain.suffix_from(0).get(..1).unwrap_or_default())?;
        writeln!(said, "version 1 has root {}: compare it with the pin that you know", first.root())?;
    }
    writeln!(said, "{}", expiry(chain.current(), now_ms() / 1_000))?;
    Ok(said)
}

/// Names of the governance keys that signed.
fn signers(signed: &SignedRoster, roster: &Roster) -> Result<String> {
    let prefix = format!("{}/governance/", roster.consortium);
    let note = Note::parse(&signed.note)?;
    let names = note.signatures.iter().filter_map(|signature| signature.name.strip_prefix(&prefix));
    Ok(names.collect::<Vec<_>>().join(", "))
}

/// How a file stands to what a node holds: a rollback and a rival are errors.
fn compare(chain: &RosterChain, held_path: &Path, path: &Path) -> Result<String> {
    let (held, _) = load_roster(held_path, None)?;
    for (ours, theirs) in held.suffix_from(0).iter().zip(chain.suffix_from(0)) {
        if ours.body != theirs.body {
            let version = Roster::parse(&ours.body).context("a verified version")?.version;
            bail!(
                "{} and {} hold two versions {version}, with digests {} and {}: governance signed two. The node keeps its own; \
                 governance decides which one stays, and its successor rejects the other with `roster propose --reject FILE`",
                held_path.display(),
                path.display(),
                RosterDigest::of_body(&ours.body),
                RosterDigest::of_body(&theirs.body)
            );
        }
    }
    ensure!(
        chain.version() >= held.version(),
        "{} ends at version {} and {} holds version {} already: whoever sent it is behind, or holds newer versions back",
        path.display(),
        chain.version(),
        held_path.display(),
        held.version()
    );
    Ok(match chain.version() - held.version() {
        0 => format!("the same as {}", held_path.display()),
        newer => format!("{newer} newer than {}", held_path.display()),
    })
}

fn expiry(roster: &Roster, now_s: u64) -> String {
    let at = rfc3339(roster.expires_s.saturating_mul(1_000));
    match roster.expires_s.checked_sub(now_s).filter(|left| *left > 0) {
        None => format!(
            "EXPIRED at {at}: nobody joins, look-ups and retractions go on. Renew it with `hashpact-node roster propose`"
        ),
        Some(left) if left < EXPIRING_DAYS * 86_400 => format!(
            "expires at {at}, in {} days: renew it with `hashpact-node roster propose`",
            left / 86_400
        ),
        Some(_) => format!("expires at {at}"),
    }
}

pub(super) fn show(path: &Path) -> Result<String> {
    let draft = Draft::read(path)?;
    let roster = draft.roster(path)?;
    let mut said = print_roster(&roster)?;
    writeln!(said, "digest      {}", draft.digest())?;
    if draft.signatures.is_empty() {
        writeln!(said, "NOT COMPLETE: 0 of {} signatures", roster.threshold)?;
        return Ok(said);
    }
    for signature in &draft.signatures {
        writeln!(said, "signature   {}", signature.name)?;
    }
    let chain = draft.chain(path)?;
    match draft.judge(chain.as_ref()) {
        Ok(chain) => {
            writeln!(said, "root        {}", chain.root())?;
            writeln!(said, "complete: enough governance keys signed")?;
        }
        Err(error) => writeln!(said, "NOT COMPLETE: {error}")?,
    }
    Ok(said)
}

fn print_roster(roster: &Roster) -> Result<String> {
    let mut said = String::new();
    writeln!(said, "consortium  {}", roster.consortium)?;
    writeln!(said, "version     {}", roster.version)?;
    writeln!(said, "created     {}", rfc3339(roster.created_s.saturating_mul(1_000)))?;
    writeln!(said, "expires     {}", rfc3339(roster.expires_s.saturating_mul(1_000)))?;
    for rival in &roster.rejected {
        writeln!(said, "rejects     version {} with digest {}", rival.version, rival.digest)?;
    }
    writeln!(said, "governance  {} of {} keys must sign", roster.threshold, roster.governance.len())?;
    for key in &roster.governance {
        writeln!(said, "            {:<12} {}", key.name, key.key)?;
    }
    for group in &roster.groups {
        let part = group.within.map_or(String::new(), |within| format!(", a part of group {within}"));
        writeln!(said, "group       {} {}{part}", group.n, group.word)?;
    }
    for feature in &roster.features {
        writeln!(said, "feature     {} from version {} on", feature.word, feature.from)?;
    }
    for word in &roster.hash_sets {
        writeln!(said, "hash set    {word}")?;
    }
    for member in &roster.members {
        print_member(&mut said, roster, member)?;
    }
    print_rights(&mut said, roster)?;
    Ok(said)
}

fn print_member(said: &mut String, roster: &Roster, member: &Member) -> Result<()> {
    let roles: Vec<&str> = member.roles.iter().map(|role| role.name()).collect();
    let (id, name, status) = (&member.id, &member.name, member.status.name());
    let lapse = if member.records_lapse { ", its records lapse" } else { "" };
    writeln!(said, "member      {id:<12} {name} ({status}{lapse}) {}", roles.join(", "))?;
    let groups = member.groups.iter().filter_map(|n| Some(roster.group(*n)?.word.as_str()));
    let groups: Vec<&str> = groups.collect();
    if !groups.is_empty() {
        writeln!(said, "            in {}", groups.join(", "))?;
    }
    for log in &member.logs {
        let state = match log.status {
            LogStatus::Open => "open".to_owned(),
            LogStatus::Spare => "spare".to_owned(),
            LogStatus::Closed { size, .. } => format!("closed at {}", thousands(size)),
        };
        writeln!(said, "            log {} {state} key {}", log.n, log.key)?;
    }
    Ok(())
}

fn print_rights(said: &mut String, roster: &Roster) -> Result<()> {
    for witness in &roster.witnesses {
        writeln!(said, "witness     {witness}")?;
    }
    for term in &roster.terms.erasers {
        writeln!(said, "eraser      {term}")?;
    }
    for seat in &roster.terms.panel {
        writeln!(said, "panellist   {}, where {} must agree", seat.term, seat.needed)?;
    }
    for term in &roster.terms.declarers {
        writeln!(said, "declarer    {term}")?;
    }
    for steward in &roster.terms.stewards {
        writeln!(said, "steward     {} of {}", steward.term, steward.of)?;
    }
    Ok(())
}
