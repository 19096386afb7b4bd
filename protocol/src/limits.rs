//! Every bound on size and count that members must agree on, in one place.
//!
//! A bound here is part of the format: a node that accepted more than its neighbour would hold
//! entries the neighbour can never receive. Bounds that only one node cares about (queue lengths,
//! cache sizes) live with that node. Sizes end in `_BYTES`, durations in their unit, and relations
//! between bounds are asserted at compile time at the end of this file, so that a change of one
//! cannot silently break another.
//!
//! What this file deliberately does not do: enforce anything. Each decoder checks its own bound
//! *before* it allocates and names the bound in its error.
//!
//! SPEC §6 (leaves), §7 (records), §8 (roster), §9 (node cards), §10 (peer messages), §11 (API), §12 (audit bundles).

/// Length of a version 1 leaf. SPEC §6.
pub const LEAF_BYTES: usize = 136;
/// Length of the part of a leaf that the payload commitment covers: all but the commitment.
pub const LEAF_PREFIX_BYTES: usize = 104;
/// Followers accept, store and prove any leaf up to this length, whatever it says.
pub const ENTRY_LEAF_MAX_BYTES: usize = 1024;

/// Smallest padded payload.
pub const PAYLOAD_PADDED_MIN_BYTES: usize = 128;
/// Largest padded payload. Padded lengths are the powers of two from the smallest to this.
pub const PAYLOAD_PADDED_MAX_BYTES: usize = 64 * 1024;
/// The big-endian length that precedes the CBOR in a padded payload.
pub const PAYLOAD_LENGTH_PREFIX_BYTES: usize = 4;
/// Largest CBOR that fits a padded payload.
pub const PAYLOAD_CBOR_MAX_BYTES: usize = PAYLOAD_PADDED_MAX_BYTES - PAYLOAD_LENGTH_PREFIX_BYTES;
/// Random bytes that hide the payload behind its commitment; erased together with it.
pub const SALT_BYTES: usize = 32;

/// Deepest nesting of maps and arrays in a payload; the outermost map is depth 1.
pub const CBOR_DEPTH_MAX: usize = 4;
/// Widest value of a signal whose type this version does not know.
pub const UNKNOWN_SIGNAL_MAX_BYTES: usize = 256;
/// Most unknown odd keys that one map may carry.
pub const UNKNOWN_FIELDS_MAX: usize = 16;

/// Signals of one record: every hash of one piece of media, not a list of media.
pub const SIGNALS_PER_RECORD_MAX: usize = 64;
/// Longest token (organisation, list, identifier within a list).
pub const TOKEN_MAX_BYTES: usize = 64;
/// Logs that one receipt speaks about.
pub const RECEIPT_LOGS_MAX: usize = 256;
/// Runs of missing payloads in one receipt, over all its logs.
pub const RECEIPT_GAPS_MAX: usize = 1024;
/// Reports of one record to hotlines and authorities.
pub const REPORTS_PER_RECORD_MAX: usize = 16;
/// Classes of other schemes that one record names.
pub const CLASSES_PER_RECORD_MAX: usize = 16;
/// Longest version and class of another scheme.
pub const CLASS_ID_MAX_BYTES: usize = 32;
/// Records that one list of a record names: sources, training data, models offered, what an observation has to do with.
pub const RELATED_PER_LIST_MAX: usize = 16;
/// Techniques that one record names.
pub const TECHNIQUES_PER_RECORD_MAX: usize = 16;
/// Largest number of a technique: four digits.
pub const TECHNIQUE_NUMBER_MAX: u16 = 9_999;
/// Identifiers that a model file claims of itself.
pub const CLAIMS_PER_RECORD_MAX: usize = 8;
/// Shortest identifier that is claimed of a model file: eight hex digits.
pub const CLAIMED_ID_MIN_BYTES: usize = 4;
/// Longest one.
pub const CLAIMED_ID_MAX_BYTES: usize = 32;
/// Models that a media file names.
pub const RESOURCES_PER_RECORD_MAX: usize = 16;
/// Shapes of tiles in one list of a record.
pub const TILE_GROUPS_MAX: usize = 1024;
/// Shortest side of a weight tile (SPEC §13.2).
pub const TILE_SIDE_MIN: u32 = 16;
/// Vectors of a textual inversion in one record.
pub const VECTORS_PER_RECORD_MAX: usize = 1024;
/// Records that one statement about a model may be split over.
pub const MODEL_PARTS_MAX: u16 = 256;
/// Most tiles of a look-up of a model, over all of its fingerprints.
pub const MODEL_TILES_PER_CALL_MAX: usize = 16_384;
/// Most identifiers of a look-up of a model.
pub const MODEL_IDS_MAX: usize = 256;
/// Most fingerprints of a look-up of a model, one for each base that it may be made from.
pub const MODEL_FINGERPRINTS_MAX: usize = 4;
/// Largest number in the version of a tool.
pub const VERSION_NUMBER_MAX: u16 = 999;
/// Most steps of a generator.
pub const STEPS_MAX: u64 = 1000;
/// Largest guidance scale, times ten.
pub const CFG_X10_MAX: u64 = 1000;
/// Largest strength of a change, times a hundred.
pub const DENOISE_X100_MAX: u64 = 100;
/// Most layers of a text encoder that are left out.
pub const CLIP_SKIP_MAX: u64 = 24;
/// Bytes of the id of a content incident.
pub const INCIDENT_ID_BYTES: usize = 16;
/// Largest quality of a signal; quality runs from 0 to this.
pub const QUALITY_MAX: u8 = 100;
/// Latest `expires` that a record may state: the last second of the year 9999.
pub const TIME_S_MAX: u64 = 253_402_300_799;
/// The same instant in milliseconds, for leaf times that are shown as RFC 3339.
pub const TIME_MS_MAX: u64 = TIME_S_MAX * 1000 + 999;

/// Longest signed note: text and signatures.
pub const NOTE_MAX_BYTES: usize = 16 * 1024;
/// Most signature lines of one note.
pub const NOTE_SIGNATURES_MAX: usize = 32;

/// Most hashes of a consistency proof that is submitted to a witness (C2SP tlog-witness).
pub const CONSISTENCY_HASHES_MAX: usize = 63;
/// Longest body of an `add-checkpoint` request: a size, a proof of 45 bytes a line, a note.
pub const ADD_CHECKPOINT_MAX_BYTES: usize = NOTE_MAX_BYTES + CONSISTENCY_HASHES_MAX * 45 + 64;
/// Longest answer of a witness: as many signature lines as fit beside the checkpoint.
pub const COSIGNATURES_MAX_BYTES: usize = NOTE_MAX_BYTES;
/// Longest evidence of equivocation: two notes, and at most five proofs and four digests in lines of
/// at most 64 bytes.
pub const EVIDENCE_MAX_BYTES: usize = 2 * NOTE_MAX_BYTES + 5 * 64 * 64 + 512;

/// Longest member id, `[a-z0-9-]{1,32}`.
pub const MEMBER_ID_MAX: usize = 32;
/// Most members of one roster, left members included.
pub const MEMBERS_MAX: usize = 256;
/// Most logs one member has had.
pub const LOGS_PER_MEMBER_MAX: usize = 64;
/// Most witnesses of one roster.
pub const WITNESSES_MAX: usize = 15;
/// Longest roster body.
pub const ROSTER_BODY_MAX_BYTES: usize = 192 * 1024;

/// Longest node card.
pub const NODE_CARD_MAX_BYTES: usize = 8 * 1024;
/// Longest time for which a node card may be valid, in seconds (30 days).
pub const NODE_CARD_LIFETIME_MAX_S: u64 = 30 * 86_400;

/// Longest request between peers, envelope included.
pub const WIRE_REQUEST_MAX_BYTES: usize = 512 * 1024;
/// Longest response between peers, envelope included.
pub const WIRE_RESPONSE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most entries of one range chunk.
pub const RANGE_ENTRIES_MAX: usize = 4096;
/// Most bytes of leaves, salts and payloads in one range chunk. A chunk always holds one entry.
pub const RANGE_BYTES_MAX: usize = 1024 * 1024;

/// Entries of a forked log's other history that a node keeps beside the one that it follows (SPEC §3.6).
pub const BRANCH_ENTRIES_MAX: u64 = 65_536;
/// Histories of one forked log that a node keeps so: those of one piece of evidence.
pub const BRANCHES_PER_LOG_MAX: u8 = 2;

/// Entries of one chunk of an audit bundle: a tile's worth.
pub const BUNDLE_CHUNK_ENTRIES_MAX: usize = 256;
/// Longest member of an audit bundle: a chunk of the largest payloads with their states.
pub const BUNDLE_MEMBER_MAX_BYTES: usize =
    BUNDLE_CHUNK_ENTRIES_MAX * (PAYLOAD_PADDED_MAX_BYTES + SALT_BYTES + 4 + 41);
/// Roster bodies of one audit bundle, together.
pub const BUNDLE_ROSTERS_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Uncompressed bytes of one block of a compressed audit bundle.
pub const BUNDLE_BLOCK_MAX_BYTES: usize = 256 * 1024;
/// Bytes of one part of the holder's journal in an audit bundle.
pub const BUNDLE_JOURNAL_PART_MAX_BYTES: usize = 1024 * 1024;
/// Lines of one list of digests in an audit bundle.
pub const BUNDLE_DIGESTS_PER_LIST_MAX: usize = 65_536;

/// Most records of one contribution call.
pub const RECORDS_PER_CALL_MAX: usize = 10_000;
/// Most signals of one match call, over all its items; a variant is part of its signal.
pub const MATCH_SIGNALS_PER_CALL_MAX: usize = 10_000;
/// Most items of one match call; an item has at least one signal.
pub const MATCH_ITEMS_PER_CALL_MAX: usize = MATCH_SIGNALS_PER_CALL_MAX;
/// Most signals of one item of a match call.
pub const MATCH_SIGNALS_PER_ITEM_MAX: usize = 64;
/// Most variants beside the value itself: the eight dihedral images less the identity.
pub const VARIANTS_MAX: usize = 7;
/// Longest caller-chosen item id of a match call, in bytes.
pub const MATCH_ITEM_ID_MAX_BYTES: usize = 256;
/// Most lists that one match call names.
pub const MATCH_LISTS_MAX: usize = 64;
/// Most matching records shown for one item; the total is always exact.
pub const MATCHES_PER_ITEM_MAX: usize = 100;
/// Longest value of the `Idempotency-Key` header.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 128;
/// Most records on one page of an export.
pub const RECORDS_PAGE_MAX: usize = 1000;

/// Largest Hamming radius that a PDQ query may ask for; matching is exact up to here.
pub const PDQ_DISTANCE_MAX: u32 = 64;
/// Hamming radius of a PDQ query that names none.
pub const PDQ_DISTANCE_DEFAULT: u32 = 31;

const _: () = {
    assert!(LEAF_BYTES == LEAF_PREFIX_BYTES + 32);
    assert!(LEAF_BYTES <= ENTRY_LEAF_MAX_BYTES);
    assert!(PAYLOAD_PADDED_MIN_BYTES.is_power_of_two());
    assert!(PAYLOAD_PADDED_MAX_BYTES.is_power_of_two());
    assert!(PAYLOAD_PADDED_MIN_BYTES > PAYLOAD_LENGTH_PREFIX_BYTES);
    assert!(PAYLOAD_PADDED_MIN_BYTES < PAYLOAD_PADDED_MAX_BYTES);
    // The largest legal content record fits a payload: 64 of the widest signal with their heads, reports and
    // classes, models named, and two kilobytes for subject, labels, source, what else there is of one width, and
    // unknown fields.
    assert!(
        SIGNALS_PER_RECORD_MAX * (UNKNOWN_SIGNAL_MAX_BYTES + 16)
            + REPORTS_PER_RECORD_MAX * 16
            + CLASSES_PER_RECORD_MAX * (2 * (CLASS_ID_MAX_BYTES + 2) + 10)
            + RESOURCES_PER_RECORD_MAX * (CLAIMED_ID_MAX_BYTES + 24)
            + 2048
            <= PAYLOAD_CBOR_MAX_BYTES
    );
    assert!(UNKNOWN_SIGNAL_MAX_BYTES >= 144);
    // A full checkpoint of 1,700 tiles in 128 shapes fits one payload with 16 exact identifiers and its lists.
    assert!(1_700 * 32 + 128 * 16 + 16 * 40 + 4 * RELATED_PER_LIST_MAX * 48 + 2048 <= PAYLOAD_CBOR_MAX_BYTES);
    // So does the largest receipt: per log two digests with their heads, a size and a list, per gap two integers.
    assert!(RECEIPT_LOGS_MAX * (2 * 34 + 9 + 4) + RECEIPT_GAPS_MAX * 18 + 1024 <= PAYLOAD_CBOR_MAX_BYTES);
    // One entry with the largest leaf and payload always fits a chunk, so sync always progresses.
    assert!(ENTRY_LEAF_MAX_BYTES + SALT_BYTES + PAYLOAD_PADDED_MAX_BYTES + 64 <= RANGE_BYTES_MAX);
    // A full chunk, its per-entry framing and its cover fit the envelope.
    assert!(RANGE_BYTES_MAX + RANGE_ENTRIES_MAX * 16 + 128 * 32 + 1024 <= WIRE_RESPONSE_MAX_BYTES);
    // A roster body with its note and a node card fit one request.
    assert!(ROSTER_BODY_MAX_BYTES + NOTE_MAX_BYTES + NODE_CARD_MAX_BYTES + 1024 <= WIRE_REQUEST_MAX_BYTES);
    assert!(NODE_CARD_MAX_BYTES <= NOTE_MAX_BYTES);
    assert!(WITNESSES_MAX < NOTE_SIGNATURES_MAX);
    // C2SP tlog-witness and signed-note readers take at most 100 lines.
    assert!(NOTE_SIGNATURES_MAX <= 100);
    assert!(EVIDENCE_MAX_BYTES + 16 <= WIRE_REQUEST_MAX_BYTES);
    assert!(ADD_CHECKPOINT_MAX_BYTES + 16 <= WIRE_REQUEST_MAX_BYTES);
    assert!(PDQ_DISTANCE_DEFAULT <= PDQ_DISTANCE_MAX);
    assert!(MATCH_SIGNALS_PER_ITEM_MAX <= MATCH_SIGNALS_PER_CALL_MAX);
    // A chunk of the longest leaves with both slopes of its proof, a roster body and a list of digests fit.
    assert!(BUNDLE_CHUNK_ENTRIES_MAX * (2 + ENTRY_LEAF_MAX_BYTES) + 192 * 32 <= BUNDLE_MEMBER_MAX_BYTES);
    assert!(ROSTER_BODY_MAX_BYTES <= BUNDLE_MEMBER_MAX_BYTES && NOTE_MAX_BYTES <= BUNDLE_MEMBER_MAX_BYTES);
    assert!(BUNDLE_DIGESTS_PER_LIST_MAX * (64 + 2 + 100 + 1) <= BUNDLE_MEMBER_MAX_BYTES);
};
