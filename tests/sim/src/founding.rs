//! Keys, roster and cards of a simulated consortium, all from the seed.

use crate::random::Random;
use hashpact_core::effect::LockState;
use hashpact_core::engine::replica_origin;
use hashpact_core::view::Author;
use hashpact_core::{EngineConfig, NodeRole};
use hashpact_protocol::digest::{LogId, RosterDigest, empty_root};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::limits::NODE_CARD_LIFETIME_MAX_S;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::{Content, Signal, SignalType};
use hashpact_protocol::roster::{
    CardNode, GovernanceKey, LogEntry, LogStatus, Member as RosterMember, MemberId, MemberStatus, NodeCard,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, Roster, RosterChain, SignedRoster, Term, Terms, assemble,
    sign_card, sign_roster,
};
use std::collections::BTreeSet;

/// One member with its keys.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) peer: PublicKey,
    /// Whether this is a node beside the one that writes the member's log. Then the log is one that nobody has.
    pub(crate) is_replica: bool,
    /// Number of its log, of which the next three are.
    pub(crate) n: u32,
    pub(crate) origin: String,
    pub(crate) log: LogId,
    pub(crate) log_key: SecretKey,
    pub(crate) card_key: SecretKey,
    pub(crate) cosigner_key: SecretKey,
}

impl Clone for Member {
    /// Secret keys wipe themselves and are not cloned by the product; the simulator copies their seeds.
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            peer: self.peer,
            is_replica: self.is_replica,
            n: self.n,
            origin: self.origin.clone(),
            log: self.log,
            log_key: SecretKey::from_seed(*self.log_key.seed()),
            card_key: SecretKey::from_seed(*self.card_key.seed()),
            cosigner_key: SecretKey::from_seed(*self.cosigner_key.seed()),
        }
    }
}

impl Member {
    /// A member of this id with fresh keys and its first log.
    pub(crate) fn new(random: &mut Random, consortium: &str, id: &str) -> Self {
        let id = MemberId::parse(id).expect("a valid id");
        let origin = format!("{consortium}/{id}/1");
        Self {
            peer: SecretKey::from_seed(random.bytes()).public(),
            is_replica: false,
            n: 1,
            log: LogId::of_origin(&origin),
            origin,
            log_key: SecretKey::from_seed(random.bytes()),
            card_key: SecretKey::from_seed(random.bytes()),
            cosigner_key: SecretKey::from_seed(random.bytes()),
            id,
        }
    }

    /// The same member with the next log, under a new key; and, as `recover` has it, with a new cosigner key.
    pub(crate) fn next_log(&self, random: &mut Random, consortium: &str) -> Self {
        let n = self.n + 1;
        let origin = format!("{consortium}/{}/{n}", self.id);
        Self {
            n,
            log: LogId::of_origin(&origin),
            origin,
            log_key: SecretKey::from_seed(random.bytes()),
            cosigner_key: SecretKey::from_seed(random.bytes()),
            ..self.clone()
        }
    }
}

/// A founded consortium.
pub(crate) struct Founding {
    pub(crate) members: Vec<Member>,
    /// Nodes of members beside their authors.
    pub(crate) replicas: Vec<Member>,
    /// Members as they were with logs that they have given up.
    pub(crate) former: Vec<Member>,
    /// The first version.
    pub(crate) chain: RosterChain,
    /// The chains to each version that governance published, from the first on.
    pub(crate) published: Vec<RosterChain>,
    governance: Vec<SecretKey>,
    /// How often members state what they hold; 0 for never.
    pub(crate) receipt_interval_ms: u64,
}

impl Founding {
    /// When the world begins.
    pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

    /// `rogues` of the members, the last ones, are no witnesses.
    pub(crate) fn new(random: &mut Random, count: usize, rogues: usize) -> Self {
        let consortium = format!("sim-{:016x}", random.bits());
        let members: Vec<Member> = (0..count)
            .map(|number| Member::new(random, &consortium, &format!("member-{number:02}")))
            .collect();
        let governance: Vec<SecretKey> = (0..3).map(|_| SecretKey::from_seed(random.bytes())).collect();
        let roster = Self::first_roster(consortium, &members, rogues, &governance);
        let body = roster.encode();
        let before = Frontier::empty();
        let signatures = ["a", "b"]
            .iter()
            .zip(&governance)
            .map(|(name, key)| sign_roster(&body, &before, name, key).expect("a canonical body"))
            .collect();
        let signed: SignedRoster = assemble(&body, &before, signatures).expect("two of three signed");
        Self::on(&signed, members, governance)
    }

    /// The consortium of a first version.
    pub(crate) fn on(first: &SignedRoster, members: Vec<Member>, governance: Vec<SecretKey>) -> Self {
        let chain = RosterChain::start(first, None).expect("a valid roster");
        let published = vec![chain.clone()];
        Self {
            members,
            former: Vec::new(),
            replicas: Vec::new(),
            chain,
            published,
            governance,
            receipt_interval_ms: 0,
        }
    }

    fn first_roster(
        consortium: String,
        members: &[Member],
        rogues: usize,
        governance: &[SecretKey],
    ) -> Roster {
        Roster {
            consortium,
            version: 1,
            created_s: Self::NOW_MS / 1_000 - 60,
            expires_s: Self::NOW_MS / 1_000 + 365 * 86_400,
            previous: None,
            rejected: Vec::new(),
            threshold: 2,
            governance: ["a", "b", "c"]
                .iter()
                .zip(governance)
                .map(|(name, key)| GovernanceKey { name: (*name).to_owned(), key: key.public() })
                .collect(),
            taxonomies: vec!["cg-taxonomy/1".to_owned()],
            hash_sets: Vec::new(),
            retention_s: 35,
            hold_s: 20,
            features: Vec::new(),
            groups: Vec::new(),
            members: members.iter().map(roster_member).collect(),
            witnesses: members[..members.len() - rogues].iter().map(|member| member.id.clone()).collect(),
            terms: Terms {
                erasers: vec![Term::from_the_first(members[0].id.clone())],
                declarers: vec![Term::from_the_first(members[0].id.clone())],
                ..Terms::default()
            },
        }
    }

    /// Gives a member a read replica.
    pub(crate) fn add_replica(&mut self, random: &mut Random, of: usize) {
        let member = self.members[of].clone();
        let origin = replica_origin(self.chain.current(), &member.id);
        self.replicas.push(Member {
            peer: SecretKey::from_seed(random.bytes()).public(),
            is_replica: true,
            n: 0,
            log: LogId::of_origin(&origin),
            origin,
            ..member
        });
    }

    /// The version behind a chain: nothing but its times is new.
    pub(crate) fn next_version(&self, chain: &RosterChain) -> SignedRoster {
        let held = chain.current();
        let last = chain.suffix_from(held.version - 1).first().expect("a chain has versions");
        let roster = Roster {
            version: held.version + 1,
            created_s: held.created_s + 1,
            previous: Some(RosterDigest::of_body(&last.body)),
            ..held.clone()
        };
        let body = roster.encode();
        let sign = |(name, key): (&&str, &SecretKey)| {
            sign_roster(&body, chain.tree(), name, key).expect("a canonical body")
        };
        let signatures = ["a", "b"].iter().zip(&self.governance).map(sign).collect();
        assemble(&body, chain.tree(), signatures).expect("two of three signed")
    }

    /// Whose a log is, with the number and origin of that log.
    pub(crate) fn author(&self, log: &LogId) -> &Member {
        let mut all = self.members.iter().chain(&self.former);
        all.find(|member| member.log == *log).expect("a log of a member")
    }

    /// The same as the author of entries.
    pub(crate) fn named(&self, log: &LogId) -> Author {
        let Member { id, n, log, .. } = self.author(log);
        Author::new(id.clone(), *n, *log)
    }

    pub(crate) fn empty_lock(&self, member: &Member) -> LockState {
        LockState {
            generation: 0,
            origin: member.origin.clone(),
            size: 0,
            root: empty_root(),
            note: Vec::new(),
        }
    }

    /// How a node is started; a replica with the card that it kept.
    pub(crate) fn config(&self, member: &Member, now_ms: u64, kept: Option<&Vec<u8>>) -> EngineConfig {
        if member.is_replica {
            return EngineConfig {
                member: member.id.clone(),
                role: NodeRole::Replica,
                peer: member.peer,
                card: kept.cloned().unwrap_or_default(),
                from_backup: false,
                is_doubtful: false,
                receipt_interval_ms: self.receipt_interval_ms,
            };
        }
        let replicas = self.replicas.iter().filter(|replica| replica.id == member.id);
        let card = NodeCard {
            consortium: self.chain.current().consortium.clone(),
            member: member.id.clone(),
            sequence: now_ms,
            expires_s: now_ms / 1_000 + NODE_CARD_LIFETIME_MAX_S - 3_600,
            nodes: std::iter::once(member)
                .chain(replicas)
                .map(|node| CardNode {
                    peer_key: node.peer,
                    addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
                })
                .collect(),
        };
        EngineConfig {
            member: member.id.clone(),
            role: NodeRole::Author {
                log_key: SecretKey::from_seed(*member.log_key.seed()).into(),
                cosigner_key: SecretKey::from_seed(*member.cosigner_key.seed()).into(),
            },
            peer: member.peer,
            card: sign_card(&card, &member.card_key),
            from_backup: false,
            is_doubtful: false,
            receipt_interval_ms: self.receipt_interval_ms,
        }
    }

    /// A random record: one to three signals, some shared between members.
    pub(crate) fn content(&self, random: &mut Random) -> Content {
        let mut signals = vec![pdq(random)];
        if random.once_in(3) {
            let value = random.bytes();
            signals.push(Signal::new(SignalType::Md5, &value[..16], None).expect("a valid signal"));
        }
        Content::new(signals).expect("a valid record")
    }
}

fn pdq(random: &mut Random) -> Signal {
    let mut value = random.bytes();
    if random.once_in(4) {
        value = [7; 32];
        value[0] = random.below(8) as u8;
    }
    Signal::new(SignalType::Pdq, &value, Some(90)).expect("a valid signal")
}

/// A member as a roster lists it that has just joined.
pub(crate) fn roster_member(member: &Member) -> RosterMember {
    RosterMember {
        id: member.id.clone(),
        name: format!("Member {}", member.id),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        groups: BTreeSet::new(),
        card_key: member.card_key.public(),
        cosigner_key: Some(member.cosigner_key.public()),
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: member.n, key: member.log_key.public(), status: LogStatus::Open }],
    }
}
