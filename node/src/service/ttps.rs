//! Techniques that were seen, with their ids, and statistics.

use super::{Inner, Service};
use crate::lookup::{Cursor, TtpFilter};
use hashpact_core::statistics::{GenmetaKey, Period, Tally, TtpKey};
use hashpact_core::view::RecordView;
use hashpact_protocol::api;
use hashpact_protocol::record::{Detail, TACTICS, TAXONOMY, TAXONOMY_VERSION, TECHNIQUES, TechniqueId};
use sha1::{Digest as _, Sha1};

/// Namespace of ids for STIX (SPEC §7.17): 6a6e4b1e-4f0c-5d0a-9b51-0c1d7a3b5e21.
const NAMESPACE: [u8; 16] =
    [0x6a, 0x6e, 0x4b, 0x1e, 0x4f, 0x0c, 0x5d, 0x0a, 0x9b, 0x51, 0x0c, 0x1d, 0x7a, 0x3b, 0x5e, 0x21];

impl Service {
    /// A page of observations.
    #[must_use]
    pub fn ttps(&self, filter: &TtpFilter, after: Option<Cursor>, limit: usize) -> api::TtpsPage {
        let (records, next) = self.inner.lookup.observations(filter, after, limit);
        api::TtpsPage {
            ttps: records.iter().map(|record| self.inner.observation(record)).collect(),
            next: next.map(|cursor| cursor.encode()),
        }
    }

    /// Counts of observations.
    #[must_use]
    pub fn ttp_statistics(&self, by: TtpKey, period: Period) -> api::StatisticsJson {
        statistics(name_of(by, &TtpKey::NAMES), &self.inner.lookup.count_observations(by, period))
    }

    /// Counts of what files say about how they were made.
    #[must_use]
    pub fn genmeta_statistics(&self, by: GenmetaKey, period: Period) -> api::StatisticsJson {
        statistics(name_of(by, &GenmetaKey::NAMES), &self.inner.lookup.count_genmeta(by, period))
    }
}

impl Inner {
    fn observation(&self, record: &RecordView) -> api::ObservationJson {
        let technique = match record.stated.content.detail.as_deref() {
            Some(Detail::Ttp(ttp)) => Some(ttp.technique),
            _ => None,
        };
        let known = technique.and_then(TechniqueId::technique);
        let id = |kind: &str, name: String| format!("{kind}--{}", uuid5(&name));
        api::ObservationJson {
            name: known.map(|technique| technique.name.to_owned()),
            tactic: known.map(|technique| technique.tactic.to_owned()),
            stix: api::StixIds {
                sighting: id("sighting", format!("record/{}", record.known.id.to_hex())),
                attack_pattern: technique.map_or_else(String::new, attack_pattern),
                identity: id("identity", format!("member/{}", record.known.author.member)),
            },
            record: self.show(record),
        }
    }
}

/// The taxonomy of this version.
#[must_use]
pub fn taxonomy() -> api::TaxonomyJson {
    let tactic = |tactic: &hashpact_protocol::record::Tactic| api::TacticJson {
        id: tactic.id.to_owned(),
        name: tactic.name.to_owned(),
        stix: format!("x-mitre-tactic--{}", uuid5(&format!("tactic/{}", tactic.id))),
    };
    let technique = |technique: &hashpact_protocol::record::Technique| api::TechniqueJson {
        id: technique.id.to_string(),
        tactic: technique.tactic.to_owned(),
        name: technique.name.to_owned(),
        description: technique.description.to_owned(),
        stix: attack_pattern(technique.id),
    };
    api::TaxonomyJson {
        taxonomy: TAXONOMY.to_owned(),
        version: TAXONOMY_VERSION.to_owned(),
        tactics: TACTICS.iter().map(tactic).collect(),
        techniques: TECHNIQUES.iter().map(technique).collect(),
    }
}

fn attack_pattern(technique: TechniqueId) -> String {
    format!("attack-pattern--{}", uuid5(&format!("technique/{technique}")))
}

/// A UUID of version 5 (RFC 9562 §5.5) in the namespace of this protocol.
fn uuid5(name: &str) -> String {
    let digest: [u8; 20] = Sha1::new().chain_update(NAMESPACE).chain_update(name).finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hashpact_protocol::digest::hex_encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn name_of<T: Copy + PartialEq>(key: T, names: &[(T, &'static str)]) -> &'static str {
    names.iter().find(|(held, _)| *held == key).map_or("", |(_, name)| name)
}

fn statistics(by: &str, tally: &Tally) -> api::StatisticsJson {
    let rows = tally.rows().map(|(month, key, records, members)| api::StatisticsRow {
        month: month.to_string(),
        key: key.to_owned(),
        records,
        members: members as u64,
    });
    api::StatisticsJson { by: by.to_owned(), rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_rfc_9562() {
        // Python: uuid.uuid5(uuid.UUID("6a6e4b1e-4f0c-5d0a-9b51-0c1d7a3b5e21"), name).
        for (name, expected) in [
            ("technique/HP-T0001", "d4a7fbc8-9206-53d7-8dc1-58bb96a4caca"),
            ("tactic/TA06", "48522ba5-73de-5887-a39e-bbe006dacbe0"),
            ("member/alpha", "28f5cbbc-14a7-5fa9-9599-d4c945abb418"),
        ] {
            assert_eq!(uuid5(name), expected, "{name}");
        }
        assert_eq!(taxonomy().techniques.len(), 40);
    }
}
