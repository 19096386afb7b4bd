//! The operator's decisions: lists, negative lists, muted members, floods. Journalled, kept, and told to the look-ups.
//!
//! Every change is checked as a whole, then written to the journal and synced, then to its file, then in force for the
//! next look-up; nothing is rebuilt. A crash between the first two leaves a change in the journal that did not happen. What
//! lists mean is [`hashpact_core::policy`]'s business; this only keeps them.
//!
//! A list has a version that grows with each change, also over a deletion; the journal holds the text of each. A file
//! that somebody else changed while the node was down is taken as a new version.

mod decisions;
mod files;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use files::DecisionFiles;
pub use text::{LIST_FILE_MAX_BYTES, TextError, read_json, read_toml};

use crate::journal::Actor;
use crate::lookup::{Local, Lookup, NegativeList};
use anyhow::Context as _;
use files::{Decisions, SeenList, digest};
use hashpact_core::policy::{BUILT_IN_LIST, FloodLimits, Floods, List, MemberFacts, Members, Policy};
use hashpact_protocol::api::{ListState, NegativesRequest};
use hashpact_protocol::digest::{hex_encode, sha256};
use hashpact_protocol::roster::{MemberId, Roster, RosterChain};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most lists beside the built-in one.
pub const LISTS_MAX: usize = 63;
/// Most negative lists.
pub const NEGATIVES_MAX: usize = 64;

/// The operator's decisions.
pub struct Lists {
    files: DecisionFiles,
    lookup: Arc<Lookup>,
    state: Mutex<State>,
}

struct State {
    lists: BTreeMap<String, Arc<List>>,
    negatives: BTreeMap<String, (NegativesRequest, Arc<NegativeList>)>,
    decisions: Decisions,
    /// By the roster, without what is muted.
    members: BTreeMap<MemberId, MemberFacts>,
}

/// Why a decision is refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListsError {
    /// No such list.
    #[error("there is no list {0:?} at this node")]
    NoList(String),
    /// The built-in list.
    #[error("the list {BUILT_IN_LIST:?} is built in and cannot be changed or deleted")]
    BuiltIn,
    /// Another name in the path than in the list.
    #[error("name: the list is named {got:?}, the request {wanted:?}")]
    OtherName {
        /// In the list.
        got: String,
        /// In the path.
        wanted: String,
    },
    /// Somebody else changed it meanwhile.
    #[error(
        "list {name:?} is at version {version} ({etag}), not the one that this change was made from; read it again and repeat the \
         change"
    )]
    Changed {
        /// The list.
        name: String,
        /// Its version.
        version: u64,
        /// Its entity tag.
        etag: String,
    },
    /// A change that does not say which version it was made from.
    #[error(
        "list {name:?} exists, at version {version}: say that the change was made from it, with `version = {version}` in the list \
         or If-Match: {etag}"
    )]
    SayVersion {
        /// The list.
        name: String,
        /// Its version.
        version: u64,
        /// Its entity tag.
        etag: String,
    },
    /// A change of a list that does not exist.
    #[error(
        "list {0:?} does not exist, so no version of it can be changed; leave version and If-Match out to put a new list"
    )]
    NotThere(String),
    /// Too many.
    #[error("there are {0} {1} already, which is the largest number")]
    TooMany(usize, &'static str),
    /// Not a member.
    #[error("member: {0:?} is not in the roster")]
    NoMember(String),
    /// It is muted already.
    #[error("{0} is muted already")]
    Muted(String),
    /// It is not muted.
    #[error("{0} is not muted")]
    NotMuted(String),
    /// The own member.
    #[error("member: {0} is this node's own member, which cannot be muted")]
    Own(String),
    /// No such negative list.
    #[error("there is no negative list {0:?} at this node")]
    NoNegatives(String),
    /// Not a name.
    #[error("name: a name has 1 to 64 characters a-z 0-9 . _ -")]
    Name,
    /// No such flood.
    #[error("there is no flood {0:?} at this node")]
    NoFlood(String),
    /// It was decided so already.
    #[error("flood {0} is {1} already")]
    DecidedAlready(String, &'static str),
    /// Journal or file cannot be written; the cause is in the log.
    #[error("the decision could not be written; the operator's log says why")]
    Io(String),
}

impl From<anyhow::Error> for ListsError {
    fn from(error: anyhow::Error) -> Self {
        Self::Io(format!("{error:#}"))
    }
}

impl Lists {
    /// Reads what was decided, and has look-ups decide by it. Before any entry is applied.
    ///
    /// # Errors
    /// A file that cannot be read or is no list, with its line.
    pub fn open(
        files: DecisionFiles,
        lookup: Arc<Lookup>,
        chain: &RosterChain,
        limits: FloodLimits,
    ) -> anyhow::Result<Self> {
        let mut decisions = files.read_decisions()?;
        let before = decisions.clone();
        let mut lists = BTreeMap::new();
        for mut list in files.read_lists()? {
            see(&files, &mut decisions, &mut list)?;
            lists.insert(list.name.clone(), Arc::new(list));
        }
        anyhow::ensure!(lists.len() <= LISTS_MAX, "{} lists, at most {LISTS_MAX} are allowed", lists.len());
        let mut negatives = BTreeMap::new();
        for (name, shape) in files.read_negatives()? {
            let read = negative_list(&name, &shape).with_context(|| format!("negative list {name}"))?;
            negatives.insert(name, (shape, read));
        }
        if decisions != before {
            files.write_decisions(&decisions)?;
        }
        let floods = decisions.floods.iter().map(decisions::read_flood).collect::<Result<Vec<_>, _>>()?;
        lookup.set_floods(Floods::new(limits, floods));
        let state = State { lists, negatives, decisions, members: members(chain) };
        let lists = Self { files, lookup, state: Mutex::new(state) };
        lists.tell(&lists.state());
        Ok(lists)
    }

    /// A newer roster is in force.
    pub fn adopt(&self, chain: &RosterChain) {
        let mut state = self.state();
        state.members = members(chain);
        self.tell(&state);
    }

    /// All lists in the order in which they decide.
    #[must_use]
    pub fn all(&self) -> Vec<ListState> {
        self.lookup.local().policy.lists().iter().map(|list| shown(list)).collect()
    }

    /// One list.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ListState> {
        self.lookup.local().policy.list(name).map(|list| shown(list))
    }

    /// Puts a list in place of its former version, or as a new one. `if_match` is the entity tag of the version that it
    /// was made from, or the list says that version itself.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn put(&self, list: List, if_match: Option<&str>, by: &Actor) -> Result<ListState, ListsError> {
        let mut state = self.state();
        let held = state.lists.get(&list.name).cloned();
        check_version(&list.name, held.as_deref(), if_match, list.version)?;
        if held.is_none() && state.lists.len() >= LISTS_MAX {
            return Err(ListsError::TooMany(state.lists.len(), "lists"));
        }
        let last = state.decisions.lists.get(&list.name).map_or(0, |seen| seen.version);
        let list = Arc::new(List { version: last + 1, ..list });
        let seen = SeenList { version: list.version, digest: digest(&list) };
        let details = json!({ "name": list.name, "version": list.version, "list": list.show() });
        crate::journal::record(&self.files.journal, by, "put-list", &details)?;
        // The version first: a crash between the two must not give a version away twice.
        let mut decisions = state.decisions.clone();
        decisions.lists.insert(list.name.clone(), seen);
        self.files.write_decisions(&decisions)?;
        self.files.write_list(&list)?;
        state.decisions = decisions;
        state.lists.insert(list.name.clone(), Arc::clone(&list));
        self.tell(&state);
        Ok(shown(&list))
    }

    /// Deletes a list.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn delete(&self, name: &str, if_match: Option<&str>, by: &Actor) -> Result<(), ListsError> {
        if name == BUILT_IN_LIST {
            return Err(ListsError::BuiltIn);
        }
        let mut state = self.state();
        let held = state.lists.get(name).cloned().ok_or_else(|| ListsError::NoList(name.to_owned()))?;
        if let Some(wanted) = if_match {
            check_version(name, Some(&held), Some(wanted), 0)?;
        }
        let details = json!({ "name": name, "version": held.version });
        crate::journal::record(&self.files.journal, by, "delete-list", &details)?;
        self.files.remove_list(name)?;
        state.lists.remove(name);
        self.tell(&state);
        Ok(())
    }

    /// What look-ups would decide by if this list were put, or the one of this name deleted.
    ///
    /// # Errors
    /// There is no list of this name to delete.
    pub fn with(&self, change: Result<List, String>) -> Result<Local, ListsError> {
        let state = self.state();
        let mut lists = state.lists.clone();
        match change {
            Ok(list) => {
                let version = lists.get(&list.name).map_or(0, |held| held.version) + 1;
                _ = lists.insert(list.name.clone(), Arc::new(List { version, ..list }));
            }
            Err(name) if name == BUILT_IN_LIST => return Err(ListsError::BuiltIn),
            Err(name) => _ = lists.remove(&name).ok_or(ListsError::NoList(name))?,
        }
        let local = self.lookup.local();
        let policy = Policy::new(lists.into_values(), Arc::clone(local.policy.members()));
        Ok(Local { policy: Arc::new(policy), ..local })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has look-ups decide by this from now on.
    fn tell(&self, state: &State) {
        let members = state.members.iter().map(|(member, facts)| {
            let muted = state.decisions.mutes.contains_key(member.as_str());
            (member.clone(), MemberFacts { muted, ..facts.clone() })
        });
        let members: Arc<Members> = Arc::new(members.collect());
        let policy = Policy::new(state.lists.values().cloned(), members);
        let negatives = state.negatives.values().map(|(_, list)| Arc::clone(list)).collect();
        let name = name(state).into();
        self.lookup.set_local(Local { policy: Arc::new(policy), negatives: Arc::new(negatives), name });
    }
}

/// Names what is decided, in few characters; nothing while nothing is.
fn name(state: &State) -> String {
    let lists = state.lists.values().map(|list| format!("{} {}", list.name, digest(list)));
    let mutes = state.decisions.mutes.keys().map(|member| format!("mute {member}"));
    let floods = state.decisions.floods.iter().map(|(flood, kept)| format!("{flood} {}", kept.decision));
    let negatives = state.negatives.values().map(|(_, list)| format!("{} {}", list.name, list.digest));
    let all: Vec<String> = lists.chain(mutes).chain(floods).chain(negatives).collect();
    if all.is_empty() {
        return String::new();
    }
    format!("-{}", hex_encode(&sha256(&[all.join("\n").as_bytes()])[..4]))
}

/// What the roster says about members, muted or not: roles by its newest version, since when by its first.
fn members(chain: &RosterChain) -> BTreeMap<MemberId, MemberFacts> {
    let mut members: BTreeMap<MemberId, MemberFacts> = BTreeMap::new();
    // All of them: those after none.
    for signed in chain.suffix_from(0) {
        // Each was verified when it was adopted.
        let Ok(roster) = Roster::parse(&signed.body) else { continue };
        for member in &roster.members {
            let facts = MemberFacts { joined_s: roster.created_s, ..MemberFacts::default() };
            members.entry(member.id.clone()).or_insert(facts);
        }
    }
    for member in &chain.current().members {
        let facts = members.entry(member.id.clone()).or_default();
        facts.roles.clone_from(&member.roles);
    }
    members
}

/// Takes a list as found on disk: the version that was there last, or a new one if somebody changed the file.
fn see(files: &DecisionFiles, decisions: &mut Decisions, list: &mut List) -> anyhow::Result<()> {
    let digest = digest(list);
    let last = decisions.lists.get(&list.name);
    if last.is_some_and(|seen| seen.digest == digest) {
        list.version = last.map_or(1, |seen| seen.version);
        return Ok(());
    }
    list.version = last.map_or(0, |seen| seen.version) + 1;
    let details = json!({ "name": list.name, "version": list.version, "list": list.show() });
    crate::journal::record(&files.journal, &Actor::Node, "put-list", &details)?;
    decisions.lists.insert(list.name.clone(), SeenList { version: list.version, digest });
    files.write_list(list)
}

fn check_version(
    name: &str,
    held: Option<&List>,
    if_match: Option<&str>,
    stated: u64,
) -> Result<(), ListsError> {
    let Some(held) = held else {
        return match (if_match, stated) {
            (None, 0) => Ok(()),
            _ => Err(ListsError::NotThere(name.to_owned())),
        };
    };
    let (name, version, etag) = (name.to_owned(), held.version, etag(held));
    match (if_match, stated) {
        (None, 0) => Err(ListsError::SayVersion { name, version, etag }),
        (Some(wanted), 0) if wanted == etag || wanted == "*" => Ok(()),
        (None, stated) if stated == version => Ok(()),
        (Some(wanted), stated) if wanted == etag && stated == version => Ok(()),
        _ => Err(ListsError::Changed { name, version, etag }),
    }
}

/// Names version and content, as `If-Match` and `ETag` carry it.
fn etag(list: &List) -> String {
    format!("\"{}-{}\"", list.version, digest(list))
}

fn shown(list: &List) -> ListState {
    ListState { list: list.show(), etag: etag(list), built_in: list.is_built_in() }
}

fn negative_list(name: &str, shape: &NegativesRequest) -> anyhow::Result<Arc<NegativeList>> {
    let (radius, signals) = shape.check()?;
    Ok(Arc::new(NegativeList::new(name, u16::try_from(radius)?, &signals)))
}
