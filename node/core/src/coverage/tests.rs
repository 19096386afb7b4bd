//! Who is known to hold what, from when on, and that it never goes back.

use super::*;
use crate::entitled;
use crate::entitled::tests::member;
use crate::view::Step;
use hashpact_protocol::record::{ClosingReason, IncidentClass};
use hashpact_protocol::roster::MemberStatus;
use proptest::prelude::*;

/// When the node under test starts.
const START_MS: u64 = 1_000_000;
/// When birch declares incident 1.
const DECLARED_MS: u64 = START_MS + 5_000;

fn id(text: &str) -> MemberId {
    MemberId::parse(text).expect("valid")
}

fn log(number: u8) -> LogId {
    LogId::new([number; 32])
}

/// Acme is the node's own member; dogwood has left, elm may have nothing of before the third hour.
fn roster() -> Roster {
    let mut dogwood = member("dogwood", &[], 0, 40);
    dogwood.status = MemberStatus::Left;
    let members = vec![
        member("acme", &[], 0, 10),
        member("birch", &[], 0, 20),
        member("cedar", &[], 0, 30),
        dogwood,
        member("elm", &[], 3 * 3_600, 50),
    ];
    Roster { members, ..entitled::tests::roster() }
}

fn step(by: &str, time_ms: u64, log: LogId, index: u64) -> Step {
    Step { member: id(by), time_ms, entry: EntryRef { log, index } }
}

/// Incident `number`, declared by birch in log 2 at leaf index 70.
fn incident(number: u8) -> IncidentState {
    IncidentState {
        id: IncidentId::new([number; 16]),
        class: IncidentClass::ViralContent,
        declared: step("birch", DECLARED_MS, log(2), 70),
        closed: None,
    }
}

/// What is reported of one incident, as `member: ms`.
fn shown(report: &[IncidentCoverage], number: u8) -> Vec<(String, Option<u64>)> {
    let found = report.iter().find(|coverage| coverage.incident == IncidentId::new([number; 16]));
    let members = &found.expect("the incident is reported").members;
    members.iter().map(|state| (state.member.to_string(), state.ms)).collect()
}

fn known(members: [(&str, Option<u64>); 3]) -> Vec<(String, Option<u64>)> {
    members.map(|(member, ms)| (member.to_owned(), ms)).to_vec()
}

#[test]
fn own_member_and_author_are_covered_at_once_and_others_when_they_say_so() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    assert_eq!(coverage.report(&roster), None, "nothing to show");
    let news = coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 40);
    assert_eq!(news, BTreeSet::from([log(2)]));
    let report = coverage.report(&roster).expect("something to show");
    assert_eq!(report[0].counted_since_ms, None, "declared after the start");
    // Who left and who may not have it are not listed.
    let two = known([("acme", Some(40)), ("birch", Some(40)), ("cedar", None)]);
    assert_eq!(shown(&report, 1), two);
    assert_eq!(coverage.report(&roster), None, "the same as before");
    // Another log, everything before it, and an entry beside it: nothing of this.
    coverage.told(&id("cedar"), log(3), 500, vec![], DECLARED_MS + 50);
    coverage.told(&id("cedar"), log(2), 70, vec![71], DECLARED_MS + 50);
    coverage.told(&id("elm"), log(2), 500, vec![], DECLARED_MS + 50);
    assert_eq!(coverage.report(&roster), None);
    coverage.told(&id("cedar"), log(2), 3, vec![69, 70], DECLARED_MS + 60);
    let all = known([("acme", Some(40)), ("birch", Some(40)), ("cedar", Some(60))]);
    assert_eq!(shown(&coverage.report(&roster).expect("news"), 1), all);
    // The first time counts.
    coverage.told(&id("cedar"), log(2), 71, vec![], DECLARED_MS + 900);
    assert_eq!(coverage.report(&roster), None);
    assert!(coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 950).is_empty(), "no news");
    assert_eq!(coverage.report(&roster), None);
}

#[test]
fn the_prefix_covers_and_the_entry_at_its_size_does_not() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS);
    let of_cedar = |coverage: &mut Coverage| coverage.report(&roster).map(|report| shown(&report, 1)[2].1);
    assert_eq!(of_cedar(&mut coverage), Some(None));
    coverage.told(&id("cedar"), log(2), 70, vec![], DECLARED_MS + 1);
    assert_eq!(of_cedar(&mut coverage), None);
    coverage.told(&id("cedar"), log(2), 71, vec![], DECLARED_MS + 2);
    assert_eq!(of_cedar(&mut coverage), Some(Some(2)));
}

/// Others may have it before this node has: what they said then counts from when this node knows.
#[test]
fn a_statement_that_comes_before_the_declaration_is_not_lost() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    coverage.told(&id("cedar"), log(2), 3, vec![70], DECLARED_MS + 10);
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 25);
    let report = coverage.report(&roster).expect("news");
    assert_eq!(shown(&report, 1)[2], ("cedar".to_owned(), Some(25)));
}

#[test]
fn a_clock_behind_the_declarer_gives_nothing_negative() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS - 700);
    let report = coverage.report(&roster).expect("news");
    assert_eq!(shown(&report, 1), known([("acme", Some(0)), ("birch", Some(0)), ("cedar", None)]));
}

#[test]
fn a_declaration_older_than_the_run_says_since_when_it_counts() {
    let (mut coverage, roster) = (Coverage::new(DECLARED_MS + 1), roster());
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 1);
    let report = coverage.report(&roster).expect("news");
    assert_eq!(report[0].counted_since_ms, Some(DECLARED_MS + 1));
    let mut coverage = Coverage::new(DECLARED_MS);
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 1);
    assert_eq!(coverage.report(&roster).expect("news")[0].counted_since_ms, None);
}

#[test]
fn a_closed_incident_is_shown_for_a_week_and_one_that_does_not_count_not_at_all() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    let mut closed = incident(1);
    closed.closed = Some((step("birch", DECLARED_MS + 9, log(2), 75), ClosingReason::Ended));
    let over_ms = DECLARED_MS + 9 + INCIDENT_CLOSED_SHOWN_MS;
    coverage.refresh(vec![closed.clone()], &id("acme"), DECLARED_MS);
    assert!(coverage.concerns(&log(2)));
    assert_eq!(coverage.report(&roster).expect("news").len(), 1);
    coverage.refresh(Vec::new(), &id("acme"), DECLARED_MS + 20);
    assert_eq!(coverage.report(&roster), Some(Vec::new()), "it was disowned");
    assert!(!coverage.concerns(&log(2)));
    assert!(coverage.refresh(vec![closed.clone()], &id("acme"), DECLARED_MS + 30).is_empty());
    let again = coverage.report(&roster).expect("it counts again");
    assert_eq!(shown(&again, 1)[0].1, Some(0), "and what was known of it is kept");
    coverage.tick(over_ms - 1);
    assert_eq!(coverage.report(&roster), None);
    coverage.tick(over_ms);
    assert_eq!(coverage.report(&roster), Some(Vec::new()));
    coverage.refresh(vec![closed], &id("acme"), over_ms);
    assert_eq!(coverage.report(&roster), None);
}

/// An earlier declaration of the same incident takes the place of the first that came: what was known stays.
#[test]
fn another_declaration_of_the_same_incident_takes_nothing_away() {
    let (mut coverage, roster) = (Coverage::new(START_MS), roster());
    coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS + 5);
    let mut earlier = incident(1);
    earlier.declared = step("cedar", DECLARED_MS - 100, log(3), 7);
    assert_eq!(coverage.refresh(vec![earlier], &id("acme"), DECLARED_MS + 50), BTreeSet::from([log(3)]));
    let report = coverage.report(&roster).expect("news");
    let since = [("acme", Some(105)), ("birch", Some(105)), ("cedar", Some(150))];
    assert_eq!(shown(&report, 1), known(since));
}

#[test]
fn what_is_held_at_or_beyond_a_size_is_listed_in_order() {
    let mut coverage = Coverage::new(START_MS);
    let states = [(1, 90), (2, 70), (3, 80), (4, 70)].map(|(number, index)| {
        let mut state = incident(number);
        state.declared.entry.index = index;
        state
    });
    coverage.refresh(states.to_vec(), &id("acme"), DECLARED_MS);
    assert_eq!(coverage.declared_in(&log(2), 0), [70, 80, 90]);
    assert_eq!(coverage.declared_in(&log(2), 80), [80, 90]);
    assert_eq!(coverage.declared_in(&log(2), 91), [0_u64; 0]);
    assert_eq!(coverage.declared_in(&log(3), 0), [0_u64; 0]);
}

/// At the bound all are reported; one past it, what is closed goes first, then what is oldest.
#[test]
fn incidents_are_bounded() {
    let numbered = |number: u8| {
        let mut state = incident(number);
        state.declared.time_ms += u64::from(number);
        state
    };
    let mut states: Vec<IncidentState> = (0..INCIDENTS_COVERED_MAX as u8).map(numbered).collect();
    let closing = step("birch", DECLARED_MS + 500, log(2), 200);
    states[20].closed = Some((closing, ClosingReason::Ended));
    let reported = |states: &[IncidentState]| {
        let mut coverage = Coverage::new(START_MS);
        coverage.refresh(states.to_vec(), &id("acme"), DECLARED_MS);
        let report = coverage.report(&roster()).expect("news");
        report.iter().map(|coverage| coverage.incident.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(reported(&states).len(), INCIDENTS_COVERED_MAX);
    states.push(numbered(200));
    let one_past = reported(&states);
    assert_eq!(one_past.len(), INCIDENTS_COVERED_MAX);
    assert!(!one_past.contains(&20) && one_past.contains(&0));
    states.push(numbered(201));
    assert!(!reported(&states).contains(&0), "the oldest");
}

/// The newest statements of a member are kept, at the bound and one past it.
#[test]
fn statements_of_a_member_are_bounded() {
    let of_cedar = |logs: u8| {
        let mut coverage = Coverage::new(START_MS);
        for number in 0..logs {
            coverage.told(&id("cedar"), log(2 + number), 100, vec![], DECLARED_MS);
        }
        coverage.refresh(vec![incident(1)], &id("acme"), DECLARED_MS);
        shown(&coverage.report(&roster()).expect("news"), 1)[2].1
    };
    assert_eq!(of_cedar(CLAIMS_PER_MEMBER_MAX as u8), Some(0));
    assert_eq!(of_cedar(CLAIMS_PER_MEMBER_MAX as u8 + 1), None, "forgotten until it is said again");
}

#[derive(Debug, Clone)]
enum Happens {
    Told { member: usize, log: u8, size: u64, ahead: Vec<u64> },
    View { mask: u8, closed: u8 },
    Tick,
    Roster,
}

fn happens() -> impl Strategy<Value = Happens> {
    let ahead = prop::collection::btree_set(0_u64..9, 0..3).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        4 => (0_usize..5, 1_u8..4, 0_u64..9, ahead)
            .prop_map(|(member, log, size, ahead)| Happens::Told { member, log, size, ahead }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(mask, closed)| Happens::View { mask, closed }),
        1 => Just(Happens::Tick),
        1 => Just(Happens::Roster),
    ]
}

proptest! {
    /// Whatever is said in whatever order: a member that was known to hold a declaration is known to hold it from then
    /// on, since the same moment, wherever the incident is reported.
    #[test]
    fn coverage_never_goes_back(events in prop::collection::vec(happens(), 1..60)) {
        let (mut coverage, mut roster) = (Coverage::new(START_MS), roster());
        let mut best: BTreeMap<(IncidentId, MemberId), u64> = BTreeMap::new();
        let mut now_ms = DECLARED_MS;
        for event in events {
            now_ms += 10;
            match event {
                Happens::Told { member, log: number, size, ahead } => {
                    let member = roster.members[member].id.clone();
                    coverage.told(&member, log(number), size, ahead, now_ms);
                }
                Happens::View { mask, closed } => {
                    let states = (0..8_u8).filter(|bit| mask & (1 << bit) != 0).map(|bit| {
                        let mut state = incident(bit);
                        state.declared.entry = EntryRef { log: log(1 + bit % 3), index: u64::from(bit) };
                        let closing = (step("birch", DECLARED_MS, log(2), 90), ClosingReason::Ended);
                        state.closed = (closed & (1 << bit) != 0).then_some(closing);
                        state
                    });
                    coverage.refresh(states.collect(), &id("acme"), now_ms);
                }
                Happens::Tick => coverage.tick(now_ms),
                Happens::Roster => roster.version += 1,
            }
            for reported in coverage.report(&roster).into_iter().flatten() {
                for state in reported.members {
                    let key = (reported.incident, state.member);
                    let before = best.get(&key).copied();
                    prop_assert!(before.is_none() || state.ms == before, "{key:?}: {before:?} to {:?}", state.ms);
                    if let Some(ms) = state.ms {
                        best.insert(key, ms);
                    }
                }
            }
        }
    }
}
