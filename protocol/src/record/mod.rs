//! What members publish: one file per kind, and one enum over those that this version reads.
//!
//! A payload is deterministic CBOR with integer keys (`codec`). Every schema is made of controlled
//! vocabularies, numbers and hashes of a fixed width, with a bound on each list: there is nowhere to
//! put media, an address, a prompt, prose or a person's identity, and nothing has to filter for them.
//!
//! [`read_payload`] is total, like [`crate::leaf::read_leaf`]. Canonicality is checked for every known
//! kind, also for those whose payload this version does not read; a foreign part makes an entry opaque
//! before any rule of the schema can make it void. To add a kind: a file that implements `Schema`, a
//! variant of [`Record`], and a row in the three matches below; for another kind of statement, a file and a variant of
//! [`Detail`].
//!
//! What this module deliberately does not do: find out whether the subject that a payload names is the
//! one that its leaf names, which takes the logs, or decide what stands (`hashpact-core`).
//!
//! SPEC §7.

mod content;
mod crosswalk;
mod dataset;
mod detail;
mod erasure;
mod error;
mod genmeta;
mod genmeta_words;
mod handling;
mod identifier;
mod incident;
mod labels;
mod lists;
mod model;
mod opinion;
mod receipt;
mod retraction;
mod ruling;
mod schema;
mod service;
mod signal;
mod source;
mod suspension;
mod taxonomy;
mod techniques;
mod tiles;
mod ttp;
mod vocabulary;

pub use content::Content;
pub use crosswalk::Crosswalk;
pub use dataset::{Dataset, DatasetForm, dataset_root};
pub use detail::Detail;
pub use erasure::{Erasure, ErasureBasis, ErasureReason};
pub use error::{RecordError, SchemaError};
pub use genmeta::{CarrierSet, Genmeta, Resource};
pub use genmeta_words::{
    C2pa, Carrier, Container, ResourceKind, Sampler, Scheduler, SizeBucket, SourceType, Tool,
};
pub use handling::{Handling, Month, OtherClass, Report, ReportedTo, Scheme};
pub use identifier::{ClaimedId, IdentifierType};
pub use incident::{ClosingReason, Incident, IncidentClass, IncidentId, IncidentStep};
pub use labels::{EvidenceSet, Labels};
pub use model::{Model, ModelFamily, ModelForm, ModelRole, Part, WatermarkScheme};
pub use opinion::{Opinion, OpinionValue, Reason};
pub use receipt::{Gap, Holding, Receipt};
pub use retraction::{Retraction, RetractionReason};
pub use ruling::{Ruling, RulingReason, Verdict};
pub use schema::{SubjectRef, UnknownFields};
pub use service::{Platform, Service, ServiceForm};
pub use signal::{Signal, SignalType, UnknownSignal};
pub use source::{Date, Source, Token};
pub use suspension::{Suspension, SuspensionReason, Vote, VoteWord};
pub use taxonomy::{Activity, AgeBand, AgeGroup, Evidence, Likeness, Origin, Realism, Review, Tlp};
pub use techniques::{TACTICS, TAXONOMY, TAXONOMY_VERSION, TECHNIQUES, Tactic, Technique, TechniqueId};
pub use tiles::{TILE_BITS_BYTES, TILE_NUMBERS_BYTES, TileBits, TileNumbers, TileShape, Tiles};
pub use ttp::{Basis, Confidence, CountBucket, Surface, Ttp, TtpStatus};
pub use vocabulary::{Label, LabelWord, Vocabulary};

use crate::codec::{Fields, decode_map, encode_map};
use crate::leaf::{Kind, Leaf, OpaqueReason, VoidReason, unpad};
use schema::Schema;

/// A payload that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A statement about one piece of media, or one model, data set, service or technique.
    Content(Content),
    /// What a member thinks of another entry.
    Opinion(Opinion),
    /// The author takes an entry back.
    Retraction(Retraction),
    /// Which payloads a member holds.
    Receipt(Receipt),
    /// An order to destroy a payload.
    Erasure(Erasure),
    /// A statement in the place of a former record about the same.
    Supersede(Content),
    /// A content incident is declared, or closed.
    Incident(Incident),
    /// What a panellist holds of a signal.
    Ruling(Ruling),
    /// A vote about the suspension of a member.
    Suspension(Suspension),
}

impl Record {
    /// The kind in the leaf.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Content(content) => content.kind(),
            Self::Opinion(_) => Kind::Opinion,
            Self::Retraction(_) => Kind::Retraction,
            Self::Receipt(_) => Kind::Receipt,
            Self::Erasure(_) => Kind::Erasure,
            Self::Supersede(_) => Kind::Supersede,
            Self::Incident(_) => Kind::Incident,
            Self::Ruling(_) => Kind::Ruling,
            Self::Suspension(_) => Kind::Suspension,
        }
    }

    /// The entry that this one is about.
    #[must_use]
    pub const fn subject(&self) -> Option<SubjectRef> {
        match self {
            Self::Content(content) | Self::Supersede(content) => content.subject,
            Self::Opinion(opinion) => Some(opinion.subject),
            Self::Retraction(retraction) => Some(retraction.subject),
            Self::Ruling(ruling) => ruling.subject,
            Self::Receipt(_) | Self::Incident(_) | Self::Suspension(_) => None,
            Self::Erasure(erasure) => Some(erasure.subject),
        }
    }

    /// How far it may be passed on. Statements about records, members and incidents have no marking of their own.
    #[must_use]
    pub fn tlp(&self) -> Tlp {
        match self {
            Self::Content(content) | Self::Supersede(content) => content.labels.tlp.get(),
            Self::Opinion(_)
            | Self::Retraction(_)
            | Self::Receipt(_)
            | Self::Erasure(_)
            | Self::Incident(_)
            | Self::Ruling(_)
            | Self::Suspension(_) => Tlp::Clear,
        }
    }

    /// The deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fields = match self {
            Self::Content(content) => content.to_fields(false),
            Self::Supersede(content) => content.to_fields(true),
            Self::Opinion(opinion) => opinion.to_fields(),
            Self::Retraction(retraction) => retraction.to_fields(),
            Self::Receipt(receipt) => receipt.to_fields(),
            Self::Erasure(erasure) => erasure.to_fields(),
            Self::Incident(incident) => incident.to_fields(),
            Self::Ruling(ruling) => ruling.to_fields(),
            Self::Suspension(suspension) => suspension.to_fields(),
        };
        encode_map(&fields)
    }
}

/// What a payload is to this version of the program.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is the large one; a box would only add an allocation"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A record.
    Record(Record),
    /// Canonical, but this version cannot read it.
    Opaque(OpaqueReason),
    /// Breaks a rule.
    Void(VoidReason),
}

/// Reads the CBOR of a payload whose commitment was checked. Never fails: see [`Payload`].
#[must_use]
pub fn read_payload(leaf: &Leaf, cbor: &[u8]) -> Payload {
    if leaf.kind == Kind::Content
        && let Some(content) = Content::read_plain(leaf, cbor)
    {
        return Payload::Record(Record::Content(content));
    }
    read_any(leaf, cbor)
}

/// Reads every payload, and says why it is not a record.
fn read_any(leaf: &Leaf, cbor: &[u8]) -> Payload {
    let fields = match decode_map(cbor) {
        Ok(fields) => fields,
        Err(rule) => return Payload::Void(rule.into()),
    };
    match leaf.kind {
        Kind::Content | Kind::Model | Kind::Dataset | Kind::Service | Kind::Ttp => {
            read_statement(leaf, fields, Record::Content)
        }
        Kind::Opinion => read(leaf, fields, Record::Opinion),
        Kind::Retraction => read(leaf, fields, Record::Retraction),
        Kind::Receipt => read(leaf, fields, Record::Receipt),
        Kind::Erasure => read(leaf, fields, Record::Erasure),
        Kind::Supersede => read_statement(leaf, fields, Record::Supersede),
        Kind::Incident => read(leaf, fields, Record::Incident),
        Kind::Ruling => read(leaf, fields, Record::Ruling),
        Kind::Suspension => read(leaf, fields, Record::Suspension),
        kind @ Kind::Evidence => Payload::Opaque(OpaqueReason::KindNotRead { kind }),
    }
}

/// Reads a padded payload whose commitment was checked; wrong padding makes the entry void, because
/// its author committed to it.
#[must_use]
pub fn read_padded(leaf: &Leaf, padded: &[u8]) -> Payload {
    match unpad(padded) {
        Ok(cbor) => read_payload(leaf, cbor),
        Err(rule) => Payload::Void(VoidReason::Padding(rule)),
    }
}

/// Reads what is a statement of any kind.
fn read_statement(leaf: &Leaf, fields: Fields, record: fn(Content) -> Record) -> Payload {
    if let Some(reason) = Content::find_foreign(leaf, &fields) {
        return Payload::Opaque(reason);
    }
    match Content::read(leaf, fields) {
        Ok(read) => Payload::Record(record(read)),
        Err(rule) => Payload::Void(rule.into()),
    }
}

fn read<T: Schema>(leaf: &Leaf, fields: Fields, record: fn(T) -> Record) -> Payload {
    if let Some(reason) = T::find_foreign(&fields) {
        return Payload::Opaque(reason);
    }
    match T::read(leaf, fields) {
        Ok(read) => Payload::Record(record(read)),
        Err(rule) => Payload::Void(rule.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{LogId, PayloadCommitment};
    use proptest::prelude::*;

    fn leaf() -> Leaf {
        Leaf {
            kind: Kind::Content,
            has_subject: false,
            priority: false,
            payload_codec: crate::leaf::CODEC_CBOR,
            index: 0,
            time_ms: 0,
            roster_version: 0,
            log_id: LogId::new([0; 32]),
            subject: None,
            group: 0,
            payload_len: 128,
            commitment: PayloadCommitment::new([0; 32]),
        }
    }

    fn typical() -> Content {
        let token = |text| Token::new(text).expect("valid");
        let signal = |kind, width, quality| Signal::new(kind, &[7; 32][..width], quality).expect("valid");
        let signals = vec![signal(SignalType::Pdq, 32, Some(98)), signal(SignalType::Md5, 16, None)];
        let mut content = Content::new(signals).expect("valid");
        content.review = Label::Known(Review::Dual);
        content.expires_s = Some(1_900_000_000);
        content.labels.origin = Label::Known(Origin::Generated);
        content.labels.tlp = Label::Unknown(99);
        content.labels.evidence.insert(Evidence::Watermark);
        content.source = Some(Source {
            list: Some(token("list-a")),
            id: Some(token("r-1")),
            date: Some(Date::from_days(20_000).expect("valid")),
            ..Source::new(token("hotline"))
        });
        content
    }

    #[test]
    fn what_records_usually_are_is_read_in_place() {
        for content in [typical(), Content::new(typical().signals).expect("valid")] {
            let cbor = Record::Content(content.clone()).encode();
            assert_eq!(Content::read_plain(&leaf(), &cbor), Some(content));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Reading in place may leave a payload to the other reader; it never says anything else than that.
        #[test]
        fn what_is_read_in_place_is_what_the_other_reader_says(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..3),
            has_subject in prop::bool::weighted(0.1),
        ) {
            let leaf = Leaf { has_subject, ..leaf() };
            let mut cbor = Record::Content(typical()).encode();
            for (at, byte, change) in changes {
                let at = at.index(cbor.len());
                match change {
                    0 => cbor[at] = byte,
                    1 => cbor.insert(at, byte),
                    _ => { cbor.remove(at); }
                }
            }
            if let Some(content) = Content::read_plain(&leaf, &cbor) {
                prop_assert_eq!(read_any(&leaf, &cbor), Payload::Record(Record::Content(content)));
            }
        }
    }
}
