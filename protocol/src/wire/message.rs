//! The shapes of peer messages, in the order that their discriminants have on the wire (SPEC §10).
//!
//! Plain data with public fields. Order of variants and fields *is* the format: inserting one in
//! the middle changes every later discriminant, so new ones need a new protocol name. Nothing here
//! is verified; a `HeadNote` is a claim until `checkpoint::SignedCheckpoint::verify` has seen it.
//!
//! Vectors of pairs and structs of vectors only, no boxes and no recursion.
use bincode::{Decode, Encode};

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Introduces the caller: the only request that an unknown peer may send, and only once.
    Hello(Hello),
    /// Asks for the newest checkpoint of every log that the other side can serve.
    Heads,
    /// Tells of new checkpoints and of entries that should overtake a backlog.
    Announce(Announce),
    /// Asks for a run of entries of one log.
    Range(RangeRequest),
    /// States that every leaf, payload and salt below a size is on the caller's disk, and which beyond it.
    Stored(Stored),
    /// Asks for payloads of entries whose leaves the caller holds.
    Payloads(PayloadsRequest),
    /// Asks a witness to cosign: the body of a C2SP `add-checkpoint` request (SPEC §3.5).
    Cosign(Vec<u8>),
    /// Asks how one size of a log leads to a larger one.
    Consistency(ConsistencyRequest),
    /// Evidence that the author of a log signed two histories (SPEC §3.6).
    Evidence(Vec<u8>),
    /// Asks for single entries ahead of what the caller holds, each with its proof.
    Entries(EntriesRequest),
    /// Asks for a run of entries of one of the histories of a forked log.
    Branch(BranchRequest),
}

/// What the other answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// The answering side's own introduction.
    Hello(Hello),
    /// Newest checkpoint of each log that this node can serve, and recent priority entries.
    Heads(Heads),
    /// The request was taken; there is nothing to say.
    Ack,
    /// A run of entries with what authenticates it.
    Range(RangeChunk),
    /// The request was not served, and why.
    Refused(Refusal),
    /// What stands beside the first of the leaves that were asked for, in the order asked; at least one.
    Payloads(Vec<WirePayload>),
    /// What a witness says.
    Cosign(CosignAnswer),
    /// How one size leads to another.
    Consistency(ConsistencyAnswer),
    /// The first of the entries that were asked for, in the order asked; at least one.
    Entries(EntriesAnswer),
}

/// Introduction of a node: who it speaks for and the roster it holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Consortium id, `<name>-<16 hex>`.
    pub consortium: String,
    /// Newest roster version that the sender holds; at least 1.
    pub roster_version: u64,
    /// Consecutive roster versions (body, signed note) that the receiver may lack, oldest first.
    pub roster: Vec<(Vec<u8>, Vec<u8>)>,
    /// The signed node card of the sender's member (SPEC §9); empty if it has none and relies on the one that the
    /// receiver knows.
    pub card: Vec<u8>,
}

/// One checkpoint of one log, unverified.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HeadNote {
    /// Log origin, `<consortium>/<member>/<n>`; repeats the note's first line for routing.
    pub origin: String,
    /// The signed note, byte for byte as its author published it.
    pub note: Vec<u8>,
}

/// What a node can serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Heads {
    /// Newest checkpoint of each log.
    pub notes: Vec<HeadNote>,
    /// (origin, leaf index) of recent priority entries covered by these checkpoints, for whoever joins late.
    pub priority: Vec<(String, u64)>,
}

/// News, pushed without being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Announce {
    /// Checkpoints that the sender can now serve.
    pub notes: Vec<HeadNote>,
    /// (origin, leaf index) of priority entries covered by these checkpoints.
    pub priority: Vec<(String, u64)>,
}

/// Asks for entries `start..` of the tree of `size` leaves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RangeRequest {
    /// Log id: SHA-256 of the origin.
    pub log: [u8; 32],
    /// First leaf index wanted; below `size`.
    pub start: u64,
    /// Tree size whose root the caller holds a signature for.
    pub size: u64,
    /// Most entries to send, 1 to `RANGE_ENTRIES_MAX`.
    pub entries_max: u32,
    /// Most bytes of leaves, salts and payloads to send, 1 to `RANGE_BYTES_MAX`; one entry is sent
    /// even if it alone is larger, so that every answer makes progress.
    pub bytes_max: u32,
}

/// Asks for entries as a range request does, of the one tree with this root: of a forked log there are others of
/// the same size.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BranchRequest {
    /// Which entries.
    pub range: RangeRequest,
    /// Root of the tree of `size` leaves.
    pub root: [u8; 32],
}

/// Asks for the payloads of single entries, by leaf index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PayloadsRequest {
    /// Log id: SHA-256 of the origin.
    pub log: [u8; 32],
    /// Leaf indexes, strictly ascending, 1 to `PAYLOADS_ASKED_MAX`.
    pub indexes: Vec<u64>,
    /// Most bytes of salts and payloads to send, 1 to `RANGE_BYTES_MAX`; one payload is sent even if it
    /// alone is larger, so that every answer makes progress.
    pub bytes_max: u32,
}

/// Asks for single entries, and for how the tree that the caller holds leads to the one that has them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EntriesRequest {
    /// Log id: SHA-256 of the origin.
    pub log: [u8; 32],
    /// Leaves that the caller holds.
    pub old: u64,
    /// Tree size whose root the caller holds a signature for; all entries asked for are below it.
    pub size: u64,
    /// Leaf indexes, strictly ascending, none below `old`, 1 to `ENTRIES_ASKED_MAX`.
    pub indexes: Vec<u64>,
    /// Most bytes of leaves, salts and payloads to send, 1 to `RANGE_BYTES_MAX`; one entry is sent even if
    /// it alone is larger, so that every answer makes progress.
    pub bytes_max: u32,
}

/// Single entries, each of which can be checked alone against a signed root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EntriesAnswer {
    /// Consistency proof from the caller's size to the tree named (RFC 6962 §2.1.2).
    pub consistency: Vec<[u8; 32]>,
    /// The entries; never empty.
    pub entries: Vec<ProvenEntry>,
}

/// One entry with its place in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProvenEntry {
    /// Leaf and payload.
    pub entry: WireEntry,
    /// Inclusion proof in the tree named (RFC 6962 §2.1.1).
    pub inclusion: Vec<[u8; 32]>,
}

/// A durable-possession statement about one log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stored {
    /// Log id: SHA-256 of the origin.
    pub log: [u8; 32],
    /// Everything below this size is synced to disk.
    pub size: u64,
    /// Root of the tree of that size, as the sender computed it.
    pub root: [u8; 32],
    /// Leaf indexes at or above the size, strictly ascending, at most `STORED_AHEAD_MAX`, of entries that are synced with
    /// their payloads too. Not all of them: declarations of incidents, so that others see how far word has come.
    pub ahead: Vec<u64>,
}

/// Asks for the proof that the tree of `old` leaves is a prefix of the tree of `new` leaves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ConsistencyRequest {
    /// Log id: SHA-256 of the origin.
    pub log: [u8; 32],
    /// The smaller size.
    pub old: u64,
    /// The larger size, of which the answering side holds every leaf.
    pub new: u64,
}

/// How one size of a log leads to a larger one, and which leaf is the first of what was added. Every
/// part can be checked against a signed root of the larger size alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ConsistencyAnswer {
    /// Root at the smaller size.
    pub old_root: [u8; 32],
    /// Consistency proof from there (RFC 6962 §2.1.2).
    pub consistency: Vec<[u8; 32]>,
    /// Hash of the leaf whose index is the smaller size.
    pub leaf: [u8; 32],
    /// Inclusion proof of that leaf in the larger tree (RFC 6962 §2.1.1).
    pub inclusion: Vec<[u8; 32]>,
}

/// What a witness answers, with the HTTP status that C2SP tlog-witness has for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CosignAnswer {
    /// 200: signature lines of the witness, durable at the witness before they were sent.
    Cosigned(Vec<u8>),
    /// 409: the witness cosigned another size last (0: none), or another root of that size.
    Conflict {
        /// The size that it cosigned last.
        cosigned: u64,
    },
    /// 503: leaves below the size are not held yet, or too much is in hand; ask again later.
    NotYet {
        /// Leaves that the witness holds.
        held: u64,
        /// When to ask again, in seconds.
        retry_after_s: u32,
    },
    /// 404: no witness, or no log that this witness follows.
    UnknownLog,
    /// 403: the log's key did not sign, or evidence shows that it signed two histories.
    NotSigned,
    /// 422: the consistency proof does not verify.
    BadProof,
    /// 400: the body has not the form, or the old size is above the checkpoint's.
    Malformed,
}

/// A run of entries that can be checked alone against a signed root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RangeChunk {
    /// Leaf index of the first entry.
    pub start: u64,
    /// The entries, consecutive; never empty.
    pub entries: Vec<WireEntry>,
    /// Roots of the maximal complete subtrees right of the last entry, left to right (SPEC §4).
    pub cover: Vec<[u8; 32]>,
}

/// One entry: its leaf, and its payload as far as the receiver may have it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WireEntry {
    /// Leaf bytes, at most `ENTRY_LEAF_MAX_BYTES`, in any version.
    pub leaf: Vec<u8>,
    /// The payload, or why it is not here.
    pub payload: WirePayload,
}

/// A payload on its way between peers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum WirePayload {
    /// Salt and padded payload, to be checked against the leaf's commitment.
    Present {
        /// The salt that was hashed with the payload.
        salt: [u8; 32],
        /// The padded payload, at most `PAYLOAD_PADDED_MAX_BYTES`.
        padded: Vec<u8>,
    },
    /// The receiver is not entitled to it (group, or history start).
    Withheld,
    /// Destroyed, and no entry says so: past its expiry and retention. Nobody will have it again.
    Erased,
    /// The sender does not hold it (yet); somebody else may.
    NotHere,
    /// Sealed or destroyed because of the entry at this place: an erasure order, or a retraction whose
    /// retention is over. The receiver judges that entry itself.
    ErasedBy {
        /// Log id of the entry.
        log: [u8; 32],
        /// Its leaf index.
        index: u64,
    },
}

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// The caller is not an active member's node by the newest roster that this node holds.
    NotAdmitted,
    /// The log is not in this node's roster.
    UnknownLog,
    /// The request reaches beyond what this node can serve.
    BeyondSize {
        /// Tree size that this node can serve of that log.
        held: u64,
    },
    /// Too much work in hand; ask again later.
    Busy,
    /// The request broke a rule of SPEC §10.
    Malformed,
    /// The caller named another consortium.
    WrongConsortium,
    /// The caller exceeded its budget; ask again later.
    RateLimited,
    /// The answering side holds no tree of that size with that root.
    OtherHistory,
}
