//! Vectors of groups, features, hash sets, terms, and of rejected rivals.

use crate::bodies::{Case, changed};
use crate::sample::{ANA, BEN, CHO, after, file, sign, with_rights};
use crate::vector_writer::Vector;
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::roster::{Feature, Group, LogPlace, Rejected, Roster, SignedRoster};

type Change = fn(&mut Roster);

/// A digest of no version.
const OTHER: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) fn vectors() -> Vec<Vector> {
    let body = |name: &str, reason, roster: &Roster| {
        Vector::accept(name, reason, roster.encode()).with("kind", "body")
    };
    let mut rejecting = after(&after(&with_rights()));
    rejecting.rejected = vec![rejected(2, OTHER)];
    let mut vectors = vec![
        body("body-rights", "every right and agreement", &with_rights()),
        body("body-rejected", "a rival of version 2 is rejected", &rejecting),
    ];
    for (text, cases) in [(with_rights(), agreements()), (with_rights(), terms()), (rejecting, rejections())]
    {
        let text = String::from_utf8(text.encode()).unwrap();
        vectors.extend(cases.iter().map(|case| changed(&text, case)));
    }
    vectors.extend(many());
    vectors.extend(passing_walks());
    vectors.extend(refused_walks());
    vectors
}

fn rejected(version: u64, digest: &str) -> Rejected {
    Rejected { version, digest: RosterDigest::from_hex(digest).unwrap() }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn agreements() -> Vec<Case<'static>> {
    vec![
        ("hash-set-upper", "Word", 12, "a set in upper case", "cg-csam", "CG-CSAM"),
        ("hash-set-order", "Order", 13, "sets not ascending", "hash-set model-weights", "hash-set a"),
        (
            "hash-set-place",
            "Keyword",
            14,
            "a set behind the retention",
            "hash-set model-weights\nretention 90\n",
            "retention 90\nhash-set model-weights\n",
        ),
        ("feature-zero", "Number", 16, "a version before the first", "counting 1", "counting 0"),
        ("feature-no-version", "Value", 16, "a feature without its version", "counting 1", "counting"),
        ("feature-order", "Order", 17, "features not ascending", "weaving", "baking"),
        ("feature-twice", "Order", 17, "one feature twice", "weaving", "counting"),
        ("feature-word", "Word", 16, "a feature of two parts", "counting 1", "counting/1 1"),
        (
            "group-zero",
            "GroupNumber",
            18,
            "group 0 is everybody",
            "group 1 licensees\n",
            "group 0 licensees\n",
        ),
        ("group-gap", "GroupNumber", 19, "group 3 follows group 1", "group 2 hotlines", "group 3 hotlines"),
        ("group-twice", "GroupTwice", 19, "two groups of one name", "group 2 hotlines", "group 2 licensees"),
        ("group-word", "Word", 19, "a name in upper case", "group 2 hotlines", "group 2 Hotlines"),
        ("group-no-word", "Value", 19, "a group without a name", "group 2 hotlines", "group 2"),
        (
            "group-within-itself",
            "GroupWithin",
            20,
            "a group within itself",
            "licensees-eu 1",
            "licensees-eu 3",
        ),
        ("group-within-later", "GroupWithin", 19, "a group within a later one", "hotlines\n", "hotlines 3\n"),
        (
            "group-within-all",
            "GroupWithin",
            20,
            "everybody is not written",
            "licensees-eu 1",
            "licensees-eu 0",
        ),
        (
            "in-group-unknown",
            "NoGroup",
            33,
            "a member in a group that is not listed",
            "in-group 3",
            "in-group 4",
        ),
        (
            "in-group-all",
            "NoGroup",
            31,
            "everybody is not written",
            "in-group 1\nin-group 2\n",
            "in-group 0\nin-group 1\nin-group 2\n",
        ),
        (
            "in-group-inner",
            "OuterGroup",
            32,
            "a member of a group and not of the one around it",
            "in-group 1\nin-group 2\n",
            "in-group 2\n",
        ),
        (
            "in-group-order",
            "NotCanonical",
            31,
            "groups in another order",
            "in-group 1\nin-group 2\n",
            "in-group 2\nin-group 1\n",
        ),
        ("in-group-twice", "NotCanonical", 32, "one group twice", "in-group 2\n", "in-group 1\n"),
        (
            "priority-default",
            "NotCanonical",
            49,
            "what holds unsaid is not written",
            "priority 500",
            "priority 10000",
        ),
        (
            "priority-before-quota",
            "Keyword",
            48,
            "lines in another order",
            "quota 1000000\npriority 500\n",
            "priority 500\nquota 1000000\n",
        ),
        ("agreement-zero", "Number", 38, "agreements are numbered from 1", "agreement 3", "agreement 0"),
        ("agreement-33-bits", "Value", 38, "a number of 33 bits", "agreement 3", "agreement 4294967296"),
        ("records-stand", "Value", 26, "what holds unsaid is not written", "records lapse", "records stand"),
        ("records-of-active", "Lapse", 38, "a member who takes part", "agreement 3", "records lapse"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn terms() -> Vec<Case<'static>> {
    vec![
        (
            "panellist-unknown",
            "Term",
            58,
            "a panellist that is no member",
            "panellist 2 south 1 4",
            "panellist 2 west 1 4",
        ),
        (
            "panellist-half",
            "Panel",
            57,
            "one of two is not more than half",
            "panellist 2 north 2 7\npanellist 2 south",
            "panellist 1 north 2 7\npanellist 1 south",
        ),
        (
            "panellist-too-many",
            "Panel",
            57,
            "three of two can never rule",
            "panellist 2 north 2 7\npanellist 2 south",
            "panellist 3 north 2 7\npanellist 3 south",
        ),
        (
            "panellist-two-numbers",
            "PanelNumber",
            58,
            "panellists who rule by different numbers",
            "panellist 2 south",
            "panellist 1 south",
        ),
        ("panellist-no-number", "Value", 58, "no number", "panellist 2 south 1 4", "panellist south 1 4"),
        (
            "panellist-overlap",
            "Order",
            57,
            "two terms of one panellist overlap",
            "panellist 2 north 2 7",
            "panellist 2 north 2 6",
        ),
        (
            "panellist-before-erasers",
            "Keyword",
            54,
            "lines in another order",
            "eraser north 1 0 2 5\n",
            "panellist 1 north 0 1 2 5\neraser north 1 0 2 5\n",
        ),
        ("declarer-unknown", "Term", 60, "a declarer that is no member", "declarer south", "declarer souths"),
        ("declarer-twice", "Order", 60, "two terms at once", "declarer south 1 5", "declarer north 1 0"),
        (
            "declarer-half-end",
            "Value",
            60,
            "an end without its index",
            "declarer south 1 5",
            "declarer south 1 5 1",
        ),
        (
            "steward-of-active",
            "Steward",
            62,
            "the records of a member who takes part",
            "steward east south",
            "steward north south",
        ),
        (
            "steward-of-itself",
            "Steward",
            61,
            "a leaver as its own steward",
            "steward east north",
            "steward east east",
        ),
        (
            "steward-of-unknown",
            "Steward",
            62,
            "the records of nobody",
            "steward east south",
            "steward west south",
        ),
        (
            "steward-ends-before",
            "Term",
            61,
            "a term that ends before it begins",
            "steward east north 1 3 2 7",
            "steward east north 1 3 1 2",
        ),
        (
            "steward-order",
            "Order",
            62,
            "stewards not ascending",
            "steward east south 1 0\n",
            "steward east north 1 0\n",
        ),
        ("steward-alone", "Value", 62, "a steward of whom", "steward east south 1 0\n", "steward east\n"),
    ]
}

fn rejections() -> Vec<Case<'static>> {
    let line = "rejected 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
    let other = "rejected 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
    let own = "rejected 3 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
    let short = "rejected 2 e3b0c44298fc1c149afbf4c8996fb924\n";
    let twice = "rejected 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
                 rejected 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
    vec![
        ("rejected-first", "Rejected", 7, "version 1 has no rival: it is pinned", line, other),
        ("rejected-own", "Rejected", 7, "a rival of this version itself", line, own),
        ("rejected-short", "Value", 7, "half a digest", line, short),
        ("rejected-no-version", "Value", 7, "a digest alone", "rejected 2 ", "rejected "),
        ("rejected-twice", "Order", 8, "one rival twice", line, twice),
    ]
}

/// One more of each than there may be.
fn many() -> Vec<Vector> {
    let digests = (0..17u8).map(|byte| Rejected { version: 2, digest: RosterDigest::new([byte; 32]) });
    let mut rivals = after(&after(&with_rights()));
    rivals.rejected = digests.collect();
    let mut sets = with_rights();
    sets.hash_sets = (100..357).map(|n| format!("set-{n}")).collect();
    let mut features = with_rights();
    features.features = (10..75).map(|n| Feature { word: format!("f{n}"), from: 1 }).collect();
    let mut groups = with_rights();
    groups.groups = (1..=65).map(|n| Group { n, word: format!("g{n}"), within: None }).collect();
    let mut declarers = with_rights();
    let place = |index| LogPlace { n: 1, index };
    let first = declarers.terms.declarers[0].clone();
    declarers.terms.declarers = (0..65)
        .map(|at| {
            let mut term = first.clone();
            (term.from, term.until) = (place(at), Some(place(at + 1)));
            term
        })
        .collect();
    [
        ("rejected-many", 23, "seventeen rivals", rivals),
        ("hash-sets-many", 268, "257 hash sets", sets),
        ("features-many", 80, "65 features", features),
        ("groups-many", 82, "65 groups", groups),
        ("declarers-many", 123, "65 terms of declarers", declarers),
    ]
    .into_iter()
    .map(|(name, line, reason, roster)| {
        Vector::reject(&format!("body-{name}"), "Count", reason, roster.encode())
            .with("line", line)
            .with("kind", "body")
    })
    .collect()
}

fn walk_of(change: impl FnOnce(&mut Roster)) -> Vec<SignedRoster> {
    let one = sign(&with_rights(), &[], &[ANA, CHO]);
    let mut two = after(&with_rights());
    change(&mut two);
    let two = sign(&two, std::slice::from_ref(&one), &[ANA, BEN]);
    vec![one, two]
}

fn accepted(name: &str, reason: &str, versions: &[SignedRoster]) -> Vector {
    let root = crate::walk(&file(versions), None).unwrap().root();
    Vector::accept(&format!("file-{name}"), reason, file(versions))
        .with("kind", "file")
        .with("pin", "none")
        .with("root", root)
}

fn passing_walks() -> Vec<Vector> {
    let rights = walk_of(|roster| {
        roster.groups.push(Group { n: 4, word: "auditors".to_owned(), within: None });
        roster.features[1].from = 2;
        roster.features.push(Feature { word: "zipping".to_owned(), from: 5 });
        roster.hash_sets.truncate(1);
        roster.members[0].records_lapse = false;
        roster.terms.panel[1].term.until = Some(LogPlace { n: 3, index: 0 });
        roster.terms.panel[2].term.until = Some(LogPlace { n: 1, index: 90 });
        roster.terms.declarers[1].until = Some(LogPlace { n: 1, index: 6 });
    });
    let mut rejecting = walk_of(|_| {});
    let mut three = after(&Roster::parse(&rejecting[1].body).unwrap());
    three.rejected = vec![rejected(2, OTHER)];
    rejecting.push(sign(&three, &rejecting, &[BEN, CHO]));
    vec![
        accepted("rights", "groups and features are added, terms end, records count again", &rights),
        accepted("rejects", "version 3 rejects a rival of version 2", &rejecting),
    ]
}

fn refused_walks() -> Vec<Vector> {
    let cases: [(&str, &str, &str, Change); 11] = [
        ("group-gone", "Immutable", "a group is not listed any more", |roster| {
            roster.members[1].groups.remove(&3);
            roster.groups.pop();
        }),
        ("group-renamed", "Immutable", "a group has another name", |roster| {
            roster.groups[1].word.push_str("-eu");
        }),
        ("group-moved", "Immutable", "a group lies in another one", |roster| {
            roster.groups[2].within = Some(2);
        }),
        ("feature-gone", "Immutable", "a feature in use is not listed any more", |roster| {
            roster.features.remove(0);
        }),
        ("feature-moved", "Immutable", "a feature in use begins later", |roster| {
            roster.features[0].from = 7;
        }),
        ("feature-in-retrospect", "Retrospective", "a feature begins before it was agreed", |roster| {
            roster.features.push(Feature { word: "zipping".to_owned(), from: 1 });
        }),
        ("panellist-gone", "Immutable", "a term on the panel is not listed any more", |roster| {
            roster.terms.panel.remove(0);
        }),
        ("panellist-other-number", "Immutable", "a term on the panel needs another number", |roster| {
            roster.terms.panel[0].needed = 2;
        }),
        ("declarer-moved", "Immutable", "a term begins elsewhere", |roster| {
            roster.terms.declarers[1].from.index = 6;
        }),
        ("steward-gone", "Immutable", "a term of a steward is not listed any more", |roster| {
            roster.terms.stewards.pop();
        }),
        ("steward-longer", "Immutable", "a term that has ended goes on", |roster| {
            roster.terms.stewards[0].term.until = None;
            roster.terms.stewards.pop();
        }),
    ];
    let reject = |name: &str, rule, reason, versions: &[SignedRoster]| {
        Vector::reject(&format!("file-{name}"), rule, reason, file(versions))
            .with("kind", "file")
            .with("pin", "none")
    };
    let mut vectors: Vec<Vector> = cases
        .iter()
        .map(|(name, rule, reason, change)| reject(name, rule, reason, &walk_of(change)))
        .collect();
    let mut own = walk_of(|_| {});
    let digest = RosterDigest::of_body(&own[1].body);
    let mut three = after(&Roster::parse(&own[1].body).unwrap());
    three.rejected = vec![Rejected { version: 2, digest }];
    own.push(sign(&three, &own, &[ANA, BEN]));
    vectors.push(reject("rejects-its-own", "RejectsHeld", "version 3 rejects its own predecessor", &own));
    vectors
}
