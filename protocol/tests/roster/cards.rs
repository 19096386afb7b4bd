//! Vectors of node cards, judged under the roster of `pass-body-full.txt`.

use crate::sample::{CONSORTIUM, NOW_S, id, public, secret};
use crate::vector_writer::Vector;
use hashpact_protocol::limits::NODE_CARD_LIFETIME_MAX_S;
use hashpact_protocol::note::{Note, sign_note};
use hashpact_protocol::roster::{CardNode, NodeCard, sign_card};

/// Seed of the card key of `north`.
pub(crate) const CARD_SEED: u8 = 10;

/// Name, rule, reason, and what to replace by what before signing.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

pub(crate) fn card() -> NodeCard {
    let node = |seed, addresses: &[&str]| CardNode {
        peer_key: public(seed),
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
    };
    NodeCard {
        consortium: CONSORTIUM.to_owned(),
        member: id("north"),
        sequence: 7,
        expires_s: NOW_S + 86_400,
        nodes: vec![
            node(90, &["/dns4/node.north.example/udp/7411/quic-v1", "/ip4/192.0.2.7/tcp/7411"]),
            node(91, &["/ip6/2001:db8::7/tcp/7411"]),
        ],
    }
}

fn text_of(note: &[u8]) -> String {
    Note::parse(note).unwrap().text
}

/// Signs any text as the card of `north`.
fn sign(text: &str) -> Vec<u8> {
    let signature = sign_note(text, &format!("{CONSORTIUM}/north/card"), &secret(CARD_SEED));
    Note { text: text.to_owned(), signatures: vec![signature] }.encode()
}

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = passing();
    vectors.extend(texts());
    vectors.extend(signatures());
    vectors.extend(times());
    vectors
}

fn accept(name: &str, reason: &str, now_s: u64, card: impl Into<Vec<u8>>) -> Vector {
    Vector::accept(&format!("card-{name}"), reason, card)
        .with("kind", "card")
        .with("roster", "pass-body-full.txt")
        .with("now", now_s)
}

fn reject(name: &str, rule: &str, reason: &str, now_s: u64, card: impl Into<Vec<u8>>) -> Vector {
    Vector::reject(&format!("card-{name}"), rule, reason, card)
        .with("kind", "card")
        .with("roster", "pass-body-full.txt")
        .with("now", now_s)
}

fn passing() -> Vec<Vector> {
    let good = sign_card(&card(), &secret(CARD_SEED));
    let mut silent = card();
    silent.nodes.truncate(1);
    silent.nodes[0].addresses.clear();
    let mut left = card();
    left.member = id("east");
    let mut note = Note::parse(&good).unwrap();
    note.signatures.insert(0, sign_note(&note.text, "example.org/other", &secret(77)));
    vec![
        accept("good", "two nodes, three addresses", NOW_S, good.clone()),
        accept("no-address", "a node that only dials out", NOW_S, sign_card(&silent, &secret(CARD_SEED))),
        accept("last-second", "one second before it expires", NOW_S + 86_399, good),
        reject(
            "left-member",
            "MemberLeft",
            "the card of a member who left",
            NOW_S,
            sign_card(&left, &secret(40)),
        ),
        accept("unknown-signature", "a signature of a key that nobody asks for", NOW_S, note.encode()),
    ]
}

fn times() -> Vec<Vector> {
    let good = sign_card(&card(), &secret(CARD_SEED));
    let expires_s = card().expires_s;
    let earliest_s = expires_s - NODE_CARD_LIFETIME_MAX_S - 3_600;
    vec![
        accept("longest-life", "thirty days and the hour for clocks", earliest_s, good.clone()),
        reject("expired", "Expired", "at the second when it expires", expires_s, good.clone()),
        reject(
            "too-long-valid",
            "TooLongValid",
            "one second more than thirty days and an hour",
            earliest_s - 1,
            good,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn texts() -> Vec<Vector> {
    let text = text_of(&sign_card(&card(), &secret(CARD_SEED)));
    let peer = public(90).to_hex();
    let nine_nodes: String = (100..107).map(|seed| format!("node {}\n", public(seed))).collect();
    let nine_addresses: String = (0..8).map(|port| format!("address /ip4/192.0.2.8/tcp/{port}\n")).collect();
    let long = format!("address /dns4/{}/tcp/1\n", "n".repeat(256));
    let nodes_from = text.find("node ").unwrap();
    let cases: [Case<'_>; 22] = [
        ("header", "Line", "a card of a later version", "node-card/v1", "node-card/v2"),
        ("header-space", "Line", "a space behind the header", "node-card/v1", "node-card/v1 "),
        ("consortium", "OtherConsortium", "of another consortium", CONSORTIUM, "hearth-0011223344556678"),
        (
            "member",
            "UnknownMember",
            "of a member that the roster does not list",
            "member north",
            "member nobody",
        ),
        ("member-form", "Line", "a member id in upper case", "member north", "member North"),
        ("sequence-zeros", "Line", "a leading zero", "sequence 7", "sequence 07"),
        ("sequence-65-bits", "Line", "a number of 65 bits", "sequence 7", "sequence 18446744073709551616"),
        ("expires-missing", "Line", "no expiry", "expires 1800086400\n", ""),
        ("no-node", "Line", "no node", &text[nodes_from..], ""),
        (
            "address-first",
            "Line",
            "an address before any node",
            "node ",
            "address /ip4/192.0.2.9/tcp/1\nnode ",
        ),
        ("node-twice", "Line", "one node twice", &public(91).to_hex(), &peer),
        (
            "nodes-many",
            "Line",
            "nine nodes",
            &text[nodes_from..],
            &format!("{nine_nodes}{}", &text[nodes_from..]),
        ),
        (
            "addresses-many",
            "Line",
            "nine addresses of one node",
            "address /ip6",
            &format!("{nine_addresses}address /ip6"),
        ),
        (
            "address-twice",
            "Line",
            "one address twice",
            "address /ip6/2001:db8::7/tcp/7411\n",
            "address /ip6/2001:db8::7/tcp/7411\naddress /ip6/2001:db8::7/tcp/7411\n",
        ),
        (
            "address-slash",
            "Line",
            "an address that is no multiaddress",
            "/ip4/192.0.2.7/tcp/7411",
            "192.0.2.7:7411",
        ),
        (
            "address-space",
            "Line",
            "a space inside an address",
            "/ip4/192.0.2.7/tcp/7411",
            "/ip4/192.0.2.7 /tcp/7411",
        ),
        (
            "address-long",
            "Line",
            "an address of more than 256 bytes",
            "address /ip6/2001:db8::7/tcp/7411\n",
            &long,
        ),
        ("address-not-ascii", "Line", "an address that is not ASCII", "node.north", "nöde.north"),
        ("peer-key-weak", "Line", "a peer key of small order", &peer, &"00".repeat(32)),
        (
            "peer-key-in-roster",
            "PeerKeyInRoster",
            "a peer key that is a log key",
            &peer,
            &public(22).to_hex(),
        ),
        (
            "peer-key-is-card-key",
            "PeerKeyInRoster",
            "a peer key that is the card key",
            &peer,
            &public(CARD_SEED).to_hex(),
        ),
        ("line-empty", "Line", "an empty line in the text", "node ", "\nnode "),
    ];
    let changed = cases.iter().map(|(name, rule, reason, from, to)| {
        assert!(text.contains(from), "{name}: {from:?} is not in the text");
        reject(name, rule, reason, NOW_S, sign(&text.replacen(from, to, 1)))
    });
    changed.collect()
}

fn signatures() -> Vec<Vector> {
    let good = sign_card(&card(), &secret(CARD_SEED));
    let text = text_of(&good);
    let shown = String::from_utf8(good.clone()).unwrap();
    let mut twice = Note::parse(&good).unwrap();
    twice.signatures.push(twice.signatures[0].clone());
    let by = |name: &str, seed: u8| {
        let signature = sign_note(&text, &format!("{CONSORTIUM}/{name}"), &secret(seed));
        Note { text: text.clone(), signatures: vec![signature] }.encode()
    };
    let mut long = text.clone();
    while long.len() < 8 * 1024 {
        long.push_str("address /ip4/192.0.2.7/tcp/7411\n");
    }
    vec![
        reject(
            "changed",
            "BadSignature",
            "a port was changed after signing",
            NOW_S,
            shown.replacen("7411", "7412", 1),
        ),
        reject(
            "other-member",
            "NotSigned",
            "signed with another member's card key",
            NOW_S,
            by("north/card", 20),
        ),
        reject("log-key", "NotSigned", "signed with the member's log key", NOW_S, by("north/2", 13)),
        reject(
            "other-name",
            "NotSigned",
            "signed with the card key under another name",
            NOW_S,
            by("south/card", CARD_SEED),
        ),
        reject("signed-twice", "DuplicateSignature", "one signature line twice", NOW_S, twice.encode()),
        reject("unsigned", "NoSeparator", "the text alone", NOW_S, text.clone()),
        reject(
            "carriage-return",
            "ControlCharacter",
            "lines that end in CR LF",
            NOW_S,
            shown.replace('\n', "\r\n"),
        ),
        reject("too-long", "Length", "more than 8,192 bytes", NOW_S, sign(&long)),
    ]
}
