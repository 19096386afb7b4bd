//! Whether a listing may be stated: not one of a model that two independent members registered as benign.
//!
//! Asked where a member contributes, of this node's own registry. A listing that comes from another member is never refused:
//! it is shown as conflicting, and is for review at most until the panel rules.

use super::entry::{source_of, tiles_of};
use super::{Models, State};
use hashpact_core::models::decision::Fingerprint;
use hashpact_core::models::registry::Registry;
use hashpact_core::models::{ModelStanding, Statement};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{Content, Detail, ModelRole};
use hashpact_protocol::roster::MemberId;
use std::sync::PoisonError;

/// Why a listing is not stated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "records[{nth}]: {members} independent members registered {what} as benign ({registration}); a listing of it waits for a \
     ruling of the panel that its identifiers stand"
)]
pub struct RefusedListing {
    /// Which record of the request, from 0.
    pub nth: usize,
    /// The registration.
    pub registration: RecordId,
    /// How many independent members registered it.
    pub members: u32,
    what: &'static str,
}

impl Models {
    /// Why these records of `member`, each with the record that it adds to, if it is any, cannot be stated, if there is a reason.
    ///
    /// # Errors
    /// The first that contradicts the registry.
    pub fn check_listings<'c>(
        &self,
        member: &MemberId,
        records: impl IntoIterator<Item = Option<(Option<RecordId>, &'c Content)>>,
    ) -> Result<(), RefusedListing> {
        for (nth, stated) in records.into_iter().enumerate() {
            let Some((subject, content)) = stated else { continue };
            let Some(Detail::Model(model)) = content.detail.as_deref() else { continue };
            if model.role != ModelRole::Listed {
                continue;
            }
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let own: Vec<_> = tiles_of(model).collect();
            let before = subject.filter(|_| model.is_further_part()).and_then(|subject| {
                let entry = state.entries.get(state.firsts.get(&subject)?)?;
                // A part of a registration lists nothing.
                (entry.first.as_ref()?.role == ModelRole::Listed).then_some(entry)
            });
            let (statement, fingerprint): (_, Fingerprint) = match before {
                Some(entry) => {
                    let held = entry.indexed.fingerprint.iter().map(|(class, bits)| (class, *bits));
                    (entry.first.as_ref().map(|first| first.statement()), held.chain(own).collect())
                }
                None if model.is_further_part() => continue,
                None => {
                    let (member, source) = (member.clone(), source_of(content, member));
                    let ids = content.signals.clone();
                    (Some(Statement { member, source, role: model.role, ids }), own.into_iter().collect())
                }
            };
            let Some(statement) = statement else { continue };
            self.check_one(&state, nth, &statement, &fingerprint)?;
        }
        Ok(())
    }

    fn check_one(
        &self,
        state: &State,
        nth: usize,
        statement: &Statement,
        fingerprint: &Fingerprint,
    ) -> Result<(), RefusedListing> {
        let registry: &Registry = &state.registry;
        if let ModelStanding::Conflicting { registration, members } = registry.stands(statement, None) {
            return Err(RefusedListing { nth, registration, members, what: "this very model" });
        }
        if registry.is_ruled_to_stand(&statement.ids) {
            return Ok(());
        }
        match self.near_benign(state, fingerprint) {
            Some((registration, members)) => {
                Err(RefusedListing { nth, registration, members, what: "a model that it is hardly different from" })
            }
            None => Ok(()),
        }
    }
}
