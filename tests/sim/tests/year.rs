//! A year of twelve members (`hashpact_sim::year`): whatever happens, all honest members see the same.
//! `HASHPACT_YEAR_SEEDS=FROM..TO` runs other seeds.

use hashpact_sim::{story, year};

/// The report of the first seed, for people and for whoever changes what a year shows.
#[test]
fn a_year_ends_with_equal_views_and_a_report() {
    let passed = year::pass(1, |_| ());
    assert!(passed.weather.crashes > 50 && passed.weather.lost > 500, "{:?}", passed.weather);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/year-1.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &passed.report).expect("the tree can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the report of seed 1");
    assert!(
        passed.report == golden,
        "the report differs (UPDATE_GOLDEN=1 writes it anew):\n{}",
        passed.report
    );
}

#[test]
fn other_years_end_so_too() {
    let seeds = std::env::var("HASHPACT_YEAR_SEEDS");
    let seeds = seeds.map_or(2..3, |text| story::parse_seeds(&text).expect("HASHPACT_YEAR_SEEDS"));
    for seed in seeds {
        println!("seed {seed}");
        let passed = year::pass(seed, |_| ());
        assert!(passed.report.contains("a machine is stolen"));
    }
}
