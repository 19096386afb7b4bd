//! Following what changes at a node, over its restarts and this side's.
//!
//! [`Follower`] asks for changes behind a cursor and moves on when the caller has dealt with them. It waits at the node, not
//! here, and says when changes were missed: then everything that was decided from matches before must be looked up again.

use hashpact_protocol::api::{
    CHANGES_GONE, CHANGES_PAGE_MAX, CHANGES_SNAPSHOT, CHANGES_WAIT_MAX_S, ChangeCause, ChangeJson,
    ChangesQuery, ChangesSnapshot,
};
use reqwest::Method;

use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;

impl Client {
    /// Changes behind a cursor, in their order; none if there are none in time.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::is_gone`] if one cannot go on from there.
    pub async fn changes(&self, query: &ChangesQuery) -> Result<Vec<ChangeJson>, ClientError> {
        let url = self.url("v1/changes");
        let body = self.send(self.request(Method::GET, &url).query(query), &url, Repeat::Safe).await?;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|error| ClientError::Unexpected { url: url.to_string(), what: error.to_string() })
    }

    /// Where to begin anew: the end of the changes, and where the records that stand are listed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn changes_snapshot(&self) -> Result<ChangesSnapshot, ClientError> {
        self.get(&self.url(CHANGES_SNAPSHOT.trim_start_matches('/'))).await
    }
}

impl ClientError {
    /// Whether changes were missed: the node cannot go on from a cursor.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == CHANGES_GONE)
    }

    /// Whether the same may succeed later: the node is down, starting or busy.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502..=504),
            _ => false,
        }
    }
}

/// Follows the changes of one node.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    /// Behind the last change that was dealt with; none: from the end on.
    cursor: Option<String>,
}

impl Follower {
    /// Follows behind a cursor, `oldest`, or from now on.
    #[must_use]
    pub fn new(client: Client, cursor: Option<String>) -> Self {
        Self { client, cursor }
    }

    /// Behind the last change that was dealt with.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The caller has dealt with everything up to here.
    pub fn move_on(&mut self, cursor: &str) {
        self.cursor = Some(cursor.to_owned());
    }

    /// The next changes; waits for them at most so many seconds. Those that were given and not moved on from come again.
    /// If some were missed, one of kind `snapshot` says so, with the cause `cursor_gone`; behind it the changes go on from the
    /// end.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::may_pass`] says whether to try again.
    pub async fn next(&mut self, wait_s: u32) -> Result<Vec<ChangeJson>, ClientError> {
        let Some(after) = self.cursor.clone() else {
            // From here on nothing is missed, however long the first wait is.
            self.cursor = Some(self.client.changes_snapshot().await?.cursor);
            return Ok(Vec::new());
        };
        let query = ChangesQuery {
            after: Some(after),
            limit: Some(CHANGES_PAGE_MAX),
            wait_s: Some(wait_s.min(CHANGES_WAIT_MAX_S)),
        };
        match self.client.changes(&query).await {
            Err(error) if error.is_gone() => Ok(vec![missed(self.client.changes_snapshot().await?)]),
            answer => answer,
        }
    }
}

/// Says that changes were missed.
fn missed(snapshot: ChangesSnapshot) -> ChangeJson {
    ChangeJson {
        cursor: snapshot.cursor,
        kind: ChangeJson::SNAPSHOT.to_owned(),
        cause: Some(ChangeCause { what: CHANGES_GONE.to_owned(), name: None, version: None }),
        snapshot: Some(CHANGES_SNAPSHOT.to_owned()),
        ..ChangeJson::default()
    }
}
