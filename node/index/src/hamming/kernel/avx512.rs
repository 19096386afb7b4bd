//! AVX-512: a whole line of thirty-two fingerprints at a time, with and without the popcount instructions.

use super::{Asking, FEW, Front, Kernel, MANY};
use core::arch::x86_64::*;

/// AVX-512 F, BW, VL and DQ.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// With BITALG and VPOPCNTDQ (Ice Lake, Zen 4 and later).
#[derive(Clone, Copy)]
pub(crate) struct Avx512Popcnt;

/// Lane 0, then lanes 0 to 30.
#[repr(align(64))]
struct Lanes([u16; 32]);

static LANE_BEFORE: Lanes = {
    let (mut lanes, mut at) = ([0; 32], 1);
    while at < 32 {
        lanes[at] = at as u16 - 1;
        at += 1;
    }
    Lanes(lanes)
};

impl Kernel for Avx512 {
    #[inline(always)]
    unsafe fn line_within<const T: u32>(line: *const u8, fingerprint: u16) -> u32 {
        // SAFETY: 64 readable bytes and AVX-512BW are the caller's promise; the load needs no alignment.
        unsafe { at_most::<T>(differences(line, fingerprint)) }
    }

    #[inline(always)]
    unsafe fn line_within_each<const T: u32>(
        line: *const u8,
        queries: &[[Asking; FEW]],
        within: &mut [[u32; FEW]],
    ) {
        // SAFETY: 64 readable bytes and AVX-512BW are the caller's promise. Words are broadcast by the load alone.
        unsafe {
            let line = _mm512_loadu_si512(line.cast());
            for (queries, within) in queries.iter().zip(within) {
                for (query, within) in queries.iter().zip(within) {
                    let fingerprint = _mm512_set1_epi32(query.fingerprint_twice.cast_signed());
                    *within = at_most::<T>(_mm512_xor_si512(line, fingerprint));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn marked(
        words: &[u32; MANY],
        count: usize,
        mask: u32,
        first: u32,
        numbers: &mut [u32; MANY],
    ) -> usize {
        // SAFETY: AVX-512F is the caller's promise; both arrays have sixteen words.
        unsafe {
            let words = _mm512_loadu_si512(words.as_ptr().cast());
            let marked = _mm512_test_epi32_mask(words, _mm512_set1_epi32(mask.cast_signed()))
                & (1u32 << count.min(MANY)).wrapping_sub(1) as u16;
            let each = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let each = _mm512_add_epi32(each, _mm512_set1_epi32(first.cast_signed()));
            let together = _mm512_maskz_compress_epi32(marked, each);
            _mm512_storeu_si512(numbers.as_mut_ptr().cast(), together);
            marked.count_ones() as usize
        }
    }

    #[inline(always)]
    unsafe fn front_within(front: *const u8, query: &Front, radius: u32) -> u32 {
        // SAFETY: 64 readable bytes and AVX-512BW are the caller's promise.
        unsafe {
            let lanes = front_differences(front, query);
            let table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
            let low = _mm512_set1_epi8(15);
            let counts = _mm512_add_epi8(
                _mm512_shuffle_epi8(table, _mm512_and_si512(lanes, low)),
                _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(lanes, 4), low)),
            );
            sums_within(_mm512_sad_epu8(counts, _mm512_setzero_si512()), radius)
        }
    }

    #[inline(always)]
    unsafe fn descents(line: *const u8) -> u32 {
        // SAFETY: 64 readable bytes and AVX-512BW are the caller's promise.
        unsafe {
            let here = _mm512_loadu_si512(line.cast());
            // Lane j - 1 in lane j, without touching the cache line before.
            let before = _mm512_permutexvar_epi16(_mm512_load_si512(LANE_BEFORE.0.as_ptr().cast()), here);
            _mm512_cmplt_epu16_mask(here, before)
        }
    }
}

impl Kernel for Avx512Popcnt {
    #[inline(always)]
    unsafe fn line_within<const T: u32>(line: *const u8, fingerprint: u16) -> u32 {
        // SAFETY: 64 readable bytes and AVX-512BITALG are the caller's promise.
        unsafe { counted_at_most::<T>(differences(line, fingerprint)) }
    }

    #[inline(always)]
    unsafe fn line_within_each<const T: u32>(
        line: *const u8,
        queries: &[[Asking; FEW]],
        within: &mut [[u32; FEW]],
    ) {
        // SAFETY: 64 readable bytes and AVX-512BITALG are the caller's promise. Words are broadcast by the load alone.
        unsafe {
            let line = _mm512_loadu_si512(line.cast());
            for (queries, within) in queries.iter().zip(within) {
                for (query, within) in queries.iter().zip(within) {
                    let fingerprint = _mm512_set1_epi32(query.fingerprint_twice.cast_signed());
                    *within = counted_at_most::<T>(_mm512_xor_si512(line, fingerprint));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn marked(
        words: &[u32; MANY],
        count: usize,
        mask: u32,
        first: u32,
        numbers: &mut [u32; MANY],
    ) -> usize {
        // SAFETY: the caller's promise covers the smaller instruction set.
        unsafe { Avx512::marked(words, count, mask, first, numbers) }
    }

    #[inline(always)]
    unsafe fn front_within(front: *const u8, query: &Front, radius: u32) -> u32 {
        // SAFETY: 64 readable bytes and AVX-512VPOPCNTDQ are the caller's promise.
        unsafe { sums_within(_mm512_popcnt_epi64(front_differences(front, query)), radius) }
    }

    #[inline(always)]
    unsafe fn descents(line: *const u8) -> u32 {
        // SAFETY: the caller's promise covers the smaller instruction set.
        unsafe { Avx512::descents(line) }
    }
}

/// The lanes that have at most `T` bits set.
///
/// # Safety
/// The processor has AVX-512BW.
#[inline(always)]
unsafe fn at_most<const T: u32>(mut lanes: __m512i) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        let ones = _mm512_set1_epi16(-1);
        for _ in 1..T {
            lanes = _mm512_and_si512(lanes, _mm512_add_epi16(lanes, ones));
        }
        match T {
            0 => _mm512_testn_epi16_mask(lanes, lanes),
            _ => _mm512_testn_epi16_mask(lanes, _mm512_add_epi16(lanes, ones)),
        }
    }
}

/// [`at_most`] by counting.
///
/// # Safety
/// The processor has AVX-512 BW and BITALG.
#[inline(always)]
unsafe fn counted_at_most<const T: u32>(lanes: __m512i) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_cmple_epu16_mask(_mm512_popcnt_epi16(lanes), _mm512_set1_epi16(T as i16)) }
}

/// # Safety
/// 64 bytes are readable at `line`, and the processor has AVX-512BW.
#[inline(always)]
unsafe fn differences(line: *const u8, fingerprint: u16) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_xor_si512(_mm512_loadu_si512(line.cast()), _mm512_set1_epi16(fingerprint.cast_signed())) }
}

/// # Safety
/// 64 bytes are readable at `front`, and the processor has AVX-512F.
#[inline(always)]
unsafe fn front_differences(front: *const u8, query: &Front) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let first = _mm512_set1_epi64(query[0].cast_signed());
        let second = _mm256_set1_epi64x(query[1].cast_signed());
        _mm512_xor_si512(_mm512_loadu_si512(front.cast()), _mm512_inserti64x4(first, second, 1))
    }
}

/// Which of the four sums of lanes j and j + 4 are at most `radius`.
///
/// # Safety
/// The processor has AVX-512 F and VL.
#[inline(always)]
unsafe fn sums_within(counts: __m512i, radius: u32) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        let sums = _mm256_add_epi64(_mm512_castsi512_si256(counts), _mm512_extracti64x4_epi64(counts, 1));
        u32::from(_mm256_cmple_epu64_mask(sums, _mm256_set1_epi64x(i64::from(radius))))
    }
}
