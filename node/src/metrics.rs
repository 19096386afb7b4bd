//! Counters and gauges in OpenMetrics text, for Prometheus.
//!
//! Labels come from fixed vocabularies (rules, endpoints, outcomes, members of the roster): never a
//! signal, a query, a key or a caller.

mod feed;
mod models;

pub use feed::{FeedMetrics, HookLabel};
pub use models::{FoundLabel, ModelMetrics};

use crate::alarms::Facts;
use crate::lookup::Lookup;
use hashpact_core::effect::PublishedHead;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::SignalType;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A rule that a peer broke.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// Its fixed label.
    pub rule: String,
}

/// One HTTP endpoint and how it answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndpointLabel {
    /// Route pattern: one of a fixed set, so that counting a request allocates nothing.
    pub endpoint: &'static str,
    /// Status code.
    pub status: u16,
}

/// A limit of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabel {
    /// Its key, one of a fixed set.
    pub limit: &'static str,
}

/// Why the index was built from the logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// Its fixed label.
    pub reason: &'static str,
}

/// One signal type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TypeLabel {
    /// Its name; `pdq-near` is what is searched by distance, `pdq` what is only found by its equals.
    pub signal: String,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LogLabel {
    /// Its origin.
    pub log: String,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MemberLabel {
    /// Its id.
    pub member: String,
}

/// What the scrub counts.
#[derive(Default)]
pub struct ScrubMetrics {
    /// Bytes read.
    pub bytes: Counter,
    /// Passes that came to their end.
    pub passes: Counter,
    /// Findings: alarm when it grows.
    pub problems: Counter,
    /// Findings that were healed.
    pub healed: Counter,
    position: Gauge,
    pass_seconds: Gauge<f64, AtomicU64>,
    whole_time: Gauge<f64, AtomicU64>,
}

impl ScrubMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("scrub_bytes", "Bytes that the scrub has read again", self.bytes.clone());
        registry.register("scrub_passes", "Passes of the scrub over everything stored", self.passes.clone());
        registry.register("scrub_problems", "Findings of the scrub", self.problems.clone());
        registry.register("scrub_healed", "Findings that were fetched again from peers", self.healed.clone());
        registry.register(
            "scrub_position",
            "Entries that the scrub has found whole in this pass, all logs together",
            self.position.clone(),
        );
        registry.register("scrub_pass_seconds", "Time that the last pass took", self.pass_seconds.clone());
        registry.register(
            "scrub_whole_timestamp_seconds",
            "When a pass last found everything whole, in seconds since 1970; 0 if never since the start",
            self.whole_time.clone(),
        );
    }

    /// More entries were found whole.
    pub fn advanced(&self, entries: u64) {
        self.position.inc_by(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A pass ended.
    pub fn ended(&self, whole: bool, took: Duration) {
        self.position.set(0);
        self.pass_seconds.set(took.as_secs_f64());
        if whole {
            self.whole_time.set(seconds_since_1970(SystemTime::now()));
        }
    }
}

/// What an operator must see coming.
#[derive(Default)]
struct OperationMetrics {
    log_behind: Family<LogLabel, Gauge>,
    log_unfolded: Family<LogLabel, Gauge>,
    append_blocked: Gauge,
    roster_expiry: Gauge,
    token_expiry: Gauge,
    certificate_expiry: Gauge,
    tokens_unreadable: Gauge,
    clock_behind: Gauge,
    disk_free: Gauge,
    disk: Gauge,
    journal_broken: Gauge,
    signer_failures: Counter,
}

impl OperationMetrics {
    fn register(&self, registry: &mut Registry) {
        let gauges = [
            ("append_blocked", "1 while the own log takes no entries", &self.append_blocked),
            (
                "roster_expiry_timestamp_seconds",
                "When the roster expires, in seconds since 1970",
                &self.roster_expiry,
            ),
            (
                "token_expiry_timestamp_seconds",
                "When the next token expires, in seconds since 1970; 0 if there is none",
                &self.token_expiry,
            ),
            (
                "certificate_expiry_timestamp_seconds",
                "When the API's certificate expires, in seconds since 1970; 0 without TLS",
                &self.certificate_expiry,
            ),
            ("tokens_unreadable", "1 while the token file cannot be read as it is", &self.tokens_unreadable),
            (
                "clock_behind_seconds",
                "How far the newest time that another member signed lies ahead of this clock",
                &self.clock_behind,
            ),
            ("disk_free_bytes", "Free bytes of the file system of the data folder", &self.disk_free),
            ("disk_bytes", "Bytes of that file system", &self.disk),
            ("journal_broken", "1 if the journal was found broken at the start", &self.journal_broken),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "log_behind",
            "Entries announced and not yet held, by log",
            self.log_behind.clone(),
        );
        registry.register(
            "log_unfolded",
            "Entries held that look-ups do not know yet, by log",
            self.log_unfolded.clone(),
        );
        registry.register(
            "signer_failures",
            "Times that the program which holds keys gave no good answer",
            self.signer_failures.clone(),
        );
    }
}

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    /// Messages of peers that broke a rule.
    pub misbehaviour: Family<RuleLabel, Counter>,
    /// Connections refused or closed.
    pub refused: Family<RuleLabel, Counter>,
    /// HTTP requests answered.
    pub http_requests: Family<EndpointLabel, Counter>,
    /// Seconds per HTTP request.
    pub http_seconds: Histogram,
    /// Requests refused because a limit of their token was used up.
    pub http_limited: Family<LimitLabel, Counter>,
    /// Requests with a token that is not known here.
    pub http_unknown_tokens: Counter,
    /// Such requests that were refused because too many came from one address.
    pub http_addresses_refused: Counter,
    /// Items looked up.
    pub match_items: Counter,
    /// Entries appended to the own log.
    pub appended: Counter,
    /// Seconds from batch to lock.
    pub append_seconds: Histogram,
    /// Index snapshots that could not be written.
    pub snapshot_failures: Counter,
    operations: OperationMetrics,
    snapshot_bytes: Gauge,
    snapshot_seconds: Gauge<f64, AtomicU64>,
    snapshot_time: Gauge<f64, AtomicU64>,
    index_rebuilds: Family<ReasonLabel, Counter>,
    index_bytes: Gauge,
    index_values: Family<TypeLabel, Gauge>,
    log_size: Family<LogLabel, Gauge>,
    log_cosigned_size: Family<LogLabel, Gauge>,
    log_cosigned_time: Family<LogLabel, Gauge>,
    log_forked: Family<LogLabel, Gauge>,
    log_ahead: Family<LogLabel, Gauge>,
    receipt_time: Family<MemberLabel, Gauge>,
    receipt_lacking: Family<MemberLabel, Gauge>,
    /// The scrub.
    pub scrub: ScrubMetrics,
    /// The feed of changes and webhooks.
    pub feed: FeedMetrics,
    /// Look-ups of models.
    pub models: ModelMetrics,
    peers: Gauge,
    complete: Gauge,
    records: Gauge,
    payloads_sealed: Gauge,
    payloads_erased: Gauge,
    payloads_held: Gauge,
    erasure_due_time: Gauge<f64, AtomicU64>,
    quarantine_waiting: Gauge,
    members_muted: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hashpact");
        let metrics = Self {
            misbehaviour: Family::default(),
            refused: Family::default(),
            http_requests: Family::default(),
            http_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 18)),
            http_limited: Family::default(),
            http_unknown_tokens: Counter::default(),
            http_addresses_refused: Counter::default(),
            match_items: Counter::default(),
            appended: Counter::default(),
            append_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            snapshot_failures: Counter::default(),
            operations: OperationMetrics::default(),
            snapshot_bytes: Gauge::default(),
            snapshot_seconds: Gauge::default(),
            snapshot_time: Gauge::default(),
            index_rebuilds: Family::default(),
            index_bytes: Gauge::default(),
            index_values: Family::default(),
            log_size: Family::default(),
            log_cosigned_size: Family::default(),
            log_cosigned_time: Family::default(),
            log_forked: Family::default(),
            log_ahead: Family::default(),
            receipt_time: Family::default(),
            receipt_lacking: Family::default(),
            scrub: ScrubMetrics::default(),
            feed: FeedMetrics::default(),
            models: ModelMetrics::default(),
            peers: Gauge::default(),
            complete: Gauge::default(),
            records: Gauge::default(),
            payloads_sealed: Gauge::default(),
            payloads_erased: Gauge::default(),
            payloads_held: Gauge::default(),
            erasure_due_time: Gauge::default(),
            quarantine_waiting: Gauge::default(),
            members_muted: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "peer_misbehaviour",
            "Messages of peers that broke a rule",
            metrics.misbehaviour.clone(),
        );
        registry.register(
            "peer_refused",
            "Connections refused or closed, by reason",
            metrics.refused.clone(),
        );
        registry.register("http_requests", "HTTP requests answered", metrics.http_requests.clone());
        registry.register("http_request_seconds", "Time per HTTP request", metrics.http_seconds.clone());
        metrics.register_access(&mut registry);
        registry.register("match_items", "Items looked up", metrics.match_items.clone());
        registry.register("appended_entries", "Entries appended to the own log", metrics.appended.clone());
        registry.register("append_seconds", "Time from batch to signed lock", metrics.append_seconds.clone());
        registry.register("log_size", "Entries held and visible, by log", metrics.log_size.clone());
        registry.register("peers_admitted", "Peers connected and admitted", metrics.peers.clone());
        registry.register("answers_complete", "1 when look-ups are complete", metrics.complete.clone());
        registry.register("records", "Records known, whatever their status", metrics.records.clone());
        metrics.register_decisions(&mut registry);
        metrics.register_erasures(&mut registry);
        metrics.register_witness(&mut registry);
        metrics.register_receipts(&mut registry);
        metrics.register_index(&mut registry);
        metrics.scrub.register(&mut registry);
        metrics.feed.register(&mut registry);
        metrics.models.register(&mut registry);
        metrics.operations.register(&mut registry);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    fn register_access(&self, registry: &mut Registry) {
        registry.register(
            "http_limited",
            "Requests refused because a limit of their token was used up, by limit",
            self.http_limited.clone(),
        );
        registry.register(
            "http_unknown_tokens",
            "Requests with a token that is not known here",
            self.http_unknown_tokens.clone(),
        );
        registry.register(
            "http_addresses_refused",
            "Requests refused because too many unknown tokens came from their address",
            self.http_addresses_refused.clone(),
        );
    }

    /// Notes what is so now, and how often the signer has failed since the start.
    pub fn note_operations(&self, facts: &Facts, signer_failures: u64) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let own = &self.operations;
        for (log, entries) in &facts.behind {
            own.log_behind.get_or_create(&LogLabel { log: log.clone() }).set(number(*entries));
        }
        for (log, entries) in &facts.unfolded {
            own.log_unfolded.get_or_create(&LogLabel { log: log.clone() }).set(number(*entries));
        }
        own.append_blocked.set(i64::from(facts.append_blocked.is_some()));
        own.roster_expiry.set(number(facts.roster_expires_s));
        own.token_expiry.set(number(facts.next_token.as_ref().map_or(0, |(_, expires_s)| *expires_s)));
        own.certificate_expiry.set(number(facts.certificate_expires_s.unwrap_or(0)));
        own.tokens_unreadable.set(i64::from(facts.tokens_stale));
        own.clock_behind.set(number(facts.clock_behind_s));
        let (free, all) = facts.disk.unwrap_or_default();
        own.disk_free.set(number(free));
        own.disk.set(number(all));
        own.journal_broken.set(i64::from(facts.journal_fault.is_some()));
        own.signer_failures.inc_by(signer_failures.saturating_sub(own.signer_failures.get()));
    }

    fn register_decisions(&self, registry: &mut Registry) {
        registry.register(
            "quarantine_waiting",
            "Floods of contributions or withdrawals that wait for a decision",
            self.quarantine_waiting.clone(),
        );
        registry.register("members_muted", "Members that are muted at this node", self.members_muted.clone());
    }

    fn note_decisions(&self, lookup: &Lookup) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.quarantine_waiting.set(gauge(lookup.floods_waiting()));
        self.members_muted.set(gauge(lookup.local().policy.members().muted()));
    }

    fn register_erasures(&self, registry: &mut Registry) {
        registry.register(
            "payloads_sealed",
            "Payloads that an erasure order sealed and that are not destroyed yet",
            self.payloads_sealed.clone(),
        );
        registry.register("payloads_erased", "Payloads destroyed here", self.payloads_erased.clone());
        registry.register("payloads_held", "Payloads under a legal hold here", self.payloads_held.clone());
        registry.register(
            "erasure_due_timestamp_seconds",
            "When the first sealed payload is to be destroyed, in seconds since 1970; 0 if none is. In the past \
             by more than an hour: something keeps it from being destroyed",
            self.erasure_due_time.clone(),
        );
    }

    fn note_erasures(&self, lookup: &Lookup) {
        let counts = lookup.erasures();
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.payloads_sealed.set(gauge(counts.sealed));
        self.payloads_erased.set(gauge(counts.erased));
        self.payloads_held.set(gauge(counts.held));
        self.erasure_due_time.set(counts.next_due_ms.map_or(0.0, |due_ms| due_ms as f64 / 1_000.0));
    }

    fn register_witness(&self, registry: &mut Registry) {
        registry.register(
            "log_cosigned_size",
            "Largest tree size that a quorum of witnesses cosigned, by log",
            self.log_cosigned_size.clone(),
        );
        registry.register(
            "log_cosigned_timestamp_seconds",
            "When the oldest of those cosignatures was made, in seconds since 1970",
            self.log_cosigned_time.clone(),
        );
        registry.register(
            "log_forked",
            "1 when evidence shows that the log's author signed two histories",
            self.log_forked.clone(),
        );
    }

    fn note_witness(&self, lookup: &Lookup, closed: &BTreeSet<LogId>) {
        let heads = lookup.heads();
        let forked = lookup.forked();
        for (log, head) in &heads {
            let label = LogLabel { log: head.origin.clone() };
            self.log_forked.get_or_create(&label).set(i64::from(forked.contains_key(log)));
        }
        for head in lookup.cosigned().values().filter(|head| head.quorum) {
            let Some(PublishedHead { origin, .. }) = heads.get(&head.log) else { continue };
            let label = LogLabel { log: origin.clone() };
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.log_cosigned_size.get_or_create(&label).set(number(head.size));
            let oldest_s = head.witnesses.values().min().copied().unwrap_or(0);
            if closed.contains(&head.log) {
                self.log_cosigned_time.remove(&label);
            } else {
                self.log_cosigned_time.get_or_create(&label).set(number(oldest_s));
            }
        }
    }

    fn register_receipts(&self, registry: &mut Registry) {
        registry.register(
            "log_ahead",
            "Entries beyond the size held that are in force already, because they overtook a backlog",
            self.log_ahead.clone(),
        );
        registry.register(
            "receipt_timestamp_seconds",
            "When a member last stated whose payloads it holds, by its own time, in seconds since 1970",
            self.receipt_time.clone(),
        );
        registry.register(
            "receipt_lacking",
            "Payloads that a member states it does not hold, over all logs",
            self.receipt_lacking.clone(),
        );
    }

    fn note_receipts(&self, lookup: &Lookup) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for (log, head) in lookup.heads() {
            let label = LogLabel { log: head.origin };
            self.log_ahead.get_or_create(&label).set(number(lookup.folded(&log).1));
        }
        for (member, stated) in lookup.receipts() {
            let Some(newest_ms) = stated.iter().map(|stated| stated.time_ms).max() else { continue };
            let gaps = stated.iter().flat_map(|stated| &stated.holding.missing);
            let label = MemberLabel { member: member.to_string() };
            self.receipt_time.get_or_create(&label).set(number(newest_ms / 1_000));
            self.receipt_lacking
                .get_or_create(&label)
                .set(number(gaps.map(|gap| gap.count).fold(0, u64::saturating_add)));
        }
    }

    fn register_index(&self, registry: &mut Registry) {
        registry.register("index_bytes", "Memory that the match index holds", self.index_bytes.clone());
        registry.register("index_values", "Distinct values in the match index", self.index_values.clone());
        registry.register(
            "index_rebuilds",
            "Starts that built the match index from the logs, by reason",
            self.index_rebuilds.clone(),
        );
        registry.register(
            "index_snapshot_timestamp_seconds",
            "When the index snapshot was written, in seconds since 1970; 0 if there is none",
            self.snapshot_time.clone(),
        );
        registry.register("index_snapshot_bytes", "Size of the index snapshot", self.snapshot_bytes.clone());
        registry.register(
            "index_snapshot_duration_seconds",
            "Time that writing the last index snapshot took",
            self.snapshot_seconds.clone(),
        );
        registry.register(
            "index_snapshot_failures",
            "Index snapshots that could not be written",
            self.snapshot_failures.clone(),
        );
    }

    /// Counts a start that built the index from the logs.
    pub fn count_rebuild(&self, reason: &'static str) {
        self.index_rebuilds.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Notes a snapshot that was just written.
    pub fn snapshot_saved(&self, bytes: u64, took: Duration) {
        self.snapshot_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.snapshot_seconds.set(took.as_secs_f64());
        self.snapshot_time.set(seconds_since_1970(SystemTime::now()));
    }

    /// Notes the snapshot that this start began with.
    pub fn snapshot_found(&self, file: &Path) {
        let Ok(found) = file.metadata() else { return };
        self.snapshot_bytes.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        if let Ok(written) = found.modified() {
            self.snapshot_time.set(seconds_since_1970(written));
        }
    }

    fn note_index(&self, lookup: &Lookup) {
        let stats = lookup.index_stats();
        self.index_bytes.set(i64::try_from(stats.bytes()).unwrap_or(i64::MAX));
        let exact = SignalType::ALL.map(|kind| (kind.name(), stats.exact.get(&kind.code()).copied()));
        for (name, held) in exact.into_iter().chain([("pdq-near", Some(stats.hamming))]) {
            let values = held.map_or(0, |held| held.values);
            let label = TypeLabel { signal: name.to_owned() };
            self.index_values.get_or_create(&label).set(i64::try_from(values).unwrap_or(i64::MAX));
        }
    }

    /// Counts a rule that a peer broke.
    pub fn count_misbehaviour(&self, rule: &str) {
        self.misbehaviour.get_or_create(&RuleLabel { rule: rule.to_owned() }).inc();
    }

    /// Counts a connection refused or closed.
    pub fn count_refused(&self, reason: &str) {
        self.refused.get_or_create(&RuleLabel { rule: reason.to_owned() }).inc();
    }

    /// The text form, with gauges as of now; nobody signs closed logs any more.
    #[must_use]
    pub fn encode(&self, lookup: &Lookup, closed: &BTreeSet<LogId>) -> String {
        for head in lookup.heads().values() {
            let size = i64::try_from(head.size).unwrap_or(i64::MAX);
            self.log_size.get_or_create(&LogLabel { log: head.origin.clone() }).set(size);
        }
        self.peers.set(i64::try_from(lookup.health().peers.len()).unwrap_or(i64::MAX));
        self.complete.set(i64::from(lookup.completeness().0));
        self.records.set(i64::try_from(lookup.records_count()).unwrap_or(i64::MAX));
        self.note_index(lookup);
        self.note_erasures(lookup);
        self.note_decisions(lookup);
        self.note_witness(lookup, closed);
        self.note_receipts(lookup);
        self.models.note(lookup);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}

pub(crate) fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
