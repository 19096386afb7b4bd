//! A year of twelve members (`hashpact_sim::year`): whatever happens, all honest members see the same. Takes about a minute.
//! `HASHPACT_YEAR_SEEDS=FROM..TO` runs other seeds, each a minute; `UPDATE_GOLDEN=1` writes the report of seed 1 anew.

use hashpact_sim::{story, year};

/// The seed whose report is kept, for people and for whoever changes what a year shows.
const TOLD_SEED: u64 = 1;

#[test]
fn a_year_ends_with_equal_views_and_a_report() {
    let seeds = std::env::var("HASHPACT_YEAR_SEEDS");
    let told = TOLD_SEED..TOLD_SEED + 1;
    let seeds = seeds.map_or(told, |text| story::parse_seeds(&text).expect("HASHPACT_YEAR_SEEDS"));
    for seed in seeds {
        println!("seed {seed}");
        let passed = year::pass(seed, |line| println!("{line}"));
        assert!(passed.weather.crashes > 50 && passed.weather.lost > 500, "{:?}", passed.weather);
        assert_eq!(passed.digests.len(), 12, "all members see the same at the end of every month");
        if seed == TOLD_SEED {
            compare(&passed.report);
        }
    }
}

fn compare(report: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/year-1.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, report).expect("the tree can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the report that is kept");
    assert!(report == golden, "the report differs (UPDATE_GOLDEN=1 writes it anew):\n{report}");
}
