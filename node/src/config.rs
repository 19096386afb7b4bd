//! The one configuration file: typed, strict, documented.
//!
//! [`RawConfig`] is the file as written (unknown keys are refused), [`Config`] is what a checked
//! start uses. `config.sample.toml` beside the crate documents every field and is parsed by a test.
//! Secrets are never in this file: keys and token hashes live under `data_dir` with their own
//! permission checks.

mod access;
mod feed;
mod nodes;

pub use access::{ClientCertificates, RawKeys, RawSigner, RawTls, TlsFiles};
pub use feed::{RawChanges, RawWebhook, STATUSES, WebhookConfig};

pub use nodes::{RawReplica, RoleWord};

use access::{check_keys, check_tls};

use crate::keystore::KeyAccess;
use crate::network::{AddressRole, check_address};
use hashpact_core::models::Thresholds;
use hashpact_core::policy::FloodLimits;
use hashpact_protocol::roster::{CardNode, MemberId};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest time between two index snapshots, in seconds: a week.
const SNAPSHOT_INTERVAL_MAX_S: u64 = 7 * 86_400;

/// Fastest scrub, in megabytes a second: faster than disks are.
const SCRUB_RATE_MAX_MB_S: u32 = 10_000;
/// Longest time between two passes of the scrub, in seconds: a year.
const SCRUB_INTERVAL_MAX_S: u64 = 366 * 86_400;
/// Largest distance at which tiles are looked for through tables.
const SAME_MAX_BITS: u16 = hashpact_index::TABLE_RADIUS_MAX as u16;
/// Largest mean of models that are not called unrelated: those come out at 100 and more.
const MEAN_MAX_BITS: u16 = 96;
/// Most pairs that may be asked for.
const TILES_MIN_MAX: u64 = 1_024;
/// Longest time between two receipts, in seconds: a year.
const RECEIPT_INTERVAL_MAX_S: u64 = 366 * 86_400;
/// Most entries an hour that a member may be allowed whatever it did before: more than a node can fold.
const FLOOD_MAX_PER_HOUR: u64 = 1_000_000_000;

/// Folder of keys, below the data folder.
const KEYS_DIR: &str = "keys";

/// The file as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Member id of this node's member, as the roster lists it.
    pub member: String,
    /// Folder for keys, database, lock file, roster and tokens; relative to the configuration file.
    pub data_dir: PathBuf,
    /// What this node does for its member.
    #[serde(default)]
    pub role: RoleWord,
    /// The member's read replicas, in the configuration of its author.
    #[serde(default)]
    pub replicas: Vec<RawReplica>,
    /// Peer connections.
    #[serde(default)]
    pub network: RawNetwork,
    /// The local HTTP API.
    #[serde(default)]
    pub http: RawHttp,
    /// The match index.
    #[serde(default)]
    pub index: RawIndex,
    /// Reading again what is stored.
    #[serde(default)]
    pub scrub: RawScrub,
    /// Sketches of models.
    #[serde(default)]
    pub models: RawModels,
    /// Statements that this node makes by itself.
    #[serde(default)]
    pub receipts: RawReceipts,
    /// Where keys come from.
    #[serde(default)]
    pub keys: RawKeys,
    /// What is a flood.
    #[serde(default)]
    pub quarantine: RawQuarantine,
    /// The feed of changes.
    #[serde(default)]
    pub changes: RawChanges,
    /// Programs that are told of changes.
    #[serde(default)]
    pub webhooks: Vec<RawWebhook>,
    /// Logging.
    #[serde(default)]
    pub log: RawLog,
}

/// `[network]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetwork {
    /// Multiaddresses to listen on.
    pub listen: Vec<String>,
    /// Multiaddresses that other members should dial; empty means those listened on.
    pub advertise: Vec<String>,
    /// Multiaddresses of other members' nodes to dial at the start.
    pub peers: Vec<String>,
    /// Most established connections, all peers together.
    pub connections_max: u32,
}

impl Default for RawNetwork {
    fn default() -> Self {
        Self {
            listen: vec!["/ip4/0.0.0.0/udp/7411/quic-v1".into(), "/ip4/0.0.0.0/tcp/7411".into()],
            advertise: Vec::new(),
            peers: Vec::new(),
            connections_max: 256,
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    /// Address and port of the API.
    pub listen: String,
    /// Must be true to listen on anything but loopback.
    pub allow_remote: bool,
    /// Serve `/logs/…` (checkpoints, tiles, entries) without a token.
    pub public_logs: bool,
    /// Requests of one kind (reading, writing, long look-ups) worked on at once; more get 503, and 429
    /// from three quarters on that one token sends.
    pub requests_max: usize,
    /// Bulk look-ups at once; more get 503 or 429 likewise.
    pub bulk_max: usize,
    /// Open connections; more are told 503 and closed.
    pub connections_max: usize,
    /// Longest time for one request, in milliseconds.
    pub timeout_ms: u64,
    /// Certificate and key; without them the API speaks plain HTTP.
    pub tls: Option<RawTls>,
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7410".into(),
            allow_remote: false,
            public_logs: false,
            requests_max: 64,
            bulk_max: 4,
            connections_max: 512,
            timeout_ms: 30_000,
            tls: None,
        }
    }
}

/// `[index]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIndex {
    /// Least time between two index snapshots while the node runs, in seconds; 0: only when it stops.
    pub snapshot_interval_s: u64,
    /// Least number of entries that must have arrived since the last one.
    pub snapshot_changes_min: u64,
}

impl Default for RawIndex {
    fn default() -> Self {
        Self { snapshot_interval_s: 900, snapshot_changes_min: 10_000 }
    }
}

/// `[scrub]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawScrub {
    /// Megabytes a second that are read again at most; 0: nothing is.
    pub rate_mb_s: u32,
    /// Least time between the beginnings of two passes over everything, in seconds.
    pub interval_s: u64,
}

impl Default for RawScrub {
    fn default() -> Self {
        Self { rate_mb_s: 2, interval_s: 86_400 }
    }
}

/// `[models]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawModels {
    /// Most bits of the mean, and of a tile, that count as the same.
    pub same_max_bits: u16,
    /// Most bits of the mean that a person should look at.
    pub review_max_bits: u16,
    /// Least share of the pairs within `same_max_bits`, in percent.
    pub near_min_percent: u8,
    /// Fewest pairs.
    pub tiles_min: u64,
    /// Least share of the listed tiles that have a pair, in percent.
    pub coverage_min_percent: u8,
    /// Bits of the mean within which a listing is refused that is near a benign model of two members.
    pub refusal_max_bits: u16,
}

impl Default for RawModels {
    fn default() -> Self {
        let Thresholds {
            same_max_bits,
            review_max_bits,
            near_min_percent,
            tiles_min,
            coverage_min_percent,
            refusal_max_bits,
        } = Thresholds::default();
        Self {
            same_max_bits,
            review_max_bits,
            near_min_percent,
            tiles_min,
            coverage_min_percent,
            refusal_max_bits,
        }
    }
}

impl RawModels {
    /// Half of 256 bits is chance: no threshold is near that.
    fn check(&self) -> Result<Thresholds, ConfigError> {
        let bits = [
            ("models.same_max_bits", self.same_max_bits, 1, SAME_MAX_BITS),
            ("models.review_max_bits", self.review_max_bits, self.same_max_bits, MEAN_MAX_BITS),
            ("models.refusal_max_bits", self.refusal_max_bits, 1, MEAN_MAX_BITS),
            ("models.near_min_percent", self.near_min_percent.into(), 1, 100),
            ("models.coverage_min_percent", self.coverage_min_percent.into(), 1, 100),
        ];
        for (field, given, min, max) in bits {
            if !(min..=max).contains(&given) {
                return Err(value(field, &given.to_string(), &format!("must be {min} to {max}")));
            }
        }
        if !(1..=TILES_MIN_MAX).contains(&self.tiles_min) {
            let rule = format!("must be 1 to {TILES_MIN_MAX}");
            return Err(value("models.tiles_min", &self.tiles_min.to_string(), &rule));
        }
        Ok(Thresholds {
            same_max_bits: self.same_max_bits,
            review_max_bits: self.review_max_bits,
            near_min_percent: self.near_min_percent,
            tiles_min: self.tiles_min,
            coverage_min_percent: self.coverage_min_percent,
            refusal_max_bits: self.refusal_max_bits,
        })
    }
}

/// `[receipts]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawReceipts {
    /// Shortest time between two receipts, in seconds; 0: none are written.
    pub interval_s: u64,
}

impl Default for RawReceipts {
    fn default() -> Self {
        Self { interval_s: 86_400 }
    }
}

/// `[quarantine]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawQuarantine {
    /// Records that a member may state in an hour whatever it did before.
    pub contributions_per_hour: u64,
    /// Records that it may withdraw in an hour whatever it did before.
    pub withdrawals_per_hour: u64,
}

impl Default for RawQuarantine {
    fn default() -> Self {
        let FloodLimits { contributions_per_hour, withdrawals_per_hour } = FloodLimits::default();
        Self { contributions_per_hour, withdrawals_per_hour }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter directives, for example `info` or `info,hashpact_node::network=debug`.
    pub filter: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,libp2p_swarm=warn".into() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Member id.
    pub member: MemberId,
    /// Folder of everything this node keeps.
    pub data_dir: PathBuf,
    /// What this node does for its member.
    pub role: RoleWord,
    /// Checked `[[replicas]]`
    pub replicas: Vec<CardNode>,
    /// `[network]`
    pub network: RawNetwork,
    /// Checked `[http] listen`.
    pub http_listen: SocketAddr,
    /// `[http]`
    pub http: RawHttp,
    /// Checked `[http.tls]`
    pub tls: Option<TlsFiles>,
    /// `[index]`
    pub index: RawIndex,
    /// `[scrub]`
    pub scrub: RawScrub,
    /// Checked `[models]`
    pub models: Thresholds,
    /// `[receipts]`
    pub receipts: RawReceipts,
    /// Checked `[keys]`, and the folder of keys.
    pub keys: KeyAccess,
    /// `[quarantine]`
    pub quarantine: FloodLimits,
    /// `[changes]`
    pub changes: RawChanges,
    /// `[[webhooks]]`
    pub webhooks: Vec<WebhookConfig>,
    /// `[log]`
    pub log: RawLog,
}

/// Why a configuration is refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Not valid TOML, an unknown key, or a value of the wrong type.
    #[error("configuration {path}: {detail}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        detail: String,
    },
    /// A value breaks a rule.
    #[error("configuration: {field} = {value:?}: {rule}")]
    Value {
        /// The field's dotted name.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it must be.
        rule: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, base).map_err(|error| match error {
            ConfigError::Parse { detail, .. } => ConfigError::Parse { path: path.to_owned(), detail },
            other => other,
        })
    }

    /// Checks a file's text; relative paths start at `base`.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: PathBuf::from("(text)"),
            detail: error.to_string().trim_end().to_owned(),
        })?;
        Self::check(raw, base)
    }

    fn check(raw: RawConfig, base: &Path) -> Result<Self, ConfigError> {
        let member =
            MemberId::parse(&raw.member).map_err(|error| value("member", &raw.member, &error.to_string()))?;
        let http_listen: SocketAddr = raw.http.listen.parse().map_err(|_| {
            value("http.listen", &raw.http.listen, "must be an address and port, like 127.0.0.1:7410")
        })?;
        let tls = raw.http.tls.as_ref().map(|tls| check_tls(tls, base)).transpose()?;
        if !http_listen.ip().is_loopback() && !raw.http.allow_remote && tls.is_none() {
            return Err(value(
                "http.listen",
                &raw.http.listen,
                "is not a loopback address: set [http.tls], or http.allow_remote = true if other machines must reach the API and something \
                 in front of it encrypts",
            ));
        }
        check_numbers(&raw)?;
        for (field, addresses, role) in [
            ("network.listen", &raw.network.listen, AddressRole::Listen),
            ("network.advertise", &raw.network.advertise, AddressRole::Dial),
            ("network.peers", &raw.network.peers, AddressRole::Dial),
        ] {
            for address in addresses {
                check_address(address, role).map_err(|error| value(field, address, &error.to_string()))?;
            }
        }
        let webhooks = feed::check(&raw.changes, &raw.webhooks, base)?;
        Ok(Self {
            member,
            data_dir: base.join(&raw.data_dir),
            role: raw.role,
            replicas: nodes::check(raw.role, &raw.replicas)?,
            network: raw.network,
            http_listen,
            http: raw.http,
            tls,
            index: raw.index,
            scrub: raw.scrub,
            models: raw.models.check()?,
            receipts: raw.receipts,
            keys: check_keys(&raw.keys, base, &base.join(&raw.data_dir))?,
            quarantine: FloodLimits {
                contributions_per_hour: raw.quarantine.contributions_per_hour,
                withdrawals_per_hour: raw.quarantine.withdrawals_per_hour,
            },
            changes: raw.changes,
            webhooks,
            log: raw.log,
        })
    }

    /// Whether this node is a read replica of its member.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.role == RoleWord::Replica
    }

    /// The addresses that other members should dial.
    #[must_use]
    pub fn advertised(&self) -> &[String] {
        if self.network.advertise.is_empty() { &self.network.listen } else { &self.network.advertise }
    }

    /// Folder of the secret keys.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join(KEYS_DIR)
    }

    /// Folder of the database.
    #[must_use]
    pub fn database_dir(&self) -> PathBuf {
        self.data_dir.join("database")
    }

    /// The lock file, outside the database.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("signed.lock")
    }

    /// The index snapshot: derived data, safe to delete.
    #[must_use]
    pub fn snapshot_file(&self) -> PathBuf {
        self.data_dir.join("index.snapshot")
    }

    /// The adopted roster versions.
    #[must_use]
    pub fn roster_file(&self) -> PathBuf {
        self.data_dir.join("roster")
    }

    /// Rivals of adopted roster versions: what governance signed beside them.
    #[must_use]
    pub fn rivals_file(&self) -> PathBuf {
        self.data_dir.join("rivals")
    }

    /// What this node's member might have at the last start.
    #[must_use]
    pub fn entitled_file(&self) -> PathBuf {
        self.data_dir.join("entitled")
    }

    /// What people decided about this node's log: recoveries, overrides, rosters.
    #[must_use]
    pub fn journal_file(&self) -> PathBuf {
        self.data_dir.join("journal")
    }

    /// Id of the machine on which this node last appended.
    #[must_use]
    pub fn host_file(&self) -> PathBuf {
        self.data_dir.join("host")
    }

    /// This node's signed card.
    #[must_use]
    pub fn card_file(&self) -> PathBuf {
        self.data_dir.join("card")
    }

    /// Where the scrub stands: derived, safe to delete.
    #[must_use]
    pub fn scrub_file(&self) -> PathBuf {
        self.data_dir.join("scrub")
    }

    /// Copies of the database that a running node makes for `backup`.
    #[must_use]
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.data_dir.join("checkpoints")
    }

    /// Says that this data folder came from a backup, until the node has caught up.
    #[must_use]
    pub fn restored_file(&self) -> PathBuf {
        self.data_dir.join("restored")
    }

    /// Hashes of the API's bearer tokens.
    #[must_use]
    pub fn tokens_file(&self) -> PathBuf {
        self.data_dir.join("tokens")
    }

    /// What a member sends to governance to be listed: public keys only.
    #[must_use]
    pub fn join_file(&self) -> PathBuf {
        self.data_dir.join("join.toml")
    }
}

fn value(field: &'static str, given: &str, rule: &str) -> ConfigError {
    ConfigError::Value { field, value: given.to_owned(), rule: rule.to_owned() }
}

/// Numbers within their bounds.
fn check_numbers(raw: &RawConfig) -> Result<(), ConfigError> {
    for (field, given, max) in [
        ("http.requests_max", raw.http.requests_max, 4_096),
        ("http.bulk_max", raw.http.bulk_max, 64),
        ("http.connections_max", raw.http.connections_max, 65_536),
    ] {
        if given == 0 || given > max {
            return Err(value(field, &given.to_string(), &format!("must be 1 to {max}")));
        }
    }
    if !(100..=600_000).contains(&raw.http.timeout_ms) {
        return Err(value("http.timeout_ms", &raw.http.timeout_ms.to_string(), "must be 100 to 600000"));
    }
    if !(1..=4_096).contains(&raw.network.connections_max) {
        let given = raw.network.connections_max.to_string();
        return Err(value("network.connections_max", &given, "must be 1 to 4096"));
    }
    if raw.index.snapshot_interval_s > SNAPSHOT_INTERVAL_MAX_S {
        let given = raw.index.snapshot_interval_s.to_string();
        let rule = format!("must be 0 to {SNAPSHOT_INTERVAL_MAX_S}");
        return Err(value("index.snapshot_interval_s", &given, &rule));
    }
    if raw.scrub.rate_mb_s > SCRUB_RATE_MAX_MB_S {
        let given = raw.scrub.rate_mb_s.to_string();
        return Err(value("scrub.rate_mb_s", &given, &format!("must be 0 to {SCRUB_RATE_MAX_MB_S}")));
    }
    if raw.scrub.interval_s > SCRUB_INTERVAL_MAX_S {
        let given = raw.scrub.interval_s.to_string();
        return Err(value("scrub.interval_s", &given, &format!("must be 0 to {SCRUB_INTERVAL_MAX_S}")));
    }
    if raw.receipts.interval_s > RECEIPT_INTERVAL_MAX_S {
        let given = raw.receipts.interval_s.to_string();
        let rule = format!("must be 0 to {RECEIPT_INTERVAL_MAX_S}");
        return Err(value("receipts.interval_s", &given, &rule));
    }
    for (field, given) in [
        ("quarantine.contributions_per_hour", raw.quarantine.contributions_per_hour),
        ("quarantine.withdrawals_per_hour", raw.quarantine.withdrawals_per_hour),
    ] {
        if !(1..=FLOOD_MAX_PER_HOUR).contains(&given) {
            return Err(value(field, &given.to_string(), &format!("must be 1 to {FLOOD_MAX_PER_HOUR}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
