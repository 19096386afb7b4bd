//! Look-ups of models, and what may be listed.

use super::{MatchAsk, Service, ServiceError};
use crate::models::RefusedListing;
use hashpact_core::event::Draft;
use hashpact_protocol::api::{self, AskedModel, BasesResponse, ModelMatchResponse, ShapedBits};
use hashpact_protocol::roster::MemberId;

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
            };
            ModelMatchResponse {
                complete: exact.complete,
                reason: exact.reason,
                as_of: exact.as_of,
                registry,
                exact: exact.results.into_iter().next().unwrap_or_else(nothing),
                leads: found.leads,
                sketches: found.sketches,
                descent: found.descent,
                registered: found.registered,
            }
        })
        .await
    }

    /// Refuses listings of models that two independent members registered as benign. Compares sketches: takes milliseconds
    /// where there are any.
    ///
    /// # Errors
    /// The first such record.
    pub fn check_listings(&self, drafts: &[Draft]) -> Result<(), RefusedListing> {
        let member = MemberId::parse(&self.inner.identity.member).ok();
        let contents = drafts.iter().filter_map(|draft| match draft {
            Draft::Content(content) => Some((None, content)),
            Draft::Addition { subject, content } | Draft::Supersession { subject, content } => {
                Some((Some(*subject), content))
            }
            _ => None,
        });
        member.map_or(Ok(()), |member| self.inner.lookup.models().check_listings(&member, contents))
    }
}
