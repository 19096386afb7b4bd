//! The way of an answer from the task that makes it to the connection, with a bound on what waits.

use crate::http::ApiError;
use axum::body::{Body, Bytes};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Answer that waits for the caller to read it; more stops the reading of the request.
pub(in crate::http) const WAITING_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Pieces in which an answer is handed to the connection.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait, whatever their size: a small one takes memory, too.
const PIECES_MAX: usize = 4_096;

/// What the task sends to the connection.
pub(super) enum Piece {
    /// Nothing was answered, and this is why.
    Refused(ApiError),
    /// A piece of the answer.
    Answer(Bytes, OwnedSemaphorePermit),
    /// The answer is whole, or says why it is not.
    End,
}

/// Nobody reads the answer any more.
pub(super) struct Gone;

/// The way to the connection.
pub(super) struct Answer {
    sender: mpsc::Sender<Piece>,
    /// Bytes that may wait to be read.
    room: Arc<Semaphore>,
    /// Whether anything was said.
    pub(super) begun: bool,
}

impl Answer {
    /// A way, and its other end.
    pub(super) fn new() -> (Self, mpsc::Receiver<Piece>) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let room = Arc::new(Semaphore::new(WAITING_MAX_BYTES));
        (Self { sender, room, begun: false }, pieces)
    }

    /// A second handle, to see whether the other end is still there.
    pub(super) fn sender(&self) -> mpsc::Sender<Piece> {
        self.sender.clone()
    }

    /// Sends bytes; waits while too much of the answer has not been read.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            let size = u32::try_from(piece.len()).map_err(|_| Gone)?;
            let room = tokio::select! {
                room = Arc::clone(&self.room).acquire_many_owned(size) => room.map_err(|_| Gone)?,
                () = self.sender.closed() => return Err(Gone),
            };
            self.sender.send(Piece::Answer(piece, room)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    pub(super) async fn refuse(&mut self, error: ApiError) -> Result<(), Gone> {
        self.sender.send(Piece::Refused(error)).await.map_err(|_| Gone)
    }

    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        self.sender.send(Piece::End).await.map_err(|_| Gone)
    }
}

/// The body of an answer that begins with this piece.
pub(super) fn body_of(first: Piece, pieces: mpsc::Receiver<Piece>) -> Body {
    let stream = futures::stream::unfold((Some(first), pieces), |(first, mut pieces)| async move {
        let piece = match first {
            Some(first) => Some(first),
            None => pieces.recv().await,
        };
        match piece {
            Some(Piece::Answer(bytes, _room)) => Some((Ok(bytes), (None, pieces))),
            Some(Piece::End) => None,
            // Without an end the connection must break, so that no cache or proxy takes it for whole.
            Some(Piece::Refused(_)) | None => {
                let error = std::io::Error::other("the answer broke off");
                Some((Err(error), (None, pieces)))
            }
        }
    });
    Body::from_stream(stream)
}
