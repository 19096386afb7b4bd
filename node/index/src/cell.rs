//! Memory that readers look at without a lock while one writer replaces it.
//!
//! A [`WordCell`] points to a run of atomic words, or to nothing. A reader that holds a guard of
//! [`crossbeam_epoch::pin`] may look at the run for as long as it holds the guard; the writer puts another run
//! in its place, and the old one is freed when the last guard from before is gone. Every word is atomic, so
//! words may also change while somebody reads them: there is no data race to argue about anywhere else.
//!
//! All guards in this package come from [`crossbeam_epoch::pin`]; a guard of another collector would protect
//! nothing.
#![allow(unsafe_code, reason = "the epoch scheme's pointers are read and freed here, and nowhere else")]

use std::fmt;
use std::mem::{MaybeUninit, size_of};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_epoch::{Atomic, Guard, Owned, Shared};

/// Runs at least this large are handed over for freeing at once, not with the next batch.
const LARGE_BYTES: usize = 64 * 1024;

/// An atomic number that may stand in a [`WordCell`]. It owns nothing, so a run is freed without dropping it.
pub(crate) trait Word: Sized + Send + Sync + 'static {
    /// A word that holds zero.
    fn zero() -> Self;
}

impl Word for AtomicU32 {
    fn zero() -> Self {
        Self::new(0)
    }
}

impl Word for AtomicU64 {
    fn zero() -> Self {
        Self::new(0)
    }
}

/// A run of words that nobody else sees yet. Its length is fixed.
pub(crate) struct Words<W: Word>(Owned<[MaybeUninit<W>]>);

impl<W: Word> Words<W> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut words = Owned::<[MaybeUninit<W>]>::init(len);
        for word in words.iter_mut() {
            word.write(W::zero());
        }
        Self(words)
    }
}

impl<W: Word> Deref for Words<W> {
    type Target = [W];

    fn deref(&self) -> &[W] {
        // SAFETY: `zeroed` is the only constructor and has written every word.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<W: Word> DerefMut for Words<W> {
    fn deref_mut(&mut self) -> &mut [W] {
        // SAFETY: as above; the exclusive borrow of `self` is passed on.
        unsafe { self.0.assume_init_mut() }
    }
}

/// Memory that a run of this many words takes, without what the allocator adds.
pub(crate) fn run_bytes<W: Word>(len: usize) -> usize {
    size_of::<usize>() + len * size_of::<W>()
}

/// A place for one run of words, shared between any number of readers and a writer.
pub(crate) struct WordCell<W: Word>(Atomic<[MaybeUninit<W>]>);

impl<W: Word> Default for WordCell<W> {
    fn default() -> Self {
        Self(Atomic::null())
    }
}

impl<W: Word> WordCell<W> {
    /// What stands here now. Sees everything that was written to the run before it was put here.
    #[inline]
    pub(crate) fn load<'g>(&'g self, guard: &'g Guard) -> Option<&'g [W]> {
        let shared = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the pointer is null or came out of a `Words` in `replace`, whose words are all written.
        // It is freed only after `replace` or `drop` took it out of the cell: `drop` has the cell for itself,
        // and `replace` defers the freeing until every guard that was held at that time is gone. A guard that
        // could still load the pointer was held at that time, and `'g` does not outlive it.
        unsafe { shared.as_ref().map(|words| words.assume_init_ref()) }
    }

    /// Puts another run here, or none. Readers that hold the old one keep it until they drop their guards.
    pub(crate) fn replace(&self, words: Option<Words<W>>, guard: &Guard) {
        let new = words.map_or_else(Shared::null, |words| words.0.into_shared(guard));
        let old = self.0.swap(new, Ordering::AcqRel, guard);
        if old.is_null() {
            return;
        }
        // SAFETY: the pointer was live until the swap, which gave it to this call alone, whoever else may be
        // swapping; no load that starts from now on can return it. So it is deferred once, and readers that
        // got it before hold guards. `as_ref` on the same grounds as in `load`.
        let len = unsafe {
            let len = old.as_ref().map_or(0, <[_]>::len);
            guard.defer_destroy(old);
            len
        };
        if run_bytes::<W>(len) >= LARGE_BYTES {
            guard.flush();
        }
    }
}

impl<W: Word> Drop for WordCell<W> {
    fn drop(&mut self) {
        // SAFETY: whoever drops the cell has it alone, and every reference from `load` borrows the cell, so
        // none is left. The run is not in use and, being in the cell, was never deferred.
        drop(unsafe { std::mem::take(&mut self.0).try_into_owned() });
    }
}

impl<W: Word> fmt::Debug for WordCell<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WordCell")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn filled(len: usize, number: u64) -> Words<AtomicU64> {
        let mut words = Words::<AtomicU64>::zeroed(len);
        words.iter_mut().for_each(|word| *word.get_mut() = number);
        words
    }

    #[test]
    fn a_replaced_run_stays_readable_until_the_guard_goes() {
        let cell = WordCell::default();
        let guard = crossbeam_epoch::pin();
        assert!(cell.load(&guard).is_none());
        cell.replace(Some(filled(3, 7)), &guard);
        let old = cell.load(&guard).expect("it was just put there");
        cell.replace(Some(filled(20_000, 8)), &guard);
        cell.replace(None, &guard);
        assert!(old.iter().all(|word| word.load(Ordering::Relaxed) == 7));
        assert!(cell.load(&guard).is_none());
    }

    /// Runs are all equal words; a reader that saw freed or half written memory would notice.
    #[test]
    fn readers_always_see_one_whole_run() {
        let (cell, stop) = (WordCell::default(), AtomicBool::new(false));
        cell.replace(Some(filled(1, 0)), &crossbeam_epoch::pin());
        let seen: u64 = thread::scope(|scope| {
            let (cell, stop) = (&cell, &stop);
            let reader = scope.spawn(move || {
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) || seen == 0 {
                    let guard = crossbeam_epoch::pin();
                    let words = cell.load(&guard).expect("the cell is never empty");
                    let first = words[0].load(Ordering::Relaxed);
                    assert_eq!(words.len() as u64, first % 200 + 1);
                    assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == first));
                    seen += 1;
                }
                seen
            });
            for number in 0..50_000 {
                cell.replace(Some(filled(number as usize % 200 + 1, number)), &crossbeam_epoch::pin());
            }
            stop.store(true, Ordering::Relaxed);
            reader.join().expect("the reader's assertions hold")
        });
        assert!(seen > 0);
    }
}
