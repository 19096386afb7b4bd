//! `/v1/mutes`, `/v1/negatives`, `/v1/quarantine`: what a node's operator decides about members, signals and floods.
//!
//! Each decision has a reason, is kept in the node's journal and can be undone. None of them is told to other members.
//!
//! SPEC §11.3.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule};
use super::matching::parse_signal;
use super::records::NewSignal;
use crate::limits::PDQ_DISTANCE_MAX;
use crate::record::Signal;

/// Longest reason, in bytes.
pub const REASON_MAX_BYTES: usize = 200;
/// Most signals of one negative list.
pub const NEGATIVE_SIGNALS_MAX: usize = 100_000;
/// Distance within which a negative list counts if it does not say.
pub const NEGATIVE_RADIUS_DEFAULT: u32 = 16;

/// Mutes a member: nothing that it states, and no opinion of it, counts at this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MuteRequest {
    /// The member.
    pub member: String,
    /// Why: for the journal.
    pub reason: String,
}

/// Why something is decided: for the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecisionRequest {
    /// 1 to 200 bytes without control characters.
    pub reason: String,
}

/// Checks a reason.
///
/// # Errors
/// It is empty, too long, or has control characters.
pub fn check_reason(reason: &str) -> Result<(), FieldError> {
    if reason.trim().is_empty() || reason.len() > REASON_MAX_BYTES {
        let rule = FieldRule::TextLength { got: reason.trim().len(), max: REASON_MAX_BYTES };
        return Err(FieldError::new("reason", rule));
    }
    if reason.chars().any(char::is_control) {
        return Err(FieldError::new("reason", FieldRule::ControlCharacter));
    }
    Ok(())
}

/// One muted member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MuteJson {
    /// The member.
    pub member: String,
    /// Why.
    pub reason: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Name of the token that did it.
    pub by: String,
}

/// All muted members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MutesResponse {
    /// By member.
    pub mutes: Vec<MuteJson>,
}

/// `PUT /v1/negatives/{name}`: signals of what is known to be benign, in place of the list's former ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NegativesRequest {
    /// Largest PDQ distance from a value of the list at which matches by resemblance are for review at most: 0 to 64,
    /// 16 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<u32>,
    /// The signals: 1 to 100,000.
    pub signals: Vec<NewSignal>,
}

impl NegativesRequest {
    /// The radius, and the signals, checked.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(u32, Vec<Signal>), FieldError> {
        let radius = self.radius.unwrap_or(NEGATIVE_RADIUS_DEFAULT);
        if radius > PDQ_DISTANCE_MAX {
            return Err(FieldError::new(
                "radius",
                FieldRule::Distance { got: radius, max: PDQ_DISTANCE_MAX },
            ));
        }
        if self.signals.is_empty() {
            return Err(FieldError::new("signals", FieldRule::Empty));
        }
        if self.signals.len() > NEGATIVE_SIGNALS_MAX {
            let rule = FieldRule::TooMany { got: self.signals.len(), max: NEGATIVE_SIGNALS_MAX };
            return Err(FieldError::new("signals", rule));
        }
        let read = |(nth, signal): (usize, &NewSignal)| {
            let NewSignal { signal_type, value, quality } = signal;
            parse_signal(signal_type, value, *quality)
                .map_err(|error| error.within(&format!("signals[{nth}]")))
        };
        Ok((radius, self.signals.iter().enumerate().map(read).collect::<Result<_, _>>()?))
    }
}

/// One negative list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NegativeJson {
    /// Its name.
    pub name: String,
    /// Largest PDQ distance.
    pub radius: u32,
    /// Signals in it.
    pub signals: u64,
}

/// All negative lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NegativesResponse {
    /// By name.
    pub negatives: Vec<NegativeJson>,
}

/// A flood that waits for a decision, or what was decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FloodJson {
    /// Its name.
    pub id: String,
    /// Whose.
    pub member: String,
    /// `contributions` or `withdrawals`.
    pub kind: String,
    /// The hour in which it came, RFC 3339.
    pub hour: String,
    /// Entries in it.
    pub entries: u64,
    /// What the member usually does in a day: the median of the four weeks before.
    pub norm_per_day: u64,
    /// `waiting`, `accepted` or `rejected`.
    pub decision: String,
    /// Why it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was decided, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<String>,
    /// Name of the token that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What this means for its entries, as a sentence.
    pub meaning: String,
}

/// All floods that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantineResponse {
    /// How many wait for a decision.
    pub waiting: u64,
    /// The floods, by kind, member and hour.
    pub floods: Vec<FloodJson>,
}
