//! For every record and every list.

use super::*;
use crate::policy::rules;
use hashpact_protocol::record::{
    Activity, AgeGroup, EvidenceSet, LabelWord, Likeness, Origin, Realism, Tlp, Vocabulary,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const MEMBERS: [&str; 5] = ["hotline", "old", "new", "muted", "stranger"];
const STATUSES: [Status; 10] = [
    Status::Active,
    Status::Disputed,
    Status::Contested,
    Status::Conflicting,
    Status::Disowned,
    Status::Retracted,
    Status::Expired,
    Status::Sealed,
    Status::Erased,
    Status::Held,
];

fn a_member() -> impl Strategy<Value = MemberId> {
    prop::sample::select(MEMBERS.as_slice()).prop_map(member)
}

fn some_words<T: Vocabulary>() -> impl Strategy<Value = BTreeSet<T>> {
    let words: Vec<T> = T::all().collect();
    let count = words.len();
    prop_oneof![2 => Just(BTreeSet::new()), 1 => prop::sample::subsequence(words, 0..=count).prop_map(|words| words.into_iter().collect())]
}

/// Words, and codes of a newer version.
fn a_label<T: LabelWord>() -> impl Strategy<Value = Label<T>> {
    (0..9_u64).prop_map(Label::from_code)
}

fn a_statement() -> impl Strategy<Value = Statement> {
    (1..=4_u64, 0..=8_u64, 0..=4_u64).prop_map(|(opinion, reason, before)| Statement {
        opinion: OpinionValue::from_code(opinion).expect("there are four"),
        reason: Reason::from_code(reason).filter(|reason| *reason != Reason::Unstated),
        time_ms: NOW_MS,
        place: LogPlace::FIRST,
        before: OpinionValue::from_code(before).map(|before| Box::new(says(before, None))),
    })
}

fn a_negative() -> impl Strategy<Value = Negative<'static>> {
    prop_oneof![
        (0..64_u16).prop_map(|distance| Negative::Local { list: "benign", distance }),
        (0..4_u32).prop_map(|count| Negative::Members { count }),
    ]
}

fn a_flood() -> impl Strategy<Value = Flooded> {
    prop::sample::select([Flooded::Waiting, Flooded::Rejected, Flooded::Withdrawn].as_slice())
}

fn some_labels() -> impl Strategy<Value = Labels> {
    (a_label(), a_label::<Realism>(), a_label(), a_label(), a_label(), a_label(), any::<u8>()).prop_map(
        |(origin, realism, activity, age_group, likeness, tlp, evidence)| Labels {
            origin,
            realism,
            activity,
            age_group,
            likeness,
            tlp,
            evidence: EvidenceSet::from_bits(evidence.into()),
            ..Labels::default()
        },
    )
}

prop_compose! {
    pub(super) fn a_record()(
        member in a_member(),
        status in prop_oneof![3 => Just(Status::Active), 2 => prop::sample::select(STATUSES.as_slice())],
        labels in some_labels(),
        review in a_label(),
        statements in prop::collection::btree_map(a_member(), a_statement(), 0..4),
        age_hours in 0..2_000_u64,
        hash_set in prop::option::of(prop::sample::select(vec!["cg-csam".to_owned(), "other".to_owned()])),
        incident in prop::option::of(Just(IncidentId::new([1; 16]))),
        flooded in prop::option::weighted(0.2, a_flood()),
        negative in prop::option::weighted(0.3, a_negative()),
        sources in 1..4_u32,
    ) -> Stated {
        Stated { member, status, labels, review, statements, age_hours, hash_set, incident, flooded, negative, sources }
    }
}

/// Types by which more than a lead is found.
fn found_by() -> Vec<SignalType> {
    let is_lead = |kind: &SignalType| *kind == SignalType::ModelCrc32;
    SignalType::ALL.into_iter().filter(|kind| !is_lead(kind)).collect()
}

fn a_way() -> impl Strategy<Value = Way> {
    (prop::sample::select(found_by()), 0..40_u16, prop::option::of(0..=100_u8)).prop_map(
        |(signal, distance, quality)| {
            let is_pdq = signal == SignalType::Pdq;
            Way { signal, distance: if is_pdq { distance } else { 0 }, quality: quality.filter(|_| is_pdq) }
        },
    )
}

fn some_ways() -> impl Strategy<Value = Vec<Way>> {
    prop::collection::vec(a_way(), 1..4)
}

prop_compose! {
    fn some_conditions()(
        signals in prop_oneof![2 => Just(BTreeSet::new()), 1 => prop::collection::btree_set(prop::sample::select(SignalType::ALL.as_slice()), 1..4)],
        (pdq_distance, query_quality_min) in (prop::option::of(0..64_u16), prop::option::weighted(0.2, 0..=100_u8)),
        (review, realism, activity) in (some_words::<Review>(), some_words::<Realism>(), some_words::<Activity>()),
        (age_group, likeness, tlp) in (some_words::<AgeGroup>(), some_words::<Likeness>(), some_words::<Tlp>()),
        status in prop_oneof![2 => Just(BTreeSet::new()), 1 => prop::collection::btree_set(prop::sample::select(["active", "disputed", "contested"].as_slice()), 1..3)],
        (members, except_members) in (prop::collection::btree_set(a_member(), 0..3), prop::collection::btree_set(a_member(), 0..2)),
        (sources_min, agree_min, disagree_max) in (0..3_u32, 0..3_u32, prop::option::of(0..3_u32)),
        newcomers in prop::option::weighted(0.3, (1..20_u32, 1..3_u32).prop_map(|(days, sources_min)| Newcomers { days, sources_min })),
        (age_hours_min, age_days_max) in (prop::option::weighted(0.2, 1..90_u32), prop::option::weighted(0.2, 1..90_u32)),
        hash_set in prop_oneof![3 => Just(BTreeSet::new()), 1 => Just(["cg-csam".to_owned()].into())],
        incident in prop_oneof![3 => Just(BTreeSet::new()), 1 => Just(["01".repeat(16)].into())],
        roles in prop_oneof![3 => Just(BTreeSet::new()), 1 => Just([Role::Hotline].into())],
    ) -> Conditions {
        Conditions {
            signals, pdq_distance, query_quality_min, status, review, realism, activity, age_group, likeness, tlp, members,
            except_members, sources_min, agree_min, disagree_max, newcomers, age_hours_min, age_days_max, hash_set, incident, roles,
            ..Conditions::default()
        }
    }
}

fn some_lists() -> impl Strategy<Value = Vec<List>> {
    let one = (prop::sample::select(Outcome::ALL.as_slice()), -2..3_i32, some_conditions());
    prop::collection::vec(one, 0..5).prop_map(|lists| {
        let named = |(at, (outcome, priority, conditions)): (usize, _)| List {
            priority,
            ..list(&format!("l{at}"), outcome, conditions)
        };
        lists.into_iter().enumerate().map(named).collect()
    })
}

/// Lists of which one blocks whatever counts.
fn lists_that_block() -> impl Strategy<Value = Vec<List>> {
    some_lists().prop_map(|mut lists| {
        let priority = PRIORITY_MAX;
        lists.push(List {
            priority,
            ..list("all", Outcome::Block, Conditions { pdq_distance: Some(64), ..Conditions::default() })
        });
        lists
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn origin_and_evidence_of_origin_change_nothing(
        record in a_record(), lists in some_lists(), ways in some_ways(), origin in a_label::<Origin>(), evidence in any::<u64>(),
    ) {
        let mut other = record.clone();
        other.labels.origin = origin;
        other.labels.evidence = EvidenceSet::from_bits(evidence);
        prop_assert_eq!(other.outcome(&lists, &ways), record.outcome(&lists, &ways));
    }

    #[test]
    fn asking_for_other_labels_changes_nothing(
        record in a_record(), lists in some_lists(), ways in some_ways(), by in a_member(), says_not_cg in any::<bool>(),
    ) {
        let is_about_labels = |said: &Statement| {
            said.opinion == OpinionValue::Disagree && matches!(said.reason, Some(Reason::NotCg | Reason::WrongClass))
        };
        let said = record.statements.get(&by);
        let before = said.and_then(|said| match said.before.clone() {
            before if is_about_labels(said) => before,
            _ => Some(Box::new(Statement { before: None, ..said.clone() })),
        });
        let reason = Some(if says_not_cg { Reason::NotCg } else { Reason::WrongClass });
        let mut other = record.clone();
        other.statements.insert(by, Statement { before, ..says(OpinionValue::Disagree, reason) });
        // A record that nobody disagreed about becomes disputed by it.
        if other.status == Status::Active {
            other.status = Status::Disputed;
        }
        prop_assert_eq!(other.outcome(&lists, &ways), record.outcome(&lists, &ways));
    }

    #[test]
    fn negatives_lower_to_review_and_touch_neither_digests_nor_what_a_hotline_confirmed(
        record in a_record(), lists in some_lists(), ways in some_ways(), negative in a_negative(),
    ) {
        let without = Stated { negative: None, ..record.clone() };
        let with = Stated { negative: Some(negative), ..record };
        let (before, after) = (without.outcome(&lists, &ways), with.outcome(&lists, &ways));
        prop_assert!(after == before || (before == Some(Outcome::Block) && after == Some(Outcome::Review)));
        let is_confirmed = with.review == Review::HotlineConfirmed.into() && ["hotline", "muted"].contains(&with.member.as_str());
        if is_confirmed || ways.iter().all(Way::is_digest) {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn what_is_held_back_is_for_review_at_most_whatever_lists_say(
        record in a_record(), lists in lists_that_block(), ways in some_ways(),
    ) {
        let outcome = record.outcome(&lists, &ways);
        let is_hotline = ["hotline", "muted"].contains(&record.member.as_str());
        let review = match record.review.get() {
            Review::HotlineConfirmed if !is_hotline => Review::Unreviewed,
            review => review,
        };
        let withdrawn = record.flooded == Some(Flooded::Withdrawn);
        if record.member.as_str() == "muted"
            || record.flooded == Some(Flooded::Rejected)
            || !(record.status.stands() || withdrawn)
        {
            prop_assert_eq!(outcome, None);
        } else {
            let waits = record.flooded.is_some();
            let is_held = matches!(record.status, Status::Contested | Status::Conflicting)
                || waits
                || review == Review::Unreviewed;
            let is_enough = !matches!(record.negative, None | Some(Negative::Members { count: 0 | 1 }));
            let is_negative = is_enough && review != Review::HotlineConfirmed;
            let may_block = |way: &Way| {
                way.is_digest() || (!is_negative && way.quality.is_none_or(|quality| quality >= 50))
            };
            let blocks = !is_held && ways.iter().any(may_block);
            prop_assert_eq!(outcome, Some(if blocks { Outcome::Block } else { Outcome::Review }));
        }
    }

    #[test]
    fn hotline_confirmed_of_others_is_no_review(record in a_record(), lists in some_lists(), ways in some_ways()) {
        prop_assume!(!["hotline", "muted"].contains(&record.member.as_str()));
        let claimed = Stated { review: Review::HotlineConfirmed.into(), ..record.clone() };
        let silent = Stated { review: Review::Unreviewed.into(), ..record };
        prop_assert_eq!(claimed.outcome(&lists, &ways), silent.outcome(&lists, &ways));
    }

    #[test]
    fn a_word_that_is_not_known_never_widens(record in a_record(), conditions in some_conditions(), way in a_way(), known in some_labels()) {
        let members = members();
        let holds = |record: &Stated| {
            let facts = record.facts(&members);
            let sources = || record.sources;
            conditions.hold(&Subject { facts: &facts, way, members: &members, call_distance: None, now_ms: NOW_MS, sources: &sources })
        };
        let mut unknown = record.clone();
        unknown.labels.realism = Label::Unknown(99);
        unknown.labels.likeness = Label::Unknown(99);
        unknown.labels.tlp = Label::Unknown(99);
        unknown.review = Label::Unknown(99);
        let mut other = unknown.clone();
        other.labels.realism = known.realism.get().into();
        other.labels.likeness = known.likeness.get().into();
        other.labels.tlp = known.tlp.get().into();
        other.review = record.review.get().into();
        prop_assert!(!holds(&unknown) || holds(&other), "a list that counts what it cannot read asks nothing of it");
    }

    #[test]
    fn the_built_in_list_is_always_there_and_says_review(record in a_record(), ways in some_ways()) {
        let members = members();
        let expected = ways.iter().any(|way| {
            way.distance <= 31 && rules::most(&record.facts(&members), way, &members).is_some()
        });
        prop_assert_eq!(record.outcome(&[], &ways), expected.then_some(Outcome::Review));
    }

    #[test]
    fn an_explanation_says_what_was_decided(record in a_record(), lists in some_lists(), ways in some_ways()) {
        let policy = Policy::new(lists.into_iter().map(Arc::new), members());
        let (facts, sources) = (record.facts(policy.members()), || record.sources);
        let decided = policy.decide(&ASKED, &facts, &ways, &sources);
        let explained = policy.explain(&ASKED, &facts, &ways, &sources);
        prop_assert_eq!(explained.len(), policy.lists().len());
        for list in &explained {
            prop_assert_eq!(list.outcome.is_some(), list.unmet.is_empty() && !list.rules.iter().any(|rule| rule.excludes()));
        }
        match decided {
            None => prop_assert!(explained.iter().all(|list| list.outcome.is_none())),
            Some(verdict) => {
                let deciding = explained.iter().find(|list| list.list.name == verdict.list.name).expect("it was asked");
                prop_assert_eq!(deciding.outcome, Some(verdict.outcome));
            }
        }
    }
}
