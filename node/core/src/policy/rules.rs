//! The rules that no list can switch off, in one place.
//!
//! A list says what it would do with a record; these say how far it may go. They look at one record and one way in
//! which it was found, never at a list. (Two more hold by construction: a policy never sees origin or evidence of
//! origin, and opinions that ask for other labels are no disagreement; see [`super::facts`].)

use super::facts::{Facts, Flooded, Members, Negative, Way};
use super::outcome::Outcome;
use crate::view::{PDQ_QUALITY_MIN, Status};
use hashpact_protocol::record::Review;
use hashpact_protocol::roster::Role;

/// How many members must call a signal benign.
pub const NEGATIVE_MEMBERS_MIN: u32 = 2;

/// A rule that applies to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// It does not stand.
    NotStanding(Status),
    /// Its author is muted here.
    Muted,
    /// It is part of a flood that was rejected here.
    FloodRejected,
    /// Its author signed two histories.
    Contested,
    /// Members registered the model that it lists as benign, and the panel has not ruled.
    Conflicting,
    /// It is part of a flood that waits for a decision.
    FloodWaiting,
    /// Its author withdrew it in a flood that does not count here.
    FloodWithdrawn,
    /// Nobody reviewed the harm, or nobody whose word for it counts.
    Unreviewed,
    /// The query's picture has too little detail for its hash to mean much.
    QueryQuality(u8),
    /// A local negative list has something near the query.
    LocalNegative(u16),
    /// Members call the signal benign.
    MembersNegative(u32),
}

impl Rule {
    /// Its fixed name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotStanding(_) => "not_standing",
            Self::Muted => "muted",
            Self::FloodRejected => "flood_rejected",
            Self::Contested => "contested",
            Self::Conflicting => "conflicting",
            Self::FloodWaiting => "flood_waiting",
            Self::FloodWithdrawn => "flood_withdrawn",
            Self::Unreviewed => "unreviewed",
            Self::QueryQuality(_) => "query_quality",
            Self::LocalNegative(_) => "local_negative",
            Self::MembersNegative(_) => "members_negative",
        }
    }

    /// Whether the record does not count at all; otherwise it counts for review at most.
    #[must_use]
    pub const fn excludes(self) -> bool {
        matches!(self, Self::NotStanding(_) | Self::Muted | Self::FloodRejected)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotStanding(status) => write!(f, "does not count: it is {}", status.name()),
            Self::Muted => write!(f, "does not count: its member is muted at this node"),
            Self::FloodRejected => {
                write!(f, "does not count: it came in a flood that was rejected at this node")
            }
            Self::Contested => write!(f, "review at most: its author signed two histories"),
            Self::Conflicting => {
                write!(f, "review at most: members registered this model as benign, and the panel has not ruled")
            }
            Self::FloodWaiting => {
                write!(f, "review at most: it came in a flood that waits for a decision at this node")
            }
            Self::FloodWithdrawn => {
                write!(
                    f,
                    "review at most: its author withdrew it, in a flood of withdrawals that does not count here"
                )
            }
            Self::Unreviewed => write!(f, "review at most: nobody whose review counts has looked at it"),
            Self::QueryQuality(quality) => {
                write!(f, "review at most: the query's quality is {quality}, under {PDQ_QUALITY_MIN}")
            }
            Self::LocalNegative(distance) => write!(
                f,
                "review at most: the query is at distance {distance} of a value on a negative list of this node"
            ),
            Self::MembersNegative(count) => {
                write!(f, "review at most: {count} members call this signal benign or adult")
            }
        }
    }
}

/// Whose review of the harm counts: `hotline_confirmed` of who is no hotline is no review, and neither is a
/// word that this version does not know.
#[must_use]
pub(super) fn review(facts: &Facts<'_>, members: &Members) -> Review {
    match facts.review.get() {
        Review::HotlineConfirmed if !members.has(facts.member, Role::Hotline) => Review::Unreviewed,
        review => review,
    }
}

/// How a record stands for lists: one about whose labels alone members disagree is not disputed.
#[must_use]
pub(super) fn status(facts: &Facts<'_>) -> Status {
    match facts.status {
        Status::Active | Status::Disputed if facts.opinions.disagree == 0 => Status::Active,
        Status::Active | Status::Disputed => Status::Disputed,
        status => status,
    }
}

/// The rules that apply to a record found in this way.
pub(super) fn rules<'a>(
    facts: &Facts<'a>,
    way: &Way,
    members: &Members,
) -> impl Iterator<Item = Rule> + use<'a> {
    let review = review(facts, members);
    let counts = facts.status.stands() || facts.flooded == Some(Flooded::Withdrawn);
    let is_enough = |negative: &Negative<'_>| !matches!(negative, Negative::Members { count } if *count < NEGATIVE_MEMBERS_MIN);
    let negative = facts.negative.filter(is_enough);
    let negative = negative.filter(|_| !way.is_digest() && review != Review::HotlineConfirmed);
    let poor = way.quality.filter(|quality| !way.is_digest() && *quality < PDQ_QUALITY_MIN);
    [
        (!counts).then_some(Rule::NotStanding(facts.status)),
        members.is_muted(facts.member).then_some(Rule::Muted),
        facts.flooded.map(|flooded| match flooded {
            Flooded::Waiting => Rule::FloodWaiting,
            Flooded::Rejected => Rule::FloodRejected,
            Flooded::Withdrawn => Rule::FloodWithdrawn,
        }),
        (facts.status == Status::Contested).then_some(Rule::Contested),
        (facts.status == Status::Conflicting).then_some(Rule::Conflicting),
        (review == Review::Unreviewed).then_some(Rule::Unreviewed),
        poor.map(Rule::QueryQuality),
        negative.map(|negative| match negative {
            Negative::Local { distance, .. } => Rule::LocalNegative(distance),
            Negative::Members { count } => Rule::MembersNegative(count),
        }),
    ]
    .into_iter()
    .flatten()
}

/// How far lists may go with a record found in this way; `None`: it does not count.
#[must_use]
pub(super) fn most(facts: &Facts<'_>, way: &Way, members: &Members) -> Option<Outcome> {
    let mut most = Outcome::Block;
    for rule in rules(facts, way, members) {
        if rule.excludes() {
            return None;
        }
        most = Outcome::Review;
    }
    Some(most)
}
