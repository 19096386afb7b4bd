//! Entries as an import of a list makes them; the same for the same place.

use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_core::view::Author;
use hashpact_protocol::digest::{LogId, sha256};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::record::{
    Activity, Content, Date, Label, Origin, Realism, Record, Review, Signal, SignalType, Source, Token,
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

/// The entry at a place.
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
    let record = Record::Content(content);
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index,
        time_ms: 1_790_000_000_000 + index,
        roster_version: 1,
        log_id: author(log).log,
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &record, value).expect("valid");
    let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
    StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload }
}
