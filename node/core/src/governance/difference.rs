//! Two versions told apart in words, line by line, with what a change means.

mod members;
mod rights;

use super::words::{history, length, list, place, roles, thousands, time};
use hashpact_protocol::roster::{Group, Roster};
use std::fmt;

/// One difference of two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What is different.
    pub says: String,
    /// What that means for members, if it is not plain.
    pub means: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)?;
        match &self.means {
            Some(means) => write!(f, "\n    {means}"),
            None => Ok(()),
        }
    }
}

/// Differences, as they are found.
#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn say(&mut self, says: impl Into<String>) {
        self.0.push(Difference { says: says.into(), means: None });
    }

    fn mean(&mut self, says: impl Into<String>, means: impl Into<String>) {
        self.0.push(Difference { says: says.into(), means: Some(means.into()) });
    }

    /// `what before → after`, if they differ.
    fn change<T: PartialEq>(&mut self, what: &str, before: &T, after: &T, show: impl Fn(&T) -> String) {
        if before != after {
            self.say(format!("{what} {} → {}", show(before), show(after)));
        }
    }

    /// Words that came and words that went.
    fn words(&mut self, what: &str, before: &[String], after: &[String]) {
        for word in before.iter().filter(|word| !after.contains(word)) {
            self.say(format!("{what} {word} goes"));
        }
        for word in after.iter().filter(|word| !before.contains(word)) {
            self.say(format!("{what} {word} comes"));
        }
    }
}

/// Everything in which `after` is not `before`, in the order of the text, but for version, predecessor and
/// time of making.
#[must_use]
pub fn differences(before: &Roster, after: &Roster) -> Vec<Difference> {
    let mut found = Found::default();
    of_validity(&mut found, before, after);
    of_governance(&mut found, before, after);
    of_agreements(&mut found, before, after);
    members::compare(&mut found, before, after);
    rights::compare(&mut found, before, after);
    found.0
}

fn of_validity(found: &mut Found, before: &Roster, after: &Roster) {
    if before.consortium != after.consortium {
        found.mean(
            format!("consortium {} → {}", before.consortium, after.consortium),
            "these are rosters of two consortia; no node goes from one to the other",
        );
    }
    if after.expires_s < before.expires_s {
        found.mean(
            format!("expires {} → {}", time(before.expires_s), time(after.expires_s)),
            "it expires earlier than the version before",
        );
    } else {
        found.change("expires", &before.expires_s, &after.expires_s, |seconds| time(*seconds));
    }
    for rival in after.rejected.iter().filter(|rival| !before.rejected.contains(rival)) {
        found.mean(
            format!("rejects the rival of version {} with digest {}", rival.version, rival.digest),
            "governance signed two versions of this number. Members who hold the rejected one must give it up and start again \
             from the pin; find out whose keys signed both",
        );
    }
}

fn of_governance(found: &mut Found, before: &Roster, after: &Roster) {
    for key in &before.governance {
        match after.governance.iter().find(|other| other.name == key.name) {
            Some(other) if other.key != key.key => found.mean(
                format!("governance key {} is replaced: {} → {}", key.name, key.key, other.key),
                "the old key signs nothing after this version",
            ),
            Some(_) => {}
            None => found.mean(
                format!("governance key {} goes", key.name),
                "whoever holds it signs nothing after this version",
            ),
        }
    }
    for key in &after.governance {
        if !before.governance.iter().any(|other| other.name == key.name) {
            found.mean(
                format!("governance key {} comes: {}", key.name, key.key),
                "whoever holds it signs this version, or later ones",
            );
        }
    }
    let is_same = before.threshold == after.threshold && before.governance.len() == after.governance.len();
    if !is_same {
        let (m, n) = (usize::from(after.threshold), after.governance.len());
        found.mean(
            format!("threshold {} → {}", before.threshold, after.threshold),
            format!(
                "{m} of {n} governance keys must sign from the next version on; {} may be lost",
                n.saturating_sub(m)
            ),
        );
    }
}

fn of_agreements(found: &mut Found, before: &Roster, after: &Roster) {
    found.words("taxonomy", &before.taxonomies, &after.taxonomies);
    found.words("hash set", &before.hash_sets, &after.hash_sets);
    found.change("retention", &before.retention_s, &after.retention_s, |seconds| length(*seconds));
    if after.hold_s < before.hold_s {
        found.mean(
            format!("hold {} → {}", length(before.hold_s), length(after.hold_s)),
            "less time is left to stop erasures that a stolen key ordered",
        );
    } else {
        found.change("hold", &before.hold_s, &after.hold_s, |seconds| length(*seconds));
    }
    for feature in after.features.iter().filter(|feature| !before.features.contains(feature)) {
        found.mean(
            format!("feature {} is in use from version {} on", feature.word, feature.from),
            "nodes that do not know it do not read what uses it: upgrade them first",
        );
    }
    for feature in &before.features {
        if !after.features.iter().any(|other| other.word == feature.word) {
            found.say(format!("feature {} is not planned any more", feature.word));
        }
    }
    for group in after.groups.iter().filter(|group| before.group(group.n).is_none()) {
        let part = group.within.and_then(|within| after.group(within));
        let part = part.map_or(String::new(), |outer: &Group| format!(", a part of {}", outer.word));
        found.mean(
            format!("group {} comes: number {}{part}", group.word, group.n),
            "it stays for ever under this number and name",
        );
    }
}
