//! Opinions follow the unchanged signal: to every record in which the same member states it again.
//!
//! An author that supersedes a disputed record, or states its signals once more, gets no undisputed one. What a member says
//! about the harm of a record counts for every record of the same author that states one of its signals, byte for
//! byte; of what it says about several of them, the latest. Who only asks for other labels speaks of the labels of one
//! record, and that follows nowhere.
//!
//! The view does not keep what records state, so look-ups hold this, like verdicts on signals and negatives: only of
//! records about which somebody said something. It forgets a record whose payload is sealed or gone.
//!
//! SPEC §7.7.

use super::record::{Standing, Statement, Status};
use super::statement::disputed;
use crate::policy::asks_for_labels;
use hashpact_protocol::record::{Signal, SignalType};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::{BTreeMap, BTreeSet};

/// A type and a value, without quality.
type Value = (SignalType, Vec<u8>);

/// Opinions about records, by what these state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// By author, then by what it states: numbers of records.
    by_author: BTreeMap<MemberId, BTreeMap<Value, BTreeSet<u64>>>,
    by_record: BTreeMap<u64, Opined>,
}

/// One record about which somebody has an opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opined {
    author: MemberId,
    values: Vec<Value>,
    /// About the harm, by member.
    statements: BTreeMap<MemberId, Statement>,
}

fn value(signal: &Signal) -> Value {
    (signal.kind(), signal.value().to_vec())
}

/// A member's latest opinion about the harm of a record.
fn on_harm(statement: &Statement) -> Option<&Statement> {
    if asks_for_labels(statement) { statement.before.as_deref() } else { Some(statement) }
}

/// The later of two opinions of one member is greater. Those at one place are of two histories of a forked log: any
/// order will do that every node has.
fn rank(statement: &Statement) -> impl Ord + use<> {
    (statement.place, statement.time_ms, statement.opinion, statement.reason)
}

impl Followed {
    /// Whether nobody said anything about any record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_record.is_empty()
    }

    /// Takes how a record stands by what was said about itself. Whether other records with one of its signals stand
    /// otherwise by that; `signals` are asked for only if there is something to follow.
    pub fn note(
        &mut self,
        number: u64,
        author: &MemberId,
        standing: &Standing,
        signals: impl FnOnce() -> Vec<Signal>,
    ) -> bool {
        let is_record =
            !standing.status.is_blank() && !matches!(standing.status, Status::Disowned | Status::Void);
        let said = standing.statements.iter().filter(|_| is_record);
        let said = said.filter_map(|(member, statement)| Some((member.clone(), on_harm(statement)?.clone())));
        let statements: BTreeMap<MemberId, Statement> = said.collect();
        let held = self.by_record.get(&number).map(|opined| &opined.statements);
        if statements.is_empty() {
            return held.is_some() && self.forget(number);
        }
        if held == Some(&statements) {
            return false;
        }
        self.forget(number);
        let values: Vec<Value> = signals().iter().map(value).collect();
        let stated = self.by_author.entry(author.clone()).or_default();
        for value in &values {
            stated.entry(value.clone()).or_default().insert(number);
        }
        self.by_record.insert(number, Opined { author: author.clone(), values, statements });
        true
    }

    /// Forgets what was said about a record; whether anything was.
    pub fn forget(&mut self, number: u64) -> bool {
        let Some(Opined { author, values, .. }) = self.by_record.remove(&number) else { return false };
        let Some(stated) = self.by_author.get_mut(&author) else { return true };
        for value in values {
            if let Some(numbers) = stated.get_mut(&value) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    stated.remove(&value);
                }
            }
        }
        if stated.is_empty() {
            self.by_author.remove(&author);
        }
        true
    }

    /// How a record stands with the opinions that follow its signals. Doing it again changes nothing.
    #[must_use]
    pub fn follow(
        &self,
        number: u64,
        author: &MemberId,
        signals: impl IntoIterator<Item = Signal>,
        mut standing: Standing,
    ) -> Standing {
        let following = self.following(number, author, signals);
        let mut is_other = false;
        for (member, statement) in following {
            is_other |= merge(&mut standing.statements, member, statement);
        }
        if is_other && matches!(standing.status, Status::Active | Status::Disputed) {
            (standing.status, standing.reason) = disputed(&standing.statements);
        }
        standing
    }

    /// The latest opinion of each member about other records of the author with one of these signals.
    fn following(
        &self,
        number: u64,
        author: &MemberId,
        signals: impl IntoIterator<Item = Signal>,
    ) -> BTreeMap<&MemberId, &Statement> {
        let mut latest: BTreeMap<&MemberId, &Statement> = BTreeMap::new();
        // Most authors are not disputed at all, and then nothing is asked of the record.
        let Some(stated) = self.by_author.get(author) else { return latest };
        let others = signals.into_iter().filter_map(|signal| stated.get(&value(&signal))).flatten();
        let others = others.filter(|other| **other != number);
        for opined in others.filter_map(|other| self.by_record.get(other)) {
            for (member, statement) in &opined.statements {
                let held = latest.entry(member).or_insert(statement);
                if rank(statement) > rank(held) {
                    *held = statement;
                }
            }
        }
        latest
    }
}

/// Takes an opinion that follows, if the member has none about the record itself that is later. Whether it is another
/// than before.
fn merge(statements: &mut BTreeMap<MemberId, Statement>, member: &MemberId, follows: &Statement) -> bool {
    let Some(own) = statements.get_mut(member) else {
        statements.insert(member.clone(), follows.clone());
        return true;
    };
    let place = |statement: &Statement| -> LogPlace { statement.place };
    if place(follows) > place(own) {
        *own = follows.clone();
        return true;
    }
    // Its own asks for other labels: of the harm the member thinks what it said last.
    let is_later = own.before.as_ref().is_none_or(|before| place(follows) > place(before));
    if !asks_for_labels(own) || !is_later {
        return false;
    }
    own.before = Some(Box::new(follows.clone()));
    true
}
