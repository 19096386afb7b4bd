//! Members who left: lapsed records and stewards; and records that name two entries.

use super::*;
use hashpact_protocol::roster::{LogPlace, StewardTerm};

/// Whose records have stewards.
const LEAVER: u8 = 3;

fn id(number: u8) -> MemberId {
    author(number).member
}

fn place(index: u64) -> LogPlace {
    LogPlace { n: 1, index }
}

/// Member 3 left; member 1 is its steward from its entry 1 to before its entry 4, and member 2 from its entry 2 on.
fn stewarded() -> Rules {
    let steward = |by: u8, from, until: Option<u64>| StewardTerm {
        of: id(LEAVER),
        term: Term { member: id(by), from: place(from), until: until.map(place) },
    };
    let leavers = Leavers {
        stewards: vec![steward(1, 1, Some(4)), steward(2, 2, None)],
        logs: BTreeMap::from([(author(LEAVER).log, id(LEAVER))]),
        ..Leavers::default()
    };
    Rules { leavers, ..rules() }
}

fn lapsing(members: &[u8]) -> Rules {
    let lapsed = members.iter().map(|by| (id(*by), 7)).collect();
    Rules { leavers: Leavers { lapsed, ..stewarded().leavers }, ..rules() }
}

impl Script {
    fn under(&self, rules: Rules, order: &[usize]) -> View {
        let mut view = View::under(rules, NOW_MS, [0; 16]);
        for at in order {
            let (author, index, leaf, payload) = &self.entries[*at];
            view.fold(author, *index, leaf, payload);
        }
        view
    }

    /// The view in this order, after a check that it is the same in the other direction.
    fn both_ways(&self, rules: &Rules) -> View {
        let order: Vec<usize> = (0..self.entries.len()).collect();
        let (one, other) = (
            self.under(rules.clone(), &order),
            self.under(rules.clone(), &order.iter().rev().copied().collect::<Vec<_>>()),
        );
        assert_eq!(standing(&one), standing(&other));
        one
    }

    fn pad(&mut self, by: u8, count: u8) {
        for value in 0..count {
            self.content(by, 100 + value, None);
        }
    }

    fn retract(&mut self, by: u8, (id, place): (LeafHash, SubjectRef)) {
        self.push(by, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
    }

    fn replace(&mut self, by: u8, value: u8, (id, place): (LeafHash, SubjectRef)) -> (LeafHash, SubjectRef) {
        let signal = Signal::new(SignalType::Pdq, &[value; 32], Some(80)).expect("valid");
        let content = Content { subject: Some(place), ..Content::new(vec![signal]).expect("valid") };
        self.push(by, Record::Supersede(content), Some(id))
    }
}

fn status(view: &View, (id, _): &(LeafHash, SubjectRef)) -> Status {
    view.record(id).expect("known").status()
}

/// Entries of every sort but votes, after which what counts is a matter of time.
fn choices() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec((0..4u8, 0..11u8, any::<u8>()), 1..60)
}

/// Whether an entry of this kind withdraws what the leaver stated, by the rules of [`stewarded`].
fn withdraws(kind: Kind, by: &MemberId, index: u64) -> bool {
    let is_steward = *by == id(1) && (1..4).contains(&index) || *by == id(2) && index >= 2;
    // Member 0 may order erasures of everything.
    let is_authority = kind == Kind::Erasure && *by == id(0);
    kind.acts_from_leaf() && (*by == id(LEAVER) || is_steward || is_authority)
}

proptest! {
    #[test]
    fn any_arrival_order_gives_the_same_under_stewards_and_lapses(
        choices in choices(), keys in prop::collection::vec(any::<u64>(), 60), lapsed in prop::collection::vec(0..4u8, 0..3),
    ) {
        let script = script(&choices);
        let mut order: Vec<usize> = (0..script.entries.len()).collect();
        let in_order = script.under(lapsing(&lapsed), &order);
        order.sort_by_key(|at| keys[*at]);
        let (mut view, mut indexed) = (View::under(lapsing(&lapsed), NOW_MS, [0; 16]), BTreeSet::new());
        for at in order {
            let (author, index, leaf, payload) = &script.entries[at];
            for change in view.fold(author, *index, leaf, payload) {
                match change.index {
                    IndexChange::Add => prop_assert!(indexed.insert(change.record.id)),
                    IndexChange::Remove => prop_assert!(indexed.remove(&change.record.id)),
                    IndexChange::Keep => {}
                }
            }
        }
        prop_assert_eq!(standing(&in_order), standing(&view));
        let stands = view.records().filter(KnownRecord::stands).map(|record| record.id).collect();
        prop_assert_eq!(indexed, stands, "the index heard of every change");
    }

    #[test]
    fn what_a_leaver_stated_stands_until_itself_or_a_steward_within_the_term_withdraws_it(choices in choices()) {
        let script = script(&choices);
        let view = script.both_ways(&stewarded());
        for record in view.records().filter(|record| record.author.member == id(LEAVER)) {
            let withdrawals = script.entries.iter().any(|(author, index, leaf, _)| {
                let kind = marked_kind(leaf).expect("a kind");
                withdrawn_record(author, *index, leaf) == Some(record.id) && withdraws(kind, &author.member, *index)
            });
            let is_past = record.status() == Status::Expired;
            // A later supersession of the same subject takes the place of an earlier one, and is about another record.
            let is_rival = matches!(
                &record.standing.reason, Some(StatusReason::SupersededBy { .. })
            ) && view.supersedes(&record.id).is_some();
            prop_assert!(record.stands() != withdrawals || is_past || is_rival, "{:?}", record);
        }
    }

    #[test]
    fn a_lapse_takes_away_records_and_opinions_of_the_leaver_and_nothing_else(choices in choices()) {
        let script = script(&choices);
        let (before, after) = (script.both_ways(&stewarded()), script.both_ways(&lapsing(&[LEAVER])));
        for (was, now) in before.records().zip(after.records()) {
            if was.author.member == id(LEAVER) {
                prop_assert!(!now.stands());
                prop_assert!(now.status() == Status::Lapsed || !was.stands() && now.status() == was.status());
            } else {
                prop_assert_eq!(now.stands(), was.stands());
                let others = was.standing.statements.into_iter().filter(|(member, _)| *member != id(LEAVER));
                prop_assert_eq!(now.standing.statements, others.collect());
            }
        }
    }
}

#[test]
fn a_lapsed_record_says_why_and_an_opinion_of_the_leaver_does_not_dispute() {
    let mut script = Script::default();
    let (own, other) = (script.content(LEAVER, 1, None), script.content(0, 2, None));
    script.push(
        LEAVER,
        Record::Opinion(Opinion::new(other.1, OpinionValue::Disagree, Reason::Adult)),
        Some(other.0),
    );
    let view = script.both_ways(&lapsing(&[LEAVER]));
    assert_eq!([own, other].map(|record| status(&view, &record)), [Status::Lapsed, Status::Active]);
    let reason = view.record(&own.0).expect("known").standing.reason;
    assert_eq!(reason, Some(StatusReason::LapsedWith { member: id(LEAVER), roster_version: 7 }));
    // Taken back by a later version, everything is as it was.
    let view = script.both_ways(&stewarded());
    assert_eq!([own, other].map(|record| status(&view, &record)), [Status::Active, Status::Disputed]);
}

#[test]
fn a_retraction_by_a_steward_counts_within_its_term_and_is_named() {
    let mut script = Script::default();
    let records = [1, 2, 3].map(|value| script.content(LEAVER, value, None));
    script.retract(1, records[0]);
    script.retract(1, records[1]);
    script.pad(1, 2);
    script.retract(1, records[2]);
    let view = script.both_ways(&stewarded());
    use Status::{Active, Retracted};
    assert_eq!(records.map(|record| status(&view, &record)), [Active, Retracted, Active]);
    let Some(StatusReason::RetractedBy { member, .. }) =
        view.record(&records[1].0).expect("known").standing.reason
    else {
        panic!("no reason")
    };
    assert_eq!(member, id(1));
    let withdrawals: Vec<Withdrawal> = view.withdrawals(&records[1].0, &id(LEAVER)).collect();
    assert!(
        matches!(withdrawals[..], [Withdrawal::Retracted { .. }]),
        "its payload goes after the retention"
    );
    assert_eq!(view.retracted_or_expired().count(), 1);
}

#[test]
fn a_steward_supersedes_after_the_leaver_and_of_stewards_the_latest_counts() {
    let mut script = Script::default();
    let old = script.content(LEAVER, 1, None);
    let own = script.replace(LEAVER, 2, old);
    script.pad(1, 1);
    let first = script.replace(1, 3, old);
    use Status::{Active, Superseded};
    let view = script.both_ways(&stewarded());
    assert_eq!([old, own, first].map(|record| status(&view, &record)), [Superseded, Superseded, Active]);
    script.pad(2, 4);
    let second = script.replace(2, 4, old);
    let stranger = script.replace(0, 5, old);
    let view = script.both_ways(&stewarded());
    let statuses = [old, own, first, second, stranger].map(|record| status(&view, &record));
    assert_eq!(statuses, [Superseded, Superseded, Superseded, Active, Active]);
    assert_eq!(view.supersedes(&second.0), Some(old.0));
    let Some(StatusReason::SupersededBy { member, record, .. }) =
        view.record(&old.0).expect("known").standing.reason
    else {
        panic!("no reason")
    };
    assert_eq!((member, record), (id(2), second.0));
    // Without stewards the leaver's own is the one.
    let view = script.both_ways(&rules());
    let statuses = [old, own, first, second, stranger].map(|record| status(&view, &record));
    assert_eq!(statuses, [Superseded, Active, Active, Active, Active]);
}

#[test]
fn an_order_of_a_steward_seals_also_if_it_gave_one_before_its_term() {
    let mut script = Script::default();
    let (record, other) = (script.content(LEAVER, 1, None), script.content(0, 2, None));
    script.push(2, erasure(record.1), Some(record.0));
    let view = script.both_ways(&stewarded());
    assert_eq!(status(&view, &record), Status::Active);
    script.pad(2, 1);
    script.push(2, erasure(record.1), Some(record.0));
    script.push(2, erasure(other.1), Some(other.0));
    let view = script.both_ways(&stewarded());
    assert_eq!([record, other].map(|record| status(&view, &record)), [Status::Sealed, Status::Active]);
    assert_eq!(view.withdrawals(&record.0, &id(LEAVER)).count(), 1);
    assert_eq!(view.withdrawals(&other.0, &id(0)).count(), 0);
}

#[test]
fn a_roster_with_other_words_about_leavers_has_everything_folded_again() {
    let newer = Rules { version: 9, members: BTreeSet::new(), ..stewarded() };
    assert!(!stewarded().need_refold(&newer), "members and version are taken up in place");
    for other in [rules(), lapsing(&[LEAVER])] {
        assert!(stewarded().need_refold(&other) && other.need_refold(&stewarded()));
    }
}

#[test]
fn a_record_whose_payload_names_another_entry_than_its_leaf_is_void_once_that_is_known() {
    for is_superseding in [true, false] {
        let mut script = Script::default();
        let (old, other) = (script.content(0, 1, None), script.content(0, 2, None));
        let signal = Signal::new(SignalType::Pdq, &[3; 32], Some(80)).expect("valid");
        let content = Content { subject: Some(other.1), ..Content::new(vec![signal]).expect("valid") };
        let record = if is_superseding { Record::Supersede(content) } else { Record::Content(content) };
        let new = script.push(0, record, Some(old.0));
        let view = script.both_ways(&rules());
        assert_eq!(status(&view, &new), Status::Void);
        let Some(StatusReason::NamesAnother { subject, named }) =
            view.record(&new.0).expect("known").standing.reason
        else {
            panic!("no reason")
        };
        assert_eq!((subject, named.index), (old.0, 1));
        // The leaf acts all the same.
        let expected = if is_superseding { Status::Superseded } else { Status::Active };
        assert_eq!([old, other].map(|record| status(&view, &record)), [expected, Status::Active]);

        let mut view = script.under(rules(), &[2]);
        assert_eq!(status(&view, &new), Status::Active, "nobody knows yet what its leaf names");
        let (author, index, leaf, payload) = &script.entries[0];
        let changes = view.fold(author, *index, leaf, payload);
        let told: Vec<_> =
            changes.iter().map(|change| (change.record.id, change.record.status(), change.index)).collect();
        let old_index = if is_superseding { IndexChange::Keep } else { IndexChange::Add };
        assert_eq!(told, [(new.0, Status::Void, IndexChange::Remove), (old.0, expected, old_index)]);
    }
}
