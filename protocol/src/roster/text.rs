//! The canonical text of a roster: one fact a line, in one fixed order (SPEC §8.1).
//!
//! The reader takes lines one after the other, each with the keyword that must stand there, so that no
//! text has two readings. At the end the result is encoded again and compared: whatever the reader let
//! pass, another spelling is refused.

use super::rules::{Place, check, shown};
use super::{
    Eraser, GovernanceKey, LogEntry, LogPlace, LogStatus, Member, MemberId, MemberStatus, Role, Roster,
    RosterRule,
};
use crate::digest::{Root, RosterDigest};
use crate::keys::PublicKey;
use crate::limits::ROSTER_BODY_MAX_BYTES;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::Split;

const HEADER: &str = "hashpact/roster/v1";
const END: &str = "end";

/// How a length of time is written: as a number of these where that is exact, else in seconds with an `s`.
struct Unit {
    seconds: u64,
}

const DAYS: Unit = Unit { seconds: 86_400 };
const HOURS: Unit = Unit { seconds: 3_600 };

impl Unit {
    fn show(&self, length_s: u64) -> String {
        if length_s.is_multiple_of(self.seconds) {
            (length_s / self.seconds).to_string()
        } else {
            format!("{length_s}s")
        }
    }
}

/// Why a text is not a roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Longer than a body may be.
    #[error("a roster of {got} bytes; at most {ROSTER_BODY_MAX_BYTES} are allowed")]
    Length {
        /// Its length.
        got: usize,
    },
    /// Not UTF-8.
    #[error("line {line}: a roster is UTF-8 text")]
    Utf8 {
        /// From 1.
        line: usize,
    },
    /// The text ends too early, or its last line has no newline.
    #[error("the roster breaks off after line {line}; {expected} is missing")]
    Truncated {
        /// Lines read.
        line: usize,
        /// What must follow.
        expected: &'static str,
    },
    /// A line with another keyword than must stand there.
    #[error("line {line}: expected {expected:?}")]
    Keyword {
        /// From 1.
        line: usize,
        /// What must stand there.
        expected: &'static str,
    },
    /// A value of another form.
    #[error("line {line}: {what} {given:?} is not {form}")]
    Value {
        /// From 1.
        line: usize,
        /// Which value.
        what: &'static str,
        /// Given.
        given: String,
        /// Expected.
        form: &'static str,
    },
    /// A public key that may not be used.
    #[error("line {line}: {error}")]
    Key {
        /// From 1.
        line: usize,
        /// Why not.
        error: crate::keys::KeyError,
    },
    /// Text after the end.
    #[error("line {line}: text after the end")]
    AfterEnd {
        /// From 1.
        line: usize,
    },
    /// The same facts in another spelling.
    #[error("line {line}: the roster is not in canonical form")]
    NotCanonical {
        /// From 1.
        line: usize,
    },
    /// A rule on what the text says is broken.
    #[error("line {line}: {rule}")]
    Rule {
        /// From 1: where it is broken, or where the second of two that collide stands.
        line: usize,
        /// Which.
        rule: RosterRule,
    },
}

pub(super) fn encode(roster: &Roster) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line =
        |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").expect("a string takes every write");
    line(format_args!("{HEADER}"));
    line(format_args!("consortium {}", roster.consortium));
    line(format_args!("version {}", roster.version));
    line(format_args!("created {}", roster.created_s));
    line(format_args!("expires {}", roster.expires_s));
    match &roster.previous {
        Some(digest) => line(format_args!("previous {digest}")),
        None => line(format_args!("previous none")),
    }
    line(format_args!("threshold {}", roster.threshold));
    for key in &roster.governance {
        line(format_args!("governance {} {}", key.name, key.key));
    }
    for taxonomy in &roster.taxonomies {
        line(format_args!("taxonomy {taxonomy}"));
    }
    line(format_args!("retention {}", DAYS.show(roster.retention_s)));
    line(format_args!("hold {}", HOURS.show(roster.hold_s)));
    for member in &roster.members {
        line(format_args!("member {} {} {}", member.id, member.status.name(), member.name));
        for role in &member.roles {
            line(format_args!("role {}", role.name()));
        }
        line(format_args!("card {}", member.card_key));
        if let Some(key) = &member.cosigner_key {
            line(format_args!("cosigner {key}"));
        }
        line(format_args!("history {}", member.history_start_s));
        line(format_args!("quota {}", member.quota_entries_per_day));
        for log in &member.logs {
            match &log.status {
                LogStatus::Open => line(format_args!("log {} open {}", log.n, log.key)),
                LogStatus::Spare => line(format_args!("log {} spare {}", log.n, log.key)),
                LogStatus::Closed { size, root } => {
                    line(format_args!("log {} closed {} {size} {root}", log.n, log.key));
                }
            }
        }
    }
    for witness in &roster.witnesses {
        line(format_args!("witness {witness}"));
    }
    for Eraser { member, from, until } in &roster.erasers {
        match until {
            Some(until) => line(format_args!("eraser {member} {from} {until}")),
            None => line(format_args!("eraser {member} {from}")),
        }
    }
    line(format_args!("{END}"));
    text
}

pub(super) fn parse(body: &[u8]) -> Result<Roster, RosterError> {
    if body.len() > ROSTER_BODY_MAX_BYTES {
        return Err(RosterError::Length { got: body.len() });
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = body.iter().take(error.valid_up_to());
        RosterError::Utf8 { line: 1 + before.filter(|byte| **byte == b'\n').count() }
    })?;
    let mut lines = Lines::new(text);
    let roster = read(&mut lines)?;
    // Canonical form first: from here on the place of a fact gives its line.
    let canonical = encode(&roster);
    if canonical.as_bytes() != body {
        let same =
            canonical.split('\n').zip(text.split('\n')).take_while(|(ours, given)| ours == given).count();
        return Err(RosterError::NotCanonical { line: same + 1 });
    }
    check(&roster).map_err(|(place, rule)| RosterError::Rule { line: line_of(place, &roster), rule })?;
    Ok(roster)
}

/// The line, from 1, at which a place stands in the canonical text.
fn line_of(place: Place, roster: &Roster) -> usize {
    const GOVERNANCE_LINE: usize = 8;
    let taxonomies = GOVERNANCE_LINE + roster.governance.len();
    let retention = taxonomies + roster.taxonomies.len();
    // The line of a member, or of what follows the last one.
    let member = |at: usize| retention + 2 + roster.members.iter().take(at).map(member_lines).sum::<usize>();
    let card = |at: usize| member(at) + 1 + roster.members.get(at).map_or(0, |member| member.roles.len());
    let history = |at: usize| {
        let cosigner = roster.members.get(at).and_then(|member| member.cosigner_key);
        card(at) + 1 + usize::from(cosigner.is_some())
    };
    match place {
        Place::Consortium => 2,
        Place::Version => 3,
        Place::Created => 4,
        Place::Expires => 5,
        Place::Previous => 6,
        Place::Threshold => 7,
        Place::Governance(at) => GOVERNANCE_LINE + at,
        Place::Taxonomy(at) => taxonomies + at,
        Place::Retention => retention,
        Place::Hold => retention + 1,
        Place::Member(at) => member(at),
        Place::Card(at) => card(at),
        Place::Cosigner(at) => card(at) + 1,
        Place::History(at) => history(at),
        Place::Log(at, log) => history(at) + 2 + log,
        Place::Witness(at) => member(roster.members.len()) + at,
        Place::Eraser(at) => member(roster.members.len()) + roster.witnesses.len() + at,
    }
}

fn member_lines(member: &Member) -> usize {
    // Member, card, history and quota; the rest repeats.
    4 + member.roles.len() + usize::from(member.cosigner_key.is_some()) + member.logs.len()
}

fn read(lines: &mut Lines<'_>) -> Result<Roster, RosterError> {
    if lines.next(HEADER)? != HEADER {
        return Err(RosterError::Keyword { line: lines.number, expected: HEADER });
    }
    let consortium = lines.value("consortium")?.to_owned();
    let version = lines.number("version")?;
    let created_s = lines.number("created")?;
    let expires_s = lines.number("expires")?;
    let previous = match lines.value("previous")? {
        "none" => None,
        hex => Some(
            RosterDigest::from_hex(hex).map_err(|_| lines.bad("previous", hex, "64 hex digits or none"))?,
        ),
    };
    let threshold = lines.number("threshold")?;
    let governance = lines.repeated("governance", |lines, rest| {
        let (name, key) =
            rest.split_once(' ').ok_or_else(|| lines.bad("governance", rest, "<name> <key>"))?;
        Ok(GovernanceKey { name: name.to_owned(), key: lines.key(key)? })
    })?;
    let taxonomies = lines.repeated("taxonomy", |_, rest| Ok(rest.to_owned()))?;
    let retention_s = lines.length_s("retention", &DAYS)?;
    let hold_s = lines.length_s("hold", &HOURS)?;
    let mut members = Vec::new();
    while let Some(rest) = lines.take("member") {
        members.push(read_member(lines, rest)?);
    }
    let witnesses = lines.repeated("witness", |lines, rest| lines.member_id(rest))?;
    let erasers = lines.repeated("eraser", read_eraser)?;
    if lines.next(END)? != END {
        return Err(RosterError::Keyword { line: lines.number, expected: END });
    }
    if !lines.rest.as_str_is_done() {
        return Err(RosterError::AfterEnd { line: lines.number + 1 });
    }
    Ok(Roster {
        consortium,
        version,
        created_s,
        expires_s,
        previous,
        threshold,
        governance,
        taxonomies,
        retention_s,
        hold_s,
        members,
        witnesses,
        erasers,
    })
}

fn read_member(lines: &mut Lines<'_>, rest: &str) -> Result<Member, RosterError> {
    let mut words = rest.splitn(3, ' ');
    let (Some(id), Some(status), Some(name)) = (words.next(), words.next(), words.next()) else {
        return Err(lines.bad("member", rest, "<id> <status> <name>"));
    };
    let id = lines.member_id(id)?;
    let status = MemberStatus::ALL
        .into_iter()
        .find(|known| known.name() == status)
        .ok_or_else(|| lines.bad("status", status, "active or left"))?;
    let roles: Vec<Role> = lines.repeated("role", |lines, rest| {
        let role = Role::ALL.into_iter().find(|known| known.name() == rest);
        role.ok_or_else(|| lines.bad("role", rest, "contributor, hotline, observer or auditor"))
    })?;
    let card = lines.value("card")?;
    let card_key = lines.key(card)?;
    let cosigner_key = match lines.take("cosigner") {
        Some(key) => Some(lines.key(key)?),
        None => None,
    };
    let history_start_s = lines.number("history")?;
    let quota_entries_per_day = lines.number("quota")?;
    let logs = lines.repeated("log", read_log)?;
    Ok(Member {
        id,
        name: name.to_owned(),
        status,
        roles: BTreeSet::from_iter(roles),
        card_key,
        cosigner_key,
        history_start_s,
        quota_entries_per_day,
        logs,
    })
}

fn read_log(lines: &Lines<'_>, rest: &str) -> Result<LogEntry, RosterError> {
    let form = "<n> open|spare <key>, or <n> closed <key> <size> <root>";
    let words: Vec<&str> = rest.split(' ').collect();
    let (n, key, status) = match words.as_slice() {
        [n, "open", key] => (n, key, LogStatus::Open),
        [n, "spare", key] => (n, key, LogStatus::Spare),
        [n, "closed", key, size, root] => {
            let root = Root::from_hex(root).map_err(|_| lines.bad("root", root, "64 hex digits"))?;
            (n, key, LogStatus::Closed { size: lines.decimal("size", size)?, root })
        }
        _ => return Err(lines.bad("log", rest, form)),
    };
    Ok(LogEntry { n: lines.decimal("log number", n)?, key: lines.key(key)?, status })
}

fn read_eraser(lines: &Lines<'_>, rest: &str) -> Result<Eraser, RosterError> {
    let words: Vec<&str> = rest.split(' ').collect();
    let place = |n: &str, index: &str| -> Result<LogPlace, RosterError> {
        Ok(LogPlace { n: lines.decimal("log number", n)?, index: lines.decimal("leaf index", index)? })
    };
    let (member, from, until) = match words.as_slice() {
        [member, n, index] => (member, place(n, index)?, None),
        [member, n, index, last_n, last] => (member, place(n, index)?, Some(place(last_n, last)?)),
        _ => return Err(lines.bad("eraser", rest, "<id> <n> <index>, and <n> <index> once it has ended")),
    };
    Ok(Eraser { member: lines.member_id(member)?, from, until })
}

/// The lines that are left, and the number of the one read last.
struct Lines<'a> {
    rest: Rest<'a>,
    number: usize,
}

/// Lines that end in a newline, each.
struct Rest<'a> {
    split: Split<'a, char>,
    ahead: Option<&'a str>,
}

impl Rest<'_> {
    /// Whether only the empty piece after the last newline is left.
    fn as_str_is_done(&mut self) -> bool {
        self.ahead == Some("") && self.split.next().is_none()
    }
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let mut split = text.split('\n');
        let ahead = split.next();
        Self { rest: Rest { split, ahead }, number: 0 }
    }

    /// The next line; it must be followed by a newline.
    fn next(&mut self, expected: &'static str) -> Result<&'a str, RosterError> {
        let truncated = RosterError::Truncated { line: self.number, expected };
        let line = self.rest.ahead.take().ok_or(truncated.clone())?;
        self.rest.ahead = self.rest.split.next();
        if self.rest.ahead.is_none() {
            return Err(truncated);
        }
        self.number += 1;
        Ok(line)
    }

    /// The rest of the next line if it starts with this keyword.
    fn take(&mut self, keyword: &'static str) -> Option<&'a str> {
        let rest = self.rest.ahead?.strip_prefix(keyword)?.strip_prefix(' ')?;
        self.next(keyword).ok()?;
        Some(rest)
    }

    fn value(&mut self, keyword: &'static str) -> Result<&'a str, RosterError> {
        let line = self.next(keyword)?;
        line.strip_prefix(keyword)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(RosterError::Keyword { line: self.number, expected: keyword })
    }

    fn number<N: std::str::FromStr + ToString>(&mut self, keyword: &'static str) -> Result<N, RosterError> {
        let text = self.value(keyword)?;
        self.decimal(keyword, text)
    }

    /// A length of time in a unit, or in seconds with an `s` behind.
    fn length_s(&mut self, keyword: &'static str, unit: &Unit) -> Result<u64, RosterError> {
        let text = self.value(keyword)?;
        match text.strip_suffix('s') {
            Some(seconds) => self.decimal(keyword, seconds),
            None => Ok(u64::from(self.decimal::<u32>(keyword, text)?) * unit.seconds),
        }
    }

    fn repeated<T>(
        &mut self,
        keyword: &'static str,
        read: impl Fn(&Self, &str) -> Result<T, RosterError>,
    ) -> Result<Vec<T>, RosterError> {
        let mut list = Vec::new();
        while let Some(rest) = self.take(keyword) {
            list.push(read(self, rest)?);
        }
        Ok(list)
    }

    fn decimal<N: std::str::FromStr + ToString>(
        &self,
        what: &'static str,
        text: &str,
    ) -> Result<N, RosterError> {
        let number = text.parse::<N>().ok().filter(|number| number.to_string() == text);
        number.ok_or_else(|| self.bad(what, text, "a decimal number in range, without sign or leading zeros"))
    }

    fn key(&self, hex: &str) -> Result<PublicKey, RosterError> {
        PublicKey::from_hex(hex).map_err(|error| RosterError::Key { line: self.number, error })
    }

    fn member_id(&self, text: &str) -> Result<MemberId, RosterError> {
        MemberId::parse(text).map_err(|_| self.bad("member id", text, "[a-z0-9-]{1,32}"))
    }

    fn bad(&self, what: &'static str, given: &str, form: &'static str) -> RosterError {
        RosterError::Value { line: self.number, what, given: shown(given), form }
    }
}
