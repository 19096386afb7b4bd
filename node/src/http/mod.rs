//! The local HTTP API: routes on this page, one file per endpoint family.
//!
//! Every request gets an id; every error has one shape; tokens decide what a caller may do. Bodies
//! are bounded before they are read, requests at once are bounded, and what is too much is told so
//! (429, 503 with Retry-After) instead of queued without end. No endpoint takes media: the only bodies
//! are JSON of hashes, labels and words. Nothing here logs bodies, queries or tokens.

mod access;
mod body;
mod error;
mod logs;
mod matching;
mod node;
pub mod openapi;
mod records;
mod request;
#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::service::Service;
use crate::tokens::Tokens;
use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

pub use error::ApiError;

/// What every handler can reach.
#[derive(Clone)]
pub struct Api {
    service: Service,
    tokens: Arc<Tokens>,
    slots: Arc<Semaphore>,
    timeout: Duration,
    public_logs: bool,
    loopback: bool,
}

/// A bound API, not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// The API cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

impl Api {
    /// Joins service, tokens and the configuration's bounds.
    #[must_use]
    pub fn new(config: &Config, service: Service, tokens: Tokens) -> Self {
        Self {
            service,
            tokens: Arc::new(tokens),
            slots: Arc::new(Semaphore::new(config.http.requests_max)),
            timeout: Duration::from_millis(config.http.timeout_ms),
            public_logs: config.http.public_logs,
            loopback: config.http_listen.ip().is_loopback(),
        }
    }
}

impl Server {
    /// Binds the configured address.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: &Config, service: Service, tokens: Tokens) -> Result<Self, BindError> {
        let address = config.http_listen;
        let fail = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, address, router: router(Api::new(config, service, tokens)) })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` turns true; requests under way are finished.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let until_stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let served = axum::serve(self.listener, self.router).with_graceful_shutdown(until_stopped).await;
        if let Err(error) = served {
            tracing::error!(%error, "the API ended");
        }
    }
}

/// All routes.
pub fn router(api: Api) -> Router {
    let work = Router::new()
        .route("/v1/match", post(matching::match_signals))
        .route("/v1/records", post(records::contribute).get(records::list))
        .route("/v1/records/{id}", get(records::show))
        .route("/v1/records/{id}/proof", get(records::proof))
        .route("/v1/records/{id}/opinions", post(records::opine))
        .route("/v1/records/{id}/retraction", post(records::retract))
        .route("/v1/members", get(node::members))
        .route("/v1/logs", get(node::logs))
        .route("/v1/status", get(node::status))
        .route("/logs/{member}/{n}/checkpoint", get(logs::checkpoint))
        .route("/logs/{member}/{n}/tile/{*path}", get(logs::tile))
        .layer(middleware::from_fn_with_state(api.clone(), request::bounded));
    Router::new()
        .merge(work)
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .route("/metrics", get(node::metrics))
        .route("/openapi.json", get(openapi::document))
        .fallback(request::no_such_path)
        .method_not_allowed_fallback(request::no_such_method)
        .layer(middleware::from_fn_with_state(api.clone(), request::identified))
        .with_state(api)
}
