//! From matching records to one outcome and the number of independent sources.
//!
//! The built-in list counts every record that stands, at any distance that the caller allowed, and
//! yields `review` only (DESIGN: Matching). Nothing here reads origin labels: origin and evidence of
//! origin never change an outcome.

use crate::view::{RecordView, Status};
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

/// The built-in list's outcome for the records that one item matched, by their status.
#[must_use]
pub fn outcome(matched: impl IntoIterator<Item = Status>) -> Option<Outcome> {
    matched.into_iter().any(Status::stands).then_some(Outcome::Review)
}

/// Who stated a record originally: the organisation named in its `source`, else the member.
#[must_use]
pub fn original_source(record: &RecordView) -> &str {
    match &record.stated.content.source {
        Some(source) => source.organisation.as_str(),
        None => record.known.author.member.as_str(),
    }
}

/// Number of independent original sources among records that carry the same signal, each with its status and
/// its [`original_source`]. Importers of one list are one source; what does not stand corroborates nothing.
#[must_use]
pub fn independent_sources<'a>(records: impl IntoIterator<Item = (Status, &'a str)>) -> u32 {
    let standing = records.into_iter().filter(|(status, _)| status.stands());
    let sources: BTreeSet<&str> = standing.map(|(_, source)| source).collect();
    u32::try_from(sources.len()).unwrap_or(u32::MAX)
}
