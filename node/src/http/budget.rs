//! How much of one kind of work is under way at once, over all callers and for each.
//!
//! Every kind has a budget of its own, so that an import never takes the place of a look-up. One
//! token may hold three quarters of a budget: who asks for more is told that it is too fast (429),
//! who finds the rest taken by others is told that the node is overloaded (503). Nobody waits for a
//! place: a queue would only move the wait to where nobody sees it.
//!
//! Bodies are read before a place is taken, so a slow sender holds none.

use super::ApiError;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One kind of work.
#[derive(Clone)]
pub(super) struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    /// For messages: `requests that write`.
    what: &'static str,
    units_max: usize,
    caller_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    units: usize,
    by_caller: HashMap<[u8; 32], usize>,
}

/// A place in a budget; free again when dropped.
pub(super) struct Slot {
    inner: Arc<Inner>,
    caller: [u8; 32],
    units: usize,
}

impl Budget {
    pub(super) fn new(what: &'static str, units_max: usize) -> Self {
        let caller_max = (units_max - units_max / 4).max(1);
        Self { inner: Arc::new(Inner { what, units_max, caller_max, held: Mutex::default() }) }
    }

    /// Takes one place for this caller.
    ///
    /// # Errors
    /// The caller holds its share (429), or all are taken (503).
    pub(super) fn enter(&self, caller: [u8; 32]) -> Result<Slot, ApiError> {
        let mut slot = self.empty(caller);
        slot.grow_to(1)?;
        Ok(slot)
    }

    /// A place of no units, which can grow.
    pub(super) fn empty(&self, caller: [u8; 32]) -> Slot {
        Slot { inner: Arc::clone(&self.inner), caller, units: 0 }
    }
}

impl Slot {
    /// Takes so many units in all.
    ///
    /// # Errors
    /// As for [`Budget::enter`]; what is held stays held.
    pub(super) fn grow_to(&mut self, units: usize) -> Result<(), ApiError> {
        let Some(more) = units.checked_sub(self.units).filter(|more| *more > 0) else { return Ok(()) };
        let Inner { what, units_max, caller_max, .. } = *self.inner;
        let mut held = self.inner.lock();
        let own = held.by_caller.get(&self.caller).copied().unwrap_or(0);
        if own + more > caller_max {
            let message = format!(
                "this token has its share of {what} under way ({caller_max} of {units_max}); send fewer at once"
            );
            return Err(ApiError::later(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message));
        }
        if held.units + more > units_max {
            let message = format!("all {units_max} {what} are taken; try again in a second");
            return Err(ApiError::later(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message));
        }
        held.units += more;
        *held.by_caller.entry(self.caller).or_insert(0) += more;
        self.units = units;
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.inner.lock();
        held.units -= self.units;
        if let Some(own) = held.by_caller.get_mut(&self.caller) {
            *own -= self.units;
            if *own == 0 {
                held.by_caller.remove(&self.caller);
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(budget: &Budget, caller: u8) -> (u16, &'static str) {
        let error = budget.enter([caller; 32]).err().expect("refused");
        assert_eq!(error.retry_after_s, Some(1));
        (error.status.as_u16(), error.code)
    }

    #[test]
    fn a_caller_has_its_share_and_all_have_the_whole() {
        let budget = Budget::new("places", 8);
        let enter = |caller: u8| budget.enter([caller; 32]).expect("room");
        let mut first: Vec<Slot> = (0..6).map(|_| enter(1)).collect();
        assert_eq!(refused(&budget, 1), (429, "too_many_requests"), "one past three quarters");
        let _others = [enter(2), enter(2)];
        assert_eq!(refused(&budget, 2), (503, "overloaded"), "one past the whole");
        assert_eq!(refused(&budget, 1), (429, "too_many_requests"), "its own doing comes first");
        first.pop();
        enter(2);
        drop(first);
        assert_eq!(budget.inner.lock().by_caller.len(), 1, "who holds nothing is forgotten");
    }

    #[test]
    fn the_smallest_budgets_have_one_place() {
        for (units, share) in [(1, 1), (2, 2), (3, 3), (4, 3), (64, 48)] {
            assert_eq!(Budget::new("places", units).inner.caller_max, share);
        }
    }

    #[test]
    fn a_place_grows_until_the_bound_and_keeps_what_it_has() {
        let budget = Budget::new("bytes", 100);
        let mut slot = budget.empty([1; 32]);
        slot.grow_to(75).expect("its share");
        assert!(slot.grow_to(76).is_err());
        slot.grow_to(10).expect("holds more already");
        let mut other = budget.empty([2; 32]);
        assert!(other.grow_to(26).is_err());
        other.grow_to(25).expect("the rest");
        drop(slot);
        other.grow_to(75).expect("free again");
        drop(other);
        assert_eq!(budget.inner.lock().units, 0);
    }
}
