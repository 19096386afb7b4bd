//! What the operator decided, on disk: `data/lists/NAME.toml`, `data/negatives/NAME.json`, `data/decisions`.
//!
//! Whoever can write these files decides what this node does with matches, and nothing else; losing them costs the
//! decisions, which the journal still tells. Each file is replaced as a whole and synced.

use super::text;
use crate::rosters::write_whole;
use anyhow::{Context as _, ensure};
use hashpact_core::policy::List;
use hashpact_protocol::api::{NegativesRequest, REASON_MAX_BYTES};
use hashpact_protocol::digest::{hex_encode, sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest file of a negative list: as many signals as it may have.
const NEGATIVES_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Where the operator's decisions are kept.
#[derive(Debug, Clone)]
pub struct DecisionFiles {
    /// Folder of lists.
    pub lists: PathBuf,
    /// Folder of negative lists.
    pub negatives: PathBuf,
    /// Everything else.
    pub decisions: PathBuf,
    /// The journal.
    pub journal: PathBuf,
}

/// `data/decisions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Decisions {
    /// By list: the version and content that was put or seen last, of deleted ones as well.
    pub(super) lists: BTreeMap<String, SeenList>,
    /// By member.
    pub(super) mutes: BTreeMap<String, Because>,
    /// By name.
    pub(super) floods: BTreeMap<String, KeptFlood>,
}

/// Which version of a list was there last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenList {
    pub(super) version: u64,
    pub(super) digest: String,
}

/// Why, when and by whom something was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    pub(super) reason: String,
    pub(super) time: String,
    pub(super) by: String,
}

/// A flood that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptFlood {
    pub(super) entries: u64,
    pub(super) norm_per_day: u64,
    /// By log id: first and last leaf index.
    pub(super) ranges: BTreeMap<String, (u64, u64)>,
    pub(super) decision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<Because>,
}

impl DecisionFiles {
    /// In a data folder.
    #[must_use]
    pub fn of(data_dir: &Path, journal: PathBuf) -> Self {
        Self {
            lists: data_dir.join("lists"),
            negatives: data_dir.join("negatives"),
            decisions: data_dir.join("decisions"),
            journal,
        }
    }

    pub(super) fn read_decisions(&self) -> anyhow::Result<Decisions> {
        let shown = self.decisions.display().to_string();
        let Some(bytes) = read_if_there(&self.decisions).context(shown.clone())? else {
            return Ok(Decisions::default());
        };
        serde_json::from_slice(&bytes).context(shown)
    }

    pub(super) fn write_decisions(&self, decisions: &Decisions) -> anyhow::Result<()> {
        write_whole(&self.decisions, &serde_json::to_vec_pretty(decisions)?)
    }

    /// All lists in the folder.
    pub(super) fn read_lists(&self) -> anyhow::Result<Vec<List>> {
        let read = |path: &Path, name: &str| {
            let list = text::read_toml(&std::fs::read_to_string(path)?)?;
            ensure!(list.name == name, "name: {:?} must be the file's name, {name:?}", list.name);
            Ok(list)
        };
        each_file(&self.lists, "toml", read)
    }

    pub(super) fn write_list(&self, list: &List) -> anyhow::Result<()> {
        create_folder(&self.lists)?;
        write_whole(&self.list_file(&list.name), text::write_toml(list).as_bytes())
    }

    pub(super) fn remove_list(&self, name: &str) -> anyhow::Result<()> {
        remove(&self.list_file(name))
    }

    /// All negative lists in the folder, by name.
    pub(super) fn read_negatives(&self) -> anyhow::Result<Vec<(String, NegativesRequest)>> {
        let read = |path: &Path, name: &str| {
            let length = std::fs::metadata(path)?.len();
            ensure!(length <= NEGATIVES_MAX_BYTES, "{length} bytes, at most {NEGATIVES_MAX_BYTES} are read");
            Ok((name.to_owned(), serde_json::from_slice(&std::fs::read(path)?)?))
        };
        each_file(&self.negatives, "json", read)
    }

    pub(super) fn write_negatives(&self, name: &str, list: &NegativesRequest) -> anyhow::Result<()> {
        create_folder(&self.negatives)?;
        write_whole(&self.negatives_file(name), &serde_json::to_vec(list)?)
    }

    pub(super) fn remove_negatives(&self, name: &str) -> anyhow::Result<()> {
        remove(&self.negatives_file(name))
    }

    fn list_file(&self, name: &str) -> PathBuf {
        self.lists.join(format!("{name}.toml"))
    }

    fn negatives_file(&self, name: &str) -> PathBuf {
        self.negatives.join(format!("{name}.json"))
    }
}

/// Names version and content of a list.
pub(super) fn digest(list: &List) -> String {
    let without_version = List { version: 0, ..list.clone() };
    hex_encode(&sha256(&[text::write_toml(&without_version).as_bytes()])[..8])
}

/// Reads every file of a folder that ends so, in the order of their names; a folder that is not there has none.
fn each_file<T>(
    folder: &Path,
    ending: &str,
    read: impl Fn(&Path, &str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(folder.display().to_string()),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        read(&path, &name).with_context(|| path.display().to_string())
    };
    paths.into_iter().map(named).collect()
}

fn read_if_there(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| path.display().to_string())?;
    let parent = path.parent().context("a file in a folder")?;
    Ok(std::fs::File::open(parent)?.sync_all()?)
}

const _: () = assert!(REASON_MAX_BYTES < 1_024, "reasons go into one line of the journal");
