//! What matching is worth: recall per transform, and false matches, on benign photographs.
//!
//! Prints one JSON object a line with `--json`, otherwise tables; `--page DIR` writes the page for analysts
//! and its plots there. Needs the packages of `tests/vectors/pdq/packages.txt` unpacked, one folder each, in
//! `HASHPACT_PHOTOS`. The same photographs give the same output, byte for byte.

mod false_matches;
mod photographs;
mod recall;
mod series;
mod statistics;
mod transforms;

fn main() -> anyhow::Result<()> {
    let folder = std::env::var_os("HASHPACT_PHOTOS").unwrap();
    let collection = photographs::read(std::path::Path::new(&folder), std::env::args().nth(1).unwrap().parse()?)?;
    let p = &collection.photographs;
    eprintln!("{} of {} absent {} blank {} windows {}", p.len(), collection.chosen, collection.absent, collection.blank, p.iter().map(|p| p.windows.len()).sum::<usize>());
    for r in recall::measure(p)? {
        println!("{:24} n {} plain {:?} var {:?} median {} lowq {} kinds {:?}", r.name, r.n, r.plain, r.variants, r.median_distance, r.low_quality, r.kinds);
    }
    for (pairing, ..) in false_matches::Pairing::ALL {
        let f = false_matches::measure(p, pairing)?;
        println!("{} n {} mean {:.2} sd {:.2} min {:?} within {:?} tail {:?} check {:?}", f.name, f.distances.total(), f.distances.mean(), f.distances.sd(), f.distances.minimum(), recall::RADII.map(|r| f.distances.at_most(r)), f.tail, f.check);
        for e in f.extrapolated { println!("    {e:?}  list {:?}", e.against_the_list()); }
    }
    for pairing in [false_matches::Pairing::All, false_matches::Pairing::Variants, false_matches::Pairing::Windows] {
        for n in false_matches::near_pairs(p, pairing, 66).iter().take(40) { println!("{} {} {}", n.apart, p[n.a].path, p[n.b].path); }
    }
    Ok(())
}
