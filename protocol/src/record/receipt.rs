//! `receipt`: which payloads a member holds, log by log.
//!
//! A cosignature speaks of leaves only; this is the one statement about payloads. It names a tree by size and
//! root, so that it is about one history, and the entries of that tree whose payload the member does not have:
//! not here, withheld from it, or erased. What a receipt does not exclude, it states as held. It is the
//! member's word, for which it can be held to account; that the word was given is proven by its log.
//!
//! SPEC §7.9.

use super::error::{RecordError, SchemaError};
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, UnknownFields, find_foreign_key};
use crate::codec::{Fields, Int, Value};
use crate::digest::{LogId, Root};
use crate::leaf::{Leaf, OpaqueReason};
use crate::limits::{RECEIPT_GAPS_MAX, RECEIPT_LOGS_MAX};
use crate::merkle::TREE_SIZE_MAX;

const MAP: &str = "receipt";

const KEY_HOLDINGS: u64 = 2;

/// Neighbouring entries whose payloads are not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// Leaf index of the first.
    pub start: u64,
    /// How many; at least one.
    pub count: u64,
}

/// What is held of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The log.
    pub log: LogId,
    /// Tree size; at least 1.
    pub size: u64,
    /// Its root.
    pub root: Root,
    /// Entries below the size whose payloads are not held: ascending, neither overlapping nor touching.
    pub missing: Vec<Gap>,
}

impl Holding {
    /// Whether the payload of this entry is stated to be held.
    #[must_use]
    pub fn holds(&self, index: u64) -> bool {
        let is_missing = |gap: &Gap| (gap.start..gap.start.saturating_add(gap.count)).contains(&index);
        index < self.size && !self.missing.iter().any(is_missing)
    }

    /// How many payloads are not held.
    #[must_use]
    pub fn missing_count(&self) -> u64 {
        self.missing.iter().fold(0, |sum, gap| sum.saturating_add(gap.count))
    }

    fn check(&self) -> Result<(), RecordError> {
        if !(1..=TREE_SIZE_MAX).contains(&self.size) {
            return Err(RecordError::HoldingSize { got: self.size });
        }
        // The first place where a gap may start: at 0, then behind an entry that is held.
        let mut free = 0;
        for gap in &self.missing {
            let end = gap.start.checked_add(gap.count).filter(|end| *end <= self.size);
            match end {
                Some(end) if gap.count > 0 && gap.start >= free => free = end.saturating_add(1),
                _ => return Err(RecordError::Gap { start: gap.start, count: gap.count, size: self.size }),
            }
        }
        Ok(())
    }

    fn read(element: &Value) -> Result<Self, RecordError> {
        let Value::Array(parts) = element else { return Err(RecordError::HoldingShape) };
        let [Value::Bytes(log), Value::Int(Int::Unsigned(size)), Value::Bytes(root), Value::Array(gaps)] =
            parts.as_slice()
        else {
            return Err(RecordError::HoldingShape);
        };
        let bytes = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| RecordError::HoldingShape);
        let gap = |pair: &[Value]| match pair {
            [Value::Int(Int::Unsigned(start)), Value::Int(Int::Unsigned(count))] => {
                Ok(Gap { start: *start, count: *count })
            }
            _ => Err(RecordError::HoldingShape),
        };
        let missing = gaps.chunks(2).map(gap).collect::<Result<_, _>>()?;
        let holding =
            Self { log: LogId::new(bytes(log)?), size: *size, root: Root::new(bytes(root)?), missing };
        holding.check()?;
        Ok(holding)
    }

    fn to_value(&self) -> Value {
        let gaps = self.missing.iter().flat_map(|gap| [gap.start, gap.count]).map(Value::unsigned);
        Value::Array(vec![
            Value::Bytes(self.log.as_bytes().to_vec()),
            Value::unsigned(self.size),
            Value::Bytes(self.root.as_bytes().to_vec()),
            Value::Array(gaps.collect()),
        ])
    }
}

/// What a member holds of other logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    holdings: Vec<Holding>,
    unknown: UnknownFields,
}

impl Receipt {
    /// A receipt over these logs, in any order.
    ///
    /// # Errors
    /// The first rule that is broken: of a holding, or of their number, or a log twice.
    pub fn new(mut holdings: Vec<Holding>) -> Result<Self, RecordError> {
        holdings.sort_by_key(|holding| holding.log);
        holdings.iter().try_for_each(Holding::check)?;
        let receipt = Self { holdings, unknown: UnknownFields::new() };
        receipt.check()?;
        Ok(receipt)
    }

    /// What is held, ascending by log id.
    #[must_use]
    pub fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    /// What is stated about a log.
    #[must_use]
    pub fn of(&self, log: &LogId) -> Option<&Holding> {
        self.holdings.iter().find(|holding| holding.log == *log)
    }

    fn check(&self) -> Result<(), RecordError> {
        let got = self.holdings.len();
        if !(1..=RECEIPT_LOGS_MAX).contains(&got) {
            return Err(RecordError::HoldingCount { got });
        }
        let gaps = self.holdings.iter().map(|holding| holding.missing.len()).sum();
        if gaps > RECEIPT_GAPS_MAX {
            return Err(RecordError::GapCount { got: gaps });
        }
        let pairs = self.holdings.iter().zip(self.holdings.iter().skip(1));
        match pairs.into_iter().position(|(before, after)| before.log >= after.log) {
            Some(at) => Err(RecordError::HoldingOrder { nth: at + 1 }),
            None => Ok(()),
        }
    }
}

impl Schema for Receipt {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT, KEY_HOLDINGS])
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        if map.subject(leaf)?.is_some() {
            return Err(map.broken(KEY_SUBJECT, RecordError::ReceiptSubject));
        }
        let elements = map.array(KEY_HOLDINGS)?.ok_or_else(|| map.missing(KEY_HOLDINGS))?;
        let holdings = elements.iter().map(Holding::read).collect::<Result<_, _>>();
        let holdings = holdings.map_err(|rule| map.broken(KEY_HOLDINGS, rule))?;
        let broken = |rule| SchemaError::Field { map: MAP, key: KEY_HOLDINGS, rule };
        let receipt = Self { holdings, unknown: map.finish()? };
        receipt.check().map_err(broken)?;
        Ok(receipt)
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put(KEY_HOLDINGS, Value::Array(self.holdings.iter().map(Holding::to_value).collect()));
        map.finish()
    }
}
