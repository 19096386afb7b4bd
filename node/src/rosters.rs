//! `data/roster`: the signed roster versions that this node adopted, oldest first. Only ever added to.
//!
//! Whoever can write the file can take versions away, which a restart would not notice; it cannot add any,
//! because each is verified against the one before it. The running node looks at the file now and then, so
//! that a version that an operator installs is in force without a restart.

use crate::config::Config;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::roster::{Roster, RosterChain, SignedRoster};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::warn;

/// How often the running node looks whether the file was changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Where versions and decisions about them are kept.
#[derive(Debug, Clone)]
pub struct RosterFile {
    /// The file.
    pub path: PathBuf,
    /// Rivals of versions in it, which governance signed as well (SPEC §8.4); missing as long as there is none.
    pub rivals: PathBuf,
    /// The journal beside it.
    pub journal: PathBuf,
}

impl RosterFile {
    /// The files of a node.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { path: config.roster_file(), rivals: config.rivals_file(), journal: config.journal_file() }
    }

    /// The verified chain, with the rivals that are known of its versions.
    ///
    /// # Errors
    /// A file cannot be read, or a version in it does not verify.
    pub fn load(&self) -> Result<RosterChain> {
        let versions = read_versions(&self.path)?;
        let mut chain = RosterChain::walk(&versions).with_context(|| self.path.display().to_string())?;
        for rival in self.held_rivals()? {
            chain.note_rival(&rival).with_context(|| self.rivals.display().to_string())?;
        }
        Ok(chain)
    }

    fn held_rivals(&self) -> Result<Vec<SignedRoster>> {
        if self.rivals.exists() { read_versions(&self.rivals) } else { Ok(Vec::new()) }
    }

    /// Keeps rivals that were verified, synced.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn add_rivals(&self, rivals: &[SignedRoster]) -> Result<()> {
        let mut held = self.held_rivals()?;
        let before = held.len();
        for rival in rivals.iter().filter(|rival| !rival.note.is_empty()) {
            if held.iter().any(|known| known.body == rival.body) {
                continue;
            }
            let version = Roster::parse(&rival.body)?.version;
            let digest = RosterDigest::of_body(&rival.body).to_hex();
            let details = serde_json::json!({ "version": version, "digest": digest });
            crate::journal::record(&self.journal, &crate::journal::Actor::Node, "roster-rival", &details)?;
            held.push(rival.clone());
        }
        if held.len() == before {
            return Ok(());
        }
        let bytes: Vec<u8> = held.iter().flat_map(SignedRoster::encode).collect();
        write_whole(&self.rivals, &bytes)
    }

    /// Adds versions that a running node verified, synced. Those that are there already stay as they are.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds another version under one of these numbers.
    pub fn add(&self, versions: &[SignedRoster]) -> Result<()> {
        let held_bytes = std::fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        let held = SignedRoster::parse_file(&held_bytes).with_context(|| self.path.display().to_string())?;
        let first = versions.first().map(|first| Roster::parse(&first.body)).transpose()?;
        let first = first.map_or(1, |first| first.version);
        let from = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
        ensure!(from <= held.len(), "{} ends before version {first}", self.path.display());
        let there = held.get(from..).unwrap_or_default();
        ensure!(
            there.iter().zip(versions).all(|(held, given)| held.body == given.body),
            "{} holds another version {first} or later than was verified",
            self.path.display()
        );
        let new = versions.get(there.len()..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        let details = serde_json::json!({ "from": held.len(), "to": held.len() + new.len(), "by": "peer" });
        crate::journal::record(&self.journal, &crate::journal::Actor::Node, "install-roster", &details)?;
        let added: Vec<u8> = new.iter().flat_map(SignedRoster::encode).collect();
        write_whole(&self.path, &[held_bytes, added].concat())
    }
}

fn read_versions(path: &Path) -> Result<Vec<SignedRoster>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    SignedRoster::parse_file(&bytes).with_context(|| path.display().to_string())
}

/// Replaces a file as a whole: written beside it, synced, renamed.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, 0o666)
}

/// The same, readable by its owner only.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, 0o600)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let beside = path.with_extension("part");
    // One that a crash left behind may be readable by others.
    if let Err(error) = std::fs::remove_file(&beside)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot write {}", beside.display()));
    }
    let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside);
    let mut file = options.with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))?;
    // The new name must survive a crash as well: a version that is in force never goes back.
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => Ok(std::fs::File::open(parent)?.sync_all()?),
        None => Ok(()),
    }
}

/// Tells the versions in the file whenever it was changed, until nobody listens.
pub(crate) async fn watch(files: RosterFile, tell: mpsc::Sender<Vec<SignedRoster>>) {
    // Told once at first: the file may have been replaced while the logs were replayed.
    let mut seen = Vec::new();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if tell.is_closed() {
            return;
        }
        let now = vec![stamp(&files.path), stamp(&files.rivals)];
        if now == seen {
            continue;
        }
        seen = now;
        let read =
            read_versions(&files.path).and_then(|versions| Ok([versions, files.held_rivals()?].concat()));
        match read {
            Ok(versions) => {
                if tell.send(versions).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(reason = format!("{error:#}"), "the roster file was changed and cannot be read")
            }
        }
    }
}

/// What changes when the file is replaced.
fn stamp(path: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::leaf_hash;
    use hashpact_protocol::keys::SecretKey;
    use hashpact_protocol::merkle::Frontier;
    use hashpact_protocol::roster::{
        GovernanceKey, Member, MemberId, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, Terms,
        assemble, sign_roster,
    };
    use std::collections::BTreeSet;

    /// Three versions that differ in their times.
    fn versions() -> Vec<SignedRoster> {
        let key = SecretKey::from_seed([1; 32]);
        let mut before = Frontier::empty();
        let mut previous = None;
        (1..=3)
            .map(|version| {
                let roster = Roster {
                    consortium: "test-0000000000000000".to_owned(),
                    version,
                    created_s: version,
                    expires_s: 2_000_000_000,
                    previous,
                    rejected: Vec::new(),
                    threshold: 1,
                    governance: vec![GovernanceKey { name: "ana".to_owned(), key: key.public() }],
                    taxonomies: vec!["cg-taxonomy/1".to_owned()],
                    hash_sets: Vec::new(),
                    retention_s: 90 * 86_400,
                    hold_s: 72 * 3_600,
                    features: Vec::new(),
                    groups: Vec::new(),
                    terms: Terms::default(),
                    members: vec![member()],
                    witnesses: Vec::new(),
                };
                let body = roster.encode();
                let signature = sign_roster(&body, &before, "ana", &key).expect("a valid body");
                let signed = assemble(&body, &before, vec![signature]).expect("signed");
                before.append(leaf_hash(&body));
                previous = Some(RosterDigest::of_body(&body));
                signed
            })
            .collect()
    }

    fn member() -> Member {
        Member {
            id: MemberId::parse("north").expect("valid"),
            name: "North".to_owned(),
            status: MemberStatus::Active,
            roles: [Role::Observer].into(),
            groups: BTreeSet::new(),
            card_key: SecretKey::from_seed([2; 32]).public(),
            cosigner_key: None,
            history_start_s: 0,
            quota_entries_per_day: 1,
            logs: Vec::new(),
            priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
            agreement: None,
            records_lapse: false,
        }
    }

    #[test]
    fn versions_are_added_once_and_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = RosterFile {
            path: dir.path().join("roster"),
            rivals: dir.path().join("rivals"),
            journal: dir.path().join("journal"),
        };
        let all = versions();
        std::fs::write(&file.path, all[0].encode()).expect("written");
        assert!(file.add(&all[2..]).is_err(), "a version is missing between");
        file.add(&all[1..]).expect("added");
        file.add(&all[1..]).expect("there already");
        let held = SignedRoster::parse_file(&std::fs::read(&file.path).expect("read")).expect("whole");
        assert_eq!(held, all);
        let journal = std::fs::read_to_string(&file.journal).expect("written");
        assert_eq!(journal.lines().count(), 1, "{journal}");
        let mut rival = all[2].clone();
        rival.body = all[1].body.clone();
        assert!(file.add(&[all[1].clone(), rival]).is_err(), "another version 3");
        assert_eq!(
            std::fs::read(&file.path).expect("read").len(),
            all.iter().map(|one| one.encode().len()).sum::<usize>()
        );
    }
}
