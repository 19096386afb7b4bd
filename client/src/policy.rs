//! The operator's decisions over HTTP (SPEC §11.3): lists, mutes, negative lists, floods.
//!
//! None of these is repeated after a broken connection unless it only reads, or changes nothing when done twice.

use hashpact_protocol::api::{
    ContradictionsQuery, ContradictionsResponse, DecisionRequest, DryRunRequest, DryRunResponse, FloodJson,
    LIST_FILE_TYPE, ListState, ListsResponse, MuteRequest, MutesResponse, NegativesRequest,
    NegativesResponse, QuarantineResponse,
};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};

use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;

/// How the text of a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListText {
    /// As in a file of lists.
    Toml,
    /// As the node shows it.
    Json,
}

impl Client {
    /// All lists of the node, in the order in which they decide.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lists(&self) -> Result<ListsResponse, ClientError> {
        self.get(&self.url("v1/lists")).await
    }

    /// One list.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list(&self, name: &str) -> Result<ListState, ClientError> {
        self.get(&self.named("v1/lists", &[name])).await
    }

    /// Puts a list as a new one, or in place of the version that it or `if_match` names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_list(
        &self,
        name: &str,
        (form, text): (ListText, String),
        if_match: Option<&str>,
    ) -> Result<ListState, ClientError> {
        let url = self.named("v1/lists", &[name]);
        let form = match form {
            ListText::Toml => LIST_FILE_TYPE,
            ListText::Json => "application/json",
        };
        let mut request = self.request(Method::PUT, &url).header(CONTENT_TYPE, form).body(text);
        if let Some(etag) = if_match {
            request = request.header(IF_MATCH, etag);
        }
        self.json(request, &url, Repeat::Unsafe).await
    }

    /// Deletes a list, if it is still the version of `if_match`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_list(&self, name: &str, if_match: Option<&str>) -> Result<(), ClientError> {
        let url = self.named("v1/lists", &[name]);
        let mut request = self.request(Method::DELETE, &url);
        if let Some(etag) = if_match {
            request = request.header(IF_MATCH, etag);
        }
        self.send(request, &url, Repeat::Unsafe).await.map(drop)
    }

    /// What a list, or its deletion, would change about these items.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer with `complete: false` is *not* an error: the caller must look.
    pub async fn dry_run(&self, request: &DryRunRequest) -> Result<DryRunResponse, ClientError> {
        let url = self.url("v1/lists/dry-run");
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Safe).await
    }

    /// Muted members.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mutes(&self) -> Result<MutesResponse, ClientError> {
        self.get(&self.url("v1/mutes")).await
    }

    /// Mutes a member at this node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mute(&self, request: &MuteRequest) -> Result<MutesResponse, ClientError> {
        let url = self.url("v1/mutes");
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Unsafe).await
    }

    /// Takes a mute back.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn unmute(&self, member: &str) -> Result<(), ClientError> {
        let url = self.named("v1/mutes", &[member]);
        self.send(self.request(Method::DELETE, &url), &url, Repeat::Unsafe).await.map(drop)
    }

    /// Negative lists.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn negatives(&self) -> Result<NegativesResponse, ClientError> {
        self.get(&self.url("v1/negatives")).await
    }

    /// Puts a negative list in place of its former signals, or as a new one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_negatives(
        &self,
        name: &str,
        request: &NegativesRequest,
    ) -> Result<NegativesResponse, ClientError> {
        let url = self.named("v1/negatives", &[name]);
        self.json(self.request(Method::PUT, &url).json(request), &url, Repeat::Safe).await
    }

    /// Deletes a negative list.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_negatives(&self, name: &str) -> Result<(), ClientError> {
        let url = self.named("v1/negatives", &[name]);
        self.send(self.request(Method::DELETE, &url), &url, Repeat::Unsafe).await.map(drop)
    }

    /// Floods that were found, and what was decided.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn quarantine(&self) -> Result<QuarantineResponse, ClientError> {
        self.get(&self.url("v1/quarantine")).await
    }

    /// Accepts or rejects a flood.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn decide_flood(
        &self,
        id: &str,
        accept: bool,
        request: &DecisionRequest,
    ) -> Result<FloodJson, ClientError> {
        let url = self.named("v1/quarantine", &[id, if accept { "accept" } else { "reject" }]);
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Unsafe).await
    }

    /// New records that lie close to what is known to be benign, or to what members dispute.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn contradictions(
        &self,
        query: &ContradictionsQuery,
    ) -> Result<ContradictionsResponse, ClientError> {
        let url = self.url("v1/reports/contradictions");
        self.json(self.request(Method::GET, &url).query(query), &url, Repeat::Safe).await
    }

    /// A path with names from outside in it: whatever they hold, they stay one part each.
    fn named(&self, path: &str, names: &[&str]) -> reqwest::Url {
        let mut url = self.url(path);
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(names);
        }
        url
    }
}
