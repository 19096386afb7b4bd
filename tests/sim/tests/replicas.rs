//! Several nodes of one member: read replicas hold what their author and everybody else states, sign nothing (the world
//! checks every job and every message of theirs), and do not count as another member anywhere.

use hashpact_sim::story::play;
use hashpact_sim::{Faults, World};

const CALM: Faults = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, bare: 0, partition: 0 };

#[test]
fn replicas_agree_with_their_authors_when_nothing_fails() {
    for seed in 0..4 {
        let report = play(World::with_replicas(seed, 3, 2, CALM), seed);
        assert!(report.acknowledged >= 30 && report.cosignatures > 0, "seed {seed}: {report:?}");
    }
}

#[test]
fn replicas_agree_with_their_authors_in_crashes_and_partitions() {
    let faults = Faults { loss: 15, delay_max_ms: 150, crash: 6, cut: 6, bare: 3, partition: 30 };
    let (mut crashes, mut acknowledged) = (0, 0);
    for seed in 100..120 {
        println!("seed {seed}");
        let report = play(World::with_replicas(seed, 3, 2, faults), seed);
        crashes += report.crashes;
        acknowledged += report.acknowledged;
    }
    assert!(crashes > 60 && acknowledged > 100, "{crashes} crashes, {acknowledged} acknowledged");
}

/// The author is cut off: its replica goes on, with what others state, and says that it is complete; without any other
/// member it says that it is not.
#[test]
fn a_replica_goes_on_without_its_author_and_not_without_others() {
    let mut world = World::with_replicas(7, 3, 1, CALM);
    let replica = world.replicas()[0];
    world.run(40_000);
    world.state_many(0, 20);
    world.run(10_000);
    assert!(world.is_complete(replica) && world.records(replica) == 20);
    for other in [1, 2, replica] {
        world.cut_for_good(0, other);
    }
    world.state_many(1, 5);
    world.run(40_000);
    assert!(world.is_complete(replica), "others are there");
    assert_eq!(world.records(replica), 25);
    assert!(!world.is_complete(0), "the author is alone");
    for other in [1, 2] {
        world.cut_for_good(replica, other);
    }
    world.state_many(1, 5);
    world.run(40_000);
    assert!(!world.is_complete(replica), "nobody tells it");
    // Its own author alone knows no more than it does.
    world.reconnect();
    world.run(10_000);
    assert_eq!(world.records(replica), 30);
    world.check();
}

/// Two nodes of one member connected to each other, and to nobody else, are both isolated.
#[test]
fn the_nodes_of_one_member_do_not_vouch_for_each_other() {
    let mut world = World::with_replicas(9, 3, 1, CALM);
    let replica = world.replicas()[0];
    world.run(40_000);
    for node in [0, replica] {
        for other in [1, 2] {
            world.cut_for_good(node, other);
        }
    }
    world.run(10_000);
    assert!(!world.is_complete(0) && !world.is_complete(replica));
    world.reconnect();
    world.check();
}

/// A member of one: its replica compares itself with its author, and has nobody else.
#[test]
fn a_sole_member_has_replicas_too() {
    let mut world = World::with_replicas(11, 1, 1, CALM);
    world.run(5_000);
    world.state_many(0, 10);
    world.run(10_000);
    assert!(world.is_complete(1) && world.records(1) == 10);
    world.cut_for_good(0, 1);
    world.run(10_000);
    assert!(!world.is_complete(1), "its author is out of reach");
    world.reconnect();
    world.check();
}
