//! What governance does: it founds, publishes versions of the roster, lets members join, rotate and leave.

use super::{AURORA, BEACON, NAMES, SECOND_MS, Year};
use crate::founding::{Founding, Member, roster_member};
use crate::random::Random;
use crate::world::{Node, Place};
use hashpact_core::Event;
use hashpact_core::effect::{LockState, SizedNote};
use hashpact_protocol::digest::{RosterDigest, empty_root};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{
    GovernanceKey, HOLD_DEFAULT_S, LogEntry, LogStatus, Member as Listed, MemberId, PanelTerm,
    RETENTION_DEFAULT_S, Roster, SignedRoster, Term, Terms, assemble, sign_roster,
};

/// How many of the governance keys must sign.
pub(super) const THRESHOLD: u8 = 3;
/// For how long a version is valid.
pub(super) const VALID_DAYS: u64 = 120;
pub(super) const GOVERNORS: [&str; 5] = ["ada", "bo", "cleo", "dan", "eve"];

/// The first version and the keys of governance.
pub(super) fn found(random: &mut Random) -> (Founding, Vec<(String, SecretKey)>) {
    let consortium = format!("year-{:016x}", random.bits());
    let members: Vec<Member> = NAMES.iter().map(|id| Member::new(random, &consortium, id)).collect();
    let keys: Vec<(String, SecretKey)> =
        GOVERNORS.iter().map(|name| ((*name).to_owned(), SecretKey::from_seed(random.bytes()))).collect();
    let created_s = Founding::NOW_MS / 1_000 - 60;
    let term = |node: usize| Term::from_the_first(members[node].id.clone());
    let roster = Roster {
        consortium,
        version: 1,
        created_s,
        expires_s: created_s + VALID_DAYS * 86_400,
        previous: None,
        rejected: Vec::new(),
        threshold: THRESHOLD,
        governance: governors(&keys),
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: RETENTION_DEFAULT_S,
        hold_s: HOLD_DEFAULT_S,
        features: Vec::new(),
        groups: Vec::new(),
        members: members.iter().map(roster_member).collect(),
        witnesses: members.iter().map(|member| member.id.clone()).collect(),
        terms: Terms {
            erasers: vec![term(AURORA)],
            panel: (0..3).map(|node| PanelTerm { needed: 2, term: term(node) }).collect(),
            declarers: vec![term(BEACON)],
            stewards: Vec::new(),
        },
    };
    let signed = sign(&roster, &Frontier::empty(), &keys);
    (Founding::on(&signed, members, Vec::new()), keys)
}

fn governors(keys: &[(String, SecretKey)]) -> Vec<GovernanceKey> {
    keys.iter().map(|(name, key)| GovernanceKey { name: name.clone(), key: key.public() }).collect()
}

fn sign(roster: &Roster, before: &Frontier, keys: &[(String, SecretKey)]) -> SignedRoster {
    let body = roster.encode();
    let sign =
        |(name, key): &(String, SecretKey)| sign_roster(&body, before, name, key).expect("a canonical body");
    assemble(&body, before, keys.iter().map(sign).collect()).expect("a note")
}

/// A member in a roster that is being written.
pub(super) fn listed<'a>(roster: &'a mut Roster, id: &MemberId) -> &'a mut Listed {
    roster.members.iter_mut().find(|member| member.id == *id).expect("a listed member")
}

impl Year {
    /// The version that would come next.
    pub(super) fn draft(&self, edit: impl FnOnce(&mut Roster)) -> Roster {
        let chain = self.world.founding.published.last().expect("a first version");
        let held = chain.current();
        let last = chain.suffix_from(held.version - 1).first().expect("a chain has versions");
        let now_s = self.world.now_ms / 1_000;
        let mut roster = Roster {
            version: held.version + 1,
            created_s: now_s,
            expires_s: now_s + VALID_DAYS * 86_400,
            previous: Some(RosterDigest::of_body(&last.body)),
            ..held.clone()
        };
        edit(&mut roster);
        roster
    }

    /// Signs a draft with some keys; whether the chain takes it.
    pub(super) fn is_accepted(&self, draft: &Roster, keys: &[(String, SecretKey)]) -> bool {
        let mut chain = self.world.founding.published.last().expect("a first version").clone();
        let signed = sign(draft, chain.tree(), keys);
        chain.advance(&signed).is_ok()
    }

    /// Governance publishes a next version: the operator of one node installs it, and the others get it from there.
    /// Returns when every member that takes part goes by it.
    pub(super) fn publish(&mut self, via: usize, edit: impl FnOnce(&mut Roster)) -> u64 {
        let draft = self.draft(edit);
        let mut chain = self.world.founding.published.last().expect("a first version").clone();
        let signed = sign(&draft, chain.tree(), &self.keys);
        chain.advance(&signed).unwrap_or_else(|error| panic!("version {}: {error}", draft.version));
        self.world.founding.published.push(chain);
        self.install(via);
        self.until_version(draft.version);
        draft.version
    }

    /// Puts every version that was published on a node's disk.
    pub(super) fn install(&mut self, node: usize) {
        let chain = self.world.founding.published.last().expect("a first version").clone();
        self.world.nodes[node].disk.rosters = chain.suffix_from(1).to_vec();
        self.world.step(node, Event::Roster { versions: chain.suffix_from(0).to_vec() });
    }

    fn until_version(&mut self, version: u64) {
        for _ in 0..600 {
            let inside = self.inside();
            let has = |node: &usize| self.world.roster_version(*node).is_some_and(|held| held >= version);
            if inside.iter().all(has) {
                return;
            }
            self.world.run(SECOND_MS / 2);
        }
        let held: Vec<_> = self.inside().iter().map(|node| self.world.roster_version(*node)).collect();
        panic!("roster version {version} did not reach everybody: {held:?}");
    }

    /// A new member is listed, and its node is started; the number of the node.
    pub(super) fn join(&mut self, id: &str) -> usize {
        let consortium = self.world.founding.chain.current().consortium.clone();
        let member = Member::new(&mut self.world.random, &consortium, id);
        let node = self.world.nodes.len();
        self.world.nodes.push(Node::new(&member, &self.world.founding));
        self.world.founding.members.push(member.clone());
        self.carded_ms.push(self.world.now_ms);
        // Before it is listed its node does not even start.
        self.world.nodes[node].place = Place::Leaving;
        self.world.start(node);
        assert!(
            self.world.nodes[node].place == Place::Outside,
            "a node started under a roster that does not list it"
        );
        self.publish(AURORA, |roster| {
            roster.members.push(roster_member(&member));
            roster.members.sort_by(|one, other| one.id.cmp(&other.id));
            roster.witnesses.push(member.id.clone());
            roster.witnesses.sort();
        });
        self.install(node);
        self.world.nodes[node].place = Place::Inside;
        self.carded_ms[node] = self.world.now_ms;
        self.world.start(node);
        node
    }

    /// Waits until everybody holds all of a member's log; how many entries that is.
    pub(super) fn settle_log(&mut self, node: usize) -> u64 {
        for _ in 0..1_200 {
            self.world.run(SECOND_MS / 2);
            let size = self.world.own_entries(node);
            let locked = self.world.nodes[node].disk.lock.as_ref().map(|lock| lock.size);
            let inside = self.inside();
            if locked == Some(size) && inside.iter().all(|other| self.world.held(*other, node) == size) {
                return size;
            }
        }
        panic!("not everybody holds the log of {}", self.name(node));
    }

    /// A member's node stops, gives its log up and holds the key of the next one, as `recover` does; returns the
    /// member as it was.
    pub(super) fn give_up_log(&mut self, node: usize) -> Member {
        let consortium = self.world.founding.chain.current().consortium.clone();
        let former = self.world.founding.members[node].clone();
        let next = former.next_log(&mut self.world.random, &consortium);
        self.world.cut_power(node);
        let held = &mut self.world.nodes[node];
        let lock = held.disk.lock.clone().expect("a lock");
        let log = held.disk.logs.entry(former.log).or_default();
        assert_eq!(log.entries.len() as u64, lock.size, "everything is signed");
        log.note = (lock.size > 0).then(|| SizedNote { size: lock.size, note: lock.note.clone() });
        held.disk.lock = Some(LockState {
            generation: held.disk.generation,
            origin: next.origin.clone(),
            size: 0,
            root: empty_root(),
            note: Vec::new(),
        });
        held.member = next.clone();
        self.world.founding.members[node] = next;
        self.world.founding.former.push(former.clone());
        former
    }

    /// Closes a log that was given up at a size and opens the member's next one.
    pub(super) fn replace_log(&mut self, node: usize, former: &Member, size: u64, via: usize) {
        self.carded_ms[node] = self.world.now_ms;
        self.replace_log_of_absent(node, former, size, via);
        self.until_open(node);
    }

    /// The same of a member whose node does not run; the version that says so.
    pub(super) fn replace_log_of_absent(
        &mut self,
        node: usize,
        former: &Member,
        size: u64,
        via: usize,
    ) -> u64 {
        let next = self.world.founding.members[node].clone();
        let log = &self.world.nodes[node].disk.logs[&former.log];
        let root = log.frontier_at(size as usize).root();
        self.publish(via, |roster| {
            let member = listed(roster, &next.id);
            member.card_key = next.card_key.public();
            member.cosigner_key = Some(next.cosigner_key.public());
            let open = member.logs.last_mut().expect("it has a log");
            assert_eq!(open.n, former.n);
            open.status = LogStatus::Closed { size, root };
            member.logs.push(LogEntry { n: next.n, key: next.log_key.public(), status: LogStatus::Open });
        })
    }

    /// Waits until a member appends to the log that the roster opened.
    pub(super) fn until_open(&mut self, node: usize) {
        for _ in 0..600 {
            let engine = self.world.nodes[node].engine.as_ref();
            if engine.is_some_and(|engine| engine.own().blocked().is_none()) {
                return;
            }
            self.world.run(SECOND_MS / 2);
        }
        panic!("{} does not append to its next log", self.name(node));
    }

    /// Governance keys are not at hand any more; new ones under their names are, for a version to list.
    pub(super) fn renew_governors(&mut self, lost: &[&str]) -> Vec<GovernanceKey> {
        self.keys.retain(|(name, _)| !lost.contains(&name.as_str()));
        let random = &mut self.world.random;
        let fresh: Vec<(String, SecretKey)> =
            lost.iter().map(|name| ((*name).to_owned(), SecretKey::from_seed(random.bytes()))).collect();
        let listed = governors(&fresh);
        self.keys.extend(fresh);
        self.keys.sort_by(|one, other| one.0.cmp(&other.0));
        listed
    }
}
