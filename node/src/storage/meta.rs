//! Column family `meta`: what the database is, and the generation of the last signature.
//!
//! ```text
//! key "schema"      ->  u32 schema version, big-endian
//! key "consortium"  ->  consortium id, UTF-8
//! key "member"      ->  member id, UTF-8
//! key "generation"  ->  u64, big-endian; absent until first set
//! ```
//!
//! The generation is compared with the lock file's at start-up: a database restored from an older
//! copy has a smaller one, and then signs in no role. Somebody who can write here could raise it to
//! hide such a restore, but cannot make the root of the lock file true.
//! Losing `meta` makes the database unusable: `open` refuses it.

use super::error::StoreError;
use super::options::Shape;

/// Name of the column family.
pub(super) const FAMILY: &str = "meta";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;
/// Version of the layout of all column families. A change of any of them raises it and comes with a
/// migration.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of the schema version.
pub(super) const SCHEMA: &[u8] = b"schema";
/// Key of the consortium id.
pub(super) const CONSORTIUM: &[u8] = b"consortium";
/// Key of the member id.
pub(super) const MEMBER: &[u8] = b"member";
/// Key of the generation.
pub(super) const GENERATION: &[u8] = b"generation";

/// Whose database this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Consortium id.
    pub consortium: String,
    /// Member id.
    pub member: String,
    /// Schema version found on disk.
    pub schema: u32,
}

/// Reads the schema version and refuses every version but ours.
pub(super) fn check_schema(value: &[u8]) -> Result<u32, StoreError> {
    let bytes: [u8; 4] = value.try_into().map_err(|_| wrong_length("schema", value))?;
    let found = u32::from_be_bytes(bytes);
    if found != SCHEMA_VERSION {
        return Err(StoreError::Schema { found, known: SCHEMA_VERSION });
    }
    Ok(found)
}

/// Reads a text field.
pub(super) fn decode_text(value: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(value)
        .map_err(|source| StoreError::Value { family: FAMILY, detail: source.utf8_error().to_string() })
}

/// Reads the generation; 0 if it was never set.
pub(super) fn decode_generation(value: Option<Vec<u8>>) -> Result<u64, StoreError> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value.as_slice().try_into().map_err(|_| wrong_length("generation", &value))?;
    Ok(u64::from_be_bytes(bytes))
}

fn wrong_length(field: &'static str, value: &[u8]) -> StoreError {
    StoreError::Value { family: FAMILY, detail: format!("{field} has {} bytes", value.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_schema_is_taken() {
        assert_eq!(check_schema(&SCHEMA_VERSION.to_be_bytes()).expect("ours"), SCHEMA_VERSION);
        assert!(matches!(
            check_schema(&(SCHEMA_VERSION + 1).to_be_bytes()),
            Err(StoreError::Schema { found: 2, known: 1 })
        ));
        for garbage in [&[][..], &[1], &[0; 5]] {
            assert!(matches!(check_schema(garbage), Err(StoreError::Value { .. })));
        }
    }

    #[test]
    fn generation_round_trips() {
        assert_eq!(decode_generation(None).expect("never set"), 0);
        assert_eq!(decode_generation(Some(9_u64.to_be_bytes().to_vec())).expect("set"), 9);
        assert!(decode_generation(Some(vec![0; 7])).is_err());
        assert!(decode_text(vec![0xff]).is_err());
    }
}
