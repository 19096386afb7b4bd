//! How far the word of an incident has come: known within seconds though a backlog lies before the declaration, and
//! unknown of a member that is away until it is back (the world checks that nothing known is ever forgotten).

use hashpact_protocol::record::IncidentId;
use hashpact_sim::{Faults, World};

const CALM: Faults = Faults { loss: 0, delay_max_ms: 20, crash: 0, cut: 0, bare: 0, partition: 0 };
const BACKLOG: u64 = 1_500;
/// The member with the backlog, and the one that is away.
const BEHIND: usize = 2;
const AWAY: usize = 3;

/// Four members; the third was away while the first stated many records, the fourth is away from now on. Then the
/// first declares an incident, and the third is back.
fn declared_behind_a_backlog(seed: u64, faults: Faults) -> (World, IncidentId) {
    println!("seed {seed}, {faults:?}");
    let mut world = World::new(seed, 4, faults);
    world.run(4_000);
    for other in [0, 1, AWAY] {
        world.cut_for_good(BEHIND, other);
    }
    world.state_many(0, BACKLOG as usize);
    world.run(20_000);
    world.reconnect();
    for other in [0, 1, BEHIND] {
        world.cut_for_good(AWAY, other);
    }
    let incident = world.declare(0);
    (world, incident)
}

/// Runs until a node shows every member but the one that is away as covered.
fn run_until_all_but_one(world: &mut World, node: usize, incident: &IncidentId) {
    for _ in 0..2_000 {
        if let [Some(_), Some(_), Some(_), None] = world.coverage(node, incident)[..] {
            return;
        }
        world.run(10);
    }
    panic!("node {node} shows {:?}", world.coverage(node, incident));
}

#[test]
fn coverage_is_known_while_the_backlog_is_still_there() {
    for seed in 0..6 {
        let (mut world, incident) = declared_behind_a_backlog(seed, CALM);
        // The author, who is told by everybody, and a third member, who is told as well.
        for node in [0, 1, BEHIND] {
            run_until_all_but_one(&mut world, node, &incident);
            let held = world.held(BEHIND, 0);
            assert!(held < BACKLOG, "{held} of {BACKLOG} were held: it came with the rest");
            println!("node {node}: {:?}, {held} of the backlog held", world.coverage(node, &incident));
            for ms in world.coverage(node, &incident).into_iter().flatten() {
                assert!(ms < 2_000, "seed {seed}: node {node} knew after {ms} ms");
            }
        }
        assert!(world.report.overtaken > 0);
        assert!(!world.knows_incident(AWAY, &incident));
        // The backlog is worked off; the one that is away stays unknown.
        world.run(60_000);
        assert!(world.held(BEHIND, 0) > BACKLOG);
        for node in [0, 1, BEHIND] {
            assert_eq!(world.coverage(node, &incident)[AWAY], None, "it is away");
        }
        world.reconnect();
        for _ in 0..1_000 {
            if (0..4).all(|node| world.coverage(node, &incident).iter().flatten().count() == 4) {
                break;
            }
            world.run(10);
        }
        for node in 0..4 {
            let shown = world.coverage(node, &incident);
            assert!(shown[AWAY].is_some_and(|ms| ms >= 60_000), "node {node}: {shown:?}");
        }
        world.check();
    }
}

/// Nobody lacks anything: the declaration is the next entry of the log, and all know of all within a second.
#[test]
fn without_a_backlog_all_know_at_once() {
    for seed in 10..14 {
        let mut world = World::new(seed, 5, CALM);
        world.run(4_000);
        let incident = world.declare(0);
        world.run(1_000);
        for node in 0..5 {
            let shown = world.coverage(node, &incident);
            assert!(shown.len() == 5 && shown.iter().all(|ms| ms.is_some_and(|ms| ms < 1_000)), "{shown:?}");
        }
        world.check();
    }
}

/// Statements are lost, payloads left out, nodes crash: everybody knows in the end, and a node that was started again
/// hears everything again.
#[test]
fn it_is_known_in_the_end_whatever_is_lost() {
    let faults = Faults { loss: 6, delay_max_ms: 150, bare: 3, ..CALM };
    for seed in 20..24 {
        let (mut world, incident) = declared_behind_a_backlog(seed, faults);
        for nth in 0..6 {
            world.run(900);
            world.cut_power([BEHIND, 1, 0][nth % 3]);
        }
        world.reconnect();
        world.check();
        for node in 0..4 {
            let shown = world.coverage(node, &incident);
            assert!(shown.len() == 4 && shown.iter().all(Option::is_some), "node {node}: {shown:?}");
        }
    }
}
