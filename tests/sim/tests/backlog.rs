//! A retraction overtakes a backlog: it acts at once at a node that lags, stays in force over a power cut,
//! and nothing is cosigned on its strength (the world checks every cosignature).

use hashpact_sim::{Faults, World};

const CALM: Faults = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, bare: 0, partition: 0 };
const BACKLOG: u64 = 1_500;

/// The third node holds the author's first record, then is away while many more are stated.
fn behind(seed: u64, faults: Faults) -> World {
    println!("seed {seed}, {faults:?}");
    let mut world = World::new(seed, 3, faults);
    world.run(4_000);
    world.state_one(0);
    world.run(2_000);
    // Messages may be lost: it is sent again, a while later.
    for _ in 0..60 {
        if world.held(2, 0) < 1 {
            world.run(500);
        }
    }
    assert_eq!(world.held(2, 0), 1);
    world.cut_for_good(0, 2);
    world.cut_for_good(1, 2);
    world.state_many(0, BACKLOG as usize);
    world.run(3_000);
    world
}

/// Runs until the node takes the record for withdrawn, and says how much of the log it held then.
fn held_when_withdrawn(world: &mut World, record: &hashpact_protocol::digest::RecordId) -> u64 {
    for _ in 0..2_000 {
        if world.is_withdrawn(2, record) {
            return world.held(2, 0);
        }
        world.run(10);
    }
    panic!("never withdrawn");
}

#[test]
fn a_retraction_overtakes_a_backlog_and_survives_a_power_cut() {
    for seed in 0..6 {
        let mut world = behind(seed, CALM);
        let record = world.retract_first(0);
        world.run(20_000);
        assert!(!world.is_withdrawn(2, &record), "it is away");
        world.reconnect();
        let held = held_when_withdrawn(&mut world, &record);
        assert!(held < BACKLOG / 2, "{held} of {BACKLOG} were held: it came with the rest");
        world.cut_power(2);
        while !world.is_running(2) {
            world.run(10);
        }
        assert!(world.is_withdrawn(2, &record), "as soon as it runs again");
        assert!(world.held(2, 0) < BACKLOG, "and long before the log has reached it");
        world.check();
        assert!(world.report.overtaken > 0);
    }
}

/// The author is gone: another member, which holds its log, lists and serves what overtakes.
#[test]
fn a_relay_serves_what_overtakes() {
    let mut world = behind(20, CALM);
    let record = world.retract_first(0);
    world.run(5_000);
    world.reconnect();
    world.cut_for_good(0, 2);
    let held = held_when_withdrawn(&mut world, &record);
    assert!(held < BACKLOG / 2, "{held} of {BACKLOG} were held: it came with the rest");
    world.reconnect();
    world.check();
}

#[test]
fn it_comes_through_loss_crashes_and_payloads_that_are_left_out() {
    let faults = Faults { loss: 8, delay_max_ms: 150, bare: 3, ..CALM };
    let mut overtaken = 0;
    for seed in 40..46 {
        let mut world = behind(seed, faults);
        let record = world.retract_first(0);
        world.run(3_000);
        world.reconnect();
        for nth in 0..6 {
            world.run(700);
            world.cut_power(2 - nth % 2);
        }
        held_when_withdrawn(&mut world, &record);
        world.check();
        overtaken += world.report.overtaken;
    }
    assert!(overtaken > 0, "nothing overtook");
}
