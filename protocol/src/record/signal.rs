//! Signals: a registered type and a value of exactly its width.
//!
//! No type can carry arbitrary bytes: each has one width, and every bit of it is the output of a hash.
//! A value is kept inline for all but the widest type, because a node holds tens of millions of them.
//!
//! SPEC §7.5.

use super::error::RecordError;
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
}

impl SignalType {
    /// Every type, by code.
    pub const ALL: [Self; 5] = [Self::Pdq, Self::Md5, Self::Sha1, Self::Sha256, Self::PhotoDna];
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
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Pdq | Self::Sha256 => 32,
            Self::PhotoDna => Self::WIDTH_MAX_BYTES,
        }
    }

    /// Whether a value comes with a quality.
    #[must_use]
    pub const fn has_quality(self) -> bool {
        matches!(self, Self::Pdq)
    }
}

impl std::fmt::Display for SignalType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SignalValue {
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
        let stored = match kind {
            SignalType::Md5 => SignalValue::Bytes16(value.try_into().map_err(|_| width())?),
            SignalType::Sha1 => SignalValue::Bytes20(value.try_into().map_err(|_| width())?),
            SignalType::Pdq | SignalType::Sha256 => {
                SignalValue::Bytes32(value.try_into().map_err(|_| width())?)
            }
            SignalType::PhotoDna => SignalValue::Bytes144(Box::new(value.try_into().map_err(|_| width())?)),
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
