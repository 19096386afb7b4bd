//! Accepting connections: a bounded number, HTTP/1.1, keep-alive, each with bounds in time.
//!
//! A connection that sends no head, or does not read its answer, is closed after the time of one
//! request. Those beyond the bound are told so and closed: left waiting, they would look like a node
//! that hangs.

use super::access::CallerAddress;
use super::stream::ImpatientStream;
use super::tls::{LiveTls, TlsError};
use super::{Api, router};
use crate::config::Config;
use crate::service::Service;
use crate::tokens::LiveTokens;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections that are being told that there are too many, at once; more are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long one that is turned away may take to read that.
const TURNED_AWAY_TIME: Duration = Duration::from_secs(1);
/// Pause after the system refused a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound API, not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    tls: Option<Arc<LiveTls>>,
    connections_max: usize,
    timeout: Duration,
}

/// The API cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The files of `[http.tls]`.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Server {
    /// Binds the configured address.
    ///
    /// # Errors
    /// The address is taken or not ours, or a file of `[http.tls]` cannot be used.
    pub async fn bind(config: &Config, service: Service, tokens: Arc<LiveTokens>) -> Result<Self, BindError> {
        Self::bind_router(config, router(Api::new(config, service, tokens))).await
    }

    pub(super) async fn bind_router(config: &Config, router: Router) -> Result<Self, BindError> {
        let address = config.http_listen;
        let fail = |source| BindError::Address { address, source };
        let tls = config.tls.as_ref().map(LiveTls::open).transpose()?.map(Arc::new);
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let timeout = Duration::from_millis(config.http.timeout_ms);
        let connections_max = config.http.connections_max;
        Ok(Self { listener, address, router, tls, connections_max, timeout })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` turns true; requests under way are finished.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        if let Some(tls) = &self.tls {
            tokio::spawn(LiveTls::watch(Arc::downgrade(tls)));
        }
        let places = Arc::new(Semaphore::new(self.connections_max));
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                let connection = Connection { router: self.router.clone(), timeout: self.timeout, peer };
                let acceptor = self.tls.as_ref().map(|tls| tls.acceptor());
                tokio::spawn(connection.begin(stream, acceptor, stop.clone(), place));
            } else if self.tls.is_some() {
                // Words would not be understood before a handshake, which is what there is no room for.
                drop(stream);
            } else if let Ok(place) = Arc::clone(&turned_away).try_acquire_owned() {
                tokio::spawn(turn_away(stream, self.connections_max, place));
            }
        }
        drop(self.listener);
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        let _ = places.acquire_many(all).await;
    }
}

/// What one connection is served with.
struct Connection {
    router: Router,
    timeout: Duration,
    peer: SocketAddr,
}

impl Connection {
    /// Shakes hands, if the server speaks TLS, within the time of a request.
    async fn begin(
        self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
    ) {
        // The end of a streamed answer must not wait for an acknowledgement of what came before it.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else { return self.serve(stream, stop, place).await };
        match tokio::time::timeout(self.timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, stop, place).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not come to speak TLS"),
            Err(_) => tracing::debug!("a connection did not come to speak TLS in time"),
        }
    }

    async fn serve<S>(self, stream: S, mut stop: watch::Receiver<bool>, _place: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = TowerToHyperService::new(self.router);
        let from = CallerAddress(self.peer.ip());
        let service = hyper::service::service_fn(move |mut request| {
            request.extensions_mut().insert(from);
            router.call(request)
        });
        let io = TokioIo::new(ImpatientStream::new(stream, self.timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeout)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
        let served = tokio::select! {
            biased;
            served = connection.as_mut() => served,
            _ = stopped => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}

/// Tells a connection that there are too many, and closes it.
async fn turn_away(mut stream: TcpStream, connections_max: usize, _place: OwnedSemaphorePermit) {
    let message = format!("all {connections_max} connections are taken; try again in a second");
    let body = format!(
        "{{\"error\":{{\"code\":\"overloaded\",\"message\":\"{message}\",\"request_id\":\"none\"}}}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         x-request-id: none\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing while bytes arrive would reset the connection and take the answer with it.
        let mut ignored = [0; 1_024];
        while stream.read(&mut ignored).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(TURNED_AWAY_TIME, tell).await;
}
