//! A newer roster reaches every running node through its peers, is on disk before it counts, and never goes back.

use hashpact_sim::{Faults, World};

#[test]
fn versions_spread_through_crashes_and_partitions() {
    let faults = Faults { loss: 10, delay_max_ms: 120, crash: 6, cut: 8, bare: 0, partition: 30 };
    for seed in 700..712 {
        println!("seed {seed}");
        let mut world = World::new(seed, 4, faults);
        world.run(4_000);
        let mut seen = [1; 4];
        for nth in 0..60 {
            world.act();
            if nth % 20 == 5 && world.is_running(1) {
                world.install_roster(1);
            }
            world.run(200);
            for (node, seen) in seen.iter_mut().enumerate() {
                let version = world.roster_version(node).unwrap_or(*seen);
                assert!(version >= *seen, "{node} went back from {seen} to {version}");
                *seen = version;
            }
        }
        world.check();
        let newest = (0..4).filter_map(|node| world.roster_version(node)).max();
        assert!(newest > Some(1), "no version was installed");
        assert!((0..4).all(|node| world.roster_version(node) == newest), "all hold {newest:?}");
    }
}
