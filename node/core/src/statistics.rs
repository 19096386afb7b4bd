//! Counts of records by month and key: of techniques that were seen, and of what files say about how they were made.
//!
//! Counts only, of what stands: no row names a record, and what a key may be is a closed list. A record with several
//! models counts once for each.

use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::record::{Genmeta, Month, Ttp, Vocabulary as _};
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// Most rows of one answer; what comes after is left out with the last months.
pub const ROWS_MAX: usize = 100_000;

/// What observations are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtpKey {
    /// Each technique.
    Technique,
    /// Each tactic.
    Tactic,
    /// Each surface.
    Surface,
    /// Each member.
    Member,
}

/// What files' statements are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenmetaKey {
    /// Each program.
    Tool,
    /// Each model that a file names, by identifier.
    Model,
    /// Each digital source type.
    SourceType,
    /// What is known of C2PA manifests.
    C2pa,
    /// Each member.
    Member,
}

impl TtpKey {
    /// Every key with its name.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Technique, "technique"),
        (Self::Tactic, "tactic"),
        (Self::Surface, "surface"),
        (Self::Member, "member"),
    ];

    /// The key of one observation.
    #[must_use]
    pub fn of(self, ttp: &Ttp, member: &MemberId) -> String {
        match self {
            Self::Technique => ttp.technique.to_string(),
            Self::Tactic => {
                ttp.technique.technique().map_or("unknown", |technique| technique.tactic).to_owned()
            }
            Self::Surface => ttp.surface.get().name().to_owned(),
            Self::Member => member.to_string(),
        }
    }
}

impl GenmetaKey {
    /// Every key with its name.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Tool, "tool"),
        (Self::Model, "model"),
        (Self::SourceType, "source_type"),
        (Self::C2pa, "c2pa"),
        (Self::Member, "member"),
    ];

    /// The keys of one statement, each once.
    #[must_use]
    pub fn of(self, genmeta: &Genmeta, member: &MemberId) -> BTreeSet<String> {
        match self {
            Self::Tool => [genmeta.tool.get().name().to_owned()].into(),
            Self::SourceType => [genmeta.source_type.get().name().to_owned()].into(),
            Self::C2pa => [genmeta.c2pa.get().name().to_owned()].into(),
            Self::Member => [member.to_string()].into(),
            Self::Model => {
                let models = genmeta.resources.iter().map(|resource| {
                    format!("{}:{}", resource.id.identifier().get().name(), hex_encode(resource.id.bytes()))
                });
                models.collect()
            }
        }
    }
}

/// Months that are counted, both included; `None` is without a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first.
    pub from: Option<Month>,
    /// The last.
    pub to: Option<Month>,
}

impl Period {
    /// Whether a month is in it.
    #[must_use]
    pub fn contains(&self, month: Month) -> bool {
        self.from.is_none_or(|from| month >= from) && self.to.is_none_or(|to| month <= to)
    }
}

/// One count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cell {
    records: u64,
    members: BTreeSet<MemberId>,
}

/// Counts that are being made.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    cells: BTreeMap<(Month, String), Cell>,
}

impl Tally {
    /// Counts a record once under a key.
    pub fn add(&mut self, month: Month, key: String, member: &MemberId) {
        let is_full = self.cells.len() >= ROWS_MAX;
        let place = (month, key);
        if is_full && !self.cells.contains_key(&place) {
            return;
        }
        let cell = self.cells.entry(place).or_default();
        cell.records += 1;
        if !cell.members.contains(member) {
            cell.members.insert(member.clone());
        }
    }

    /// Month, key, records and members, by month and key.
    pub fn rows(&self) -> impl Iterator<Item = (Month, &str, u64, usize)> {
        self.cells.iter().map(|((month, key), cell)| (*month, key.as_str(), cell.records, cell.members.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::record::{
        ClaimedId, IdentifierType, Resource, ResourceKind, Surface, TechniqueId, Tool,
    };

    fn member(name: &str) -> MemberId {
        MemberId::parse(name).expect("an id")
    }

    fn ttp(technique: u64, months: u64) -> Ttp {
        let technique = TechniqueId::from_number(technique).expect("a technique");
        Ttp {
            surface: Surface::Hub.into(),
            ..Ttp::new(technique, Month::from_months(months).expect("a month"))
        }
    }

    #[test]
    fn observations_are_counted_by_month_and_key() {
        let mut tally = Tally::default();
        for (name, technique, months) in
            [("a", 34, 682), ("a", 34, 682), ("b", 34, 682), ("b", 35, 682), ("a", 99, 683)]
        {
            let ttp = ttp(technique, months);
            tally.add(ttp.month, TtpKey::Tactic.of(&ttp, &member(name)), &member(name));
        }
        let rows: Vec<_> = tally
            .rows()
            .map(|(month, key, records, members)| (month.to_string(), key.to_owned(), records, members))
            .collect();
        let row =
            |month: &str, key: &str, records, members| (month.to_owned(), key.to_owned(), records, members);
        assert_eq!(rows, [row("2026-11", "TA05", 4, 2), row("2026-12", "unknown", 1, 1)]);
        assert_eq!(TtpKey::Technique.of(&ttp(34, 0), &member("a")), "HP-T0034");
        assert_eq!(TtpKey::Surface.of(&ttp(34, 0), &member("a")), "hub");
    }

    #[test]
    fn a_statement_counts_once_for_each_model() {
        let resource = |kind: ResourceKind, byte| Resource {
            kind: kind.into(),
            id: ClaimedId::new(IdentifierType::AutoV1, &[byte; 4]).expect("an id"),
            claimed: true,
        };
        let resources = vec![
            resource(ResourceKind::Model, 1),
            resource(ResourceKind::Lora, 1),
            resource(ResourceKind::Lora, 2),
        ];
        let genmeta = Genmeta { resources, tool: Tool::ComfyUi.into(), ..Genmeta::default() };
        let keys: Vec<String> = GenmetaKey::Model.of(&genmeta, &member("a")).into_iter().collect();
        assert_eq!(keys, ["autov1:01010101", "autov1:02020202"]);
        assert!(GenmetaKey::Tool.of(&genmeta, &member("a")).contains("comfyui"));
    }

    #[test]
    fn periods_have_their_ends() {
        let month = |months| Month::from_months(months).expect("a month");
        let period = Period { from: Some(month(5)), to: Some(month(7)) };
        let inside: Vec<u64> = (3..10).filter(|months| period.contains(month(*months))).collect();
        assert_eq!(inside, [5, 6, 7]);
        assert!(Period::default().contains(month(0)));
    }
}
