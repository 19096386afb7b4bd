//! A small consortium with logs, notes and cosignatures, from fixed seeds, and bundles of it.

use hashpact_protocol::bundle::{
    BundleLog, BundlePayload, BundleWriter, Manifest, Scope, Section, Sink, branch_spans,
};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::cosignature::sign_cosignature;
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, Root, leaf_hash, node_hash, sha256};
use hashpact_protocol::evidence::Evidence;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{Kind, LeafHeader, seal};
use hashpact_protocol::merkle::{Frontier, HashReader, consistency_proof, read_root};
use hashpact_protocol::note::Note;
use hashpact_protocol::record::{
    Content, Label, Opinion, OpinionValue, Origin, Reason, Record, Retraction, RetractionReason, Review,
    Signal, SignalType, Source, SubjectRef, Token,
};
use hashpact_protocol::roster::{
    GovernanceKey, LogEntry, LogStatus, Member, MemberId, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT,
    Role, Roster, RosterChain, Terms, assemble, sign_roster,
};
use std::convert::Infallible;

pub(crate) const START_S: u64 = 1_767_225_600;
const CONSORTIUM: &str = "hearth-0011223344556677";
const NAMES: [&str; 3] = ["east", "north", "south"];

/// An entry as its holder has it.
pub(crate) struct Stored {
    pub(crate) leaf: Vec<u8>,
    pub(crate) salt: [u8; 32],
    pub(crate) padded: Vec<u8>,
}

/// Three members with a log each; all are witnesses.
pub(crate) struct World {
    pub(crate) chain: RosterChain,
    pub(crate) logs: Vec<Vec<Stored>>,
    pub(crate) trees: Vec<Tree>,
    /// Written into the annex.
    pub(crate) evidence: Vec<Vec<u8>>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) journal: Vec<u8>,
    random: u64,
}

/// All complete subtrees of a log.
pub(crate) struct Tree(Vec<Vec<NodeHash>>);

impl Tree {
    fn new(entries: &[Stored]) -> Self {
        let mut levels: Vec<Vec<NodeHash>> =
            vec![entries.iter().map(|entry| leaf_hash(&entry.leaf).into()).collect()];
        while levels.last().is_some_and(|row| row.len() > 1) {
            let last = levels.last().expect("there is one");
            levels.push(last.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect());
        }
        Self(levels)
    }

    pub(crate) fn root(&self, size: u64) -> Root {
        let Ok(root) = read_root(self, size);
        root
    }
}

impl HashReader for Tree {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        Ok(self.0[usize::from(level)][usize::try_from(index).expect("small")])
    }
}

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn seed(member: usize) -> u8 {
    10 * (u8::try_from(member).expect("three") + 1)
}

impl World {
    /// So many entries in each log, one every `step_s` seconds.
    pub(crate) fn new(entries: usize, step_s: u64) -> Self {
        let chain = RosterChain::start(&roster(), None).expect("a roster");
        let logs = NAMES.iter().map(|_| Vec::with_capacity(entries)).collect();
        let mut world = Self {
            chain,
            logs,
            trees: Vec::new(),
            evidence: Vec::new(),
            branches: Vec::new(),
            journal: Vec::new(),
            random: 0,
        };
        for nth in 0..entries {
            for author in 0..NAMES.len() {
                world.append(author, nth, step_s);
            }
        }
        world.trees = world.logs.iter().map(|entries| Tree::new(entries)).collect();
        world
    }

    /// The root of roster version 1.
    pub(crate) fn trust(&self) -> Root {
        let first = &self.chain.suffix_from(0)[0];
        let mut tree = Frontier::empty();
        tree.append(leaf_hash(&first.body));
        tree.root()
    }

    pub(crate) fn id(&self, author: usize, index: usize) -> LeafHash {
        leaf_hash(&self.logs[author][index].leaf)
    }

    /// Bytes that nothing compresses.
    fn next_random(&mut self) -> [u8; 32] {
        self.random += 1;
        sha256(&[&self.random.to_be_bytes()])
    }

    /// Mostly content; now and then an opinion of the next member's last record, or a retraction.
    fn append(&mut self, author: usize, nth: usize, step_s: u64) {
        let index = self.logs[author].len();
        let about = |member: usize, index: usize| SubjectRef { log: log_id(member), index: index as u64 };
        let neighbour = (author + 1) % NAMES.len();
        let (record, subject) = match nth % 23 {
            7 if index > 40 => {
                // What a neighbour disagreed with some time ago.
                let subject = about(author, index - 28);
                let reason = Label::Known(RetractionReason::Error);
                (Record::Retraction(Retraction::new(subject, reason)), Some(self.id(author, index - 28)))
            }
            11 | 19 if self.logs[neighbour].len() > 11 => {
                // What the neighbour stated nine entries ago; some of it is retracted later.
                let at = self.logs[neighbour].len() - 9;
                let value = if nth % 46 < 23 { OpinionValue::Disagree } else { OpinionValue::Agree };
                let opinion = Opinion::new(about(neighbour, at), value, Reason::NotCg);
                (Record::Opinion(opinion), Some(self.id(neighbour, at)))
            }
            _ => (Record::Content(self.content(author, nth)), None),
        };
        let header = LeafHeader {
            kind: record.kind(),
            priority: record.kind() == Kind::Retraction,
            index: index as u64,
            time_ms: (START_S + nth as u64 * step_s) * 1000,
            roster_version: 1,
            log_id: log_id(author),
            subject,
            group: 0,
        };
        let salt = self.next_random();
        let sealed = seal(header, &record, salt).expect("a valid entry");
        let stored = Stored { leaf: sealed.leaf_bytes.to_vec(), salt: sealed.salt, padded: sealed.padded };
        self.logs[author].push(stored);
    }

    fn content(&mut self, author: usize, nth: usize) -> Content {
        // Every fifth value is one that all members state.
        let value = if nth.is_multiple_of(5) { sha256(&[&nth.to_be_bytes()]) } else { self.next_random() };
        let signal = Signal::new(SignalType::Pdq, &value, Some(90)).expect("a value");
        let mut content = Content::new(vec![signal]).expect("one signal");
        content.labels.origin =
            Label::Known([Origin::Generated, Origin::EditedBenign, Origin::Undetermined][nth % 3]);
        content.review = Label::Known([Review::Single, Review::Dual][nth % 2]);
        if nth.is_multiple_of(4) {
            let token = Token::new(["list-a", "list-b"][(nth / 4 + author) % 2]).expect("a token");
            content.source = Some(Source::new(token));
        }
        content
    }

    pub(crate) fn manifest(&self, scope: Scope) -> Manifest {
        let logs = (0..NAMES.len()).map(|author| BundleLog {
            member: member_id(author),
            n: 1,
            size: self.logs[author].len() as u64,
            root: self.trees[author].root(self.logs[author].len() as u64),
        });
        Manifest {
            consortium: CONSORTIUM.to_owned(),
            roster_version: 1,
            roster_root: self.chain.root(),
            scope,
            logs: logs.collect(),
        }
    }

    /// A checkpoint that the others cosigned at this time.
    pub(crate) fn note(&self, author: usize, size: u64, time_s: u64) -> Vec<u8> {
        let root = self.trees[author].root(size);
        let checkpoint = Checkpoint { origin: origin(author), size, root };
        let note = sign_checkpoint(&checkpoint, &secret(seed(author)));
        let mut note = Note::parse(&note).expect("a note");
        for witness in (0..NAMES.len()).filter(|witness| *witness != author) {
            let name = self.chain.current().witness_name(&member_id(witness));
            let time_s = time_s + witness as u64;
            note.signatures.push(sign_cosignature(&note.text, &name, &secret(seed(witness) + 2), time_s));
        }
        note.encode()
    }

    /// Evidence that an author signed another history of the same size.
    pub(crate) fn fork(&self, author: usize) -> Vec<u8> {
        let size = self.logs[author].len() as u64;
        let sign =
            |root| sign_checkpoint(&Checkpoint { origin: origin(author), size, root }, &secret(seed(author)));
        let (first, second) = (sign(self.trees[author].root(size)), sign(self.trees[author].root(size - 1)));
        Evidence { first, second, old: None, divergence: None }.encode()
    }

    /// The same with another history: its own entries from `shared` on are those of the next author.
    pub(crate) fn branch(&self, author: usize, shared: usize) -> (Vec<u8>, Branch) {
        let size = self.logs[author].len();
        let other = &self.logs[(author + 1) % NAMES.len()];
        let mut tree = Frontier::empty();
        self.logs[author][..shared].iter().for_each(|entry| tree.append(leaf_hash(&entry.leaf)));
        let before = tree.clone();
        let stored = (shared..size).map(|index| &other[index % other.len()]);
        let entries: Vec<_> =
            stored.map(|entry| (entry.leaf.clone(), entry.salt, entry.padded.clone())).collect();
        entries.iter().for_each(|(leaf, ..)| tree.append(leaf_hash(leaf)));
        let (origin, key) = (origin(author), secret(seed(author)));
        let sign =
            |root| sign_checkpoint(&Checkpoint { origin: origin.clone(), size: size as u64, root }, &key);
        let (first, note) = (sign(self.trees[author].root(size as u64)), sign(tree.root()));
        let evidence = Evidence { first, second: note.clone(), old: None, divergence: None }.encode();
        (evidence, Branch { note, before, entries })
    }

    /// The whole archive, as a member of this number writes it.
    pub(crate) fn bundle(&self, scope: Scope, holder: usize) -> Archive {
        self.bundle_into(Archive::default(), scope, holder)
    }

    pub(crate) fn bundle_into<S: Sink<Error = Infallible>>(&self, sink: S, scope: Scope, holder: usize) -> S {
        let manifest = self.manifest(scope);
        let mut writer = BundleWriter::start(sink, manifest.clone(), &self.chain).expect("in memory");
        let spans: Vec<Vec<(u64, u64)>> =
            (0..NAMES.len()).map(|author| self.write_log(&mut writer, &manifest, author)).collect();
        writer.annex(&self.chain).expect("in memory");
        for (author, log) in manifest.logs.iter().enumerate() {
            let mut sizes = vec![log.size / 3, log.size / 2, log.size];
            sizes.dedup();
            for size in sizes {
                let Ok(proof) = consistency_proof(&self.trees[author], size, log.size) else { continue };
                // Cosigned a minute after the last entry that it covers.
                let last = usize::try_from(size).expect("small").saturating_sub(1);
                let leaf = self.logs[author].get(last).map_or(&[][..], |entry| &entry.leaf[..]);
                let time_ms =
                    leaf.get(16..24).map_or(0, |time| u64::from_be_bytes(time.try_into().expect("eight")));
                let note = self.note(author, size, time_ms / 1000 + 60);
                if size > 0 && size <= log.size {
                    writer.checkpoints(log, size, &proof, &[note]).expect("in memory");
                }
            }
        }
        for (number, evidence) in self.evidence.iter().enumerate() {
            writer.evidence(number, evidence).expect("in memory");
        }
        for (number, branch) in self.branches.iter().enumerate() {
            branch.write(&mut writer, number);
        }
        for (author, spans) in spans.iter().enumerate() {
            for (start, end) in spans {
                let payloads: Vec<BundlePayload<'_>> = (*start..*end)
                    .map(|index| self.payload(author, usize::try_from(index).expect("small"), holder))
                    .collect();
                writer.payloads(&manifest.logs[author], *start, &payloads).expect("in memory");
            }
        }
        writer.journal(&self.journal).expect("in memory");
        let card = secret(seed(holder) + 1);
        let begun_s = START_S + 400 * 86_400 + holder as u64;
        writer.finish(&member_id(holder), begun_s, begun_s + 5, &card.into()).expect("in memory")
    }

    fn payload(&self, author: usize, index: usize, holder: usize) -> BundlePayload<'_> {
        let stored = &self.logs[author][index];
        match (index + holder) % 97 {
            40 => BundlePayload::Withheld,
            50 => BundlePayload::Erased,
            60 => BundlePayload::ErasedBy { log: log_id(author), index: index as u64 + 1 },
            70 => BundlePayload::NotHere,
            80 => BundlePayload::Held,
            _ => BundlePayload::Present { salt: &stored.salt, padded: &stored.padded },
        }
    }

    /// Writes a log as the scope wants it; gives the chunks written.
    fn write_log<S: Sink<Error = Infallible>>(
        &self,
        writer: &mut BundleWriter<S>,
        manifest: &Manifest,
        author: usize,
    ) -> Vec<(u64, u64)> {
        let (log, entries) = (&manifest.logs[author], &self.logs[author]);
        let copy = |start: u64, end: u64| -> Vec<Vec<u8>> {
            let range = usize::try_from(start).expect("small")..usize::try_from(end).expect("small");
            entries[range].iter().map(|entry| entry.leaf.clone()).collect()
        };
        let mut spans = Vec::new();
        if manifest.scope.is_whole(&log.member) {
            let mut whole = BundleWriter::<S>::whole_log(log);
            let mut start = 0;
            while let Some(count) = whole.next_count() {
                let end = start + u64::from(count);
                writer.leaves(&mut whole, &copy(start, end)).expect("the right leaves");
                spans.push((start, end));
                start = end;
            }
            return spans;
        }
        let subjects: Vec<LeafHash> = match &manifest.scope {
            Scope::Member(member) => {
                let at = NAMES.iter().position(|name| *name == member.as_str()).expect("one of ours");
                self.logs[at].iter().map(|entry| leaf_hash(&entry.leaf)).collect()
            }
            _ => Vec::new(),
        };
        for (index, entry) in (0_u64..).zip(entries) {
            let id = leaf_hash(&entry.leaf);
            if !manifest.scope.takes(&entry.leaf, &id, &log_id(author), index, |id| subjects.contains(id)) {
                continue;
            }
            match spans.last_mut() {
                Some((_, end)) if *end == index && !index.is_multiple_of(256) => *end += 1,
                _ => spans.push((index, index + 1)),
            }
        }
        for (start, end) in &spans {
            writer.run(log, *start, &copy(*start, *end), &self.trees[author]).expect("the right leaves");
        }
        spans
    }
}

/// An archive in memory.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Archive {
    pub(crate) bytes: Vec<u8>,
    /// Where the annex starts.
    pub(crate) annex: usize,
}

impl Sink for Archive {
    type Error = Infallible;

    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(bytes);
        if section == Section::Core {
            self.annex = self.bytes.len();
        }
        Ok(())
    }
}

pub(crate) fn member_id(author: usize) -> MemberId {
    MemberId::parse(NAMES[author]).expect("a name")
}

pub(crate) fn origin(author: usize) -> String {
    format!("{CONSORTIUM}/{}/1", NAMES[author])
}

pub(crate) fn log_id(author: usize) -> LogId {
    LogId::of_origin(&origin(author))
}

fn roster() -> hashpact_protocol::roster::SignedRoster {
    let members = (0..NAMES.len()).map(|author| Member {
        id: member_id(author),
        name: format!("Member {}", NAMES[author]),
        status: MemberStatus::Active,
        roles: [Role::Contributor].into(),
        groups: std::collections::BTreeSet::new(),
        card_key: secret(seed(author) + 1).public(),
        cosigner_key: Some(secret(seed(author) + 2).public()),
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: secret(seed(author)).public(), status: LogStatus::Open }],
    });
    let roster = Roster {
        consortium: CONSORTIUM.to_owned(),
        version: 1,
        created_s: START_S,
        expires_s: START_S + 3650 * 86_400,
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: vec![GovernanceKey { name: "ana".to_owned(), key: secret(1).public() }],
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: members.collect(),
        witnesses: (0..NAMES.len()).map(member_id).collect(),
        terms: Terms::default(),
    };
    let body = roster.encode();
    let signature = sign_roster(&body, &Frontier::empty(), "ana", &secret(1)).expect("a roster");
    assemble(&body, &Frontier::empty(), vec![signature]).expect("a roster")
}

/// Another history of a log, as its holder keeps it.
#[derive(Clone)]
pub(crate) struct Branch {
    pub(crate) note: Vec<u8>,
    pub(crate) before: Frontier,
    /// Leaf, salt and padded payload.
    pub(crate) entries: Vec<(Vec<u8>, [u8; 32], Vec<u8>)>,
}

impl Branch {
    fn write<S: Sink<Error = Infallible>>(&self, writer: &mut BundleWriter<S>, number: usize) {
        writer.branch(number, &self.note, &self.before).expect("in memory");
        let start = self.before.size();
        for span in branch_spans(start, start + self.entries.len() as u64) {
            let at = |index: u64| usize::try_from(index - start).expect("small");
            let entries = &self.entries[at(span.start)..at(span.end())];
            let leaves: Vec<Vec<u8>> = entries.iter().map(|(leaf, ..)| leaf.clone()).collect();
            let payloads: Vec<BundlePayload<'_>> = (0..)
                .zip(entries)
                .map(|(nth, (_, salt, padded))| match nth {
                    3 => BundlePayload::NotHere,
                    _ => BundlePayload::Present { salt, padded },
                })
                .collect();
            writer.branch_entries(number, span.start, &leaves, &payloads).expect("in memory");
        }
    }
}
