//! `hashpact-node roster sign` and `combine`.

use super::draft::{Draft, ensure_new, tree};
use crate::keystore::open_key;
use anyhow::{Context as _, Result, ensure};
use hashpact_core::governance::differences;
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::keys::{KeyRole, PublicKey};
use hashpact_protocol::roster::{ChainError, Roster, RosterChain, sign_roster};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(in crate::cli) struct SignArguments {
    /// The governance key file.
    #[arg(long)]
    pub(super) key: PathBuf,
    /// The key's name in the roster.
    #[arg(long)]
    pub(super) name: String,
    /// The draft's digest as the signers agreed on it by another channel; another draft is not signed.
    #[arg(long)]
    pub(super) digest: Option<String>,
    /// The roster file.
    pub(super) file: PathBuf,
}

pub(super) fn sign(arguments: &SignArguments) -> Result<String> {
    let SignArguments { key: key_file, name, digest, file } = arguments;
    let key = open_key(key_file, KeyRole::Governance)?;
    let mut draft = Draft::read(file)?;
    let roster = draft.roster(file)?;
    let chain = draft.chain(file)?;
    if let Some(agreed) = digest {
        ensure!(
            *agreed == draft.digest().to_hex(),
            "{} has digest {}, not {agreed}: this is another draft than the signers agreed on",
            file.display(),
            draft.digest()
        );
    }
    if let Some(chain) = &chain {
        // What no node would accept is not signed either.
        chain.check_next(&roster).with_context(|| format!("{} cannot follow", file.display()))?;
    }
    check_listed(&roster, chain.as_ref(), name, &key.public(), key_file)?;
    remember_signed(key_file, &roster, &draft.body)?;
    let signature = sign_roster(&draft.body, &tree(chain.as_ref()), name, &key)?;
    ensure!(!draft.signatures.contains(&signature), "{name} has signed {} already", file.display());
    draft.signatures.push(signature);
    draft.write(chain.as_ref(), file)?;
    let mut said = String::new();
    if let Some(chain) = &chain {
        for difference in differences(chain.current(), &roster) {
            writeln!(said, "{difference}")?;
        }
    }
    writeln!(said, "signed as {name}: {}", progress(&draft, &roster, chain.as_ref())?)?;
    Ok(said)
}

/// Whether this key is that of this name, in this version or, when keys rotate, in the one before.
fn check_listed(
    roster: &Roster,
    chain: Option<&RosterChain>,
    name: &str,
    key: &PublicKey,
    key_file: &Path,
) -> Result<()> {
    let before = chain.into_iter().flat_map(|chain| &chain.current().governance);
    let listed: Vec<_> =
        roster.governance.iter().chain(before).filter(|listed| listed.name == name).collect();
    ensure!(
        !listed.is_empty(),
        "the roster lists no governance key named {name}: --name is one of {}",
        roster.governance.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>().join(", ")
    );
    ensure!(
        listed.iter().any(|listed| listed.key == *key),
        "the roster lists {} for {name}, but {} holds {key}",
        listed.iter().map(|listed| listed.key.to_hex()).collect::<Vec<_>>().join(" and "),
        key_file.display()
    );
    Ok(())
}

/// How far the signatures are, and who could sign next.
fn progress(draft: &Draft, roster: &Roster, chain: Option<&RosterChain>) -> Result<String> {
    match draft.judge(chain) {
        Ok(complete) => Ok(format!("version {} is complete, root {}", complete.version(), complete.root())),
        Err(ChainError::TooFewSignatures { version, valid, threshold, .. }) => {
            let judge = chain.map(RosterChain::current).filter(|held| held.version == version);
            let names = judge.unwrap_or(roster).governance.iter().map(|key| key.name.as_str());
            let has_signed = |name: &str| {
                let signer = format!("{}/governance/{name}", roster.consortium);
                draft.signatures.iter().any(|signature| signature.name == signer)
            };
            let missing: Vec<&str> = names.filter(|name| !has_signed(name)).collect();
            Ok(format!(
                "{valid} of {threshold} signatures that version {version} asks for; not yet: {}",
                missing.join(", ")
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// Signatures of several copies of one draft, in one file.
pub(super) fn combine(files: &[PathBuf], out: &Path) -> Result<String> {
    ensure_new(out)?;
    let mut copies =
        files.iter().map(|file| Ok((file, Draft::read(file)?))).collect::<Result<Vec<_>>>()?.into_iter();
    let (first, mut draft) = copies.next().context("combine needs a file")?;
    for (file, copy) in copies {
        ensure!(
            copy.before == draft.before && copy.body == draft.body,
            "{} and {} hold two drafts, with digests {} and {}: signatures of one do not count for the other. Let everybody              sign copies of one draft",
            first.display(),
            file.display(),
            draft.digest(),
            copy.digest()
        );
        for signature in copy.signatures {
            if !draft.signatures.contains(&signature) {
                draft.signatures.push(signature);
            }
        }
    }
    ensure!(
        !draft.signatures.is_empty(),
        "nobody has signed any of these files yet: hashpact-node roster sign"
    );
    let roster = draft.roster(first)?;
    let chain = draft.chain(first)?;
    let progress = progress(&draft, &roster, chain.as_ref()).context("a signature that was combined")?;
    draft.write(chain.as_ref(), out)?;
    Ok(format!("{} signatures: {progress}\n", draft.signatures.len()))
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
             evidence against governance. Sign that draft, or let a successor of it change what is wrong",
            roster.version,
            roster.consortium
        );
        return Ok(());
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(file, "{subject}{digest}")?;
    file.sync_all().with_context(|| format!("cannot write {}", path.display()))
}
