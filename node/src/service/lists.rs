//! What HTTP may ask about the operator's decisions.

use super::{Service, ServiceError};
use crate::lists::Lists;
use crate::lookup::{Local, ReportAsk};
use hashpact_core::policy::{List, Outcome};
use hashpact_protocol::api::{ChangedOutcome, ContradictionsResponse, DryRunResponse, Query};
use std::sync::Arc;

impl Service {
    /// Where decisions are kept; set once, before anybody can ask.
    pub fn set_lists(&self, lists: Arc<Lists>) {
        let _ = self.inner.lists.set(lists);
    }

    /// The operator's decisions.
    ///
    /// # Errors
    /// The node is not that far yet.
    pub fn lists(&self) -> Result<&Arc<Lists>, ServiceError> {
        self.inner.lists.get().ok_or(ServiceError::Loading)
    }

    /// Id of this node's member.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.inner.identity.member
    }

    /// Takes a decision on a blocking thread: it is written to disk before it is in force.
    ///
    /// # Errors
    /// The node is stopping, or not that far yet.
    pub async fn decide<T: Send + 'static>(
        &self,
        decision: impl FnOnce(&Lists) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let lists = Arc::clone(self.lists()?);
        tokio::task::spawn_blocking(move || decision(&lists)).await.map_err(|_| ServiceError::Stopping)
    }

    /// New records that contradict what is known.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn contradictions(&self, ask: ReportAsk) -> Result<ContradictionsResponse, ServiceError> {
        self.scan(move |inner| inner.lookup.contradictions(&ask)).await
    }

    /// What other decisions would change about these queries.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn dry_run(&self, queries: Vec<Query>, other: Local) -> Result<DryRunResponse, ServiceError> {
        self.scan(move |inner| {
            let (complete, reason) = inner.lookup.completeness();
            let before = inner.lookup.try_lists(&queries, &inner.lookup.local());
            let after = inner.lookup.try_lists(&queries, &other);
            let matched = [&before, &after].map(|verdicts| verdicts.iter().flatten().count() as u64);
            let items = queries.len() as u64;
            let verdicts = queries.into_iter().zip(before.into_iter().zip(after));
            let changed =
                verdicts.filter(|(_, (before, after))| decides(before.as_ref()) != decides(after.as_ref()));
            let changed = changed.map(|(query, (before, after))| {
                let [(before, list_before), (after, list_after)] =
                    [before, after].map(|verdict| decides(verdict.as_ref()).unzip());
                ChangedOutcome { id: query.id, before, list_before, after, list_after }
            });
            DryRunResponse { complete, reason, items, matched, changed: changed.collect() }
        })
        .await
    }
}

/// Outcome and list, in words.
fn decides(verdict: Option<&(Outcome, Arc<List>)>) -> Option<(String, String)> {
    verdict.map(|(outcome, list)| (outcome.name().to_owned(), list.name.clone()))
}
