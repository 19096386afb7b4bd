//! Sketches of weight tiles, grouped by the shape of the tile.
//!
//! A full checkpoint has some two thousand tiles of a few dozen shapes, so a shape is written once and the values
//! behind it in one byte string. A value is 32 bytes, the bits of a sketch, or 1,024, the 256 numbers (f32, little
//! end first) that bits are derived from; here both are bytes and nothing computes with them.
//!
//! SPEC §7.14, §13.2.

use super::error::{RecordError, SchemaError};
use super::schema::{MapReader, MapWriter};
use crate::codec::{Int, Value};
use crate::limits::{TILE_GROUPS_MAX, TILE_SIDE_MIN};

/// Bytes of the bits of one tile.
pub const TILE_BITS_BYTES: usize = 32;
/// Bytes of the numbers of one tile.
pub const TILE_NUMBERS_BYTES: usize = 1024;

/// Rows and columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileShape {
    /// Rows, at least 16.
    pub rows: u32,
    /// Columns, at least 16.
    pub columns: u32,
}

/// Values of the tiles of one shape, in the order of their author.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tiles<const BYTES: usize> {
    shape: TileShape,
    count: usize,
    values: Vec<[u8; BYTES]>,
}

/// Bits of sketches.
pub type TileBits = Tiles<TILE_BITS_BYTES>;
/// Numbers of sketches.
pub type TileNumbers = Tiles<TILE_NUMBERS_BYTES>;

impl<const BYTES: usize> Tiles<BYTES> {
    /// The values of one shape.
    ///
    /// # Errors
    /// A side under 16, or no value.
    pub fn new(shape: TileShape, values: Vec<[u8; BYTES]>) -> Result<Self, RecordError> {
        if shape.rows < TILE_SIDE_MIN || shape.columns < TILE_SIDE_MIN {
            return Err(RecordError::TileSide { got: shape.rows.min(shape.columns) });
        }
        if values.is_empty() {
            return Err(RecordError::TileBytes { got: 0, width: BYTES });
        }
        Ok(Self { shape, count: values.len(), values })
    }

    /// The same from the values behind one another.
    ///
    /// # Errors
    /// As [`Self::new`], or bytes that are not whole values.
    pub fn from_bytes(shape: TileShape, bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.as_chunks() {
            (values, []) => Self::new(shape, values.to_vec()),
            _ => Err(RecordError::TileBytes { got: bytes.len(), width: BYTES }),
        }
    }

    /// The shape.
    #[must_use]
    pub const fn shape(&self) -> TileShape {
        self.shape
    }

    /// How many tiles there are, also when their values are left out.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The values; none where they were left out.
    #[must_use]
    pub fn values(&self) -> &[[u8; BYTES]] {
        &self.values
    }

    /// The values behind one another.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.as_flattened().to_vec()
    }

    /// The same without its values, for who keeps many: shape and number are left. Such a group cannot be encoded.
    #[must_use]
    pub fn without_values(&self) -> Self {
        Self { shape: self.shape, count: self.count, values: Vec::new() }
    }

    /// Shape and number.
    pub(super) fn count_to_value(&self) -> Value {
        let TileShape { rows, columns } = self.shape;
        Value::Array([u64::from(rows), u64::from(columns), self.count as u64].map(Value::unsigned).to_vec())
    }

    /// The reverse of [`Self::count_to_value`].
    pub(super) fn count_from_value(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [
            Value::Int(Int::Unsigned(rows)),
            Value::Int(Int::Unsigned(columns)),
            Value::Int(Int::Unsigned(count)),
        ] = parts.as_slice()
        else {
            return None;
        };
        let shape = TileShape { rows: u32::try_from(*rows).ok()?, columns: u32::try_from(*columns).ok()? };
        Some(Self { shape, count: usize::try_from(*count).ok()?, values: Vec::new() })
    }
}

/// Puts groups in order of shape.
///
/// # Errors
/// Too many groups, or a shape twice.
pub(super) fn check_groups<const BYTES: usize>(groups: &[Tiles<BYTES>]) -> Result<(), RecordError> {
    if groups.len() > TILE_GROUPS_MAX {
        return Err(RecordError::ListCount { got: groups.len(), max: TILE_GROUPS_MAX });
    }
    let mut pairs = groups.iter().zip(groups.iter().skip(1));
    match pairs.position(|(before, after)| before.shape >= after.shape) {
        Some(at) => Err(RecordError::ListOrder { nth: at + 1 }),
        None => Ok(()),
    }
}

/// An array of [rows, columns, bytes], strictly ascending by shape; nothing where the key is not there.
pub(super) fn read_groups<const BYTES: usize>(
    map: &mut MapReader,
    key: u64,
) -> Result<Vec<Tiles<BYTES>>, SchemaError> {
    let Some(elements) = map.array(key)? else { return Ok(Vec::new()) };
    if elements.is_empty() || elements.len() > TILE_GROUPS_MAX {
        let rule = RecordError::ListCount { got: elements.len(), max: TILE_GROUPS_MAX };
        return Err(map.broken(key, rule));
    }
    let groups = elements.iter().enumerate().map(|(nth, element)| read_group(nth, element));
    let groups: Vec<_> = groups.collect::<Result<_, _>>().map_err(|rule| map.broken(key, rule))?;
    check_groups(&groups).map_err(|rule| map.broken(key, rule))?;
    Ok(groups)
}

fn read_group<const BYTES: usize>(nth: usize, element: &Value) -> Result<Tiles<BYTES>, RecordError> {
    let shape = || RecordError::ListShape { nth, expected: "[rows, columns, bytes]" };
    let Value::Array(parts) = element else { return Err(shape()) };
    let [Value::Int(Int::Unsigned(rows)), Value::Int(Int::Unsigned(columns)), Value::Bytes(bytes)] =
        parts.as_slice()
    else {
        return Err(shape());
    };
    let side = |side: u64| u32::try_from(side).map_err(|_| shape());
    Tiles::from_bytes(TileShape { rows: side(*rows)?, columns: side(*columns)? }, bytes)
}

pub(super) fn write_groups<const BYTES: usize>(map: &mut MapWriter, key: u64, groups: &[Tiles<BYTES>]) {
    let group = |group: &Tiles<BYTES>| {
        let TileShape { rows, columns } = group.shape;
        Value::Array(vec![Value::unsigned(rows), Value::unsigned(columns), Value::Bytes(group.to_bytes())])
    };
    map.put_list(key, groups.iter().map(group).collect());
}
