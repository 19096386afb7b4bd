//! Rulings, suspensions and incidents as the API shows them, and what a vote means that names no place.

use super::{Inner, Service};
use hashpact_core::coverage::IncidentCoverage;
use hashpact_core::view::{IncidentState, Ruled, Step, Suspension};
use hashpact_protocol::api;
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::record::{Signal, Vocabulary as _};
use hashpact_protocol::roster::{LogPlace, MemberId};

impl Service {
    /// What the review panel holds.
    #[must_use]
    pub fn rulings(&self) -> api::RulingsResponse {
        let rulings = self.inner.lookup.rulings();
        api::RulingsResponse {
            rulings: rulings.iter().map(|(signal, ruled)| ruling(signal, ruled)).collect(),
        }
    }

    /// Every suspension that ever began.
    #[must_use]
    pub fn suspensions(&self) -> api::SuspensionsResponse {
        let now_ms = crate::driver::now_ms();
        let suspensions = self.inner.lookup.suspensions();
        api::SuspensionsResponse {
            suspensions: suspensions.iter().map(|held| suspension(held, now_ms)).collect(),
        }
    }

    /// Every incident that was declared.
    #[must_use]
    pub fn incidents(&self) -> api::IncidentsResponse {
        api::IncidentsResponse { incidents: self.inner.incidents(|_| true) }
    }

    /// Behind what this node holds of a member's open log; the first place there is, if it has none.
    #[must_use]
    pub fn place_behind(&self, member: &MemberId) -> LogPlace {
        self.inner.place_behind(member)
    }
}

impl Inner {
    /// Incidents that were declared, those that are wanted, with how far the word of each has come.
    pub(super) fn incidents(&self, wanted: impl Fn(&IncidentState) -> bool) -> Vec<api::IncidentJson> {
        let (incidents, coverage) = (self.lookup.incidents(), self.lookup.coverage());
        let shown = |state: &IncidentState| {
            let of = coverage.iter().find(|coverage| coverage.incident == state.id);
            api::IncidentJson { coverage: of.map(covered), ..incident(state) }
        };
        incidents.iter().filter(|state| wanted(state)).map(shown).collect()
    }

    fn place_behind(&self, member: &MemberId) -> LogPlace {
        let roster = self.roster();
        let open = roster.member(member).and_then(|member| member.open_log()).map(|log| log.n);
        let Some(n) = open else { return LogPlace::FIRST };
        let listed = roster.logs().find(|log| log.member == member && log.n == n).map(|log| log.log_id);
        let size = listed.and_then(|log| self.lookup.heads().get(&log).map(|head| head.size));
        LogPlace { n, index: size.unwrap_or(0) }
    }
}

/// A word, unless it says nothing.
fn stated(word: &str) -> Option<String> {
    (word != "unstated").then(|| word.to_owned())
}

fn ruling(signal: &Signal, ruled: &Ruled) -> api::RulingJson {
    api::RulingJson {
        signal_type: signal.kind().name().to_owned(),
        value: hex_encode(signal.value()),
        verdict: ruled.verdict.name().to_owned(),
        reason: stated(ruled.reason.name()),
        panellists: ruled.panellists.iter().map(MemberId::to_string).collect(),
        needed: ruled.needed,
        time: api::time::rfc3339(ruled.time_ms),
    }
}

fn suspension(held: &Suspension, now_ms: u64) -> api::SuspensionJson {
    api::SuspensionJson {
        member: held.member.to_string(),
        roster: held.roster_version,
        from: api::PlaceJson { log: held.from.n, index: held.from.index },
        begins: api::time::rfc3339(held.begins_ms),
        until: api::time::rfc3339(held.until_ms),
        holds: held.holds(now_ms),
        withdrawn: held.is_withdrawn,
        voters: held.voters.iter().map(MemberId::to_string).collect(),
        members: held.members as u64,
        reason: stated(held.reason.name()),
    }
}

fn incident(state: &IncidentState) -> api::IncidentJson {
    let step = |step: &Step, reason| api::IncidentStepJson {
        member: step.member.to_string(),
        time: api::time::rfc3339(step.time_ms),
        reason,
    };
    api::IncidentJson {
        incident: state.id.to_string(),
        class: state.class.name().to_owned(),
        open: state.closed.is_none(),
        declared: step(&state.declared, None),
        closed: state.closed.as_ref().map(|(closed, why)| step(closed, stated(why.name()))),
        coverage: None,
    }
}

fn covered(coverage: &IncidentCoverage) -> api::CoverageJson {
    let members = coverage.members.iter();
    api::CoverageJson {
        covered: members.clone().filter(|state| state.ms.is_some()).count() as u64,
        members: coverage.members.len() as u64,
        counted_since: coverage.counted_since_ms.map(api::time::rfc3339),
        by_member: members
            .map(|state| api::MemberCoverage { member: state.member.to_string(), ms: state.ms })
            .collect(),
    }
}
