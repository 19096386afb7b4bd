//! Opinions follow signals to other records of the same author, and near-duplicates are one group.

use super::*;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Opinion, OpinionValue, Reason, Review};

type Placed = (RecordId, SubjectRef);

struct Told {
    view: View,
    lookup: Lookup,
    sizes: BTreeMap<LogId, u64>,
}

impl Told {
    fn new() -> Self {
        let lookup = Lookup::new(1);
        lookup.set_loaded();
        Self { view: View::new(NOW_MS), lookup, sizes: BTreeMap::new() }
    }

    fn tell(&mut self, by: &str, record: &Record, subject: Option<RecordId>) -> Placed {
        let origin = format!("test-0000000000000000/{by}/1");
        let author = Author::new(MemberId::parse(by).expect("valid"), 1, LogId::of_origin(&origin));
        let size = self.sizes.entry(author.log).or_insert(0);
        let index = *size;
        *size += 1;
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS,
            roster_version: 1,
            log_id: author.log,
            subject,
            group: 0,
        };
        let sealed = seal(header, record, [0; 32]).expect("valid");
        let id = sealed.record_id();
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        let changes = self.view.fold(&author, index, &sealed.leaf_bytes, &payload);
        self.lookup.apply(&changes);
        (id, SubjectRef { log: author.log, index })
    }

    fn state(&mut self, by: &str, value: u8, review: Review, old: Option<Placed>) -> Placed {
        let signal = Signal::new(SignalType::Md5, &[value; 16], None).expect("valid");
        let mut content = Content::new(vec![signal]).expect("valid");
        content.review = review.into();
        content.subject = old.map(|(_, place)| place);
        let record = if old.is_some() { Record::Supersede(content) } else { Record::Content(content) };
        assert_eq!(record.kind() == Kind::Supersede, old.is_some());
        self.tell(by, &record, old.map(|(id, _)| id))
    }

    fn opine(&mut self, by: &str, (id, place): Placed, opinion: OpinionValue, reason: Reason) {
        self.tell(by, &Record::Opinion(Opinion::new(place, opinion, reason)), Some(id));
    }

    fn status(&self, (id, _): Placed) -> String {
        self.lookup.record(&id).expect("known").known.status().name().to_owned()
    }

    /// What a look-up of the value says: statuses, disagreements, and the group.
    fn found(&self, value: u8) -> (Vec<(String, u32)>, Option<api::GroupJson>) {
        let question = Question { group: true, ..Question::default() };
        let answer = self.lookup.match_queries(vec![query(0, &[], Some(value))], &question, &LogId::to_hex);
        let result = answer.results.first().expect("one item").clone();
        let shown = result.matches.iter().map(|found| (found.status.clone(), found.opinions.disagree));
        (shown.collect(), result.group)
    }
}

#[test]
fn a_dispute_follows_whichever_comes_first() {
    for opinion_first in [true, false] {
        let mut told = Told::new();
        let old = told.state("north", 7, Review::Dual, None);
        let opine = |told: &mut Told| told.opine("south", old, OpinionValue::Disagree, Reason::Adult);
        if opinion_first {
            opine(&mut told);
        }
        let new = told.state("north", 7, Review::Dual, Some(old));
        let foreign = told.state("west", 7, Review::Dual, None);
        if !opinion_first {
            assert_eq!(told.status(new), "active");
            opine(&mut told);
        }
        assert_eq!(
            [old, new, foreign].map(|record| told.status(record)),
            ["superseded", "disputed", "active"]
        );
        let (mut shown, group) = told.found(7);
        shown.sort();
        assert_eq!(shown, [("active".to_owned(), 0), ("disputed".to_owned(), 1)]);
        assert_eq!(
            group.map(|group| (group.why, group.disputed_by)),
            Some(("disputed".to_owned(), vec!["south".to_owned()]))
        );
        // It is taken back about either of them.
        told.opine("south", new, OpinionValue::Agree, Reason::Unstated);
        assert_eq!(told.status(new), "active");
        let group = told.found(7).1.expect("a group");
        assert_eq!((group.why.as_str(), group.look, group.records), ("reviewed_twice", false, 2));
        // Another signal is not disputed.
        let changed = told.state("north", 8, Review::Dual, Some(new));
        assert_eq!(told.status(changed), "active");
    }
}

#[test]
fn whoever_follows_changes_hears_of_a_dispute_that_follows() {
    let mut told = Told::new();
    let first = told.state("north", 7, Review::Dual, None);
    let second = told.state("north", 7, Review::Dual, None);
    let queue = Arc::new(NewsQueue::default());
    told.lookup.tell_news(Arc::clone(&queue));
    told.opine("south", first, OpinionValue::Disagree, Reason::Error);
    let Taken::News(FeedNews::Records(records)) = queue.take() else { panic!("records were expected") };
    let heard: Vec<_> = records
        .iter()
        .map(|news| {
            let before = news.before.as_ref().expect("it was known").status;
            (news.known.id, before.name(), news.known.status().name())
        })
        .collect();
    assert_eq!(heard, [(first.0, "active", "disputed"), (second.0, "active", "disputed")]);
}
