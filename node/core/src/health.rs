//! What look-ups and status must say about how current this node is.

use crate::event::Peer;
use hashpact_protocol::roster::Rejected;
use std::fmt;

/// Whether an answer covers what members have stated, as far as this node can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// Every log is held up to the largest head that peers can serve.
    Complete,
    /// Just started: not yet compared with any peer.
    Starting,
    /// Other members exist and none is connected.
    Isolated,
    /// Behind heads that peers can serve, for longer than tolerated.
    Lagging {
        /// Origins of the logs concerned.
        logs: Vec<String>,
    },
    /// Logs are frozen because their author signed two contradicting checkpoints.
    Frozen {
        /// Origins of the logs concerned.
        logs: Vec<String>,
    },
}

impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => write!(f, "complete"),
            Self::Starting => write!(f, "starting: not yet caught up with any peer"),
            Self::Isolated => write!(f, "isolated: no other member is connected"),
            Self::Lagging { logs } => write!(f, "lagging: catching up with {}", logs.join(", ")),
            Self::Frozen { logs } => {
                write!(f, "frozen: two contradicting checkpoints were signed for {}", logs.join(", "))
            }
        }
    }
}

/// A peer that proved whose node it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHealth {
    /// The peer key.
    pub peer: Peer,
    /// Its member.
    pub member: String,
}

/// Facts that shells show; changes are reported as [`crate::Effect::Health`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// For look-ups.
    pub completeness: Completeness,
    /// Why the own log takes no entries, or `None` when it does.
    pub append_blocked: Option<&'static str>,
    /// Whether this node was put back from a backup and has not yet caught up with enough peers: until then it
    /// shows no payload to anybody, for some may have been erased since.
    pub from_backup: bool,
    /// Admitted and connected peers.
    pub peers: Vec<PeerHealth>,
    /// What is amiss with the roster.
    pub roster: RosterHealth,
    /// Present in a read replica.
    pub replica: Option<ReplicaHealth>,
}

/// What a read replica knows of the node that writes its member's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaHealth {
    /// Its peer key, by the newest card of the member.
    pub author: Option<Peer>,
    /// Whether it is admitted and connected.
    pub is_connected: bool,
    /// Whether this node has a valid card of its own to show.
    pub has_card: bool,
}

/// What is amiss with the roster that is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterHealth {
    /// Rivals of versions held, which governance signed as well: no version follows that does not reject them.
    pub rivals: Vec<Rejected>,
    /// A newer version than ours that a member's node says it holds, and did not give us yet.
    pub newer_claimed: Option<u64>,
}
