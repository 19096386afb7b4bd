//! Hostile peers against real nodes over real sockets.
//!
//! Strangers and members who break the rules are refused and counted, cost no memory, and do not keep
//! honest members from their work. Malformed frames come from a libp2p peer of its own (`attacker`);
//! a member gone bad is played with the honest transport and that member's own keys (`member`).

mod attacker;
mod fork;
mod member;
mod poison;

use crate::evidence::wait_until;
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use attacker::{Attack, Seen, attack};
use hashpact_node::keystore::KeyStore;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::roster::{CardNode, MemberId, NodeCard, sign_card};
use hashpact_protocol::wire::{
    Hello, RangeRequest, Refusal, Request, Response, decode_response, encode_request,
};
use hashpact_tests::node::block_on;
use hashpact_tests::{Consortium, Node};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Resident memory that a node may gain under attack, in KiB.
const GROWTH_MAX_KIB: u64 = 48 * 1024;
/// Hostile connections in the memory test.
const CONNECTIONS: u64 = 2_000;

fn now_s() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Resident memory of a running node, in KiB.
fn resident_kib(node: &Node) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid().context("not running")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What a hostile peer knows: the consortium's name and the keys of a member whose node is not running.
struct Insider {
    consortium: String,
    member: &'static str,
    keys: KeyStore,
}

impl Insider {
    fn of(consortium: &Consortium, at: usize, member: &'static str) -> Result<Self> {
        let api = Api::of(&consortium.nodes[0])?;
        let name = api.get("/v1/status")?.ok()?["consortium"].as_str().context("consortium")?.to_owned();
        let keys = KeyStore::open(&consortium.nodes[at].dir.join("data/keys"))?;
        Ok(Self { consortium: name, member, keys })
    }

    fn card(&self, sequence: u64, expires_s: u64, peer: &SecretKey, signer: &SecretKey) -> Result<Vec<u8>> {
        let card = NodeCard {
            consortium: self.consortium.clone(),
            member: MemberId::parse(self.member)?,
            sequence,
            expires_s,
            nodes: vec![CardNode {
                peer_key: peer.public(),
                addresses: vec!["/ip4/127.0.0.1/tcp/9".to_owned()],
            }],
        };
        Ok(sign_card(&card, signer))
    }

    fn hello(&self, card: Vec<u8>) -> Hello {
        Hello { consortium: self.consortium.clone(), roster_version: 1, roster: Vec::new(), card }
    }
}

/// A message as it stands on the stream.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short messages only");
    [&length.to_be_bytes()[..], message].concat()
}

fn frame_of(request: &Request) -> Result<Vec<u8>> {
    Ok(framed(&encode_request(request)?))
}

fn refusal(seen: &Seen) -> Option<Refusal> {
    let Seen::Answer(bytes) = seen else { return None };
    match decode_response(bytes.get(4..)?) {
        Ok(Response::Refused(refusal)) => Some(refusal),
        _ => None,
    }
}

/// Where a rule that was broken is counted.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Misbehaviour(&'static str),
    Refused(&'static str),
    Nowhere,
}

impl Counted {
    fn read(self, api: &Api) -> Result<u64> {
        match self {
            Self::Misbehaviour(rule) => api.misbehaviour(rule),
            Self::Refused(rule) => api.refused(rule),
            Self::Nowhere => Ok(0),
        }
    }
}

/// What a hostile peer may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The refusal, or a closed connection: it is disconnected at once, and either may be first.
    TurnedAway,
    /// The refusal; the connection stays open for a while.
    Refused,
    /// No answer at all.
    CutOff,
}

/// One hostile connection: who, what bytes under which protocol, what must be seen and counted.
struct Case {
    name: &'static str,
    attack: Attack,
    fate: Fate,
    counted: Counted,
}

#[test]
fn strangers_and_broken_frames_are_refused_and_counted() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    start_two(&mut consortium)?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let ash = Api::of(&consortium.nodes[0])?;
    let addresses = [
        format!("/ip4/127.0.0.1/tcp/{}", consortium.nodes[0].peer_port),
        format!("/ip4/127.0.0.1/udp/{}/quic-v1", consortium.nodes[0].peer_port),
    ];
    for (transport, address) in addresses.iter().enumerate() {
        for case in cases(&insider, address, 1 + 100 * u8::try_from(transport)?)? {
            check(&ash, &case).with_context(|| format!("{} over {address}", case.name))?;
        }
    }
    // An older card lets in whom the newest lists, and not a key that the newest dropped.
    let now = now_s()?;
    let (own, dropped) = (&insider.keys.peer, SecretKey::from_seed([0xd0; 32]));
    for (sequence, peer, rule) in
        [(now + 100, own, None), (now + 50, own, None), (now + 50, &dropped, Some("hello_old_card"))]
    {
        let card = insider.card(sequence, now + 3_600, peer, &insider.keys.card)?;
        let attack = Attack::new(&addresses[0], peer.seed(), frame_of(&Request::Hello(insider.hello(card)))?);
        let before = ash.misbehaviour("hello_old_card")?;
        let seen = block_on(attack_once(attack))?;
        let admitted = matches!(&seen, Seen::Answer(_)) && refusal(&seen).is_none();
        ensure!(admitted == rule.is_none(), "card {sequence}: {seen:?}");
        if let Some(rule) = rule {
            wait_until("the old card to be counted", || Ok(ash.misbehaviour(rule)? > before))?;
        }
    }
    still_works(&consortium, 10)
}

fn start_two(consortium: &mut Consortium) -> Result<()> {
    for node in &mut consortium.nodes[..2] {
        node.start()?;
    }
    for node in &consortium.nodes[..2] {
        node.wait_until_open()?;
    }
    Ok(())
}

async fn attack_once(what: Attack) -> Result<Seen> {
    attack(&what).await
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn cases(insider: &Insider, address: &str, seed: u8) -> Result<Vec<Case>> {
    let now = now_s()?;
    let mut next = seed;
    let mut stranger = || {
        next += 1;
        SecretKey::from_seed([next; 32])
    };
    let own = &insider.keys;
    let hello = |card: Vec<u8>| frame_of(&Request::Hello(insider.hello(card)));
    let good = insider.card(now, now + 3_600, &own.peer, &own.card)?;
    let mut torn = good.clone();
    let middle = torn.len() / 2;
    torn[middle] ^= 1;
    let mut elsewhere = insider.hello(good.clone());
    elsewhere.consortium = "other-0011223344556677".to_owned();
    let range =
        Request::Range(RangeRequest { log: [1; 32], start: 0, size: 1, entries_max: 1, bytes_max: 1 });
    let heads = encode_request(&Request::Heads)?;
    let mut cases = Vec::new();
    let mut add = |name, key: &SecretKey, bytes: Vec<u8>, fate, counted| {
        cases.push(Case { name, attack: Attack::new(address, key.seed(), bytes), fate, counted });
    };
    use Counted::{Misbehaviour, Nowhere, Refused};
    use Fate::{CutOff, TurnedAway};
    add(
        "a stranger with a member's card",
        &stranger(),
        hello(good.clone())?,
        TurnedAway,
        Misbehaviour("hello_not_listed"),
    );
    let mine = stranger();
    add(
        "a card signed by a stranger",
        &mine,
        hello(insider.card(now, now + 3_600, &mine, &mine)?)?,
        TurnedAway,
        Misbehaviour("hello_card"),
    );
    add(
        "an expired card",
        &stranger(),
        hello(insider.card(now, now - 10, &own.peer, &own.card)?)?,
        TurnedAway,
        Misbehaviour("hello_card"),
    );
    add(
        "a card for years",
        &stranger(),
        hello(insider.card(now, now + 400 * 86_400, &own.peer, &own.card)?)?,
        TurnedAway,
        Misbehaviour("hello_card"),
    );
    add("a card with a flipped bit", &stranger(), hello(torn)?, TurnedAway, Misbehaviour("hello_card"));
    add("no card at all", &stranger(), hello(b"card".to_vec())?, TurnedAway, Misbehaviour("hello_card"));
    add(
        "another consortium",
        &stranger(),
        frame_of(&Request::Hello(elsewhere))?,
        TurnedAway,
        Misbehaviour("hello_consortium"),
    );
    add("heads before admission", &stranger(), framed(&heads), Fate::Refused, Nowhere);
    add("a range before admission", &stranger(), frame_of(&range)?, Fate::Refused, Nowhere);
    add("a length beyond the bound", &stranger(), vec![0xff; 4], CutOff, Refused("frame_too_long"));
    add(
        "a length one beyond the bound",
        &stranger(),
        (512 * 1024 + 1u32).to_be_bytes().to_vec(),
        CutOff,
        Refused("frame_too_long"),
    );
    add(
        "a message that breaks off",
        &stranger(),
        [&1000u32.to_be_bytes()[..], &[0; 10]].concat(),
        CutOff,
        Refused("frame_truncated"),
    );
    add("a length that breaks off", &stranger(), vec![0, 0], CutOff, Refused("frame_truncated"));
    add(
        "bytes behind the message",
        &stranger(),
        [framed(&heads), vec![0]].concat(),
        CutOff,
        Refused("frame_trailing_bytes"),
    );
    add("garbage in a frame", &stranger(), framed(&[0xee; 64]), CutOff, Refused("message_malformed"));
    add("an empty message", &stranger(), framed(&[]), CutOff, Refused("message_malformed"));
    add(
        "two messages in one frame",
        &stranger(),
        framed(&[heads.clone(), heads.clone()].concat()),
        CutOff,
        Refused("message_malformed"),
    );
    // A list that claims 2^63 elements in nine bytes.
    add(
        "a huge count",
        &stranger(),
        framed(&[2, 253, 255, 255, 255, 255, 255, 255, 255, 127]),
        CutOff,
        Refused("message_malformed"),
    );
    let mut wrong = Attack::new(address, stranger().seed(), framed(&heads));
    wrong.protocols = &["/hashpact/sync/9"];
    cases.push(Case { name: "another protocol", attack: wrong, fate: CutOff, counted: Nowhere });
    Ok(cases)
}

fn check(api: &Api, case: &Case) -> Result<()> {
    let before = case.counted.read(api)?;
    let seen = block_on(attack(&case.attack))?;
    let fitting = match case.fate {
        Fate::Refused => refusal(&seen) == Some(Refusal::NotAdmitted),
        Fate::TurnedAway => refusal(&seen) == Some(Refusal::NotAdmitted) || matches!(seen, Seen::Closed(_)),
        Fate::CutOff => !matches!(seen, Seen::Answer(_) | Seen::Refused(_)),
    };
    ensure!(fitting, "{:?} was due: {seen:?}", case.fate);
    if !matches!(case.counted, Counted::Nowhere) {
        wait_until(&format!("{:?} to be counted", case.counted), || Ok(case.counted.read(api)? > before))?;
    }
    Ok(())
}

/// The honest nodes take contributions and follow each other.
fn still_works(consortium: &Consortium, number: u64) -> Result<()> {
    let (ash, birch) = (&consortium.nodes[0], &consortium.nodes[1]);
    for (at, from, to) in [(0, ash, birch), (1, birch, ash)] {
        let receipts = Api::of(from)?.contribute(&[record(number * 2 + at)])?;
        let id = receipts[0]["record"].as_str().context("record")?;
        let reader = Api::of(to)?;
        wait_until("an honest record to arrive", || {
            Ok(reader.get(&format!("/v1/records/{id}"))?.status == 200)
        })?;
    }
    Ok(())
}

/// A member whose newer node prefers a protocol that nobody else has yet falls back to the one that all have, and is let in.
#[test]
fn a_node_that_prefers_a_newer_protocol_is_admitted_in_the_older_one() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    start_two(&mut consortium)?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let port = consortium.nodes[0].peer_port;
    let (now, own) = (now_s()?, &insider.keys);
    for (later, address) in
        [format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")]
            .iter()
            .enumerate()
    {
        let card = insider.card(now + later as u64, now + 3_600, &own.peer, &own.card)?;
        let hello = frame_of(&Request::Hello(insider.hello(card)))?;
        let mut newer = Attack::new(address, own.peer.seed(), hello);
        newer.protocols = &["/hashpact/sync/2", "/hashpact/sync/1"];
        let seen = block_on(attack_once(newer))?;
        ensure!(matches!(&seen, Seen::Answer(_)) && refusal(&seen).is_none(), "{address}: {seen:?}");
    }
    ensure!(Api::of(&consortium.nodes[0])?.counted_in_all()? == 0, "somebody was blamed");
    still_works(&consortium, 40)
}

#[test]
fn a_silent_stranger_is_shown_out() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    start_two(&mut consortium)?;
    let ash = Api::of(&consortium.nodes[0])?;
    let address = format!("/ip4/127.0.0.1/tcp/{}", consortium.nodes[0].peer_port);
    let seed = [99; 32];
    let stays = block_on(attacker::stay_silent(&address, &seed, Duration::from_secs(30)))?;
    ensure!((5..25).contains(&stays.as_secs()), "a silent stranger stayed {stays:?}");
    ensure!(ash.refused("not_admitted_in_time")? > 0);
    still_works(&consortium, 20)
}

#[test]
fn two_thousand_hostile_connections_cost_no_memory() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    start_two(&mut consortium)?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let port = consortium.nodes[0].peer_port;
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    // The first rounds fill caches, thread pools and counters that live as long as the node.
    storm(&insider, &address, port, 0..CONNECTIONS / 10)?;
    still_works(&consortium, 30)?;
    let before = resident_kib(&consortium.nodes[0])?;
    storm(&insider, &address, port, CONNECTIONS / 10..CONNECTIONS + CONNECTIONS / 10)?;
    let after = resident_kib(&consortium.nodes[0])?;
    let counted = Api::of(&consortium.nodes[0])?.counted_in_all()?;
    println!(
        "resident memory: {before} KiB before, {after} KiB after {CONNECTIONS} hostile connections, {counted} counted"
    );
    ensure!(counted > CONNECTIONS / 2, "only {counted} refusals were counted");
    ensure!(after < before + GROWTH_MAX_KIB, "{before} KiB became {after} KiB");
    still_works(&consortium, 40)
}

/// Half of the connections are bytes that are no handshake, the others speak libp2p and then break a
/// rule, each under a key never seen before.
fn storm(insider: &Insider, address: &str, port: u16, numbers: std::ops::Range<u64>) -> Result<()> {
    let heads = encode_request(&Request::Heads)?;
    let card = frame_of(&Request::Hello(insider.hello(vec![b'x'; 4096])))?;
    let frames =
        [framed(&heads), card, vec![0xff; 4], framed(&[0xee; 4096]), [framed(&heads), vec![0]].concat()];
    let libp2p: Vec<u64> = numbers.clone().filter(|number| number % 2 == 0).collect();
    std::thread::scope(|threads| -> Result<()> {
        let raw = threads.spawn(move || {
            numbers.filter(|number| number % 2 == 1).try_for_each(|number| raw_bytes(port, number))
        });
        let spoken = threads.spawn(move || {
            block_on(async {
                for chunk in libp2p.chunks(8) {
                    let attacks: Vec<Attack> = chunk
                        .iter()
                        .map(|number| {
                            let mut seed = [7; 32];
                            seed[..8].copy_from_slice(&number.to_be_bytes());
                            Attack::new(
                                address,
                                &seed,
                                frames[usize::try_from(*number / 2).unwrap_or(0) % frames.len()].clone(),
                            )
                        })
                        .collect();
                    let ends = libp2p::futures::future::join_all(attacks.iter().map(attack)).await;
                    // Some are turned away at the door; none may hang.
                    ends.into_iter().collect::<Result<Vec<_>>>()?;
                }
                anyhow::Ok(())
            })
        });
        raw.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        spoken.join().map_err(|_| anyhow::anyhow!("panicked"))?
    })
}

/// A TCP connection that says something that is no handshake.
fn raw_bytes(port: u16, number: u64) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let words: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff\xff\xff",
        &[0xff; 512],
        &[0; 64],
        b"\xff\xff\xff\xff\x7f/multistream/1.0.0\n",
    ];
    let _ = stream.write_all(words[usize::try_from(number / 2)? % words.len()]);
    if number.is_multiple_of(5) {
        stream.shutdown(std::net::Shutdown::Write).ok();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok(())
}
