//! AVX2: sixteen fingerprints at a time.

use super::{Front, Kernel};
use core::arch::x86_64::*;

/// AVX2 and POPCNT.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Kernel for Avx2 {
    #[inline(always)]
    unsafe fn line_within<const T: u32>(line: *const u8, fingerprint: u16) -> u32 {
        // SAFETY: 64 readable bytes and AVX2 are the caller's promise; the loads need no alignment.
        unsafe {
            let query = _mm256_set1_epi16(fingerprint.cast_signed());
            let low = cleared::<T>(_mm256_xor_si256(_mm256_loadu_si256(line.cast()), query));
            let high = cleared::<T>(_mm256_xor_si256(_mm256_loadu_si256(line.add(32).cast()), query));
            // Packing works within the halves of a register; the permutation puts the quarters in order.
            let packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0b11_01_10_00);
            _mm256_movemask_epi8(packed).cast_unsigned()
        }
    }

    #[inline(always)]
    unsafe fn front_within(front: *const u8, query: &Front, radius: u32) -> u32 {
        // SAFETY: 64 readable bytes and AVX2 are the caller's promise.
        unsafe {
            let first = _mm256_loadu_si256(front.cast());
            let second = _mm256_loadu_si256(front.add(32).cast());
            let first = popcount64(_mm256_xor_si256(first, _mm256_set1_epi64x(query[0].cast_signed())));
            let second = popcount64(_mm256_xor_si256(second, _mm256_set1_epi64x(query[1].cast_signed())));
            let beyond =
                _mm256_cmpgt_epi64(_mm256_add_epi64(first, second), _mm256_set1_epi64x(i64::from(radius)));
            !_mm256_movemask_pd(_mm256_castsi256_pd(beyond)).cast_unsigned() & 0b1111
        }
    }

    #[inline(always)]
    unsafe fn descents(line: *const u8) -> u32 {
        // SAFETY: 64 readable bytes, the two before them and AVX2 are the caller's promise. Signed comparison orders
        // unsigned numbers once their top bits are flipped.
        unsafe {
            let flip = _mm256_set1_epi16(i16::MIN);
            let load = |at: *const u8| _mm256_xor_si256(_mm256_loadu_si256(at.cast()), flip);
            let low = _mm256_cmpgt_epi16(load(line.sub(2)), load(line));
            let high = _mm256_cmpgt_epi16(load(line.add(30)), load(line.add(32)));
            let packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0b11_01_10_00);
            _mm256_movemask_epi8(packed).cast_unsigned()
        }
    }
}

/// All ones in lanes that have at most `T` bits set.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn cleared<const T: u32>(mut lanes: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let ones = _mm256_set1_epi16(-1);
        for _ in 0..T {
            lanes = _mm256_and_si256(lanes, _mm256_add_epi16(lanes, ones));
        }
        _mm256_cmpeq_epi16(lanes, _mm256_setzero_si256())
    }
}

/// Set bits of each 64-bit lane, by half bytes (Muła, Kurz and Lemire 2018, §2.3).
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn popcount64(lanes: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let table = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let low = _mm256_set1_epi8(15);
        let counts = _mm256_add_epi8(
            _mm256_shuffle_epi8(table, _mm256_and_si256(lanes, low)),
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(lanes, 4), low)),
        );
        _mm256_sad_epu8(counts, _mm256_setzero_si256())
    }
}
