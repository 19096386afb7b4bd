//! The year as people read it: month by month what happened, then who did how much, and how it stands in the end.

use super::checks::Sight;
use super::governance::{GOVERNORS, THRESHOLD};
use super::{AURORA, BEACON, COBALT, HOUR_MS, NAMES, Year};
use crate::world::checks::chain;
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_core::view::Status;
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, read_leaf};
use hashpact_protocol::record::{OpinionValue, Payload, Record, read_padded};
use hashpact_protocol::roster::{LogStatus, MemberStatus, quorum};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What was noted.
#[derive(Default)]
pub(super) struct Notes {
    months: Vec<Month>,
    /// Hours from the first dispute of a record to the ruling on its signal.
    pub(super) ruled_after: Vec<u64>,
    /// Of what all members see, at the end of each month.
    pub(super) digests: Vec<String>,
}

struct Month {
    title: &'static str,
    /// By day.
    lines: Vec<(u64, String)>,
    /// How it stood at its end.
    end: String,
}

/// What a member stated over the year, as far as it counts.
#[derive(Default)]
struct Tally {
    records: u64,
    opinions: u64,
    disputes: u64,
    retractions: u64,
    erasures: u64,
    /// Rulings, votes and incidents.
    decisions: u64,
}

impl Notes {
    pub(super) fn begin(&mut self, title: &'static str) {
        self.months.push(Month { title, lines: Vec::new(), end: String::new() });
    }

    pub(super) fn add(&mut self, day: u64, text: String) {
        self.months.last_mut().expect("a month has begun").lines.push((day, text));
    }
}

impl Year {
    /// All members agree on everything, and a quorum cosigns; that is noted.
    pub(super) fn end_month(&mut self) {
        self.skip(2 * HOUR_MS);
        let logs = self.until_cosigned();
        let sight = self.agree();
        self.notes.digests.push(sight.digest().to_string());
        let matching = sight.records.values().filter(|(_, standing)| standing.status.stands()).count();
        let roster = self.world.founding.published.last().expect("a first version").current();
        let needed = quorum(roster.witnesses.len() - 1).expect("witnesses");
        let end = format!(
            "{} members see the same {} records ({}), of which {matching} match; {logs} of {logs} open logs \
             are cosigned by a quorum of {needed} witnesses; roster version {}",
            self.inside().len(),
            sight.records.len(),
            standings(&sight),
            roster.version
        );
        self.notes.months.last_mut().expect("a month has begun").end = end;
    }

    /// The report.
    pub(super) fn report(&mut self, seed: u64) -> String {
        let sight = self.agree();
        let mut text = format!("A year of a consortium in the simulator, seed {seed}\n\n");
        fold(&mut text, "", &opening());
        for (number, month) in (1..).zip(&self.notes.months) {
            let _ = writeln!(text, "\nMonth {number}: {}", month.title);
            for (day, line) in &month.lines {
                fold(&mut text, &format!("  day {day:>3}  "), line);
            }
            fold(&mut text, "  at its end ", &month.end);
        }
        self.write_members(&mut text, &sight);
        write_standings(&mut text, &sight);
        let hours: Vec<String> = self.notes.ruled_after.iter().map(|hours| format!("{hours} h")).collect();
        let _ = writeln!(text, "\nFrom the first dispute to the ruling: {}", hours.join(", "));
        text
    }

    fn write_members(&self, text: &mut String, sight: &Sight) {
        let _ = writeln!(text, "\nWho stated how much, as far as it counts");
        let _ = writeln!(
            text,
            "  {:<10}{:>6}{:>9}{:>10}{:>10}{:>10}{:>11}{:>10}{:>11}",
            "member",
            "logs",
            "records",
            "matching",
            "opinions",
            "disputes",
            "retracted",
            "erasures",
            "decisions"
        );
        let tallies = self.tallies();
        let roster = self.world.founding.published.last().expect("a first version").current();
        for member in &roster.members {
            let of_member = sight.records.values().filter(|(author, _)| *author == member.id);
            let matching = of_member.filter(|(_, standing)| standing.status.stands()).count();
            let none = Tally::default();
            let tally = tallies.get(member.id.as_str()).unwrap_or(&none);
            let left = if member.status == MemberStatus::Left { "  left" } else { "" };
            let _ = writeln!(
                text,
                "  {:<10}{:>6}{:>9}{matching:>10}{:>10}{:>10}{:>11}{:>10}{:>11}{left}",
                member.id.as_str(),
                member.logs.len(),
                tally.records,
                tally.opinions,
                tally.disputes,
                tally.retractions,
                tally.erasures,
                tally.decisions
            );
        }
        let founders = NAMES.len();
        let _ = writeln!(text, "  {founders} founded, {} joined", roster.members.len() - founders);
    }

    /// By member; from the first node's disk, up to where logs are closed.
    fn tallies(&self) -> BTreeMap<String, Tally> {
        let disk = &self.world.nodes[0].disk;
        let roster = chain(&self.world.founding, disk);
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for log in roster.current().logs() {
            let end = match log.status {
                LogStatus::Closed { size, .. } => *size as usize,
                _ => usize::MAX,
            };
            let entries = disk.logs.get(&log.log_id).map_or(&[][..], |stored| &stored.entries);
            let tally = tallies.entry(log.member.to_string()).or_default();
            for (index, entry) in (0..).zip(entries).take(end) {
                if let EntryLeaf::Known(leaf) = read_leaf(&entry.leaf, &log.log_id, index) {
                    tally.add(&leaf, entry);
                }
            }
        }
        tallies
    }
}

impl Tally {
    fn add(&mut self, leaf: &Leaf, entry: &StoredEntry) {
        match leaf.kind {
            Kind::Content | Kind::Supersede => self.records += 1,
            Kind::Retraction => self.retractions += 1,
            Kind::Erasure => self.erasures += 1,
            Kind::Ruling | Kind::Suspension | Kind::Incident => self.decisions += 1,
            Kind::Opinion => {
                self.opinions += 1;
                if let StoredPayload::Present { padded, .. } = &entry.payload
                    && let Payload::Record(Record::Opinion(opinion)) = read_padded(leaf, padded)
                {
                    self.disputes += u64::from(opinion.opinion == OpinionValue::Disagree);
                }
            }
            _ => {}
        }
    }
}

fn write_standings(text: &mut String, sight: &Sight) {
    let all = sight.records.len();
    let end = format!("{all} records are known, the same at every member: {}", standings(sight));
    text.push('\n');
    fold(text, "", &end);
}

/// Who is who.
fn opening() -> String {
    let [eraser, declarer, third] = [NAMES[AURORA], NAMES[BEACON], NAMES[COBALT]];
    format!(
        "{} members found it: {}. {eraser}, {declarer} and {third} are the review panel, of which two must agree; \
         {eraser} is an erasure authority; {declarer} declares incidents. Of {} governance keys {THRESHOLD} must \
         sign. Everything is made up. All year messages are lost and machines lose power; at the end of every \
         month all members' nodes must see the same, record by record, and in the end an audit bundle of each is \
         verified from outside.",
        NAMES.len(),
        NAMES.join(", "),
        GOVERNORS.len()
    )
}

/// How many records stand how.
fn standings(sight: &Sight) -> String {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    for (_, standing) in sight.records.values() {
        *counts.entry(standing.status).or_default() += 1;
    }
    let counts = counts.iter().map(|(status, count)| format!("{count} {}", status.name()));
    counts.collect::<Vec<_>>().join(", ")
}

/// A paragraph of at most 110 columns, hanging behind its label.
fn fold(text: &mut String, label: &str, line: &str) {
    let indent = " ".repeat(label.chars().count());
    let mut column = label.chars().count();
    text.push_str(label);
    for (at, word) in line.split(' ').enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > 110 {
            let _ = write!(text, "\n{indent}");
            column = indent.len();
        } else if at > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}
