//! Entries that break every rule an author can break under a signature that is good.
//!
//! Each comes with a payload that fits its commitment where a commitment can be read at all: a payload
//! that does not would be its sender's fault and not its author's (SPEC §6.2).

use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{Kind, LeafHeader, commitment, seal};
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;
use hashpact_protocol::record::{Content, Record};
use hashpact_protocol::wire::{WireEntry, WirePayload};

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Nothing: the one that must count all the same.
    None,
    /// No byte of leaf.
    EmptyLeaf,
    /// As many bytes as a leaf may have, saying nothing.
    LongestLeaf,
    /// A flag that there is not.
    FlagBit,
    /// Another place in its log.
    OtherIndex,
    /// Another log.
    OtherLog,
    /// The last moment that fits.
    TimeTooLarge,
    /// A payload of 4 GiB, by its word.
    PaddedLengthHuge,
    /// A leaf of a later version.
    UnknownVersion,
    /// A kind that there is not yet.
    UnknownKind,
    /// A payload in a codec that there is not yet.
    UnknownCodec,
    /// A record with a field that there is not yet.
    UnknownKey,
    /// CBOR of 4 GiB inside 128 bytes.
    InnerLengthHuge,
    /// An array of 2^60 elements.
    ArrayHuge,
    /// A string of 2^60 bytes.
    BytesHuge,
    /// A hundred arrays in one another.
    Deep,
    /// A number in a longer form than it needs.
    NotCanonical,
    /// The longest payload, with padding that is none.
    LargestPayload,
}

impl Poison {
    /// All of them, the sound one first.
    pub const ALL: [Self; 18] = [
        Self::None,
        Self::EmptyLeaf,
        Self::LongestLeaf,
        Self::FlagBit,
        Self::OtherIndex,
        Self::OtherLog,
        Self::TimeTooLarge,
        Self::PaddedLengthHuge,
        Self::UnknownVersion,
        Self::UnknownKind,
        Self::UnknownCodec,
        Self::UnknownKey,
        Self::InnerLengthHuge,
        Self::ArrayHuge,
        Self::BytesHuge,
        Self::Deep,
        Self::NotCanonical,
        Self::LargestPayload,
    ];

    /// What stands at an index of a poisoned log.
    #[must_use]
    pub fn at(index: u64) -> Self {
        Self::ALL[(index % Self::ALL.len() as u64) as usize]
    }

    /// Whether an entry like this may say something in a later version; if not, it breaks a rule for good.
    #[must_use]
    pub const fn is_newer(self) -> bool {
        matches!(self, Self::UnknownVersion | Self::UnknownKind | Self::UnknownCodec | Self::UnknownKey)
    }
}

/// The entry of a poisoned log at this index, as its author serves it.
///
/// # Panics
/// Never: the record is a valid one.
#[must_use]
pub fn entry(content: Content, log_id: LogId, index: u64, time_ms: u64, salt: [u8; 32]) -> WireEntry {
    let header = LeafHeader {
        kind: Kind::Content,
        priority: false,
        index,
        time_ms,
        roster_version: 1,
        log_id,
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &Record::Content(content), salt).expect("a valid record");
    let (mut leaf, mut padded) = (sealed.leaf_bytes.to_vec(), sealed.padded);
    match Poison::at(index) {
        Poison::None => {}
        Poison::EmptyLeaf => return bare(Vec::new()),
        Poison::LongestLeaf => return bare(vec![salt[0]; ENTRY_LEAF_MAX_BYTES]),
        Poison::UnknownVersion => {
            return bare([b"HPL2".as_slice(), &salt, &[0; 250]].concat());
        }
        Poison::UnknownKind => leaf[4] = 200,
        Poison::FlagBit => leaf[5] |= 0x80,
        Poison::UnknownCodec => leaf[7] = 9,
        Poison::OtherIndex => leaf[15] ^= 1,
        Poison::TimeTooLarge => leaf[16..24].fill(0xff),
        Poison::OtherLog => leaf[40] ^= 1,
        Poison::PaddedLengthHuge => leaf[100..104].fill(0xff),
        Poison::UnknownKey => padded = pad(&[0xa2, 0x02, 0x81, 0x82, 0x00, 0x40, 0x18, 0x64, 0x00], None),
        Poison::InnerLengthHuge => padded = pad(&[0xa0], Some(u32::MAX)),
        Poison::ArrayHuge => padded = pad(&[&[0xa1, 0x02][..], &claim(0x9b)].concat(), None),
        Poison::BytesHuge => padded = pad(&[&[0xa1, 0x02][..], &claim(0x5b)].concat(), None),
        Poison::Deep => padded = pad(&[&[0xa1, 0x02][..], &[0x81; 100]].concat(), None),
        Poison::NotCanonical => padded = pad(&[0xa1, 0x18, 0x02, 0x80], None),
        Poison::LargestPayload => padded = vec![0xff; 65_536],
    }
    if Poison::at(index) != Poison::PaddedLengthHuge {
        let length = u32::try_from(padded.len()).expect("at most 64 KiB");
        leaf[100..104].copy_from_slice(&length.to_be_bytes());
    }
    let commitment = commitment(leaf.first_chunk().expect("136 bytes"), &salt, &padded);
    leaf[104..].copy_from_slice(commitment.as_bytes());
    WireEntry { leaf, payload: WirePayload::Present { salt, padded } }
}

/// A CBOR head that claims 2^60 of what follows.
fn claim(initial: u8) -> [u8; 9] {
    [initial, 0x10, 0, 0, 0, 0, 0, 0, 0]
}

fn pad(cbor: &[u8], claimed: Option<u32>) -> Vec<u8> {
    let length = claimed.unwrap_or_else(|| u32::try_from(cbor.len()).expect("short"));
    let mut padded = [&length.to_be_bytes(), cbor].concat();
    padded.resize(padded.len().next_power_of_two().max(128), 0);
    padded
}

/// A leaf that says nothing about a payload.
fn bare(leaf: Vec<u8>) -> WireEntry {
    WireEntry { leaf, payload: WirePayload::NotHere }
}
