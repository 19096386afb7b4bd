//! How all records stand, in one number: whether anything changed that nobody was told of.

use super::news::RecordNews;
use super::rows::{Held, Rows};
use super::{Lookup, read};
use hashpact_core::view::{Standing, Status, StatusReason};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::OpinionValue;

/// Numbers looked at under one lock.
const NUMBERS_PER_LOCK: u64 = 4_096;

/// How all records stand.
#[derive(Debug, Default)]
pub struct Standings {
    /// The same for the same records with the same statuses, apart from expiries after the moment asked for.
    pub fingerprint: u128,
    /// Records that expired after that moment.
    pub expired: Vec<RecordNews>,
    /// The last expiry that has passed, in milliseconds since 1970.
    pub expired_until_ms: u64,
}

impl Lookup {
    /// How all records stand, and which of them expired after a moment: those count as they stood before they did.
    #[must_use]
    pub fn standings(&self, after_ms: u64) -> Standings {
        let mut all = Standings::default();
        let (mut next, end) = (0, read(&self.rows).numbers_end());
        while next < end {
            let rows = read(&self.rows);
            for record in (next..end.min(next + NUMBERS_PER_LOCK)).filter_map(|number| rows.get(number)) {
                let status = all.note(&rows, &record, after_ms);
                all.fingerprint = all.fingerprint.wrapping_add(fingerprint(&record.id(), status));
            }
            next += NUMBERS_PER_LOCK;
        }
        all
    }
}

impl Standings {
    /// Notes whether a record expired; its status, before it did if that was after the moment asked for.
    fn note(&mut self, rows: &Rows, record: &Held<'_>, after_ms: u64) -> Status {
        let status = record.status();
        let Some(standing) = rows.standing(record.number).filter(|_| status == Status::Expired) else {
            return status;
        };
        let Some(StatusReason::ExpiredAt { time_ms }) = &standing.reason else { return status };
        self.expired_until_ms = self.expired_until_ms.max(*time_ms);
        if *time_ms <= after_ms {
            return status;
        }
        let before = unexpired(standing);
        let status = before.status;
        self.expired.extend(RecordNews::of(record.number, Some(before), &rows.view(record).known, None));
        status
    }
}

/// How a record stood before it expired.
fn unexpired(standing: &Standing) -> Standing {
    let disagree = standing.statements.values().any(|said| said.opinion == OpinionValue::Disagree);
    let status = if disagree { Status::Disputed } else { Status::Active };
    Standing { status, reason: None, statements: standing.statements.clone() }
}

/// Ids are digests already: all that is needed is that each status gives another number.
fn fingerprint(id: &RecordId, status: Status) -> u128 {
    let (head, _) = id.as_bytes().split_at(16);
    let word = status.name().bytes().fold(0xcbf2_9ce4_8422_2325_u128, |word, byte| {
        (word ^ u128::from(byte)).wrapping_mul(0x0000_0100_0000_01b3_0000_0100_0000_01b3)
    });
    u128::from_be_bytes(head.try_into().expect("16 of 32 bytes")).wrapping_mul(word | 1)
}
