//! Audit bundles from outside: what is written verifies, whatever was changed is found where it was changed.

#[path = "world.rs"]
mod world;

use hashpact_protocol::bundle::archive::{ArchiveError, Header, RECORD_BYTES, padding, parse_header};
use hashpact_protocol::bundle::{
    BundleWriter, Entry, EntryPayload, Findings, HeadProof, Manifest, Member, Members, Scope, Visitor,
    verify_bundle,
};
use hashpact_protocol::digest::{Root, hex_encode, sha256};
use hashpact_protocol::journal::{JournalHead, encode_line, verify as follow};
use std::convert::Infallible;
use std::ops::Range;
use world::{Archive, Branch, START_S, World, member_id};

/// Members of a part of an archive in memory.
struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// Whether the end of the archive must follow.
    is_last: bool,
}

/// Where the archive itself is broken.
#[derive(Debug)]
struct Broken {
    range: Range<usize>,
    #[expect(dead_code, reason = "shown when a test fails")]
    rule: Option<ArchiveError>,
}

impl Members for Slice<'_> {
    type Error = Broken;

    fn next(&mut self) -> Result<Option<Member>, Broken> {
        if self.at == self.end && !self.is_last {
            return Ok(None);
        }
        let record = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<RECORD_BYTES>);
        let range = self.at..self.at + RECORD_BYTES;
        let record = record.ok_or(Broken { range: range.clone(), rule: None })?;
        match parse_header(record).map_err(|rule| Broken { range, rule: Some(rule) })? {
            Header::End => {
                let rest = self.at..self.bytes.len();
                let is_end = rest.len() == 1024 && self.bytes[rest.clone()].iter().all(|byte| *byte == 0);
                (self.at, self.is_last) = (self.end, false);
                if is_end { Ok(None) } else { Err(Broken { range: rest, rule: None }) }
            }
            Header::Member { name, size } => {
                let at = self.at + RECORD_BYTES;
                let after = at + size + padding(size);
                let broken = Broken { range: self.at..after, rule: None };
                let content = self.bytes.get(at..at + size).ok_or(broken)?.to_vec();
                let zeros =
                    self.bytes.get(at + size..after).is_some_and(|zeros| zeros.iter().all(|zero| *zero == 0));
                if !zeros {
                    return Err(Broken { range: at + size..after, rule: None });
                }
                self.at = after;
                Ok(Some(Member { name, content, at: at as u64 }))
            }
        }
    }
}

fn verify_with(archive: &Archive, trust: &Root, visitor: &mut dyn Visitor) -> (Findings, Option<Broken>) {
    let bytes = archive.bytes.as_slice();
    let core = Slice { bytes, at: 0, end: archive.annex, is_last: false };
    let annex = Slice { bytes, at: archive.annex, end: bytes.len(), is_last: true };
    verify_bundle(core, annex, trust, visitor)
}

fn verify(archive: &Archive, world: &World) -> (Findings, Option<Broken>) {
    verify_with(archive, &world.trust(), &mut ())
}

fn clean(archive: &Archive, world: &World) -> Findings {
    let (findings, broken) = verify(archive, world);
    assert!(broken.is_none(), "{broken:?}");
    assert!(findings.is_clean(), "{:#?}", findings.problems);
    findings
}

#[derive(Default)]
struct Count {
    entries: u64,
    present: u64,
    ids: Vec<hashpact_protocol::digest::RecordId>,
    cosignatures: u64,
}

impl Visitor for Count {
    fn entry(&mut self, entry: &Entry<'_>) {
        self.entries += 1;
        self.present += u64::from(matches!(entry.payload, EntryPayload::Present(Some(_))));
        self.ids.push(entry.id);
    }

    fn cosignature(&mut self, _cosigned: &hashpact_protocol::bundle::Cosigned<'_>) {
        self.cosignatures += 1;
    }
}

#[test]
fn a_bundle_of_everything_verifies_and_tells_claims_from_proofs() {
    let world = World::new(700, 3600);
    let archive = world.bundle(Scope::All, 1);
    let mut count = Count::default();
    let (findings, broken) = verify_with(&archive, &world.trust(), &mut count);
    assert!(broken.is_none() && findings.is_clean(), "{broken:?} {:#?}", findings.problems);
    assert_eq!((count.entries, count.cosignatures), (2100, 3 * 3 * 2));
    for (author, log) in findings.logs.iter().enumerate() {
        assert!(log.is_whole && log.entries == 700 && log.head == HeadProof::Signed { size: 700 });
        assert_eq!((log.checkpoints, log.witnesses), (3, (2, Some(2))), "{author}");
        assert_eq!(log.quorum_size(), Some(700));
        let payloads = log.payloads;
        let markers = payloads.withheld + payloads.erased + payloads.not_here + payloads.held;
        assert!(markers > 30 && payloads.erased >= 14, "{payloads:?}");
        assert_eq!(payloads.present + markers, 700);
    }
    assert_eq!(findings.statement.expect("signed").member, member_id(1));
}

#[test]
fn the_core_is_the_same_from_every_holder() {
    let world = World::new(300, 3600);
    for scope in [Scope::All, Scope::Member(member_id(0)), Scope::Record(world.id(0, 3))] {
        let (a, b) = (world.bundle(scope.clone(), 0), world.bundle(scope, 2));
        assert_eq!(a.bytes[..a.annex], b.bytes[..b.annex]);
        assert_ne!(a.bytes, b.bytes);
        let manifest = |archive: &Archive| {
            let end = archive.bytes[512..].windows(5).position(|line| line == b"\nend ").expect("an end");
            let size = end + 5 + 64 + 1;
            Manifest::parse(&archive.bytes[512..512 + size]).expect("a manifest").core_digest()
        };
        assert_eq!(manifest(&a), manifest(&b));
    }
}

/// Whoever changes these changes the format, and says so in SPEC §12 and in the changelog.
#[test]
fn the_bytes_are_pinned() {
    let world = World::new(300, 3600);
    let archive = world.bundle(Scope::All, 1);
    let digest = |bytes: &[u8]| hex_encode(&sha256(&[bytes]));
    let part = world.bundle(Scope::Member(member_id(0)), 2);
    let digests = [&archive.bytes[..archive.annex], &archive.bytes, &part.bytes].map(digest);
    let pinned = [
        "1def5ef60f06c19fe5aa692393d3f6bf38b41c48d78941a6ded131072ee0f882",
        "bc7c3d02bc744a33f3729f60ef149919c1125616582c7e1991f6a9cf08ec079a",
        "5d24f62bdc4797ab683afbbade02715ab2850b9645dfc5a92944235240f20965",
    ];
    assert_eq!(digests, pinned);
}

#[test]
fn partial_scopes_prove_what_they_hold() {
    let world = World::new(700, 3600);
    let all = |scope: &Scope| {
        let mut count = Count::default();
        let archive = world.bundle(scope.clone(), 0);
        let (findings, broken) = verify_with(&archive, &world.trust(), &mut count);
        assert!(broken.is_none() && findings.is_clean(), "{scope:?} {broken:?} {:#?}", findings.problems);
        count
    };
    let member = all(&Scope::Member(member_id(1)));
    assert!(member.entries > 700 && member.entries < 800, "its own and what others say: {}", member.entries);
    let day = Scope::Period { from_s: START_S + 86_400, to_s: START_S + 3 * 86_400 };
    assert_eq!(all(&day).entries, 3 * 48);
    // Index 2 of `north` is nine entries before its eleventh, so `east` has an opinion of it.
    let record = world.id(1, 10);
    let one = all(&Scope::Record(record));
    assert!(one.ids.contains(&record) && one.entries <= 4, "{}", one.entries);
    assert!(one.ids.len() >= 2, "somebody said something about it");
}

#[test]
fn evidence_is_verified_with_the_logs_key() {
    let mut world = World::new(30, 3600);
    world.evidence = vec![world.fork(2)];
    let findings = clean(&world.bundle(Scope::All, 0), &world);
    let [fork] = &findings.forks[..] else { panic!("{:?}", findings.forks) };
    let size = findings.logs[2].log.size;
    assert_eq!((fork.sizes, fork.diverges_at), ((size, size), None));
    assert_eq!(fork.origin, findings.logs[2].origin);

    let honest = world.fork(1);
    let accused = String::from_utf8(honest).expect("text").replacen("/1\n", "/2\n", 2).into_bytes();
    for false_evidence in [accused, b"hashpact/evidence/v1\n".to_vec()] {
        world.evidence = vec![world.fork(2), false_evidence];
        let (findings, broken) = verify(&world.bundle(Scope::All, 0), &world);
        assert!(broken.is_none() && !findings.is_clean());
        assert_eq!(findings.forks.len(), 1, "what does not verify accuses nobody");
        assert!(findings.problems.iter().all(|problem| problem.member == "annex/evidence/000001"));
    }
}

#[test]
fn another_history_is_verified_against_the_evidence() {
    let mut world = World::new(300, 3600);
    let (evidence, branch) = world.branch(1, 250);
    world.evidence = vec![evidence];
    world.branches = vec![branch.clone()];
    let findings = clean(&world.bundle(Scope::All, 0), &world);
    let (fork, size) = (&findings.forks[0], findings.logs[1].log.size);
    let [kept] = fork.kept[..] else { panic!("{:?}", fork.kept) };
    assert_eq!((kept.size, kept.root, kept.start), (size, fork.roots.1, 250));
    assert_eq!(kept.payloads, size - 250 - if size > 256 { 2 } else { 1 }, "all but one in each chunk");
    let entries: u64 = findings.logs.iter().map(|log| log.entries).sum();
    let whole: u64 = findings.logs.iter().map(|log| log.log.size).sum();
    assert_eq!(entries, whole, "what is kept beside counts nowhere");

    let broken = |change: &dyn Fn(&mut World, &mut Branch), expected: &str| {
        let mut other = World::new(300, 3600);
        other.evidence = world.evidence.clone();
        let mut changed = branch.clone();
        change(&mut other, &mut changed);
        other.branches.insert(0, changed);
        let (findings, ended) = verify(&other.bundle(Scope::All, 0), &world);
        assert!(ended.is_none() && !findings.is_clean(), "{expected}");
        let found = findings.problems.iter().any(|problem| problem.to_string().contains(expected));
        assert!(found, "{expected}: {:?}", findings.problems);
        findings.forks.first().map_or(0, |fork| fork.kept.len())
    };
    let no_evidence = "no evidence here names";
    assert_eq!(broken(&|world, _| world.evidence.clear(), no_evidence), 0);
    assert_eq!(broken(&|world, _| world.evidence = vec![world.fork(2)], no_evidence), 0);
    let other_size = |world: &mut World, branch: &mut Branch| branch.note = world.note(1, 200, 9);
    assert_eq!(broken(&other_size, no_evidence), 0);
    let other_log = |world: &mut World, branch: &mut Branch| branch.note = world.note(2, 300, 9);
    assert_eq!(broken(&other_log, no_evidence), 0);
    assert_eq!(broken(&|_, branch| branch.note[3] ^= 1, "annex/branches/000000/checkpoint"), 0);
    let unled = "does not lead to the root of its checkpoint";
    assert_eq!(broken(&|_, branch| branch.entries[1].0[9] ^= 1, unled), 0);
    assert_eq!(broken(&|_, branch| branch.entries.swap(0, 1), unled), 0);
    let shifted = |_: &mut World, branch: &mut Branch| {
        branch.before.append(hashpact_protocol::digest::leaf_hash(&branch.entries.remove(0).0));
        branch.entries[7].0[3] ^= 1;
    };
    assert_eq!(broken(&shifted, unled), 0);
    assert_eq!(broken(&|_, branch| drop(branch.entries.pop()), "expected annex/branches"), 0);
    assert_eq!(
        broken(&|_, branch| branch.entries.push(branch.entries[0].clone()), "expected annex/branches"),
        0
    );
    assert_eq!(broken(&|_, branch| branch.entries[8].2[5] ^= 1, "payload of entry 258"), 1);
    let twice = |world: &mut World, branch: &mut Branch| world.branches.push(branch.clone());
    assert_eq!(broken(&twice, "is here twice"), 1);
    let whole = |_: &mut World, branch: &mut Branch| {
        for (leaf, ..) in branch.entries.drain(..) {
            branch.before.append(hashpact_protocol::digest::leaf_hash(&leaf));
        }
    };
    assert_eq!(broken(&whole, "has no entries, or more than any node keeps"), 0);
}

#[test]
fn the_holders_journal_is_one_chain_in_however_many_parts() {
    let mut world = World::new(3, 3600);
    assert_eq!(clean(&world.bundle(Scope::All, 0), &world).journal, None);
    let (mut text, mut head) = (String::new(), JournalHead::default());
    // Two parts and a little.
    let details = "x".repeat(60_000);
    while text.len() < 2 * 1024 * 1024 + 100_000 {
        let line = encode_line(&head, &format!("\"details\":\"{details}\""));
        head = follow(head, line.as_bytes()).expect("a line of the chain");
        text.push_str(&line);
    }
    world.journal = text.clone().into_bytes();
    let bundle = world.bundle(Scope::All, 0);
    assert_eq!(clean(&bundle, &world).journal, Some(head));
    let names = bundle.bytes.windows(20).filter(|name| name.starts_with(b"annex/journal/00000")).count();
    assert_eq!(names, 2 * 3, "three parts, each named by its header and by a list of digests");

    let broken = |journal: String, expected: &str| {
        let mut other = World::new(3, 3600);
        other.journal = journal.into_bytes();
        let (findings, ended) = verify(&other.bundle(Scope::All, 0), &world);
        assert!(ended.is_none() && findings.is_finished && findings.journal.is_none(), "{expected}");
        let [problem] = &findings.problems[..] else { panic!("{:?}", findings.problems) };
        assert!(problem.to_string().contains(expected), "{problem}");
    };
    let lines: Vec<&str> = text.lines().collect();
    broken(
        text.replacen("xx", "xy", 1),
        "the holder's journal: line 1 was changed: line 2 carries another digest",
    );
    broken(format!("{}\n{}\n", lines[0], lines[2]), "line 2 says that it is line 3");
    broken(text[..text.len() - 1].to_owned(), "is torn: 60");
}

#[test]
fn a_record_that_is_not_there_is_missed() {
    let world = World::new(30, 3600);
    let archive = world.bundle(Scope::Record(hashpact_protocol::digest::RecordId::new([7; 32])), 0);
    let (findings, _) = verify(&archive, &world);
    assert_eq!(findings.problem_count, 1, "{:?}", findings.problems);
    assert!(findings.problems[0].to_string().contains("none of the logs"), "{}", findings.problems[0]);
}

/// Flips one bit of each byte given, and expects the place to be named.
fn every_flip_is_located(world: &World, archive: &Archive, offsets: impl Iterator<Item = usize>) {
    let mut flipped = archive.clone();
    for (nth, offset) in offsets.enumerate() {
        flipped.bytes[offset] ^= 1 << (nth % 8);
        let (findings, broken) = verify(&flipped, world);
        flipped.bytes[offset] = archive.bytes[offset];
        let in_archive = broken.as_ref().is_some_and(|broken| broken.range.contains(&offset));
        let in_member = |problem: &hashpact_protocol::bundle::Problem| {
            (problem.start..problem.end).contains(&(offset as u64))
        };
        let located = in_archive || findings.problems.iter().any(in_member);
        assert!(located, "byte {offset}: {broken:?} {:#?}", findings.problems);
        let widest =
            findings.problems.iter().filter(|problem| in_member(problem)).map(|p| p.end - p.start).min();
        assert!(widest.is_none_or(|bytes| bytes < 100_000), "byte {offset}: {widest:?}");
    }
}

#[test]
fn one_flipped_bit_anywhere_is_found_and_located() {
    let world = World::new(260, 3600);
    let archive = world.bundle(Scope::All, 0);
    every_flip_is_located(&world, &archive, (0..archive.bytes.len()).step_by(1601));
    let archive = world.bundle(Scope::Member(member_id(2)), 1);
    every_flip_is_located(&world, &archive, (0..archive.bytes.len()).step_by(2503));
    // A small one nearly byte by byte: here every sort of member is met in every part.
    let world = World::new(3, 3600);
    let archive = world.bundle(Scope::All, 2);
    every_flip_is_located(&world, &archive, (0..archive.bytes.len()).step_by(61));
}

/// What a member is: its name without numbers and ids.
fn kind(name: &str) -> String {
    let is_number = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    let parts = name.split('/').filter(|part| !is_number(part) && !["east", "north", "south"].contains(part));
    parts.collect::<Vec<_>>().join("/")
}

/// Every sort of member, in each of its regions: every field of its header, both ends and the middle of its
/// content, both ends of its padding; and the end of the archive. Steps may pass over what is small.
#[test]
fn one_flipped_bit_in_any_region_of_any_sort_of_member_is_located() {
    let mut world = World::new(270, 3600);
    let (evidence, branch) = world.branch(0, 259);
    world.evidence = vec![world.fork(2), evidence];
    world.branches = vec![branch];
    for (scope, sorts) in [(Scope::All, 17), (Scope::Member(member_id(1)), 18)] {
        let archive = world.bundle(scope, 0);
        let (mut at, mut offsets) = (0, Vec::new());
        let mut met: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        loop {
            let record = archive.bytes[at..].first_chunk::<RECORD_BYTES>().expect("a record");
            let Header::Member { name, size } = parse_header(record).expect("a header") else { break };
            let content = at + RECORD_BYTES;
            let behind = content + size + padding(size);
            let times = met.entry(kind(&name)).or_default();
            *times += 1;
            if *times <= 3 {
                // Name, its end, mode, owner, size, time, checksum, type, link, magic, version, prefix, filling.
                let fields =
                    [0, name.len() - 1, 99, 100, 108, 116, 124, 135, 136, 148, 154, 156, 157, 257, 263];
                offsets.extend(fields.map(|field| at + field));
                offsets.extend([at + 345, at + 511]);
                let ends = [content, content + size / 2, content + size.saturating_sub(1)];
                offsets.extend(ends.into_iter().filter(|_| size > 0));
                offsets.extend([content + size, behind - 1].into_iter().filter(|_| padding(size) > 0));
            }
            at = behind;
        }
        offsets.extend([at, at + 511, at + 512, archive.bytes.len() - 1]);
        assert!(met.len() >= sorts, "{met:?}");
        every_flip_is_located(&world, &archive, offsets.into_iter());
    }
}

#[test]
fn a_changed_leaf_is_told_from_a_changed_tile() {
    let world = World::new(600, 3600);
    let archive = world.bundle(Scope::All, 0);
    let leaf = &world.logs[1][400].leaf;
    let places: Vec<usize> = archive
        .bytes
        .windows(136)
        .enumerate()
        .filter(|(_, bytes)| *bytes == &leaf[..])
        .map(|(at, _)| at)
        .collect();
    assert_eq!(places.len(), 1);
    let mut changed = archive.clone();
    changed.bytes[places[0] + 20] ^= 1;
    let (findings, _) = verify(&changed, &world);
    let texts: Vec<String> = findings.problems.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains("entry 400 of log hearth-0011223344556677/north/1")),
        "{texts:?}"
    );
    assert!(!texts.iter().any(|text| text.contains("of this tile")), "{texts:?}");
    let hash = *world.id(1, 400).as_bytes();
    let place = archive.bytes.windows(32).position(|bytes| bytes == hash).expect("in its tile");
    let mut changed = archive.clone();
    changed.bytes[place] ^= 1;
    let (findings, _) = verify(&changed, &world);
    let texts: Vec<String> = findings.problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("hash 144 of this tile"), "{texts:?}");
}

#[test]
fn another_trust_anchor_proves_nothing() {
    let world = World::new(3, 3600);
    let archive = world.bundle(Scope::All, 0);
    let (findings, _) = verify_with(&archive, &Root::new([1; 32]), &mut ());
    assert!(!findings.is_clean() && findings.roster.is_none(), "{:?}", findings.problems);
    assert!(findings.problems[0].to_string().contains("pinned"), "{}", findings.problems[0]);
}

#[test]
fn a_bundle_cut_short_is_not_finished() {
    let world = World::new(3, 3600);
    let archive = world.bundle(Scope::All, 0);
    clean(&archive, &world);
    for cut in [1, 512, 1024, 1025, 1600, 2500, archive.bytes.len() - archive.annex] {
        let mut cut_short = archive.clone();
        cut_short.bytes.truncate(archive.bytes.len() - cut);
        let (findings, broken) = verify(&cut_short, &world);
        assert!(!findings.is_clean() && (broken.is_some() || findings.problem_count > 0), "{cut}");
    }
}

#[test]
fn a_writer_refuses_entries_of_another_tree() {
    let world = World::new(20, 3600);
    let manifest = world.manifest(Scope::All);
    let mut writer =
        BundleWriter::start(Archive::default(), manifest.clone(), &world.chain).expect("in memory");
    let mut whole = BundleWriter::<Archive>::whole_log(&manifest.logs[0]);
    let mut leaves: Vec<Vec<u8>> = world.logs[0].iter().map(|entry| entry.leaf.clone()).collect();
    leaves[7][30] ^= 1;
    let refused: Result<(), hashpact_protocol::bundle::WriteError<Infallible>> =
        writer.leaves(&mut whole, &leaves);
    assert!(refused.expect_err("another root").to_string().contains("run fsck"));
    let run = writer.run(&manifest.logs[0], 3, &leaves[3..9], &world.trees[0]);
    assert!(run.is_err());
}
