//! From matching records to one outcome and the number of independent sources.
//!
//! The built-in list counts every record that stands, at any distance that the caller allowed, and
//! yields `review` only (DESIGN: Matching). Nothing here reads origin labels: origin and evidence of
//! origin never change an outcome.

use crate::view::RecordView;
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// Name of the list that every node has.
pub const BUILT_IN_LIST: &str = "built-in";

/// What a member's policy asks its pipeline to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// A person should look.
    Review,
}

impl Outcome {
    /// The word in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Review => "review",
        }
    }
}

/// The built-in list's outcome for the records that one item matched.
#[must_use]
pub fn outcome<'a>(matched: impl IntoIterator<Item = &'a RecordView>) -> Option<Outcome> {
    matched.into_iter().find(|record| record.stands()).map(|_| Outcome::Review)
}

/// Number of independent original sources among records that carry the same signal: the
/// organisation named in `source`, else the member. Importers of one list are one source.
#[must_use]
pub fn independent_sources<'a>(records: impl IntoIterator<Item = &'a RecordView>) -> u32 {
    let sources: BTreeSet<&str> = records
        .into_iter()
        .filter(|record| record.stands())
        .map(|record| match &record.content.source {
            Some(source) => source.organisation.as_str(),
            None => record.member.as_str(),
        })
        .collect();
    u32::try_from(sources.len()).unwrap_or(u32::MAX)
}
