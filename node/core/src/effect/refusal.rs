//! Why a local submission was not answered with receipts.

use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::IncidentId;

/// Why a submission was not answered with receipts. Unless a variant says otherwise, nothing was
/// appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The node may not append yet.
    #[error("this node may not append yet: {0}")]
    NotCleared(&'static str),
    /// The node states nothing for its member; another does.
    #[error(
        "this node is a read replica of {member} and states nothing: state it at the author's node of {member} ({author})"
    )]
    ReadReplica {
        /// The member.
        member: String,
        /// Which node writes its log: peer key and addresses.
        author: String,
    },
    /// Too much is queued.
    #[error("{queued} entries wait to be appended; at most {max} may")]
    Busy {
        /// Entries waiting.
        queued: usize,
        /// The bound.
        max: usize,
    },
    /// Nothing to state.
    #[error("no records given")]
    Empty,
    /// More than one call may carry.
    #[error("{count} records in one call; at most {max} are allowed")]
    TooMany {
        /// Given.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// The number of salts differs from the number of drafts: a fault of the shell.
    #[error("{salts} salts for {drafts} drafts")]
    Salts {
        /// Salts given.
        salts: usize,
        /// Drafts given.
        drafts: usize,
    },
    /// The idempotency key was used for something else.
    #[error("this idempotency key was used before for a different request")]
    KeyReused,
    /// No such record here.
    #[error("record {0} is not known to this node")]
    UnknownRecord(RecordId),
    /// The subject is not a record that can be judged or withdrawn.
    #[error("entry {0} is not a record that this can be said about")]
    NotARecord(RecordId),
    /// Only the author can retract.
    #[error("record {record} was stated by {author}; only its author can retract it")]
    NotAuthor {
        /// The record.
        record: RecordId,
        /// Who stated it.
        author: String,
    },
    /// Authors retract; they do not judge their own records.
    #[error("record {0} is this member's own; retract it instead of giving an opinion")]
    OwnRecord(RecordId),
    /// A retraction is final.
    #[error("record {0} is already retracted")]
    AlreadyRetracted(RecordId),
    /// Only the author and erasure authorities can order an erasure.
    #[error(
        "record {record} was stated by {author}; only its author, or an erasure authority of the roster, can order its erasure"
    )]
    MayNotErase {
        /// The record.
        record: RecordId,
        /// Who stated it.
        author: String,
    },
    /// The payload is sealed or gone already.
    #[error("record {0} is already {1}")]
    AlreadyErased(RecordId, &'static str),
    /// Its author has stated something else in its place.
    #[error("record {0} is superseded already, by {1}; supersede that one")]
    AlreadySuperseded(RecordId, RecordId),
    /// Only panellists rule.
    #[error("this member is not on the review panel of the roster")]
    MayNotRule,
    /// Only declarers declare and close incidents.
    #[error("this member is no declarer of incidents in the roster")]
    MayNotDeclare,
    /// Nobody to vote about.
    #[error("{0} is no active member of the consortium")]
    UnknownMember(String),
    /// A member does not vote about itself.
    #[error("a member does not vote about its own suspension")]
    OwnSuspension,
    /// There is no such incident.
    #[error("incident {0} was not declared, as far as this node knows")]
    UnknownIncident(IncidentId),
    /// Closing is final, and declaring is done once.
    #[error("incident {0} is {1} already")]
    IncidentIs(IncidentId, &'static str),
    /// The payload cannot be encoded within its bounds.
    #[error("record {position} of the call: {detail}")]
    Payload {
        /// Which draft, from 0.
        position: usize,
        /// What is wrong.
        detail: String,
    },
    /// More members asked for than there are others.
    #[error("replicated:{asked} asked, but the consortium has {others} other active members")]
    TooFewMembers {
        /// Asked for.
        asked: u32,
        /// How many there are.
        others: usize,
    },
    /// The entries are appended and durable here, but not yet on enough other disks. A retry with
    /// the same idempotency key waits on.
    #[error(
        "appended at this node, but only {stored} of {asked} members have confirmed it in time; retry with the same Idempotency-Key to wait on"
    )]
    NotYetReplicated {
        /// Confirmed so far.
        stored: u32,
        /// Asked for.
        asked: u32,
    },
    /// Our clock is far behind the last entry's.
    #[error("the clock is {behind_ms} ms behind the last entry; check the clock of this machine")]
    ClockBehind {
        /// By how much.
        behind_ms: u64,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// Something that the node needs failed; the cause is in its log.
    #[error("{0}; the operator's log says why")]
    Unavailable(&'static str),
    /// The log is closed or frozen.
    #[error("this member's log takes no entries: {0}")]
    LogClosed(&'static str),
}
