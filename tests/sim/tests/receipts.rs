//! Members state by themselves which payloads they hold: truly, seldom, and not in answer to each other.

use hashpact_sim::{Faults, World};

const INTERVAL_MS: u64 = 8_000;

fn faults(bare: u64) -> Faults {
    Faults { loss: 12, delay_max_ms: 120, crash: 9, cut: 8, bare, partition: 0 }
}

/// No two receipts of a member are closer than the interval.
fn check_apart(world: &World, members: usize) {
    for member in 0..members {
        let times = world.receipt_times(member);
        let pairs = times.iter().zip(&times[1.min(times.len())..]);
        assert!(pairs.into_iter().all(|(one, next)| next - one >= INTERVAL_MS), "{member}: {times:?}");
    }
}

#[test]
fn receipts_are_true_through_crashes_and_payloads_that_come_late() {
    let mut receipts = 0;
    for seed in 0..12 {
        println!("seed {seed}");
        let mut world = World::with_receipts(seed, 4, INTERVAL_MS, faults(2));
        world.run(4_000);
        for _ in 0..60 {
            world.act();
            world.run(400);
        }
        world.check();
        check_apart(&world, 4);
        receipts += world.report.receipts;
    }
    assert!(receipts > 60, "{receipts} statements about logs");
}

#[test]
fn nothing_is_stated_when_only_receipts_came() {
    let calm = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, bare: 0, partition: 0 };
    let mut world = World::with_receipts(1, 3, INTERVAL_MS, calm);
    world.run(4_000);
    world.state_one(0);
    world.run(3 * INTERVAL_MS);
    let sizes = |world: &World| [0, 1, 2].map(|node| world.own_entries(node));
    // The others state that they hold it; about their receipts nobody says anything.
    assert_eq!(sizes(&world), [1, 1, 1]);
    world.run(20 * INTERVAL_MS);
    assert_eq!(sizes(&world), [1, 1, 1]);
    world.state_many(1, 40);
    world.run(3 * INTERVAL_MS);
    assert_eq!(sizes(&world), [2, 41, 2]);
    for _ in 0..20 {
        world.state_one(2);
        world.run(INTERVAL_MS / 4);
    }
    world.check();
    check_apart(&world, 3);
    assert!(world.report.receipts >= 4, "{:?}", world.report);
}
