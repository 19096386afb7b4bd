//! The other histories of forked logs, as far as they are kept whole and the evidence names them (SPEC §12.6).

use super::{Export, ExportError, as_bundled};
use hashpact_core::effect::HeldBranch;
use hashpact_protocol::bundle::{BundlePayload, BundleWriter, Sink, branch_spans};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::evidence::Evidence;
use std::ops::ControlFlow;

impl Export<'_> {
    /// Writes what is kept of logs that are in the bundle as a whole.
    pub(super) fn branches<S: Sink<Error: std::fmt::Display>>(
        &self,
        writer: &mut BundleWriter<S>,
    ) -> Result<(), ExportError<S::Error>> {
        let kept = self.facts.branches.iter().filter(|((log, _), held)| self.is_shown(log, held));
        for (number, ((log, kept), held)) in kept.enumerate() {
            writer.branch(number, &held.note.note, &self.store.frontier_at(log, held.start)?)?;
            for span in branch_spans(held.start, held.note.size) {
                let (mut leaves, mut payloads) = (Vec::new(), Vec::new());
                let place = (span.start, span.end());
                self.store.for_each_branch_entry(log, *kept, place, |index, leaf, payload| {
                    payloads.push(self.shown(log, index, leaf, payload));
                    leaves.push(leaf.to_vec());
                    ControlFlow::Continue(())
                })?;
                let payloads: Vec<BundlePayload<'_>> = payloads.iter().map(as_bundled).collect();
                writer.branch_entries(number, span.start, &leaves, &payloads)?;
            }
        }
        Ok(())
    }

    /// Whether a kept history is whole, of a log that is in the bundle as a whole, and one that the evidence names:
    /// there may be evidence of a third one by now.
    fn is_shown(&self, log: &LogId, held: &HeldBranch) -> bool {
        let mut whole = self.manifest.logs.iter().filter(|log| self.manifest.scope.is_whole(&log.member));
        if !held.is_whole() || !whole.any(|whole| self.id(whole) == *log) {
            return false;
        }
        let roster = self.chain.current();
        let Some(listed) = roster.logs().find(|listed| listed.log_id == *log) else { return false };
        let evidence = self.facts.evidence.get(log).and_then(|bytes| Evidence::parse(bytes).ok());
        let evidence = evidence.and_then(|claimed| claimed.verify(&listed.origin, listed.key).ok());
        let signed = SignedCheckpoint::verify(&held.note.note, &listed.origin, listed.key).ok();
        evidence.zip(signed).is_some_and(|(evidence, signed)| {
            let head = (signed.size(), signed.root());
            [evidence.first(), evidence.second()].iter().any(|note| (note.size(), note.root()) == head)
        })
    }
}
