//! Vectors of roster bodies: one text with every kind of line, and its ways to be wrong.

use crate::sample::{CONSORTIUM, after, first, public, some_root, with_erasers};
use crate::vector_writer::Vector;
use hashpact_protocol::roster::{LogStatus, Roster};

const EMPTY_ROOT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Name, rule, line, reason, and what to replace by what.
pub(crate) type Case<'a> = (&'a str, &'a str, usize, &'a str, &'a str, &'a str);

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) fn vectors() -> Vec<Vector> {
    let text = String::from_utf8(first().encode()).unwrap();
    let key = |seed| public(seed).to_hex();
    let (ana, ben, cho, k13, k22) = (key(1), key(2), key(3), key(13), key(22));
    let ana_line = format!("governance ana {ana}\n");
    let ben_line = format!("governance ben {ben}\n");
    let cho_line = format!("governance cho {cho}\n");
    let closed = format!("log 1 closed {} 1 {}\n", key(12), some_root());
    let open = format!("log 2 open {k13}\n");
    let spare = format!("log 3 spare {}\n", key(14));
    let left_log = format!("log 1 closed {} 0 {EMPTY_ROOT}\n", key(42));
    let south = format!(
        "member south active Süd & Söhne\nrole contributor\ncard {}\ncosigner {}\nhistory 1790000000\n\
         quota 1000000\nlog 1 open {k22}\n",
        key(20),
        key(21)
    );
    let many_witnesses: String = (10..24).map(|number| format!("witness a{number}\n")).collect();
    let many_taxonomies: String = (10..26).map(|number| format!("taxonomy a{number}/1\n")).collect();
    let long_name = format!("member north active {}\n", "n".repeat(81));
    let order: [Case<'_>; 8] = [
        (
            "governance-order",
            "Order",
            9,
            "governance keys not ascending by name",
            &format!("{ana_line}{ben_line}"),
            &format!("{ben_line}{ana_line}"),
        ),
        (
            "governance-twice",
            "Order",
            10,
            "one governance name twice",
            &cho_line,
            &cho_line.replace("cho", "ben"),
        ),
        ("member-order", "Order", 30, "members not ascending by id", "member north ", "member zenith "),
        ("member-twice", "Order", 37, "one member twice, word for word", &south, &format!("{south}{south}")),
        ("witness-twice", "Order", 38, "one witness twice", "witness south\n", "witness north\n"),
        (
            "taxonomy-twice",
            "Order",
            12,
            "one taxonomy twice",
            "taxonomy cg-taxonomy/1\n",
            "taxonomy cg-taxonomy/1\ntaxonomy cg-taxonomy/1\n",
        ),
        (
            "role-twice",
            "NotCanonical",
            22,
            "one role twice",
            "role contributor\nrole hotline\n",
            "role contributor\nrole contributor\n",
        ),
        (
            "role-order",
            "NotCanonical",
            21,
            "roles in another order",
            "role contributor\nrole hotline\n",
            "role hotline\nrole contributor\n",
        ),
    ];
    let head: [Case<'_>; 26] = [
        (
            "header-version",
            "Keyword",
            1,
            "a format of a later version",
            "hashpact/roster/v1",
            "hashpact/roster/v2",
        ),
        (
            "header-space",
            "Keyword",
            1,
            "a space behind the header",
            "hashpact/roster/v1\n",
            "hashpact/roster/v1 \n",
        ),
        ("byte-order-mark", "Keyword", 1, "a byte order mark", "hashpact/", "\u{feff}hashpact/"),
        (
            "consortium-upper",
            "ConsortiumId",
            2,
            "upper case in the random part",
            CONSORTIUM,
            "hearth-001122334455667A",
        ),
        ("consortium-short", "ConsortiumId", 2, "15 digits", CONSORTIUM, "hearth-001122334455667"),
        ("consortium-no-name", "ConsortiumId", 2, "no name", CONSORTIUM, "-0011223344556677"),
        (
            "consortium-plus",
            "ConsortiumId",
            2,
            "a plus sign, which no key name has",
            CONSORTIUM,
            "he+rth-0011223344556677",
        ),
        (
            "consortium-space",
            "ConsortiumId",
            2,
            "two spaces behind the keyword",
            "consortium ",
            "consortium  ",
        ),
        (
            "consortium-slash",
            "ConsortiumId",
            2,
            "a slash, which would shift the parts of an origin",
            CONSORTIUM,
            "he/rth-0011223344556677",
        ),
        ("carriage-return", "ConsortiumId", 2, "a line that ends in CR LF", "6677\n", "6677\r\n"),
        ("version-zero", "VersionZero", 3, "version 0", "version 1\n", "version 0\n"),
        ("version-sign", "Value", 3, "a sign", "version 1\n", "version +1\n"),
        ("version-zeros", "Value", 3, "a leading zero", "version 1\n", "version 01\n"),
        (
            "version-65-bits",
            "Value",
            3,
            "a number of 65 bits",
            "version 1\n",
            "version 18446744073709551616\n",
        ),
        (
            "version-64-bits",
            "Number",
            3,
            "a version that no tree size can be",
            "version 1\n",
            "version 9223372036854775808\n",
        ),
        ("version-empty", "Value", 3, "no number", "version 1\n", "version \n"),
        (
            "version-2-without-previous",
            "Previous",
            6,
            "version 2 names no predecessor",
            "version 1\n",
            "version 2\n",
        ),
        (
            "previous-of-version-1",
            "Previous",
            6,
            "version 1 names a predecessor",
            "previous none",
            &format!("previous {EMPTY_ROOT}"),
        ),
        (
            "previous-upper",
            "Value",
            6,
            "a digest in upper case",
            "previous none",
            &format!("previous {}", EMPTY_ROOT.to_uppercase()),
        ),
        (
            "created-late",
            "Number",
            4,
            "created after the year 9999",
            "created 1800000000",
            "created 253402300800",
        ),
        (
            "expires-late",
            "Number",
            5,
            "expires after the year 9999: never",
            "expires 1831536000",
            "expires 18446744073709551615",
        ),
        (
            "expires-at-creation",
            "Expiry",
            5,
            "expires when it is created",
            "expires 1831536000",
            "expires 1800000000",
        ),
        (
            "lines-swapped",
            "Keyword",
            4,
            "created and expires in the other order",
            "created 1800000000\nexpires 1831536000\n",
            "expires 1831536000\ncreated 1800000000\n",
        ),
        ("line-missing", "Keyword", 12, "no retention", "retention 90\n", ""),
        (
            "line-unknown",
            "Keyword",
            14,
            "a line that this format does not have",
            "hold 72\n",
            "hold 72\nmotto be kind\n",
        ),
        ("line-empty", "Keyword", 14, "an empty line", "hold 72\n", "hold 72\n\n"),
    ];
    let rules: [Case<'_>; 19] = [
        (
            "threshold-half",
            "Threshold",
            7,
            "one of three is not more than half",
            "threshold 2",
            "threshold 1",
        ),
        (
            "threshold-half-of-two",
            "Threshold",
            7,
            "one of two is not more than half",
            &format!("threshold 2\n{ana_line}"),
            "threshold 1\n",
        ),
        ("threshold-too-many", "Threshold", 7, "four of three can never sign", "threshold 2", "threshold 4"),
        ("threshold-zero", "Threshold", 7, "nobody must sign", "threshold 2", "threshold 0"),
        ("threshold-byte", "Value", 7, "a threshold that is no byte", "threshold 2", "threshold 258"),
        ("no-governance", "Count", 8, "no governance key", &format!("{ana_line}{ben_line}{cho_line}"), ""),
        (
            "governance-name-upper",
            "Word",
            8,
            "a name that could not be typed twice the same way",
            "governance ana",
            "governance Ana",
        ),
        ("governance-name-space", "Key", 8, "a name of two words", "governance ana", "governance ana maria"),
        ("governance-no-key", "Value", 8, "a name alone", &ana_line, "governance ana\n"),
        ("key-upper", "Key", 8, "a key in upper case", &ana, &ana.to_uppercase()),
        ("key-short", "Key", 8, "a key of 31 bytes", &ana, &ana[2..]),
        ("key-small-order", "Key", 8, "a key of small order", &ana, &"00".repeat(32)),
        (
            "key-neutral",
            "Key",
            8,
            "the neutral element, under which anything verifies",
            &ana,
            &format!("01{}", "00".repeat(31)),
        ),
        ("key-twice-governance", "KeyTwice", 9, "two governance keys are one", &ben, &ana),
        ("key-twice-roles", "KeyTwice", 36, "a log has a governance key", &k22, &cho),
        ("key-twice-card", "KeyTwice", 33, "a cosigner key is its member's card key", &key(21), &key(20)),
        ("no-taxonomy", "Count", 11, "no taxonomy", "taxonomy cg-taxonomy/1\n", ""),
        ("taxonomy-form", "Word", 11, "a taxonomy without its version", "cg-taxonomy/1", "cg-taxonomy"),
        (
            "taxonomies-many",
            "Count",
            27,
            "seventeen taxonomies",
            "taxonomy cg-taxonomy/1\n",
            &format!("{many_taxonomies}taxonomy cg-taxonomy/1\n"),
        ),
    ];
    let members: [Case<'_>; 28] = [
        ("retention-zero", "Number", 12, "payloads destroyed at once", "retention 90", "retention 0"),
        ("hold-zero", "Number", 13, "no time to stop an erasure by a stolen key", "hold 72", "hold 0"),
        ("member-id-upper", "Value", 20, "an id in upper case", "member north ", "member North "),
        (
            "member-id-long",
            "Value",
            20,
            "an id of 33 characters",
            "member north ",
            "member n0123456789012345678901234567890123 ",
        ),
        (
            "member-id-reserved",
            "ReservedId",
            14,
            "an id whose log origins are governance key names",
            "member east ",
            "member governance ",
        ),
        (
            "member-id-none",
            "ReservedId",
            14,
            "a witness of this id could not stand in a tlog-policy",
            "member east ",
            "member none ",
        ),
        (
            "member-status",
            "Value",
            20,
            "a status that this format does not have",
            "north active",
            "north paused",
        ),
        ("member-no-name", "Value", 20, "no name", "north active North Star", "north active"),
        ("member-name-empty", "Word", 20, "an empty name", "North Star", ""),
        ("member-name-outer-space", "Word", 20, "a space behind the name", "North Star", "North Star "),
        ("member-name-first-space", "Word", 20, "two spaces before the name", "North Star", " North Star"),
        ("member-name-two-spaces", "Word", 20, "two spaces inside the name", "North Star", "North  Star"),
        ("member-name-hard-space", "Word", 20, "a no-break space", "North Star", "North\u{a0}Star"),
        (
            "member-name-zero-width",
            "Word",
            20,
            "a character that does not show",
            "North Star",
            "Nor\u{200b}th Star",
        ),
        (
            "member-name-direction",
            "Word",
            20,
            "a character that turns what follows around",
            "North Star",
            "North \u{202e}Star",
        ),
        (
            "member-name-line-separator",
            "Word",
            20,
            "a line separator of Unicode",
            "North Star",
            "North\u{2028}Star",
        ),
        ("member-name-tab", "Word", 20, "a control character", "North Star", "North\tStar"),
        (
            "member-name-long",
            "Word",
            20,
            "a name of 81 bytes",
            "member north active North Star\n",
            &long_name,
        ),
        ("member-no-role", "NoRole", 30, "no role", "Söhne\nrole contributor\n", "Söhne\n"),
        (
            "role-unknown",
            "Value",
            21,
            "a role that this format does not have",
            "role contributor\nrole hotline\n",
            "role king\nrole hotline\n",
        ),
        ("no-card-key", "Keyword", 32, "no card key", &format!("card {}\n", key(20)), ""),
        (
            "history-late",
            "Number",
            34,
            "a history that starts after the year 9999",
            "history 1790000000",
            "history 253402300800",
        ),
        ("quota-missing", "Keyword", 18, "no quota", "quota 1000\n", ""),
        ("witness-unknown", "Witness", 38, "a witness that is no member", "witness south", "witness souths"),
        ("witness-left", "Witness", 37, "a witness that left", "witness north\n", "witness east\n"),
        (
            "witness-no-cosigner",
            "Witness",
            37,
            "a witness without a cosigner key",
            &format!("cosigner {}\n", key(21)),
            "",
        ),
        (
            "witnesses-many",
            "Count",
            52,
            "sixteen witnesses",
            "witness north\n",
            &format!("{many_witnesses}witness north\n"),
        ),
        (
            "witness-before-members",
            "Keyword",
            15,
            "a witness where members stand",
            "hold 72\n",
            "hold 72\nwitness north\n",
        ),
    ];
    let logs: [Case<'_>; 16] = [
        (
            "log-closed-without-root",
            "Value",
            27,
            "a closed log without its root",
            &closed,
            &closed.replace(&format!(" {}", some_root()), ""),
        ),
        (
            "log-closed-without-place",
            "Value",
            27,
            "a closed log without size and root",
            &closed,
            &format!("log 1 closed {}\n", key(12)),
        ),
        (
            "log-open-with-root",
            "Value",
            28,
            "an open log with a size and a root",
            &open,
            &format!("log 2 open {k13} 1 {}\n", some_root()),
        ),
        (
            "log-closed-empty-root",
            "EmptyRoot",
            19,
            "closed at size 0 with a root that the empty tree does not have",
            &left_log,
            &left_log.replace(EMPTY_ROOT, &some_root().to_hex()),
        ),
        (
            "log-closed-huge",
            "Number",
            27,
            "closed at a size that no tree has",
            &closed,
            &closed.replace(" 1 ", " 9223372036854775808 ").replace("log 9223372036854775808 ", "log 1 "),
        ),
        (
            "log-zero",
            "LogNumber",
            36,
            "a log with number 0",
            &format!("log 1 open {k22}"),
            &format!("log 0 open {k22}"),
        ),
        ("log-gap", "LogNumber", 28, "log 3 follows log 1", "log 2 open", "log 3 open"),
        ("log-twice", "LogNumber", 29, "two logs with number 2", "log 3 spare", "log 2 spare"),
        (
            "log-order",
            "LogNumber",
            28,
            "logs not ascending",
            &format!("{open}{spare}"),
            &format!("{spare}{open}"),
        ),
        (
            "log-33-bits",
            "Value",
            36,
            "a log number of 33 bits",
            &format!("log 1 open {k22}"),
            &format!("log 4294967297 open {k22}"),
        ),
        ("log-two-open", "OpenLogs", 29, "two open logs", "log 3 spare", "log 3 open"),
        (
            "log-spare-before-open",
            "LogOrder",
            29,
            "a spare with a lower number than the open log",
            &format!("{open}{spare}"),
            &format!("{open}{spare}")
                .replace("spare", "OPEN")
                .replace("open", "spare")
                .replace("OPEN", "open"),
        ),
        (
            "log-closed-behind-open",
            "LogOrder",
            29,
            "a closed log behind the open one",
            &spare,
            &format!("log 3 closed {} 0 {EMPTY_ROOT}\n", key(14)),
        ),
        ("log-status", "Value", 28, "a status that this format does not have", "log 2 open", "log 2 frozen"),
        (
            "left-with-open-log",
            "NotClosed",
            30 + 6,
            "a member who left appends",
            "south active",
            "south left",
        ),
        (
            "left-with-spare-log",
            "NotClosed",
            19,
            "a member who left may return by a spare",
            &left_log,
            &format!("log 1 spare {}\n", key(42)),
        ),
    ];
    let frame: [Case<'_>; 5] = [
        ("end-missing", "Truncated", 38, "no end line", "end\n", ""),
        ("end-without-newline", "Truncated", 38, "the last line is not ended", "end\n", "end"),
        ("text-after-end", "AfterEnd", 40, "a line after the end", "end\n", "end\nwitness zulu\n"),
        ("newline-after-end", "AfterEnd", 40, "an empty line after the end", "end\n", "end\n\n"),
        ("end-with-space", "Keyword", 39, "a space behind the end", "end\n", "end \n"),
    ];
    let cases = order.iter().chain(&head).chain(&rules).chain(&members).chain(&logs).chain(&frame);
    let mut vectors: Vec<Vector> = cases.map(|case| changed(&text, case)).collect();
    vectors.extend(passing());
    vectors.extend(erasers());
    vectors.extend(raw(&text));
    vectors
}

pub(crate) fn changed(text: &str, (name, rule, line, reason, from, to): &Case<'_>) -> Vector {
    assert!(text.contains(from), "{name}: {from:?} is not in the text");
    let body = text.replacen(from, to, 1);
    Vector::reject(&format!("body-{name}"), rule, reason, body).with("line", line).with("kind", "body")
}

/// Times, and terms of erasure authorities.
fn erasers() -> Vec<Vector> {
    let text = String::from_utf8(with_erasers().encode()).unwrap();
    let south = "eraser south 1 0\n";
    let first_term = "eraser north 1 0 2 5\n";
    let many: String = (0..64).map(|n| format!("eraser south 1 {n} 1 {}\n", n + 1)).collect();
    let cases: [Case<'_>; 15] = [
        ("hold-in-other-unit", "NotCanonical", 13, "72 hours are written as 72", "hold 72", "hold 259200s"),
        ("hold-zero-seconds", "NotCanonical", 13, "0 s are written as 0", "hold 72", "hold 0s"),
        ("hold-long", "Number", 13, "longer than a year", "hold 72", "hold 8785"),
        ("hold-minutes", "Value", 13, "no unit but seconds", "hold 72", "hold 90m"),
        ("retention-long", "Number", 12, "longer than a century", "retention 90", "retention 36526"),
        ("retention-signed", "Value", 12, "a sign", "retention 90", "retention -90"),
        ("eraser-unknown", "Term", 41, "an authority that is no member", south, "eraser west 1 0\n"),
        ("eraser-log-zero", "Term", 41, "logs are numbered from 1", south, "eraser south 0 0\n"),
        ("eraser-no-time", "Term", 39, "a term that ends where it begins", "1 0 2 5", "1 0 1 0"),
        ("eraser-ends-before", "Term", 39, "a term that ends before it begins", "1 0 2 5", "2 5 1 9"),
        ("eraser-overlap", "Order", 40, "two terms of one member overlap", "2 9", "2 4"),
        (
            "eraser-unended",
            "Order",
            40,
            "a second term while the first goes on",
            first_term,
            "eraser north 1 0\n",
        ),
        ("eraser-order", "Order", 41, "authorities not ascending", south, "eraser east 1 0\n"),
        ("eraser-half-end", "Value", 41, "an end without its index", south, "eraser south 1 0 2\n"),
        ("erasers-many", "Count", 103, "more than 64 terms", south, &many),
    ];
    let mut vectors: Vec<Vector> = cases.iter().map(|case| changed(&text, case)).collect();
    let mut seconds = with_erasers();
    (seconds.hold_s, seconds.retention_s) = (3_599, 86_401);
    for (name, reason, roster) in [
        ("body-erasers", "erasure authorities, one with two terms", with_erasers()),
        ("body-times-in-seconds", "times that are no whole hours and days", seconds),
    ] {
        vectors.push(Vector::accept(name, reason, roster.encode()).with("kind", "body"));
    }
    vectors
}

fn passing() -> Vec<Vector> {
    let accept = |name: &str, reason, roster: &Roster| {
        Vector::accept(name, reason, roster.encode()).with("kind", "body")
    };
    let mut smallest = first();
    smallest.governance.truncate(1);
    smallest.threshold = 1;
    smallest.members.truncate(1);
    smallest.witnesses.clear();
    let mut no_logs = first();
    no_logs.members[2].logs.clear();
    let mut all_closed = first();
    all_closed.members[2].logs[0].status = LogStatus::Closed { size: u64::MAX >> 1, root: some_root() };
    let mut names = first();
    names.members[1].name = "北極星 & Söhne, \"N.\" #1 (Ελλάδα)".to_owned();
    names.members[2].name = "n".repeat(80);
    vec![
        accept("body-full", "every kind of line", &first()),
        accept("body-version-2", "a later version, with the digest of version 1", &after(&first())),
        accept("body-smallest", "one governance key, one member who left, no witness", &smallest),
        accept("body-member-without-log", "between two logs a member may have none", &no_logs),
        accept("body-closed-at-the-largest-size", "closed at the largest size that a tree has", &all_closed),
        accept("body-names", "names in any script, and one of 80 bytes", &names),
    ]
}

/// Bodies that are not text, or not short.
fn raw(text: &str) -> Vec<Vector> {
    let reject = |name: &str, rule, line: usize, reason, body: Vec<u8>| {
        Vector::reject(&format!("body-{name}"), rule, reason, body).with("line", line).with("kind", "body")
    };
    let at = text.find('ü').unwrap();
    let mut not_utf8 = text.as_bytes().to_vec();
    not_utf8[at] = 0xff;
    let mut two = text.as_bytes().to_vec();
    two.extend_from_slice(text.as_bytes());
    vec![
        reject("empty", "Truncated", 0, "nothing", Vec::new()),
        reject("not-utf8", "Utf8", 30, "a byte that UTF-8 does not have", not_utf8),
        reject("twice", "AfterEnd", 40, "two bodies after each other", two),
        reject("nul", "Keyword", 1, "a NUL at the start", [&[0], text.as_bytes()].concat()),
    ]
}
