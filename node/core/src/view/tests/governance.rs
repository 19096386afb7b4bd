//! Supersessions, rulings, suspensions and incidents.

use super::*;
use hashpact_protocol::record::{
    ClosingReason, Incident, IncidentClass, IncidentId, Ruling, RulingReason, SuspensionReason, Verdict, Vote,
};
use hashpact_protocol::roster::LogPlace;

type Known = (u8, LeafHash, SubjectRef);

fn signal(value: u8) -> Signal {
    Signal::new(SignalType::Pdq, &[value; 32], None).expect("valid")
}

fn ruling(value: u8, verdict: Verdict) -> Record {
    Record::Ruling(Ruling::new(&signal(value), verdict, RulingReason::Review))
}

fn vote(target: u8, vote: Vote) -> Record {
    let member = author(target).member;
    Record::Suspension(record::Suspension::new(member, 1, vote, SuspensionReason::StolenKey))
}

fn suspend(target: u8, index: u64) -> Record {
    vote(target, Vote::Suspend(LogPlace { n: 1, index }))
}

use hashpact_protocol::record;

impl Script {
    fn supersede(
        &mut self,
        by: u8,
        value: u8,
        (id, place): (LeafHash, SubjectRef),
    ) -> (LeafHash, SubjectRef) {
        let signal = Signal::new(SignalType::Pdq, &[value; 32], Some(80)).expect("valid");
        let content = Content { subject: Some(place), ..Content::new(vec![signal]).expect("valid") };
        self.push(by, Record::Supersede(content), Some(id))
    }

    fn say(&mut self, by: u8, record: Record) {
        self.push(by, record, None);
    }
}

/// One of the ways that [`super::script`] leaves to this file.
pub(super) fn act(
    script: &mut Script,
    (by, action, pick): (u8, u8, u8),
    (owner, id, place): Known,
    records: &mut Vec<Known>,
) {
    match action {
        8 => {
            let (new, at) = script.supersede(owner, pick, (id, place));
            records.push((owner, new, at));
        }
        9 => {
            let (new, at) = script.supersede(by, pick, (id, place));
            records.push((by, new, at));
        }
        10 => {
            let verdict =
                [Verdict::Stands, Verdict::Benign, Verdict::Adult, Verdict::Withdrawn][pick as usize % 4];
            script.say(by, ruling(pick / 4 % 3, verdict));
        }
        11 => script.say(by, suspend(pick % 4, (pick / 4 % 8).into())),
        12 => script.say(by, vote(pick % 4, Vote::Withdraw)),
        _ => {
            let id = IncidentId::new([pick % 2; 16]);
            script.say(
                by,
                Record::Incident(match pick % 3 {
                    0 => Incident::closed(id, ClosingReason::Ended),
                    _ => Incident::declared(id, IncidentClass::ViralContent),
                }),
            );
        }
    }
}

/// Compares everything but records.
pub(super) fn assert_same(one: &View, other: &View) {
    assert_eq!(one.suspensions(), other.suspensions());
    assert_eq!(one.rulings().collect::<Vec<_>>(), other.rulings().collect::<Vec<_>>());
    assert_eq!(one.incidents(), other.incidents());
}

/// Mostly entries of this file.
fn choices() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    let action = prop_oneof![2 => 0..8u8, 1 => 8..10u8, 2 => 10..11u8, 4 => 11..13u8, 1 => 13..14u8];
    prop::collection::vec((0..4u8, action, any::<u8>()), 1..60)
}

proptest! {
    #[test]
    fn any_order_and_any_moment_of_expiry_give_the_same_view(
        choices in choices(), keys in prop::collection::vec(any::<u64>(), 60), pause in 0..60usize,
        (early, late) in (0..SUSPENSION_MS * 2, 0..SUSPENSION_MS * 2),
    ) {
        let script = script(&choices);
        let mut order: Vec<usize> = (0..script.entries.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let (early, late) = (early.min(late), early.max(late));
        let mut whole = script.in_order();
        whole.expire(NOW_MS + late);
        let (mut view, mut indexed, mut told) = (empty(), BTreeSet::new(), BTreeMap::new());
        for (position, at) in order.iter().enumerate() {
            let mut changes = Vec::new();
            if position == pause {
                changes.extend(view.expire(NOW_MS + early));
            }
            let (author, index, leaf, payload) = &script.entries[*at];
            changes.extend(view.fold(author, *index, leaf, payload));
            follow(&mut indexed, &changes);
            hear(&mut told, &mut view);
        }
        let changes = view.expire(NOW_MS + late);
        follow(&mut indexed, &changes);
        hear(&mut told, &mut view);
        prop_assert_eq!(standing(&whole), standing(&view));
        assert_same(&whole, &view);
        let stands: BTreeSet<RecordId> =
            view.records().filter(KnownRecord::stands).map(|record| record.id).collect();
        prop_assert_eq!(indexed, stands, "the index heard of every change");
        let ruled: BTreeMap<Signal, Ruled> =
            view.rulings().map(|(signal, ruled)| (signal.clone(), ruled)).collect();
        prop_assert_eq!(told, ruled, "look-ups heard of every ruling");
    }

    #[test]
    fn members_of_a_newer_roster_are_counted_as_if_they_had_been_from_the_start(
        choices in choices(), members in prop::collection::btree_set(0..4u8, 0..5), at in 0..60usize,
    ) {
        let script = script(&choices);
        let newer = || Rules { members: members.iter().map(|by| author(*by).member).collect(), version: 2, ..rules() };
        let mut from_the_start = View::under(newer(), NOW_MS, [0; 16]);
        let (mut later, mut indexed) = (empty(), BTreeSet::new());
        for (position, (author, index, leaf, payload)) in script.entries.iter().enumerate() {
            if position == at.min(script.entries.len() - 1) {
                let changes = later.adopt(newer());
                follow(&mut indexed, &changes);
            }
            from_the_start.fold(author, *index, leaf, payload);
            let changes = later.fold(author, *index, leaf, payload);
            follow(&mut indexed, &changes);
        }
        prop_assert_eq!(standing(&from_the_start), standing(&later));
        assert_same(&from_the_start, &later);
    }
}

fn follow(indexed: &mut BTreeSet<RecordId>, changes: &[ViewChange]) {
    for change in changes {
        match change.index {
            IndexChange::Add => assert!(indexed.insert(change.record.id)),
            IndexChange::Remove => assert!(indexed.remove(&change.record.id)),
            IndexChange::Keep => {}
        }
    }
}

fn hear(told: &mut BTreeMap<Signal, Ruled>, view: &mut View) {
    for RulingChange { signal, ruled } in view.take_news().rulings {
        match ruled {
            Some(ruled) => told.insert(signal, ruled),
            None => told.remove(&signal),
        };
    }
}

/// The view a little after the last claimed time.
fn settled(script: &Script) -> View {
    settled_after(script, &(0..script.entries.len()).collect::<Vec<_>>())
}

fn settled_after(script: &Script, order: &[usize]) -> View {
    let mut view = script.fold(order);
    view.expire(NOW_MS + 1_000);
    view
}

fn status(view: &View, id: &LeafHash) -> Status {
    view.record(id).expect("known").status()
}

#[test]
fn the_author_supersedes_for_good_and_of_rivals_the_last_one_counts() {
    let mut script = Script::default();
    let old = script.content(0, 1, None);
    let first = script.supersede(0, 2, old);
    let other = script.supersede(1, 3, old);
    let second = script.supersede(0, 4, old);
    script.push(0, Record::Retraction(Retraction::new(second.1, RetractionReason::Error)), Some(second.0));
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 0, 4, 2]] {
        let view = script.fold(&order);
        let statuses = [old, first, other, second].map(|(id, _)| status(&view, &id));
        assert_eq!(statuses, [Status::Superseded, Status::Superseded, Status::Active, Status::Retracted]);
        let Some(StatusReason::SupersededBy { member, record, entry, .. }) =
            view.record(&old.0).expect("known").standing.reason
        else {
            panic!("no reason")
        };
        assert_eq!((member, record, entry.index), (author(0).member, second.0, 2));
    }
    // The last one is not here yet: the one before it stands.
    let view = script.fold(&[0, 1]);
    assert_eq!([old, first].map(|(id, _)| status(&view, &id)), [Status::Superseded, Status::Active]);
}

#[test]
fn a_supersession_acts_from_its_leaf_whatever_becomes_of_its_payload() {
    for payload in [StoredPayload::Withheld, StoredPayload::NotHere, StoredPayload::Erased] {
        let mut script = Script::default();
        let old = script.content(0, 1, None);
        let new = script.supersede(0, 2, old);
        let is_erased = payload == StoredPayload::Erased;
        let whole = script.entries[1].3.clone();
        script.entries[1].3 = payload;
        let mut view = script.in_order();
        assert_eq!(status(&view, &old.0), Status::Superseded);
        assert_eq!(view.record(&new.0).map(|record| record.status()), is_erased.then_some(Status::Erased));
        if !is_erased {
            let (author, index, leaf, _) = &script.entries[1];
            view.supply(author, *index, leaf, &whole);
            assert_eq!(status(&view, &new.0), Status::Active);
            assert_eq!(view.counts(&author.log).entries(), 2);
        }
    }
}

#[test]
fn the_panel_rules_while_enough_hold_the_same_and_not_a_moment_longer() {
    let mut script = Script::default();
    script.say(1, ruling(7, Verdict::Benign));
    script.say(0, ruling(7, Verdict::Benign));
    let alone = script.in_order();
    assert_eq!(alone.ruled(&signal(7)), None, "one panellist, and a member who is none");
    script.say(2, ruling(7, Verdict::Benign));
    let view = script.in_order();
    let ruled = view.ruled(&Signal::new(SignalType::Pdq, &[7; 32], Some(9)).expect("valid")).expect("ruled");
    assert_eq!((ruled.verdict, ruled.needed), (Verdict::Benign, 2));
    assert_eq!(ruled.panellists, [author(1).member, author(2).member]);
    assert_eq!(view.ruled(&signal(8)), None, "byte for byte");
    script.say(2, ruling(7, Verdict::Stands));
    assert_eq!(script.in_order().ruled(&signal(7)), None);
    script.say(3, ruling(7, Verdict::Stands));
    let ruled = script.in_order().ruled(&signal(7)).expect("ruled");
    assert_eq!((ruled.verdict, ruled.panellists.len()), (Verdict::Stands, 2));
    script.say(3, ruling(7, Verdict::Withdrawn));
    assert_eq!(script.in_order().ruled(&signal(7)), None);
}

#[test]
fn a_panel_that_followed_another_judges_by_its_own_number() {
    let term = |by: u8, from, until: Option<u64>, needed| {
        let place = |index| LogPlace { n: 1, index };
        PanelTerm {
            needed,
            term: Term { member: author(by).member, from: place(from), until: until.map(place) },
        }
    };
    // Two of two until entry 1 of each, then three of three.
    let panel = vec![
        term(1, 0, Some(1), 2),
        term(1, 1, None, 3),
        term(2, 0, Some(1), 2),
        term(2, 1, None, 3),
        term(3, 0, None, 3),
    ];
    let rules = Rules { panel, ..rules() };
    let mut script = Script::default();
    script.say(1, ruling(7, Verdict::Benign));
    script.say(2, ruling(7, Verdict::Benign));
    let fold = |script: &Script| {
        let mut view = View::under(rules.clone(), NOW_MS, [0; 16]);
        for (author, index, leaf, payload) in &script.entries {
            view.fold(author, *index, leaf, payload);
        }
        view.ruled(&signal(7)).map(|ruled| ruled.verdict)
    };
    assert_eq!(fold(&script), Some(Verdict::Benign), "the earlier panel's stands on");
    script.say(1, ruling(7, Verdict::Adult));
    assert_eq!(fold(&script), None, "what was said before is not counted under a smaller number");
    script.say(2, ruling(7, Verdict::Adult));
    assert_eq!(fold(&script), None, "two of three");
    script.say(3, ruling(7, Verdict::Adult));
    assert_eq!(fold(&script), Some(Verdict::Adult));
}

#[test]
fn a_verdict_on_signals_is_one_on_records() {
    let mut script = Script::default();
    for (by, verdict) in [(1, Verdict::Benign), (2, Verdict::Benign)] {
        script.say(by, ruling(7, verdict));
    }
    for by in [1, 2] {
        script.say(by, ruling(8, Verdict::Stands));
    }
    let view = script.in_order();
    let (benign, stands) = (view.ruled(&signal(7)), view.ruled(&signal(8)));
    let disputed = || Standing { status: Status::Disputed, ..Standing::UNDISPUTED };
    let cases = [
        (Standing::UNDISPUTED, vec![benign.as_ref()], Status::Ruled),
        (disputed(), vec![benign.as_ref()], Status::Ruled),
        (Standing::UNDISPUTED, vec![benign.as_ref(), None], Status::Active),
        (Standing::UNDISPUTED, vec![benign.as_ref(), stands.as_ref()], Status::Active),
        (disputed(), vec![stands.as_ref(), None], Status::Active),
        (disputed(), vec![benign.as_ref(), None], Status::Disputed),
        (disputed(), vec![None], Status::Disputed),
        (
            Standing { status: Status::Retracted, ..Standing::UNDISPUTED },
            vec![benign.as_ref()],
            Status::Retracted,
        ),
    ];
    for (standing, verdicts, expected) in cases {
        assert_eq!(standing.clone().ruled(verdicts).status, expected, "{standing:?}");
    }
}

/// Four members, of whom 1 is to be suspended from its entry 1 on by all others.
fn emergency() -> (Script, [LeafHash; 3]) {
    let mut script = Script::default();
    let (before, _) = script.content(1, 1, None);
    let (after, _) = script.content(1, 2, None);
    let (other, place) = script.content(2, 3, None);
    script.push(1, Record::Opinion(Opinion::new(place, OpinionValue::Disagree, Reason::Adult)), Some(other));
    for by in [0, 2, 3] {
        script.say(by, suspend(1, 1));
    }
    (script, [before, after, other])
}

#[test]
fn more_than_half_suspend_a_member_for_a_time_and_for_its_later_entries() {
    let (script, ids) = emergency();
    let statuses = |view: &View| ids.map(|id| status(view, &id));
    let mut view = settled_after(&script, &[0, 1, 2, 3, 4, 5]);
    assert_eq!(statuses(&view), [Status::Active, Status::Active, Status::Disputed], "two of four");
    let (author_of, index, leaf, payload) = &script.entries[6];
    let changes = view.fold(author_of, *index, leaf, payload);
    assert_eq!(statuses(&view), [Status::Active, Status::Suspended, Status::Active]);
    assert_eq!(changes.iter().filter(|change| change.index == IndexChange::Remove).count(), 1);
    let reason = view.record(&ids[1]).expect("known").standing.reason;
    let Some(StatusReason::SuspendedBy { votes, members, until_ms, roster_version }) = reason else {
        panic!("{reason:?}")
    };
    assert_eq!((votes, members, roster_version), (3, 4, 1));
    assert!(view.take_news().suspensions.is_some());
    assert!(view.expire(until_ms - 1).is_empty());
    let changes = view.expire(until_ms);
    assert_eq!(changes.iter().filter(|change| change.index == IndexChange::Add).count(), 1);
    assert_eq!(statuses(&view), [Status::Active, Status::Active, Status::Disputed]);
    assert!(view.take_news().suspensions.is_some(), "that it is over is news");
}

/// Time passes for those who vote.
fn pause(script: &mut Script) {
    for (by, value) in [0, 2, 3].into_iter().flat_map(|by| (20..24).map(move |value| (by, value))) {
        script.content(by, value, None);
    }
}

#[test]
fn a_suspension_is_undone_by_as_many_and_there_is_one_for_each_roster_version() {
    let (mut script, ids) = emergency();
    pause(&mut script);
    script.say(0, vote(1, Vote::Withdraw));
    script.say(2, vote(1, Vote::Withdraw));
    assert_eq!(status(&settled(&script), &ids[1]), Status::Suspended, "two of four");
    script.say(3, vote(1, Vote::Withdraw));
    let view = settled(&script);
    assert_eq!(status(&view, &ids[1]), Status::Active);
    assert!(view.suspensions()[0].is_withdrawn);
    pause(&mut script);
    for by in [0, 2, 3] {
        script.say(by, suspend(1, 0));
    }
    let view = settled(&script);
    assert_eq!((status(&view, &ids[1]), view.suspensions().len()), (Status::Active, 1), "once a version");
}

#[test]
fn nobody_evades_a_suspension_by_dates_and_no_single_vote_moves_it() {
    let mut script = Script::default();
    let (id, _) = script.content(1, 1, None);
    // One names a place that lies far ahead, one the very first: more than half agree on the middle or lower.
    for (by, index) in [(0, 1_000), (2, 0), (3, 0)] {
        script.say(by, suspend(1, index));
    }
    let view = settled(&script);
    assert_eq!(view.suspensions()[0].from, LogPlace { n: 1, index: 1_000 }, "three of four are needed");
    assert_eq!(status(&view, &id), Status::Active);
    // The record at place 1 says that it was made long before the suspension began; its place tells otherwise.
    let (mut script, _) = emergency();
    let (late, _) = script.content(1, 9, None);
    let last = script.entries.len() - 1;
    let view = settled_after(&script, &[last, 0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(status(&view, &late), Status::Suspended);
}

#[test]
fn what_a_suspended_member_states_is_no_vote_no_ruling_and_no_withdrawal() {
    let (mut script, _) = emergency();
    let (first, place) = (leaf_hash(&script.entries[0].2), SubjectRef { log: author(1).log, index: 0 });
    script.push(1, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(first));
    script.say(1, ruling(7, Verdict::Benign));
    script.say(2, ruling(7, Verdict::Benign));
    for by in [1, 2] {
        script.say(by, suspend(0, 0));
    }
    let mut view = settled(&script);
    assert_eq!(status(&view, &first), Status::Active);
    assert_eq!(view.ruled(&signal(7)), None);
    assert_eq!(view.suspensions().len(), 1, "the second case has one vote of three members");
    view.expire(NOW_MS + 2 * SUSPENSION_MS);
    assert_eq!(status(&view, &first), Status::Retracted);
    assert!(view.ruled(&signal(7)).is_some());
}

#[test]
fn incidents_are_declared_and_closed_by_declarers_only_and_for_good() {
    let id = IncidentId::new([3; 16]);
    let mut script = Script::default();
    script.say(1, Record::Incident(Incident::declared(id, IncidentClass::ViralContent)));
    assert!(script.in_order().incident(&id).is_none());
    script.say(0, Record::Incident(Incident::declared(id, IncidentClass::Extortion)));
    let mut view = script.in_order();
    let incident = view.incident(&id).expect("declared");
    assert_eq!((incident.class, incident.closed), (IncidentClass::Extortion, None));
    assert!(view.take_news().incidents.is_some());
    script.say(1, Record::Incident(Incident::closed(id, ClosingReason::Mistaken)));
    script.say(0, Record::Incident(Incident::closed(id, ClosingReason::Ended)));
    script.say(0, Record::Incident(Incident::declared(id, IncidentClass::Other)));
    let order: Vec<usize> = (0..script.entries.len()).rev().collect();
    for view in [script.in_order(), script.fold(&order)] {
        let incident = view.incident(&id).expect("declared");
        assert_eq!(incident.class, IncidentClass::Extortion);
        assert_eq!(
            incident.closed.map(|(step, why)| (step.member, why)),
            Some((author(0).member, ClosingReason::Ended))
        );
    }
}

#[test]
fn what_is_held_of_a_models_training_settles_and_clears_nothing() {
    let ruled = |verdict| Ruled {
        verdict,
        panellists: Vec::new(),
        needed: 1,
        time_ms: 0,
        entry: EntryRef { log: LogId::new([1; 32]), index: 0 },
        reason: RulingReason::Review,
    };
    let status = |status, verdict| {
        let standing = Standing { status, ..Standing::UNDISPUTED };
        standing.ruled([Some(&ruled(verdict))]).status
    };
    assert_eq!(status(Status::Disputed, Verdict::TrainedOnKnownCsam), Status::Disputed);
    assert_eq!(status(Status::Active, Verdict::TrainedOnKnownCsam), Status::Active);
    assert_eq!(status(Status::Disputed, Verdict::Stands), Status::Active);
    assert_eq!(status(Status::Active, Verdict::Benign), Status::Ruled);
}
