//! Canonical forms and keyed digests against vectors that an independent program wrote (`tests/vectors/keyed`).

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/keyed/vectors.json")).unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn keys(vectors: &Value) -> Vec<GroupKey> {
    vectors["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| GroupKey::from_hex(text(key, "key")).unwrap())
        .collect()
}

#[test]
fn digests_are_those_of_the_vectors() {
    let vectors = vectors();
    let keys = keys(&vectors);
    for case in vectors["accepted"].as_array().unwrap() {
        let of_url = text(case, "of") == "url";
        let canonical = if of_url { canonical_url } else { canonical_domain };
        let form = canonical(text(case, "text"));
        assert_eq!(form.as_deref(), Ok(text(case, "canonical")), "{case}");
        // What is canonical is not changed any more.
        assert_eq!(canonical(text(case, "canonical")), form, "{case}");
        for (key, expected) in keys.iter().zip(case["digests"].as_array().unwrap()) {
            let digest =
                if of_url { key.url_key(text(case, "text")) } else { key.domain_key(text(case, "text")) };
            assert_eq!(hex_encode(&digest.unwrap()), expected.as_str().unwrap(), "{case}");
        }
    }
}

#[test]
fn what_is_no_address_is_refused_by_its_rule() {
    for case in vectors()["refused"].as_array().unwrap() {
        let canonical = if text(case, "of") == "url" { canonical_url } else { canonical_domain };
        let refused = canonical(text(case, "text")).unwrap_err();
        assert_eq!(format!("{refused:?}"), text(case, "rule"), "{case}");
    }
}

#[test]
fn equal_keys_show_the_same_check_value_and_no_key_is_shown() {
    let vectors = vectors();
    for (key, vector) in keys(&vectors).iter().zip(vectors["keys"].as_array().unwrap()) {
        assert_eq!(key.check_value(), text(vector, "check"));
        assert_eq!(*key.to_hex(), text(vector, "key"));
        assert!(!format!("{key:?}").contains(&text(vector, "key")[..8]));
    }
    assert!(GroupKey::from_hex("00").is_err());
    assert!(GroupKey::from_hex(&"A".repeat(64)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is on a line: no panic, and a form that is its own form.
    #[test]
    fn forms_do_not_change(text in "(https?|ftp|[a-z]{0,3})(://|:|)[a-zA-Z0-9.:@/?#\\[\\]ü。%_ -]{0,24}") {
        if let Ok(form) = canonical_url(&text) {
            prop_assert_eq!(canonical_url(&form), Ok(form));
        }
        if let Ok(form) = canonical_domain(&text) {
            prop_assert_eq!(canonical_domain(&form), Ok(form));
        }
    }
}
