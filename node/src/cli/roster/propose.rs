//! `hashpact-node roster propose`: a draft of the next version.

use super::create::member;
use super::draft::{ensure_new, told, write_new};
use super::load_roster;
use crate::driver::now_ms;
use anyhow::{Context as _, Result, ensure};
use hashpact_core::governance::{Edit, apply, differences, successor};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{Root, RosterDigest};
use hashpact_protocol::note::Note;
use hashpact_protocol::roster::{MemberId, Roster, RosterChain, SignedRoster};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(in crate::cli) struct ProposeArguments {
    /// The signed roster in force, with all versions.
    #[arg(long)]
    pub(super) roster: PathBuf,
    /// The new file: all versions and the draft.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// A text made by `roster text` and changed by hand. Its version, predecessor and times are filled in.
    #[arg(long)]
    pub(super) text: Option<PathBuf>,
    /// Days until the new version expires.
    #[arg(long, default_value_t = 365)]
    pub(super) valid_days: u64,
    #[command(flatten)]
    pub(super) consortium: ConsortiumEdits,
    #[command(flatten)]
    pub(super) members: MemberEdits,
    #[command(flatten)]
    pub(super) terms: TermEdits,
}

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Changes of the consortium")]
pub(in crate::cli) struct ConsortiumEdits {
    /// Add a governance key, or replace that of this name: NAME=PUBLIC_KEY.
    #[arg(long, value_name = "NAME=KEY")]
    pub(super) governance: Vec<String>,
    /// Take a governance key out, such as a lost one.
    #[arg(long, value_name = "NAME")]
    pub(super) no_governance: Vec<String>,
    /// How many governance keys must sign; more than half of them.
    #[arg(long)]
    pub(super) threshold: Option<String>,
    /// Add a label taxonomy, such as cg-taxonomy/2.
    #[arg(long)]
    pub(super) taxonomy: Vec<String>,
    /// Take a label taxonomy out.
    #[arg(long, value_name = "TAXONOMY")]
    pub(super) no_taxonomy: Vec<String>,
    /// Register a hash set.
    #[arg(long, value_name = "WORD")]
    pub(super) hash_set: Vec<String>,
    /// Take a hash set out.
    #[arg(long, value_name = "WORD")]
    pub(super) no_hash_set: Vec<String>,
    /// Use a feature from this version on, or from a later one: WORD[@VERSION].
    #[arg(long, value_name = "WORD[@VERSION]")]
    pub(super) feature: Vec<String>,
    /// Make a group of members, perhaps as a part of another group: WORD[:WIDER_GROUP]. It stays for ever.
    #[arg(long, value_name = "WORD[:GROUP]")]
    pub(super) group: Vec<String>,
    /// Seconds until payloads of retracted and expired records are destroyed.
    #[arg(long, value_name = "SECONDS")]
    pub(super) retention_s: Option<String>,
    /// Seconds that an erasure waits before it destroys.
    #[arg(long, value_name = "SECONDS")]
    pub(super) hold_s: Option<String>,
    /// Reject a rival of a version held: the file with the rival as its newest version.
    #[arg(long, value_name = "FILE")]
    pub(super) reject: Vec<PathBuf>,
}

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Changes of members")]
pub(in crate::cli) struct MemberEdits {
    /// A member joins, by its join file: FILE[,name=TEXT][,role=ROLE]….
    #[arg(long, value_name = "JOIN_FILE")]
    pub(super) join: Vec<String>,
    /// A member leaves; say where its open log ends with --checkpoint or --close.
    #[arg(long, value_name = "MEMBER")]
    pub(super) leave: Vec<String>,
    /// What a member who left had stated counts no more.
    #[arg(long, value_name = "MEMBER")]
    pub(super) records_lapse: Vec<String>,
    /// What a member who left had stated counts again.
    #[arg(long, value_name = "MEMBER")]
    pub(super) records_stand: Vec<String>,
    /// A member's display name.
    #[arg(long, value_name = "MEMBER=TEXT")]
    pub(super) name: Vec<String>,
    /// A member takes a role on: contributor, hotline, observer or auditor.
    #[arg(long, value_name = "MEMBER=ROLE")]
    pub(super) role: Vec<String>,
    /// A member lays a role down.
    #[arg(long, value_name = "MEMBER=ROLE")]
    pub(super) no_role: Vec<String>,
    /// A member comes into a group and those around it.
    #[arg(long, value_name = "MEMBER=GROUP")]
    pub(super) in_group: Vec<String>,
    /// A member goes out of a group.
    #[arg(long, value_name = "MEMBER=GROUP")]
    pub(super) out_of_group: Vec<String>,
    /// Another card key; node cards of the old one end at once.
    #[arg(long, value_name = "MEMBER=KEY")]
    pub(super) card_key: Vec<String>,
    /// Another cosigner key.
    #[arg(long, value_name = "MEMBER=KEY")]
    pub(super) cosigner_key: Vec<String>,
    /// From when on a member may have payloads, seconds since 1970; 0 for all.
    #[arg(long, value_name = "MEMBER=SECONDS")]
    pub(super) history_s: Vec<String>,
    /// Entries a day.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(super) quota: Vec<String>,
    /// Priority entries a day.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(super) priority: Vec<String>,
    /// Version of the agreement that a member signed.
    #[arg(long, value_name = "MEMBER=NUMBER")]
    pub(super) agreement: Vec<String>,
    /// A member's open log ends at its newest checkpoint, in files as members hold it; the largest counts.
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Vec<PathBuf>,
    /// A member's open log ends here; what lies beyond is disowned.
    #[arg(long, value_name = "MEMBER=SIZE:ROOT")]
    pub(super) close: Vec<String>,
    /// Authorise a member's next log in advance.
    #[arg(long, value_name = "MEMBER=KEY")]
    pub(super) spare: Vec<String>,
    /// Open a member's first spare log.
    #[arg(long, value_name = "MEMBER")]
    pub(super) open_spare: Vec<String>,
    /// A member becomes a witness.
    #[arg(long, value_name = "MEMBER")]
    pub(super) witness: Vec<String>,
    /// A member is a witness no longer.
    #[arg(long, value_name = "MEMBER")]
    pub(super) no_witness: Vec<String>,
}

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Rights, which begin and end at entries of a member's log")]
pub(in crate::cli) struct TermEdits {
    /// The whole review panel: how many must agree, and who sits from which entry on.
    #[arg(long, value_name = "K=MEMBER@N:INDEX,…")]
    pub(super) panel: Option<String>,
    /// A panellist leaves the panel.
    #[arg(long, value_name = "MEMBER@N:INDEX")]
    pub(super) end_panellist: Vec<String>,
    /// A member becomes an erasure authority; without a place, from its first entry on.
    #[arg(long, value_name = "MEMBER[@N:INDEX]")]
    pub(super) eraser: Vec<String>,
    /// It is one no longer, from this entry on.
    #[arg(long, value_name = "MEMBER@N:INDEX")]
    pub(super) end_eraser: Vec<String>,
    /// A member may declare and close incidents.
    #[arg(long, value_name = "MEMBER[@N:INDEX]")]
    pub(super) declarer: Vec<String>,
    /// It may no longer, from this entry on.
    #[arg(long, value_name = "MEMBER@N:INDEX")]
    pub(super) end_declarer: Vec<String>,
    /// A member may retract what another one, who left, had stated.
    #[arg(long, value_name = "LEAVER=MEMBER[@N:INDEX]")]
    pub(super) steward: Vec<String>,
    /// It may no longer, from this entry on.
    #[arg(long, value_name = "LEAVER=MEMBER@N:INDEX")]
    pub(super) end_steward: Vec<String>,
}

pub(super) fn propose(arguments: &ProposeArguments) -> Result<String> {
    ensure_new(&arguments.out)?;
    let (chain, _) = load_roster(&arguments.roster, None)?;
    let mut next = start(&chain, arguments)?;
    for edit in edits(&chain, arguments)? {
        apply(&mut next, edit)?;
    }
    chain.check_next(&next).context("no node would accept this version")?;
    write_new(&arguments.out, Some(&chain), &next)?;
    let mut said = format!("drafted version {} of {}\n", next.version, next.consortium);
    for difference in differences(chain.current(), &next) {
        writeln!(said, "{difference}")?;
    }
    said.push_str(&told(&next));
    Ok(said)
}

/// The next version before any edit: the newest one, or the text that was made from it.
fn start(chain: &RosterChain, arguments: &ProposeArguments) -> Result<Roster> {
    let held = chain.current();
    let digest = RosterDigest::of_body(&held.encode());
    let valid_s = arguments.valid_days.saturating_mul(86_400);
    let next = successor(held, digest, now_ms() / 1_000, valid_s);
    let Some(path) = &arguments.text else { return Ok(next) };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let edited = Roster::parse(&text).with_context(|| path.display().to_string())?;
    ensure!(
        edited.version == held.version,
        "{} was made from version {}, and version {} is in force: make it again with `hashpact-node roster text`",
        path.display(),
        edited.version,
        held.version
    );
    let Roster { version, previous, created_s, expires_s, .. } = next;
    let rejected = edited.rejected.iter().filter(|rival| !held.rejected.contains(rival)).copied().collect();
    Ok(Roster { version, previous, created_s, expires_s, rejected, ..edited })
}

/// All edits, in an order in which one can build on another.
fn edits(chain: &RosterChain, arguments: &ProposeArguments) -> Result<Vec<Edit>> {
    let (of_all, of_member, of_term) = (&arguments.consortium, &arguments.members, &arguments.terms);
    let mut edits = parse(&[
        ("governance", &of_all.governance),
        ("no-governance", &of_all.no_governance),
        ("threshold", &list(of_all.threshold.as_ref())),
        ("taxonomy", &of_all.taxonomy),
        ("no-taxonomy", &of_all.no_taxonomy),
        ("hash-set", &of_all.hash_set),
        ("no-hash-set", &of_all.no_hash_set),
        ("feature", &of_all.feature),
        ("group", &of_all.group),
        ("retention-s", &list(of_all.retention_s.as_ref())),
        ("hold-s", &list(of_all.hold_s.as_ref())),
    ])?;
    for file in &of_all.reject {
        edits.push(rejection(chain, file)?);
    }
    for file in &of_member.join {
        edits.push(Edit::Join(Box::new(member(file)?)));
    }
    edits.extend(parse(&[
        ("name", &of_member.name),
        ("role", &of_member.role),
        ("no-role", &of_member.no_role),
        ("out-of-group", &of_member.out_of_group),
        ("in-group", &of_member.in_group),
        ("card-key", &of_member.card_key),
        ("cosigner-key", &of_member.cosigner_key),
        ("history-s", &of_member.history_s),
        ("quota", &of_member.quota),
        ("priority", &of_member.priority),
        ("agreement", &of_member.agreement),
        ("spare", &of_member.spare),
        ("close", &of_member.close),
    ])?);
    edits.extend(closures(chain.current(), &of_member.checkpoint)?);
    edits.extend(parse(&[
        ("open-spare", &of_member.open_spare),
        ("end-panellist", &of_term.end_panellist),
        ("end-eraser", &of_term.end_eraser),
        ("end-declarer", &of_term.end_declarer),
        ("end-steward", &of_term.end_steward),
        ("leave", &of_member.leave),
        ("records-lapse", &of_member.records_lapse),
        ("records-stand", &of_member.records_stand),
        ("panel", &list(of_term.panel.as_ref())),
        ("eraser", &of_term.eraser),
        ("declarer", &of_term.declarer),
        ("steward", &of_term.steward),
        ("witness", &of_member.witness),
        ("no-witness", &of_member.no_witness),
    ])?);
    Ok(edits)
}

fn list(value: Option<&String>) -> Vec<String> {
    value.into_iter().cloned().collect()
}

fn parse(options: &[(&'static str, &Vec<String>)]) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for (option, values) in options {
        for value in *values {
            let edit = Edit::parse(option, value).with_context(|| format!("--{option} is no edit"))?;
            edits.push(edit?);
        }
    }
    Ok(edits)
}

/// The rival that is the newest version of a file.
fn rejection(chain: &RosterChain, file: &Path) -> Result<Edit> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let versions = SignedRoster::parse_file(&bytes).with_context(|| file.display().to_string())?;
    let newest = versions.last().context("no version")?;
    let rival = chain.rival(newest).with_context(|| {
        format!("the newest version of {} is no rival of a version in force", file.display())
    })?;
    let rival = rival.with_context(|| {
        format!("the newest version of {} is in force here; there is nothing to reject", file.display())
    })?;
    Ok(Edit::Reject(rival))
}

/// Where logs end, by the checkpoints that members hold; of one log the largest.
fn closures(held: &Roster, files: &[PathBuf]) -> Result<Vec<Edit>> {
    let mut largest: BTreeMap<MemberId, (u64, Root)> = BTreeMap::new();
    for file in files {
        let note = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let text = Note::parse(&note).with_context(|| format!("{} is no checkpoint", file.display()))?.text;
        let origin = text.lines().next().unwrap_or_default();
        let log = held.logs().find(|log| log.origin == origin);
        let log = log.with_context(|| {
            format!("{} is a checkpoint of {origin:?}, which is no log of this roster", file.display())
        })?;
        let found = SignedCheckpoint::verify(&note, origin, log.key)
            .with_context(|| format!("{} is no checkpoint of {origin}", file.display()))?;
        let best = largest.entry(log.member.clone()).or_insert((found.size(), found.root()));
        ensure!(
            best.0 != found.size() || best.1 == found.root(),
            "two checkpoints of {origin} at size {} have different roots: its author signed two histories. Find out which one \
             counts, and end the log with --close {}=SIZE:ROOT",
            found.size(),
            log.member
        );
        if best.0 < found.size() {
            *best = (found.size(), found.root());
        }
    }
    Ok(largest.into_iter().map(|(member, (size, root))| Edit::Close(member, size, root)).collect())
}
