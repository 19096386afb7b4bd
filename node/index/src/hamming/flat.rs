//! Scanning every code: for few codes, for large radii, and until the tables are loaded.

use super::Hamming;
use super::codes::GROUP;
use super::kernel::{Kernel, WithKernel};
use super::permutation::Code;

/// Groups that a batch of queries is compared with before the next ones are fetched: 32 KiB of fronts.
const BLOCK_GROUPS: u32 = 512;

/// Queries against all codes; gives numbers and distances, each once.
pub(crate) struct FlatScan<'a> {
    pub(crate) hamming: &'a Hamming,
    pub(crate) queries: &'a [Code],
    pub(crate) radius: u32,
    pub(crate) found: &'a mut [Vec<(u32, u16)>],
}

impl WithKernel for FlatScan<'_> {
    type Output = ();

    #[inline(always)]
    fn with<K: Kernel>(self) {
        let Self { hamming, queries, radius, found } = self;
        let groups = hamming.codes.end().div_ceil(GROUP);
        for block in (0..groups).step_by(BLOCK_GROUPS as usize) {
            for (query, found) in queries.iter().zip(&mut *found) {
                for group in block..groups.min(block + BLOCK_GROUPS) {
                    hamming.codes.judge::<K>(group, query, radius, found);
                }
            }
        }
    }
}
