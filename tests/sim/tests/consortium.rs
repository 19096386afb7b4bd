//! Seeded runs of three members and more. `HASHPACT_SIM_SEEDS=FROM..TO` runs other seeds.

use hashpact_sim::story::{self, play};
use hashpact_sim::{Faults, Report, World};

/// Runs one seed: members act for a while under faults, then everything must have come together.
fn check(seed: u64, members: usize, faults: Faults) -> Report {
    // Printed first, so that a failure names its seed.
    println!("seed {seed}, {members} members, {faults:?}");
    play(World::new(seed, members, faults), seed)
}

fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HASHPACT_SIM_SEEDS") else { return default };
    story::parse_seeds(&text).expect("HASHPACT_SIM_SEEDS")
}

#[test]
fn three_members_agree_when_nothing_fails() {
    let faults = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, partition: 0, bare: 0 };
    for seed in seeds(0..5) {
        let report = check(seed, 3, faults);
        assert!(report.acknowledged >= 55, "{report:?}");
    }
}

#[test]
fn three_members_agree_under_delay_loss_and_reordering() {
    let faults = Faults { loss: 10, delay_max_ms: 400, crash: 0, cut: 8, partition: 0, bare: 0 };
    let mut lost = 0;
    for seed in seeds(100..130) {
        lost += check(seed, 3, faults).lost;
    }
    assert!(lost > 100, "the faults did not happen");
}

#[test]
fn no_acknowledged_record_is_lost_in_crashes() {
    let faults = Faults { loss: 20, delay_max_ms: 150, crash: 5, cut: 10, partition: 30, bare: 0 };
    let (mut crashes, mut acknowledged) = (0, 0);
    for seed in seeds(200..240) {
        let report = check(seed, 3, faults);
        crashes += report.crashes;
        acknowledged += report.acknowledged;
    }
    assert!(crashes > 200 && acknowledged > 300, "{crashes} crashes, {acknowledged} acknowledged");
}

#[test]
fn five_members_agree_in_crashes() {
    let faults = Faults { loss: 15, delay_max_ms: 100, crash: 10, cut: 6, partition: 0, bare: 0 };
    for seed in seeds(300..310) {
        check(seed, 5, faults);
    }
}

#[test]
fn payloads_that_did_not_come_with_their_leaves_are_fetched_from_whoever_has_them() {
    let faults = Faults { loss: 15, delay_max_ms: 150, crash: 8, cut: 3, bare: 2, partition: 0 };
    let mut sought = 0;
    for seed in seeds(400..440) {
        sought += check(seed, 4, faults).sought;
    }
    assert!(sought > 100, "{sought} payloads were missing");
}

#[test]
fn every_equivocation_is_found_and_nobody_else_is_accused() {
    let (mut sum, mut runs) = (Report::default(), 0);
    // Seeds that found something once come first.
    let found = [18, 342, 894].into_iter().filter(|_| std::env::var_os("HASHPACT_SIM_SEEDS").is_none());
    for seed in found.chain(seeds(400..415)) {
        println!("seed {seed}, a member that signs two histories");
        sum += story::equivocation(seed);
        runs += 1;
    }
    assert!(3 * sum.forks > runs && sum.contested > sum.forks, "{sum:?} in {runs} runs");
    assert!(sum.kept > sum.forks && sum.crashes > sum.forks, "{sum:?}: too little was kept or restarted");
}

#[test]
fn a_log_full_of_poison_is_replicated_and_cosigned_by_eleven_others() {
    let faults = Faults { loss: 30, delay_max_ms: 100, crash: 20, cut: 15, partition: 0, bare: 0 };
    for seed in seeds(500..501) {
        println!("seed {seed}, a poisoner among eleven honest members");
        play(World::with_poisoner(seed, 11, faults), seed);
    }
}

#[test]
fn one_seed_gives_one_run() {
    let faults = Faults { loss: 7, delay_max_ms: 90, crash: 9, cut: 9, partition: 20, bare: 0 };
    assert_eq!(check(77, 3, faults), check(77, 3, faults));
}

#[test]
fn what_is_ordered_to_be_erased_or_was_retracted_long_ago_is_destroyed_everywhere_and_nothing_else() {
    let faults = Faults { loss: 15, delay_max_ms: 250, crash: 6, cut: 8, partition: 15, bare: 3 };
    let (mut erased, mut outlived) = (0, 0);
    for seed in seeds(500..520) {
        let report = check(seed, 3 + (seed % 2) as usize, faults);
        erased += report.erased;
        outlived += report.outlived;
    }
    assert!(erased > 40 && outlived > 20, "{erased} erased, {outlived} destroyed after the retention");
}
