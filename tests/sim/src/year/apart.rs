//! Members that do not reach each other: one that an incident finds far behind, and a consortium in two parts.

use super::checks::stand;
use super::{BEACON, DAY_MS, DELTA, GROVE, HARBOR, LUMEN, SECOND_MS, Year};
use hashpact_core::effect::SubmitError;
use hashpact_core::event::Draft;
use hashpact_core::view::Status;
use hashpact_protocol::record::{
    ClosingReason, Content, Handling, Incident, IncidentClass, IncidentId, RetractionReason,
};

const BACKLOG: u64 = 800;
const PARTED_DAYS: u64 = 9;

impl Year {
    pub(super) fn incident(&mut self) {
        let signals = vec![self.signal()];
        let [early] = self.contribute(BEACON, signals, true)[..] else { unreachable!("one record") };
        let early_id = self.ledger.id(early);
        self.until("an early record", |view| stand(view, &[early_id], Status::Active));
        let others: Vec<usize> = self.inside().into_iter().filter(|node| *node != LUMEN).collect();
        for other in &others {
            self.world.cut_for_good(LUMEN, *other);
        }
        for _ in 0..4 {
            let signals = (0..BACKLOG / 4).map(|_| self.signal()).collect();
            self.contribute(BEACON, signals, false);
        }
        let id = IncidentId::new(*self.dice.bytes().first_chunk().expect("16 of 32 bytes"));
        let declaration = Draft::Incident(Incident::declared(id, IncidentClass::GeneratorRelease));
        assert_eq!(self.refused(DELTA, declaration.clone()), SubmitError::MayNotDeclare);
        self.say(BEACON, vec![declaration]);
        self.retract(early, RetractionReason::Error);
        self.until_at(&others, "the incident", |view| view.incident(&id).is_some());
        self.note(
            "beacon declares an incident while lumen is cut off and lacks hundreds of beacon's \
            records; delta may not declare",
        );
        self.world.reconnect();
        self.overtakes(early_id, id);
        self.during(id);
        let closure = Draft::Incident(Incident::closed(id, ClosingReason::Ended));
        self.say(BEACON, vec![closure]);
        self.until("the end of the incident", |view| {
            view.incident(&id).is_some_and(|incident| incident.closed.is_some())
        });
        let again = Draft::Incident(Incident::declared(id, IncidentClass::GeneratorRelease));
        assert_eq!(self.refused(BEACON, again), SubmitError::IncidentIs(id, "closed"));
        self.note("beacon closes the incident, for good");
        self.business(20);
    }

    /// The declaration and a retraction are at the node that lags before the backlog is.
    fn overtakes(&mut self, early: hashpact_protocol::digest::RecordId, id: IncidentId) {
        for _ in 0..5_000 {
            let engine = self.world.nodes[LUMEN].engine.as_ref();
            let is_there = engine.is_some_and(|engine| {
                engine.view().incident(&id).is_some() && stand(engine.view(), &[early], Status::Retracted)
            });
            if is_there {
                let (held, all) = (self.world.held(LUMEN, BEACON), self.world.own_entries(BEACON));
                assert!(held < all, "{held} of {all}: they came with the rest");
                self.note(
                    "reconnected, lumen knows of the incident, and of a retraction, before the \
                    backlog has arrived",
                );
                return;
            }
            self.world.run(10);
        }
        panic!("the declaration never arrived");
    }

    /// Three members contribute to the incident.
    fn during(&mut self, id: IncidentId) {
        for node in [DELTA, GROVE, HARBOR] {
            let contents = (0..5).map(|_| {
                let mut content = Content::new(vec![self.signal()]).expect("a valid record");
                let handling = Handling { incident: Some(id), ..Handling::default() };
                content.handling = handling.boxed().expect("a valid record");
                content
            });
            let contents = contents.collect();
            let items = self.contribute_contents(node, contents, true);
            let ids = self.ledger.ids(&items);
            self.until("records of the incident", |view| stand(view, &ids, Status::Active));
        }
        self.note("delta, grove and harbor contribute 15 records to it, which match everywhere");
    }

    pub(super) fn partition(&mut self) {
        let inside = self.inside();
        let (few, many) = inside.split_at(4);
        let (few, many) = (few.to_vec(), many.to_vec());
        self.world.part_off(few.iter().copied().collect(), PARTED_DAYS * DAY_MS);
        self.world.run(10 * SECOND_MS);
        let mut stated = Vec::new();
        for (here, there) in [(&few, &many), (&many, &few)] {
            let node = here[0];
            let signals = vec![self.signal()];
            let items = self.contribute(node, signals, true);
            let id = self.ledger.id(items[0]);
            self.until_at(here, "a record of this part", |view| stand(view, &[id], Status::Active));
            let away = there.iter().filter_map(|node| self.world.nodes[*node].engine.as_ref());
            assert!(away.into_iter().all(|engine| engine.view().record(&id).is_none()), "they are apart");
            stated.push(id);
        }
        self.note(format!("a cable breaks: {} members are apart from the {} others", few.len(), many.len()));
        self.business_of(&few, 8);
        self.business_of(&many, 12);
        self.skip(PARTED_DAYS * DAY_MS);
        self.until("records of both parts", |view| stand(view, &stated, Status::Active));
        self.note(format!(
            "after {PARTED_DAYS} days they find one another, and every member has the records of both parts"
        ));
        self.business(20);
    }
}
