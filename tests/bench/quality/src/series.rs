//! Which photographs show the same thing, so that a small distance between them is no false match.
//!
//! Two photographs of one series count as related: the same file name in two folders, one thing and its mirror image,
//! the light and the dark form of one desktop background, one object of the sky in two surveys, and the phases of
//! the Moon. Every pair of the table under [`LOOK_BELOW`], and under [`LOOK_BELOW_TURNED`] in its nearest orientation, was
//! looked at besides: what lies there and is of no series shows different things and counts as unrelated. The page
//! names the closest ones, so that anybody can judge again.

use crate::photographs::{Kind, Photograph};

/// Pairs nearer than this were looked at, one by one.
pub(crate) const LOOK_BELOW: u16 = 66;

/// And so were pairs nearer than this in any of the eight orientations.
pub(crate) const LOOK_BELOW_TURNED: u16 = 60;

/// The name that all photographs of one series share.
fn series(photograph: &Photograph) -> &str {
    let file = photograph.path.rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match photograph.kind {
        // n1569-dss: the object, then the survey.
        Kind::Sky => stem.split('-').next().unwrap_or(stem),
        Kind::Thing if stem.starts_with("moon_") => "moon_",
        Kind::Thing => stem.strip_suffix("_mirror").unwrap_or(stem),
        // grid-l, grid-d: light and dark.
        Kind::Scene => stem.strip_suffix("-l").or(stem.strip_suffix("-d")).unwrap_or(stem),
    }
}

/// Whether two photographs show the same thing.
pub(crate) fn are_related(a: &Photograph, b: &Photograph) -> bool {
    a.kind == b.kind && series(a) == series(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::tests::tiles;

    #[test]
    fn one_series_is_recognised_by_its_names() {
        let named = |kind: Kind, path: &str| Photograph { kind, path: path.into(), ..tiles(1)[0].clone() };
        let cases = [
            (Kind::Scene, "a/grid-l.webp", "b/grid-d.webp", true),
            (Kind::Scene, "a/grid-l.webp", "a/road-l.webp", false),
            (Kind::Sky, "a/n10-dss.png", "a/n10.png", true),
            (Kind::Sky, "a/n10-dss.png", "a/n11-dss.png", false),
            (Kind::Thing, "a/fireman.png", "b/fireman.png", true),
            (Kind::Thing, "a/moon_full.png", "a/moon_crescent.png", true),
            (Kind::Thing, "a/tape.png", "a/tape_mirror.png", true),
            (Kind::Thing, "a/potato.png", "a/tomato.png", false),
        ];
        for (kind, a, b, related) in cases {
            assert_eq!(are_related(&named(kind, a), &named(kind, b)), related, "{a} and {b}");
        }
        assert!(!are_related(&named(Kind::Sky, "a/x.png"), &named(Kind::Thing, "a/x.png")));
    }
}
