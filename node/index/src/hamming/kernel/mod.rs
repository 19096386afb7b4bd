//! The innermost loops, once for each instruction set, each tested against the scalar twin.
//!
//! Two questions are asked billions of times. Of a *line* (32 fingerprints of 16 bits, one cache line): which
//! are within a few bits of this one? Of a *group* (four codes; its first cache line holds the first two words of
//! each): which may be within the radius, judged by half of the bits?
//!
//! "At most T bits" needs no count: clearing the lowest set bit T times leaves zero exactly then. That is two
//! instructions a bit, and the thresholds of this index are 0 to 5; it beats a table look-up popcount and
//! equals the dedicated instruction for the threshold that matters (2).
//!
//! Readers run these loops over memory that the writer is appending to. A lane that is being written may read as
//! anything; the callers mask lanes beyond the published length, and judge a group's codes again after they have
//! learnt, with acquire ordering, that the code was published.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use scalar::Scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512, avx512::Avx512Popcnt};

use super::permutation::Front;

/// Fingerprints in a line.
pub(crate) const LINE: usize = 32;
/// Fingerprints that are compared with one line at a time.
pub(crate) const MANY: usize = 16;
/// They come in so many at a time.
pub(crate) const FEW: usize = 8;

/// A query among many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking {
    /// Its number.
    pub(crate) query: u32,
    /// Its fingerprint, in both halves of the word.
    pub(crate) fingerprint_twice: u32,
}

/// The loops of one instruction set.
pub(crate) trait Kernel: Copy {
    /// Bit j is set if lane j of the line is within `T` bits of `fingerprint`.
    ///
    /// # Safety
    /// 64 bytes are readable at `line`, and the processor has the kernel's instructions.
    unsafe fn line_within<const T: u32>(line: *const u8, fingerprint: u16) -> u32;

    /// [`line_within`](Self::line_within) for many fingerprints.
    ///
    /// # Safety
    /// As for [`line_within`](Self::line_within).
    #[inline(always)]
    unsafe fn line_within_each<const T: u32>(
        line: *const u8,
        queries: &[[Asking; FEW]],
        within: &mut [[u32; FEW]],
    ) {
        for (query, within) in queries.as_flattened().iter().zip(within.as_flattened_mut()) {
            // SAFETY: the caller's promise.
            *within = unsafe { Self::line_within::<T>(line, query.fingerprint_twice as u16) };
        }
    }

    /// Writes `first` + j for every word j of the `count` first that has a bit in common with `mask` to the front of
    /// `numbers`, and returns how many. Without a branch: which words do is anybody's guess.
    ///
    /// # Safety
    /// The processor has the kernel's instructions.
    #[inline(always)]
    unsafe fn marked(
        words: &[u32; MANY],
        count: usize,
        mask: u32,
        first: u32,
        numbers: &mut [u32; MANY],
    ) -> usize {
        let mut marked = 0;
        for (at, word) in (0..).zip(&words[..count.min(MANY)]) {
            numbers[marked % MANY] = first + at;
            marked += usize::from(word & mask != 0);
        }
        marked
    }

    /// Bit j is set if the first 128 bits of code j of the group are within `radius` bits of the query's.
    ///
    /// # Safety
    /// 64 bytes, aligned to 64, are readable at `front`, and the processor has the kernel's instructions.
    unsafe fn front_within(front: *const u8, query: &Front, radius: u32) -> u32;

    /// Bit j is set if lane j of a line of group numbers is below the lane before it; bit 0 is anything.
    ///
    /// # Safety
    /// 64 bytes are readable at `line` and the two bytes before it, and the processor has the kernel's
    /// instructions.
    unsafe fn descents(line: *const u8) -> u32;
}

/// An instruction set that the index can be told to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Instructions {
    /// What every processor has.
    Scalar,
    /// AVX2 and POPCNT (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, VL.
    Avx512,
    /// AVX-512 with BITALG and VPOPCNTDQ.
    Avx512Popcnt,
}

impl Instructions {
    /// All that this processor can run, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "nothing to add elsewhere"))]
        let mut available = vec![Self::Scalar];
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("popcnt") && has!("bmi1") && has!("bmi2") && has!("lzcnt") {
                available.push(Self::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") {
                    available.push(Self::Avx512);
                    if has!("avx512bitalg") && has!("avx512vpopcntdq") {
                        available.push(Self::Avx512Popcnt);
                    }
                }
            }
        }
        available
    }

    /// The best that this processor can run.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Scalar)
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Popcnt => "avx512-popcnt",
        }
    }
}

/// Work that is compiled once for each kernel.
pub(crate) trait WithKernel {
    /// What it gives back.
    type Output;

    /// Does it. Implementations are `#[inline(always)]`, so that the body takes on the caller's instruction set.
    fn with<K: Kernel>(self) -> Self::Output;
}

/// Runs `work` with the kernel of `instructions`, which must be one of [`Instructions::available`].
pub(crate) fn dispatch<W: WithKernel>(instructions: Instructions, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn avx2<W: WithKernel>(work: W) -> W::Output {
            work.with::<Avx2>()
        }
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt,avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512<W: WithKernel>(work: W) -> W::Output {
            work.with::<Avx512>()
        }
        #[target_feature(
            enable = "avx2,popcnt,bmi1,bmi2,lzcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512bitalg,avx512vpopcntdq"
        )]
        fn avx512_popcnt<W: WithKernel>(work: W) -> W::Output {
            work.with::<Avx512Popcnt>()
        }
        match instructions {
            // SAFETY: an index is only ever given instructions that `available` named, which asked the processor.
            Instructions::Avx2 => return unsafe { avx2(work) },
            // SAFETY: as above.
            Instructions::Avx512 => return unsafe { avx512(work) },
            // SAFETY: as above.
            Instructions::Avx512Popcnt => return unsafe { avx512_popcnt(work) },
            Instructions::Scalar => {}
        }
    }
    let _ = instructions;
    work.with::<Scalar>()
}
