//! Member *north* with its store, engine and router, and what members *south* and *east* have stated.

use super::{Answer, request};
use crate::changes::Feed;
use crate::config::Config;
use crate::driver::now_ms;
use crate::export::Holder;
use crate::http::{Api, router};
use crate::lists::{DecisionFiles, Lists};
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::service::{Identity, SUBMISSIONS_QUEUED_MAX, Service, Submission};
use crate::storage::Store;
use crate::tokens::{LiveTokens, NewToken, Scope, Tokens};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use axum::response::Response;
use hashpact_core::effect::{HeldFacts, LockState, SizedNote, StoredEntry, StoredPayload, Timer, WriteBatch};
use hashpact_core::engine::{HeldLog, NodeRole};
use hashpact_core::event::Submit;
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_core::limits::CLEARANCE_WAIT_MS;
use hashpact_core::policy::FloodLimits;
use hashpact_core::recover::OwnDisk;
use hashpact_core::view::{Author, Rules, View};
use hashpact_core::{Effect, Engine, EngineConfig, Event, Opening};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, RecordId, empty_root, leaf_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::Record;
use hashpact_protocol::roster::{
    CardNode, GovernanceKey, LogEntry, LogStatus, Member, MemberId, MemberStatus, NodeCard,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, PanelTerm, Role, Roster, RosterChain, Term, Terms, assemble, sign_card,
    sign_roster,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
pub(crate) const CONSORTIUM: &str = "test-0011223344556677";
const MEMBERS: [&str; 3] = ["east", "north", "south"];

/// How the node under test differs from the usual one.
#[derive(Clone, Copy)]
pub(super) struct Options {
    /// Lines of the `[http]` section.
    pub(super) http: &'static str,
    /// Whether the logs count as replayed.
    pub(super) loaded: bool,
    /// Whether a loop answers submissions; otherwise they wait for ever.
    pub(super) answering: bool,
    /// Entries of one member in an hour beyond which they are a flood.
    pub(super) flood: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { http: "", loaded: true, answering: true, flood: 1_000 }
    }
}

/// The node under test.
pub(super) struct Fixture {
    router: Router,
    pub(super) lookup: Arc<Lookup>,
    pub(super) lists: Arc<Lists>,
    pub(super) store: Arc<Store>,
    /// Present if the logs count as replayed.
    pub(super) feed: Option<Arc<Feed>>,
    tokens: BTreeMap<Scope, String>,
    /// What the router takes for the tokens.
    pub(super) live: Arc<LiveTokens>,
    /// Submissions that nobody answers, when the fixture has no loop.
    pub(super) submissions: Option<mpsc::Receiver<Submission>>,
    pub(super) dir: tempfile::TempDir,
}

/// What other members have stated, in order: author, record, subject.
#[derive(Default)]
pub(super) struct Stated {
    logs: BTreeMap<&'static str, Vec<StoredEntry>>,
}

impl Stated {
    /// Appends to a member's log; its entries are a minute apart.
    pub(super) fn push(&mut self, by: &'static str, record: &Record, subject: Option<RecordId>) -> RecordId {
        let entries = self.logs.entry(by).or_default();
        let index = entries.len() as u64;
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS - 86_400_000 + index * 60_000,
            roster_version: 1,
            log_id: log(by),
            subject,
            group: 0,
        };
        let sealed = seal(header, record, [index as u8; 32]).expect("a valid entry");
        let id = sealed.record_id();
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        entries.push(StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload });
        id
    }
}

pub(super) fn origin(member: &str) -> String {
    format!("{CONSORTIUM}/{member}/1")
}

pub(super) fn log(member: &str) -> LogId {
    LogId::of_origin(&origin(member))
}

pub(super) fn log_key(member: &str) -> SecretKey {
    SecretKey::from_seed(*log(member).as_bytes())
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn chain() -> RosterChain {
    let member = |(number, id): (usize, &&str)| Member {
        id: MemberId::parse(id).expect("valid"),
        name: format!("Member {id}"),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        groups: BTreeSet::new(),
        card_key: key(10 + number as u8).public(),
        cosigner_key: None,
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: log_key(id).public(), status: LogStatus::Open }],
    };
    // North is the whole review panel, and declares incidents.
    let north = || Term::from_the_first(MemberId::parse("north").expect("valid"));
    let terms = Terms {
        // East is an erasure authority.
        erasers: vec![Term::from_the_first(MemberId::parse("east").expect("valid"))],
        panel: vec![PanelTerm { needed: 1, term: north() }],
        declarers: vec![north()],
        ..Terms::default()
    };
    let roster = Roster {
        consortium: CONSORTIUM.to_owned(),
        version: 1,
        created_s: NOW_MS / 1_000 - 60,
        expires_s: NOW_MS / 1_000 + 365 * 86_400,
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: vec![GovernanceKey { name: "root".to_owned(), key: key(90).public() }],
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: MEMBERS.iter().enumerate().map(member).collect(),
        witnesses: Vec::new(),
        terms,
    };
    let (body, before) = (roster.encode(), Frontier::empty());
    let signature = sign_roster(&body, &before, "root", &key(90)).expect("a canonical body");
    let signed = assemble(&body, &before, vec![signature]).expect("one of one signed");
    RosterChain::start(&signed, None).expect("a valid roster")
}

/// Stores and folds what others stated, as if it had been followed.
fn hold(store: &Store, view: &mut View, lookup: &Lookup, stated: Stated) -> BTreeMap<LogId, HeldLog> {
    let mut held = BTreeMap::new();
    for (member, entries) in stated.logs {
        let mut frontier = Frontier::empty();
        let author = Author::new(MemberId::parse(member).expect("valid"), 1, log(member));
        for (index, entry) in (0..).zip(&entries) {
            frontier.append(leaf_hash(&entry.leaf));
            lookup.apply(&view.fold(&author, index, &entry.leaf, &entry.payload));
        }
        let checkpoint = Checkpoint { origin: origin(member), size: frontier.size(), root: frontier.root() };
        let note = SizedNote { size: frontier.size(), note: sign_checkpoint(&checkpoint, &log_key(member)) };
        let batch = WriteBatch {
            id: 1,
            log: author.log,
            origin: origin(member),
            start: 0,
            entries,
            frontier: frontier.hashes().to_vec(),
            note: Some(note.clone()),
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        };
        store.write(&batch).expect("stored");
        held.insert(author.log, HeldLog { frontier, note: Some(note), payloads_missing: 0 });
    }
    held
}

fn open_engine(chain: RosterChain, view: View, held: BTreeMap<LogId, HeldLog>) -> (Engine, Vec<Effect>) {
    let lock =
        LockState { generation: 0, origin: origin("north"), size: 0, root: empty_root(), note: Vec::new() };
    let own = OwnDisk {
        frontier: Frontier::empty(),
        at_lock: Some(Frontier::empty()),
        lock: Some(lock),
        beyond_lock: Vec::new(),
        generation: 0,
    };
    let member = MemberId::parse("north").expect("valid");
    let peer = key(60).public();
    let card = NodeCard {
        consortium: CONSORTIUM.to_owned(),
        member: member.clone(),
        sequence: 1,
        expires_s: NOW_MS / 1_000 + 86_400,
        nodes: vec![CardNode { peer_key: peer, addresses: Vec::new() }],
    };
    let config = EngineConfig {
        member,
        role: NodeRole::Author { log_key: log_key("north").into(), cosigner_key: key(12).into() },
        peer,
        card: sign_card(&card, &key(11)),
        from_backup: false,
        is_doubtful: false,
        receipt_interval_ms: 0,
    };
    Engine::open(Opening {
        config,
        roster: chain,
        own,
        last_time_ms: 0,
        held,
        priority: BTreeMap::new(),
        facts: HeldFacts::default(),
        view,
        now_ms: NOW_MS,
    })
    .expect("a sound start")
}

/// The driver's part without threads and sockets: performs effects in order, in virtual time.
struct Loop {
    engine: Engine,
    store: Arc<Store>,
    lookup: Arc<Lookup>,
    answers: HashMap<
        u64,
        oneshot::Sender<Result<hashpact_core::effect::Receipts, hashpact_core::effect::SubmitError>>,
    >,
    now_ms: u64,
}

impl Loop {
    fn perform(&mut self, effects: Vec<Effect>) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let event = match effect {
                Effect::Write(batch) => {
                    let read_back = self.store.write(&batch).expect("stored");
                    Event::Written { write: batch.id, read_back }
                }
                Effect::WriteLock { write, .. } => Event::LockWritten { write },
                Effect::SetTimer { timer: Timer::Append, at_ms } => {
                    self.now_ms = self.now_ms.max(at_ms);
                    Event::Timer(Timer::Append)
                }
                Effect::Publish(head) => {
                    if head.size > 0 {
                        self.store.publish(&head).expect("stored before");
                    }
                    self.lookup.publish(&head);
                    continue;
                }
                Effect::View(changes) => {
                    self.lookup.apply(&changes);
                    continue;
                }
                Effect::News(news) => {
                    self.lookup.hear(news);
                    continue;
                }
                Effect::Coverage(coverage) => {
                    self.lookup.set_coverage(coverage);
                    continue;
                }
                Effect::Answer { request, answer } => {
                    let sender = self.answers.remove(&request).expect("asked once");
                    let _ = sender.send(answer);
                    continue;
                }
                _ => continue,
            };
            queue.extend(self.engine.handle(event, self.now_ms));
        }
    }

    async fn run(mut self, mut submissions: mpsc::Receiver<Submission>) {
        let mut request = 0;
        while let Some(Submission { drafts, group, key, digest, ack, answer }) = submissions.recv().await {
            request += 1;
            let prior = key.and_then(|key| self.store.prior(&key).expect("readable"));
            let salts = vec![[request as u8; 32]; drafts.len()];
            self.answers.insert(request, answer);
            let submit = Submit { request, drafts, group, salts, key, digest, prior, ack };
            let effects = self.engine.handle(Event::Submit(submit), self.now_ms);
            self.perform(effects);
        }
    }
}

impl Fixture {
    /// Starts a node that holds what others stated.
    pub(super) fn start(options: Options, stated: Stated) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let store =
            Arc::new(Store::create(&dir.path().join("database"), CONSORTIUM, "north").expect("fresh"));
        let lookup = Arc::new(Lookup::new(1));
        let chain = chain();
        let roster = chain.current_shared().clone();
        let files = DecisionFiles::of(dir.path(), dir.path().join("journal"));
        let limits =
            FloodLimits { contributions_per_hour: options.flood, withdrawals_per_hour: options.flood };
        let lists = Lists::open(files, Arc::clone(&lookup), &chain, limits).expect("an empty folder");
        let lists = Arc::new(lists);
        let mut view = View::under(Rules::from(&chain), NOW_MS, [0; 16]);
        let held = hold(&store, &mut view, &lookup, stated);
        let (engine, first) = open_engine(chain.clone(), view, held);
        let (submit, submissions) = mpsc::channel(SUBMISSIONS_QUEUED_MAX);
        let identity =
            Identity { member: "north".to_owned(), is_replica: false, roster, started: Instant::now() };
        let metrics = Arc::new(Metrics::default());
        let service = Service::new(identity, submit, Arc::clone(&lookup), Arc::clone(&store), metrics);
        service.set_lists(Arc::clone(&lists));
        service.set_holder(Holder {
            chain: chain.clone(),
            member: MemberId::parse("north").expect("valid"),
            card: Some(key(11).into()),
            journal: dir.path().join("journal"),
        });

        let kept = Arc::clone(&store);
        let mut node = Loop {
            engine,
            store,
            lookup: Arc::clone(&lookup),
            answers: HashMap::new(),
            now_ms: NOW_MS + CLEARANCE_WAIT_MS,
        };
        node.perform(first);
        let effects = node.engine.handle(Event::Timer(Timer::Tick), node.now_ms);
        node.perform(effects);
        let complete = Health {
            completeness: Completeness::Complete,
            append_blocked: None,
            from_backup: false,
            peers: Vec::new(),
            roster: RosterHealth::default(),
            replica: None,
        };
        lookup.set_health(complete);
        let feed = options.loaded.then(|| {
            lookup.set_loaded();
            let feed = Feed::begin(Arc::clone(&lookup), Arc::clone(&kept), 1_000).expect("begun");
            service.set_feed(Arc::clone(&feed));
            feed
        });

        let path = dir.path().join("tokens");
        let scopes = [Scope::Lookup, Scope::Contribute, Scope::Audit, Scope::Admin];
        let tokens = scopes.map(|scope| {
            let new = NewToken::new(scope.name(), BTreeSet::from([scope]));
            let (_, secret) = Tokens::create(&path, &new, now_ms() / 1_000, |_| Ok(())).expect("created");
            (scope, secret)
        });
        let live = Arc::new(LiveTokens::open(&path).expect("readable"));
        let text = format!("member = \"north\"\ndata_dir = \".\"\n[http]\n{}", options.http);
        let config = Config::parse(&text, dir.path()).expect("a valid configuration");
        let router = router(Api::new(&config, service, Arc::clone(&live)));
        let submissions = if options.answering {
            tokio::spawn(node.run(submissions));
            None
        } else {
            Some(submissions)
        };
        Self { router, lookup, lists, store: kept, feed, tokens: tokens.into(), live, submissions, dir }
    }

    pub(super) fn new() -> Self {
        Self::start(Options::default(), Stated::default())
    }

    /// Makes one more token, made so many seconds ago; gives its secret.
    pub(super) fn create_token(&self, new: &NewToken, ago_s: u64) -> String {
        let now_s = now_ms() / 1_000 - ago_s;
        let created = Tokens::create(&self.dir.path().join("tokens"), new, now_s, |_| Ok(()));
        self.live.reload().expect("readable");
        created.expect("created").1
    }

    pub(super) fn token(&self, scope: Scope) -> &str {
        &self.tokens[&scope]
    }

    /// Sends any request; the answer's body is not read yet.
    pub(super) async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("a router always answers")
    }

    /// The router, to put behind a socket.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends any request.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a complete body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Reads with the right to everything.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(request(&Method::GET, path, Some(self.token(Scope::Admin)), None)).await
    }

    /// Posts with the right to everything.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request(&Method::POST, path, Some(self.token(Scope::Admin)), Some(body))).await
    }
}
