//! An array that grows while others read it, and whose elements never move.
//!
//! Elements stand in chunks of [`CHUNK`]; the chunks' addresses stand in segments, each twice as long as the
//! one before. Nothing is ever copied, so growing costs one small allocation at a time, and a reader finds an
//! element with three dependent loads, the first two of which stay in the cache.

use std::mem::size_of;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Elements in a chunk.
const CHUNK: usize = 64;
/// Segment s holds 2^s chunks, so this is room for 2^32 elements.
const SEGMENTS: usize = 27;

type Chunk<T> = OnceLock<Box<[T; CHUNK]>>;

/// The array. Elements start as their type's default.
#[derive(Debug)]
pub(crate) struct Spine<T> {
    segments: [OnceLock<Box<[Chunk<T>]>>; SEGMENTS],
    bytes: AtomicUsize,
}

impl<T> Default for Spine<T> {
    fn default() -> Self {
        Self { segments: std::array::from_fn(|_| OnceLock::new()), bytes: AtomicUsize::new(0) }
    }
}

/// Segment and place within it of a chunk.
fn place(chunk: usize) -> (usize, usize) {
    let segment = (chunk + 1).ilog2() as usize;
    (segment, chunk + 1 - (1 << segment))
}

impl<T: Default> Spine<T> {
    /// The element, if [`ensure`](Self::ensure) was ever called for it or a neighbour in its chunk.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<&T> {
        let (segment, place) = place(number / CHUNK);
        let chunk = self.segments.get(segment)?.get()?.get(place)?.get()?;
        Some(&chunk[number % CHUNK])
    }

    /// The element, allocated if it was not there. Panics above 2^32 elements.
    pub(crate) fn ensure(&self, number: usize) -> &T {
        let (segment, place) = place(number / CHUNK);
        let segment = self.segments[segment].get_or_init(|| {
            let len = 1 << segment;
            self.bytes.fetch_add(len * size_of::<Chunk<T>>(), Ordering::Relaxed);
            (0..len).map(|_| OnceLock::new()).collect()
        });
        let chunk = segment[place].get_or_init(|| {
            self.bytes.fetch_add(CHUNK * size_of::<T>(), Ordering::Relaxed);
            Box::new(std::array::from_fn(|_| T::default()))
        });
        &chunk[number % CHUNK]
    }

    /// Memory held by chunks and segments, in bytes, without what elements point to.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_number_has_its_own_element() {
        let spine: Spine<AtomicU32> = Spine::default();
        assert!(spine.get(0).is_none());
        for number in 0..10_000_u32 {
            spine.ensure(number as usize).store(number, Ordering::Relaxed);
        }
        for number in 0..10_000_u32 {
            assert_eq!(spine.get(number as usize).map(|word| word.load(Ordering::Relaxed)), Some(number));
        }
        assert!(spine.get(20_000).is_none());
        let chunks = 10_000_usize.div_ceil(CHUNK);
        assert_eq!(spine.bytes(), chunks * CHUNK * 4 + 255 * size_of::<Chunk<AtomicU32>>());
    }

    #[test]
    fn distant_elements_do_not_need_those_between() {
        let spine: Spine<AtomicU32> = Spine::default();
        spine.ensure(1 << 20).store(5, Ordering::Relaxed);
        assert_eq!(spine.get(1 << 20).map(|word| word.load(Ordering::Relaxed)), Some(5));
        assert!(spine.get(3).is_none() && spine.get(usize::MAX / 2).is_none());
    }
}
