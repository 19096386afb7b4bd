//! Provenance proofs of single entries: what anybody can verify offline with the member's key and nothing else.

use super::{Inner, Service, ServiceError};
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_core::view::KnownRecord;
use hashpact_protocol::digest::{NodeHash, RecordId};
use hashpact_protocol::limits::BRANCHES_PER_LOG_MAX;
use hashpact_protocol::proof::TlogProof;

/// An entry with its leaf index, and the checkpoint and hashes that prove it.
type Proven = (u64, StoredEntry, Vec<u8>, Vec<NodeHash>);

impl Service {
    /// The provenance proof of an entry (any kind, not only records): a C2SP tlog-proof.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn proof(&self, id: RecordId) -> Result<Option<String>, ServiceError> {
        self.blocking(move |inner| {
            let known = inner.lookup.record(&id).map(|record| record.known);
            let found = match known.as_ref().filter(|known| known.author.is_beside()) {
                Some(known) => inner.proof_beside(known)?,
                None => inner.proof_followed(&id)?,
            };
            let Some((index, entry, checkpoint, hashes)) = found else { return Ok(None) };
            let mut extra = entry.leaf;
            // The view knows of an order before the payload's row does.
            let is_sealed = known.is_some_and(|known| known.is_blank());
            if let (StoredPayload::Present { salt, padded }, false) = (entry.payload, is_sealed) {
                extra.extend_from_slice(&salt);
                extra.extend_from_slice(&padded);
            }
            Ok(Some(TlogProof { extra: Some(extra), index, hashes, checkpoint }.encode()))
        })
        .await
    }
}

impl Inner {
    /// What proves an entry of a followed history.
    fn proof_followed(&self, id: &RecordId) -> Result<Option<Proven>, ServiceError> {
        let Some(place) = self.store.place(id)? else { return Ok(None) };
        let Some(head) = self.store.published(&place.log) else { return Ok(None) };
        let Some(note) = head.note.filter(|note| note.size > place.index) else { return Ok(None) };
        let entry = self.store.entries(&place.log, place.index, place.index + 1)?.pop();
        let Some(entry) = entry else { return Ok(None) };
        let hashes = self.store.inclusion(&place.log, place.index, note.size)?;
        Ok(Some((place.index, entry, note.note, hashes)))
    }

    /// What proves a record of a history that is kept beside the followed one: its own checkpoint.
    fn proof_beside(&self, known: &KnownRecord) -> Result<Option<Proven>, ServiceError> {
        let (log, index) = (&known.author.log, known.index);
        let number =
            (0..BRANCHES_PER_LOG_MAX).find(|number| known.author.beside(*number).line == known.author.line);
        let Some(number) = number else { return Ok(None) };
        let found = self.store.branch_proof(log, number, index)?;
        Ok(found.map(|(entry, note, hashes)| (index, entry, note, hashes)))
    }
}
