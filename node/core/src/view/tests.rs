//! Laws of the fold, from outside: any arrival order gives the same standing.

use super::*;
use crate::effect::EntryRef;
use hashpact_protocol::leaf::{LeafHeader, marked_kind, seal};
use hashpact_protocol::record::{
    Content, Erasure, ErasureBasis, ErasureReason, Opinion, OpinionValue, Reason, Retraction,
    RetractionReason, Signal, SignalType, SubjectRef,
};
use hashpact_protocol::roster::{PanelTerm, Term};
use proptest::prelude::*;

mod ahead;
mod beside;
mod followed;
mod governance;
mod leavers;

const NOW_MS: u64 = 1_800_000_000_000;

/// A small world of logs whose entries are sealed one after the other.
#[derive(Debug, Default)]
struct Script {
    entries: Vec<(Author, u64, Vec<u8>, StoredPayload)>,
    sizes: BTreeMap<LogId, u64>,
}

fn author(number: u8) -> Author {
    let member = MemberId::parse(&format!("member-{number}")).expect("valid");
    let log = LogId::of_origin(&format!("test-0000000000000000/{member}/1"));
    Author::new(member, 1, log)
}

impl Script {
    fn push(&mut self, by: u8, record: Record, subject: Option<LeafHash>) -> (LeafHash, SubjectRef) {
        let author = author(by);
        let size = self.sizes.entry(author.log).or_insert(0);
        let index = *size;
        *size += 1;
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS + index,
            roster_version: 1,
            log_id: author.log,
            subject,
            group: 0,
        };
        let sealed = seal(header, &record, [by; 32]).expect("a valid entry");
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        let log = author.log;
        self.entries.push((author, index, sealed.leaf_bytes.to_vec(), payload));
        (leaf_hash(&sealed.leaf_bytes), SubjectRef { log, index })
    }

    fn content(&mut self, by: u8, value: u8, expires_s: Option<u64>) -> (LeafHash, SubjectRef) {
        let mut content =
            Content::new(vec![Signal::new(SignalType::Pdq, &[value; 32], Some(80)).expect("valid")])
                .expect("valid");
        content.expires_s = expires_s;
        self.push(by, Record::Content(content), None)
    }

    fn fold(&self, order: &[usize]) -> View {
        let mut view = empty();
        for at in order {
            let (author, index, leaf, payload) = &self.entries[*at];
            view.fold(author, *index, leaf, payload);
        }
        view
    }

    fn in_order(&self) -> View {
        self.fold(&(0..self.entries.len()).collect::<Vec<_>>())
    }
}

/// A view under rules by which the first member is an erasure authority and declares incidents, the others are the panel,
/// and all four are members.
fn empty() -> View {
    View::under(rules(), NOW_MS, [0; 16])
}

fn rules() -> Rules {
    let term = |by: u8| Term::from_the_first(author(by).member);
    Rules {
        erasure: ErasureRules { erasers: vec![term(0)], ..ErasureRules::default() },
        panel: (1..4).map(|by| PanelTerm { needed: 2, term: term(by) }).collect(),
        declarers: vec![term(0)],
        leavers: Leavers::default(),
        members: (0..4).map(|by| author(by).member).collect(),
        version: 1,
    }
}

fn erasure(place: SubjectRef) -> Record {
    Record::Erasure(Erasure::new(place, ErasureReason::VictimRequest, ErasureBasis::Hotline))
}

fn standing(view: &View) -> Vec<KnownRecord> {
    view.records().collect()
}

/// Every way of stating things that the fold must get right, from a list of choices.
fn script(choices: &[(u8, u8, u8)]) -> Script {
    let mut script = Script::default();
    let mut records: Vec<(u8, LeafHash, SubjectRef)> = Vec::new();
    for (by, action, pick) in choices {
        let by = by % 4;
        let Some((owner, id, place)) = records.get(*pick as usize % records.len().max(1)).copied() else {
            let (id, place) = script.content(by, *pick, None);
            records.push((by, id, place));
            continue;
        };
        match action % 14 {
            8..14 => governance::act(&mut script, (by, action % 14, *pick), (owner, id, place), &mut records),
            0 => {
                let expires_s = (pick % 3 == 0).then_some(NOW_MS / 1_000 - 1);
                let (id, place) = script.content(by, *pick, expires_s);
                records.push((by, id, place));
            }
            1 => {
                script.push(
                    owner,
                    Record::Retraction(Retraction::new(place, RetractionReason::Error)),
                    Some(id),
                );
            }
            2 => {
                script.push(
                    by,
                    Record::Retraction(Retraction::new(place, RetractionReason::Error)),
                    Some(id),
                );
            }
            3 => {
                // Names another place than its leaf's subject: void.
                let wrong = SubjectRef { index: place.index + 1, ..place };
                script.push(
                    by,
                    Record::Opinion(Opinion::new(wrong, OpinionValue::Agree, Reason::Unstated)),
                    Some(id),
                );
            }
            4 => {
                // The first member is an erasure authority, the others' orders count for their own records.
                script.push(by, erasure(place), Some(id));
            }
            5 => {
                script.push(owner, erasure(place), Some(id));
            }
            6 => {
                script.push(
                    by,
                    Record::Opinion(Opinion::new(place, OpinionValue::Disagree, Reason::NotCg)),
                    Some(id),
                );
            }
            _ => {
                script.push(
                    by,
                    Record::Opinion(Opinion::new(place, OpinionValue::Agree, Reason::Unstated)),
                    Some(id),
                );
            }
        }
    }
    script
}

impl Script {
    /// Folds all entries, those of `late` without their payloads, and supplies these afterwards.
    fn fold_late(&self, late: &[usize]) -> View {
        let mut view = View::under(rules(), NOW_MS, [0; 16]);
        for (at, (author, index, leaf, payload)) in self.entries.iter().enumerate() {
            let absent = &StoredPayload::NotHere;
            view.fold(author, *index, leaf, if late.contains(&at) { absent } else { payload });
        }
        for at in late {
            let (author, index, leaf, payload) = &self.entries[*at];
            view.supply(author, *index, leaf, payload);
        }
        view
    }
}

proptest! {
    #[test]
    fn payloads_may_come_after_their_leaves_in_any_order(
        choices in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..40), seed in any::<u64>(),
    ) {
        let script = script(&choices);
        let mut late: Vec<usize> = (0..script.entries.len()).filter(|at| seed >> (at % 64) & 1 == 1).collect();
        let turn = seed as usize % late.len().max(1);
        late.rotate_left(turn);
        let (view, expected) = (script.fold_late(&late), script.in_order());
        prop_assert_eq!(standing(&view), standing(&expected));
        for log in script.sizes.keys() {
            prop_assert_eq!(view.counts(log), expected.counts(log));
        }
    }
}

proptest! {
    #[test]
    fn any_arrival_order_gives_the_same_view(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
        keys in prop::collection::vec(any::<u64>(), 40),
    ) {
        let script = script(&choices);
        let mut order: Vec<usize> = (0..script.entries.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let (whole, other) = (script.in_order(), script.fold(&order));
        prop_assert_eq!(standing(&whole), standing(&other));
        governance::assert_same(&whole, &other);
    }

    #[test]
    fn changes_tell_the_index_exactly_what_stands(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
    ) {
        let script = script(&choices);
        let mut view = View::new(NOW_MS);
        let mut indexed = BTreeSet::new();
        let mut stated = BTreeSet::new();
        for (author, index, leaf, payload) in &script.entries {
            for change in view.fold(author, *index, leaf, payload) {
                prop_assert_eq!(stated.insert(change.record.id), change.stated.is_some(), "stated once, first");
                match change.index {
                    IndexChange::Add => prop_assert!(indexed.insert(change.record.id)),
                    IndexChange::Remove => prop_assert!(indexed.remove(&change.record.id)),
                    IndexChange::Keep => {}
                }
            }
        }
        let stands: BTreeSet<RecordId> =
            view.records().filter(|record| record.stands()).map(|record| record.id).collect();
        prop_assert_eq!(indexed, stands);
    }
}

#[test]
fn a_retraction_that_overtakes_its_record_still_counts() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, None);
    script.push(0, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
    let view = script.fold(&[1, 0]);
    assert_eq!(view.record(&id).expect("known").status(), Status::Retracted);
}

#[test]
fn a_retraction_without_its_payload_acts_from_the_leaf_alone() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, None);
    script.push(0, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
    script.entries[1].3 = StoredPayload::Erased;
    assert_eq!(script.in_order().record(&id).expect("known").status(), Status::Retracted);
}

#[test]
fn only_the_author_retracts_and_an_own_opinion_does_not_count() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, None);
    script.push(1, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
    script.push(0, Record::Opinion(Opinion::new(place, OpinionValue::Disagree, Reason::Adult)), Some(id));
    let view = script.in_order();
    let record = view.record(&id).expect("known");
    assert_eq!((record.status(), record.standing.statements.len()), (Status::Active, 0));
}

#[test]
fn who_asks_for_other_labels_thinks_of_the_harm_as_before() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, None);
    let mut say = |opinion, reason| {
        script.push(1, Record::Opinion(Opinion::new(place, opinion, reason)), Some(id));
        let known = script.in_order().record(&id).expect("it is here");
        let statement = &known.standing.statements[&author(1).member];
        (statement.opinion, statement.before.as_ref().map(|before| before.opinion))
    };
    assert_eq!(say(OpinionValue::Agree, Reason::Unstated), (OpinionValue::Agree, None));
    for reason in [Reason::NotCg, Reason::WrongClass] {
        assert_eq!(say(OpinionValue::Disagree, reason), (OpinionValue::Disagree, Some(OpinionValue::Agree)));
    }
    assert_eq!(say(OpinionValue::Disagree, Reason::Adult), (OpinionValue::Disagree, None));
    assert_eq!(say(OpinionValue::Disagree, Reason::NotCg).1, Some(OpinionValue::Disagree));
}

#[test]
fn a_void_opinion_does_not_mask_an_earlier_valid_one() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, None);
    script.push(1, Record::Opinion(Opinion::new(place, OpinionValue::Disagree, Reason::Adult)), Some(id));
    let wrong = SubjectRef { index: 9, ..place };
    script.push(1, Record::Opinion(Opinion::new(wrong, OpinionValue::Agree, Reason::Unstated)), Some(id));
    let view = script.in_order();
    let record = view.record(&id).expect("known");
    assert_eq!((record.status(), record.standing.opinions().disagree), (Status::Disputed, 1));
}

#[test]
fn a_payload_that_its_leaf_does_not_commit_to_is_void() {
    let mut script = Script::default();
    let (id, _) = script.content(0, 1, None);
    let (_, _) = script.content(0, 2, None);
    let other = script.entries[1].3.clone();
    script.entries[0].3 = other;
    let view = script.in_order();
    assert!(view.record(&id).is_none());
    let counts = view.counts(&author(0).log);
    assert_eq!((counts.void, counts.records), (1, 1));
}

#[test]
fn expiry_removes_from_the_index_when_its_time_comes() {
    let mut script = Script::default();
    let (id, _) = script.content(0, 1, Some(NOW_MS / 1_000 + 60));
    let mut view = script.in_order();
    assert!(view.record(&id).expect("known").stands());
    assert!(view.expire(NOW_MS + 59_000).is_empty());
    let changes = view.expire(NOW_MS + 60_000);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].index, changes[0].record.status()), (IndexChange::Remove, Status::Expired));
}

proptest! {
    #[test]
    fn retractions_folded_first_give_the_same_view_and_nothing_withdrawn_ever_stands(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
    ) {
        let script = script(&choices);
        let leaf = |at: &usize| script.entries[*at].2.as_slice();
        let (first, rest): (Vec<usize>, Vec<usize>) =
            (0..script.entries.len()).partition(|at| comes_first(leaf(at)));
        // As a start does: the last supersessions first.
        let (superseding, first): (Vec<usize>, Vec<usize>) =
            first.into_iter().partition(|at| marked_kind(leaf(at)) == Some(Kind::Supersede));
        let whole = script.in_order();
        let mut view = empty();
        for at in first.iter().chain(superseding.iter().rev()).chain(&rest) {
            let (author, index, leaf, payload) = &script.entries[*at];
            for change in view.fold(author, *index, leaf, payload) {
                let last = whole.record(&change.record.id).expect("known");
                prop_assert!(change.index != IndexChange::Add || last.stands());
            }
        }
        prop_assert_eq!(standing(&whole), standing(&view));
    }

    #[test]
    fn what_was_retracted_or_expired_is_found_without_reading_all(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
    ) {
        let view = script(&choices).in_order();
        let is_past = |record: &KnownRecord| matches!(record.status(), Status::Retracted | Status::Expired);
        let expected: BTreeSet<RecordId> = view.records().filter(is_past).map(|record| record.id).collect();
        let found: BTreeSet<RecordId> = view.retracted_or_expired().map(|record| record.id).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn each_entry_is_counted_once(choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40)) {
        let script = script(&choices);
        let view = script.in_order();
        for (log, size) in &script.sizes {
            prop_assert_eq!(view.counts(log).entries(), *size);
        }
    }
}

#[test]
fn one_entry_read_alone_is_the_record_that_the_fold_makes_of_it() {
    let mut script = Script::default();
    let (id, place) = script.content(0, 1, Some(NOW_MS / 1_000 + 60));
    script.push(1, Record::Opinion(Opinion::new(place, OpinionValue::Agree, Reason::Unstated)), Some(id));
    script.push(0, Record::Retraction(Retraction::new(place, RetractionReason::Error)), Some(id));
    let read = |at: usize, now_ms| {
        let (author, index, leaf, payload): &(Author, u64, Vec<u8>, StoredPayload) = &script.entries[at];
        read_record(author, *index, leaf, payload, now_ms)
    };
    let (author, index, leaf, payload) = &script.entries[0];
    let change = View::new(NOW_MS).fold(author, *index, leaf, payload).pop().expect("it is stated");
    assert_eq!(change.record.id, id);
    let folded = RecordView { known: change.record, stated: *change.stated.expect("with its first change") };
    assert_eq!(read(0, NOW_MS), Some(folded));
    let expired = read(0, NOW_MS + 60_000).expect("the same record");
    assert_eq!(expired.known.status(), Status::Expired);
    assert_eq!((read(1, NOW_MS), read(2, NOW_MS)), (None, None), "statements are no records");
    assert_eq!(read_record(author, index + 1, leaf, payload, NOW_MS), None, "another place");
    assert_eq!(read_record(author, *index, leaf, &StoredPayload::Erased, NOW_MS), None);
    let other = &script.entries[1].3;
    assert_eq!(read_record(author, *index, leaf, other, NOW_MS), None, "a payload of another leaf");
    let withdrawn: Vec<_> = script
        .entries
        .iter()
        .map(|(author, index, leaf, _)| withdrawn_record(author, *index, leaf))
        .collect();
    assert_eq!(withdrawn, [None, None, Some(id)]);
}

#[test]
fn a_fork_contests_what_follows_it_and_nothing_else() {
    let mut script = Script::default();
    let ids: Vec<LeafHash> = (0..4).map(|value| script.content(1, value, None).0).collect();
    let (other, _) = script.content(2, 9, None);
    let retraction = Retraction::new(SubjectRef { log: author(1).log, index: 3 }, RetractionReason::Error);
    script.push(1, Record::Retraction(retraction), Some(ids[3]));
    let mut view = script.in_order();
    let statuses = |view: &View| -> Vec<Status> {
        ids.iter().chain([&other]).map(|id| view.record(id).expect("folded").status()).collect()
    };
    let contested = |from, counts| Contested { from, counts };
    use Status::{Active, Contested as C, Disowned, Retracted};
    let changes = view.contest(&author(1), contested(1, true));
    assert_eq!(statuses(&view), [Active, C, C, Retracted, Active]);
    // They still match: the index keeps them.
    assert!(changes.len() == 2 && changes.iter().all(|change| change.index == IndexChange::Keep));
    assert!(changes.iter().all(|change| change.record.stands()));
    assert!(view.contest(&author(1), contested(1, true)).is_empty(), "told twice");
    // Witnesses vouch for more of it: what they settled is as before.
    assert_eq!(view.contest(&author(1), contested(2, true)).len(), 2);
    assert_eq!(statuses(&view), [Active, Active, C, Retracted, Active]);
    // They vouched for the other branch: ours does not count from where it parts.
    let changes = view.contest(&author(1), contested(0, false));
    assert_eq!(
        statuses(&view),
        [Disowned, Disowned, Disowned, Disowned, Active],
        "a disowned retraction lapses"
    );
    let mut standing = changes.iter().filter(|change| change.record.id != ids[3]);
    assert!(standing.all(|change| change.index == IndexChange::Remove));
}

proptest! {
    #[test]
    fn it_does_not_matter_when_a_fork_becomes_known(
        choices in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..40),
        at in 0usize..40, from in 0u64..10, counts in any::<bool>()
    ) {
        let script = script(&choices);
        let contested = Contested { from, counts };
        let mut after = script.in_order();
        after.contest(&author(1), contested);
        let mut meanwhile = empty();
        for (position, (author_of, index, leaf, payload)) in script.entries.iter().enumerate() {
            if position == at.min(script.entries.len() - 1) {
                meanwhile.contest(&author(1), Contested { from: from + 1, counts: true });
                meanwhile.contest(&author(1), contested);
            }
            meanwhile.fold(author_of, *index, leaf, payload);
        }
        // What an order sealed that lapsed is given back by whoever has the bytes.
        for view in [&mut after, &mut meanwhile] {
            for (author, index, leaf, payload) in &script.entries {
                view.replace(author, *index, leaf, payload);
            }
        }
        prop_assert_eq!(standing(&after), standing(&meanwhile));
    }
}

#[test]
fn an_order_seals_at_once_and_names_what_leaves_the_index() {
    let mut script = Script::default();
    let (id, place) = script.content(1, 1, None);
    script.push(2, erasure(place), Some(id));
    script.push(0, erasure(place), Some(id));
    let mut view = empty();
    let mut fold = |at: usize| {
        let (author, index, leaf, payload) = &script.entries[at];
        view.fold(author, *index, leaf, payload)
    };
    fold(0);
    assert!(fold(1).is_empty(), "neither author nor authority");
    let changes = fold(2);
    let [left] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((left.index, left.stated.is_none()), (IndexChange::Remove, true));
    assert_eq!((left.record.status(), left.record.is_blank()), (Status::Sealed, true));
    let Some(StatusReason::OrderedBy { member, reason, basis, .. }) = &left.record.standing.reason else {
        panic!("{left:?}")
    };
    assert_eq!(
        (member, *reason, *basis),
        (&author(0).member, Some(ErasureReason::VictimRequest), Some(ErasureBasis::Hotline))
    );
}

#[test]
fn a_destroyed_payload_shows_as_erased_and_an_order_that_lapses_gives_the_record_back() {
    let mut script = Script::default();
    let (id, place) = script.content(1, 1, None);
    script.push(1, erasure(place), Some(id));
    let (owner, index, leaf, payload) = script.entries[0].clone();
    let by = EntryRef { log: owner.log, index: 1 };
    let mut view = script.in_order();
    let counted = view.counts(&owner.log);
    view.replace(&owner, index, &leaf, &StoredPayload::ErasedBy { by });
    assert_eq!(view.record(&id).map(|record| record.status()), Some(Status::Erased));
    assert_eq!(view.counts(&owner.log).entries(), counted.entries(), "each entry is counted once");

    // The fork is settled against the branch that the order is on.
    let mut view = script.in_order();
    view.contest(&owner, Contested { from: 1, counts: false });
    assert_eq!(view.withdrawals(&id, &owner.member).count(), 0);
    let changes = view.replace(&owner, index, &leaf, &payload);
    assert_eq!(changes.last().map(|change| change.index), Some(IndexChange::Add));
    assert_eq!(
        view.record(&id).map(|record| (record.status(), record.is_blank())),
        Some((Status::Active, false))
    );
    assert_eq!(view.counts(&owner.log), counted);
}
