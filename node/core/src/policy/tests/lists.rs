//! What lists say, one by one.

use super::*;
use hashpact_protocol::api::ListJson;
use hashpact_protocol::record::{Activity, AgeGroup};

fn blocks(conditions: Conditions) -> [List; 1] {
    [list("mine", Outcome::Block, conditions)]
}

#[test]
fn the_list_with_the_highest_priority_decides_for_a_record_and_the_strongest_record_for_the_item() {
    let noted = Conditions { members: [member("old")].into(), ..Conditions::default() };
    let lists = [
        list("all", Outcome::Block, Conditions::default()),
        List { priority: 5, ..list("tests", Outcome::Log, noted) },
    ];
    let from = |by: &str| Stated { member: member(by), ..Stated::default() };
    assert_eq!(from("old").outcome(&lists, &pdq()), Some(Outcome::Log));
    assert_eq!(from("new").outcome(&lists, &pdq()), Some(Outcome::Block));
    let equals = [lists[0].clone(), list("weaker", Outcome::Log, Conditions::default())];
    assert_eq!(from("old").outcome(&equals, &pdq()), Some(Outcome::Block), "of equals the strongest");
}

#[test]
fn each_condition_narrows() {
    let record = Stated {
        labels: Labels {
            activity: Activity::SexAct.into(),
            age_group: AgeGroup::Pubescent.into(),
            ..Labels::default()
        },
        hash_set: Some("cg-csam".to_owned()),
        incident: Some(IncidentId::new([1; 16])),
        sources: 2,
        ..Stated::default()
    }
    .with("hotline", says(OpinionValue::Agree, None))
    .with("new", says(OpinionValue::Disagree, Some(Reason::Error)));
    let none = Conditions::default;
    let cases: [(&str, Conditions, bool); 25] = [
        ("nothing asked", none(), true),
        ("type", Conditions { signals: [SignalType::Pdq].into(), ..none() }, true),
        ("another type", Conditions { signals: [SignalType::Md5].into(), ..none() }, false),
        ("distance", Conditions { pdq_distance: Some(8), ..none() }, true),
        ("too far", Conditions { pdq_distance: Some(7), ..none() }, false),
        ("quality", Conditions { query_quality_min: Some(90), ..none() }, true),
        ("too poor", Conditions { query_quality_min: Some(91), ..none() }, false),
        ("class", Conditions { industry_class: ["B1"].into(), ..none() }, true),
        ("another class", Conditions { industry_class: ["A1", "A2"].into(), ..none() }, false),
        ("review", Conditions { review: [Review::Dual].into(), ..none() }, true),
        ("another review", Conditions { review: [Review::Single].into(), ..none() }, false),
        ("set", Conditions { hash_set: ["cg-csam".to_owned()].into(), ..none() }, true),
        ("another set", Conditions { hash_set: ["x".to_owned()].into(), ..none() }, false),
        ("incident", Conditions { incident: ["01".repeat(16)].into(), ..none() }, true),
        ("another incident", Conditions { incident: ["02".repeat(16)].into(), ..none() }, false),
        ("not this member", Conditions { except_members: [member("old")].into(), ..none() }, false),
        ("role", Conditions { roles: [Role::Contributor].into(), ..none() }, true),
        ("another role", Conditions { roles: [Role::Hotline, Role::Auditor].into(), ..none() }, false),
        ("sources", Conditions { sources_min: 2, ..none() }, true),
        ("more sources", Conditions { sources_min: 3, ..none() }, false),
        ("agree", Conditions { agree_min: 1, ..none() }, true),
        ("more agree", Conditions { agree_min: 2, ..none() }, false),
        ("disagree", Conditions { disagree_max: Some(0), ..none() }, false),
        ("too young", Conditions { age_hours_min: Some(49), ..none() }, false),
        ("too old", Conditions { age_days_max: Some(1), ..none() }, false),
    ];
    for (name, conditions, counts) in cases {
        let expected = if counts { Outcome::Block } else { Outcome::Review };
        assert_eq!(record.outcome(&blocks(conditions), &pdq()), Some(expected), "{name}");
    }
}

#[test]
fn newcomers_need_others_and_all_others_do_not() {
    let lists = blocks(Conditions {
        newcomers: Some(Newcomers { days: 30, sources_min: 2 }),
        ..Conditions::default()
    });
    for (by, sources, expected) in [
        ("old", 1, Outcome::Block),
        ("new", 1, Outcome::Review),
        ("new", 2, Outcome::Block),
        ("stranger", 1, Outcome::Review),
    ] {
        let record = Stated { member: member(by), sources, ..Stated::default() };
        assert_eq!(record.outcome(&lists, &pdq()), Some(expected), "{by}, {sources}");
    }
}

#[test]
fn a_caller_and_a_list_each_narrow_the_distance() {
    let own = |pdq_distance| Conditions { pdq_distance, ..Conditions::default() };
    for (list, call, expected) in [
        (None, None, 31),
        (Some(12), None, 12),
        (Some(40), None, 40),
        (None, Some(9), 9),
        (Some(12), Some(9), 9),
        (Some(12), Some(20), 12),
    ] {
        assert_eq!(own(list).radius(call), expected, "{list:?}, {call:?}");
    }
    let policy = Policy::new(blocks(own(Some(40))).map(Arc::new), members());
    assert_eq!(policy.radius(&ASKED), 40);
    let only_built_in = [BUILT_IN_LIST.to_owned()];
    assert_eq!(policy.radius(&Asked { lists: Some(&only_built_in), ..ASKED }), 31);
    assert_eq!(policy.radius(&Asked { distance: Some(3), ..ASKED }), 3);
}

#[test]
fn only_lists_that_are_asked_decide() {
    let policy = Policy::new(blocks(Conditions::default()).map(Arc::new), members());
    let record = Stated::default();
    let decide = |names: &[String]| {
        let asked = Asked { lists: Some(names), ..ASKED };
        policy.decide(&asked, &record.facts(policy.members()), &pdq(), &|| 1).map(|verdict| verdict.outcome)
    };
    assert_eq!(decide(&["mine".to_owned()]), Some(Outcome::Block));
    assert_eq!(decide(&[BUILT_IN_LIST.to_owned()]), Some(Outcome::Review));
    assert_eq!(decide(&["other".to_owned()]), None);
}

#[test]
fn every_reason_is_a_sentence() {
    let lists = [list(
        "strict",
        Outcome::Block,
        Conditions {
            review: [Review::HotlineConfirmed].into(),
            sources_min: 2,
            roles: [Role::Hotline].into(),
            ..Conditions::default()
        },
    )];
    let policy = Policy::new(lists.map(Arc::new), members());
    let record = Stated {
        review: Review::HotlineConfirmed.into(),
        status: Status::Contested,
        flooded: Some(Flooded::Waiting),
        negative: Some(Negative::Members { count: 3 }),
        ..Stated::default()
    };
    let facts = record.facts(policy.members());
    let poor = [Way { quality: Some(12), ..way(SignalType::Pdq, 3) }];
    let explained = policy.explain(&ASKED, &facts, &poor, &|| 1);
    let unmet: Vec<String> = explained[0].unmet.iter().map(ToString::to_string).collect();
    assert_eq!(
        unmet,
        [
            "review: found hotline_confirmed by old, which is no hotline, asked for hotline_confirmed",
            "roles: found contributor, asked for hotline",
            "sources_min: found 1, asked for at least 2",
        ]
    );
    let rules: Vec<String> = explained[1].rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "review at most: it came in a flood that waits for a decision at this node",
            "review at most: its author signed two histories",
            "review at most: nobody whose review counts has looked at it",
            "review at most: the query's quality is 12, under 50",
            "review at most: 3 members call this signal benign or adult",
        ]
    );
    assert_eq!(explained[1].outcome, Some(Outcome::Review));
}

#[test]
fn what_was_read_is_written_the_same() {
    let shape = ListJson {
        name: "confirmed".to_owned(),
        version: 4,
        outcome: "block".to_owned(),
        priority: 10,
        note: Some("two people looked".to_owned()),
        review: vec!["dual".to_owned(), "hotline_confirmed".to_owned()],
        signals: vec!["pdq".to_owned(), "sha256".to_owned()],
        members: vec!["acme".to_owned()],
        sources_min: Some(2),
        disagree_max: Some(0),
        newcomer_days: Some(30),
        newcomer_sources_min: Some(2),
        distance: BTreeMap::from([("pdq".to_owned(), 20)]),
        ..ListJson::default()
    };
    let read = List::read(&shape).expect("valid");
    assert_eq!(read.show(), shape);
    let least = ListJson { review: Vec::new(), review_min: Some("dual".to_owned()), ..shape };
    assert_eq!(List::read(&least).expect("valid"), read);
}
