//! A minority of governance keys is in the wrong hands: they sign whatever they like, as often as they like, and choose
//! which node gets what, when. The other keys sign one draft a version, as the signing tool has it.
//!
//! Whatever the order: a node goes to no version that honest keys did not sign, never back, and never from a version to a
//! rival of it; and nodes that were led apart stop as soon as they hear of each other.

use crate::sample::{after, first, public, secret};
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::roster::{
    ChainError, GovernanceKey, Roster, RosterChain, SignedRoster, assemble, sign_roster,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const NODES: usize = 3;

/// A body that somebody proposes, on top of these versions.
struct Draft {
    before: Vec<SignedRoster>,
    roster: Roster,
}

impl Draft {
    fn digest(&self) -> RosterDigest {
        RosterDigest::of_body(&self.roster.encode())
    }
}

struct World {
    keys: u8,
    /// Of these, from the first on, so many are in the wrong hands: as many as cannot complete a version alone.
    stolen: u8,
    drafts: Vec<Draft>,
    /// Who signed which body; of the honest keys, after what the tool refuses.
    signed: BTreeMap<RosterDigest, BTreeSet<u8>>,
    /// What each honest key signed, by version.
    remembered: BTreeMap<(u8, u64), RosterDigest>,
    nodes: Vec<RosterChain>,
}

impl World {
    fn new(keys: u8) -> Self {
        let threshold = keys / 2 + 1;
        let mut roster = first();
        roster.threshold = threshold;
        roster.governance =
            (0..keys).map(|at| GovernanceKey { name: format!("k{at}"), key: public(200 + at) }).collect();
        let by: BTreeSet<u8> = (0..keys).collect();
        let one = signed_by(&Draft { before: Vec::new(), roster: roster.clone() }, &by);
        let chain = RosterChain::start(&one, None).unwrap();
        let nodes = vec![chain; NODES];
        let signed = BTreeMap::from([(RosterDigest::of_body(&one.body), by)]);
        Self {
            keys,
            stolen: keys - threshold,
            drafts: Vec::new(),
            signed,
            remembered: BTreeMap::new(),
            nodes,
        }
    }

    /// A draft of what could follow a node's newest version, or an older one.
    fn draft(&mut self, node: usize, back: usize, change: u8) {
        let held = self.nodes[node].suffix_from(0);
        let before = held[..held.len() - back.min(held.len() - 1)].to_vec();
        let mut roster = after(&Roster::parse(&before[before.len() - 1].body).unwrap());
        roster.hold_s = 3_600 * (1 + u64::from(change));
        roster.rejected.clear();
        if change.is_multiple_of(2) {
            // As a tool would that knows what this node knows.
            roster.rejected = self.nodes[node].unsettled().keys().copied().collect();
        }
        if roster.check().is_ok() {
            self.drafts.push(Draft { before, roster });
        }
    }

    fn sign(&mut self, draft: usize, key: u8) {
        let Some(draft) = self.drafts.get(draft) else { return };
        let (digest, version) = (draft.digest(), draft.roster.version);
        let is_honest = key >= self.stolen;
        if is_honest {
            let could_follow = RosterChain::walk(&draft.before).unwrap().check_next(&draft.roster).is_ok();
            let before = self.remembered.get(&(key, version));
            if !could_follow || before.is_some_and(|signed| *signed != digest) {
                return;
            }
            self.remembered.insert((key, version), digest);
        }
        self.signed.entry(digest).or_default().insert(key);
    }

    /// Some node gets a draft with some of its signatures, and the versions before it.
    fn deliver(&mut self, draft: usize, node: usize, mask: u8) {
        let Some(draft) = self.drafts.get(draft) else { return };
        let signers = self.signed.get(&draft.digest()).cloned().unwrap_or_default();
        let by: BTreeSet<u8> = signers.into_iter().filter(|key| mask & (1 << key) != 0).collect();
        if by.is_empty() {
            return;
        }
        let mut versions = draft.before.clone();
        versions.push(signed_by(draft, &by));
        self.hear(node, &versions);
    }

    /// What a node does with versions from anybody.
    fn hear(&mut self, node: usize, versions: &[SignedRoster]) {
        let held = self.nodes[node].suffix_from(0).to_vec();
        for next in versions {
            let chain = &mut self.nodes[node];
            let version = Roster::parse(&next.body).unwrap().version;
            if version > chain.version() {
                if chain.advance(next).is_err() {
                    break;
                }
                let honest = self.signed[&RosterDigest::of_body(&next.body)]
                    .iter()
                    .filter(|key| **key >= self.stolen)
                    .count();
                let needed = usize::from(self.keys / 2 + 1 - self.stolen);
                assert!(honest >= needed, "version {version} with {honest} honest signatures");
            } else {
                // A version 1, or one that does not verify, is nothing to remember.
                let _ = chain.note_rival(next);
            }
        }
        assert!(self.nodes[node].suffix_from(0).starts_with(&held), "node {node} went back, or to a rival");
    }

    /// Everybody hears everything of everybody; whoever was led apart then stands still.
    fn meet(&mut self) {
        for node in 0..NODES {
            for other in 0..NODES {
                let versions = self.nodes[other].suffix_from(0).to_vec();
                self.hear(node, &versions);
            }
        }
        for node in 0..NODES {
            for other in 0..NODES {
                self.check_pair(node, other);
            }
        }
    }

    fn check_pair(&self, node: usize, other: usize) {
        let (ours, theirs) = (&self.nodes[node], &self.nodes[other]);
        let pairs = ours.suffix_from(0).iter().zip(theirs.suffix_from(0));
        let Some((_, rival)) = pairs.into_iter().find(|(a, b)| a.body != b.body) else { return };
        let rival = ours.rival(rival).unwrap().expect("another version");
        let settled = ours
            .suffix_from(0)
            .iter()
            .any(|version| Roster::parse(&version.body).unwrap().rejected.contains(&rival));
        assert!(
            settled || ours.unsettled().contains_key(&rival),
            "node {node} does not know of node {other}"
        );
        if !settled {
            let silent = Roster { rejected: Vec::new(), ..after(ours.current()) };
            assert!(matches!(ours.check_next(&silent), Err(ChainError::Unsettled { .. })));
        }
    }
}

fn signed_by(draft: &Draft, by: &BTreeSet<u8>) -> SignedRoster {
    let (body, before) = (draft.roster.encode(), crate::sample::tree_of(&draft.before));
    let sign = |key: &u8| sign_roster(&body, &before, &format!("k{key}"), &secret(200 + key)).unwrap();
    assemble(&body, &before, by.iter().map(sign).collect()).unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    Draft(usize, usize, u8),
    Sign(usize, u8),
    Deliver(usize, usize, u8),
    Meet,
}

fn act(keys: u8) -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..NODES, 0..3usize, any::<u8>()).prop_map(|(node, back, change)| Act::Draft(node, back, change)),
        8 => (0..10usize, 0..keys).prop_map(|(draft, key)| Act::Sign(draft, key)),
        5 => (0..10usize, 0..NODES, any::<u8>()).prop_map(|(draft, node, mask)| Act::Deliver(draft, node, mask | 0x15)),
        1 => Just(Act::Meet),
    ]
}

fn run(keys: u8, acts: &[Act]) -> World {
    let mut world = World::new(keys);
    for act in acts {
        match *act {
            Act::Draft(node, back, change) => world.draft(node, back, change),
            Act::Sign(draft, key) => world.sign(draft, key),
            Act::Deliver(draft, node, mask) => world.deliver(draft, node, mask),
            Act::Meet => world.meet(),
        }
    }
    world.meet();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_stolen_key_of_three_leads_nobody_astray(acts in vec(act(3), 10..60)) {
        run(3, &acts);
    }

    #[test]
    fn two_stolen_keys_of_five_lead_nobody_astray(acts in vec(act(5), 10..80)) {
        run(5, &acts);
    }
}

/// The stolen key signs both drafts of version 2, and each of the two others one of them: two nodes are led apart,
/// stop when they meet, and go on together once governance has rejected one of the two.
#[test]
fn nodes_that_were_led_apart_stop_when_they_meet() {
    use Act::{Deliver, Draft, Meet, Sign};
    let apart = [
        Draft(0, 0, 2),
        Draft(0, 0, 4),
        Sign(0, 0),
        Sign(1, 0),
        Sign(0, 1),
        Sign(1, 2),
        Deliver(0, 0, 0xff),
        Deliver(1, 1, 0xff),
    ];
    let world = run(3, &apart);
    let versions: Vec<u64> = world.nodes.iter().map(RosterChain::version).collect();
    // The third node heard of node 0 first.
    assert_eq!(versions, [2, 2, 2]);
    assert!(world.nodes.iter().all(|node| node.unsettled().len() == 1));
    let on = [
        &apart[..],
        &[
            Meet,
            Draft(0, 0, 1),
            Sign(2, 0),
            Sign(2, 1),
            Deliver(2, 0, 0xff),
            Draft(0, 0, 6),
            Sign(3, 0),
            Sign(3, 2),
            Deliver(3, 0, 0xff),
        ],
    ]
    .concat();
    let world = run(3, &on);
    let versions: Vec<u64> = world.nodes.iter().map(RosterChain::version).collect();
    assert_eq!(versions[0], 3, "the successor that rejects the other one by name, and no other");
    assert_eq!(world.nodes[0].current().rejected.len(), 1);
    assert_eq!(versions[1], 2, "who holds the rejected one starts again from the pin");
}
