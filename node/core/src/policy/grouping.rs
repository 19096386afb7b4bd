//! Near-duplicates as one: who has looked at them already, and whether anybody must look again.
//!
//! What resembles what a person has to look at was often looked at before. A group is all records that one look-up
//! counted; it says how many they are, who stands behind them, and how well they are reviewed, so that a second
//! person need not look without need. It decides nothing: outcomes come from lists.
//!
//! A look counts once for each independent source: whoever reviewed what it states, and whoever agrees with it. Importers of one
//! list have looked once. What nobody may rely on is left out: members who are muted here, records in a flood that waits
//! for a decision, or of which the author signed two histories. They still make the group larger, and can still dispute it.
//!
//! SPEC §11.3.

use super::facts::{Facts, Members, Negative, on_harm};
use super::rules::{self, NEGATIVE_MEMBERS_MIN};
use super::source::independent_sources;
use crate::view::{Standing, Status};
use hashpact_protocol::record::{OpinionValue, Review};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeSet;

/// How many independent looks are enough.
pub const LOOKS_ENOUGH: u32 = 2;

/// One record of a group.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    /// What the lists judged by.
    pub facts: Facts<'a>,
    /// Who stated it originally ([`super::original_source`]).
    pub source: &'a str,
    /// What members say about it.
    pub standing: Option<&'a Standing>,
}

/// Whether a person must look, and why; the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Somebody disagrees, or calls a signal of it benign: look.
    Disputed,
    /// A hotline has confirmed it.
    HotlineConfirmed,
    /// Two people of one member, or two independent members, have looked.
    ReviewedTwice,
    /// One has: look.
    SingleReview,
    /// Nobody whose word counts has: look.
    Unreviewed,
}

impl Look {
    /// Every word.
    pub const ALL: [Self; 5] =
        [Self::Disputed, Self::HotlineConfirmed, Self::ReviewedTwice, Self::SingleReview, Self::Unreviewed];

    /// The word in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disputed => "disputed",
            Self::HotlineConfirmed => "hotline_confirmed",
            Self::ReviewedTwice => "reviewed_twice",
            Self::SingleReview => "single_review",
            Self::Unreviewed => "unreviewed",
        }
    }

    /// Whether a further look is needed.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Disputed | Self::SingleReview | Self::Unreviewed)
    }
}

/// What is known about records that resemble one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How many they are.
    pub records: u64,
    /// Who stated them.
    pub members: BTreeSet<MemberId>,
    /// Independent original sources among them.
    pub sources: u32,
    /// The highest review that counts.
    pub review: Review,
    /// Members that have looked: they reviewed what they stated, or agree.
    pub reviewed_by: BTreeSet<MemberId>,
    /// How many of these looks are independent; a member that reviewed twice looked twice.
    pub looks: u32,
    /// Members that disagree, other than about labels.
    pub disputed_by: BTreeSet<MemberId>,
    /// Whether a further look is needed, and why.
    pub look: Look,
}

impl Group {
    /// The group of these records. Whoever is muted here is passed over.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = Grouped<'a>>, members: &Members) -> Self {
        let records = records.into_iter().filter(|record| !members.is_muted(record.facts.member));
        let records: Vec<Grouped<'a>> = records.filter(|record| record.facts.status.stands()).collect();
        let reviews = || records.iter().filter(|record| is_reliable(&record.facts));
        let review = reviews().map(|record| rules::review(&record.facts, members)).max();
        let review = review.unwrap_or(Review::Unreviewed);
        let looks: Vec<(&MemberId, &str)> = reviews().flat_map(|record| looks(record, members)).collect();
        let reviewed_by = looks.iter().map(|(member, _)| (*member).clone()).collect();
        let twice = if review >= Review::Dual { LOOKS_ENOUGH } else { 0 };
        let looks = independent_sources(looks).max(twice);
        let disputed_by: BTreeSet<MemberId> = records.iter().flat_map(|it| disputing(it, members)).collect();
        // What a hotline has confirmed no negative touches.
        let is_benign =
            review < Review::HotlineConfirmed && records.iter().any(|it| is_called_benign(&it.facts));
        let is_disputed = is_benign || !disputed_by.is_empty();
        Self {
            records: records.len() as u64,
            members: records.iter().map(|record| record.facts.member.clone()).collect(),
            sources: independent_sources(records.iter().map(|record| (record.facts.member, record.source))),
            review,
            reviewed_by,
            looks,
            disputed_by,
            look: match review {
                _ if is_disputed => Look::Disputed,
                Review::HotlineConfirmed => Look::HotlineConfirmed,
                _ if looks >= LOOKS_ENOUGH => Look::ReviewedTwice,
                _ if looks > 0 => Look::SingleReview,
                _ => Look::Unreviewed,
            },
        }
    }
}

/// Whether somebody may rely on what its author says about its review.
fn is_reliable(facts: &Facts<'_>) -> bool {
    facts.status != Status::Contested && facts.flooded.is_none()
}

/// Whether this node or enough members call the signal benign that was found.
fn is_called_benign(facts: &Facts<'_>) -> bool {
    match facts.negative {
        Some(Negative::Local { .. }) => true,
        Some(Negative::Members { count }) => count >= NEGATIVE_MEMBERS_MIN,
        None => false,
    }
}

/// Who looked at a record, each with the source that it stands for. Agreement with what nobody reviewed is a look as well.
fn looks<'a>(record: &Grouped<'a>, members: &Members) -> Vec<(&'a MemberId, &'a str)> {
    let Grouped { facts, source, standing } = *record;
    let own = (rules::review(&facts, members) > Review::Unreviewed).then_some((facts.member, source));
    let statements = standing.into_iter().flat_map(|standing| &standing.statements);
    let agreeing = statements.filter(|(member, statement)| {
        on_harm(statement) == Some(OpinionValue::Agree) && !members.is_muted(member)
    });
    own.into_iter().chain(agreeing.map(|(member, _)| (member, member.as_str()))).collect()
}

/// Who disagrees with a record, unless the panel settled that.
fn disputing(record: &Grouped<'_>, members: &Members) -> Vec<MemberId> {
    let is_settled = record.facts.status == Status::Active && record.facts.opinions.disagree > 0;
    let standing = record.standing.filter(|_| !is_settled && record.facts.opinions.disagree > 0);
    let statements = standing.into_iter().flat_map(|standing| &standing.statements);
    let disagreeing = statements.filter(|(member, statement)| {
        on_harm(statement) == Some(OpinionValue::Disagree) && !members.is_muted(member)
    });
    disagreeing.map(|(member, _)| member.clone()).collect()
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { records, members, sources, reviewed_by, disputed_by, look, .. } = self;
        write!(f, "{records} records of {} members and {sources} independent sources: ", members.len())?;
        let names = |members: &BTreeSet<MemberId>| -> String {
            members.iter().map(MemberId::as_str).collect::<Vec<_>>().join(", ")
        };
        match look {
            Look::Disputed if disputed_by.is_empty() => {
                write!(f, "look, a signal of theirs is called benign")
            }
            Look::Disputed => write!(f, "look, {} disagrees", names(disputed_by)),
            Look::HotlineConfirmed => write!(f, "no further look is needed, a hotline has confirmed it"),
            Look::ReviewedTwice => {
                write!(f, "no further look is needed, it was reviewed twice, by {}", names(reviewed_by))
            }
            Look::SingleReview => write!(f, "look, it was reviewed once, by {}", names(reviewed_by)),
            Look::Unreviewed => write!(f, "look, nobody has reviewed it"),
        }
    }
}
