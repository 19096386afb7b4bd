//! A machine is stolen with its keys: two histories, evidence, and a closure below the thief's first entry.

use super::checks::stand;
use super::{AURORA, DAY_MS, DELTA, HOUR_MS, ISLAND, SECOND_MS, Year};
use crate::world::Place;
use hashpact_core::effect::PayloadState;
use hashpact_core::view::{Status, View};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::record::{
    Content, Erasure, ErasureBasis, ErasureReason, Opinion, OpinionValue, Reason, Record, Retraction,
    RetractionReason, SubjectRef,
};

/// What the thief found, and what it did.
struct Loot {
    log: LogId,
    /// Entries that its owner stated.
    shared: u64,
    /// The owner's records.
    good: Vec<RecordId>,
    /// A record of another member, which the owner agreed with.
    other: RecordId,
    /// The thief's records, in the one history and in the other.
    bad: [Vec<RecordId>; 2],
}

impl Year {
    pub(super) fn theft(&mut self) {
        let is_loud = self.dice.once_in(2);
        let loot = self.steal(is_loud);
        self.until_evidence(&loot);
        if is_loud {
            self.note(
                "the thief gets a quorum to cosign one of its histories; all the same every member \
                has the evidence",
            );
        } else {
            let both = loot.bad.concat();
            self.until("both histories for review", |view| stand(view, &both, Status::Contested));
            self.until("what the thief withdrew", |view| {
                stand(view, &loot.good[..2], Status::Retracted)
                    && stand(view, &loot.good[2..3], Status::Sealed)
            });
            self.note(
                "every member has the evidence, and both histories match for review only; what the \
                thief withdrew is withdrawn, and nothing is destroyed yet",
            );
        }
        self.skip(DAY_MS);
        self.recover_island(&loot);
        self.until("the owner's records", |view| stand(view, &loot.good, Status::Active));
        self.until("nothing of the thief", |view| !loot.bad.iter().flatten().any(|id| matches(view, id)));
        let owner = self.world.nodes[ISLAND].member.id.clone();
        self.until("the owner's opinion", |view| {
            let record = view.record(&loot.other);
            let said = record.and_then(|record| record.standing.statements.get(&owner).cloned());
            said.is_some_and(|said| said.opinion == OpinionValue::Agree)
        });
        self.note(format!(
            "governance closes island's log at entry {}, where the thief began, and opens the next one: \
             retractions, orders and opinions of the thief lapse, and its records match nowhere",
            loot.shared
        ));
        self.skip(75 * HOUR_MS);
        for node in self.inside() {
            let found = self.world.nodes[node].disk.find_subjects(&loot.good);
            let is_whole = found.iter().all(|at| at.state == PayloadState::Present);
            assert!(is_whole && found.len() == loot.good.len(), "{} lost a payload", self.name(node));
        }
        let signals = vec![self.signal()];
        let items = self.contribute(ISLAND, signals, false);
        let ids = self.ledger.ids(&items);
        self.until("island under its new keys", |view| stand(view, &ids, Status::Active));
        self.note(
            "the time to destroy has passed, and no payload is lost; island contributes under new keys",
        );
        self.business(20);
    }

    /// The thief writes two histories behind what its owner stated, and shows one to each member.
    fn steal(&mut self, is_loud: bool) -> Loot {
        let signals = (0..4).map(|_| self.signal()).collect();
        let good = self.contribute(ISLAND, signals, true);
        let good = self.ledger.ids(&good);
        let signals = vec![self.signal()];
        let other = self.contribute(DELTA, signals, true);
        self.opine(ISLAND, other[0], OpinionValue::Agree, None);
        let other = self.ledger.id(other[0]);
        let shared = self.settle_log(ISLAND);
        let all: Vec<RecordId> = good.iter().copied().chain([other]).collect();
        self.until("all of before the theft", |view| all.iter().all(|id| view.record(id).is_some()));
        let log = self.world.nodes[ISLAND].member.log;
        let nodes = self.world.nodes.len();
        let side = |node: usize| match is_loud {
            // Ten of the twelve witnesses are shown the second one.
            true => usize::from(node != AURORA && node != DELTA),
            false => node % 2,
        };
        self.world.steal(ISLAND, (0..nodes).map(side).collect());
        let place = |year: &Self, id: &RecordId| {
            let view = year.world.nodes[AURORA].engine.as_ref().expect("it runs").view();
            let record = view.record(id).expect("it is known");
            SubjectRef { log: record.author.log, index: record.index }
        };
        let retraction = |year: &Self, id: &RecordId| {
            (Record::Retraction(Retraction::new(place(year, id), RetractionReason::Error)), Some(*id))
        };
        let first = vec![retraction(self, &good[0])];
        let erasure = Erasure::new(place(self, &good[2]), ErasureReason::Error, ErasureBasis::Own);
        let opinion = Opinion::new(place(self, &other), OpinionValue::Disagree, Reason::Error);
        let second = vec![
            retraction(self, &good[1]),
            (Record::Erasure(erasure), Some(good[2])),
            (Record::Opinion(opinion), Some(other)),
        ];
        let bad = [first, second].map(|statements| (self.thief_content(), statements));
        let mut sides = 0..;
        let bad = bad.map(|(contents, statements)| {
            let side = sides.next().expect("two of them");
            self.world.thief_writes(side, statements);
            self.world.thief_writes(side, contents)
        });
        self.note(
            "island's machine is stolen with all its keys; the thief signs two histories, retracts \
            and erases in them, and shows one to some members and the other to the rest",
        );
        for _ in 0..4 {
            for witness in self.inside() {
                self.world.thief_asks(witness);
                self.world.run(300);
            }
        }
        Loot { log, shared, good, other, bad }
    }

    fn thief_content(&mut self) -> Vec<(Record, Option<RecordId>)> {
        let content = |signal| (Record::Content(Content::new(vec![signal]).expect("a valid record")), None);
        (0..3).map(|_| content(self.signal())).collect()
    }

    fn until_evidence(&mut self, loot: &Loot) {
        for _ in 0..600 {
            let inside = self.inside();
            let mut engines = inside.iter().map(|node| self.world.nodes[*node].engine.as_ref());
            let knows = |engine: &hashpact_core::Engine| {
                engine.forked().any(|known| known == (loot.log, Some(loot.shared)))
            };
            if engines.all(|engine| engine.is_some_and(knows)) {
                return;
            }
            self.world.run(SECOND_MS / 2);
        }
        panic!("not every member has evidence of the theft");
    }

    /// The owner gets another machine with other keys, and the same disk.
    fn recover_island(&mut self, loot: &Loot) {
        self.world.unplug();
        // Whatever was under way to the stolen machine comes to nothing.
        self.world.run(8 * SECOND_MS);
        let former = self.give_up_log(ISLAND);
        let (peer, card) = (self.world.random.bytes(), self.world.random.bytes());
        let next = &mut self.world.founding.members[ISLAND];
        next.peer = SecretKey::from_seed(peer).public();
        next.card_key = SecretKey::from_seed(card);
        self.world.nodes[ISLAND].member = next.clone();
        // The consortium decides first; then the node is started, with the roster that its operator was handed.
        let version = self.replace_log_of_absent(ISLAND, &former, loot.shared, AURORA);
        self.world.nodes[ISLAND].place = Place::Inside;
        self.install(ISLAND);
        self.world.start(ISLAND);
        self.until_open(ISLAND);
        self.carded_ms[ISLAND] = self.world.now_ms;
        assert_eq!(self.world.roster_version(ISLAND), Some(version));
    }
}

fn matches(view: &View, id: &RecordId) -> bool {
    view.record(id).is_some_and(|record| record.stands())
}
