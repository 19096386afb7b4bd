//! Opinions follow the unchanged signal through supersession and re-contribution.

use super::*;
use crate::policy::on_harm;

/// All records as look-ups hold them: the view's word, and what follows.
#[derive(Default)]
struct Records {
    followed: Followed,
    /// By number: author, signals, how it stands by what was said about itself.
    held: BTreeMap<u64, (MemberId, Vec<Signal>, Standing)>,
    /// Numbers handed out.
    numbers: BTreeMap<RecordId, u64>,
}

impl Records {
    fn take(&mut self, changes: Vec<ViewChange>, number: impl Fn(u64) -> u64) {
        for ViewChange { record, stated, .. } in changes {
            let next = number(self.numbers.len() as u64);
            let number = *self.numbers.entry(record.id).or_insert(next);
            let before = self.held.get(&number).map(|(_, signals, _)| signals.clone()).unwrap_or_default();
            let signals = stated.map_or(before, |stated| stated.content.signals);
            let author = record.author.member.clone();
            self.followed.note(number, &author, &record.standing, || signals.clone());
            self.held.insert(number, (author, signals, record.standing));
        }
    }

    fn standing(&self, id: &RecordId) -> Standing {
        let number = self.numbers[id];
        let (author, signals, standing) = &self.held[&number];
        self.followed.follow(number, author, signals.clone(), standing.clone())
    }

    fn all(&self) -> BTreeMap<RecordId, Standing> {
        self.numbers.keys().map(|id| (*id, self.standing(id))).collect()
    }
}

impl Script {
    fn state(&mut self, by: u8, values: &[u8]) -> (LeafHash, SubjectRef) {
        self.push(by, Record::Content(Content::new(pdqs(values)).expect("valid")), None)
    }

    fn restate(
        &mut self,
        by: u8,
        values: &[u8],
        (id, place): (LeafHash, SubjectRef),
    ) -> (LeafHash, SubjectRef) {
        let content = Content { subject: Some(place), ..Content::new(pdqs(values)).expect("valid") };
        self.push(by, Record::Supersede(content), Some(id))
    }

    fn opine(&mut self, by: u8, (id, place): (LeafHash, SubjectRef), value: OpinionValue, reason: Reason) {
        self.push(by, Record::Opinion(Opinion::new(place, value, reason)), Some(id));
    }

    fn looked_up(&self, order: &[usize], number: impl Fn(u64) -> u64 + Copy) -> Records {
        let (mut view, mut records) = (empty(), Records::default());
        for at in order {
            let (author, index, leaf, payload) = &self.entries[*at];
            records.take(view.fold(author, *index, leaf, payload), number);
        }
        records
    }

    fn records(&self) -> Records {
        self.looked_up(&(0..self.entries.len()).collect::<Vec<_>>(), |number| number)
    }
}

fn pdqs(values: &[u8]) -> Vec<Signal> {
    let signal = |value: &u8| Signal::new(SignalType::Pdq, &[*value; 32], Some(80)).expect("valid");
    values.iter().collect::<BTreeSet<_>>().into_iter().map(signal).collect()
}

use OpinionValue::{Agree, Disagree};

#[test]
fn a_dispute_follows_the_signal_and_ends_with_it() {
    let mut script = Script::default();
    let first = script.state(0, &[1]);
    script.opine(1, first, Disagree, Reason::Adult);
    let same = script.restate(0, &[1, 2], first);
    let again = script.state(0, &[1]);
    let changed = script.restate(0, &[2], same);
    let other = script.state(2, &[1]);
    let records = script.records();
    assert_eq!([first, same].map(|(id, _)| records.standing(&id).status), [Status::Superseded; 2]);
    let again = records.standing(&again.0);
    assert_eq!(again.status, Status::Disputed);
    assert_eq!(again.reason, Some(StatusReason::DisagreedBy { members: vec![author(1).member] }));
    assert_eq!(again.statements[&author(1).member].reason, Some(Reason::Adult));
    assert_eq!(records.standing(&changed.0), Standing::UNDISPUTED, "the signal is another one");
    assert_eq!(records.standing(&other.0), Standing::UNDISPUTED, "somebody else states it");
}

#[test]
fn what_a_member_says_later_about_any_of_them_counts() {
    let mut script = Script::default();
    let first = script.state(0, &[1]);
    script.opine(1, first, Disagree, Reason::BenignCollision);
    let second = script.restate(0, &[1], first);
    script.opine(1, second, Disagree, Reason::WrongClass);
    let standing = script.records().standing(&second.0);
    let said = &standing.statements[&author(1).member];
    assert_eq!(
        (said.reason, on_harm(said)),
        (Some(Reason::WrongClass), Some(Disagree)),
        "of labels, and of the harm as before"
    );
    script.opine(1, second, Agree, Reason::Unstated);
    let third = script.state(0, &[1, 3]);
    for record in [second, third] {
        let standing = script.records().standing(&record.0);
        assert_eq!((standing.status, standing.opinions().agree), (Status::Active, 1));
    }
}

#[test]
fn who_asks_for_other_labels_is_answered_by_another_record() {
    let mut script = Script::default();
    let first = script.state(0, &[1]);
    script.opine(1, first, Disagree, Reason::NotCg);
    let second = script.restate(0, &[1], first);
    assert_eq!(script.records().standing(&second.0), Standing::UNDISPUTED);
}

#[test]
fn nothing_follows_from_what_is_erased() {
    let mut script = Script::default();
    let first = script.state(0, &[1]);
    script.opine(1, first, Disagree, Reason::Adult);
    let second = script.state(0, &[1]);
    script.push(0, erasure(first.1), Some(first.0));
    let records = script.records();
    assert_eq!(records.standing(&second.0), Standing::UNDISPUTED);
    assert_eq!(records.followed, Followed::default(), "no value is kept");
}

/// Members 0 to 3 state records of few values, restate them, and say what they think.
fn scripts() -> impl Strategy<Value = Script> {
    let values = prop::collection::vec(0..3u8, 1..3);
    prop::collection::vec((0..4u8, 0..8u8, any::<u8>(), values), 1..30).prop_map(|choices| {
        let mut script = Script::default();
        let mut records: Vec<(u8, (LeafHash, SubjectRef))> = Vec::new();
        for (by, action, pick, values) in choices {
            match (action, records.get(pick as usize % records.len().max(1)).copied()) {
                (0, Some((owner, record))) => records.push((owner, script.restate(owner, &values, record))),
                (1, Some((owner, (id, place)))) => {
                    script.push(
                        owner,
                        Record::Retraction(Retraction::new(place, RetractionReason::Error)),
                        Some(id),
                    );
                }
                (2..6, Some((_, record))) => {
                    let (value, reason) = [
                        (Agree, Reason::Unstated),
                        (Disagree, Reason::Adult),
                        (Disagree, Reason::NotCg),
                        (OpinionValue::Seen, Reason::Unstated),
                    ][usize::from(action - 2)];
                    script.opine(by, record, value, reason);
                }
                _ => records.push((by % 2, script.state(by % 2, &values))),
            }
        }
        script
    })
}

proptest! {
    #[test]
    fn superseding_or_stating_again_never_loses_what_was_said_of_an_unchanged_signal(
        mut script in scripts(), pick in any::<prop::sample::Index>(), more in 0..6u8, supersedes in any::<bool>(),
    ) {
        let known: Vec<KnownRecord> = script.in_order().records().collect();
        prop_assume!(!known.is_empty());
        let old = &known[pick.index(known.len())];
        let before = script.records();
        let was = before.standing(&old.id);
        let (_, signals, _) = &before.held[&before.numbers[&old.id]];
        let by = u8::from(old.author.member == author(1).member);
        let place = SubjectRef { log: old.author.log, index: old.index };
        // One of its signals, and perhaps another one.
        let values = [signals[0].value()[0], more];
        let new = if supersedes { script.restate(by, &values, (old.id, place)) } else { script.state(by, &values) };
        let now = script.records().standing(&new.0);
        // What was said of this very signal, and not of another one that the old record has as well.
        let single = before.followed.follow(u64::MAX, &old.author.member, pdqs(&values[..1]), Standing::UNDISPUTED);
        for (member, said) in single.statements {
            let follows = now.statements.get(&member);
            prop_assert!(follows.is_some_and(|follows| follows.place >= said.place), "{member} said {said:?}");
        }
        let disputes = was.statements.values().any(|said| on_harm(said) == Some(Disagree));
        if disputes && signals.len() == 1 && more < 3 && values[0] == values[1] {
            prop_assert_eq!(now.status, Status::Disputed);
        }
    }

    #[test]
    fn neither_order_nor_numbers_make_a_difference(script in scripts(), keys in prop::collection::vec(any::<u64>(), 30)) {
        let mut order: Vec<usize> = (0..script.entries.len()).collect();
        let (one, backwards) = (script.looked_up(&order, |number| number), script.looked_up(&order, |number| 1_000 - number));
        order.sort_by_key(|at| keys[*at]);
        prop_assert_eq!(one.all(), backwards.all());
        prop_assert_eq!(one.all(), script.looked_up(&order, |number| number).all());
    }

    #[test]
    fn following_twice_is_following_once_and_without_a_common_signal_nothing_follows(script in scripts()) {
        let records = script.records();
        for (number, (author, signals, standing)) in &records.held {
            let once = records.followed.follow(*number, author, signals.clone(), standing.clone());
            let twice = records.followed.follow(*number, author, signals.clone(), once.clone());
            prop_assert_eq!(&once, &twice);
            prop_assert_eq!(once.status.stands(), standing.status.stands());
            let is_kin = |(other, (by, held, _)): (&u64, &(MemberId, Vec<Signal>, Standing))| {
                other != number && by == author && held.iter().any(|signal| signals.contains(signal))
            };
            if !records.held.iter().any(is_kin) {
                prop_assert_eq!(&once, standing);
            }
        }
    }
}
