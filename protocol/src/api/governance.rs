//! Rulings, suspensions and incidents: what is stated about signals, members and incidents, and what it amounts to.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, vocabulary};
use super::matching::{check_count, parse_signal};
use super::records::Receipt;
use crate::digest::RecordId;
use crate::limits::SIGNALS_PER_RECORD_MAX;
use crate::record::{
    ClosingReason, Incident, IncidentClass, IncidentId, IncidentStep, RecordError, RulingReason, Signal,
    SuspensionReason, Verdict, VoteWord,
};
use crate::roster::{LogPlace, MemberId};

/// `POST /v1/rulings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingRequest {
    /// The signals that the verdict is on, 1 to 64, each stated by itself.
    pub signals: Vec<RulingSignal>,
    /// `stands`, `benign`, `adult` or `withdrawn`.
    pub verdict: String,
    /// Why: a word of the controlled vocabulary, never prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Record that gave rise to it; explains only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Type and value of a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingSignal {
    /// Signal type: `pdq`, `md5`, `sha1`, `sha256` or `photodna`.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// Value in lower-case hexadecimal.
    pub value: String,
}

impl RulingRequest {
    /// Checks every field: the signals, the verdict, the reason, the record.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(Vec<Signal>, Verdict, RulingReason, Option<RecordId>), FieldError> {
        check_count("signals", self.signals.len(), SIGNALS_PER_RECORD_MAX)?;
        let mut signals: Vec<Signal> = Vec::with_capacity(self.signals.len());
        for (nth, json) in self.signals.iter().enumerate() {
            let signal = parse_signal(&json.signal_type, &json.value, None)
                .map_err(|error| error.within(&format!("signals[{nth}]")))?;
            if signals.contains(&signal) {
                return Err(FieldError::new(format!("signals[{nth}]"), FieldRule::Twice));
            }
            signals.push(signal);
        }
        let verdict = vocabulary::<Verdict>("verdict", &self.verdict)?;
        let reason =
            self.reason.as_deref().map(|word| vocabulary::<RulingReason>("reason", word)).transpose()?;
        let record = self.record.as_deref().map(|text| {
            RecordId::from_hex(text).map_err(|_| {
                FieldError::new("record", FieldRule::HexLength { expected: 64, got: text.chars().count() })
            })
        });
        Ok((signals, verdict, reason.unwrap_or_default(), record.transpose()?))
    }
}

/// `GET /v1/rulings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingsResponse {
    /// What the review panel holds, by signal.
    pub rulings: Vec<RulingJson>,
}

/// What the review panel holds of one signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulingJson {
    /// Signal type.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// Value in lower-case hexadecimal.
    pub value: String,
    /// `stands`, `benign` or `adult`.
    pub verdict: String,
    /// What the latest of the panellists' entries says that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members who hold it.
    pub panellists: Vec<String>,
    /// How many must.
    pub needed: u8,
    /// Leaf time of the latest of their entries, RFC 3339.
    pub time: String,
}

/// `POST /v1/suspensions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuspensionRequest {
    /// The member that the vote is about.
    pub member: String,
    /// `suspend` or `withdraw`.
    pub vote: String,
    /// Why: a word of the controlled vocabulary, never prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// First place of its logs that is not to count; left out: behind what this node holds of its open log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PlaceJson>,
}

/// A place in a member's logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlaceJson {
    /// Number of the log.
    pub log: u32,
    /// Leaf index.
    pub index: u64,
}

impl SuspensionRequest {
    /// Checks every field: the member, the word, the reason, the place. A withdrawal names no place.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(MemberId, VoteWord, SuspensionReason, Option<LogPlace>), FieldError> {
        let member = MemberId::parse(&self.member)
            .map_err(|rule| FieldError::new("member", RecordError::Member(rule).into()))?;
        let vote = vocabulary::<VoteWord>("vote", &self.vote)?;
        let reason =
            self.reason.as_deref().map(|word| vocabulary::<SuspensionReason>("reason", word)).transpose()?;
        if vote == VoteWord::Withdraw && self.from.is_some() {
            return Err(FieldError::new("from", RecordError::PlaceOfWithdrawal.into()));
        }
        let from = self.from.map(|place| LogPlace { n: place.log, index: place.index });
        Ok((member, vote, reason.unwrap_or_default(), from))
    }
}

/// `GET /v1/suspensions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuspensionsResponse {
    /// Every suspension that ever began, the earliest first.
    pub suspensions: Vec<SuspensionJson>,
}

/// One suspension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuspensionJson {
    /// The member.
    pub member: String,
    /// Roster version that it is for.
    pub roster: u64,
    /// First place of its logs that does not count.
    pub from: PlaceJson,
    /// When it began, RFC 3339.
    pub begins: String,
    /// When it ends or ended, RFC 3339.
    pub until: String,
    /// Whether it holds now.
    pub holds: bool,
    /// Whether members ended it before its time.
    pub withdrawn: bool,
    /// Who voted for it.
    pub voters: Vec<String>,
    /// Members that were counted.
    pub members: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/incidents`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentRequest {
    /// `declared` or `closed`.
    pub step: String,
    /// The incident, 32 hex digits; left out when it is declared: drawn by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What sort it is, when it is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Why it is closed, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<String>,
}

impl IncidentRequest {
    /// Checks every field; `drawn` is the id of an incident that is declared without one.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self, drawn: IncidentId) -> Result<Incident, FieldError> {
        let step = vocabulary::<IncidentStep>("step", &self.step)?;
        let id = self.incident.as_deref().map(IncidentId::parse).transpose();
        let id = id.map_err(|rule| FieldError::new("incident", rule.into()))?;
        let class =
            self.class.as_deref().map(|word| vocabulary::<IncidentClass>("class", word)).transpose()?;
        let closing =
            self.closing.as_deref().map(|word| vocabulary::<ClosingReason>("closing", word)).transpose()?;
        match (step, id, class, closing) {
            (IncidentStep::Declared, _, _, Some(_)) => {
                Err(FieldError::new("closing", RecordError::ClosingOfDeclaration.into()))
            }
            (IncidentStep::Closed, _, Some(_), _) => {
                Err(FieldError::new("class", RecordError::ClassOfClosure.into()))
            }
            (IncidentStep::Closed, None, ..) => Err(FieldError::new("incident", FieldRule::Empty)),
            (IncidentStep::Declared, id, class, None) => {
                Ok(Incident::declared(id.unwrap_or(drawn), class.unwrap_or_default()))
            }
            (IncidentStep::Closed, Some(id), None, closing) => {
                Ok(Incident::closed(id, closing.unwrap_or_default()))
            }
        }
    }
}

/// Answer to `POST /v1/incidents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentReceipt {
    /// The incident, 32 hex digits: what records name.
    pub incident: String,
    /// What became of the entry.
    pub receipt: Receipt,
}

/// `GET /v1/incidents`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentsResponse {
    /// Every incident that was declared.
    pub incidents: Vec<IncidentJson>,
}

/// One incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentJson {
    /// Its id, 32 hex digits.
    pub incident: String,
    /// What sort it is.
    pub class: String,
    /// Whether it is open.
    pub open: bool,
    /// Who declared it, and when.
    pub declared: IncidentStepJson,
    /// Who closed it, when, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<IncidentStepJson>,
    /// How far its declaration has come; absent of incidents that were closed more than a week ago, and of the oldest where
    /// there are more than 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageJson>,
}

/// Which members' nodes hold the declaration of an incident on their disks, as far as this node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CoverageJson {
    /// How many members hold it.
    pub covered: u64,
    /// How many may: active members whose history reaches back to it.
    pub members: u64,
    /// Present if this node started after the declaration: since when it counts, RFC 3339. What a member held before then
    /// shows as if it came after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<String>,
    /// Every such member, by id.
    pub by_member: Vec<MemberCoverage>,
}

/// Whether one member's node holds the declaration of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberCoverage {
    /// The member.
    pub member: String,
    /// Milliseconds from the leaf time of the declaration to when this node first knew that the member's node holds it, by
    /// this node's clock; `null` while it does not know.
    pub ms: Option<u64>,
}

/// Who did something to an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentStepJson {
    /// The member.
    pub member: String,
    /// Leaf time, RFC 3339.
    pub time: String,
    /// Why, of a closure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
