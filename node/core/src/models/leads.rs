//! Identifiers that lead to a model without saying that it is the one.
//!
//! Tools quote the first 8, 10 or 12 hex digits of a digest, a checksum, or what a file claims about itself. All of these
//! are leads for a person, never matches. A prefix of 12 digits may be that of the file (`ti`) or of its body (`autov3`), so
//! it is looked up in both whatever its name; one of 8 in checksums and `autov1` as well.
//!
//! `autov1` of small files is the digest of nothing, which they all share: it is never kept.

use hashpact_protocol::digest::RecordId;
use std::collections::BTreeSet;
use std::ops::Bound;

/// `autov1` of every file that does not reach its window: the first bytes of the SHA-256 of nothing.
pub const AUTOV1_OF_NOTHING: [u8; 4] = [0xe3, 0xb0, 0xc4, 0x42];
/// Hex digits that a prefix may have.
pub const PREFIX_DIGITS: [usize; 3] = [8, 10, 12];

/// What a lead rests on. Ordered: the better reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeadBy {
    /// The beginning of the SHA-256 of a listed file.
    Sha256Prefix,
    /// The beginning of the SHA-256 of a listed file's body.
    StBodyPrefix,
    /// `autov1` of a listed file.
    AutoV1,
    /// CRC-32 of a listed file.
    Crc32,
    /// Something that a listed file claims about itself.
    Claimed,
}

impl LeadBy {
    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256Prefix => "sha256_prefix",
            Self::StBodyPrefix => "st_body_prefix",
            Self::AutoV1 => "autov1",
            Self::Crc32 => "crc32",
            Self::Claimed => "claimed",
        }
    }
}

/// What leads to which record.
#[derive(Debug, Clone, Default)]
pub struct Leads {
    held: BTreeSet<(LeadBy, Vec<u8>, RecordId)>,
}

impl Leads {
    /// Says that something leads to a record.
    pub fn insert(&mut self, by: LeadBy, value: &[u8], record: RecordId) {
        if by != LeadBy::AutoV1 || value != AUTOV1_OF_NOTHING {
            self.held.insert((by, value.to_vec(), record));
        }
    }

    /// Takes that back.
    pub fn remove(&mut self, by: LeadBy, value: &[u8], record: RecordId) {
        self.held.remove(&(by, value.to_vec(), record));
    }

    /// Records that the first bytes of an identifier, or a whole one, lead to; each with the best reason, by record.
    #[must_use]
    pub fn find(&self, asked: &[u8], among: &[LeadBy]) -> Vec<(LeadBy, RecordId)> {
        let mut found: Vec<(RecordId, LeadBy)> = Vec::new();
        for by in among {
            if *by == LeadBy::AutoV1 && asked == AUTOV1_OF_NOTHING {
                continue;
            }
            let from = (*by, asked.to_vec(), RecordId::new([0; 32]));
            let held = self.held.range((Bound::Included(from), Bound::Unbounded));
            let same = held.take_while(|(kind, value, _)| kind == by && value.starts_with(asked));
            found.extend(same.map(|(_, _, record)| (*record, *by)));
            if *by == LeadBy::Claimed {
                // What a file claims may be the shorter of the two.
                let shorter = PREFIX_DIGITS.iter().filter_map(|digits| asked.get(..digits / 2));
                for short in shorter.filter(|short| short.len() < asked.len()) {
                    let from = (*by, short.to_vec(), RecordId::new([0; 32]));
                    let held = self.held.range((Bound::Included(from), Bound::Unbounded));
                    let same = held.take_while(|(kind, value, _)| kind == by && value == short);
                    found.extend(same.map(|(_, _, record)| (*record, *by)));
                }
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|(record, _)| *record);
        found.into_iter().map(|(record, by)| (by, record)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(nth: u8) -> RecordId {
        RecordId::new([nth; 32])
    }

    const ALL: [LeadBy; 5] = [
        LeadBy::Sha256Prefix,
        LeadBy::StBodyPrefix,
        LeadBy::AutoV1,
        LeadBy::Crc32,
        LeadBy::Claimed,
    ];

    #[test]
    fn prefixes_lead_to_every_record_that_begins_so() {
        let mut leads = Leads::default();
        leads.insert(LeadBy::Sha256Prefix, &[7; 32], record(1));
        leads.insert(LeadBy::StBodyPrefix, &[7; 32], record(2));
        let near = [&[7; 6][..], &[8; 26]].concat();
        leads.insert(LeadBy::Sha256Prefix, &near, record(3));
        leads.insert(LeadBy::Sha256Prefix, &[6; 32], record(4));
        let found = leads.find(&[7; 6], &ALL);
        assert_eq!(
            found,
            [
                (LeadBy::Sha256Prefix, record(1)),
                (LeadBy::StBodyPrefix, record(2)),
                (LeadBy::Sha256Prefix, record(3))
            ]
        );
        assert_eq!(leads.find(&[7; 7], &[LeadBy::Sha256Prefix]), [(LeadBy::Sha256Prefix, record(1))]);
        leads.remove(LeadBy::Sha256Prefix, &[7; 32], record(1));
        assert_eq!(leads.find(&[7; 7], &[LeadBy::Sha256Prefix]), []);
        assert_eq!(leads.find(&[0xff; 4], &ALL), []);
    }

    #[test]
    fn the_digest_of_nothing_leads_nowhere() {
        let mut leads = Leads::default();
        leads.insert(LeadBy::AutoV1, &AUTOV1_OF_NOTHING, record(1));
        leads.insert(LeadBy::Crc32, &AUTOV1_OF_NOTHING, record(2));
        assert_eq!(leads.find(&AUTOV1_OF_NOTHING, &ALL), [(LeadBy::Crc32, record(2))]);
        assert_eq!(leads.find(&AUTOV1_OF_NOTHING, &[LeadBy::AutoV1]), []);
    }

    #[test]
    fn claims_lead_by_what_they_share() {
        let mut leads = Leads::default();
        leads.insert(LeadBy::Claimed, &[5; 5], record(1));
        leads.insert(LeadBy::Claimed, &[5; 32], record(2));
        leads.insert(LeadBy::Sha256Prefix, &[5; 32], record(2));
        assert_eq!(leads.find(&[5; 32], &[LeadBy::Claimed]), [(LeadBy::Claimed, record(1)), (LeadBy::Claimed, record(2))]);
        assert_eq!(
            leads.find(&[5; 5], &ALL),
            [(LeadBy::Claimed, record(1)), (LeadBy::Sha256Prefix, record(2))],
            "the best reason of each"
        );
    }
}
