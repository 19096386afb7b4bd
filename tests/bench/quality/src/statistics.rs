//! Intervals and tails. Every formula is written out where it is used; nothing is fitted by a black box.

/// The two-sided 95 % point of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

/// Bits of a hash.
pub(crate) const BITS: usize = 256;

/// Wilson's 95 % interval for a share of which `found` of `n` were seen.
///
/// Centre (p + z²/2n) / (1 + z²/n), half width z √(p(1-p)/n + z²/4n²) / (1 + z²/n). With `n` = 0 it is (0, 1).
pub(crate) fn wilson(found: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, found as f64 / n as f64);
    let z2 = Z_95 * Z_95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // At the ends the formula gives 0 and 1 up to rounding; say so exactly.
    let low = if found == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// The chance that two strings of 256 fair, independent bits are at most `radius` apart.
pub(crate) fn binomial_tail(radius: u16) -> f64 {
    let bits = BITS as f64;
    // C(256, k) / 2^256, starting at k = 0; 2^-256 is far above the smallest f64.
    let mut term = 0.5f64.powi(BITS as i32);
    let mut sum = 0.0;
    for k in 0..=usize::from(radius).min(BITS) {
        sum += term;
        term *= (bits - k as f64) / (k as f64 + 1.0);
    }
    sum.min(1.0)
}

/// How many pairs have each distance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distances {
    counts: Vec<u64>,
}

impl Default for Distances {
    fn default() -> Self {
        Self { counts: vec![0; BITS + 1] }
    }
}

impl Distances {
    pub(crate) fn add(&mut self, distance: u16) {
        self.counts[usize::from(distance)] += 1;
    }

    pub(crate) fn merge(mut self, other: &Self) -> Self {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn at(&self, distance: usize) -> u64 {
        self.counts[distance]
    }

    pub(crate) fn at_most(&self, radius: u16) -> u64 {
        self.counts[..=usize::from(radius).min(BITS)].iter().sum()
    }

    pub(crate) fn minimum(&self) -> Option<u16> {
        self.counts.iter().position(|count| *count > 0).map(|distance| distance as u16)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.moment(|distance| distance)
    }

    /// Standard deviation of the pairs themselves.
    pub(crate) fn sd(&self) -> f64 {
        let mean = self.mean();
        self.moment(|distance| (distance - mean).powi(2)).sqrt()
    }

    fn moment(&self, of: impl Fn(f64) -> f64) -> f64 {
        let weighted = |(distance, count): (usize, &u64)| of(distance as f64) * *count as f64;
        self.counts.iter().enumerate().map(weighted).sum::<f64>() / self.total().max(1) as f64
    }

    /// The smallest even distance at or below which lies at least this share of the pairs.
    pub(crate) fn quantile(&self, share: f64) -> u16 {
        let wanted = share * self.total() as f64;
        let reached = (0..=BITS as u16).step_by(2).find(|radius| self.at_most(*radius) as f64 >= wanted);
        reached.unwrap_or(BITS as u16)
    }
}

/// An exponential lower tail: P(D ≤ x) = `share` · `ratio` ^ ((`from` - x) / 2).
///
/// Two PDQ values have 128 ones each, so that their distance is even; x is rounded down to even, which also
/// makes 31 and 30 the same radius. `ratio` is the maximum-likelihood estimate of a geometric distribution, m / (1 + m),
/// where m is the mean of (`from` - d) / 2 over the pairs at or below `from`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tail {
    /// The distance at which the tail begins, even.
    pub(crate) from: u16,
    /// Share of the pairs at or below it.
    pub(crate) share: f64,
    /// By how much the share falls with every two bits, below 1.
    pub(crate) ratio: f64,
}

impl Tail {
    /// Fits the tail of pairs given as (distance, weight) at or below `from`, of a total weight.
    pub(crate) fn fit(from: u16, pairs: impl IntoIterator<Item = (u16, f64)>, total: f64) -> Self {
        let (mut weight, mut steps) = (0.0, 0.0);
        for (distance, pair) in pairs.into_iter().filter(|(distance, _)| *distance <= from) {
            weight += pair;
            steps += pair * f64::from(from - distance / 2 * 2) / 2.0;
        }
        let mean = if weight > 0.0 { steps / weight } else { 0.0 };
        let share = if total > 0.0 { weight / total } else { 0.0 };
        Self { from, share, ratio: mean / (1.0 + mean) }
    }

    /// The fitted chance that a pair is at most `radius` apart.
    pub(crate) fn at_most(&self, radius: u16) -> f64 {
        let steps = i32::from(self.from / 2) - i32::from(radius / 2);
        (self.share * self.ratio.powi(steps)).min(1.0)
    }
}

/// The share of look-ups that meet at least one of `list` entries, if each is met with chance `pair`.
pub(crate) fn any_of(list: f64, pair: f64) -> f64 {
    // 1 - (1 - p)^n without losing a small p.
    -(list * (-pair).ln_1p()).exp_m1()
}

/// The value below which this share of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-4 * b.abs().max(1e-300)
    }

    #[test]
    fn wilson_gives_the_textbook_intervals() {
        // Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        let cases = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (found, n, low, high) in cases {
            let (l, h) = wilson(found, n);
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{found}/{n}: {l} {h}");
        }
        assert_eq!(wilson(20, 20).1, 1.0);
        assert!((wilson(20, 20).0 - (1.0 - 0.1611)).abs() < 5e-5);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn the_binomial_tail_is_exact_where_it_can_be_counted() {
        let one = 0.5f64.powi(256);
        assert!(close(binomial_tail(0), one));
        assert!(close(binomial_tail(2), one * (1.0 + 256.0 + 256.0 * 255.0 / 2.0)));
        assert!(close(binomial_tail(255), 1.0) && close(binomial_tail(300), 1.0));
        // Half of what is not exactly 128 lies below it; C(256, 128) / 2^256 = 0.0498191.
        assert!(close(binomial_tail(127), (1.0 - 0.049_819_1) / 2.0));
    }

    #[test]
    fn distances_are_counted() {
        let mut distances = Distances::default();
        [128, 120, 136, 50].into_iter().for_each(|distance| distances.add(distance));
        assert_eq!((distances.total(), distances.minimum(), distances.at(120)), (4, Some(50), 1));
        assert_eq!((distances.at_most(49), distances.at_most(50), distances.at_most(300)), (0, 1, 4));
        assert!(close(distances.mean(), 108.5));
        assert!(close(distances.sd(), 34.245_4));
        assert_eq!(
            (distances.quantile(0.2), distances.quantile(0.5), distances.quantile(1.0)),
            (50, 120, 136)
        );
        assert_eq!(distances.clone().merge(&distances).total(), 8);
    }

    #[test]
    fn a_geometric_tail_is_found_again() {
        // Each two bits nearer there are a third as many: 3^7 at 80, 3^6 at 78, …, 1 at 66.
        let pairs = (0..8u16).map(|step| (80 - 2 * step, f64::from(3u32.pow(7 - u32::from(step)))));
        let tail = Tail::fit(80, pairs, 1e6);
        assert!((tail.ratio - 1.0 / 3.0).abs() < 2e-3, "{}", tail.ratio);
        assert!(close(tail.share, 3280.0 / 1e6));
        assert_eq!(tail.at_most(31), tail.at_most(30), "distances are even");
        assert!(close(tail.at_most(30) / tail.at_most(32), tail.ratio));
        assert!(close(tail.at_most(80), tail.share));
        assert_eq!(Tail::fit(80, [], 10.0).at_most(31), 0.0);
    }

    #[test]
    fn many_rare_chances_add_up() {
        assert!(close(any_of(1e7, 1e-12), 1e-5));
        assert!(close(any_of(1e7, 1e-7), 1.0 - (-1.0f64).exp()));
        assert_eq!(any_of(1e7, 0.0), 0.0);
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 0.5), 2.0);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
