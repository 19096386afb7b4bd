//! Bulk look-ups: millions of PDQ values in one request (SPEC §11.1).
//!
//! Values are taken from the caller as the node takes them, and matches are handed over as they
//! come, so that neither side is ever held whole in memory. Never sent again by itself: a caller who
//! gave values away cannot be asked for them twice.

use std::time::Duration;

use hashpact_protocol::api::frames::{BrokenFrame, EndFrame, Frame, FrameEvent, FrameReader};
use hashpact_protocol::api::{BULK_VALUES_TYPE, BulkQuery};
use hashpact_protocol::record::Vocabulary as _;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method};
use tokio::sync::mpsc;

use crate::client::{Client, chain, refusal_of};
use crate::error::ClientError;

/// How long the whole exchange may take: its length is the caller's business.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);
/// Parts of values that wait to be sent.
const PARTS_WAITING: usize = 4;
/// Values that are sent at once.
const PART_VALUES: usize = 8_192;

impl Client {
    /// Looks up every value that `values` gives, in order, and calls `each` with the header and with
    /// every match as it arrives; the end says how many values were looked up and whether the node was
    /// complete. `values` runs on a blocking thread and is waited for as long as it takes.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::BrokeOff`] when the answer has no end, or one that says why
    /// it is none. What `each` has seen then stands.
    pub async fn match_values<I>(
        &self,
        query: &BulkQuery,
        values: I,
        mut each: impl FnMut(FrameEvent),
    ) -> Result<EndFrame, ClientError>
    where
        I: IntoIterator<Item = [u8; 32]> + Send + 'static,
    {
        let url = self.url("v1/match/bulk");
        let request = self.request(Method::POST, &url).query(query).header(CONTENT_TYPE, BULK_VALUES_TYPE);
        let sent = request.timeout(EXCHANGE_TIMEOUT).body(body_of(values)).send().await;
        let unreachable = |error: &reqwest::Error| ClientError::Unreachable {
            url: self.base_url().to_owned(),
            attempts: 1,
            reason: chain(error),
        };
        let mut response = sent.map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            return Err(refusal_of(&url, response).await);
        }
        let broke_off = |why: String| ClientError::BrokeOff { url: url.to_string(), why };
        let (mut reader, mut last) = (FrameReader::new(), None);
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(error) => return Err(broke_off(chain(&error))),
            };
            let read = reader.read(&bytes, |event| match event {
                FrameEvent::Frame(end @ (Frame::End(_) | Frame::Broken(_))) => last = Some(end),
                other => each(other),
            });
            let unexpected = |what: String| ClientError::Unexpected { url: url.to_string(), what };
            read.map_err(|error| unexpected(error.to_string()))?;
        }
        match last {
            Some(Frame::End(end)) => Ok(end),
            Some(Frame::Broken(BrokenFrame { why, items })) => {
                Err(broke_off(format!("{} after {items} values", why.name())))
            }
            _ => Err(broke_off("no end arrived".to_owned())),
        }
    }
}

/// A body that asks for values as fast as the node reads it.
fn body_of<I>(values: I) -> Body
where
    I: IntoIterator<Item = [u8; 32]> + Send + 'static,
{
    let (parts, waiting) = mpsc::channel::<Vec<u8>>(PARTS_WAITING);
    tokio::task::spawn_blocking(move || {
        let mut part = Vec::with_capacity(PART_VALUES * 32);
        for value in values {
            part.extend_from_slice(&value);
            if part.len() == PART_VALUES * 32 {
                let whole = std::mem::replace(&mut part, Vec::with_capacity(PART_VALUES * 32));
                if parts.blocking_send(whole).is_err() {
                    return;
                }
            }
        }
        if !part.is_empty() {
            // Whoever stopped reading has its own error to report.
            let _ = parts.blocking_send(part);
        }
    });
    let next = |mut waiting: mpsc::Receiver<Vec<u8>>| async move {
        let part = waiting.recv().await?;
        Some((Ok::<_, std::io::Error>(part), waiting))
    };
    Body::wrap_stream(futures::stream::unfold(waiting, next))
}
