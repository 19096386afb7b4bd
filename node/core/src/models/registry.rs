//! Which models are listed, which are registered as benign, and where the two contradict each other.
//!
//! A fold over what stands: the order in which records arrive plays no part. What is here are the exact identifiers of
//! records of kind `model`, and the panel's verdicts on them; sketches are compared elsewhere.
//!
//! *Registered* is a model that members state to be a known base or a popular benign model. It shields nothing before
//! two independent members register it, each for its own part: sources are counted as for matches, so two that name one
//! organisation are one. When a doubly registered model and a listing share an exact identifier, both wait for the panel:
//! the listing is *conflicting* (found, for review at most), the registrations do not count. So nobody can shield a bad
//! model by calling it benign, and nobody can have a benign one blocked by listing it.
//!
//! SPEC §13.4.

use crate::policy::independent_sources;
use hashpact_protocol::digest::{RecordId, hex_encode, sha256};
use hashpact_protocol::record::{ModelRole, Signal, SignalType, Verdict};
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// Members that must register a model before it shields anything.
pub const REGISTERED_BY_MIN: u32 = 2;
/// Domain of the digest that names a state of the registry. Local to this node, equal at all that hold the same.
const VERSION: &[u8] = b"hashpact/model-registry/v1\0";

/// What one record says, as far as the rules here ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who stated it.
    pub member: MemberId,
    /// Who stated it originally: the organisation that it names, else the member.
    pub source: String,
    /// Whether it lists or registers.
    pub role: ModelRole,
    /// Its exact identifiers: type and value, no checksum.
    pub ids: Vec<Signal>,
}

/// How a record of a model stands beside the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelStanding {
    /// A listing that nothing contradicts.
    Listed,
    /// A listing of a model that members registered as benign: for review at most until the panel rules.
    Conflicting {
        /// One of the registrations.
        registration: RecordId,
        /// How many independent members registered the model.
        members: u32,
    },
    /// A registration that counts.
    Registered {
        /// How many independent members registered the model.
        members: u32,
    },
    /// A registration of a model that is listed: it does not count until the panel rules.
    Waiting {
        /// One of the listings.
        listing: RecordId,
    },
}

/// The registry, as far as exact identifiers go.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    statements: BTreeMap<RecordId, Statement>,
    by_id: BTreeMap<Signal, BTreeSet<RecordId>>,
    verdicts: BTreeMap<Signal, Verdict>,
}

/// Whether an identifier says which model it is, rather than leading to it.
#[must_use]
pub const fn is_exact(kind: SignalType) -> bool {
    matches!(
        kind,
        SignalType::ModelSha256 | SignalType::ModelBlake3 | SignalType::StBody | SignalType::Tset1
    )
}

impl Registry {
    /// Takes a record that stands. Identifiers that are not exact are left out.
    pub fn insert(&mut self, id: RecordId, mut statement: Statement) {
        self.remove(&id);
        statement.ids.retain(|signal| is_exact(signal.kind()));
        for signal in &statement.ids {
            self.by_id.entry(signal.clone()).or_default().insert(id);
        }
        self.statements.insert(id, statement);
    }

    /// Forgets a record that stands no longer.
    pub fn remove(&mut self, id: &RecordId) {
        let Some(statement) = self.statements.remove(id) else { return };
        for signal in &statement.ids {
            if let Some(ids) = self.by_id.get_mut(signal) {
                ids.remove(id);
                if ids.is_empty() {
                    self.by_id.remove(signal);
                }
            }
        }
    }

    /// Takes the panel's verdict on a signal.
    pub fn rule(&mut self, signal: Signal, verdict: Option<Verdict>) {
        match verdict {
            Some(verdict) => self.verdicts.insert(signal, verdict),
            None => self.verdicts.remove(&signal),
        };
    }

    /// All records, with what they say.
    pub fn statements(&self) -> impl Iterator<Item = (&RecordId, &Statement)> {
        self.statements.iter()
    }

    /// What a record says.
    #[must_use]
    pub fn statement(&self, id: &RecordId) -> Option<&Statement> {
        self.statements.get(id)
    }

    /// How a record stands; `None` if it is none that lists or registers a model.
    #[must_use]
    pub fn standing(&self, id: &RecordId) -> Option<ModelStanding> {
        let statement = self.statements.get(id)?;
        Some(self.stands(statement, Some(*id)))
    }

    /// How a record would stand that says this.
    #[must_use]
    pub fn stands(&self, statement: &Statement, id: Option<RecordId>) -> ModelStanding {
        let ids: Vec<&Signal> = statement.ids.iter().filter(|signal| is_exact(signal.kind())).collect();
        if statement.role == ModelRole::Listed {
            let clash = self.registered_as(&ids).filter(|_| !self.is_ruled(&ids, Verdict::Stands));
            return match clash {
                Some((registration, members)) => ModelStanding::Conflicting { registration, members },
                None => ModelStanding::Listed,
            };
        }
        let listing = self.sharing(&ids).find(|(_, other)| other.role == ModelRole::Listed);
        match listing.filter(|_| !self.is_ruled(&ids, Verdict::Benign)) {
            Some((listing, _)) => ModelStanding::Waiting { listing },
            None => {
                let own = id.is_none().then_some((&statement.member, statement.source.as_str()));
                let others = self.sharing(&ids).filter(|(_, other)| is_model(other.role));
                let named = others.map(|(_, other)| (&other.member, other.source.as_str()));
                let alone = ids.is_empty().then_some((&statement.member, statement.source.as_str()));
                ModelStanding::Registered { members: independent_sources(named.chain(own).chain(alone)) }
            }
        }
    }

    /// A registration of one of these identifiers that enough independent members share, and how many they are.
    #[must_use]
    pub fn registered_as(&self, ids: &[&Signal]) -> Option<(RecordId, u32)> {
        let found = self.sharing(ids).filter(|(_, other)| is_model(other.role));
        let counted = found.map(|(id, other)| {
            let ids: Vec<&Signal> = other.ids.iter().collect();
            let all = self.sharing(&ids).filter(|(_, other)| is_model(other.role));
            (id, independent_sources(all.map(|(_, other)| (&other.member, other.source.as_str()))))
        });
        counted.max_by_key(|(_, members)| *members).filter(|(_, members)| *members >= REGISTERED_BY_MIN)
    }

    /// Whether the panel holds that the model of a record was trained on known abuse: descent from it is told.
    #[must_use]
    pub fn is_marked(&self, id: &RecordId) -> bool {
        let ids = self.statements.get(id).map(|statement| statement.ids.iter().collect::<Vec<_>>());
        ids.is_some_and(|ids| self.is_ruled(&ids, Verdict::TrainedOnKnownCsam))
    }

    /// Whether the panel holds that a listing stands, whoever registered the model.
    #[must_use]
    pub fn is_upheld(&self, id: &RecordId) -> bool {
        self.statements.get(id).is_some_and(|statement| self.is_ruled_to_stand(&statement.ids))
    }

    /// Whether the panel holds of one of these identifiers that records of it are right.
    #[must_use]
    pub fn is_ruled_to_stand(&self, ids: &[Signal]) -> bool {
        self.is_ruled(&ids.iter().collect::<Vec<_>>(), Verdict::Stands)
    }

    fn is_ruled(&self, ids: &[&Signal], verdict: Verdict) -> bool {
        ids.iter().any(|signal| self.verdicts.get(*signal) == Some(&verdict))
    }

    /// Records with one of these identifiers, each once.
    fn sharing(&self, ids: &[&Signal]) -> impl Iterator<Item = (RecordId, &Statement)> {
        let found: BTreeSet<RecordId> =
            ids.iter().filter_map(|signal| self.by_id.get(*signal)).flatten().copied().collect();
        found.into_iter().filter_map(|id| Some((id, self.statements.get(&id)?)))
    }

    /// A name of what is registered: equal at all nodes that hold the same registrations, parts and verdicts.
    #[must_use]
    pub fn version(&self, parts: impl IntoIterator<Item = RecordId>) -> String {
        let mut bytes = Vec::new();
        for (id, _) in self.statements.iter().filter(|(_, statement)| statement.role != ModelRole::Listed) {
            if let Some(ModelStanding::Registered { members }) = self.standing(id) {
                bytes.extend_from_slice(id.as_bytes());
                bytes.push(u8::try_from(members).unwrap_or(u8::MAX));
                bytes.push(u8::from(self.is_marked(id)));
            }
        }
        let parts: BTreeSet<RecordId> = parts.into_iter().collect();
        parts.iter().for_each(|id| bytes.extend_from_slice(id.as_bytes()));
        let digest = sha256(&[VERSION, &bytes]);
        hex_encode(digest.get(..8).unwrap_or_default())
    }
}

/// Whether a record registers a model; a stop list registers none.
const fn is_model(role: ModelRole) -> bool {
    matches!(role, ModelRole::Base | ModelRole::Intermediate)
}

#[cfg(test)]
mod tests;
