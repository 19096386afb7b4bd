//! The local HTTP API: routes on this page, one file per endpoint family.
//!
//! Every request gets an id; every error has one shape; tokens decide what a caller may do. Bodies
//! are bounded before they are read. What runs at once is bounded for each kind of work by itself
//! ([`budget`]), and what is too much is told so (429, 503 with Retry-After) instead of queued without
//! end. No endpoint takes media: the only bodies are hashes, labels and words. Nothing here logs
//! bodies, queries or tokens.

mod access;
mod admin;
mod audit;
mod body;
mod budget;
mod bulk;
mod changes;
mod decisions;
mod error;
mod governance;
mod guard;
mod lists;
mod logs;
mod matching;
mod models;
mod node;
pub mod openapi;
mod records;
mod reports;
mod request;
mod server;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod threads;
mod tls;
mod ttps;
mod witness;

use crate::config::Config;
use crate::service::Service;
use crate::tokens::LiveTokens;
use axum::Router;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use budget::Budget;
use guard::Guard;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use error::ApiError;
pub use server::{BindError, Server};
pub use threads::HttpThreads;
pub use tls::TlsError;

/// Patterns of all routes, as metrics name them.
const ENDPOINTS: [&str; 49] = [
    "/v1/match",
    "/v1/match/bulk",
    "/v1/models/bases",
    "/v1/models/match",
    "/v1/lists",
    "/v1/lists/{name}",
    "/v1/lists/dry-run",
    "/v1/mutes",
    "/v1/mutes/{member}",
    "/v1/negatives",
    "/v1/negatives/{name}",
    "/v1/quarantine",
    "/v1/quarantine/{id}/accept",
    "/v1/quarantine/{id}/reject",
    "/v1/reports/contradictions",
    "/v1/reports/genmeta",
    "/v1/changes",
    "/v1/changes/snapshot",
    "/v1/records",
    "/v1/records/{id}",
    "/v1/records/{id}/near",
    "/v1/records/{id}/proof",
    "/v1/records/{id}/opinions",
    "/v1/records/{id}/retraction",
    "/v1/records/{id}/erasure",
    "/v1/records/{id}/supersede",
    "/v1/ttps",
    "/v1/ttps/statistics",
    "/v1/ttps/taxonomy",
    "/v1/rulings",
    "/v1/suspensions",
    "/v1/incidents",
    "/v1/members",
    "/v1/logs",
    "/v1/status",
    "/v1/audit/export",
    "/v1/evidence",
    "/v1/admin/backup",
    "/witness/add-checkpoint",
    "/logs/roster/checkpoint",
    "/logs/roster/tile/{*path}",
    "/logs/{member}/policy",
    "/logs/{member}/{n}/checkpoint",
    "/logs/{member}/{n}/checkpoint/cosigned",
    "/logs/{member}/{n}/tile/{*path}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
];

/// Audit bundles that are written at once: each reads all logs.
const EXPORTS_MAX: usize = 2;
/// Followers of the feed of changes: each holds a connection and nothing else.
const FOLLOWERS_MAX: usize = 128;

/// What every handler can reach; cheap to clone, for each request does so.
#[derive(Clone)]
pub struct Api {
    parts: Arc<Parts>,
}

/// The parts of an [`Api`].
pub struct Parts {
    service: Service,
    tokens: Arc<LiveTokens>,
    /// Addresses that try tokens.
    guard: Guard,
    /// Reading records, proofs and logs.
    reads: Budget,
    /// Look-ups that are not answered at once.
    scans: Budget,
    /// Bulk look-ups.
    bulk: Budget,
    /// Contributions, opinions, retractions, erasures.
    writes: Budget,
    /// Followers of the feed of changes.
    followers: Budget,
    /// Audit bundles being written.
    exports: Budget,
    /// Copies of the database being made.
    backups: Budget,
    /// Bytes of long bodies.
    bodies: Budget,
    timeout: Duration,
    checkpoints: PathBuf,
    journal_file: PathBuf,
    public_logs: bool,
    loopback: bool,
}

impl Api {
    /// Joins service, tokens and the configuration's bounds.
    #[must_use]
    pub fn new(config: &Config, service: Service, tokens: Arc<LiveTokens>) -> Self {
        let parts = Parts {
            service,
            tokens,
            guard: Guard::default(),
            reads: Budget::new("requests that read", config.http.requests_max),
            scans: Budget::new("long look-ups", config.http.requests_max),
            bulk: Budget::new("bulk look-ups", config.http.bulk_max),
            writes: Budget::new("requests that write", config.http.requests_max),
            followers: Budget::new("followers of changes", FOLLOWERS_MAX.min(config.http.connections_max)),
            exports: Budget::new("audit exports", EXPORTS_MAX),
            backups: Budget::new("backups", 1),
            bodies: Budget::new("bytes of long bodies", body::BODIES_MAX_BYTES),
            timeout: Duration::from_millis(config.http.timeout_ms),
            checkpoints: config.checkpoints_dir(),
            journal_file: config.journal_file(),
            public_logs: config.http.public_logs,
            loopback: config.http_listen.ip().is_loopback(),
        };
        Self { parts: Arc::new(parts) }
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/match", post(matching::match_signals))
        .route("/v1/match/bulk", post(bulk::match_bulk))
        .route("/v1/models/bases", post(models::bases))
        .route("/v1/models/match", post(models::match_model))
        .route("/v1/lists", get(lists::all))
        .route("/v1/lists/dry-run", post(lists::dry_run))
        .route("/v1/lists/{name}", get(lists::show).put(lists::put).delete(lists::delete))
        .route("/v1/mutes", get(decisions::mutes).post(decisions::mute))
        .route("/v1/mutes/{member}", delete(decisions::unmute))
        .route("/v1/negatives", get(decisions::negatives))
        .route("/v1/negatives/{name}", put(decisions::put_negatives).delete(decisions::delete_negatives))
        .route("/v1/quarantine", get(decisions::quarantine))
        .route("/v1/quarantine/{id}/accept", post(decisions::accept))
        .route("/v1/quarantine/{id}/reject", post(decisions::reject))
        .route("/v1/reports/contradictions", get(reports::contradictions))
        .route("/v1/reports/genmeta", get(ttps::genmeta))
        .route("/v1/changes", get(changes::follow))
        .route("/v1/changes/snapshot", get(changes::snapshot))
        .route("/v1/records", post(records::contribute).get(records::list))
        .route("/v1/records/{id}", get(records::show))
        .route("/v1/records/{id}/near", get(matching::near))
        .route("/v1/records/{id}/proof", get(records::proof))
        .route("/v1/records/{id}/opinions", post(records::opine))
        .route("/v1/records/{id}/retraction", post(records::retract))
        .route("/v1/records/{id}/erasure", post(records::erase))
        .route("/v1/records/{id}/supersede", post(records::supersede))
        .route("/v1/ttps", get(ttps::list))
        .route("/v1/ttps/statistics", get(ttps::statistics))
        .route("/v1/ttps/taxonomy", get(ttps::taxonomy))
        .route("/v1/rulings", post(governance::rule).get(governance::rulings))
        .route("/v1/suspensions", post(governance::vote).get(governance::suspensions))
        .route("/v1/incidents", post(governance::declare).get(governance::incidents))
        .route("/v1/members", get(node::members))
        .route("/v1/logs", get(node::logs))
        .route("/v1/status", get(node::status))
        .route("/v1/audit/export", get(audit::export))
        .route("/v1/evidence", get(witness::evidence))
        .route("/v1/admin/backup", post(admin::backup))
        .route("/witness/add-checkpoint", post(witness::add_checkpoint))
        .route("/logs/roster/checkpoint", get(logs::roster_checkpoint))
        .route("/logs/roster/tile/{*path}", get(logs::roster_tile))
        .route("/logs/{member}/policy", get(logs::policy))
        .route("/logs/{member}/{n}/checkpoint", get(logs::checkpoint))
        .route("/logs/{member}/{n}/checkpoint/cosigned", get(witness::cosigned))
        .route("/logs/{member}/{n}/tile/{*path}", get(logs::tile))
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .route("/metrics", get(node::metrics))
        .route("/openapi.json", get(openapi::document))
        .fallback(request::no_such_path)
        .method_not_allowed_fallback(request::no_such_method)
        .layer(middleware::from_fn_with_state(api.clone(), request::identified))
        .with_state(api)
}
