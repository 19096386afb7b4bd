//! Entries as an import of a list makes them; the same for the same place.

use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_core::view::Author;
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash, sha256};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::record::{
    Activity, Content, Date, Label, Opinion, OpinionValue, Origin, Realism, Reason, Record, Retraction,
    RetractionReason, Review, Signal, SignalType, Source, SubjectRef, Token,
};
use hashpact_protocol::roster::MemberId;

/// Name of the consortium that the logs belong to.
pub(crate) const CONSORTIUM: &str = "bench-0011223344556677";
/// Logs that entries come from.
pub(crate) const LOGS: u64 = 12;

/// The origin of a log.
pub(crate) fn origin(log: u64) -> String {
    format!("{CONSORTIUM}/member-{log}/1")
}

/// Whose it is.
pub(crate) fn author(log: u64) -> Author {
    let member = MemberId::parse(&format!("member-{log}")).expect("valid");
    Author::new(member, 1, LogId::of_origin(&origin(log)))
}

/// Entries after which what is said in logs comes again.
const PERIOD: u64 = 200;

/// Whether the entry at this leaf index states a record.
pub(crate) fn is_record(index: u64) -> bool {
    !matches!(index % PERIOD, 99 | 150 | 199)
}

/// The entry at a place of a log in which members also speak: every hundredth is an opinion about another member's record,
/// every two hundredth takes a record back.
pub(crate) fn spoken(log: u64, index: u64) -> StoredEntry {
    let place = |log: u64| SubjectRef { log: author(log).log, index: index - 1 };
    let subject = |log: u64| Some(leaf_hash(&entry(log, index - 1).leaf));
    match index % PERIOD {
        99 | 199 => {
            let other = (log + 1) % LOGS;
            let opinion = if index % PERIOD == 99 { OpinionValue::Agree } else { OpinionValue::Disagree };
            let record = Record::Opinion(Opinion::new(place(other), opinion, Reason::BenignCollision));
            sealed(log, index, &record, subject(other))
        }
        150 => {
            let record = Record::Retraction(Retraction::new(place(log), RetractionReason::Error));
            sealed(log, index, &record, subject(log))
        }
        _ => entry(log, index),
    }
}

/// The record at a place of a log of which nothing else is known.
pub(crate) fn entry(log: u64, index: u64) -> StoredEntry {
    let value = sha256(&[&log.to_be_bytes(), &index.to_be_bytes()]);
    let signal = Signal::new(SignalType::Pdq, &value, Some(50 + value[0] % 51)).expect("valid");
    let mut content = Content::new(vec![signal]).expect("valid");
    content.labels.origin = Label::<Origin>::from_code(u64::from(value[1] % 4));
    content.labels.realism = Label::<Realism>::from_code(u64::from(value[2] % 3));
    content.labels.activity = Label::<Activity>::from_code(u64::from(value[3] % 3));
    content.review = Label::<Review>::from_code(u64::from(value[4] % 4));
    let token = |text: &str| Token::new(text).expect("valid");
    content.source = Some(Source {
        list: Some(token("list-2026")),
        id: Some(token(&format!("r{index:09}"))),
        date: Some(Date::from_days(20_000 + index / 5_000).expect("valid")),
        ..Source::new(token("hotline"))
    });
    sealed(log, index, &Record::Content(content), None)
}

fn sealed(log: u64, index: u64, record: &Record, subject: Option<RecordId>) -> StoredEntry {
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index,
        time_ms: 1_790_000_000_000 + index,
        roster_version: 1,
        log_id: author(log).log,
        subject,
        group: 0,
    };
    let salt = sha256(&[&log.to_le_bytes(), &index.to_le_bytes()]);
    let sealed = seal(header, record, salt).expect("valid");
    let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
    StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload }
}
