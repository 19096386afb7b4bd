//! Large zeroed memory whose place never changes, published segment by segment.
//!
//! Codes and tables grow for as long as the process lives while readers hold plain pointers into them, so
//! nothing here ever moves: more memory means one more segment. On Linux a segment is an anonymous mapping
//! that asks for huge pages: a look-up touches about two thousand cache lines all over gigabytes, and with small
//! pages each would cost a walk of the page tables as well.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Size and alignment of a huge page, in bytes.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Zeroed memory, aligned to [`HUGE_PAGE_BYTES`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a region is plain memory owned by this value; what is done with it through the pointer is argued where
// it is done.
unsafe impl Send for Region {}
// SAFETY: as above; a shared region only hands out its address.
unsafe impl Sync for Region {}

impl Region {
    /// `bytes` of zeroed memory; more than zero.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, HUGE_PAGE_BYTES).expect("a size that memory can have");
        Self { start: map(layout), layout }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

/// What zeroed memory is a value of.
///
/// # Safety
/// Bytes that are all zero are a value of the type, and its alignment is at most [`HUGE_PAGE_BYTES`].
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for [u64; 2] {}

/// A row of values in memory of its own, in huge pages where it is long: for what is walked about in at random.
#[derive(Debug)]
pub(crate) struct Row<T> {
    region: Region,
    count: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Row<T> {
    /// `count` zeros.
    pub(crate) fn zeroed(count: usize) -> Self {
        Self { region: Region::zeroed((count * size_of::<T>()).max(1)), count, values: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the region has room for so many, aligned to huge pages, and is this value's alone; it began as zeros,
        // which are values, and only values were written since.
        unsafe { std::slice::from_raw_parts(self.region.start().cast(), self.count) }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the row is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.region.start().cast(), self.count) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        unmap(self.start, self.layout);
    }
}

/// Maps a huge page more than asked for and cuts to the alignment: `malloc` with such an alignment would have to
/// zero, and so touch, all of it at once.
#[cfg(all(unix, not(miri)))]
fn map(layout: Layout) -> NonNull<u8> {
    let (bytes, slack) = (layout.size().next_multiple_of(4096), layout.align());
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing.
    let whole = unsafe { libc::mmap(std::ptr::null_mut(), bytes + slack, protection, flags, -1, 0) };
    if whole == libc::MAP_FAILED {
        std::alloc::handle_alloc_error(layout);
    }
    let whole = whole.cast::<u8>();
    let before = whole.align_offset(slack);
    // SAFETY: both cuts lie inside the mapping just made, on page boundaries, and nobody has seen it yet.
    unsafe {
        let start = whole.add(before);
        if before > 0 {
            libc::munmap(whole.cast(), before);
        }
        if slack > before {
            libc::munmap(start.add(bytes).cast(), slack - before);
        }
        #[cfg(target_os = "linux")]
        if bytes >= slack {
            // Only advice: without huge pages everything works, more slowly.
            libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
        }
        NonNull::new(start).expect("the kernel maps nothing at address zero")
    }
}

#[cfg(all(unix, not(miri)))]
fn unmap(start: NonNull<u8>, layout: Layout) {
    // SAFETY: exactly the mapping that `map` left, which its only owner gives up.
    unsafe { libc::munmap(start.as_ptr().cast(), layout.size().next_multiple_of(4096)) };
}

/// Lets the system take the pages of a segment that nobody looks at.
#[cfg(all(target_os = "linux", not(miri)))]
fn discard(start: *mut u8, bytes: usize) {
    // SAFETY: a private anonymous mapping of ours, of which the caller gives up this whole segment; its pages read as
    // zeros afterwards. An error leaves them as they are.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn discard(_start: *mut u8, _bytes: usize) {}

#[cfg(not(all(unix, not(miri))))]
fn map(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    NonNull::new(start).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
}

#[cfg(not(all(unix, not(miri))))]
fn unmap(start: NonNull<u8>, layout: Layout) {
    // SAFETY: allocated in `map` with this layout, given up by its only owner.
    unsafe { std::alloc::dealloc(start.as_ptr(), layout) };
}

/// A growing row of equal segments. Numbers are given out in order; a reader that learnt a number through a later
/// publication finds its address here without a lock.
#[derive(Debug)]
pub(crate) struct Segments {
    addresses: Box<[AtomicPtr<u8>]>,
    bytes_each: usize,
    held_bytes: AtomicU64,
    owned: Mutex<Vec<Region>>,
}

impl Segments {
    /// Room for `count_max` segments of `bytes_each` bytes; none is allocated yet.
    pub(crate) fn new(bytes_each: usize, count_max: usize) -> Self {
        let addresses = (0..count_max).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        Self { addresses, bytes_each, held_bytes: AtomicU64::new(0), owned: Mutex::default() }
    }

    /// The address of a segment that was added; null for one that was not.
    #[inline(always)]
    pub(crate) fn address(&self, number: usize) -> *mut u8 {
        self.addresses[number].load(Ordering::Acquire)
    }

    /// Bytes asked from the system.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Adds `count` adjoining segments from `first` on. Only the writer calls this, with numbers in order.
    pub(crate) fn add(&self, first: usize, count: usize) {
        let bytes = self.bytes_each * count;
        let region = Region::zeroed(bytes);
        for part in 0..count {
            // `wrapping_add` stays inside the region: part is below count.
            let address = region.start().wrapping_add(part * self.bytes_each);
            self.addresses[first + part].store(address, Ordering::Release);
        }
        self.held_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).push(region);
    }

    /// Gives the memory of a segment back to the system; its address stays, and reads zeros when it is touched again.
    /// Nobody may look at it any more.
    pub(crate) fn release(&self, number: usize) {
        discard(self.address(number), self.bytes_each);
        self.held_bytes.fetch_sub(self.bytes_each as u64, Ordering::Relaxed);
    }

    /// Counts one released segment as held again. Only the writer calls this, before it uses the segment.
    pub(crate) fn take_back(&self) {
        self.held_bytes.fetch_add(self.bytes_each as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_max(&self) -> usize {
        self.addresses.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_adjoining() {
        let segments = Segments::new(HUGE_PAGE_BYTES, 4);
        assert!(segments.address(0).is_null());
        segments.add(0, 3);
        for number in 0..3 {
            let address = segments.address(number);
            assert_eq!(address.align_offset(HUGE_PAGE_BYTES), 0);
            // SAFETY: first and last byte of a segment that was just added.
            unsafe {
                assert_eq!((address.read(), address.add(HUGE_PAGE_BYTES - 1).read()), (0, 0));
                address.add(HUGE_PAGE_BYTES - 1).write(7);
            }
        }
        assert_eq!(segments.address(1), segments.address(0).wrapping_add(HUGE_PAGE_BYTES));
        assert!(segments.address(3).is_null());
        assert_eq!(segments.held_bytes(), 3 * HUGE_PAGE_BYTES as u64);
        segments.release(1);
        assert_eq!(segments.held_bytes(), 2 * HUGE_PAGE_BYTES as u64);
        segments.take_back();
        assert_eq!(segments.held_bytes(), 3 * HUGE_PAGE_BYTES as u64);
        // SAFETY: the segment is still mapped, and its neighbour untouched.
        unsafe {
            segments.address(1).write(9);
            assert_eq!(segments.address(2).add(HUGE_PAGE_BYTES - 1).read(), 7);
        }
    }
}
