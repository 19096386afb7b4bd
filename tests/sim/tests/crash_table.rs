//! Every durable step × what can become of it: no acknowledged record is lost, no log forks, nothing is
//! stated twice, and the node goes on.

use hashpact_core::StopReason;
use hashpact_sim::{Fate, Faults, Step, World};

const CALM: Faults = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, bare: 0, partition: 0 };

#[test]
fn every_step_survives_every_fate() {
    for step in Step::ALL {
        for fate in Fate::ALL {
            for seed in 0..6 {
                println!("{step:?}, {fate:?}, seed {seed}");
                strike(seed, step, fate);
            }
        }
    }
}

/// The second of three nodes is struck; for steps of a follower the others state something.
fn strike(seed: u64, step: Step, fate: Fate) {
    let mut world = World::new(seed, 3, CALM);
    world.run(2_000);
    for node in 0..3 {
        world.state_one(node);
        world.run(300);
    }
    let is_own = matches!(step, Step::OwnBatch | Step::Lock);
    world.strike(1, step, fate);
    let before = world.own_entries(1);
    let acknowledged = world.report.acknowledged;
    match step {
        Step::OwnBatch | Step::Lock => world.state_one(1),
        Step::FollowedBatch | Step::Fact | Step::CosignLock => world.state_one(0),
        Step::Erase => world.erase_one(0),
        Step::LatePayloads => {
            // The author is away; the third hands its leaves on without payloads, and these when asked.
            world.lay_payloads_bare(1);
            world.cut_for_good(0, 1);
            world.state_one(0);
            world.run(2_000);
            world.reconnect();
        }
        Step::Roster => world.install_roster(0),
        Step::Ahead => {
            // The struck node is away while a record that it holds is withdrawn behind many others.
            world.cut_for_good(0, 1);
            world.cut_for_good(1, 2);
            world.state_many(0, 300);
            world.run(1_000);
            world.retract_first(0);
            world.run(2_000);
            world.reconnect();
        }
    }
    world.run(30_000);
    assert!(!world.is_pending(), "the step was never taken");
    assert_eq!(world.report.crashes, 1);
    if is_own {
        let stored = step == Step::Lock || matches!(fate, Fate::Stored | Fate::StoredReportedFailed);
        assert_eq!(world.own_entries(1) - before, u64::from(stored), "kept whole or not at all");
        assert_eq!(world.report.acknowledged, acknowledged, "nothing was promised");
        world.state_again(1);
        world.run(5_000);
        assert_eq!(world.own_entries(1) - before, 1, "stated once");
        assert_eq!(world.report.acknowledged, acknowledged + 1, "and now it is promised");
    }
    world.state_one(1);
    world.run(2_000);
    assert!(world.report.acknowledged > acknowledged, "the node goes on");
    if step == Step::Roster {
        assert_eq!([0, 1, 2].map(|node| world.roster_version(node)), [Some(2); 3]);
    }
    world.check();
}

/// Step two of an append: what was written is read back before it is signed.
#[test]
fn a_bit_that_flips_on_its_way_to_the_disk_is_never_signed() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3, CALM);
        world.run(2_000);
        world.state_one(1);
        world.run(300);
        let (before, acknowledged) = (world.own_entries(1), world.report.acknowledged);
        world.strike(1, Step::OwnBatch, Fate::Flipped);
        world.state_one(1);
        world.run(10_000);
        assert!(!world.is_pending(), "the step was never taken");
        let refused = world.take_refusal();
        assert!(matches!(refused, Some(StopReason::LeavesMismatch { .. })), "seed {seed}: {refused:?}");
        assert_eq!(world.report.acknowledged, acknowledged, "nothing was promised");
        // Whoever repairs the disk has the entry signed at the next start.
        world.flip_back(1);
        world.state_again(1);
        world.run(5_000);
        world.state_again(1);
        world.run(5_000);
        assert_eq!(world.own_entries(1) - before, 1, "stated once");
        world.check();
        assert!(world.report.acknowledged > acknowledged, "seed {seed}: the node goes on");
    }
}
