use super::*;
use proptest::prelude::*;

fn record(nth: u8) -> RecordId {
    RecordId::new([nth; 32])
}

fn sha(nth: u8) -> Signal {
    Signal::new(SignalType::ModelSha256, &[nth; 32], None).unwrap()
}

fn tset(nth: u8) -> Signal {
    Signal::new(SignalType::Tset1, &[nth; 32], None).unwrap()
}

fn said(member: &str, source: &str, role: ModelRole, ids: &[Signal]) -> Statement {
    let member = MemberId::parse(member).unwrap();
    Statement { member, source: source.to_owned(), role, ids: ids.to_vec() }
}

/// A model that `north` and `south` register as a base, by its tensors.
fn doubly() -> Registry {
    let mut registry = Registry::default();
    registry.insert(record(1), said("north", "north", ModelRole::Base, &[sha(1), tset(9)]));
    registry.insert(record(2), said("south", "south", ModelRole::Base, &[sha(2), tset(9)]));
    registry
}

#[test]
fn one_member_alone_shields_nothing() {
    let mut registry = doubly();
    let listing = said("east", "east", ModelRole::Listed, &[tset(9)]);
    let conflicting = ModelStanding::Conflicting { registration: record(2), members: 2 };
    assert_eq!(registry.stands(&listing, None), conflicting);
    registry.remove(&record(2));
    assert_eq!(registry.stands(&listing, None), ModelStanding::Listed);
    // A second record of the same member, or one of another that names the first as its source, is no second one.
    registry.insert(record(3), said("north", "north", ModelRole::Base, &[tset(9)]));
    registry.insert(record(4), said("west", "north", ModelRole::Base, &[tset(9)]));
    assert_eq!(registry.stands(&listing, None), ModelStanding::Listed);
    assert_eq!(registry.standing(&record(4)), Some(ModelStanding::Registered { members: 1 }));
    // A stop list registers no model.
    registry.insert(record(5), said("south", "south", ModelRole::Stop, &[tset(9)]));
    assert_eq!(registry.stands(&listing, None), ModelStanding::Listed);
}

#[test]
fn a_checksum_contradicts_nothing() {
    let mut registry = Registry::default();
    let crc = Signal::new(SignalType::ModelCrc32, &[1; 4], None).unwrap();
    for (nth, member) in [(1, "north"), (2, "south")] {
        registry.insert(record(nth), said(member, member, ModelRole::Base, &[crc.clone(), tset(9)]));
    }
    let listing = said("east", "east", ModelRole::Listed, &[crc, sha(7)]);
    assert_eq!(registry.stands(&listing, None), ModelStanding::Listed);
}

#[test]
fn a_conflict_waits_for_the_panel() {
    let mut registry = doubly();
    registry.insert(record(3), said("east", "east", ModelRole::Listed, &[sha(2)]));
    let standing = |registry: &Registry| [1, 2, 3].map(|nth| registry.standing(&record(nth)).unwrap());
    let conflicting = ModelStanding::Conflicting { registration: record(2), members: 2 };
    assert_eq!(
        standing(&registry),
        [
            ModelStanding::Registered { members: 2 },
            ModelStanding::Waiting { listing: record(3) },
            conflicting
        ]
    );
    registry.rule(sha(2), Some(Verdict::Stands));
    assert_eq!(standing(&registry)[1..], [ModelStanding::Waiting { listing: record(3) }, ModelStanding::Listed]);
    registry.rule(sha(2), Some(Verdict::Benign));
    assert_eq!(standing(&registry)[1], ModelStanding::Registered { members: 2 });
    registry.rule(sha(2), None);
    registry.rule(tset(9), Some(Verdict::TrainedOnKnownCsam));
    assert!(registry.is_marked(&record(1)) && registry.is_marked(&record(2)) && !registry.is_marked(&record(3)));
}

#[test]
fn the_version_names_what_is_registered() {
    let registry = doubly();
    let mut other = doubly();
    other.insert(record(7), said("east", "east", ModelRole::Listed, &[sha(30)]));
    assert_eq!(registry.version([]), other.version([]), "a listing is not registered");
    assert_ne!(registry.version([]), registry.version([record(8)]));
    assert_eq!(registry.version([record(8), record(9)]), registry.version([record(9), record(8)]));
    other.rule(tset(9), Some(Verdict::TrainedOnKnownCsam));
    assert_ne!(registry.version([]), other.version([]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_records_plays_no_part(said_by in proptest::collection::vec((0usize..4, 0usize..4, 0usize..3, 0u8..5, 0u8..5), 1..12), turn in 0usize..12) {
        let members = ["north", "south", "east", "west"];
        let roles = [ModelRole::Listed, ModelRole::Base, ModelRole::Intermediate];
        let records: Vec<(RecordId, Statement)> = said_by.iter().enumerate().map(|(nth, (member, source, role, a, b))| {
            (record(nth as u8), said(members[*member], members[*source], roles[*role], &[sha(*a), tset(*b)]))
        }).collect();
        let fold = |records: &[(RecordId, Statement)]| {
            let mut registry = Registry::default();
            records.iter().cloned().for_each(|(id, statement)| registry.insert(id, statement));
            registry
        };
        let mut turned = records.clone();
        turned.rotate_left(turn % records.len());
        let (there, back) = (fold(&records), fold(&turned));
        for (id, statement) in &records {
            prop_assert_eq!(there.standing(id), back.standing(id));
            // As it would stand if it came now: what a contribution is told.
            let mut without = fold(&records);
            without.remove(id);
            prop_assert_eq!(without.stands(statement, None), there.standing(id).unwrap());
        }
        prop_assert_eq!(there.version([]), back.version([]));
        // What was taken out again leaves nothing.
        let mut emptied = fold(&records);
        records.iter().for_each(|(id, _)| emptied.remove(id));
        prop_assert!(emptied.by_id.is_empty() && emptied.statements.is_empty());
    }
}
