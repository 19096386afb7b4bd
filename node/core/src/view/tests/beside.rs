//! Both histories of a forked log are folded: who follows which makes no difference.

use super::*;
use crate::effect::EraseStep;

/// What two nodes hold of a log of member 1 that forks: what both histories share, what is in the one and in the other
/// only, and what other members state about all of it.
struct Fork {
    shared: Script,
    one: Vec<Entry>,
    other: Vec<Entry>,
    others: Vec<Entry>,
}

type Entry = (Author, u64, Vec<u8>, StoredPayload);

/// Number of the forked log's author.
const FORKER: u8 = 1;

impl Fork {
    /// `parts` says what the forker does in each history; `opinions` what member 2 thinks of it.
    fn of(shared: &[(u8, u8, u8)], parts: [&[(u8, u8)]; 2], opinions: &[(u8, u8)]) -> Self {
        let shared = script(shared);
        let mut known: Vec<(LeafHash, SubjectRef)> = Vec::new();
        let [one, other] = parts.map(|part| {
            let mut script = shared.branch();
            let before = script.entries.len();
            let mut own: Vec<(LeafHash, SubjectRef)> = Vec::new();
            for (action, pick) in part {
                let subject = own.get(*pick as usize % own.len().max(1)).copied();
                match (action % 3, subject) {
                    (0, Some((id, place))) => {
                        let retraction = Retraction::new(place, RetractionReason::Error);
                        script.push(FORKER, Record::Retraction(retraction), Some(id));
                    }
                    (1, Some((id, place))) => {
                        script.push(FORKER, erasure(place), Some(id));
                    }
                    _ => own.push(script.content(FORKER, *pick, None)),
                }
            }
            known.extend(&own);
            script.entries.split_off(before)
        });
        let mut talk = shared.branch();
        let before = talk.entries.len();
        for (pick, opinion) in opinions {
            let Some((id, place)) = known.get(*pick as usize % known.len().max(1)).copied() else { continue };
            let value = if opinion % 2 == 0 { OpinionValue::Agree } else { OpinionValue::Disagree };
            talk.push(2, Record::Opinion(Opinion::new(place, value, Reason::Unstated)), Some(id));
        }
        Self { one, other, others: talk.entries.split_off(before), shared }
    }

    fn from(&self) -> u64 {
        self.shared.sizes.get(&author(FORKER).log).copied().unwrap_or(0)
    }

    /// A node that follows `followed` and keeps `kept` beside it, and that learns of the fork after so many entries.
    fn view(&self, followed: &[Entry], kept: &[Entry], learns_at: usize) -> View {
        let (from, beside) = (self.from(), author(FORKER).beside(0));
        let kept = kept.iter().map(|(_, index, leaf, payload)| (&beside, *index, leaf, payload));
        let plain = self.shared.entries.iter().chain(followed).chain(&self.others);
        let plain = plain.map(|(author, index, leaf, payload)| (author, *index, leaf, payload));
        let mut view = empty();
        for (position, (author, index, leaf, payload)) in plain.chain(kept).enumerate() {
            if position == learns_at {
                view.contest(&author_of_fork(), Contested { from, counts: true });
            }
            view.fold(author, index, leaf, payload);
        }
        view.contest(&author_of_fork(), Contested { from, counts: true });
        view.contest(&beside, Contested { from, counts: true });
        view
    }
}

fn author_of_fork() -> Author {
    author(FORKER)
}

impl Script {
    /// The same logs, to go on differently.
    fn branch(&self) -> Self {
        Self { entries: self.entries.clone(), sizes: self.sizes.clone() }
    }
}

fn by_id(view: &View) -> BTreeMap<LeafHash, Standing> {
    view.records().map(|record| (record.id, record.standing)).collect()
}

proptest! {
    #[test]
    fn who_follows_which_history_makes_no_difference(
        shared in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..12),
        one in prop::collection::vec((any::<u8>(), any::<u8>()), 1..10),
        other in prop::collection::vec((any::<u8>(), any::<u8>()), 1..10),
        opinions in prop::collection::vec((any::<u8>(), any::<u8>()), 0..6),
        at in 0usize..30,
    ) {
        let fork = Fork::of(&shared, [&one, &other], &opinions);
        let (first, second) = (fork.view(&fork.one, &fork.other, at), fork.view(&fork.other, &fork.one, 0));
        prop_assert_eq!(by_id(&first), by_id(&second));
        for record in first.records().filter(|record| record.author.log == author(FORKER).log) {
            let is_sure = matches!(record.status(), Status::Active | Status::Disputed);
            prop_assert!(!is_sure || record.index < fork.from(), "{:?}", record);
        }
    }
}

#[test]
fn what_only_the_kept_history_states_stands_for_review_until_the_fork_is_settled() {
    let mut shared = Script::default();
    let (early, _) = shared.content(FORKER, 1, None);
    let (mut one, mut other) = (shared.branch(), shared.branch());
    let (followed, _) = one.content(FORKER, 2, None);
    let (kept, place) = other.content(FORKER, 3, None);
    let mut view = one.in_order();
    let beside = author(FORKER).beside(1);
    let (_, index, leaf, payload) = other.entries.last().expect("an entry");
    let changes = view.fold(&beside, *index, leaf, payload);
    assert_eq!(changes.iter().map(|change| change.index).collect::<Vec<_>>(), [IndexChange::Add]);
    assert_eq!(view.counts(&author(FORKER).log).entries(), 2, "what is kept beside is not counted there");
    let status = |view: &View, id| view.record(&id).expect("folded").status();
    // Before anybody says from where on, all that is kept beside is in doubt.
    assert_eq!(status(&view, kept), Status::Contested);
    view.contest(&author(FORKER), Contested { from: 1, counts: true });
    view.contest(&beside, Contested { from: 1, counts: true });
    assert_eq!([early, followed, kept].map(|id| status(&view, id)), {
        use Status::{Active, Contested as C};
        [Active, C, C]
    });
    // A retraction there acts on the record there, and an order there never destroys.
    let mut later = other.branch();
    later.push(FORKER, erasure(place), Some(kept));
    let (_, index, leaf, payload) = later.entries.last().expect("an order");
    view.fold(&beside, *index, leaf, payload);
    assert_eq!(status(&view, kept), Status::Sealed);
    let reasons: Vec<Withdrawal> = view.withdrawals(&kept, &beside.member).collect();
    assert!(matches!(reasons[..], [Withdrawal::Ordered { is_contested: true, .. }]), "{reasons:?}");
    // Witnesses vouched for the one that is followed.
    view.contest(&beside, Contested { from: 1, counts: false });
    assert_eq!(view.withdrawals(&kept, &beside.member).count(), 0);
}

#[test]
fn what_a_disowned_history_withdraws_or_disputes_stands_again() {
    let mut shared = Script::default();
    let (own, own_place) = shared.content(FORKER, 1, None);
    let (foreign, foreign_place) = shared.content(2, 2, None);
    let mut thief = shared.branch();
    thief.push(FORKER, Record::Retraction(Retraction::new(own_place, RetractionReason::Error)), Some(own));
    let opinion = Opinion::new(foreign_place, OpinionValue::Disagree, Reason::Error);
    thief.push(FORKER, Record::Opinion(opinion), Some(foreign));
    let beside = author(FORKER).beside(0);
    for disowned_before in [false, true] {
        let mut view = shared.in_order();
        let settle = |view: &mut View| view.contest(&beside, Contested { from: 1, counts: false });
        if disowned_before {
            assert!(settle(&mut view).is_empty());
        }
        for (_, index, leaf, payload) in &thief.entries[2..] {
            view.fold(&beside, *index, leaf, payload);
        }
        let statuses = |view: &View| [own, foreign].map(|id| view.record(&id).expect("folded").status());
        if !disowned_before {
            assert_eq!(statuses(&view), [Status::Retracted, Status::Disputed]);
            let changes = settle(&mut view);
            assert_eq!(changes.len(), 2, "both are told: {changes:?}");
        }
        assert_eq!(statuses(&view), [Status::Active; 2]);
        assert_eq!(view.withdrawals(&own, &beside.member).count(), 0, "nothing is destroyed for it");
    }
}

#[test]
fn a_record_that_a_disowned_order_sealed_waits_for_its_content() {
    let mut shared = Script::default();
    let (own, place) = shared.content(FORKER, 1, None);
    let mut thief = shared.branch();
    thief.push(FORKER, erasure(place), Some(own));
    let beside = author(FORKER).beside(0);
    let mut view = shared.in_order();
    // A start folds what is kept before it knows what of it is disowned.
    let (_, index, leaf, payload) = thief.entries.last().expect("an order");
    view.fold(&beside, *index, leaf, payload);
    let status = |view: &View| view.record(&own).expect("folded").status();
    assert_eq!(status(&view), Status::Sealed);
    view.contest(&beside, Contested { from: 1, counts: false });
    assert_eq!((status(&view), view.withdrawals(&own, &beside.member).count()), (Status::Sealed, 0));
    // The disk never sealed it, and tells it again.
    let (owner, index, leaf, payload) = shared.entries[0].clone();
    let told = payload.after(EraseStep::Restore).expect("told as it stands");
    assert_eq!(told, payload);
    let changes = view.replace(&owner, index, &leaf, &told);
    assert_eq!(changes.iter().map(|change| change.index).collect::<Vec<_>>(), [IndexChange::Add]);
    assert_eq!(standing(&view), standing(&shared.in_order()));
    assert_eq!(view.counts(&owner.log).entries(), 1);
}

#[test]
fn one_leaf_in_both_histories_is_one_record() {
    let mut script = Script::default();
    let (id, _) = script.content(FORKER, 1, None);
    let (owner, index, leaf, payload) = script.entries[0].clone();
    let mut view = script.in_order();
    assert!(view.fold(&owner.beside(0), index, &leaf, &payload).is_empty());
    assert_eq!(view.records().count(), 1);
    assert!(!view.record(&id).expect("folded").author.is_beside());

    // The followed history reaches it later: the roster closed the log there.
    let mut view = empty();
    view.fold(&owner.beside(0), index, &leaf, &payload);
    assert_eq!(view.record(&id).expect("folded").status(), Status::Contested);
    assert!(view.fold(&owner.beside(1), index, &leaf, &payload).is_empty());
    let changes = view.fold(&owner, index, &leaf, &payload);
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.record.author.is_beside(), change.record.status(), change.index))
        .collect();
    let expected = [(true, Status::Disowned, IndexChange::Remove), (false, Status::Active, IndexChange::Add)];
    assert_eq!(told, expected);
    assert_eq!(standing(&view), standing(&script.in_order()));
}
