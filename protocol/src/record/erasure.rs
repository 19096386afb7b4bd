//! `erasure`: an order to destroy the payload of an entry.
//!
//! The leaf alone takes effect, like a retraction's: members who hold the order's own payload and members
//! who do not must seal and destroy the same. The payload says why, and on whose demand. Who may order is
//! the roster's affair (SPEC §8.2), and when the payload is destroyed the view's.
//!
//! SPEC §7.10.

use super::error::SchemaError;
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, SubjectRef, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::Fields;
use crate::leaf::{Leaf, OpaqueReason};

const MAP: &str = "erasure";

const KEY_REASON: u64 = 1;
const KEY_BASIS: u64 = 3;

/// Why a payload is to be destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErasureReason {
    /// Not stated.
    #[default]
    Unstated,
    /// The record should never have been made.
    Error,
    /// An order of a court or authority.
    LegalOrder,
    /// A victim asked for it.
    VictimRequest,
    /// Law that bounds how long, or whether, such data may be kept.
    DataProtection,
    /// Made with a stolen key or by somebody who was not entitled.
    Unauthorised,
    /// None of these.
    Other,
}

impl Vocabulary for ErasureReason {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Error, 1, "error"),
        (Self::LegalOrder, 2, "legal_order"),
        (Self::VictimRequest, 3, "victim_request"),
        (Self::DataProtection, 4, "data_protection"),
        (Self::Unauthorised, 5, "unauthorised"),
        (Self::Other, 6, "other"),
    ];
}

impl LabelWord for ErasureReason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// Whose demand the order carries out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErasureBasis {
    /// Nobody's but the orderer's own.
    #[default]
    Own,
    /// A court's.
    Court,
    /// A law enforcement agency's.
    LawEnforcement,
    /// A data protection authority's.
    DataProtectionAuthority,
    /// A hotline's.
    Hotline,
    /// The person's that it is about, or their representative's.
    DataSubject,
}

impl Vocabulary for ErasureBasis {
    const FIELD: &'static str = "basis";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Own, 0, "own"),
        (Self::Court, 1, "court"),
        (Self::LawEnforcement, 2, "law_enforcement"),
        (Self::DataProtectionAuthority, 3, "data_protection_authority"),
        (Self::Hotline, 4, "hotline"),
        (Self::DataSubject, 5, "data_subject"),
    ];
}

impl LabelWord for ErasureBasis {
    const DEFAULT: Self = Self::Own;
    const FALLBACK: Self = Self::Own;
}

/// The payload of the entry that is the subject must be destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The entry, which must be the one that the leaf names by its hash.
    pub subject: SubjectRef,
    /// Why.
    pub reason: Label<ErasureReason>,
    /// On whose demand.
    pub basis: Label<ErasureBasis>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Erasure {
    /// An order without fields of a newer version.
    #[must_use]
    pub fn new(
        subject: SubjectRef,
        reason: impl Into<Label<ErasureReason>>,
        basis: impl Into<Label<ErasureBasis>>,
    ) -> Self {
        Self { subject, reason: reason.into(), basis: basis.into(), unknown: UnknownFields::new() }
    }
}

impl Schema for Erasure {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT])
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let subject = map.subject(leaf)?.ok_or(SchemaError::SubjectMissing)?;
        let (reason, basis) = (map.label(KEY_REASON)?, map.label(KEY_BASIS)?);
        Ok(Self { subject, reason, basis, unknown: map.finish()? })
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put(KEY_SUBJECT, self.subject.to_value());
        map.put_nonzero(KEY_REASON, self.reason.code());
        map.put_nonzero(KEY_BASIS, self.basis.code());
        map.finish()
    }
}
