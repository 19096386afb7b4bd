//! Bounds and intervals of a node's own decisions; those that members must agree on are in
//! [`hashpact_protocol::limits`].

use hashpact_protocol::limits::{
    NODE_CARD_MAX_BYTES, NOTE_MAX_BYTES, RECORDS_PER_CALL_MAX, ROSTER_BODY_MAX_BYTES, WIRE_REQUEST_MAX_BYTES,
};
use hashpact_protocol::wire::bounds::STORED_AHEAD_MAX;

/// Shortest time between two checkpoints of the own log, in milliseconds: ten a second.
pub const CHECKPOINT_INTERVAL_MS: u64 = 100;
/// Shortest time between two announcements, in milliseconds: four a second.
pub const ANNOUNCE_INTERVAL_MS: u64 = 250;
/// Entries in one batch of the own log.
pub const BATCH_ENTRIES_MAX: usize = 20_000;
/// Entries that may wait for a batch; a submission that would pass this is told to come back.
pub const QUEUED_ENTRIES_MAX: usize = 100_000;
/// Submissions that may wait for other members' disks.
pub const AWAITING_REPLICAS_MAX: usize = 4_096;
/// Own signed roots remembered, to recognise confirmations and contradictions.
pub const RECENT_ROOTS_MAX: usize = 4_096;
/// How long a submission waits for other members' disks, in milliseconds.
pub const REPLICATION_TIMEOUT_MS: u64 = 10_000;
/// How far the clock may be behind the last entry's time, in milliseconds.
pub const CLOCK_BEHIND_MAX_MS: u64 = 5 * 60 * 1_000;
/// Routine work, in milliseconds.
pub const TICK_INTERVAL_MS: u64 = 500;
/// How often each admitted peer is asked for its heads, in milliseconds.
pub const HEADS_INTERVAL_MS: u64 = 3_000;
/// How soon a hello that brought no admission is said again, in milliseconds.
pub const HELLO_INTERVAL_MS: u64 = 1_500;
/// How soon a question that nobody answered is asked again, in milliseconds.
pub const UNANSWERED_RETRY_MS: u64 = 4_000;
/// How long a peer may stay connected without proving whose node it is, in milliseconds.
pub const ADMISSION_TIMEOUT_MS: u64 = 10_000;
/// How long the own log waits for connected peers' heads before it appends, in milliseconds.
pub const CLEARANCE_WAIT_MS: u64 = 30_000;
/// How long a followed log may stay behind a head that peers can serve before look-ups say so.
pub const LAG_TOLERATED_MS: u64 = 5_000;
/// How long after the start a node without any peer is not yet called isolated, in milliseconds.
pub const ISOLATION_GRACE_MS: u64 = 5_000;
/// First pause after a failed fetch, in milliseconds; doubles with each failure in a row.
pub const RETRY_FIRST_MS: u64 = 200;
/// Longest pause after failed fetches, in milliseconds.
pub const RETRY_MAX_MS: u64 = 15_000;
/// Parts of one log fetched at once, from one peer or several; what has arrived and waits counts too.
pub const FETCHES_PER_LOG_MAX: usize = 4;
/// Parts of all logs in hand, shared among the logs that are behind.
pub const FETCHES_MAX: usize = 64;
/// Parts of one log that one peer is asked for at once.
pub const FETCHES_PER_PEER_MAX: usize = 2;
/// Parts of all logs that are in hand for each peer that serves what is lacking: with the largest parts still
/// below what one peer may have in flight. Logs beyond it wait until others have caught up.
pub const FETCHES_PER_SERVER_MAX: usize = 12;
/// First rest after all peers were asked for missing payloads, in milliseconds; doubles while nothing comes.
pub const MISSING_REST_FIRST_MS: u64 = 5_000;
/// Longest rest between two rounds of asking for missing payloads, in milliseconds.
pub const MISSING_REST_MAX_MS: u64 = 10 * 60 * 1_000;
/// How soon all peers are asked again for entries that are damaged here, in milliseconds.
pub const HEAL_RETRY_MS: u64 = 5_000;
/// Priority entries that one log may have ahead of its end here; its member's quota may allow fewer.
pub const OVERTAKING_MAX: usize = 1_024;
/// Bytes of leaves and payloads that one log may have ahead of its end, about.
pub const OVERTAKING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Priority indexes of one log that one peer may list without being asked for them yet.
pub const OVERTAKING_LISTED_MAX: usize = 1_024;
/// How long a priority entry that is on its way, or asked of somebody, is waited for, in milliseconds.
pub const OVERTAKING_PATIENCE_MS: u64 = 1_000;
/// Recent priority entries of one log that this node lists.
pub const PRIORITY_RECENT_MAX: usize = 1_024;
/// Recent priority entries that every announcement lists again, in case the last one was lost.
pub const PRIORITY_AGAIN_MAX: usize = 16;
/// How long after a start the first receipt waits, in milliseconds: by then a node has caught up, or is far behind.
pub const RECEIPT_SETTLE_MS: u64 = 10 * 60 * 1_000;
/// Bytes of roster versions in one hello; the newest one alone always fits.
pub const HELLO_ROSTERS_BYTES_MAX: usize = 384 * 1024;
/// How soon a peer that says it holds a newer roster is asked for it again, in milliseconds.
pub const ROSTER_INTERVAL_MS: u64 = 15_000;
/// Least time between two rounds that destroy payloads, in milliseconds.
pub const ERASE_ROUND_MIN_MS: u64 = 1_000;
/// Longest time between two such rounds while anything is due, in milliseconds: how long bytes may outlast
/// their hold.
pub const ERASE_ROUND_MAX_MS: u64 = 60 * 60 * 1_000;
/// Payloads destroyed in one round.
pub const ERASE_ROUND_MAX: usize = 16_384;
/// Subjects of orders looked up at once.
pub const FOUND_SUBJECTS_MAX: usize = 256;
/// Incidents of which is known how far their declarations have come.
pub const INCIDENTS_COVERED_MAX: usize = 64;
/// How long after its closure that is shown of an incident, in milliseconds.
pub const INCIDENT_CLOSED_SHOWN_MS: u64 = 7 * 86_400 * 1_000;
/// Logs of which is remembered what one member's nodes said last that they hold.
pub const CLAIMS_PER_MEMBER_MAX: usize = 16;
/// Peers tracked at once, connected or not yet admitted.
pub const PEERS_MAX: usize = 512;
/// Statements about one subject that are kept per member.
pub const STATEMENTS_PER_MEMBER_MAX: usize = 64;

/// Roots of a followed log that were computed or compared here, remembered so that a head that is told
/// again needs no reading.
pub const RECENT_HEADS_MAX: usize = 256;
/// Heads of a log whose signature need not be verified again.
pub const VERIFIED_HEADS_MAX: usize = 8;
/// Reads of trees under way on behalf of peers; beyond it they are told to ask later.
pub const TREE_READS_MAX: usize = 256;
/// Requests to cosign that wait for the one under way.
pub const COSIGN_QUEUED_MAX: usize = 64;
/// How often the author offers a note to all its witnesses, in milliseconds (DESIGN: Cosignature).
pub const COSIGN_INTERVAL_MS: u64 = 10_000;
/// How old the cosignatures of a log that does not grow become before they are renewed, in milliseconds.
pub const COSIGN_REFRESH_MS: u64 = 10 * 60 * 1_000;
/// First pause before a witness that was behind, or did not answer, is asked again, in milliseconds.
pub const COSIGN_RETRY_MS: u64 = 1_000;
/// How far the clock of a witness may be ahead of ours before its cosignature does not count, in seconds.
pub const COSIGN_AHEAD_MAX_S: u64 = 5 * 60;
/// How soon a lacking witness is told to be asked again, in seconds.
pub const COSIGN_NOT_YET_S: u32 = 2;
/// First rest after all peers were asked for another history of a forked log, in milliseconds; doubles while nothing comes.
pub const BRANCH_REST_FIRST_MS: u64 = 2_000;
/// Longest such rest, in milliseconds.
pub const BRANCH_REST_MAX_MS: u64 = 30_000;
/// Bytes of payloads that are kept of one such history; what comes beyond is kept as leaves alone.
pub const BRANCH_PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Questions about two heads under way; beyond it a suspicion waits for the next head.
pub const SUSPICIONS_MAX: usize = 64;
/// Other offers that one chunk that does not fit is compared with.
pub const SUSPECTS_PER_CHUNK_MAX: usize = 4;

const _: () = assert!(COSIGN_RETRY_MS < COSIGN_INTERVAL_MS, "a witness is asked again within a round");
const _: () = assert!(INCIDENTS_COVERED_MAX <= STORED_AHEAD_MAX, "all that are held ahead can be told");
const _: () = assert!(BATCH_ENTRIES_MAX >= RECORDS_PER_CALL_MAX, "one call must fit one batch");
const _: () = assert!(QUEUED_ENTRIES_MAX >= BATCH_ENTRIES_MAX, "a batch must fit the queue");
const _: () = assert!(ROSTER_BODY_MAX_BYTES + NOTE_MAX_BYTES <= HELLO_ROSTERS_BYTES_MAX);
const _: () = assert!(HELLO_ROSTERS_BYTES_MAX + NODE_CARD_MAX_BYTES + 8_192 <= WIRE_REQUEST_MAX_BYTES);
const _: () = assert!(RETRY_FIRST_MS <= RETRY_MAX_MS, "back-off grows");
const _: () = assert!(BRANCH_REST_FIRST_MS <= BRANCH_REST_MAX_MS, "rests grow");
const _: () = assert!(MISSING_REST_FIRST_MS <= MISSING_REST_MAX_MS, "rests grow");
const _: () = assert!(FETCHES_PER_PEER_MAX <= FETCHES_PER_LOG_MAX && FETCHES_PER_LOG_MAX <= FETCHES_MAX);
