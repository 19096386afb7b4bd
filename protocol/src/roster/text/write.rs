//! Writing the canonical text, and where each fact stands in it.

use super::super::rules::Place;
use super::super::{LogStatus, Member, PRIORITY_ENTRIES_PER_DAY_DEFAULT, Roster, StewardTerm};
use super::{DAYS, END, HEADER, HOURS};
use std::fmt::Write as _;

/// Lines, and the number of the line at which each place stands.
#[derive(Default)]
pub(super) struct Written {
    pub(super) text: String,
    lines: usize,
    places: Vec<(Place, usize)>,
}

impl Written {
    fn line(&mut self, words: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{words}").expect("a string takes every write");
        self.lines += 1;
    }

    /// The next line is where this stands.
    fn at(&mut self, place: Place) -> &mut Self {
        self.places.push((place, self.lines + 1));
        self
    }

    /// A list of lines, and the place behind the last one, where a missing one would stand.
    fn list<T>(&mut self, list: &[T], place: impl Fn(usize) -> Place, line: impl Fn(&T) -> String) {
        for (at, item) in list.iter().enumerate() {
            self.at(place(at)).line(format_args!("{}", line(item)));
        }
        self.at(place(list.len()));
    }

    /// The line, from 1, at which a place stands.
    pub(super) fn line_of(&self, place: Place) -> usize {
        let found = self.places.iter().find(|(known, _)| *known == place);
        found.map_or(self.lines, |(_, line)| *line)
    }
}

pub(super) fn write(roster: &Roster) -> Written {
    let mut to = Written::default();
    write_head(&mut to, roster);
    for (at, member) in roster.members.iter().enumerate() {
        write_member(&mut to, at, member);
    }
    to.at(Place::Member(roster.members.len()));
    to.list(&roster.witnesses, Place::Witness, |witness| format!("witness {witness}"));
    let terms = &roster.terms;
    to.list(&terms.erasers, Place::Eraser, |term| format!("eraser {term}"));
    to.list(&terms.panel, Place::Panellist, |panellist| {
        format!("panellist {} {}", panellist.needed, panellist.term)
    });
    to.list(&terms.declarers, Place::Declarer, |term| format!("declarer {term}"));
    to.list(&terms.stewards, Place::Steward, |StewardTerm { of, term }| format!("steward {of} {term}"));
    to.line(format_args!("{END}"));
    to
}

fn write_head(to: &mut Written, roster: &Roster) {
    to.line(format_args!("{HEADER}"));
    to.at(Place::Consortium).line(format_args!("consortium {}", roster.consortium));
    to.at(Place::Version).line(format_args!("version {}", roster.version));
    to.at(Place::Created).line(format_args!("created {}", roster.created_s));
    to.at(Place::Expires).line(format_args!("expires {}", roster.expires_s));
    match &roster.previous {
        Some(digest) => to.at(Place::Previous).line(format_args!("previous {digest}")),
        None => to.at(Place::Previous).line(format_args!("previous none")),
    }
    to.list(&roster.rejected, Place::Rejected, |rival| {
        format!("rejected {} {}", rival.version, rival.digest)
    });
    to.at(Place::Threshold).line(format_args!("threshold {}", roster.threshold));
    to.list(&roster.governance, Place::Governance, |key| format!("governance {} {}", key.name, key.key));
    to.list(&roster.taxonomies, Place::Taxonomy, |taxonomy| format!("taxonomy {taxonomy}"));
    to.list(&roster.hash_sets, Place::HashSet, |word| format!("hash-set {word}"));
    to.at(Place::Retention).line(format_args!("retention {}", DAYS.show(roster.retention_s)));
    to.at(Place::Hold).line(format_args!("hold {}", HOURS.show(roster.hold_s)));
    to.list(&roster.features, Place::Feature, |feature| format!("feature {} {}", feature.word, feature.from));
    to.list(&roster.groups, Place::Group, |group| match group.within {
        Some(within) => format!("group {} {} {within}", group.n, group.word),
        None => format!("group {} {}", group.n, group.word),
    });
}

fn write_member(to: &mut Written, at: usize, member: &Member) {
    to.at(Place::Member(at)).line(format_args!(
        "member {} {} {}",
        member.id,
        member.status.name(),
        member.name
    ));
    for role in &member.roles {
        to.line(format_args!("role {}", role.name()));
    }
    for group in &member.groups {
        to.at(Place::InGroup(at, *group)).line(format_args!("in-group {group}"));
    }
    to.at(Place::Card(at)).line(format_args!("card {}", member.card_key));
    if let Some(key) = &member.cosigner_key {
        to.at(Place::Cosigner(at)).line(format_args!("cosigner {key}"));
    }
    to.at(Place::History(at)).line(format_args!("history {}", member.history_start_s));
    to.line(format_args!("quota {}", member.quota_entries_per_day));
    if member.priority_entries_per_day != PRIORITY_ENTRIES_PER_DAY_DEFAULT {
        to.line(format_args!("priority {}", member.priority_entries_per_day));
    }
    if let Some(version) = member.agreement {
        to.at(Place::Agreement(at)).line(format_args!("agreement {version}"));
    }
    if member.records_lapse {
        to.at(Place::Records(at)).line(format_args!("records lapse"));
    }
    to.list(
        &member.logs,
        |log| Place::Log(at, log),
        |log| match &log.status {
            LogStatus::Open => format!("log {} open {}", log.n, log.key),
            LogStatus::Spare => format!("log {} spare {}", log.n, log.key),
            LogStatus::Closed { size, root } => format!("log {} closed {} {size} {root}", log.n, log.key),
        },
    );
}
