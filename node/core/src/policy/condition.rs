//! What a list asks of a record before it counts.
//!
//! Every condition can only narrow a list: one that is not stated asks nothing, and a word, code or quality that
//! is unknown or not stated meets none that is.

use super::facts::{Facts, MemberFacts, Members, Way};
use super::rules;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::limits::PDQ_DISTANCE_DEFAULT;
use hashpact_protocol::record::{
    Activity, AgeBand, AgeGroup, Label, LabelWord, Likeness, Realism, Review, SignalType, Tlp, Vocabulary,
};
use hashpact_protocol::roster::{MemberId, Role};
use std::collections::BTreeSet;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The conditions of one list; the default asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Types of signals by which a record may be found; empty: all.
    pub signals: BTreeSet<SignalType>,
    /// Kinds of records that count; empty: all that have signals.
    pub kind: BTreeSet<Kind>,
    /// Largest distance of PDQ values.
    pub pdq_distance: Option<u16>,
    /// Least quality of the query's PDQ value, which the caller must state.
    pub query_quality_min: Option<u8>,
    /// How the record stands; empty: in any way that counts.
    pub status: BTreeSet<&'static str>,
    /// Who reviewed the harm; empty: anybody or nobody.
    pub review: BTreeSet<Review>,
    /// Labels, each empty: any.
    pub realism: BTreeSet<Realism>,
    /// Activity class.
    pub activity: BTreeSet<Activity>,
    /// Age group.
    pub age_group: BTreeSet<AgeGroup>,
    /// Age band.
    pub age_band: BTreeSet<AgeBand>,
    /// Likeness.
    pub likeness: BTreeSet<Likeness>,
    /// Class of the industry scheme.
    pub industry_class: BTreeSet<&'static str>,
    /// Sharing mark.
    pub tlp: BTreeSet<Tlp>,
    /// Sets, of which the record is in at least one; empty: any or none.
    pub hash_set: BTreeSet<String>,
    /// Incidents, to one of which the record belongs; empty: any or none.
    pub incident: BTreeSet<String>,
    /// Members that state it; empty: all.
    pub members: BTreeSet<MemberId>,
    /// Members whose records do not count.
    pub except_members: BTreeSet<MemberId>,
    /// Roles, of which the member has at least one; empty: any or none.
    pub roles: BTreeSet<Role>,
    /// Least number of independent sources.
    pub sources_min: u32,
    /// Least number of members that agree.
    pub agree_min: u32,
    /// Largest number of members that disagree, other than about labels; `None`: any.
    pub disagree_max: Option<u32>,
    /// More is asked of members that joined lately.
    pub newcomers: Option<Newcomers>,
    /// Shortest time since the record was stated, in hours.
    pub age_hours_min: Option<u32>,
    /// Longest time since the record was stated, in days.
    pub age_days_max: Option<u32>,
}

/// What is asked of records of members that joined lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newcomers {
    /// How long a member is a newcomer, in days.
    pub days: u32,
    /// Least number of independent sources meanwhile.
    pub sources_min: u32,
}

/// One condition that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Type of the signal.
    Signals,
    /// Kind of the record.
    Kind,
    /// Asked by every list: the record lists something, and was found by more than a lead.
    Listing,
    /// Distance of PDQ values.
    Distance,
    /// Quality of the query.
    QueryQuality,
    /// How it stands.
    Status,
    /// Who reviewed it.
    Review,
    /// A label.
    Realism,
    /// A label.
    Activity,
    /// A label.
    AgeGroup,
    /// A label.
    AgeBand,
    /// A label.
    Likeness,
    /// Follows from labels.
    IndustryClass,
    /// A label.
    Tlp,
    /// Registered sets.
    HashSet,
    /// Incidents.
    Incident,
    /// Who stated it.
    Members,
    /// Who must not have stated it.
    ExceptMembers,
    /// What who stated it may do.
    Roles,
    /// Who agrees.
    Agree,
    /// Who disagrees.
    Disagree,
    /// Age.
    AgeMin,
    /// Age.
    AgeMax,
    /// Independent sources.
    Sources,
    /// Independent sources of what newcomers state.
    Newcomers,
}

impl Condition {
    /// Every condition, the cheap ones first.
    pub const ALL: [Self; 25] = [
        Self::Signals,
        Self::Kind,
        Self::Listing,
        Self::Distance,
        Self::QueryQuality,
        Self::Status,
        Self::Review,
        Self::Realism,
        Self::Activity,
        Self::AgeGroup,
        Self::AgeBand,
        Self::Likeness,
        Self::IndustryClass,
        Self::Tlp,
        Self::HashSet,
        Self::Incident,
        Self::Members,
        Self::ExceptMembers,
        Self::Roles,
        Self::Agree,
        Self::Disagree,
        Self::AgeMin,
        Self::AgeMax,
        Self::Sources,
        Self::Newcomers,
    ];

    /// The key in a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Kind => "kind",
            Self::Listing => "listing",
            Self::Distance => "distance.pdq",
            Self::QueryQuality => "query_quality_min",
            Self::Status => "status",
            Self::Review => "review",
            Self::Realism => "realism",
            Self::Activity => "activity",
            Self::AgeGroup => "age_group",
            Self::AgeBand => "age_band",
            Self::Likeness => "likeness",
            Self::IndustryClass => "industry_class",
            Self::Tlp => "tlp",
            Self::HashSet => "hash_set",
            Self::Incident => "incident",
            Self::Members => "members",
            Self::ExceptMembers => "except_members",
            Self::Roles => "roles",
            Self::Agree => "agree_min",
            Self::Disagree => "disagree_max",
            Self::AgeMin => "age_hours_min",
            Self::AgeMax => "age_days_max",
            Self::Sources => "sources_min",
            Self::Newcomers => "newcomer_sources_min",
        }
    }
}

/// A condition that a record does not meet, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Which.
    pub condition: Condition,
    /// What the record, or the query, has.
    pub found: String,
    /// What the list asks for.
    pub wanted: String,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { condition, found, wanted } = self;
        write!(f, "{}: found {found}, asked for {wanted}", condition.name())
    }
}

/// What a record is held against: itself, how it was found, and when.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The record.
    pub facts: &'a Facts<'a>,
    /// How it was found.
    pub way: Way,
    /// What the roster says.
    pub members: &'a Members,
    /// Largest PDQ distance that the caller asked for.
    pub call_distance: Option<u16>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// Counts independent sources, which takes long: asked last.
    pub sources: &'a dyn Fn() -> u32,
}

impl Subject<'_> {
    fn member(&self) -> Option<&MemberFacts> {
        self.members.get(self.facts.member)
    }

    fn age_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.facts.stated_ms)
    }

    fn is_newcomer(&self, days: u32) -> bool {
        let since_ms =
            |member: &MemberFacts| self.now_ms.saturating_sub(member.joined_s.saturating_mul(1_000));
        // Who is not listed has not joined.
        self.member().is_none_or(|member| since_ms(member) < u64::from(days) * DAY_MS)
    }
}

impl Conditions {
    /// Largest PDQ distance at which a record counts, given what the caller asked for.
    #[must_use]
    pub fn radius(&self, call_distance: Option<u16>) -> u16 {
        match (self.pdq_distance, call_distance) {
            (Some(own), Some(call)) => own.min(call),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => DISTANCE_DEFAULT,
        }
    }

    /// Whether a record counts.
    #[must_use]
    pub fn hold(&self, subject: &Subject<'_>) -> bool {
        Condition::ALL.into_iter().all(|condition| self.holds(condition, subject))
    }

    /// Every condition that a record does not meet.
    #[must_use]
    pub fn unmet(&self, subject: &Subject<'_>) -> Vec<Unmet> {
        let lacking = Condition::ALL.into_iter().filter(|condition| !self.holds(*condition, subject));
        lacking
            .map(|condition| Unmet {
                condition,
                found: found(condition, subject),
                wanted: self.wanted(condition, subject),
            })
            .collect()
    }

    fn holds(&self, condition: Condition, subject: &Subject<'_>) -> bool {
        let Subject { facts, way, .. } = subject;
        let labels = &facts.labels;
        match condition {
            Condition::Signals => self.signals.is_empty() || self.signals.contains(&way.signal),
            Condition::Kind => self.kind.is_empty() || self.kind.contains(&way.signal.record_kind()),
            Condition::Listing => {
                !facts.is_registration && (way.signal.matches_exactly() || way.signal == SignalType::Pdq)
            }
            Condition::Distance => {
                way.signal != SignalType::Pdq || way.distance <= self.radius(subject.call_distance)
            }
            Condition::QueryQuality => self.query_quality_min.is_none_or(|min| {
                way.signal != SignalType::Pdq || way.quality.is_some_and(|quality| quality >= min)
            }),
            Condition::Status => self.status.is_empty() || self.status.contains(rules::status(facts).name()),
            Condition::Review => {
                let review = rules::review(facts, subject.members);
                let is_known = matches!(facts.review, Label::Known(_));
                self.review.is_empty() || (is_known && self.review.contains(&review))
            }
            Condition::Realism => is_among(labels.realism, &self.realism),
            Condition::Activity => is_among(labels.activity, &self.activity),
            Condition::AgeGroup => is_among(labels.age_group, &self.age_group),
            Condition::AgeBand => is_among(labels.age_band, &self.age_band),
            Condition::Likeness => is_among(labels.likeness, &self.likeness),
            Condition::IndustryClass => {
                let class = labels.industry_class;
                self.industry_class.is_empty()
                    || class.is_some_and(|class| self.industry_class.contains(class))
            }
            Condition::Tlp => is_among(labels.tlp, &self.tlp),
            Condition::HashSet => {
                self.hash_set.is_empty() || facts.hash_set.is_some_and(|set| self.hash_set.contains(set))
            }
            Condition::Incident => {
                self.incident.is_empty()
                    || facts.incident.is_some_and(|incident| self.incident.contains(&incident.to_string()))
            }
            Condition::Members => self.members.is_empty() || self.members.contains(facts.member),
            Condition::ExceptMembers => !self.except_members.contains(facts.member),
            Condition::Roles => {
                let has_one = |member: &MemberFacts| !member.roles.is_disjoint(&self.roles);
                self.roles.is_empty() || subject.member().is_some_and(has_one)
            }
            Condition::Agree => facts.opinions.agree >= self.agree_min,
            Condition::Disagree => self.disagree_max.is_none_or(|max| facts.opinions.disagree <= max),
            Condition::AgeMin => {
                self.age_hours_min.is_none_or(|hours| subject.age_ms() >= u64::from(hours) * HOUR_MS)
            }
            Condition::AgeMax => {
                self.age_days_max.is_none_or(|days| subject.age_ms() <= u64::from(days) * DAY_MS)
            }
            Condition::Sources => self.sources_min <= 1 || (subject.sources)() >= self.sources_min,
            Condition::Newcomers => self.newcomers.is_none_or(|Newcomers { days, sources_min }| {
                !subject.is_newcomer(days) || (subject.sources)() >= sources_min
            }),
        }
    }

    fn wanted(&self, condition: Condition, subject: &Subject<'_>) -> String {
        match condition {
            Condition::Signals => one_of(self.signals.iter().map(|signal| signal.name())),
            Condition::Kind => one_of(self.kind.iter().map(|kind| kind.name())),
            Condition::Listing => "a listing, found by more than a lead".to_owned(),
            Condition::Distance => format!("at most {}", self.radius(subject.call_distance)),
            Condition::QueryQuality => at_least(self.query_quality_min.unwrap_or_default()),
            Condition::Status => one_of(self.status.iter().copied()),
            Condition::Review => words(&self.review),
            Condition::Realism => words(&self.realism),
            Condition::Activity => words(&self.activity),
            Condition::AgeGroup => words(&self.age_group),
            Condition::AgeBand => words(&self.age_band),
            Condition::Likeness => words(&self.likeness),
            Condition::IndustryClass => one_of(self.industry_class.iter().copied()),
            Condition::Tlp => words(&self.tlp),
            Condition::HashSet => one_of(self.hash_set.iter().map(String::as_str)),
            Condition::Incident => one_of(self.incident.iter().map(String::as_str)),
            Condition::Members => one_of(self.members.iter().map(MemberId::as_str)),
            Condition::ExceptMembers => "another member".to_owned(),
            Condition::Roles => one_of(self.roles.iter().map(|role| role.name())),
            Condition::Agree => at_least(self.agree_min),
            Condition::Disagree => format!("at most {}", self.disagree_max.unwrap_or_default()),
            Condition::AgeMin => format!("at least {} hours", self.age_hours_min.unwrap_or_default()),
            Condition::AgeMax => format!("at most {} days", self.age_days_max.unwrap_or_default()),
            Condition::Sources => at_least(self.sources_min),
            Condition::Newcomers => {
                self.newcomers.map_or_else(String::new, |Newcomers { days, sources_min }| {
                    format!("at least {sources_min} of a member that joined less than {days} days ago")
                })
            }
        }
    }
}

/// The distance that is asked for where neither list nor caller states one.
const DISTANCE_DEFAULT: u16 = 31;
const _: () = assert!(DISTANCE_DEFAULT as u32 == PDQ_DISTANCE_DEFAULT);

/// What the record, or the query, has.
fn found(condition: Condition, subject: &Subject<'_>) -> String {
    let Subject { facts, way, .. } = subject;
    let labels = &facts.labels;
    match condition {
        Condition::Signals => way.signal.name().to_owned(),
        Condition::Kind => way.signal.record_kind().name().to_owned(),
        Condition::Listing if facts.is_registration => "a registration".to_owned(),
        Condition::Listing => way.signal.name().to_owned(),
        Condition::Distance => way.distance.to_string(),
        Condition::QueryQuality => {
            way.quality.map_or_else(|| "none stated".to_owned(), |quality| quality.to_string())
        }
        Condition::Status => rules::status(facts).name().to_owned(),
        Condition::Review => {
            let review = rules::review(facts, subject.members);
            match facts.review {
                Label::Known(Review::HotlineConfirmed) if review != Review::HotlineConfirmed => {
                    format!("hotline_confirmed by {}, which is no hotline", facts.member)
                }
                stated => word(stated),
            }
        }
        Condition::Realism => word(labels.realism),
        Condition::Activity => word(labels.activity),
        Condition::AgeGroup => word(labels.age_group),
        Condition::AgeBand => word(labels.age_band),
        Condition::Likeness => word(labels.likeness),
        Condition::IndustryClass => labels.industry_class.unwrap_or("none").to_owned(),
        Condition::Tlp => word(labels.tlp),
        Condition::HashSet => facts.hash_set.unwrap_or("none").to_owned(),
        Condition::Incident => {
            facts.incident.map_or_else(|| "none".to_owned(), |incident| incident.to_string())
        }
        Condition::Members | Condition::ExceptMembers => facts.member.to_string(),
        Condition::Roles => {
            one_of(subject.member().into_iter().flat_map(|member| &member.roles).map(|role| role.name()))
        }
        Condition::Agree => facts.opinions.agree.to_string(),
        Condition::Disagree => facts.opinions.disagree.to_string(),
        Condition::AgeMin => format!("{} hours", subject.age_ms() / HOUR_MS),
        Condition::AgeMax => format!("{} days", subject.age_ms() / DAY_MS),
        Condition::Sources | Condition::Newcomers => (subject.sources)().to_string(),
    }
}

/// Whether a label is one of these; a code of a newer version is none of any.
fn is_among<T: LabelWord>(label: Label<T>, wanted: &BTreeSet<T>) -> bool {
    wanted.is_empty() || matches!(label, Label::Known(word) if wanted.contains(&word))
}

fn word<T: LabelWord>(label: Label<T>) -> String {
    match label {
        Label::Known(word) => word.name().to_owned(),
        Label::Unknown(code) => format!("code {code}, which this version does not know"),
    }
}

fn words<T: Vocabulary>(wanted: &BTreeSet<T>) -> String {
    one_of(wanted.iter().map(|word| word.name()))
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" or ") }
}

fn at_least(number: impl std::fmt::Display) -> String {
    format!("at least {number}")
}
