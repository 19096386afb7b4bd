//! `POST /v1/match`: is this known?
//!
//! One call asks about up to 10,000 signals in items of the caller's choosing, usually one item an
//! upload. The answer has one result per item in the same order. What an outcome means and how it is
//! found is the view's business (`hashpact-core`); this file only says what may be asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, hex_into, showable, signal_type};
use super::grouping::GroupJson;
use super::labels::LabelsJson;
use super::lists::ListExplanation;
use crate::limits::{
    MATCH_ITEM_ID_MAX_BYTES, MATCH_ITEMS_PER_CALL_MAX, MATCH_LISTS_MAX, MATCH_SIGNALS_PER_CALL_MAX,
    MATCH_SIGNALS_PER_ITEM_MAX, PDQ_DISTANCE_MAX, VARIANTS_MAX,
};
use crate::record::{RecordError, Signal, SignalType, Token};

/// The question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchRequest {
    /// What to look up, 1 to 10,000 items.
    pub items: Vec<MatchItem>,
    /// Largest distance by signal type; only `pdq` has one (0..=64). When absent, each list's own, or 31.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_distance: BTreeMap<String, u32>,
    /// Local lists to ask; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Vec<String>>,
    /// Whether to say of each record why each list counts it or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
    /// Whether to say of each item how well the records that match it are reviewed together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
}

/// One thing to look up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchItem {
    /// The caller's name for it, repeated in the result; never stored or logged.
    pub id: String,
    /// Its signals, 1 to 64.
    pub signals: Vec<QuerySignal>,
}

/// One signal to look up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuerySignal {
    /// Signal type: `pdq`, `md5`, `sha1`, `sha256` or `photodna`.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// Value in lower-case hexadecimal.
    pub value: String,
    /// Quality of a PDQ hash, 0..=100; under 50 never yields an automatic outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// The other dihedral variants of a PDQ hash, at most 7; matches name them 1 to 7 in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchResponse {
    /// False while the node is loading, lagging or isolated: then "no match" proves nothing.
    pub complete: bool,
    /// Why the answer is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state that was asked.
    pub as_of: AsOf,
    /// One result per item, in the order of the items.
    pub results: Vec<MatchResult>,
}

/// The state that an answer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AsOf {
    /// Opaque name of the view; equal names mean equal answers.
    pub view: String,
    /// Roster version.
    pub roster: u64,
}

/// What is known about one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchResult {
    /// The caller's name for the item.
    pub id: String,
    /// `block`, `review`, `log`, or null when nothing matched.
    pub outcome: Option<String>,
    /// The list that decided the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Matching records in all; `matches` may show fewer.
    pub total: u64,
    /// The closest matching records.
    pub matches: Vec<Match>,
    /// With `group`: what is known about all matching records together; absent when nothing matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupJson>,
    /// With `explain`: the closest records within the distance that no list counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_counted: Vec<Match>,
}

/// One record that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Match {
    /// Record id: its leaf hash, 64 hex digits.
    pub record: String,
    /// Member that stated it.
    pub member: String,
    /// Origin of the log that holds it.
    pub log: String,
    /// Its place in that log.
    pub index: u64,
    /// Type of the signal that matched.
    pub signal_type: String,
    /// Distance between the signals; 0 is equal.
    pub distance: u32,
    /// Which of the query's values matched: 0 is the value itself, 1 to 7 its variants.
    pub variant: u8,
    /// What the view makes of the record, `active` for one that simply stands.
    pub status: String,
    /// Its labels.
    pub labels: LabelsJson,
    /// Who looked at it: `unreviewed`, `single`, `dual` or `hotline_confirmed`.
    pub review: String,
    /// Leaf time of the first statement of this signal, RFC 3339.
    pub first_stated: String,
    /// Independent original sources behind it.
    pub sources: u32,
    /// Latest opinions of other members.
    pub opinions: OpinionCounts,
    /// Path of the provenance proof on this node.
    pub proof: String,
    /// What the record alone comes to; absent if no list counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The list that decided that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// With `explain`: what each list makes of it and why, in the order in which lists decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explain: Vec<ListExplanation>,
}

/// Opinions on a record, each member's latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpinionCounts {
    /// Members that agree.
    pub agree: u32,
    /// Members that disagree.
    pub disagree: u32,
    /// Members that looked and could not tell.
    pub unsure: u32,
    /// Members that met the content and say no more.
    pub seen: u32,
}

/// What a node accepts in one call; never above the limits of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchLimits {
    /// Most signals over all items.
    pub signals_max: usize,
    /// Largest PDQ radius.
    pub pdq_distance_max: u32,
}

impl Default for MatchLimits {
    fn default() -> Self {
        Self { signals_max: MATCH_SIGNALS_PER_CALL_MAX, pdq_distance_max: PDQ_DISTANCE_MAX }
    }
}

/// A checked item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The caller's name for it.
    pub id: String,
    /// Each signal with its variants; only `pdq` has any, at most 7.
    pub signals: Vec<(Signal, Vec<[u8; 32]>)>,
}

impl MatchRequest {
    /// Checks every rule of the request and discards the result.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self, limits: &MatchLimits) -> Result<(), FieldError> {
        self.to_queries(limits).map(drop)
    }

    /// Checks every rule of the request and returns its items as typed queries, in order.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_queries(&self, limits: &MatchLimits) -> Result<Vec<Query>, FieldError> {
        self.pdq_distance(limits)?;
        self.check_lists()?;
        check_count("items", self.items.len(), MATCH_ITEMS_PER_CALL_MAX)?;
        let signals_max = limits.signals_max.min(MATCH_SIGNALS_PER_CALL_MAX);
        let got = self.items.iter().map(|item| item.signals.len()).sum();
        if got > signals_max {
            return Err(FieldError::new("items", FieldRule::TooManySignals { got, max: signals_max }));
        }
        let item = |(nth, item): (usize, &MatchItem)| {
            item.to_query().map_err(|error| error.within(&format!("items[{nth}]")))
        };
        self.items.iter().enumerate().map(item).collect()
    }

    /// The PDQ radius asked for, if any is. Other signal types match exactly.
    ///
    /// # Errors
    /// An unknown signal type, a radius above the limit, or any but 0 for an exact type.
    pub fn pdq_distance(&self, limits: &MatchLimits) -> Result<Option<u32>, FieldError> {
        let max = limits.pdq_distance_max.min(PDQ_DISTANCE_MAX);
        let mut distance = None;
        for (word, &got) in &self.max_distance {
            let path = || match showable(word) {
                Some(word) => format!("max_distance.{word}"),
                None => "max_distance".to_owned(),
            };
            match signal_type("max_distance", word)? {
                SignalType::Pdq if got <= max => distance = Some(got),
                SignalType::Pdq => return Err(FieldError::new(path(), FieldRule::Distance { got, max })),
                _ if got == 0 => {}
                kind => return Err(FieldError::new(path(), FieldRule::ExactType { kind, got })),
            }
        }
        Ok(distance)
    }

    fn check_lists(&self) -> Result<(), FieldError> {
        self.lists.as_deref().map_or(Ok(()), check_lists)
    }
}

/// Refuses names of lists that are no tokens, none of them and too many of them.
pub(super) fn check_lists(lists: &[String]) -> Result<(), FieldError> {
    check_count("lists", lists.len(), MATCH_LISTS_MAX)?;
    for (nth, list) in lists.iter().enumerate() {
        Token::new(list).map_err(|rule| FieldError::new(format!("lists[{nth}]"), rule.into()))?;
    }
    Ok(())
}

impl MatchItem {
    /// Checks one item; paths in errors start at the item.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_query(&self) -> Result<Query, FieldError> {
        if self.id.is_empty() || self.id.len() > MATCH_ITEM_ID_MAX_BYTES {
            let rule = FieldRule::TextLength { got: self.id.len(), max: MATCH_ITEM_ID_MAX_BYTES };
            return Err(FieldError::new("id", rule));
        }
        if self.id.chars().any(char::is_control) {
            return Err(FieldError::new("id", FieldRule::ControlCharacter));
        }
        check_count("signals", self.signals.len(), MATCH_SIGNALS_PER_ITEM_MAX)?;
        let signal = |(nth, signal): (usize, &QuerySignal)| {
            signal.check().map_err(|error| error.within(&format!("signals[{nth}]")))
        };
        let signals = self.signals.iter().enumerate().map(signal).collect::<Result<_, _>>()?;
        Ok(Query { id: self.id.clone(), signals })
    }
}

impl QuerySignal {
    fn check(&self) -> Result<(Signal, Vec<[u8; 32]>), FieldError> {
        let signal = parse_signal(&self.signal_type, &self.value, self.quality)?;
        if !self.variants.is_empty() && signal.kind() != SignalType::Pdq {
            return Err(FieldError::new("variants", FieldRule::NoVariants { kind: signal.kind() }));
        }
        if self.variants.len() > VARIANTS_MAX {
            let rule = FieldRule::TooMany { got: self.variants.len(), max: VARIANTS_MAX };
            return Err(FieldError::new("variants", rule));
        }
        let variant = |(nth, text): (usize, &String)| {
            let mut value = [0; 32];
            hex_into(&format!("variants[{nth}]"), text, &mut value).map(|()| value)
        };
        let variants = self.variants.iter().enumerate().map(variant).collect::<Result<_, _>>()?;
        Ok((signal, variants))
    }
}

/// Reads a signal from its three JSON fields; paths in errors start at the signal.
pub(super) fn parse_signal(kind: &str, value: &str, quality: Option<u8>) -> Result<Signal, FieldError> {
    let kind = signal_type("type", kind)?;
    let mut bytes = [0; SignalType::WIDTH_MAX_BYTES];
    let bytes = bytes.get_mut(..kind.width_bytes()).expect("no width is above the largest width");
    hex_into("value", value, bytes)?;
    Signal::new(kind, bytes, quality).map_err(|rule| {
        let path = match rule {
            RecordError::QualityRange { .. } | RecordError::QualityNotForType { .. } => "quality",
            _ => "value",
        };
        FieldError::new(path, rule.into())
    })
}

/// Refuses an empty list and one with more than `max` elements.
pub(super) fn check_count(path: &str, got: usize, max: usize) -> Result<(), FieldError> {
    match got {
        0 => Err(FieldError::new(path, FieldRule::Empty)),
        _ if got > max => Err(FieldError::new(path, FieldRule::TooMany { got, max })),
        _ => Ok(()),
    }
}
