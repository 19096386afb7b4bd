//! Look-ups of models, and what may be listed.

use super::{MatchAsk, Service, ServiceError};
use crate::models::RefusedListing;
use hashpact_core::event::Draft;
use hashpact_protocol::api::{self, AskedModel, BasesResponse, ModelMatchResponse, ShapedBits};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{Content, Detail};
use hashpact_protocol::roster::MemberId;
use std::time::Instant;

impl Service {
    /// The registered bases near the tiles of a model.
    ///
    /// # Errors
    /// The node is stopping.
    pub async fn model_bases(
        &self,
        tiles: Vec<(u32, u32, ShapedBits)>,
    ) -> Result<BasesResponse, ServiceError> {
        self.scan(move |inner| {
            let lookup = &inner.lookup;
            let (complete, reason) = lookup.completeness();
            let (as_of, registry) = (lookup.as_of(), lookup.models().registry());
            let found = lookup.models().bases(&tiles);
            let (models, tiles, numbers) = (found.models, found.tiles, found.numbers);
            BasesResponse { complete, reason, as_of, registry, models, tiles, numbers }
        })
        .await
    }

    /// What is known of a model: whole identifiers are judged by lists, everything else is for a person.
    ///
    /// # Errors
    /// An unknown list, or the node is stopping.
    pub async fn match_model(
        &self,
        asked: AskedModel,
        lists: Option<Vec<String>>,
    ) -> Result<ModelMatchResponse, ServiceError> {
        let ask = MatchAsk { lists, ..MatchAsk::default() };
        self.check_lists(&ask)?;
        self.scan(move |inner| {
            let started = Instant::now();
            let exact = inner.match_queries(vec![asked.query()], &ask);
            let models = inner.lookup.models();
            let (found, registry) = (models.find(&asked), models.registry());
            let nothing = || api::MatchResult {
                id: asked.query().id,
                outcome: None,
                list: None,
                total: 0,
                matches: Vec::new(),
                not_counted: Vec::new(),
                group: None,
            };
            let answer = ModelMatchResponse {
                complete: exact.complete,
                reason: exact.reason,
                as_of: exact.as_of,
                registry,
                exact: exact.results.into_iter().next().unwrap_or_else(nothing),
                leads: found.leads,
                sketches: found.sketches,
                descent: found.descent,
                registered: found.registered,
            };
            inner.metrics.models.matched(&answer, started.elapsed());
            answer
        })
        .await
    }

    /// Refuses listings of models that two independent members registered as benign, and gives back the others.
    ///
    /// # Errors
    /// The node is stopping; inside, the first such record.
    pub async fn check_listings(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Result<Vec<Draft>, RefusedListing>, ServiceError> {
        let is_listing = |(_, content): (_, &Content)| {
            let detail = content.detail.as_deref();
            matches!(detail, Some(Detail::Model(model)) if !model.role.is_registration())
        };
        let Ok(member) = MemberId::parse(&self.inner.identity.member) else { return Ok(Ok(drafts)) };
        if !drafts.iter().filter_map(stated).any(is_listing) {
            return Ok(Ok(drafts));
        }
        // Compares sketches, which takes milliseconds: not on a thread that look-ups need.
        self.scan(move |inner| {
            let checked = inner.lookup.models().check_listings(&member, drafts.iter().map(stated));
            checked.map(|()| drafts)
        })
        .await
    }
}

/// What a draft states, with the record that it adds to or takes the place of.
fn stated(draft: &Draft) -> Option<(Option<RecordId>, &Content)> {
    match draft {
        Draft::Content(content) => Some((None, content)),
        Draft::Addition { subject, content } | Draft::Supersession { subject, content } => {
            Some((Some(*subject), content))
        }
        _ => None,
    }
}
