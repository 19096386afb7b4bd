//! `hashpact-node roster create`: the first version.

use super::JoinFile;
use super::draft::{ensure_new, told, write_new};
use crate::driver::now_ms;
use anyhow::{Context as _, Result, bail};
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{
    GovernanceKey, HOLD_DEFAULT_S, LogEntry, LogStatus, Member, MemberId, MemberStatus,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, RETENTION_DEFAULT_S, Role, Roster, Term, Terms,
};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Entries a day that a new member may append.
const QUOTA_ENTRIES_PER_DAY: u64 = 5_000_000;

#[derive(clap::Args)]
pub(in crate::cli) struct CreateArguments {
    /// Name of the consortium; 64 random bits are added to it.
    #[arg(long)]
    name: String,
    /// How many governance keys must sign; more than half of them.
    #[arg(long)]
    threshold: u8,
    /// A governance key as NAME=PUBLIC_KEY; repeat for each.
    #[arg(long = "governance", required = true)]
    governance: Vec<String>,
    /// A member's join file, optionally with a display name and roles: FILE[,name=TEXT][,role=hotline]…
    /// (contributor when no role is given); repeat for each.
    #[arg(long = "member", required = true)]
    members: Vec<String>,
    /// A member that cosigns the others' logs; repeat for each, at most 15. Four or more tolerate that one
    /// of them is down or dishonest; without any, nobody vouches that all members see the same logs.
    #[arg(long = "witness")]
    witnesses: Vec<String>,
    /// A member whose erasure orders count for everybody's records, from its first entry on; repeat for each.
    /// Authors can always order the erasure of their own.
    #[arg(long = "eraser")]
    erasers: Vec<String>,
    /// How long an erasure waits before it destroys, in seconds. A shorter hold leaves less time to stop orders
    /// by a stolen key; members should only agree to it for a drill.
    #[arg(long, default_value_t = HOLD_DEFAULT_S)]
    hold_s: u64,
    /// How long payloads of retracted and expired records are kept, in seconds.
    #[arg(long, default_value_t = RETENTION_DEFAULT_S)]
    retention_s: u64,
    /// Days until it expires.
    #[arg(long, default_value_t = 365)]
    valid_days: u64,
    /// The new roster file.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn create(arguments: &CreateArguments) -> Result<String> {
    ensure_new(&arguments.out)?;
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).ok().context("the operating system gave no random bytes")?;
    let mut governance =
        arguments.governance.iter().map(|text| governance_key(text)).collect::<Result<Vec<_>>>()?;
    governance.sort_by(|a, b| a.name.cmp(&b.name));
    let mut members = arguments.members.iter().map(|text| member(text)).collect::<Result<Vec<_>>>()?;
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let ids = |given: &[String], flag: &str| -> Result<Vec<MemberId>> {
        let parse = |id: &String| MemberId::parse(id).with_context(|| format!("{flag} {id:?}"));
        let mut ids = given.iter().map(parse).collect::<Result<Vec<_>>>()?;
        ids.sort();
        Ok(ids)
    };
    let witnesses = ids(&arguments.witnesses, "--witness")?;
    let erasers = ids(&arguments.erasers, "--eraser")?;
    let created_s = now_ms() / 1_000;
    let roster = Roster {
        consortium: format!("{}-{}", arguments.name, hex_encode(&random)),
        version: 1,
        created_s,
        expires_s: created_s.saturating_add(arguments.valid_days.saturating_mul(86_400)),
        previous: None,
        rejected: Vec::new(),
        threshold: arguments.threshold,
        governance,
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: arguments.retention_s,
        hold_s: arguments.hold_s,
        features: Vec::new(),
        groups: Vec::new(),
        members,
        witnesses,
        terms: Terms { erasers: erasers.into_iter().map(Term::from_the_first).collect(), ..Terms::default() },
    };
    roster.check()?;
    write_new(&arguments.out, None, &roster)?;
    let members = roster.members.len();
    Ok(format!("drafted version 1 of {} with {members} members\n{}", roster.consortium, told(&roster)))
}

fn governance_key(text: &str) -> Result<GovernanceKey> {
    let (name, key) =
        text.split_once('=').with_context(|| format!("--governance {text:?} is not NAME=PUBLIC_KEY"))?;
    let key = PublicKey::from_hex(key).with_context(|| format!("--governance {name}"))?;
    Ok(GovernanceKey { name: name.to_owned(), key })
}

/// A member by its join file: FILE[,name=TEXT][,role=ROLE]….
pub(super) fn member(text: &str) -> Result<Member> {
    let mut parts = text.split(',');
    let file = parts.next().context("--member needs a join file")?;
    let content =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the join file {file}"))?;
    let join: JoinFile = toml::from_str(&content).with_context(|| format!("join file {file}"))?;
    let key =
        |name: &str, hex: &str| PublicKey::from_hex(hex).with_context(|| format!("join file {file}: {name}"));
    let id = MemberId::parse(&join.member).with_context(|| format!("join file {file}: member"))?;
    let mut name = join.member.clone();
    let mut roles = BTreeSet::new();
    for part in parts {
        match part.split_once('=') {
            Some(("name", given)) => given.clone_into(&mut name),
            Some(("role", given)) => {
                let roles_known = [Role::Contributor, Role::Hotline, Role::Observer, Role::Auditor];
                let role = roles_known.into_iter().find(|role| role.name() == given);
                roles.insert(role.with_context(|| format!("--member {text:?}: there is no role {given:?}"))?);
            }
            _ => bail!("--member {text:?}: {part:?} is neither name=TEXT nor role=ROLE"),
        }
    }
    if roles.is_empty() {
        roles.insert(Role::Contributor);
    }
    Ok(Member {
        id,
        name,
        status: MemberStatus::Active,
        roles,
        groups: BTreeSet::new(),
        card_key: key("card_key", &join.card_key)?,
        cosigner_key: Some(key("cosigner_key", &join.cosigner_key)?),
        history_start_s: 0,
        quota_entries_per_day: QUOTA_ENTRIES_PER_DAY,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: key("log_key", &join.log_key)?, status: LogStatus::Open }],
    })
}
