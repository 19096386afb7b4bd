//! What a policy may know about one record that one query item found.
//!
//! There is no origin here, and no evidence of origin: what a list cannot read cannot change its outcome
//! (DESIGN: Matching). Opinions that only ask for other labels are not disagreement, either.

use crate::view::{Standing, Statement, Status};
use hashpact_protocol::record::{
    Activity, AgeBand, AgeGroup, IncidentId, Label, Labels, Likeness, OpinionValue, Realism, Reason, Review,
    SignalType, Tlp,
};
use hashpact_protocol::roster::{MemberId, Role};
use std::collections::{BTreeMap, BTreeSet};

/// The labels of a record that lists may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarmLabels {
    /// How far it can be told from a photograph.
    pub realism: Label<Realism>,
    /// Activity class.
    pub activity: Label<Activity>,
    /// Age group.
    pub age_group: Label<AgeGroup>,
    /// Finer age band.
    pub age_band: Label<AgeBand>,
    /// Whether it is modelled after somebody.
    pub likeness: Label<Likeness>,
    /// With whom the record may be shared.
    pub tlp: Label<Tlp>,
    /// Class of the industry scheme.
    pub industry_class: Option<&'static str>,
}

impl From<&Labels> for HarmLabels {
    fn from(labels: &Labels) -> Self {
        let Labels { realism, activity, age_group, age_band, likeness, tlp, .. } = labels;
        Self {
            realism: *realism,
            activity: *activity,
            age_group: *age_group,
            age_band: *age_band,
            likeness: *likeness,
            tlp: *tlp,
            industry_class: labels.industry_class(),
        }
    }
}

/// What members say about the harm that a record states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opinions {
    /// Members that agree.
    pub agree: u32,
    /// Members that disagree, other than about labels.
    pub disagree: u32,
}

impl Opinions {
    /// The opinions of a record's standing, without those of muted members. Who asks for other labels
    /// (`not_cg`, `wrong_class`) thinks of the harm as it did before.
    #[must_use]
    pub fn of(standing: &Standing, members: &Members) -> Self {
        let mut counts = Self::default();
        for (member, statement) in &standing.statements {
            if members.is_muted(member) {
                continue;
            }
            match on_harm(statement) {
                Some(OpinionValue::Agree) => counts.agree += 1,
                Some(OpinionValue::Disagree) => counts.disagree += 1,
                Some(OpinionValue::Unsure | OpinionValue::Seen) | None => {}
            }
        }
        counts
    }
}

/// What a member thinks of the harm: its latest opinion that did not disagree about labels alone.
#[must_use]
pub fn on_harm(statement: &Statement) -> Option<OpinionValue> {
    let before = statement.before.as_ref().map(|before| before.opinion);
    if asks_for_labels(statement) { before } else { Some(statement.opinion) }
}

/// Whether an opinion disagrees about labels and leaves the harm as it is.
#[must_use]
pub fn asks_for_labels(statement: &Statement) -> bool {
    statement.opinion == OpinionValue::Disagree
        && matches!(statement.reason, Some(Reason::NotCg | Reason::WrongClass))
}

/// Why a record waits for a local decision, or what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flooded {
    /// Stated in a flood that nobody has decided about.
    Waiting,
    /// Stated in a flood that was rejected here.
    Rejected,
    /// Withdrawn by its author, in a flood of withdrawals that does not count here.
    Withdrawn,
}

/// One record that was found, apart from how it was found.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who stated it.
    pub member: &'a MemberId,
    /// How it stands.
    pub status: Status,
    /// What it is.
    pub labels: HarmLabels,
    /// Who reviewed the harm, as stated.
    pub review: Label<Review>,
    /// What members say about it.
    pub opinions: Opinions,
    /// When it was stated: the author's claim, in milliseconds.
    pub stated_ms: u64,
    /// Registered set that the author put it into.
    pub hash_set: Option<&'a str>,
    /// Incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// Whether it says that a model is benign, which no list counts.
    pub is_registration: bool,
    /// Whether it is part of a flood.
    pub flooded: Option<Flooded>,
    /// Whether members or this node call the signal that was found benign.
    pub negative: Option<Negative<'a>>,
}

/// Why matches by resemblance are for review at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negative<'a> {
    /// The query lies near a value of a local negative list.
    Local {
        /// The list.
        list: &'a str,
        /// Distance from the value.
        distance: u16,
    },
    /// So many members call the signal a collision with benign content, or those shown adults.
    Members {
        /// How many; at least [`super::NEGATIVE_MEMBERS_MIN`].
        count: u32,
    },
}

/// One way in which a record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Type of the signals that resemble each other.
    pub signal: SignalType,
    /// Their distance; 0 is equal.
    pub distance: u16,
    /// Quality of the query's value, as far as the caller knows.
    pub quality: Option<u8>,
}

impl Way {
    /// Whether it rests on a digest of bytes, which nothing resembles.
    #[must_use]
    pub const fn is_digest(&self) -> bool {
        self.signal.matches_exactly() && !matches!(self.signal, SignalType::PhotoDna)
    }
}

/// What the roster, and this node's operator, say about one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// When the roster listed it first, seconds since 1970.
    pub joined_s: u64,
    /// Whether this node's operator muted it.
    pub muted: bool,
}

/// All members that the roster lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    by_id: BTreeMap<MemberId, MemberFacts>,
}

impl Members {
    /// What is known about a member.
    #[must_use]
    pub fn get(&self, member: &MemberId) -> Option<&MemberFacts> {
        self.by_id.get(member)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&MemberId, &MemberFacts)> {
        self.by_id.iter()
    }

    /// Takes what is known about a member.
    pub fn insert(&mut self, member: MemberId, facts: MemberFacts) {
        self.by_id.insert(member, facts);
    }

    /// Whether nothing that a member says counts here.
    #[must_use]
    pub fn is_muted(&self, member: &MemberId) -> bool {
        self.get(member).is_some_and(|facts| facts.muted)
    }

    /// How many members are muted.
    #[must_use]
    pub fn muted(&self) -> usize {
        self.by_id.values().filter(|facts| facts.muted).count()
    }

    /// Whether the roster gives it a role.
    #[must_use]
    pub fn has(&self, member: &MemberId, role: Role) -> bool {
        self.get(member).is_some_and(|facts| facts.roles.contains(&role))
    }
}

impl FromIterator<(MemberId, MemberFacts)> for Members {
    fn from_iter<I: IntoIterator<Item = (MemberId, MemberFacts)>>(members: I) -> Self {
        Self { by_id: members.into_iter().collect() }
    }
}
