//! Counts the bytes that are allocated at a time, and ends the process when they are too many.
//!
//! A parser that believes a length in a header asks for memory that is never touched, so the system's own account of the
//! process shows nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that may be allocated at a time, corpus included.
pub const LIVE_MAX_BYTES: usize = 256 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

fn add(bytes: usize) {
    if LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes > LIVE_MAX_BYTES {
        // Nothing may be allocated here; the fuzzer catches the signal and keeps the input.
        std::process::abort();
    }
}

// SAFETY: every call is passed to the system's allocator as it came; the count has no part in it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of this function, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}
