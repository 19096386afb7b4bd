//! `hashpact-node roster …`: the offline tools of governance. No configuration, no network.
//!
//! A roster file holds all versions; the last may be a draft, whose checkpoint too few have signed yet.
//! Each signer adds a signature in place; once enough have, the file is a signed roster, which members
//! `install`. A signer's machine keeps beside its key which body it signed for which version, and refuses a
//! second draft of one version.

use super::init::{JoinFile, load_roster};
use crate::config::Config;
use crate::driver::now_ms;
use crate::keystore::{create_key, open_key};
use crate::rosters::write_whole;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use hashpact_protocol::digest::{RosterDigest, hex_encode};
use hashpact_protocol::keys::{KeyRole, PublicKey};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::{Note, NoteSignature};
use hashpact_protocol::roster::{
    ChainError, GovernanceKey, HOLD_DEFAULT_S, LogEntry, LogStatus, Member, MemberId, MemberStatus,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, RETENTION_DEFAULT_S, Role, Roster, RosterChain, SignedRoster, Term,
    Terms, assemble, sign_roster,
};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

mod replace;

/// Entries a day that a new member may append.
const QUOTA_ENTRIES_PER_DAY: u64 = 5_000_000;

#[derive(Subcommand)]
pub(super) enum RosterCommand {
    /// Create a governance key and print its public half.
    Keygen {
        /// The new key file (mode 600).
        #[arg(long)]
        out: PathBuf,
    },
    /// Draft version 1 from members' join files.
    Create(CreateArguments),
    /// Add a governance signature to a draft or partly signed roster, in place.
    Sign {
        /// The governance key file.
        #[arg(long)]
        key: PathBuf,
        /// The key's name in the roster.
        #[arg(long)]
        name: String,
        /// The roster file.
        file: PathBuf,
    },
    /// Draft the next version: close a member's log for good and open the one after it.
    ReplaceLog(replace::ReplaceArguments),
    /// Take a newer signed roster into this node's data folder; it counts from the next start on.
    Install {
        /// The roster file, with all versions.
        file: PathBuf,
    },
    /// Show a roster and who signed it.
    Show {
        /// The roster file.
        file: PathBuf,
    },
}

#[derive(clap::Args)]
pub(super) struct CreateArguments {
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

pub(super) fn roster(command: RosterCommand) -> Result<()> {
    match command {
        RosterCommand::Keygen { out } => {
            let key = create_key(&out, KeyRole::Governance)?;
            println!("{}", key.public());
            Ok(())
        }
        RosterCommand::Create(arguments) => create(&arguments),
        RosterCommand::Sign { key, name, file } => sign(&key, &name, &file),
        RosterCommand::ReplaceLog(arguments) => replace::replace_log(&arguments),
        RosterCommand::Install { .. } => bail!("`install` needs the configuration"),
        RosterCommand::Show { file } => show(&file),
    }
}

/// Adopts a longer chain that continues the one held.
pub(super) fn install(config: &Config, file: &Path) -> Result<()> {
    let (held, held_bytes) = load_roster(&config.roster_file(), None)?;
    let (given, bytes) = load_roster(file, None)?;
    ensure!(
        bytes.starts_with(&held_bytes),
        "{} does not continue version {} that this node holds; a rival version is never taken",
        file.display(),
        held.version()
    );
    if given.version() == held.version() {
        println!("version {} is installed already", held.version());
        return Ok(());
    }
    let details = serde_json::json!({
        "from": held.version(), "to": given.version(), "root": given.root().to_hex(),
    });
    crate::journal::record(&config.journal_file(), "install-roster", &details)?;
    write_whole(&config.roster_file(), &bytes)?;
    println!(
        "installed version {}, root {}; a running node adopts it within seconds",
        given.version(),
        given.root()
    );
    Ok(())
}

fn create(arguments: &CreateArguments) -> Result<()> {
    ensure!(!arguments.out.exists(), "{} exists; a roster is never overwritten", arguments.out.display());
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
    write_draft(&arguments.out, &[], &roster.encode())?;
    println!("drafted version 1 of {} with {} members", roster.consortium, roster.members.len());
    println!("digest {}", RosterDigest::of_body(&roster.encode()));
    println!(
        "Now {} of {} governance keys sign it: hashpact-node roster sign",
        roster.threshold,
        roster.governance.len()
    );
    Ok(())
}

fn governance_key(text: &str) -> Result<GovernanceKey> {
    let (name, key) =
        text.split_once('=').with_context(|| format!("--governance {text:?} is not NAME=PUBLIC_KEY"))?;
    let key = PublicKey::from_hex(key).with_context(|| format!("--governance {name}"))?;
    Ok(GovernanceKey { name: name.to_owned(), key })
}

fn member(text: &str) -> Result<Member> {
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

/// A file under construction: the versions before, the body, and the signatures so far.
struct Draft {
    before: Vec<SignedRoster>,
    body: Vec<u8>,
    signatures: Vec<NoteSignature>,
}

impl Draft {
    /// The verified versions before; `None` for version 1.
    fn chain(&self) -> Result<Option<RosterChain>> {
        let Some((first, rest)) = self.before.split_first() else { return Ok(None) };
        let mut chain = RosterChain::start(first, None).context("version 1")?;
        for next in rest {
            let version = chain.version() + 1;
            chain.advance(next).with_context(|| format!("version {version}"))?;
        }
        Ok(Some(chain))
    }
}

/// Root of a chain that this version completes, or why it is not complete.
fn complete(chain: Option<&RosterChain>, signed: &SignedRoster) -> Result<RosterChain, ChainError> {
    match chain {
        None => RosterChain::start(signed, None),
        Some(chain) => {
            let mut chain = chain.clone();
            chain.advance(signed).map(|()| chain)
        }
    }
}

fn write_draft(path: &Path, before: &[u8], body: &[u8]) -> Result<()> {
    let draft = SignedRoster { body: body.to_vec(), note: Vec::new() };
    write_whole(path, &[before, &draft.encode()].concat())
}

fn read_draft(path: &Path) -> Result<Draft> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut versions = SignedRoster::parse_file(&bytes).with_context(|| path.display().to_string())?;
    let file = versions.pop().context("no version")?;
    let signatures = if file.note.is_empty() { Vec::new() } else { Note::parse(&file.note)?.signatures };
    Ok(Draft { before: versions, body: file.body, signatures })
}

fn sign(key_file: &Path, name: &str, file: &Path) -> Result<()> {
    let key = open_key(key_file, KeyRole::Governance)?;
    let draft = read_draft(file)?;
    let roster = Roster::parse(&draft.body).with_context(|| file.display().to_string())?;
    let chain = draft.chain().with_context(|| file.display().to_string())?;
    // When keys rotate, those of the version before sign as well.
    let before_keys = chain.iter().flat_map(|chain| &chain.current().governance);
    let listed = roster.governance.iter().chain(before_keys).find(|listed| listed.name == name);
    let listed = listed.with_context(|| format!("the roster lists no governance key named {name}"))?;
    ensure!(
        listed.key == key.public(),
        "the roster lists {} for {name}, but {} holds {}",
        listed.key,
        key_file.display(),
        key.public()
    );
    remember_signed(key_file, &roster, &draft.body)?;
    let before = chain.as_ref().map_or_else(Frontier::empty, |chain| chain.tree().clone());
    let signature = sign_roster(&draft.body, &before, name, &key)?;
    let mut signatures = draft.signatures;
    ensure!(!signatures.contains(&signature), "{name} has signed {} already", file.display());
    signatures.push(signature);
    let count = signatures.len();
    let signed = assemble(&draft.body, &before, signatures)?;
    let earlier: Vec<u8> = draft.before.iter().flat_map(SignedRoster::encode).collect();
    write_whole(file, &[earlier, signed.encode()].concat())?;
    match complete(chain.as_ref(), &signed) {
        Ok(chain) => {
            println!("signed as {name}: version {} is complete, root {}", chain.version(), chain.root());
        }
        Err(ChainError::TooFewSignatures { threshold, .. }) => {
            println!("signed as {name}: {count} of {threshold} signatures");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// One line per version signed: `<consortium> <version> <digest>`, beside the key. Written and synced
/// before the signature is made.
fn remember_signed(key_file: &Path, roster: &Roster, body: &[u8]) -> Result<()> {
    let mut path = key_file.as_os_str().to_owned();
    path.push(".signed");
    let path = PathBuf::from(path);
    let digest = RosterDigest::of_body(body).to_hex();
    let subject = format!("{} {} ", roster.consortium, roster.version);
    let held = match std::fs::read_to_string(&path) {
        Ok(held) => held,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if let Some(signed) = held.lines().find_map(|line| line.strip_prefix(&subject)) {
        ensure!(
            signed == digest,
            "this key has already signed another draft of version {} of {} (digest {signed}); a second one would be \
             evidence against governance",
            roster.version,
            roster.consortium
        );
        return Ok(());
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(file, "{subject}{digest}")?;
    file.sync_all().with_context(|| format!("cannot write {}", path.display()))
}

fn show(path: &Path) -> Result<()> {
    if let Ok((chain, _)) = load_roster(path, None) {
        print_roster(chain.current());
        println!("root        {}", chain.root());
        println!("complete: enough governance keys signed");
        return Ok(());
    }
    let draft = read_draft(path)?;
    let roster = Roster::parse(&draft.body).with_context(|| path.display().to_string())?;
    print_roster(&roster);
    println!("digest      {}", RosterDigest::of_body(&draft.body));
    if draft.signatures.is_empty() {
        println!("NOT COMPLETE: 0 of {} signatures", roster.threshold);
        return Ok(());
    }
    for signature in &draft.signatures {
        println!("signature   {}", signature.name);
    }
    let chain = draft.chain().with_context(|| path.display().to_string())?;
    let before = chain.as_ref().map_or_else(Frontier::empty, |chain| chain.tree().clone());
    let signed = assemble(&draft.body, &before, draft.signatures)?;
    match complete(chain.as_ref(), &signed) {
        Ok(_) => println!("complete: enough governance keys signed"),
        Err(error) => println!("NOT COMPLETE: {error}"),
    }
    Ok(())
}

fn print_roster(roster: &Roster) {
    use hashpact_protocol::api::time::rfc3339;
    println!("consortium  {}", roster.consortium);
    println!("version     {}", roster.version);
    println!("created     {}", rfc3339(roster.created_s.saturating_mul(1_000)));
    println!("expires     {}", rfc3339(roster.expires_s.saturating_mul(1_000)));
    println!("governance  {} of {} keys must sign", roster.threshold, roster.governance.len());
    for key in &roster.governance {
        println!("            {:<12} {}", key.name, key.key);
    }
    for member in &roster.members {
        let roles: Vec<&str> = member.roles.iter().map(|role| role.name()).collect();
        println!(
            "member      {:<12} {} ({}) {}",
            member.id,
            member.name,
            member.status.name(),
            roles.join(", ")
        );
        for log in &member.logs {
            let state = match log.status {
                LogStatus::Open => "open".to_owned(),
                LogStatus::Spare => "spare".to_owned(),
                LogStatus::Closed { size, .. } => format!("closed at {size}"),
            };
            println!("            log {} {state} key {}", log.n, log.key);
        }
    }
}
