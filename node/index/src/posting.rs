//! The records that carry one value.
//!
//! Nearly every value is carried by one record, so that case takes no allocation. A longer list is shared
//! between snapshots and copied when it changes; it is sorted, so that a query returns it as it stands.

use std::sync::Arc;

/// A sorted, never empty set of record numbers.
#[derive(Clone, Debug)]
pub(crate) enum Posting {
    One(u64),
    Many(Arc<Vec<u64>>),
}

/// What taking a record out of a posting left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The record was not in the posting.
    Absent,
    /// Other records remain.
    Remaining,
    /// It was the last one: the owner drops the value.
    Last,
}

impl Posting {
    /// The records, in ascending order.
    pub(crate) fn records(&self) -> &[u64] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Many(records) => records,
        }
    }

    /// Adds a record; `false` when it was there already.
    pub(crate) fn insert(&mut self, record: u64) -> bool {
        let Err(place) = self.records().binary_search(&record) else {
            return false;
        };
        match self {
            Self::One(other) => {
                let mut pair = vec![*other, record];
                pair.sort_unstable();
                *self = Self::Many(Arc::new(pair));
            }
            Self::Many(records) => Arc::make_mut(records).insert(place, record),
        }
        true
    }

    /// Takes a record out. A posting whose last record goes keeps it: its owner drops the posting whole.
    pub(crate) fn remove(&mut self, record: u64) -> Removal {
        let Ok(place) = self.records().binary_search(&record) else {
            return Removal::Absent;
        };
        match self {
            Self::One(_) => return Removal::Last,
            Self::Many(records) => {
                Arc::make_mut(records).remove(place);
            }
        }
        if let [only] = *self.records() {
            *self = Self::One(only);
        }
        Removal::Remaining
    }

    /// Whether removing this record would change the posting; asked before anything shared is copied.
    pub(crate) fn contains(&self, record: u64) -> bool {
        self.records().binary_search(&record).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_is_a_sorted_set() {
        let mut posting = Posting::One(5);
        assert!(!posting.insert(5));
        assert!(posting.insert(9));
        assert!(posting.insert(1));
        assert!(!posting.insert(9));
        assert_eq!(posting.records(), [1, 5, 9]);
        assert_eq!(posting.remove(7), Removal::Absent);
        assert_eq!(posting.remove(5), Removal::Remaining);
        assert_eq!(posting.remove(1), Removal::Remaining);
        assert!(matches!(posting, Posting::One(9)));
        assert_eq!(posting.remove(9), Removal::Last);
    }

    #[test]
    fn a_shared_posting_is_copied_before_it_changes() {
        let mut posting = Posting::One(1);
        posting.insert(2);
        let snapshot = posting.clone();
        posting.insert(3);
        posting.remove(1);
        assert_eq!(snapshot.records(), [1, 2]);
        assert_eq!(posting.records(), [2, 3]);
    }
}
