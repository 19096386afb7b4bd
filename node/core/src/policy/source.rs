//! How many independent original sources stand behind a signal.
//!
//! A source is the organisation that a record names, else the member that stated it; importers of one
//! list are one source. A member can name any organisation, so sources are only independent as far as different
//! members vouch for them: what counts is how many pairs of one member and one source can be formed without
//! using either twice. One member that names a hundred organisations is one source.

use crate::view::RecordView;
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// Who stated a record originally: the organisation named in its `source`, else the member.
#[must_use]
pub fn original_source(record: &RecordView) -> &str {
    match &record.stated.content.source {
        Some(source) => source.organisation.as_str(),
        None => record.known.author.member.as_str(),
    }
}

/// Number of independent original sources among records that stand and carry the same signal, each given as its
/// author and its [`original_source`].
#[must_use]
pub fn independent_sources<'a>(records: impl IntoIterator<Item = (&'a MemberId, &'a str)>) -> u32 {
    let mut named: BTreeMap<&MemberId, BTreeSet<&str>> = BTreeMap::new();
    for (member, source) in records {
        named.entry(member).or_default().insert(source);
    }
    // The largest matching of members and sources, found by augmenting paths: there are at most 256 members.
    let mut taken: BTreeMap<&str, &MemberId> = BTreeMap::new();
    let mut count = 0;
    for member in named.keys() {
        count += u32::from(vouch(member, &named, &mut taken, &mut BTreeSet::new()));
    }
    count
}

/// Finds a source for a member, moving others to sources that they name as well.
fn vouch<'a>(
    member: &'a MemberId,
    named: &BTreeMap<&'a MemberId, BTreeSet<&'a str>>,
    taken: &mut BTreeMap<&'a str, &'a MemberId>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    let sources = named.get(member).into_iter().flatten().copied();
    for source in sources {
        // No member needs more than one source, and no more sources than members can be taken.
        if !tried.insert(source) {
            continue;
        }
        let holder = taken.get(source).copied();
        if holder.is_none_or(|holder| vouch(holder, named, taken, tried)) {
            taken.insert(source, member);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(records: &[(&str, &str)]) -> u32 {
        let members: Vec<(MemberId, &str)> = records
            .iter()
            .map(|(member, source)| (MemberId::parse(member).expect("valid"), *source))
            .collect();
        independent_sources(members.iter().map(|(member, source)| (member, *source)))
    }

    #[test]
    fn importers_of_one_list_are_one_source() {
        let cases: [(&[(&str, &str)], u32); 8] = [
            (&[], 0),
            (&[("north", "north"), ("north", "north")], 1),
            (&[("north", "north"), ("south", "south")], 2),
            (&[("north", "hotline"), ("south", "hotline")], 1),
            (&[("north", "hotline"), ("south", "south")], 2),
            (&[("north", "a"), ("north", "b"), ("north", "c")], 1),
            (&[("north", "a"), ("north", "b"), ("south", "a")], 2),
            (&[("north", "a"), ("north", "b"), ("north", "c"), ("south", "a"), ("east", "a")], 2),
        ];
        for (records, expected) in cases {
            assert_eq!(count(records), expected, "{records:?}");
        }
    }

    #[test]
    fn a_member_that_names_many_organisations_costs_no_more_than_it_names() {
        let names: Vec<String> = (0..10_000).map(|n| format!("o{n}")).collect();
        let members = ["a", "b", "c"];
        let records: Vec<(&str, &str)> = members
            .iter()
            .flat_map(|member| names.iter().map(move |name| (*member, name.as_str())))
            .collect();
        assert_eq!(count(&records), 3);
    }
}
