//! One list: read from its shape, with errors that name the key, and written back.

use super::condition::{Conditions, Newcomers};
use super::outcome::Outcome;
use crate::view::Status;
use hashpact_protocol::api::ListJson;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::limits::{PDQ_DISTANCE_MAX, QUALITY_MAX};
use hashpact_protocol::record::{Review, SignalType, Token, Vocabulary};
use hashpact_protocol::roster::{MemberId, Role};
use std::collections::BTreeSet;

/// Name of the list that every node has.
pub const BUILT_IN_LIST: &str = "built-in";
/// Largest priority; the smallest is its negative.
pub const PRIORITY_MAX: i32 = 1_000;
/// What a new list says about the version that it was made from.
pub const VERSION_NONE: u64 = 0;
/// Longest note, in characters.
const NOTE_CHARS_MAX: usize = 200;
/// Most words of one condition.
const WORDS_MAX: usize = 256;
/// Largest number of members or sources that a list can ask for: as many as a roster lists.
const COUNT_MAX: u32 = 256;
/// Longest times: a hundred years.
const DAYS_MAX: u32 = 36_525;
const HOURS_MAX: u32 = DAYS_MAX * 24;
const INDUSTRY_CLASSES: [&str; 4] = ["A1", "A2", "B1", "B2"];
const STATUSES: [Status; 5] =
    [Status::Active, Status::Disputed, Status::Contested, Status::Conflicting, Status::Retracted];
/// Kinds of records that have signals.
const KINDS: [Kind; 4] = [Kind::Content, Kind::Model, Kind::Dataset, Kind::Service];
const ROLES: [Role; 4] = [Role::Contributor, Role::Hotline, Role::Observer, Role::Auditor];

/// A checked list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its name.
    pub name: String,
    /// Its version: 1 for the first.
    pub version: u64,
    /// What it answers for what counts.
    pub outcome: Outcome,
    /// The highest of those that count a record decides.
    pub priority: i32,
    /// What it is for.
    pub note: Option<String>,
    /// What counts.
    pub conditions: Conditions,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}")]
pub struct ListError {
    /// The key that is wrong.
    pub key: &'static str,
    /// What is wrong with it.
    pub rule: ListRule,
}

/// A rule of lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListRule {
    /// No name.
    #[error("must be 1 to 64 characters a-z 0-9 . _ -")]
    Token,
    /// The name of the built-in list.
    #[error("the list {BUILT_IN_LIST:?} is built in and cannot be changed; choose another name")]
    BuiltIn,
    /// Not a word of its vocabulary.
    #[error("unknown word {got:?}; expected one of: {allowed}")]
    Word {
        /// The word, cut short.
        got: String,
        /// The vocabulary.
        allowed: String,
    },
    /// A word that stands twice.
    #[error("{got:?} stands twice")]
    Twice {
        /// The word, cut short.
        got: String,
    },
    /// Too many words.
    #[error("{got} words, at most {WORDS_MAX} are allowed")]
    TooMany {
        /// How many.
        got: usize,
    },
    /// A number outside its range.
    #[error("{got} is not in the range {min} to {max}")]
    Range {
        /// The number.
        got: i64,
        /// Least.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Two ways of saying the same.
    #[error("cannot stand beside {other}: say one of them")]
    Beside {
        /// The other key.
        other: &'static str,
    },
    /// One half of a pair.
    #[error("needs {other} as well")]
    Needs {
        /// The other key.
        other: &'static str,
    },
    /// A distance of a type that is matched byte for byte.
    #[error("only pdq has a distance; {got:?} matches exactly or is no signal type")]
    ExactType {
        /// The type, cut short.
        got: String,
    },
    /// Not the id of a member.
    #[error("{got:?} is no member id: 1 to 32 characters a-z 0-9 -")]
    Member {
        /// The text, cut short.
        got: String,
    },
    /// Too long, or characters that do not show.
    #[error("must be at most {NOTE_CHARS_MAX} characters without control characters")]
    Note,
}

impl List {
    /// The list that every node has: whatever counts is for review.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            name: BUILT_IN_LIST.to_owned(),
            version: 1,
            outcome: Outcome::Review,
            priority: i32::MIN,
            note: Some("whatever counts is for review; comes after all other lists".to_owned()),
            conditions: Conditions::default(),
        }
    }

    /// Whether it is the one that every node has.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.name == BUILT_IN_LIST
    }

    /// Checks a list.
    ///
    /// # Errors
    /// The first key that breaks a rule.
    pub fn read(shape: &ListJson) -> Result<Self, ListError> {
        let name = &shape.name;
        Token::new(name).map_err(|_| error("name", ListRule::Token))?;
        if name == BUILT_IN_LIST {
            return Err(error("name", ListRule::BuiltIn));
        }
        let outcomes = || Outcome::ALL.map(Outcome::name).join(", ");
        let outcome =
            Outcome::parse(&shape.outcome).ok_or_else(|| unknown("outcome", &shape.outcome, outcomes()))?;
        let limit = i64::from(PRIORITY_MAX);
        check_range("priority", i64::from(shape.priority), -limit, limit)?;
        if let Some(note) = &shape.note
            && (note.chars().count() > NOTE_CHARS_MAX || note.chars().any(char::is_control))
        {
            return Err(error("note", ListRule::Note));
        }
        Ok(Self {
            name: name.clone(),
            version: shape.version,
            outcome,
            priority: shape.priority,
            note: shape.note.clone(),
            conditions: conditions(shape)?,
        })
    }

    /// Its shape: what was read, in one spelling.
    #[must_use]
    pub fn show(&self) -> ListJson {
        let c = &self.conditions;
        let is_stated = |number: u32| Some(number).filter(|number| *number > 0);
        ListJson {
            name: self.name.clone(),
            version: self.version,
            outcome: self.outcome.name().to_owned(),
            priority: if self.is_built_in() { -PRIORITY_MAX - 1 } else { self.priority },
            note: self.note.clone(),
            signals: owned(c.signals.iter().map(|kind| kind.name())),
            kind: owned(c.kind.iter().map(|kind| kind.name())),
            query_quality_min: c.query_quality_min,
            status: owned(c.status.iter().copied()),
            review: names(&c.review),
            review_min: None,
            realism: names(&c.realism),
            activity: names(&c.activity),
            age_group: names(&c.age_group),
            age_band: names(&c.age_band),
            likeness: names(&c.likeness),
            industry_class: owned(c.industry_class.iter().copied()),
            tlp: names(&c.tlp),
            hash_set: owned(c.hash_set.iter().map(String::as_str)),
            incident: owned(c.incident.iter().map(String::as_str)),
            members: owned(c.members.iter().map(MemberId::as_str)),
            except_members: owned(c.except_members.iter().map(MemberId::as_str)),
            roles: owned(c.roles.iter().map(|role| role.name())),
            sources_min: is_stated(c.sources_min),
            agree_min: is_stated(c.agree_min),
            disagree_max: c.disagree_max,
            newcomer_days: c.newcomers.map(|newcomers| newcomers.days),
            newcomer_sources_min: c.newcomers.map(|newcomers| newcomers.sources_min),
            age_hours_min: c.age_hours_min,
            age_days_max: c.age_days_max,
            distance: c.pdq_distance.map(|bits| ("pdq".to_owned(), u32::from(bits))).into_iter().collect(),
        }
    }
}

fn conditions(shape: &ListJson) -> Result<Conditions, ListError> {
    let quality = shape.query_quality_min.map(i64::from);
    check_some("query_quality_min", quality, 0, i64::from(QUALITY_MAX))?;
    for (key, number, max) in [
        ("sources_min", shape.sources_min, COUNT_MAX),
        ("agree_min", shape.agree_min, COUNT_MAX),
        ("newcomer_days", shape.newcomer_days, DAYS_MAX),
        ("newcomer_sources_min", shape.newcomer_sources_min, COUNT_MAX),
        ("age_hours_min", shape.age_hours_min, HOURS_MAX),
        ("age_days_max", shape.age_days_max, DAYS_MAX),
    ] {
        check_some(key, number.map(i64::from), 1, i64::from(max))?;
    }
    check_some("disagree_max", shape.disagree_max.map(i64::from), 0, i64::from(COUNT_MAX))?;
    let signal = |word: &str| SignalType::parse(word);
    let kind = |word: &str| KINDS.into_iter().find(|kind| kind.name() == word);
    let role = |word: &str| ROLES.into_iter().find(|role| role.name() == word);
    let status = |word: &str| STATUSES.into_iter().map(Status::name).find(|name| *name == word);
    let class = |word: &str| INDUSTRY_CLASSES.into_iter().find(|name| *name == word);
    Ok(Conditions {
        signals: among("signals", &shape.signals, signal, &SignalType::ALL.map(SignalType::name))?,
        kind: among("kind", &shape.kind, kind, &KINDS.map(Kind::name))?,
        pdq_distance: pdq_distance(shape)?,
        query_quality_min: shape.query_quality_min,
        status: among("status", &shape.status, status, &STATUSES.map(Status::name))?,
        review: review(shape)?,
        realism: vocabulary("realism", &shape.realism)?,
        activity: vocabulary("activity", &shape.activity)?,
        age_group: vocabulary("age_group", &shape.age_group)?,
        age_band: vocabulary("age_band", &shape.age_band)?,
        likeness: vocabulary("likeness", &shape.likeness)?,
        industry_class: among("industry_class", &shape.industry_class, class, &INDUSTRY_CLASSES)?,
        tlp: vocabulary("tlp", &shape.tlp)?,
        hash_set: tokens("hash_set", &shape.hash_set)?,
        incident: tokens("incident", &shape.incident)?,
        members: members("members", &shape.members)?,
        except_members: members("except_members", &shape.except_members)?,
        roles: among("roles", &shape.roles, role, &ROLES.map(Role::name))?,
        sources_min: shape.sources_min.unwrap_or(0),
        agree_min: shape.agree_min.unwrap_or(0),
        disagree_max: shape.disagree_max,
        newcomers: newcomers(shape)?,
        age_hours_min: shape.age_hours_min,
        age_days_max: shape.age_days_max,
    })
}

fn pdq_distance(shape: &ListJson) -> Result<Option<u16>, ListError> {
    let mut distance = None;
    for (kind, bits) in &shape.distance {
        if kind != SignalType::Pdq.name() {
            return Err(error("distance", ListRule::ExactType { got: shortened(kind) }));
        }
        check_range("distance.pdq", i64::from(*bits), 0, i64::from(PDQ_DISTANCE_MAX))?;
        distance = u16::try_from(*bits).ok();
    }
    Ok(distance)
}

fn review(shape: &ListJson) -> Result<BTreeSet<Review>, ListError> {
    let Some(least) = &shape.review_min else { return vocabulary("review", &shape.review) };
    if !shape.review.is_empty() {
        return Err(error("review_min", ListRule::Beside { other: "review" }));
    }
    let least: Review = word("review_min", least)?;
    Ok(Review::all().filter(|review| *review >= least).collect())
}

fn newcomers(shape: &ListJson) -> Result<Option<Newcomers>, ListError> {
    match (shape.newcomer_days, shape.newcomer_sources_min) {
        (Some(days), Some(sources_min)) => Ok(Some(Newcomers { days, sources_min })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(error("newcomer_days", ListRule::Needs { other: "newcomer_sources_min" })),
        (None, Some(_)) => Err(error("newcomer_sources_min", ListRule::Needs { other: "newcomer_days" })),
    }
}

/// Reads words of one condition, each once.
fn each<T: Ord>(
    key: &'static str,
    words: &[String],
    read: impl Fn(&str) -> Result<T, ListError>,
) -> Result<BTreeSet<T>, ListError> {
    if words.len() > WORDS_MAX {
        return Err(error(key, ListRule::TooMany { got: words.len() }));
    }
    let mut set = BTreeSet::new();
    for word in words {
        if !set.insert(read(word)?) {
            return Err(error(key, ListRule::Twice { got: shortened(word) }));
        }
    }
    Ok(set)
}

fn among<T: Ord>(
    key: &'static str,
    words: &[String],
    parse: impl Fn(&str) -> Option<T>,
    allowed: &[&str],
) -> Result<BTreeSet<T>, ListError> {
    each(key, words, |word| parse(word).ok_or_else(|| unknown(key, word, allowed.join(", "))))
}

fn vocabulary<T: Vocabulary>(key: &'static str, words: &[String]) -> Result<BTreeSet<T>, ListError> {
    each(key, words, |text| word(key, text))
}

fn word<T: Vocabulary>(key: &'static str, text: &str) -> Result<T, ListError> {
    let allowed = || T::all().map(Vocabulary::name).collect::<Vec<_>>().join(", ");
    T::parse(text).ok_or_else(|| unknown(key, text, allowed()))
}

fn tokens(key: &'static str, words: &[String]) -> Result<BTreeSet<String>, ListError> {
    let read = |word: &str| Token::new(word).map_err(|_| error(key, ListRule::Token));
    each(key, words, |word| read(word).map(|token| token.as_str().to_owned()))
}

fn members(key: &'static str, words: &[String]) -> Result<BTreeSet<MemberId>, ListError> {
    let wrong = |word: &str| error(key, ListRule::Member { got: shortened(word) });
    each(key, words, |word| MemberId::parse(word).map_err(|_| wrong(word)))
}

fn check_some(key: &'static str, number: Option<i64>, min: i64, max: i64) -> Result<(), ListError> {
    number.map_or(Ok(()), |got| check_range(key, got, min, max))
}

fn check_range(key: &'static str, got: i64, min: i64, max: i64) -> Result<(), ListError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(error(key, ListRule::Range { got, min, max })) }
}

fn error(key: &'static str, rule: ListRule) -> ListError {
    ListError { key, rule }
}

fn unknown(key: &'static str, got: &str, allowed: String) -> ListError {
    error(key, ListRule::Word { got: shortened(got), allowed })
}

/// At most 24 characters of a word, for a message.
fn shortened(word: &str) -> String {
    word.chars().take(24).collect()
}

fn names<T: Vocabulary>(words: &BTreeSet<T>) -> Vec<String> {
    owned(words.iter().map(|word| word.name()))
}

fn owned<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words.map(str::to_owned).collect()
}
