//! The records that are stated: what a member's list typically holds of one picture.
//!
//! A PDQ hash with its quality, an MD5 hash and three labels: 103 to 110 bytes of CBOR, in a padded payload of
//! 128. All values are digests of a number, so every run states the same and nothing compresses that would
//! not compress in the world.

use anyhow::{Context as _, Result};
use hashpact_protocol::api::{ContributeRequest, LabelsJson, NewRecord, NewSignal};
use hashpact_protocol::digest::{hex_encode, sha256};
use hashpact_protocol::limits::RECORDS_PER_CALL_MAX;
use hashpact_protocol::record::Record;
use std::fmt::Write as _;

/// The PDQ value of record `nth` of the list `list`.
pub(crate) fn pdq(list: u64, nth: u64) -> [u8; 32] {
    sha256(&[b"bench-log", &list.to_be_bytes(), &nth.to_be_bytes()])
}

/// Record `nth` as the API takes it.
pub(crate) fn new_record(list: u64, nth: u64) -> NewRecord {
    let pdq = pdq(list, nth);
    let md5 = sha256(&[&pdq]);
    let signal = |kind: &str, value: &[u8], quality| NewSignal {
        signal_type: kind.to_owned(),
        value: hex_encode(value),
        quality,
    };
    NewRecord {
        kind: "content".to_owned(),
        signals: vec![signal("pdq", &pdq, Some(90)), signal("md5", &md5[..16], None)],
        labels: LabelsJson {
            origin: Some("generated".to_owned()),
            realism: Some("realistic_flawed".to_owned()),
            ..LabelsJson::default()
        },
        review: Some("dual".to_owned()),
        ..NewRecord::default()
    }
}

/// Records as the node makes them from a request.
pub(crate) fn records(list: u64, numbers: std::ops::Range<u64>) -> Result<Vec<Record>> {
    let mut checked = Vec::new();
    for first in numbers.clone().step_by(RECORDS_PER_CALL_MAX) {
        let end = numbers.end.min(first + RECORDS_PER_CALL_MAX as u64);
        let records = (first..end).map(|nth| new_record(list, nth)).collect();
        let some = ContributeRequest { records }.to_records().context("the bench's own records")?;
        checked.extend(some.into_iter().map(|(_, content)| Record::Content(content)));
    }
    Ok(checked)
}

/// The body of one call of `POST /v1/records`.
pub(crate) fn body(list: u64, numbers: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let records = numbers.map(|nth| new_record(list, nth)).collect();
    Ok(serde_json::to_vec(&ContributeRequest { records })?)
}

/// The same records as a list that `hashpact import` reads.
pub(crate) fn csv(list: u64, count: u64) -> Result<String> {
    let mut text = "pdq,md5,quality,origin,realism,review\n".to_owned();
    for nth in 0..count {
        let pdq = pdq(list, nth);
        let md5 = sha256(&[&pdq]);
        let (pdq, md5) = (hex_encode(&pdq), hex_encode(&md5[..16]));
        writeln!(text, "{pdq},{md5},90,generated,realistic_flawed,dual")?;
    }
    Ok(text)
}
