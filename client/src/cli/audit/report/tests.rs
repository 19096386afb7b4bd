//! Disputes, from the first disagreement to their end.

use hashpact_protocol::bundle::{BundleLog, Entry, EntryPayload, Findings, Visitor as _};
use hashpact_protocol::digest::{LogId, RecordId, Root};
use hashpact_protocol::leaf::{CODEC_CBOR, EntryLeaf, Kind, Leaf};
use hashpact_protocol::record::{
    Content, Opinion, OpinionValue, Payload, Reason, Record, Signal, SignalType, SubjectRef,
};
use hashpact_protocol::roster::MemberId;

use super::tally::{Summary, Tally};

const DAY_MS: u64 = super::tables::DAY_MS;

struct Script {
    tally: Tally,
    next: u8,
}

impl Script {
    fn new() -> Self {
        Self { tally: Tally::default(), next: 1 }
    }

    fn push(
        &mut self,
        by: &str,
        day: u64,
        kind: Kind,
        subject: Option<RecordId>,
        record: Option<Record>,
    ) -> RecordId {
        let id = RecordId::new([self.next; 32]);
        self.next += 1;
        let log =
            BundleLog { member: MemberId::parse(by).unwrap(), n: 1, size: 99, root: Root::new([0; 32]) };
        let log_id = LogId::of_origin(by);
        let leaf = Leaf {
            kind,
            has_subject: subject.is_some(),
            priority: false,
            payload_codec: CODEC_CBOR,
            index: 0,
            time_ms: 1_767_225_600_000 + day * DAY_MS,
            roster_version: 1,
            log_id,
            subject,
            group: 0,
            payload_len: 128,
            commitment: hashpact_protocol::digest::PayloadCommitment::new([0; 32]),
        };
        let payload = match record {
            Some(record) => EntryPayload::Present(Some(Box::new(Payload::Record(record)))),
            None => EntryPayload::NotHere,
        };
        let leaf = EntryLeaf::Known(leaf);
        self.tally.entry(&Entry { log: &log, log_id, index: 0, id, leaf, payload });
        id
    }

    fn content(&mut self, by: &str, day: u64, value: u8) -> RecordId {
        let content = Content::new(vec![Signal::new(SignalType::Md5, &[value; 16], None).unwrap()]).unwrap();
        self.push(by, day, Kind::Content, None, Some(Record::Content(content)))
    }

    fn opine(&mut self, by: &str, day: u64, about: RecordId, opinion: OpinionValue) {
        let subject = SubjectRef { log: LogId::new([0; 32]), index: 0 };
        let record = Record::Opinion(Opinion::new(subject, opinion, Reason::NotCg));
        self.push(by, day, Kind::Opinion, Some(about), Some(record));
    }

    fn finish(self) -> Summary {
        self.tally.finish(&Findings::default())
    }
}

#[test]
fn a_dispute_ends_with_a_retraction_or_when_nobody_disagrees() {
    use OpinionValue::{Agree, Disagree};
    let mut script = Script::new();
    let records: Vec<RecordId> = (0..5).map(|value| script.content("ash", 0, value)).collect();
    // Retracted after four days.
    script.opine("birch", 1, records[0], Disagree);
    script.push("ash", 5, Kind::Retraction, Some(records[0]), None);
    // Two disagree, both come round; the second one on day 9.
    script.opine("birch", 2, records[1], Disagree);
    script.opine("cedar", 3, records[1], Disagree);
    script.opine("birch", 4, records[1], Agree);
    script.opine("cedar", 9, records[1], Agree);
    // Open; the retraction is not its author's.
    script.opine("cedar", 6, records[2], Disagree);
    script.push("birch", 7, Kind::Retraction, Some(records[2]), None);
    // No dispute: an author's view of itself, and agreement.
    script.opine("ash", 1, records[3], Disagree);
    script.opine("birch", 1, records[4], Agree);
    let summary = script.finish();
    let days: Vec<_> = summary
        .disputes
        .iter()
        .map(|one| one.resolved.map(|(time_ms, how)| ((time_ms - one.opened_ms) / DAY_MS, how)))
        .collect();
    assert_eq!(days, [Some((4, "retracted")), Some((7, "agreed")), None]);
    let ash = &summary.activity[&("ash".to_owned(), "2026-01".to_owned())];
    assert_eq!((ash.contributed, ash.disputed, ash.retracted, ash.opinions), (5, 3, 1, 1));
}

#[test]
fn overlap_and_sources_count_signals_once() {
    let mut script = Script::new();
    for (by, value) in [("ash", 1), ("ash", 1), ("ash", 2), ("birch", 1), ("birch", 3)] {
        script.content(by, 40, value);
    }
    let summary = script.finish();
    let pair = |a: &str, b: &str| summary.overlap.get(&(a.to_owned(), b.to_owned())).copied();
    assert_eq!(
        (pair("ash", "ash"), pair("birch", "birch"), pair("ash", "birch")),
        (Some(2), Some(2), Some(1))
    );
    assert_eq!(summary.sources.into_iter().collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    assert_eq!(summary.months.into_iter().collect::<Vec<_>>(), ["2026-02"]);
}

#[test]
fn text_of_others_cannot_become_markup() {
    assert_eq!(super::plot::escape("<b a='1'>&\""), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;");
}
