//! Signals under licence go to licensees alone.
//!
//! A PhotoDNA hash may only be passed to members that hold a licence: a group of the roster. What else is known of the same
//! piece of media is for everybody. So a record is stated in two entries: one with all other signals, and one in the
//! licensees' group with the licensed ones, which names the first as its subject. Labels, review and source are those of the record in both.

use hashpact_protocol::api::{Ack, NewRecord, Receipt};
use hashpact_protocol::record::SignalType;

use crate::client::Client;
use crate::error::ClientError;

/// Whether signals of a type may be passed to licensees only.
#[must_use]
fn is_licensed(signal_type: &str) -> bool {
    signal_type == SignalType::PhotoDna.name()
}

/// Whether a record has a signal under licence.
#[must_use]
pub fn has_licensed(record: &NewRecord) -> bool {
    record.signals.iter().any(|signal| is_licensed(&signal.signal_type))
}

/// A record in two: what everybody may receive, if anything is left of it, and what licensees alone may.
fn split(record: &NewRecord) -> (Option<NewRecord>, Option<NewRecord>) {
    let part = |licensed: bool| {
        let signals = record.signals.iter().filter(|signal| is_licensed(&signal.signal_type) == licensed);
        let part = NewRecord { signals: signals.cloned().collect(), ..record.clone() };
        (!part.signals.is_empty()).then_some(part)
    };
    (part(false), part(true))
}

impl Client {
    /// States records, signals under licence in the group `licensees` alone (in no group of their own if none is given: then
    /// everybody receives them). One receipt for each record, in their order: of the entry for everybody, or of the one for
    /// licensees where there is no other.
    ///
    /// Both steps have keys of their own that follow from `idempotency_key`: repeating all of it states nothing twice.
    ///
    /// # Errors
    /// See [`ClientError`]; a failed second step is repeated by doing all of it again.
    pub async fn contribute_licensed(
        &self,
        licensees: Option<&str>,
        records: &[NewRecord],
        idempotency_key: &str,
        ack: Ack,
    ) -> Result<Vec<Receipt>, ClientError> {
        let Some(licensees) = licensees.filter(|_| records.iter().any(has_licensed)) else {
            return self.contribute(records, idempotency_key, ack).await;
        };
        let parts: Vec<_> = records.iter().map(split).collect();
        let open: Vec<NewRecord> = parts.iter().filter_map(|(open, _)| open.clone()).collect();
        let stated = match open.as_slice() {
            [] => Vec::new(),
            open => self.contribute(open, idempotency_key, ack).await?,
        };
        let mut stated = stated.into_iter();
        let receipts: Vec<Option<Receipt>> =
            parts.iter().map(|(open, _)| open.as_ref().and_then(|_| stated.next())).collect();
        let licensed: Vec<NewRecord> = parts
            .into_iter()
            .zip(&receipts)
            .filter_map(|((_, licensed), receipt)| {
                let subject = receipt.as_ref().map(|receipt| receipt.record.clone());
                Some(NewRecord { subject, ..licensed? })
            })
            .collect();
        let of_licensees = match licensed.as_slice() {
            [] => Vec::new(),
            licensed => {
                let key = format!("{idempotency_key}.licensed");
                self.contribute_to(Some(licensees), licensed, &key, ack).await?
            }
        };
        let mut of_licensees = records.iter().filter(|record| has_licensed(record)).zip(of_licensees);
        let whole = receipts.into_iter().zip(records).filter_map(|(receipt, record)| {
            let licensed =
                if has_licensed(record) { of_licensees.next().map(|(_, receipt)| receipt) } else { None };
            receipt.or(licensed)
        });
        Ok(whole.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::api::NewSignal;

    fn record(types: &[&str]) -> NewRecord {
        let signal = |kind: &&str| NewSignal { signal_type: (*kind).to_owned(), ..NewSignal::default() };
        let signals = types.iter().map(signal).collect();
        NewRecord { signals, review: Some("dual".to_owned()), ..NewRecord::default() }
    }

    #[test]
    fn each_signal_is_in_one_part_and_nothing_else_differs() {
        let cases: [(&[&str], &[&str], &[&str]); 4] = [
            (&["pdq", "md5"], &["pdq", "md5"], &[]),
            (&["pdq", "photodna", "md5"], &["pdq", "md5"], &["photodna"]),
            (&["photodna", "photodna"], &[], &["photodna", "photodna"]),
            (&[], &[], &[]),
        ];
        for (all, open, licensed) in cases {
            let wanted = |types: &[&str]| (!types.is_empty()).then(|| record(types));
            assert_eq!(split(&record(all)), (wanted(open), wanted(licensed)));
            assert_eq!(has_licensed(&record(all)), !licensed.is_empty());
        }
    }
}
