//! The tag of an index snapshot: up to where the index knows the logs, and what its numbers mean.
//!
//! ```text
//!  0   4  version, 1; big-endian like all that follows
//!  4   8  roster version
//! 12  32  own log: consortium, member and number of the log, as one digest
//! 44   1  length of the member id         45   …  member id
//!  …   4  number of logs, then for each:
//!          0  32  log id          32  8  position
//!  …   4  number of blocks, then for each, in the order of their numbers:
//!          0   4  which of the logs above    4  8  first leaf index / 65,536
//! ```
//!
//! A *position* is a number of entries whose effects are all in the index. The index may hold effects
//! of later entries too: changes are idempotent, so a position that is too low only costs time. One
//! that is too high would lose records, which is why it counts entries that were folded and applied,
//! never entries that were published.
//!
//! Logs are ascending, so there is one encoding of a tag. Nothing in it is
//! believed because it is there: the file around it has checksums against damage, and whatever the tag
//! says is held against the logs by the replay.

use hashpact_core::view::{Block, Numbers};
use hashpact_protocol::digest::{DIGEST_BYTES, LogId};
use std::collections::BTreeMap;

const VERSION: u32 = 1;
/// Longest tag, in bytes; what the index takes.
pub(super) const TAG_MAX_BYTES: usize = 1 << 20;

/// Whose index this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Member id.
    pub(super) member: String,
    /// The member's open log.
    pub(super) own_log: LogId,
    /// The roster in force.
    pub(super) roster_version: u64,
}

/// What a snapshot says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// Whose it is.
    pub(super) owner: Owner,
    /// Entries per log whose effects are in the index.
    pub(super) positions: BTreeMap<LogId, u64>,
    /// Blocks of record numbers, in the order of their numbers.
    pub(super) blocks: Vec<Block>,
}

/// Why a tag cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TagError {
    /// Of another version.
    #[error("its tag has version {got}; this node reads version {VERSION}")]
    Version {
        /// Found.
        got: u32,
    },
    /// Ends too early or too late.
    #[error("its tag has {got_bytes} bytes where {needed_bytes} are needed")]
    Length {
        /// Length of the tag.
        got_bytes: usize,
        /// Length that its parts need, at least.
        needed_bytes: usize,
    },
    /// Longer than allowed.
    #[error("its tag would need {got_bytes} bytes, at most {TAG_MAX_BYTES} are allowed")]
    TooLong {
        /// Needed.
        got_bytes: usize,
    },
    /// The member id is not text.
    #[error("its tag names no member")]
    Member,
    /// Logs out of order.
    #[error("its tag lists log {nth} out of order")]
    LogOrder {
        /// Which, from 0.
        nth: usize,
    },
    /// A block of a log that is not listed, of no possible leaf index, or listed twice.
    #[error("its tag lists block {nth} twice, beyond all leaf indexes or for an unknown log")]
    Block {
        /// Which, from 0.
        nth: usize,
    },
}

impl Tag {
    /// Its bytes.
    ///
    /// # Errors
    /// [`TagError::TooLong`], or [`TagError::Block`] for a block of a log without a position.
    pub(super) fn encode(&self) -> Result<Vec<u8>, TagError> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.owner.roster_version.to_be_bytes());
        bytes.extend_from_slice(self.owner.own_log.as_bytes());
        bytes.push(u8::try_from(self.owner.member.len()).map_err(|_| TagError::Member)?);
        bytes.extend_from_slice(self.owner.member.as_bytes());
        bytes.extend_from_slice(&length(self.positions.len()));
        for (log, position) in &self.positions {
            bytes.extend_from_slice(log.as_bytes());
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        let ranks: BTreeMap<&LogId, u32> = self.positions.keys().zip(0..).collect();
        bytes.extend_from_slice(&length(self.blocks.len()));
        for (nth, block) in self.blocks.iter().enumerate() {
            let rank = ranks.get(&block.log).ok_or(TagError::Block { nth })?;
            bytes.extend_from_slice(&rank.to_be_bytes());
            bytes.extend_from_slice(&block.high.to_be_bytes());
        }
        if bytes.len() > TAG_MAX_BYTES {
            return Err(TagError::TooLong { got_bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads the bytes of [`Tag::encode`].
    ///
    /// # Errors
    /// The rule that they break.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, TagError> {
        if bytes.len() > TAG_MAX_BYTES {
            return Err(TagError::TooLong { got_bytes: bytes.len() });
        }
        let mut rest = Reader { bytes, at: 0 };
        let got = rest.u32()?;
        if got != VERSION {
            return Err(TagError::Version { got });
        }
        let roster_version = rest.u64()?;
        let own_log = rest.log()?;
        let member_len = usize::from(rest.array::<1>()?[0]);
        let member = rest.take(member_len)?;
        let member = std::str::from_utf8(member).map_err(|_| TagError::Member)?.to_owned();
        if member.is_empty() {
            return Err(TagError::Member);
        }
        let mut positions = BTreeMap::new();
        for nth in 0..rest.count(DIGEST_BYTES + 8)? {
            let (log, position) = (rest.log()?, rest.u64()?);
            if positions.last_key_value().is_some_and(|(last, _)| *last >= log) {
                return Err(TagError::LogOrder { nth });
            }
            positions.insert(log, position);
        }
        let logs: Vec<LogId> = positions.keys().copied().collect();
        let mut blocks = Vec::new();
        for nth in 0..rest.count(12)? {
            let (rank, high) = (rest.u32()?, rest.u64()?);
            let log = usize::try_from(rank).ok().and_then(|rank| logs.get(rank));
            blocks.push(Block { log: *log.ok_or(TagError::Block { nth })?, high });
        }
        if rest.at != bytes.len() {
            return Err(TagError::Length { got_bytes: bytes.len(), needed_bytes: rest.at });
        }
        Numbers::from_blocks(blocks.clone()).map_err(|nth| TagError::Block { nth })?;
        Ok(Self { owner: Owner { member, own_log, roster_version }, positions, blocks })
    }

    /// Entries of all logs together.
    pub(super) fn entries(&self) -> u64 {
        self.positions.values().fold(0, |sum, position| sum.saturating_add(*position))
    }
}

fn length(count: usize) -> [u8; 4] {
    // More do not fit into a tag anyway, which is then refused for its length.
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], TagError> {
        let needed_bytes = self.at.saturating_add(len);
        let too_short = TagError::Length { got_bytes: self.bytes.len(), needed_bytes };
        let taken = self.bytes.get(self.at..needed_bytes).ok_or(too_short)?;
        self.at = needed_bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TagError> {
        Ok(self.take(N)?.try_into().expect("as long as asked for"))
    }

    fn u32(&mut self) -> Result<u32, TagError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, TagError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn log(&mut self) -> Result<LogId, TagError> {
        Ok(LogId::new(self.array()?))
    }

    /// A number of items of this width, all of which must still be there.
    fn count(&mut self, item_bytes: usize) -> Result<usize, TagError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let needed_bytes = self.at.saturating_add(count.saturating_mul(item_bytes));
        if needed_bytes > self.bytes.len() {
            return Err(TagError::Length { got_bytes: self.bytes.len(), needed_bytes });
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags() -> impl Strategy<Value = Tag> {
        let positions = prop::collection::btree_map(any::<[u8; 32]>(), any::<u64>(), 1..20);
        let blocks = prop::collection::btree_set((any::<u8>(), 0..1_u64 << 48), 0..40);
        ("[a-z0-9-]{1,32}", any::<[u8; 32]>(), any::<u64>(), positions, blocks).prop_map(
            |(member, own_log, roster_version, positions, blocks)| {
                let positions: BTreeMap<LogId, u64> =
                    positions.into_iter().map(|(log, position)| (LogId::new(log), position)).collect();
                let logs: Vec<LogId> = positions.keys().copied().collect();
                let mut blocks: Vec<Block> = blocks
                    .into_iter()
                    .map(|(log, high)| Block { log: logs[usize::from(log) % logs.len()], high })
                    .collect();
                blocks.sort_unstable_by_key(|block| block.high.reverse_bits());
                blocks.dedup();
                let owner = Owner { member, own_log: LogId::new(own_log), roster_version };
                Tag { owner, positions, blocks }
            },
        )
    }

    fn sample() -> Tag {
        let (a, b) = (LogId::new([1; 32]), LogId::new([2; 32]));
        Tag {
            owner: Owner { member: "ash".to_owned(), own_log: b, roster_version: 3 },
            positions: BTreeMap::from([(a, 70_000), (b, 12)]),
            blocks: vec![Block { log: b, high: 0 }, Block { log: a, high: 1 }, Block { log: a, high: 0 }],
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(tag in tags()) {
            let bytes = tag.encode().expect("short enough");
            prop_assert_eq!(Tag::decode(&bytes), Ok(tag));
        }

        #[test]
        fn garbage_is_refused_without_a_panic_and_what_is_read_has_one_encoding(
            garbage in prop::collection::vec(any::<u8>(), 0..400),
            tag in tags(),
            flip in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            prop_assert!(Tag::decode(&garbage).is_err());
            let mut bytes = tag.encode().expect("short enough");
            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(read) = Tag::decode(&bytes) {
                prop_assert_eq!(read.encode().expect("was as long"), bytes);
            }
        }
    }

    #[test]
    fn every_cut_and_every_appended_byte_is_refused() {
        let bytes = sample().encode().expect("short");
        for len in 0..bytes.len() {
            assert!(Tag::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        let (got_bytes, needed_bytes) = (longer.len(), bytes.len());
        assert_eq!(Tag::decode(&longer), Err(TagError::Length { got_bytes, needed_bytes }));
    }

    #[test]
    fn each_rule_has_its_error() {
        let encode = |change: &dyn Fn(&mut Tag)| {
            let mut tag = sample();
            change(&mut tag);
            tag.encode()
        };
        let decode = |change: &dyn Fn(&mut Tag)| Tag::decode(&encode(change).expect("encodes"));
        let mut other = sample().encode().expect("short");
        other[3] = 2;
        assert_eq!(Tag::decode(&other), Err(TagError::Version { got: 2 }));
        assert_eq!(decode(&|tag| tag.owner.member.clear()), Err(TagError::Member));
        assert_eq!(decode(&|tag| tag.blocks.push(tag.blocks[1])), Err(TagError::Block { nth: 3 }));
        assert_eq!(decode(&|tag| tag.blocks[1].high = 1 << 48), Err(TagError::Block { nth: 1 }));
        let unknown = |tag: &mut Tag| tag.blocks[2].log = LogId::new([9; 32]);
        assert_eq!(encode(&unknown), Err(TagError::Block { nth: 2 }));
        let long = |tag: &mut Tag| {
            let log = tag.owner.own_log;
            tag.blocks = (0..100_000).map(|high| Block { log, high }).collect();
        };
        assert!(matches!(encode(&long), Err(TagError::TooLong { .. })));
        let mut twice = sample().encode().expect("short");
        let second_at = 4 + 8 + 32 + 1 + "ash".len() + 4 + 40;
        twice[second_at..second_at + 32].copy_from_slice(&[1; 32]);
        assert_eq!(Tag::decode(&twice), Err(TagError::LogOrder { nth: 1 }));
        // Counts are held against what is there before anything is allocated.
        let mut forged = sample().encode().expect("short");
        let logs_at = 4 + 8 + 32 + 1 + "ash".len();
        forged[logs_at..logs_at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(Tag::decode(&forged), Err(TagError::Length { .. })));
    }
}
