//! Pairs of pictures that show different things, and how near they come.
//!
//! What can be counted is counted: the distance of every unrelated pair. A list of ten million entries asks for
//! chances that no affordable sample can show, so the rest is extrapolated, and always called so: an exponential
//! tail is fitted to the nearest pairs, its uncertainty is that of drawing other photographs (a bootstrap over
//! photographs, not over pairs, because pairs that share a picture are not independent), and the binomial
//! distribution of independent bits stands beside it as the floor. The tail of real pictures falls more slowly
//! than any such model at first and perhaps faster later; nobody can tell from here.

use anyhow::{Result, ensure};
use hashpact_hashing::pdq::distance;
use hashpact_index::{Change, MatchIndex};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::photographs::Photograph;
use crate::recall::RADII;
use crate::series::are_related;
use crate::statistics::{Distances, Tail, any_of, percentile};
use crate::transforms::mix;

/// How many entries the list has to which results are extrapolated.
pub(crate) const LIST: f64 = 1e7;

/// The tail is fitted to about as many of the nearest pairs.
pub(crate) const TAIL_PAIRS: f64 = 300.0;

/// For the check, the fit takes ten times as many pairs.
pub(crate) const CHECK_TAIL_PAIRS: f64 = 10.0 * TAIL_PAIRS;

/// And is asked where only this many were seen.
const CHECK_PAIRS: f64 = 10.0;

/// Drawings of other photographs.
const DRAWINGS: u64 = 400;

/// Which pairs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// Every two photographs.
    All,
    /// Two photographs of one kind.
    SameKind,
    /// Two photographs of different kinds.
    OtherKind,
    /// Every two photographs, in the nearest of the eight orientations.
    Variants,
    /// Windows of two photographs.
    Windows,
}

impl Pairing {
    /// All pairings, each with its metric's name and plain words.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::All, "pictures", "any two pictures"),
        (Self::SameKind, "same_kind", "two of one kind"),
        (Self::OtherKind, "other_kind", "two of different kinds"),
        (Self::Variants, "variants", "any two, nearest of 8 orientations"),
        (Self::Windows, "windows", "windows cut from two pictures"),
    ];

    fn accepts(self, a: &Photograph, b: &Photograph) -> bool {
        let kinds = match self {
            Self::SameKind => a.kind == b.kind,
            Self::OtherKind => a.kind != b.kind,
            _ => true,
        };
        kinds && !are_related(a, b)
    }

    /// The values of a photograph that are asked for.
    fn queries(self, photograph: &Photograph) -> &[[u8; 32]] {
        match self {
            Self::Windows => &photograph.windows,
            Self::Variants => &photograph.listed.hashes,
            _ => &photograph.listed.hashes[..1],
        }
    }

    /// The values of a photograph that are on the list.
    fn listed(self, photograph: &Photograph) -> &[[u8; 32]] {
        match self {
            Self::Windows => &photograph.windows,
            _ => &photograph.listed.hashes[..1],
        }
    }

    /// Calls `each` with the distance of every pair of values that counts, of these two photographs.
    fn compare(self, a: &Photograph, b: &Photograph, mut each: impl FnMut(u16)) {
        let queries = self.queries(a);
        for listed in self.listed(b) {
            let distances = queries.iter().map(|query| distance(query, listed) as u16);
            if self == Self::Variants {
                each(distances.min().expect("eight orientations"));
            } else {
                distances.for_each(&mut each);
            }
        }
    }

    /// How many pairs of values two photographs give.
    fn weight(self, a: &Photograph, b: &Photograph) -> f64 {
        match self {
            Self::Windows => (a.windows.len() * b.windows.len()) as f64,
            _ => 1.0,
        }
    }
}

/// A chance with the interval in which 95 % of the drawings lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// Whether so many pairs can support the number at all: the interval spans less than a factor of a hundred, and
    /// the fit expects at least a tenth of a pair in the sample. Further out the interval says how well the
    /// exponential is known, and nothing says that the tail is one.
    pub(crate) fn is_supported_by(self, pairs: u64) -> bool {
        self.high < 100.0 * self.low && self.value * pairs as f64 >= 0.1
    }

    /// The share of held-out pictures that meet something on a list of [`LIST`] entries.
    pub(crate) fn against_the_list(self) -> Self {
        let [value, low, high] = [self.value, self.low, self.high].map(|pair| any_of(LIST, pair));
        Self { value, low, high }
    }
}

/// Would such a fit have told us what we can see? One to ten times as many pairs is asked for the few nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Check {
    /// The distance that is asked for.
    pub(crate) within: u16,
    /// How many pairs the fit expects there.
    pub(crate) expected: f64,
    /// How many there are.
    pub(crate) seen: u64,
}

/// What was seen of one pairing, and what follows if the tail goes on as fitted.
#[derive(Clone, Debug)]
pub(crate) struct FalseMatches {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) distances: Distances,
    pub(crate) tail: Tail,
    /// The chance of a pair at most [`RADII`] apart, extrapolated.
    pub(crate) extrapolated: [Estimate; RADII.len()],
    pub(crate) check: Check,
}

/// Compares all pairs of one pairing.
///
/// # Errors
/// If the index counts other pairs within the largest radius than the comparison of all with all.
pub(crate) fn measure(photographs: &[Photograph], pairing: Pairing) -> Result<FalseMatches> {
    let (_, name, label) = Pairing::ALL[pairing as usize];
    let distances = histogram(photographs, pairing);
    let largest = RADII[RADII.len() - 1];
    let looked_up = count_by_index(photographs, pairing, largest);
    ensure!(
        distances.at_most(largest) == looked_up,
        "{name}: {} pairs within {largest}, but the index finds {looked_up}",
        distances.at_most(largest)
    );
    let total = distances.total() as f64;
    let from = distances.quantile(TAIL_PAIRS / total.max(1.0));
    let near = near_pairs(photographs, pairing, from);
    let tail = Tail::fit(from, near.iter().map(|pair| (pair.apart, 1.0)), total);
    let drawings: Vec<Tail> = (0..DRAWINGS)
        .into_par_iter()
        .map(|seed| {
            let weights = draw(photographs.len(), seed);
            let weight = |a: usize, b: usize| weights[a] * weights[b];
            let total = total_weight(photographs, pairing, &weights);
            Tail::fit(from, near.iter().map(|pair| (pair.apart, weight(pair.a, pair.b))), total)
        })
        .collect();
    let extrapolated = RADII.map(|radius| {
        let mut drawn: Vec<f64> = drawings.iter().map(|tail| tail.at_most(radius)).collect();
        drawn.sort_by(f64::total_cmp);
        Estimate {
            value: tail.at_most(radius),
            low: percentile(&drawn, 0.025),
            high: percentile(&drawn, 0.975),
        }
    });
    let check = check_fit(&distances);
    Ok(FalseMatches { name, label, distances, tail, extrapolated, check })
}

/// Every pair `a < b` of photographs that a pairing accepts.
fn accepted(photographs: &[Photograph], pairing: Pairing, a: usize) -> impl Iterator<Item = usize> {
    (a + 1..photographs.len()).filter(move |b| pairing.accepts(&photographs[a], &photographs[*b]))
}

fn histogram(photographs: &[Photograph], pairing: Pairing) -> Distances {
    let row = |a: usize| {
        let mut distances = Distances::default();
        for b in accepted(photographs, pairing, a) {
            pairing.compare(&photographs[a], &photographs[b], |apart| distances.add(apart));
        }
        distances
    };
    let rows = (0..photographs.len()).into_par_iter().map(row);
    rows.reduce(Distances::default, |sum, row| sum.merge(&row))
}

/// Two values of different photographs that are near one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NearPair {
    pub(crate) apart: u16,
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// The unrelated pairs at most `radius` apart, nearest first.
pub(crate) fn near_pairs(photographs: &[Photograph], pairing: Pairing, radius: u16) -> Vec<NearPair> {
    let row = |a: usize| {
        let mut near = Vec::new();
        for b in accepted(photographs, pairing, a) {
            pairing.compare(&photographs[a], &photographs[b], |apart| {
                if apart <= radius {
                    near.push(NearPair { apart, a, b });
                }
            });
        }
        near
    };
    let mut near: Vec<NearPair> = (0..photographs.len()).into_par_iter().flat_map_iter(row).collect();
    near.sort_unstable();
    near
}

/// The same count as by comparing all with all, from look-ups in the index.
fn count_by_index(photographs: &[Photograph], pairing: Pairing, radius: u16) -> u64 {
    let index = MatchIndex::new();
    let values: Vec<(usize, [u8; 32])> = photographs
        .iter()
        .enumerate()
        .flat_map(|(b, photograph)| pairing.listed(photograph).iter().map(move |value| (b, *value)))
        .collect();
    let changes = values.iter().enumerate();
    index.apply(changes.map(|(record, (_, value))| Change::InsertHamming { value, record: record as u64 }));
    let count = |a: usize| {
        let queries = pairing.queries(&photographs[a]);
        let mut hits: Vec<Vec<u64>> = index
            .query_hamming_batch(queries, radius)
            .into_iter()
            .map(|hits| hits.into_iter().map(|hit| hit.record).collect())
            .collect();
        if pairing == Pairing::Variants {
            // The nearest orientation counts, once.
            let mut records = hits.concat();
            records.sort_unstable();
            records.dedup();
            hits = vec![records];
        }
        let pictures = hits.into_iter().flatten().map(|record| values[record as usize].0);
        pictures.filter(|b| a < *b && pairing.accepts(&photographs[a], &photographs[*b])).count() as u64
    };
    (0..photographs.len()).into_par_iter().map(count).sum()
}

/// How often each photograph is drawn when as many are drawn with replacement.
fn draw(photographs: usize, seed: u64) -> Vec<f64> {
    let mut weights = vec![0.0; photographs];
    for nth in 0..photographs as u64 {
        weights[(mix(mix(seed) ^ nth) % photographs as u64) as usize] += 1.0;
    }
    weights
}

fn total_weight(photographs: &[Photograph], pairing: Pairing, weights: &[f64]) -> f64 {
    let drawn = (0..photographs.len()).filter(|a| weights[*a] > 0.0);
    let row = |a: usize| -> f64 {
        let weight = |b: usize| weights[b] * pairing.weight(&photographs[a], &photographs[b]);
        weights[a] * accepted(photographs, pairing, a).map(weight).sum::<f64>()
    };
    drawn.map(row).sum()
}

fn check_fit(distances: &Distances) -> Check {
    let total = distances.total().max(1) as f64;
    let from = distances.quantile(CHECK_TAIL_PAIRS / total);
    let pairs = (0..=from).map(|apart| (apart, distances.at(apart.into()) as f64));
    let tail = Tail::fit(from, pairs, total);
    let within = distances.quantile(CHECK_PAIRS / total);
    Check { within, expected: tail.at_most(within) * total, seen: distances.at_most(within) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::tests::tiles;

    #[test]
    fn pairings_are_in_the_order_of_their_names() {
        for (nth, (pairing, _, _)) in Pairing::ALL.into_iter().enumerate() {
            assert_eq!(pairing as usize, nth);
        }
    }

    #[test]
    fn every_unrelated_pair_counts_once() {
        let mut photographs = tiles(7);
        // Kinds of seven tiles: 3, 2 and 2 pictures. One more of the first series is related to the first.
        photographs.push(photographs[0].clone());
        let count = |pairing| measure(&photographs, pairing).unwrap().distances.total();
        assert_eq!(count(Pairing::All), 8 * 7 / 2 - 1);
        assert_eq!(count(Pairing::SameKind), 4 * 3 / 2 + 1 + 1 - 1);
        assert_eq!(count(Pairing::OtherKind), 4 * 2 + 4 * 2 + 2 * 2);
        assert_eq!(count(Pairing::Variants), 8 * 7 / 2 - 1);
    }

    #[test]
    fn a_copy_under_another_name_is_counted_and_seen_by_the_index() {
        let mut photographs = tiles(5);
        let copy = Photograph { path: "elsewhere.png".into(), ..photographs[2].clone() };
        photographs.push(copy);
        let measured = measure(&photographs, Pairing::All).unwrap();
        assert_eq!((measured.distances.at_most(40), measured.distances.minimum()), (1, Some(0)));
        let near = near_pairs(&photographs, Pairing::All, 40);
        assert_eq!(near, [NearPair { apart: 0, a: 2, b: 5 }]);
    }

    #[test]
    fn a_mirror_image_is_near_in_some_orientation_only() {
        let mut photographs = tiles(4);
        let mut mirrored = photographs[1].clone();
        mirrored.path = "mirrored.png".into();
        mirrored.listed.hashes[0] = photographs[1].listed.hashes[5];
        photographs.push(mirrored);
        assert_eq!(measure(&photographs, Pairing::All).unwrap().distances.at_most(40), 0);
        assert_eq!(measure(&photographs, Pairing::Variants).unwrap().distances.at_most(40), 1);
    }

    #[test]
    fn a_drawing_has_as_many_photographs_and_differs_from_the_next() {
        assert_eq!(draw(50, 3).iter().sum::<f64>(), 50.0);
        assert_ne!(draw(50, 3), draw(50, 4));
        let photographs = tiles(5);
        let total = total_weight(&photographs, Pairing::All, &[1.0; 5]);
        assert_eq!(total, 10.0);
        assert_eq!(total_weight(&photographs, Pairing::All, &[2.0, 1.0, 0.0, 0.0, 0.0]), 2.0);
    }
}
