//! Column family `leaves`: the entries of all logs, byte for byte as their trees hash them.
//!
//! ```text
//! key    0  32  log id     32  8  leaf index, big-endian
//! value  the leaf, 0 to 1024 bytes, nothing around it
//! ```
//!
//! This is the one column family that everything else can be rebuilt from (payloads apart). Leaves
//! are never changed or removed. Somebody who changes one breaks the root above it, which `fsck`
//! and every peer that fetches the range find out. Losing them loses the own log's history if no
//! peer holds it, and otherwise costs a replication.

use super::options::Shape;
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;

/// Name of the column family.
pub(super) const FAMILY: &str = "leaves";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Compressible;

/// Whether a leaf has a length that any log may hold.
pub(super) fn is_leaf_length(len_bytes: usize) -> bool {
    len_bytes <= ENTRY_LEAF_MAX_BYTES
}
