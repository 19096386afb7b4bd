//! Entries that are no records because this version cannot read them, or because they break a rule: shown
//! all the same, as what they are.

use super::{Inner, Service, ServiceError};
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_protocol::api;
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::{EntryLeaf, Leaf, VoidReason, check_commitment, read_leaf};
use hashpact_protocol::record::{Payload, read_padded};
use hashpact_protocol::roster::EVERYBODY;

/// What an entry is to this version, and why.
enum Verdict {
    Void(String),
    Opaque(String),
}

impl Service {
    /// The group of an entry, in which what is said about it is written as well; everybody's if it is not held.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn group_of(&self, id: RecordId) -> Result<u32, ServiceError> {
        self.blocking(move |inner| {
            let Some(place) = inner.store.place(&id)? else { return Ok(EVERYBODY) };
            let Some(entry) = inner.store.entry(&place.log, place.index)? else { return Ok(EVERYBODY) };
            Ok(match read_leaf(&entry.leaf, &place.log, place.index) {
                EntryLeaf::Known(leaf) => leaf.group,
                EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => EVERYBODY,
            })
        })
        .await
    }
}

impl Inner {
    /// An entry that is void or opaque, if this id is one's and it is published.
    pub(super) fn unread_entry(&self, id: &RecordId) -> Result<Option<api::RecordJson>, ServiceError> {
        let Some(place) = self.store.place(id)? else { return Ok(None) };
        let is_shown = self.store.published(&place.log).is_some_and(|head| head.size > place.index);
        let roster = self.roster();
        let log = roster.logs().find(|log| log.log_id == place.log);
        let (Some(log), true) = (log, is_shown) else { return Ok(None) };
        let Some(entry) = self.store.entry(&place.log, place.index)? else { return Ok(None) };
        let (leaf, verdict) = judge(&entry, &place.log, place.index);
        Ok(verdict.map(|verdict| {
            let (status, reason) = match verdict {
                Verdict::Void(why) => ("void", why),
                Verdict::Opaque(why) => ("opaque", why),
            };
            api::RecordJson {
                record: id.to_hex(),
                member: log.member.to_string(),
                log: log.origin.clone(),
                index: place.index,
                kind: leaf.as_ref().map_or("unknown", |leaf| leaf.kind.name()).to_owned(),
                time: leaf.as_ref().map_or_else(String::new, |leaf| api::time::rfc3339(leaf.time_ms)),
                status: status.to_owned(),
                reason: Some(reason),
                subject: leaf.and_then(|leaf| leaf.subject).map(|subject| subject.to_hex()),
                proof: format!("/v1/records/{}/proof", id.to_hex()),
                ..api::RecordJson::default()
            }
        }))
    }
}

/// The leaf as far as it is read, and what is wrong with the entry. `None` for what counts, and for what only
/// lacks its payload.
fn judge(entry: &StoredEntry, log: &LogId, index: u64) -> (Option<Leaf>, Option<Verdict>) {
    let leaf = match read_leaf(&entry.leaf, log, index) {
        EntryLeaf::Known(leaf) => leaf,
        EntryLeaf::Opaque(why) => return (None, Some(Verdict::Opaque(why.to_string()))),
        EntryLeaf::Void(why) => return (None, Some(Verdict::Void(why.to_string()))),
    };
    let StoredPayload::Present { salt, padded } = &entry.payload else { return (Some(leaf), None) };
    let payload = match check_commitment(&entry.leaf, salt, padded) {
        Ok(()) => read_padded(&leaf, padded),
        Err(error) => Payload::Void(VoidReason::Padding(error)),
    };
    let verdict = match payload {
        Payload::Record(_) => None,
        Payload::Opaque(why) => Some(Verdict::Opaque(why.to_string())),
        Payload::Void(why) => Some(Verdict::Void(why.to_string())),
    };
    (Some(leaf), verdict)
}
