//! One message per direction of a stream: a big-endian `u32` length, then that many bytes (SPEC §10).
//!
//! The length is checked against its bound before anything is allocated, and memory is reserved as
//! bytes arrive: a peer that announces two megabytes and sends none holds one small buffer, for as
//! long as the request timeout lets it. A message must be followed by the end of the stream; what the
//! bytes mean is `hashpact_protocol::wire`'s business.
//!
//! libp2p clones the codec once per connection and again per stream, and tells it nothing about the
//! peer. The behaviour around it does: it puts the peer's [`Account`] on the [`Opening`] just before
//! the clone for a new connection is made. A codec without an account reads and writes nothing.
//!
//! A stream that ends inside a message is counted, but is no proof of bad will: a connection that
//! dies looks the same. A bad length, excess bytes and undecodable bytes are deliberate.

use std::io;
use std::sync::{Arc, Mutex};

use hashpact_protocol::limits::{WIRE_REQUEST_MAX_BYTES, WIRE_RESPONSE_MAX_BYTES};
use hashpact_protocol::wire::{self, Request, Response, WireError};
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response;

use super::budget::{Account, Direction, Hold, OverBudget};

/// What both sides negotiate for each stream.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/hashpact/sync/1");

/// Memory reserved for the first bytes of a message. Most messages need no more.
const FIRST_RESERVE_BYTES: usize = 4 * 1024;
/// Most bytes of one read; also what a slow sender makes us clear again per read.
const READ_BYTES: usize = 16 * 1024;
const LENGTH_BYTES: usize = 4;

/// Why a message was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum FrameError {
    /// The announced length is beyond the bound; nothing was allocated.
    #[error("a message of {announced_bytes} bytes is announced, at most {max_bytes} are allowed")]
    TooLong {
        /// What the prefix says.
        announced_bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// The stream ended inside the length or the message.
    #[error("the stream ended after {received_bytes} of {announced_bytes} bytes")]
    Truncated {
        /// Bytes that came.
        received_bytes: usize,
        /// Bytes announced; the prefix's own length if not even that came.
        announced_bytes: usize,
    },
    /// More bytes follow the message.
    #[error("bytes follow the message of {length_bytes} bytes")]
    Trailing {
        /// The message's length.
        length_bytes: usize,
    },
    /// Too much is in flight already.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The bytes are no message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The transport failed, or the peer closed the stream without a word.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
}

impl FrameError {
    /// The broken rule's fixed label, and whether it proves bad will; nothing for plain failures.
    fn rule(&self) -> Option<(&'static str, bool)> {
        match self {
            Self::TooLong { .. } => Some(("frame_too_long", true)),
            Self::Truncated { .. } => Some(("frame_truncated", false)),
            Self::Trailing { .. } => Some(("frame_trailing_bytes", true)),
            Self::Wire(_) => Some(("message_malformed", true)),
            Self::OverBudget(_) => Some(("bytes_in_flight", false)),
            Self::Io(_) => None,
        }
    }

    /// Whether the bytes broke the format, as opposed to being late, lost or too many at once.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Trailing { .. } | Self::Wire(_))
    }
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// A message on its way through libp2p, with the memory that it is charged for.
#[derive(Debug)]
pub(super) enum Parcel<M> {
    /// Encoded, on its way out.
    Outgoing {
        /// The message's bytes, without the length.
        bytes: Vec<u8>,
        /// Released when the last byte is written. Tiny refusals travel free.
        hold: Option<Hold>,
    },
    /// Decoded, just arrived.
    Incoming {
        /// The message.
        message: M,
        /// Released by whoever is done with the message.
        hold: Hold,
    },
}

/// Hands the account of the peer whose connection is being opened to the codec clone made for it.
#[derive(Debug, Default)]
pub(super) struct Opening(Mutex<Option<Arc<Account>>>);

impl Opening {
    /// Runs `open` with `account` as the one that a cloned codec takes.
    pub(super) fn with<T>(&self, account: Arc<Account>, open: impl FnOnce() -> T) -> T {
        self.set(Some(account));
        let opened = open();
        self.set(None);
        opened
    }

    fn set(&self, account: Option<Arc<Account>>) {
        *self.0.lock().expect("nothing panics while it holds this lock") = account;
    }

    fn account(&self) -> Option<Arc<Account>> {
        self.0.lock().expect("nothing panics while it holds this lock").clone()
    }
}

/// The codec: one original per behaviour, one clone per connection, clones of that per stream.
#[derive(Debug)]
pub(super) struct SyncCodec {
    opening: Arc<Opening>,
    account: Option<Arc<Account>>,
}

impl SyncCodec {
    pub(super) fn new(opening: Arc<Opening>) -> Self {
        Self { opening, account: None }
    }

    fn account(&self) -> io::Result<&Arc<Account>> {
        self.account.as_ref().ok_or_else(|| io::Error::other("this codec belongs to no connection"))
    }

    async fn read<T, M>(
        &self,
        io: &mut T,
        max_bytes: usize,
        decode: fn(&[u8]) -> Result<M, WireError>,
    ) -> io::Result<Parcel<M>>
    where
        T: AsyncRead + Unpin + Send,
        M: Send,
    {
        let account = self.account()?;
        let read = async {
            let (bytes, hold) = read_frame(io, max_bytes, &account.inbound).await?;
            Ok(Parcel::Incoming { message: decode(&bytes)?, hold })
        };
        read.await.map_err(|error: FrameError| {
            if let Some((rule, is_deliberate)) = error.rule() {
                account.report(rule, is_deliberate);
            }
            error.into()
        })
    }
}

impl Clone for SyncCodec {
    fn clone(&self) -> Self {
        let account = self.account.clone().or_else(|| self.opening.account());
        Self { opening: Arc::clone(&self.opening), account }
    }
}

impl request_response::Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Parcel<Request>;
    type Response = Parcel<Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io, WIRE_REQUEST_MAX_BYTES, wire::decode_request).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io, WIRE_RESPONSE_MAX_BYTES, wire::decode_response).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        parcel: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, parcel).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        parcel: Self::Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, parcel).await
    }
}

/// Reads one framed message and the end of the stream.
async fn read_frame<T>(
    io: &mut T,
    max_bytes: usize,
    direction: &Arc<Direction>,
) -> Result<(Vec<u8>, Hold), FrameError>
where
    T: AsyncRead + Unpin,
{
    let length_bytes = read_length(io).await?;
    if length_bytes > max_bytes {
        return Err(FrameError::TooLong { announced_bytes: length_bytes, max_bytes });
    }
    let mut hold = Hold::empty(direction);
    let mut bytes = Vec::new();
    let mut reserved_bytes = 0;
    while bytes.len() < length_bytes {
        if bytes.len() == reserved_bytes {
            let next_bytes = (reserved_bytes * 2).max(FIRST_RESERVE_BYTES).min(length_bytes);
            hold.grow(next_bytes - reserved_bytes)?;
            bytes.reserve_exact(next_bytes - bytes.len());
            reserved_bytes = next_bytes;
        }
        let filled_bytes = bytes.len();
        bytes.resize(reserved_bytes.min(filled_bytes + READ_BYTES), 0);
        let count = io.read(&mut bytes[filled_bytes..]).await;
        bytes.truncate(filled_bytes + *count.as_ref().unwrap_or(&0));
        if count? == 0 {
            return Err(FrameError::Truncated {
                received_bytes: filled_bytes,
                announced_bytes: length_bytes,
            });
        }
    }
    if io.read(&mut [0]).await? > 0 {
        return Err(FrameError::Trailing { length_bytes });
    }
    Ok((bytes, hold))
}

async fn read_length<T: AsyncRead + Unpin>(io: &mut T) -> Result<usize, FrameError> {
    let mut prefix = [0; LENGTH_BYTES];
    let mut received_bytes = 0;
    while received_bytes < LENGTH_BYTES {
        match io.read(&mut prefix[received_bytes..]).await? {
            // Not a word: the other side is gone, busy or not interested. No rule is broken.
            0 if received_bytes == 0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            0 => {
                return Err(FrameError::Truncated { received_bytes, announced_bytes: LENGTH_BYTES });
            }
            count => received_bytes += count,
        }
    }
    Ok(usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX))
}

async fn write_frame<T, M>(io: &mut T, parcel: Parcel<M>) -> io::Result<()>
where
    T: AsyncWrite + Unpin,
{
    let Parcel::Outgoing { bytes, hold } = parcel else {
        return Err(io::Error::other("a message that was received is never sent"));
    };
    let length_bytes = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&length_bytes.to_be_bytes()).await?;
    io.write_all(&bytes).await?;
    io.flush().await?;
    drop(hold);
    Ok(())
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
