//! Vectors of signed rosters: one or more versions after each other, walked from the first.

use crate::sample::{
    ANA, BEN, CHO, CONSORTIUM, Signer, after, file, first, log, public, secret, sign, signature, some_root,
    tree_of, with_erasers,
};
use crate::vector_writer::Vector;
use crate::walk;
use hashpact_protocol::checkpoint::Checkpoint;
use hashpact_protocol::digest::{RosterDigest, empty_root};
use hashpact_protocol::note::{Note, NoteSignature, sign_note};
use hashpact_protocol::roster::{LogPlace, LogStatus, MemberStatus, Roster, SignedRoster};

const NEW: [Signer; 3] = [("ana", 101), ("ben", 102), ("cho", 103)];

type Change = fn(&mut Roster);

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = passing();
    vectors.extend(signatures());
    vectors.extend(steps());
    vectors.extend(changes());
    vectors.extend(frames());
    vectors
}

fn accept(name: &str, reason: &str, body: Vec<u8>) -> Vector {
    let root = walk(&body, None).unwrap().root();
    Vector::accept(&format!("file-{name}"), reason, body)
        .with("kind", "file")
        .with("pin", "none")
        .with("root", root)
}

fn reject(name: &str, rule: &str, reason: &str, body: impl Into<Vec<u8>>) -> Vector {
    Vector::reject(&format!("file-{name}"), rule, reason, body).with("kind", "file").with("pin", "none")
}

fn start() -> SignedRoster {
    sign(&first(), &[], &[ANA, CHO])
}

/// Version 2 with a change, on top of version 1.
fn second(change: impl FnOnce(&mut Roster), signers: &[Signer]) -> Vec<SignedRoster> {
    let mut roster = after(&first());
    change(&mut roster);
    let second = sign(&roster, &[start()], signers);
    vec![start(), second]
}

fn rotate(roster: &mut Roster) {
    for (key, (_, seed)) in roster.governance.iter_mut().zip(NEW) {
        key.key = public(seed);
    }
}

fn note_of(text: &str, signers: &[Signer]) -> Vec<u8> {
    let by =
        |(name, seed): &Signer| sign_note(text, &format!("{CONSORTIUM}/governance/{name}"), &secret(*seed));
    Note { text: text.to_owned(), signatures: signers.iter().map(by).collect() }.encode()
}

fn passing() -> Vec<Vector> {
    let mut more = Note::parse(&start().note).unwrap();
    more.signatures.insert(0, sign_note(&more.text, "example.org/other", &secret(77)));
    let unknown = SignedRoster { note: more.encode(), ..start() };
    let next_log: Change = |roster| {
        let north = &mut roster.members[1];
        north.logs[1].status = LogStatus::Closed { size: 1, root: some_root() };
        north.logs[2].status = LogStatus::Open;
    };
    let leave: Change = |roster| {
        roster.members[2].status = MemberStatus::Left;
        roster.members[2].logs[0].status = LogStatus::Closed { size: 1, root: some_root() };
        roster.witnesses.truncate(1);
    };
    let (root, two) = (tree_of(&[start()]).root(), second(|_| {}, &[BEN, CHO]));
    let pinned = Vector::accept("file-pinned", "version 1 has the pinned root", file(&two))
        .with("kind", "file")
        .with("pin", root)
        .with("root", tree_of(&two).root());
    vec![
        accept("first", "version 1, signed by two of three", file(&[start()])),
        accept("first-by-all", "version 1, signed by all", file(&[sign(&first(), &[], &[CHO, ANA, BEN])])),
        accept("second", "version 2 without a change", file(&two)),
        accept(
            "rotation",
            "all governance keys change: two old and two new ones sign",
            file(&second(rotate, &[ANA, BEN, NEW[0], NEW[2]])),
        ),
        accept("next-log", "a log is closed, and its spare opened", file(&second(next_log, &[ANA, BEN]))),
        accept(
            "leave",
            "a member leaves: its log is closed, it stays listed",
            file(&second(leave, &[ANA, BEN])),
        ),
        accept("unknown-signature", "a signature of a key that nobody asks for", file(&[unknown])),
        pinned,
    ]
}

fn signatures() -> Vec<Vector> {
    let tree = tree_of(&[]);
    let body = first().encode();
    let by = |signer| signature(&body, &tree, signer);
    let with = |signatures: Vec<NoteSignature>| {
        let text = Note::parse(&start().note).unwrap().text;
        file(&[SignedRoster { body: body.clone(), note: Note { text, signatures }.encode() }])
    };
    let mut broken = by(BEN);
    broken.bytes[40] ^= 1;
    let mut short = by(BEN);
    short.bytes.pop();
    vec![
        reject("one-signature", "TooFewSignatures", "one of three signed", with(vec![by(ANA)])),
        reject(
            "one-key-two-names",
            "TooFewSignatures",
            "one key signed under two names",
            with(vec![by(ANA), by(("ben", 1))]),
        ),
        reject(
            "stranger",
            "TooFewSignatures",
            "the second signature is a stranger's",
            with(vec![by(ANA), by(("dee", 9))]),
        ),
        reject(
            "signed-twice",
            "DuplicateSignature",
            "one signature line twice beside enough others",
            with(vec![by(ANA), by(BEN), by(BEN)]),
        ),
        reject(
            "broken-third",
            "BadSignature",
            "a line of a listed key does not verify, beside enough others",
            with(vec![by(ANA), broken, by(CHO)]),
        ),
        reject(
            "short-third",
            "SignatureLength",
            "a line of a listed key is a byte short, beside enough others",
            with(vec![by(ANA), short, by(CHO)]),
        ),
        reject(
            "new-keys-only",
            "TooFewSignatures",
            "whoever takes over does not ask the old keys",
            file(&second(rotate, &[NEW[0], NEW[1]])),
        ),
        reject(
            "old-keys-only",
            "TooFewSignatures",
            "the new keys have not shown that they exist",
            file(&second(rotate, &[ANA, BEN])),
        ),
    ]
}

/// A walk that goes another way than one version forward.
fn steps() -> Vec<Vector> {
    let [one, two] = <[SignedRoster; 2]>::try_from(second(|_| {}, &[ANA, BEN])).unwrap();
    let third = Roster { version: 3, ..after(&first()) };
    let skipping = {
        let text = Checkpoint { origin: format!("{CONSORTIUM}/roster"), size: 3, root: some_root() }.text();
        SignedRoster { body: third.encode(), note: note_of(&text, &[ANA, BEN]) }
    };
    let other_previous =
        second(|roster| roster.previous = Some(RosterDigest::of_body(b"another")), &[ANA, BEN]);
    let mut other = after(&first());
    other.consortium = "hearth-0011223344556678".to_owned();
    let other = sign(&other, &[start()], &[ANA, BEN]);
    let checkpoint = Checkpoint::parse_text(&Note::parse(&one.note).unwrap().text).unwrap();
    let with = |change: fn(&mut Checkpoint)| {
        let mut changed = checkpoint.clone();
        change(&mut changed);
        file(&[SignedRoster { body: one.body.clone(), note: note_of(&changed.text(), &[ANA, BEN]) }])
    };
    let pinned =
        Vector::reject("file-pin", "Pin", "version 1 has another root than the pinned one", file(&[start()]));
    vec![
        reject(
            "starts-at-2",
            "NotFirst",
            "a chain that starts at version 2",
            file(std::slice::from_ref(&two)),
        ),
        reject("again", "NotNext", "version 1 follows version 1", file(&[one.clone(), one.clone()])),
        reject("back", "NotNext", "version 1 follows version 2", file(&[one.clone(), two, one.clone()])),
        reject("skipped", "NotNext", "version 3 follows version 1", file(&[one.clone(), skipping])),
        reject("other-previous", "OtherPrevious", "names another version 1", file(&other_previous)),
        reject(
            "other-consortium",
            "OtherConsortium",
            "version 2 of another consortium",
            file(&[one.clone(), other]),
        ),
        reject(
            "checkpoint-origin",
            "OtherCheckpoint",
            "the checkpoint of another log",
            with(|c| c.origin.push_str("/1")),
        ),
        reject("checkpoint-size", "OtherCheckpoint", "the checkpoint of another size", with(|c| c.size = 2)),
        reject(
            "checkpoint-root",
            "OtherCheckpoint",
            "the checkpoint of another body",
            with(|c| c.root = some_root()),
        ),
        pinned.with("kind", "file").with("pin", empty_root()),
    ]
}

/// Version 2 changes what is fixed for life; enough keys signed it all the same.
fn changes() -> Vec<Vector> {
    let cases: [(&str, &str, &str, Change); 9] = [
        ("member-gone", "Immutable", "a member is not listed any more", |roster| {
            roster.members.remove(0);
        }),
        ("member-returns", "Immutable", "a member who left is active again", |roster| {
            roster.members[0].status = MemberStatus::Active;
        }),
        ("log-gone", "Immutable", "a log is not listed any more", |roster| {
            roster.members[1].logs.pop();
        }),
        ("log-key", "Immutable", "a log has another key", |roster| {
            roster.members[2].logs[0].key = public(60)
        }),
        ("log-reopened", "Immutable", "a closed log is open", |roster| {
            let north = &mut roster.members[1];
            north.logs[0].status = LogStatus::Open;
            north.logs[1].status = LogStatus::Spare;
        }),
        ("log-pin-moved", "Immutable", "a closed log is closed elsewhere", |roster| {
            roster.members[1].logs[0].status = LogStatus::Closed { size: 2, root: some_root() };
        }),
        ("log-unopened", "Immutable", "an open log is a spare again", |roster| {
            roster.members[1].logs[1].status = LogStatus::Spare;
        }),
        ("key-other-role", "KeyReused", "a card key becomes the key of a log", |roster| {
            roster.members[2].card_key = public(61);
            roster.members[2].logs.push(log(2, 20, LogStatus::Spare));
        }),
        ("key-other-member", "KeyReused", "a cosigner key goes to another member", |roster| {
            roster.members[2].cosigner_key = Some(public(62));
            roster.members[1].cosigner_key = Some(public(21));
        }),
    ];
    let mut vectors: Vec<Vector> = cases
        .iter()
        .map(|(name, rule, reason, change)| reject(name, rule, reason, file(&second(change, &[ANA, BEN]))))
        .collect();
    // A key that no version lists at the moment has its old role all the same.
    let mut versions = second(|roster| roster.members[2].card_key = public(61), &[ANA, BEN]);
    let mut third = after(&Roster::parse(&versions[1].body).unwrap());
    third.members[2].logs.push(log(2, 20, LogStatus::Spare));
    versions.push(sign(&third, &versions, &[ANA, BEN]));
    vectors.push(reject(
        "key-remembered",
        "KeyReused",
        "a key of version 1 has another role in version 3",
        file(&versions),
    ));
    let terms: [(&str, &str, Change); 3] = [
        ("term-gone", "a term is not listed any more", |roster| {
            roster.terms.erasers.remove(0);
        }),
        ("term-longer", "a term that has ended goes on", |roster| {
            roster.terms.erasers[0].until = Some(LogPlace { n: 2, index: 6 });
        }),
        ("term-moved", "a term begins elsewhere", |roster| roster.terms.erasers[2].from.index = 1),
    ];
    for (name, reason, change) in terms {
        let one = sign(&with_erasers(), &[], &[ANA, BEN]);
        let mut two = after(&with_erasers());
        change(&mut two);
        let two = sign(&two, std::slice::from_ref(&one), &[ANA, BEN]);
        vectors.push(reject(name, "Immutable", reason, file(&[one, two])));
    }
    vectors
}

fn frames() -> Vec<Vector> {
    let bytes = file(&[start()]);
    let text = String::from_utf8(bytes.clone()).unwrap();
    let body_len = start().body.len();
    let header_len = text.find('\n').unwrap();
    let lengths = &text["hashpact/signed-roster/v1 ".len()..header_len];
    let unsigned = SignedRoster { body: start().body, note: Vec::new() };
    let spaced = SignedRoster { body: [start().body.as_slice(), b"\n"].concat(), note: start().note };
    vec![
        reject("empty", "File", "nothing", Vec::new()),
        reject("header", "File", "a file of a later version", text.replacen("roster/v1", "roster/v2", 1)),
        reject(
            "length-zeros",
            "File",
            "a leading zero in a length",
            text.replacen(lengths, &format!("0{lengths}"), 1),
        ),
        reject(
            "length-huge",
            "File",
            "a body of more bytes than a body may have",
            text.replacen(&body_len.to_string(), "196609", 1),
        ),
        reject("length-missing", "File", "one length", text.replacen(lengths, &body_len.to_string(), 1)),
        reject("cut", "File", "the last byte is missing", bytes[..bytes.len() - 1].to_vec()),
        reject("extended", "File", "a byte follows", [bytes.as_slice(), b"\n"].concat()),
        reject("unsigned", "NoSeparator", "a draft that nobody signed", file(&[unsigned])),
        reject(
            "body-changed",
            "OtherCheckpoint",
            "a name was changed after signing",
            text.replacen("North Star", "North Stag", 1),
        ),
        reject("body-not-canonical", "AfterEnd", "an empty line behind the signed body", file(&[spaced])),
    ]
}
