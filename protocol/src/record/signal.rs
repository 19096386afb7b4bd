//! Signals: a registered type and a value of exactly its width.
//!
//! No type can carry arbitrary bytes: each has one width, and every bit of it is the output of a hash.
//! A value is kept inline for all but the widest type, because a node holds tens of millions of them.
//! Codes come in ranges of 16, one for each kind of record, and a record states types of its own kind only:
//! the SHA-256 of a model file never stands where that of a picture is looked for.
//!
//! SPEC §7.5.

use super::error::RecordError;
use crate::leaf::Kind;
use crate::limits::QUALITY_MAX;

/// What kind of fingerprint a signal is. Ordered by code.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalType {
    /// PDQ perceptual hash of an image, 256 bits, compared by Hamming distance.
    Pdq = 1,
    /// MD5 of a file, exact.
    Md5 = 2,
    /// SHA-1 of a file, exact.
    Sha1 = 3,
    /// SHA-256 of a file, exact.
    Sha256 = 4,
    /// PhotoDNA perceptual hash of an image, 144 bytes, compared exactly here. Under licence.
    PhotoDna = 5,
    /// SHA-256 of a model file.
    ModelSha256 = 16,
    /// BLAKE3 of a model file.
    ModelBlake3 = 17,
    /// SHA-256 of a safetensors file behind its header.
    StBody = 18,
    /// Digest of the set of a model's tensors.
    Tset1 = 19,
    /// CRC-32 of a model file: four bytes, so never more than a lead.
    ModelCrc32 = 20,
    /// SHA-256 of the file of a data set.
    DatasetSha256 = 32,
    /// Merkle root over the files of a data set.
    DatasetRoot = 33,
    /// Keyed digest of the URL of one item of a data set; to groups only.
    UrlKey = 34,
    /// SHA-256 of an application package.
    PackageSha256 = 48,
    /// SHA-256 of the certificate that signed a package.
    CertificateSha256 = 49,
    /// Keyed digest of a host name; to groups only.
    DomainKey = 50,
}

impl SignalType {
    /// Every type, by code.
    pub const ALL: [Self; 16] = [
        Self::Pdq,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::PhotoDna,
        Self::ModelSha256,
        Self::ModelBlake3,
        Self::StBody,
        Self::Tset1,
        Self::ModelCrc32,
        Self::DatasetSha256,
        Self::DatasetRoot,
        Self::UrlKey,
        Self::PackageSha256,
        Self::CertificateSha256,
        Self::DomainKey,
    ];
    /// Width of the widest type, in bytes.
    pub const WIDTH_MAX_BYTES: usize = 144;

    /// The code in a payload.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type with this code.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.code()) == code)
    }

    /// The word in JSON and lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pdq => "pdq",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::PhotoDna => "photodna",
            Self::ModelSha256 => "model_sha256",
            Self::ModelBlake3 => "model_blake3",
            Self::StBody => "st_body",
            Self::Tset1 => "tset1",
            Self::ModelCrc32 => "model_crc32",
            Self::DatasetSha256 => "dataset_sha256",
            Self::DatasetRoot => "dataset_root",
            Self::UrlKey => "url_key",
            Self::PackageSha256 => "package_sha256",
            Self::CertificateSha256 => "certificate_sha256",
            Self::DomainKey => "domain_key",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Width of every value, in bytes.
    #[must_use]
    pub const fn width_bytes(self) -> usize {
        match self {
            Self::ModelCrc32 => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::PhotoDna => Self::WIDTH_MAX_BYTES,
            _ => 32,
        }
    }

    /// Whether a value comes with a quality.
    #[must_use]
    pub const fn has_quality(self) -> bool {
        matches!(self, Self::Pdq)
    }

    /// The kind of record that states it.
    #[must_use]
    pub fn record_kind(self) -> Kind {
        let kind = Kind::ALL.into_iter().find(|kind| belongs(self.code().into(), *kind));
        kind.expect("every type is in the range of a kind")
    }

    /// Whether equal values are a match. Where not, they are a lead for a person: four bytes meet by chance.
    #[must_use]
    pub const fn matches_exactly(self) -> bool {
        !matches!(self, Self::Pdq | Self::ModelCrc32)
    }

    /// Whether its values are keyed digests, which only the members of a group can make and read.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::UrlKey | Self::DomainKey)
    }
}

/// Whether a record of this kind may state signals of the type with this code, known or not. The first four ranges of 16
/// codes are each kept for one kind; codes beyond them are for any.
pub(super) const fn belongs(code: u64, kind: Kind) -> bool {
    match code {
        0..16 => matches!(kind, Kind::Content),
        16..32 => matches!(kind, Kind::Model),
        32..48 => matches!(kind, Kind::Dataset),
        48..64 => matches!(kind, Kind::Service),
        _ => true,
    }
}

impl std::fmt::Display for SignalType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SignalValue {
    Bytes4([u8; 4]),
    Bytes16([u8; 16]),
    Bytes20([u8; 20]),
    Bytes32([u8; 32]),
    Bytes144(Box<[u8; SignalType::WIDTH_MAX_BYTES]>),
}

/// One fingerprint. Ordered by type code, then value, then quality.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal {
    kind: SignalType,
    value: SignalValue,
    quality: Option<u8>,
}

impl Signal {
    /// Checks width and quality.
    ///
    /// # Errors
    /// A value of another width, a quality above 100, or a quality for a type that has none.
    ///
    /// ```
    /// use hashpact_protocol::record::{Signal, SignalType};
    /// let signal = Signal::new(SignalType::Pdq, &[7; 32], Some(98))?;
    /// assert_eq!(signal.value(), &[7; 32]);
    /// assert!(Signal::new(SignalType::Md5, &[7; 32], None).is_err());
    /// # Ok::<(), hashpact_protocol::record::RecordError>(())
    /// ```
    pub fn new(kind: SignalType, value: &[u8], quality: Option<u8>) -> Result<Self, RecordError> {
        let width =
            || RecordError::SignalWidth { kind, expected_bytes: kind.width_bytes(), got_bytes: value.len() };
        let stored = match kind.width_bytes() {
            4 => SignalValue::Bytes4(value.try_into().map_err(|_| width())?),
            16 => SignalValue::Bytes16(value.try_into().map_err(|_| width())?),
            20 => SignalValue::Bytes20(value.try_into().map_err(|_| width())?),
            32 => SignalValue::Bytes32(value.try_into().map_err(|_| width())?),
            _ => SignalValue::Bytes144(Box::new(value.try_into().map_err(|_| width())?)),
        };
        match quality {
            Some(got) if !kind.has_quality() => {
                return Err(RecordError::QualityNotForType { kind, got: got.into() });
            }
            Some(got) if got > QUALITY_MAX => return Err(RecordError::QualityRange { got: got.into() }),
            _ => {}
        }
        Ok(Self { kind, value: stored, quality })
    }

    /// The type.
    #[must_use]
    pub const fn kind(&self) -> SignalType {
        self.kind
    }

    /// The value, as wide as its type says.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        match &self.value {
            SignalValue::Bytes4(bytes) => bytes,
            SignalValue::Bytes16(bytes) => bytes,
            SignalValue::Bytes20(bytes) => bytes,
            SignalValue::Bytes32(bytes) => bytes,
            SignalValue::Bytes144(bytes) => bytes.as_slice(),
        }
    }

    /// Quality of a PDQ hash, 0..=100, when stated.
    #[must_use]
    pub const fn quality(&self) -> Option<u8> {
        self.quality
    }

    /// The same without its quality, which is no part of what a signal is.
    #[must_use]
    pub fn without_quality(self) -> Self {
        Self { quality: None, ..self }
    }

    /// Whether type and value are equal, whatever the quality: what a record may hold only once.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        self.kind == other.kind && self.value == other.value
    }
}

/// Shows the type only: a signal must not reach a log by way of `{:?}`.
impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signal({})", self.kind)
    }
}

/// A signal of a type that a newer version registered: kept and shown, not indexed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownSignal {
    /// Code of the type.
    pub code: u64,
    /// Value, 1 to 256 bytes.
    pub value: Vec<u8>,
    /// Quality, 0..=100, when stated.
    pub quality: Option<u8>,
}

impl std::fmt::Debug for UnknownSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnknownSignal(type {}, {} bytes)", self.code, self.value.len())
    }
}
