//! What a hook is told of, and by whom.

use super::*;
use hashpact_protocol::api::{ListTurn, OutcomeTurn, StatusTurn};

fn config(statuses: &[&str], lists: &[&str]) -> WebhookConfig {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    WebhookConfig {
        name: "moderation".to_owned(),
        url: reqwest::Url::parse("http://127.0.0.1:1/").expect("valid"),
        secret_file: "secret".into(),
        statuses: words(statuses),
        lists: words(lists),
        give_up_after_s: 1,
    }
}

fn change(after: &str, decided_before: Option<&str>, lists: &[&str]) -> ChangeJson {
    let turn = |list: &&str| ListTurn { list: (*list).to_owned(), ..ListTurn::default() };
    ChangeJson {
        kind: ChangeJson::RECORD.to_owned(),
        status: Some(StatusTurn { before: None, after: after.to_owned() }),
        outcome: decided_before
            .map(|list| OutcomeTurn { list_before: Some(list.to_owned()), ..OutcomeTurn::default() }),
        lists: lists.iter().map(turn).collect(),
        ..ChangeJson::default()
    }
}

#[test]
fn filters_hold_together_and_a_call_for_a_snapshot_passes_all() {
    for (statuses, lists, expected) in [
        (&[][..], &[][..], [true; 4]),
        (&["retracted", "sealed"], &[], [false, true, true, false]),
        (&[], &["confirmed"], [true, true, false, false]),
        (&["retracted"], &["confirmed"], [false, true, false, false]),
    ] {
        let config = config(statuses, lists);
        let changes = [
            change("active", None, &["confirmed"]),
            change("retracted", Some("confirmed"), &[]),
            change("retracted", Some("built-in"), &["built-in"]),
            change("active", None, &[]),
        ];
        assert_eq!(changes.map(|change| config.wants(&change)), expected, "{statuses:?} {lists:?}");
        let snapshot = ChangeJson { kind: ChangeJson::SNAPSHOT.to_owned(), ..ChangeJson::default() };
        assert!(config.wants(&snapshot));
    }
}
