//! Incidents, and what nodes know of how far the word of one has come.

use super::World;
use hashpact_core::coverage::{IncidentCoverage, MemberCoverage};
use hashpact_core::event::Draft;
use hashpact_protocol::limits::INCIDENT_ID_BYTES;
use hashpact_protocol::record::{Incident, IncidentClass, IncidentId};
use std::collections::{BTreeMap, BTreeSet};

/// The newest report of every node in every life of it.
#[derive(Default)]
pub(super) struct Reports(BTreeMap<(usize, u64), Vec<IncidentCoverage>>);

/// When a node knew of a member, by what it shows.
fn known(report: &[IncidentCoverage]) -> BTreeMap<(IncidentId, String), u64> {
    let of = |coverage: &IncidentCoverage| {
        let members = coverage.members.clone().into_iter();
        let incident = coverage.incident;
        members.filter_map(move |MemberCoverage { member, ms }| Some(((incident, member.to_string()), ms?)))
    };
    report.iter().flat_map(of).collect()
}

impl World {
    /// A node declares an incident; its id. Only the first member may.
    pub fn declare(&mut self, node: usize) -> IncidentId {
        let mut drawn = [0; INCIDENT_ID_BYTES];
        drawn.copy_from_slice(&self.random.bytes()[..INCIDENT_ID_BYTES]);
        let id = IncidentId::new(drawn);
        self.state_drafts(node, vec![Draft::Incident(Incident::declared(id, IncidentClass::ViralContent))]);
        id
    }

    /// After how many milliseconds a node knew of each member that it holds the declaration, by what it shows now; empty
    /// while it does not know of the incident itself.
    #[must_use]
    pub fn coverage(&self, node: usize, incident: &IncidentId) -> Vec<Option<u64>> {
        let report = self.reports.0.get(&(node, self.nodes[node].life)).map_or(&[][..], Vec::as_slice);
        let of = report.iter().find(|coverage| coverage.incident == *incident);
        of.map_or_else(Vec::new, |coverage| coverage.members.iter().map(|member| member.ms).collect())
    }

    /// Takes what a node shows: what was known stays known, in one life of the node and while the incident is shown.
    pub(super) fn covered(&mut self, node: usize, report: Vec<IncidentCoverage>) {
        let life = self.nodes[node].life;
        let now = known(&report);
        let before = self.reports.0.insert((node, life), report).unwrap_or_default();
        let shown: BTreeSet<IncidentId> = now.keys().map(|(incident, _)| *incident).collect();
        for (whose, ms) in known(&before).into_iter().filter(|((incident, _), _)| shown.contains(incident)) {
            assert_eq!(now.get(&whose), Some(&ms), "node {node} knew it of {whose:?}, and does not any more");
        }
    }

    /// Whether a running node has the declaration in force.
    #[must_use]
    pub fn knows_incident(&self, node: usize, incident: &IncidentId) -> bool {
        let engine = self.nodes[node].engine.as_ref();
        engine.is_some_and(|engine| engine.view().incident(incident).is_some())
    }
}
