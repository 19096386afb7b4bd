//! The scalar twin: what every processor can do, and what the others are compared with.
//!
//! Reads are atomic, so that the twin is free of data races by the letter and can run under Miri.

use super::{Front, Kernel, LINE};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// No instructions beyond the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

/// # Safety
/// 64 bytes are readable at `line`, aligned to two.
#[inline(always)]
unsafe fn lanes<'a>(line: *const u8) -> &'a [AtomicU16; LINE] {
    // SAFETY: the caller's promise; atomics may be shared with a writer.
    unsafe { &*line.cast() }
}

impl Kernel for Scalar {
    #[inline(always)]
    unsafe fn line_within<const T: u32>(line: *const u8, fingerprint: u16) -> u32 {
        // SAFETY: the caller's promise.
        let lanes = unsafe { lanes(line) };
        let within = |lane: &AtomicU16| (lane.load(Ordering::Relaxed) ^ fingerprint).count_ones() <= T;
        lanes.iter().enumerate().fold(0, |mask, (at, lane)| mask | u32::from(within(lane)) << at)
    }

    #[inline(always)]
    unsafe fn front_within(front: *const u8, query: &Front, radius: u32) -> u32 {
        // SAFETY: the caller's promise; atomics may be shared with a writer.
        let words = unsafe { &*front.cast::<[AtomicU64; 8]>() };
        let bits = |at: usize, query: u64| (words[at].load(Ordering::Relaxed) ^ query).count_ones();
        (0..4).fold(0, |mask, code| {
            mask | u32::from(bits(code, query[0]) + bits(code + 4, query[1]) <= radius) << code
        })
    }

    #[inline(always)]
    unsafe fn descents(line: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        let lanes = unsafe { lanes(line) };
        let below = |at: usize| lanes[at].load(Ordering::Relaxed) < lanes[at - 1].load(Ordering::Relaxed);
        (1..LINE).fold(0, |mask, at| mask | u32::from(below(at)) << at)
    }
}
