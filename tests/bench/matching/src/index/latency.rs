//! Samples of durations and what is said of them.

use std::time::Instant;

/// Durations in nanoseconds. A sample of more than 4.29 seconds is kept as that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    nanoseconds: Vec<u32>,
}

impl Samples {
    pub(crate) fn push(&mut self, nanoseconds: u128) {
        self.nanoseconds.push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
    }

    /// Runs `work` and keeps how long it took; what it returns is dropped outside the measured time.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = std::hint::black_box(work());
        self.push(start.elapsed().as_nanos());
        result
    }

    pub(crate) fn extend(&mut self, other: &Samples) {
        self.nanoseconds.extend_from_slice(&other.nanoseconds);
    }

    pub(crate) fn nanoseconds(&self) -> &[u32] {
        &self.nanoseconds
    }

    /// The sample that `share` of all samples do not exceed, in microseconds (nearest rank).
    pub(crate) fn percentiles_us<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        shares.map(|share| {
            let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
            sorted.get(rank - 1).map_or(f64::NAN, |&nanoseconds| f64::from(nanoseconds) / 1e3)
        })
    }
}

impl From<Vec<u32>> for Samples {
    fn from(nanoseconds: Vec<u32>) -> Self {
        Self { nanoseconds }
    }
}

/// The middle value; of an even number the upper of the two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What timing nothing costs: a part of every sample that is not the work's.
pub(crate) fn timer_overhead() -> Samples {
    let mut samples = Samples::default();
    (0..200_000).for_each(|_| samples.time(|| ()));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples = Samples::from((1..=1000).rev().map(|n| n * 1000).collect::<Vec<u32>>());
        assert_eq!(
            samples.percentiles_us([0.0, 0.5, 0.9, 0.99, 0.999, 1.0]),
            [1.0, 500.0, 900.0, 990.0, 999.0, 1000.0]
        );
        let one = Samples::from(vec![7000]);
        assert_eq!(one.percentiles_us([0.5, 0.999]), [7.0, 7.0]);
        assert!(Samples::default().percentiles_us([0.5])[0].is_nan());
    }

    #[test]
    fn long_durations_are_not_wrapped() {
        let mut samples = Samples::default();
        samples.push(5_000_000_000);
        samples.time(|| std::thread::sleep(std::time::Duration::from_millis(2)));
        assert_eq!(samples.nanoseconds()[0], u32::MAX);
        assert!(samples.nanoseconds()[1] >= 2_000_000);
    }

    #[test]
    fn the_median_does_not_care_about_order() {
        assert_eq!(median([9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median([2.0, 1.0]), 2.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn the_timer_costs_something_and_not_much() {
        let [p50] = timer_overhead().percentiles_us([0.5]);
        assert!(p50 < 10.0, "{p50} us");
    }
}
