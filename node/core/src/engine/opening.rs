//! What an engine starts from: who it is, and everything that start-up found on disk.

use super::replica::NodeRole;
use crate::effect::{HeldFacts, HeldPriority, SizedNote};
use crate::event::Peer;
use crate::recover::OwnDisk;
use crate::view::View;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{MemberId, RosterChain};
use std::collections::BTreeMap;

/// Which node this is.
pub struct EngineConfig {
    /// The member.
    pub member: MemberId,
    /// What it does for the member, with the keys for it.
    pub role: NodeRole,
    /// Our own peer key.
    pub peer: Peer,
    /// Our signed node card. A read replica may have none yet: its author gives it one.
    pub card: Vec<u8>,
    /// Whether this node was put back from a backup and has not caught up since: payloads in it may have been erased.
    pub from_backup: bool,
    /// Whether something about this node's disk or machine calls for more than the usual comparison
    /// with other members before it appends, and nobody has overridden it.
    pub is_doubtful: bool,
    /// Shortest time between two receipts of ours, in milliseconds; 0 for none.
    pub receipt_interval_ms: u64,
}

/// A log that the database holds, other than our open one.
pub struct HeldLog {
    /// Peaks and size of what counts: of a closed log never more than its closure has.
    pub frontier: Frontier,
    /// The largest note held completely.
    pub note: Option<SizedNote>,
    /// Entries held without their payload.
    pub payloads_missing: u64,
}

/// Everything that start-up found.
pub struct Opening {
    /// Which node this is.
    pub config: EngineConfig,
    /// The verified roster.
    pub roster: RosterChain,
    /// The own log on disk; of a read replica, a lock of [`super::replica_origin`] and nothing else.
    pub own: OwnDisk,
    /// Claimed time of the own log's last entry, or 0.
    pub last_time_ms: u64,
    /// The other logs on disk, by log id.
    pub held: BTreeMap<LogId, HeldLog>,
    /// Priority entries on disk, by log; those ahead of a log's end are folded.
    pub priority: BTreeMap<LogId, HeldPriority>,
    /// What is on disk beside the logs.
    pub facts: HeldFacts,
    /// Entries of all logs in storage order, up to what is signed or held, folded once.
    pub view: View,
    /// Now.
    pub now_ms: u64,
}
