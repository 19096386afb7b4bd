//! Muted members, negative lists and what was decided about floods.

use super::files::{Because, KeptFlood};
use super::{Lists, ListsError, NEGATIVES_MAX, negative_list};
use crate::driver::now_ms;
use crate::journal::Actor;
use crate::storage::Store;
use anyhow::Context as _;
use hashpact_core::effect::StoredPayload;
use hashpact_core::policy::{Decision, Flood, FloodId, FloodKind};
use hashpact_core::view::{Author, read_record};
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::api::{
    FloodJson, MuteJson, MutesResponse, NEGATIVE_RADIUS_DEFAULT, NegativeJson, NegativesRequest,
    NegativesResponse, QuarantineResponse,
};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::Token;
use hashpact_protocol::roster::MemberId;
use serde_json::json;
use std::sync::Arc;
use tracing::{error, warn};

impl Lists {
    /// Muted members.
    #[must_use]
    pub fn mutes(&self) -> MutesResponse {
        let state = self.state();
        let mutes = state.decisions.mutes.iter().map(|(member, because)| MuteJson {
            member: member.clone(),
            reason: because.reason.clone(),
            since: because.time.clone(),
            by: because.by.clone(),
        });
        MutesResponse { mutes: mutes.collect() }
    }

    /// Mutes a member of the roster.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn mute(
        &self,
        member: &str,
        own: &str,
        reason: &str,
        by: &Actor,
    ) -> Result<MutesResponse, ListsError> {
        if member == own {
            return Err(ListsError::Own(member.to_owned()));
        }
        {
            let mut state = self.state();
            let is_known = MemberId::parse(member).is_ok_and(|member| state.members.contains_key(&member));
            if !is_known {
                return Err(ListsError::NoMember(member.chars().take(32).collect()));
            }
            if state.decisions.mutes.contains_key(member) {
                return Err(ListsError::Muted(member.to_owned()));
            }
            let details = json!({ "member": member, "reason": reason });
            crate::journal::record(&self.files.journal, by, "mute-member", &details)?;
            let mut decisions = state.decisions.clone();
            decisions.mutes.insert(member.to_owned(), because(reason, by));
            self.files.write_decisions(&decisions)?;
            state.decisions = decisions;
            self.tell(&state);
        }
        Ok(self.mutes())
    }

    /// Takes a mute back.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn unmute(&self, member: &str, by: &Actor) -> Result<(), ListsError> {
        let mut state = self.state();
        let mut decisions = state.decisions.clone();
        if decisions.mutes.remove(member).is_none() {
            return Err(ListsError::NotMuted(member.chars().take(32).collect()));
        }
        crate::journal::record(&self.files.journal, by, "unmute-member", &json!({ "member": member }))?;
        self.files.write_decisions(&decisions)?;
        state.decisions = decisions;
        self.tell(&state);
        Ok(())
    }

    /// Negative lists.
    #[must_use]
    pub fn negatives(&self) -> NegativesResponse {
        let state = self.state();
        let shown = |(name, (shape, list)): (&String, &(NegativesRequest, _))| {
            let list: &Arc<crate::lookup::NegativeList> = list;
            NegativeJson {
                name: name.clone(),
                radius: shape.radius.unwrap_or(NEGATIVE_RADIUS_DEFAULT),
                signals: list.count as u64,
            }
        };
        NegativesResponse { negatives: state.negatives.iter().map(shown).collect() }
    }

    /// Puts a negative list in place of its former signals, or as a new one.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn put_negatives(
        &self,
        name: &str,
        shape: NegativesRequest,
        by: &Actor,
    ) -> Result<NegativesResponse, ListsError> {
        Token::new(name).map_err(|_| ListsError::Name)?;
        let list = negative_list(name, &shape)?;
        {
            let mut state = self.state();
            if !state.negatives.contains_key(name) && state.negatives.len() >= NEGATIVES_MAX {
                return Err(ListsError::TooMany(state.negatives.len(), "negative lists"));
            }
            // The journal tells how many and which, without repeating a hundred thousand signals.
            let details =
                json!({ "name": name, "signals": list.count, "radius": list.radius, "digest": list.digest });
            crate::journal::record(&self.files.journal, by, "put-negatives", &details)?;
            self.files.write_negatives(name, &shape)?;
            state.negatives.insert(name.to_owned(), (shape, list));
            self.tell(&state);
        }
        Ok(self.negatives())
    }

    /// Deletes a negative list.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn delete_negatives(&self, name: &str, by: &Actor) -> Result<(), ListsError> {
        let mut state = self.state();
        if !state.negatives.contains_key(name) {
            return Err(ListsError::NoNegatives(name.chars().take(64).collect()));
        }
        crate::journal::record(&self.files.journal, by, "delete-negatives", &json!({ "name": name }))?;
        self.files.remove_negatives(name)?;
        state.negatives.remove(name);
        self.tell(&state);
        Ok(())
    }

    /// Floods that were found, and what was decided.
    #[must_use]
    pub fn quarantine(&self) -> QuarantineResponse {
        let state = self.state();
        let shown = |flood: &Flood| {
            let kept = state.decisions.floods.get(&flood.id.to_string());
            show_flood(flood, kept.and_then(|kept| kept.because.as_ref()))
        };
        QuarantineResponse {
            waiting: self.lookup.floods_waiting() as u64,
            floods: self.lookup.floods().iter().map(shown).collect(),
        }
    }

    /// Decides about a flood, or decides otherwise.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn decide_flood(
        &self,
        id: &str,
        decision: Decision,
        reason: &str,
        by: &Actor,
    ) -> Result<FloodJson, ListsError> {
        let unknown = || ListsError::NoFlood(id.chars().take(64).collect());
        let parsed = FloodId::parse(id).ok_or_else(unknown)?;
        let mut state = self.state();
        let held = self.lookup.floods().into_iter().find(|flood| flood.id == parsed).ok_or_else(unknown)?;
        if held.decision == decision {
            return Err(ListsError::DecidedAlready(id.to_owned(), decision.name()));
        }
        let details = json!({
            "flood": id, "decision": decision.name(), "before": held.decision.name(), "entries": held.count,
            "reason": reason,
        });
        crate::journal::record(&self.files.journal, by, "decide-flood", &details)?;
        let flood = Flood { decision, ..held };
        let because = because(reason, by);
        let mut decisions = state.decisions.clone();
        decisions.floods.insert(id.to_owned(), keep_flood(&flood, Some(because.clone())));
        self.files.write_decisions(&decisions)?;
        state.decisions = decisions;
        self.lookup.decide_flood(&parsed, decision);
        self.tell(&state);
        Ok(show_flood(&flood, Some(&because)))
    }

    /// Has records go on matching that their author ordered to be erased, in a flood that is not accepted: their sealed
    /// payloads are read once, from the database.
    fn withhold_sealed(&self, store: &Store) {
        let read = |(number, author, index): (u64, Author, u64)| {
            let entry = store.entries(&author.log, index, index + 1).ok()?.pop()?;
            let (salt, padded) = entry.payload.bytes()?;
            let payload = StoredPayload::Present { salt: *salt, padded: padded.to_vec() };
            let record = read_record(&author, index, &entry.leaf, &payload, 0)?;
            Some((number, record.stated.content.signals))
        };
        let sealed = self.lookup.sealed_in_floods();
        if !sealed.is_empty() {
            // What cannot be read is destroyed already, or `fsck` says why; it is asked for again next time.
            self.lookup.withhold_sealed(sealed.into_iter().filter_map(read).collect());
        }
    }

    /// Journals and keeps the floods that were found since this was called last, or that have grown. Called now and
    /// then; a flood holds its entries back from the moment that it is found.
    pub fn keep_floods(&self, store: &Store) {
        self.withhold_sealed(store);
        let news = self.lookup.new_floods();
        let mut state = self.state();
        let grown = self.lookup.floods().into_iter().filter(|flood| {
            let kept = state.decisions.floods.get(&flood.id.to_string());
            kept.is_none_or(|kept| kept.entries < flood.count)
        });
        let grown: Vec<Flood> = grown.collect();
        if grown.is_empty() {
            return;
        }
        for flood in &news {
            warn!(
                flood.id = %flood.id,
                member.id = %flood.id.member,
                entries = flood.count,
                norm_per_day = flood.norm_per_day,
                "a flood waits for a decision: `hashpact quarantine`"
            );
            let details = json!({ "flood": flood.id.to_string(), "entries": flood.count, "norm_per_day": flood.norm_per_day });
            if let Err(error) =
                crate::journal::record(&self.files.journal, &Actor::Node, "found-flood", &details)
            {
                error!(%error, "a flood could not be written to the journal");
            }
        }
        let mut decisions = state.decisions.clone();
        for flood in grown {
            let before = decisions.floods.get(&flood.id.to_string());
            let because = before.and_then(|kept| kept.because.clone());
            decisions.floods.insert(flood.id.to_string(), keep_flood(&flood, because));
        }
        match self.files.write_decisions(&decisions) {
            Ok(()) => state.decisions = decisions,
            // It is found again by the next start, unless its entries were dated ahead.
            Err(error) => error!(%error, "a flood could not be kept"),
        }
        self.tell(&state);
    }
}

fn because(reason: &str, by: &Actor) -> Because {
    Because { reason: reason.to_owned(), time: rfc3339(now_ms()), by: by.to_string() }
}

fn keep_flood(flood: &Flood, because: Option<Because>) -> KeptFlood {
    KeptFlood {
        entries: flood.count,
        norm_per_day: flood.norm_per_day,
        ranges: flood.ranges.iter().map(|(log, range)| (log.to_hex(), *range)).collect(),
        decision: flood.decision.name().to_owned(),
        because,
    }
}

/// A flood as it was kept.
pub(super) fn read_flood((id, kept): (&String, &KeptFlood)) -> anyhow::Result<Flood> {
    let read_range = |(log, range): (&String, &(u64, u64))| anyhow::Ok((LogId::from_hex(log)?, *range));
    let decision = Decision::ALL.into_iter().find(|decision| decision.name() == kept.decision);
    Ok(Flood {
        id: FloodId::parse(id).with_context(|| format!("{id:?} is no name of a flood"))?,
        count: kept.entries,
        norm_per_day: kept.norm_per_day,
        ranges: kept.ranges.iter().map(read_range).collect::<Result<_, _>>()?,
        decision: decision.with_context(|| format!("{:?} is no decision", kept.decision))?,
    })
}

fn show_flood(flood: &Flood, because: Option<&Because>) -> FloodJson {
    FloodJson {
        id: flood.id.to_string(),
        member: flood.id.member.to_string(),
        kind: flood.id.kind.name().to_owned(),
        hour: rfc3339(flood.id.from_ms()),
        entries: flood.count,
        norm_per_day: flood.norm_per_day,
        decision: flood.decision.name().to_owned(),
        reason: because.map(|because| because.reason.clone()),
        decided: because.map(|because| because.time.clone()),
        by: because.map(|because| because.by.clone()),
        meaning: meaning(flood).to_owned(),
    }
}

const fn meaning(flood: &Flood) -> &'static str {
    match (flood.id.kind, flood.decision) {
        (FloodKind::Contributions, Decision::Waiting) => {
            "its records match for review at most, until somebody decides"
        }
        (FloodKind::Contributions, Decision::Accepted) => "its records count like any others",
        (FloodKind::Contributions, Decision::Rejected) => "its records do not count at this node",
        (FloodKind::Withdrawals, Decision::Waiting) => {
            "what was retracted goes on matching for review, until somebody decides"
        }
        (FloodKind::Withdrawals, Decision::Accepted) => "what was withdrawn matches no more",
        (FloodKind::Withdrawals, Decision::Rejected) => {
            "what was retracted goes on matching for review at this node"
        }
    }
}
