//! Which signals members call benign: opinions that bind a signal, and every record that carries it.
//!
//! Who states `benign_collision` or `adult` about a record says it of the record's signals, byte for byte and never
//! within a radius (DESIGN: Matching). It follows the signal: to records that others state with it, and to those that
//! their author states again. What a member says about its own record does not count, and neither does who is muted.

use super::facts::Members;
use crate::view::{Standing, Statement};
use hashpact_protocol::record::{OpinionValue, Reason, Signal, SignalType};
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// A type and a value, without quality.
type Value = (SignalType, Vec<u8>);

/// Who calls which signal benign.
#[derive(Debug, Clone, Default)]
pub struct Benign {
    /// By signal, then by record number: which members say so about that record.
    by_signal: BTreeMap<Value, BTreeMap<u64, BTreeSet<MemberId>>>,
    /// The signals that a record brought in.
    by_record: BTreeMap<u64, Vec<Value>>,
}

/// Whether a statement says that the signal matches what is no harm.
fn is_benign(statement: &Statement) -> bool {
    statement.opinion == OpinionValue::Disagree
        && matches!(statement.reason, Some(Reason::BenignCollision | Reason::Adult))
}

/// Who calls a record benign.
fn callers(standing: &Standing) -> BTreeSet<MemberId> {
    let benign = standing.statements.iter().filter(|(_, statement)| is_benign(statement));
    benign.map(|(member, _)| member.clone()).collect()
}

impl Benign {
    /// Takes how a record stands now; `signals` are asked for only if somebody calls it benign.
    pub fn note(&mut self, number: u64, standing: &Standing, signals: impl FnOnce() -> Vec<Signal>) {
        if standing.statements.is_empty() && self.by_record.is_empty() {
            return;
        }
        self.forget(number);
        let callers = callers(standing);
        if callers.is_empty() {
            return;
        }
        let values: Vec<Value> =
            signals().iter().map(|signal| (signal.kind(), signal.value().to_vec())).collect();
        for value in &values {
            self.by_signal.entry(value.clone()).or_default().insert(number, callers.clone());
        }
        self.by_record.insert(number, values);
    }

    /// Forgets what was said about a record: its payload is sealed or gone, or nobody says so any more.
    pub fn forget(&mut self, number: u64) {
        for value in self.by_record.remove(&number).into_iter().flatten() {
            if let Some(records) = self.by_signal.get_mut(&value) {
                records.remove(&number);
                if records.is_empty() {
                    self.by_signal.remove(&value);
                }
            }
        }
    }

    /// How many members, other than the author of the record at hand, call one of these signals benign.
    #[must_use]
    pub fn members(
        &self,
        signals: impl IntoIterator<Item = Signal>,
        author: &MemberId,
        members: &Members,
    ) -> u32 {
        if self.by_signal.is_empty() {
            return 0;
        }
        self.members_with(signals, author, members, None)
    }

    /// The same, as it was when one record stood otherwise: its number, how it stood, and its signals.
    #[must_use]
    pub fn members_with(
        &self,
        signals: impl IntoIterator<Item = Signal>,
        author: &MemberId,
        members: &Members,
        earlier: Option<(u64, &Standing, &[Signal])>,
    ) -> u32 {
        let before = earlier.map(|(number, standing, carried)| (number, callers(standing), carried));
        let mut most = 0;
        for signal in signals {
            let said = self.by_signal.get(&(signal.kind(), signal.value().to_vec()));
            let is_other = |number: &u64| before.as_ref().is_none_or(|(earlier, ..)| *earlier != *number);
            let said = said.into_iter().flatten().filter(|(number, _)| is_other(number));
            let carries = |carried: &&[Signal]| carried.iter().any(|held| held.same_value(&signal));
            let then = before.iter().filter(|(_, _, carried)| carries(carried)).flat_map(|(_, then, _)| then);
            let said: BTreeSet<&MemberId> = said
                .flat_map(|(_, said)| said)
                .chain(then)
                .filter(|member| *member != author && !members.is_muted(member))
                .collect();
            most = most.max(u32::try_from(said.len()).unwrap_or(u32::MAX));
        }
        most
    }

    /// Whether others call a record benign than before.
    #[must_use]
    pub fn is_news(before: Option<&Standing>, after: &Standing) -> bool {
        before.map(callers).unwrap_or_default() != callers(after)
    }

    /// The signals that anybody calls benign, each with how many members do.
    pub fn signals(&self) -> impl Iterator<Item = (SignalType, &[u8], usize)> {
        self.by_signal.iter().map(|((kind, value), records)| {
            let said: BTreeSet<&MemberId> = records.values().flatten().collect();
            (*kind, value.as_slice(), said.len())
        })
    }
}
