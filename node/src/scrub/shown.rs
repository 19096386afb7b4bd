//! What status says about the scrub.

use super::state::State;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::api::{ScrubPlace, ScrubStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Problems that are shown word for word.
const PROBLEMS_MAX: usize = 20;

/// Written by the thread, read by status.
#[derive(Debug, Default)]
pub struct Shown {
    status: Mutex<ScrubStatus>,
}

impl Shown {
    /// As it is now.
    #[must_use]
    pub fn status(&self) -> ScrubStatus {
        self.lock().clone()
    }

    /// How fast it may read.
    pub fn begin(&self, bytes_per_s: u64) {
        self.lock().bytes_per_s = bytes_per_s;
    }

    pub(super) fn read(&self, bytes: u64) {
        let mut status = self.lock();
        status.bytes = status.bytes.saturating_add(bytes);
    }

    pub(super) fn stands(&self, origin: &str, entries: u64, size: u64) {
        let mut status = self.lock();
        match &mut status.place {
            Some(place) if place.log == origin => (place.entries, place.size) = (entries, size),
            place => *place = Some(ScrubPlace { log: origin.to_owned(), entries, size }),
        }
    }

    pub(super) fn problem(&self, origin: &str, detail: &str) {
        let mut status = self.lock();
        status.found = status.found.saturating_add(1);
        let text = if origin.is_empty() { detail.to_owned() } else { format!("{origin}: {detail}") };
        if !status.problems.contains(&text) && status.problems.len() < PROBLEMS_MAX {
            status.problems.push(text);
        }
    }

    pub(super) fn healed(&self, origin: &str) {
        let mut status = self.lock();
        status.healed = status.healed.saturating_add(1);
        let of_log = format!("{origin}: ");
        status.problems.retain(|problem| !problem.starts_with(&of_log));
    }

    /// A pass found nothing that is still wrong.
    pub(super) fn whole(&self) {
        self.lock().problems.clear();
    }

    pub(super) fn ended(&self, state: &State, took: Duration) {
        let mut status = self.lock();
        status.passes = state.passes;
        status.place = None;
        status.last_pass_s = Some(took.as_secs());
        status.last_whole = state.whole_ms.map(rfc3339);
    }

    fn lock(&self) -> MutexGuard<'_, ScrubStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
