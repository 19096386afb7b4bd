//! The rules that one version can break by itself, and the place where it breaks them (SPEC §8.2).

mod rights;

use super::member::is_id_byte;
use super::{
    CONSORTIUM_NAME_MAX_BYTES, GOVERNANCE_MAX, HOLD_MAX_S, LogEntry, LogStatus, MEMBER_NAME_MAX_BYTES,
    Member, MemberId, RETENTION_MAX_S, Roster, TAXONOMIES_MAX,
};
use crate::digest::empty_root;
use crate::keys::PublicKey;
use crate::limits::{LOGS_PER_MEMBER_MAX, MEMBER_ID_MAX, MEMBERS_MAX, TIME_S_MAX, WITNESSES_MAX};
use crate::merkle::TREE_SIZE_MAX;
use std::collections::BTreeMap;
use std::fmt;

/// Member ids that would give two things one key name (`<consortium>/governance/<name>` and the like), or
/// that tlog-policy keeps for itself (`none`).
const RESERVED_IDS: [&str; 4] = ["governance", "none", "roster", "witness"];

/// Characters that do not show, or that change how their neighbours show: two names with another
/// spelling must not look the same on a console (SPEC §8.2).
const HIDDEN: [(char, char); 19] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{e0000}', '\u{10ffff}'),
];

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterRule {
    /// Consortium id of another form.
    #[error("consortium id {0:?} is not <name>-<16 hex digits>")]
    ConsortiumId(String),
    /// Version 0.
    #[error("versions start at 1")]
    VersionZero,
    /// Version 1 names a predecessor, or a later one does not.
    #[error("version {version} {}", if *.has_previous { "has no predecessor to name" } else { "must name its predecessor" })]
    Previous {
        /// The version.
        version: u64,
        /// Whether it names one.
        has_previous: bool,
    },
    /// Expires before it is made.
    #[error("expires at {expires_s}, not after its creation at {created_s}")]
    Expiry {
        /// Creation.
        created_s: u64,
        /// Expiry.
        expires_s: u64,
    },
    /// Threshold not more than half, or more than there are keys.
    #[error(
        "a threshold of {threshold} does not fit {keys} governance keys: more than half must sign, so it is {} to {keys}",
        .keys / 2 + 1
    )]
    Threshold {
        /// Given.
        threshold: u8,
        /// Keys.
        keys: usize,
    },
    /// A number outside its bounds.
    #[error("{what} is {got}; {min} to {max} are allowed")]
    Number {
        /// Which.
        what: &'static str,
        /// Given.
        got: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// Too many or too few of something.
    #[error("{got} {what}; {min} to {max} are allowed")]
    Count {
        /// Of what.
        what: &'static str,
        /// Given.
        got: usize,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
    },
    /// A list is not strictly ascending.
    #[error("{what} are not in ascending order at {at:?}")]
    Order {
        /// Which list.
        what: &'static str,
        /// The element out of order.
        at: String,
    },
    /// A name or word of another form.
    #[error("{what} {given:?} is not of the form {form}")]
    Word {
        /// Which.
        what: &'static str,
        /// Given.
        given: String,
        /// Expected.
        form: &'static str,
    },
    /// One key in two roles or of two owners.
    #[error("{second} has the key of {first}")]
    KeyTwice {
        /// Where it was seen first.
        first: String,
        /// Where again.
        second: String,
    },
    /// A member id that names something else.
    #[error("the member id {0} is reserved")]
    ReservedId(MemberId),
    /// Two open logs.
    #[error("member {member} has {open} open logs; one at most")]
    OpenLogs {
        /// The member.
        member: MemberId,
        /// Open logs.
        open: usize,
    },
    /// Spares follow the open log, and closed ones precede it.
    #[error(
        "member {member}: log {n} is out of place: closed logs come first, then the open one, then spares"
    )]
    LogOrder {
        /// The member.
        member: MemberId,
        /// The log.
        n: u32,
    },
    /// A member who left has a log that is not closed.
    #[error("member {member} left; its log {n} must be closed")]
    NotClosed {
        /// The member.
        member: MemberId,
        /// The log.
        n: u32,
    },
    /// Log numbers are 1, 2, 3 and so on.
    #[error("member {member}: log {got} stands where log {expected} must stand")]
    LogNumber {
        /// The member.
        member: MemberId,
        /// The number that must follow.
        expected: u32,
        /// Given.
        got: u32,
    },
    /// Closed at size 0 with another root than that of the empty tree.
    #[error("member {member}: log {n} is closed at size 0 with another root than the empty tree has")]
    EmptyRoot {
        /// The member.
        member: MemberId,
        /// The log.
        n: u32,
    },
    /// No roles.
    #[error("member {0} has no role; it needs one at least, such as observer")]
    NoRole(MemberId),
    /// A witness that is no active member with a cosigner key.
    #[error("witness {0} is not an active member with a cosigner key")]
    Witness(MemberId),
    /// A term of nobody, or one that ends before it begins.
    #[error("{right} {member}: a term is a listed member's, in a log from 1 on, and ends after it begins")]
    Term {
        /// Of which right.
        right: &'static str,
        /// Whose.
        member: MemberId,
    },
    /// So many panellists cannot, or must not be able to, rule.
    #[error(
        "a ruling by {needed} does not fit {panellists} panellists: more than half must state the same, so it takes {} to \
         {panellists}",
        .panellists / 2 + 1
    )]
    Panel {
        /// How many must state the same.
        needed: u8,
        /// Panellists whose terms go on.
        panellists: usize,
    },
    /// Panellists who rule by different numbers.
    #[error(
        "panellist {member} needs {needed} to rule, the ones before need {before}: the panel has one number"
    )]
    PanelNumber {
        /// Who differs.
        member: MemberId,
        /// From those before, who need so many.
        before: u8,
        /// By this.
        needed: u8,
    },
    /// A steward for a member who did not leave, or for itself.
    #[error("{member} cannot be a steward of {of}: stewards are named for others who left")]
    Steward {
        /// Whose records.
        of: MemberId,
        /// Who would retract them.
        member: MemberId,
    },
    /// A rejected version that cannot be a rival of an earlier one.
    #[error(
        "version {version} cannot reject a version {rejected}: rivals are of versions from 2 on, and older than this"
    )]
    Rejected {
        /// The version.
        version: u64,
        /// Which it rejects.
        rejected: u64,
    },
    /// Group numbers are 1, 2, 3 and so on.
    #[error("group {got} stands where group {expected} must stand")]
    GroupNumber {
        /// The number that must follow.
        expected: u32,
        /// Given.
        got: u32,
    },
    /// Two groups of one name.
    #[error("two groups have the name {0}")]
    GroupTwice(String),
    /// A group inside one that does not come before it.
    #[error("group {group} cannot be within {within}: the wider group comes first")]
    GroupWithin {
        /// The group.
        group: u32,
        /// The wider one.
        within: u32,
    },
    /// A member in a group that is not listed.
    #[error("member {member} is in group {group}, which is not listed")]
    NoGroup {
        /// The member.
        member: MemberId,
        /// The group.
        group: u32,
    },
    /// A member in a group, and not in the one around it.
    #[error("member {member} is in group {group} and not in group {within}, of which it is a part")]
    OuterGroup {
        /// The member.
        member: MemberId,
        /// The group.
        group: u32,
        /// The wider one.
        within: u32,
    },
    /// Records of a member who takes part cannot lapse.
    #[error("member {0} takes part: only records of a member who left can lapse")]
    Lapse(MemberId),
}

/// A place in a roster; its line follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Consortium,
    Version,
    Created,
    Expires,
    Previous,
    Rejected(usize),
    Threshold,
    Governance(usize),
    Taxonomy(usize),
    HashSet(usize),
    Retention,
    Hold,
    Feature(usize),
    Group(usize),
    Member(usize),
    InGroup(usize, u32),
    Card(usize),
    Cosigner(usize),
    History(usize),
    Agreement(usize),
    Records(usize),
    Log(usize, usize),
    Witness(usize),
    Eraser(usize),
    Panellist(usize),
    Declarer(usize),
    Steward(usize),
}

type Broken = (Place, RosterRule);

/// The first broken rule, and where.
pub(super) fn check(roster: &Roster) -> Result<(), Broken> {
    check_head(roster)?;
    rights::check_rejected(roster)?;
    check_governance(roster)?;
    check_taxonomies(roster)?;
    rights::check_hash_sets(roster)?;
    number(Place::Retention, "retention in seconds", roster.retention_s, 1, RETENTION_MAX_S)?;
    number(Place::Hold, "hold in seconds", roster.hold_s, 1, HOLD_MAX_S)?;
    rights::check_features(roster)?;
    rights::check_groups(roster)?;
    count("members", roster.members.len(), 1, MEMBERS_MAX, Place::Member)?;
    ascending("members", roster.members.iter().map(|member| member.id.as_str()), Place::Member)?;
    for (at, member) in roster.members.iter().enumerate() {
        check_member(at, member)?;
        rights::check_member(at, member, roster)?;
        check_logs(at, member)?;
    }
    check_witnesses(roster)?;
    rights::check_terms(roster)?;
    check_keys(roster)
}

fn check_head(roster: &Roster) -> Result<(), Broken> {
    check_consortium(&roster.consortium).map_err(|rule| (Place::Consortium, rule))?;
    if roster.version == 0 {
        return Err((Place::Version, RosterRule::VersionZero));
    }
    number(Place::Version, "version", roster.version, 1, TREE_SIZE_MAX)?;
    number(Place::Created, "creation in seconds", roster.created_s, 0, TIME_S_MAX)?;
    number(Place::Expires, "expiry in seconds", roster.expires_s, 0, TIME_S_MAX)?;
    if roster.expires_s <= roster.created_s {
        let rule = RosterRule::Expiry { created_s: roster.created_s, expires_s: roster.expires_s };
        return Err((Place::Expires, rule));
    }
    let has_previous = roster.previous.is_some();
    if has_previous != (roster.version > 1) {
        return Err((Place::Previous, RosterRule::Previous { version: roster.version, has_previous }));
    }
    Ok(())
}

fn check_governance(roster: &Roster) -> Result<(), Broken> {
    let keys = roster.governance.len();
    count("governance keys", keys, 1, GOVERNANCE_MAX, Place::Governance)?;
    let threshold = usize::from(roster.threshold);
    if threshold * 2 <= keys || threshold > keys {
        return Err((Place::Threshold, RosterRule::Threshold { threshold: roster.threshold, keys }));
    }
    for (at, key) in roster.governance.iter().enumerate() {
        word("governance name", &key.name).map_err(|rule| (Place::Governance(at), rule))?;
    }
    ascending("governance names", roster.governance.iter().map(|key| key.name.as_str()), Place::Governance)
}

fn check_taxonomies(roster: &Roster) -> Result<(), Broken> {
    count("taxonomies", roster.taxonomies.len(), 1, TAXONOMIES_MAX, Place::Taxonomy)?;
    for (at, taxonomy) in roster.taxonomies.iter().enumerate() {
        check_taxonomy(taxonomy).map_err(|rule| (Place::Taxonomy(at), rule))?;
    }
    ascending("taxonomies", roster.taxonomies.iter().map(String::as_str), Place::Taxonomy)
}

fn check_witnesses(roster: &Roster) -> Result<(), Broken> {
    count("witnesses", roster.witnesses.len(), 0, WITNESSES_MAX, Place::Witness)?;
    ascending("witnesses", roster.witnesses.iter().map(MemberId::as_str), Place::Witness)?;
    for (at, witness) in roster.witnesses.iter().enumerate() {
        let listed = roster.member(witness);
        if !listed.is_some_and(|member| member.is_active() && member.cosigner_key.is_some()) {
            return Err((Place::Witness(at), RosterRule::Witness(witness.clone())));
        }
    }
    Ok(())
}

fn check_consortium(id: &str) -> Result<(), RosterRule> {
    let refuse = || RosterRule::ConsortiumId(shown(id));
    let (name, random) = id.rsplit_once('-').ok_or_else(refuse)?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let name_fits =
        !name.is_empty() && name.len() <= CONSORTIUM_NAME_MAX_BYTES && name.bytes().all(is_id_byte);
    if name_fits && random.len() == 16 && random.bytes().all(is_hex) { Ok(()) } else { Err(refuse()) }
}

fn check_taxonomy(text: &str) -> Result<(), RosterRule> {
    let refuse = || RosterRule::Word { what: "taxonomy", given: shown(text), form: "<name>/<number>" };
    let (name, number) = text.split_once('/').ok_or_else(refuse)?;
    word("taxonomy", name)?;
    let number_fits = number.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == number);
    if number_fits { Ok(()) } else { Err(refuse()) }
}

fn check_member(at: usize, member: &Member) -> Result<(), Broken> {
    let refuse = |rule| Err((Place::Member(at), rule));
    if RESERVED_IDS.contains(&member.id.as_str()) {
        return refuse(RosterRule::ReservedId(member.id.clone()));
    }
    if !is_display_name(&member.name) {
        let form = "1 to 80 bytes, words with one space between them, without control or hidden characters";
        return refuse(RosterRule::Word { what: "member name", given: shown(&member.name), form });
    }
    if member.roles.is_empty() {
        return refuse(RosterRule::NoRole(member.id.clone()));
    }
    number(Place::History(at), "history start in seconds", member.history_start_s, 0, TIME_S_MAX)
}

/// One organisation, one way to show it: no white space but single inner spaces, nothing hidden.
fn is_display_name(name: &str) -> bool {
    let is_hidden = |c: char| HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c));
    !name.is_empty()
        && name.len() <= MEMBER_NAME_MAX_BYTES
        && name.split(' ').all(|word| !word.is_empty())
        && name.chars().all(|c| c == ' ' || !(c.is_whitespace() || c.is_control() || is_hidden(c)))
}

fn check_logs(at: usize, member: &Member) -> Result<(), Broken> {
    let logs = &member.logs;
    count("logs of a member", logs.len(), 0, LOGS_PER_MEMBER_MAX, |log| Place::Log(at, log))?;
    let mut open = 0;
    let mut before = 0;
    for ((log, entry), expected) in logs.iter().enumerate().zip(1..) {
        let place = Place::Log(at, log);
        check_log(member, entry, expected).map_err(|rule| (place, rule))?;
        open += usize::from(entry.status == LogStatus::Open);
        if open > 1 {
            return Err((place, RosterRule::OpenLogs { member: member.id.clone(), open }));
        }
        // Closed, open, spare: log numbers grow with time, and so does what they say.
        let stage = match entry.status {
            LogStatus::Closed { .. } => 0,
            LogStatus::Open => 1,
            LogStatus::Spare => 2,
        };
        if stage < before {
            return Err((place, RosterRule::LogOrder { member: member.id.clone(), n: entry.n }));
        }
        before = stage;
    }
    Ok(())
}

fn check_log(member: &Member, log: &LogEntry, expected: u32) -> Result<(), RosterRule> {
    let (id, n) = (|| member.id.clone(), log.n);
    if n != expected {
        return Err(RosterRule::LogNumber { member: id(), expected, got: n });
    }
    match log.status {
        LogStatus::Closed { size, .. } if size > TREE_SIZE_MAX => {
            Err(RosterRule::Number { what: "size of a closed log", got: size, min: 0, max: TREE_SIZE_MAX })
        }
        LogStatus::Closed { size: 0, root } if root != empty_root() => {
            Err(RosterRule::EmptyRoot { member: id(), n })
        }
        LogStatus::Closed { .. } => Ok(()),
        LogStatus::Open | LogStatus::Spare if !member.is_active() => {
            Err(RosterRule::NotClosed { member: id(), n })
        }
        LogStatus::Open | LogStatus::Spare => Ok(()),
    }
}

/// Whom a key speaks for, in which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyUse {
    Governance(String),
    Card(MemberId),
    Cosigner(MemberId),
    Log(MemberId, u32),
}

impl KeyUse {
    /// Whether one key may serve both over time: the same role for the same owner.
    pub(super) fn is_same_role(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Governance(_), Self::Governance(_))) || self == other
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Governance(name) => write!(f, "governance key {name}"),
            Self::Card(member) => write!(f, "card key of {member}"),
            Self::Cosigner(member) => write!(f, "cosigner key of {member}"),
            Self::Log(member, n) => write!(f, "log {member}/{n}"),
        }
    }
}

/// Every key of a roster, in the order of the text.
pub(super) fn keys(roster: &Roster) -> impl Iterator<Item = (PublicKey, KeyUse, Place)> {
    let governance = roster
        .governance
        .iter()
        .enumerate()
        .map(|(at, key)| (key.key, KeyUse::Governance(key.name.clone()), Place::Governance(at)));
    let members = roster.members.iter().enumerate().flat_map(|(at, member)| {
        let id = &member.id;
        let card = (member.card_key, KeyUse::Card(id.clone()), Place::Card(at));
        let cosigner =
            member.cosigner_key.map(|key| (key, KeyUse::Cosigner(id.clone()), Place::Cosigner(at)));
        let logs = member.logs.iter().enumerate();
        let logs =
            logs.map(move |(log, entry)| (entry.key, KeyUse::Log(id.clone(), entry.n), Place::Log(at, log)));
        std::iter::once(card).chain(cosigner).chain(logs)
    });
    governance.chain(members)
}

/// One key per role and owner: a signature made for one purpose must not serve another.
fn check_keys(roster: &Roster) -> Result<(), Broken> {
    let mut seen: BTreeMap<PublicKey, KeyUse> = BTreeMap::new();
    for (key, second, place) in keys(roster) {
        if let Some(first) = seen.insert(key, second.clone()) {
            return Err((
                place,
                RosterRule::KeyTwice { first: first.to_string(), second: second.to_string() },
            ));
        }
    }
    Ok(())
}

/// A governance or taxonomy name.
pub(super) fn word(what: &'static str, given: &str) -> Result<(), RosterRule> {
    if given.is_empty() || given.len() > MEMBER_ID_MAX || !given.bytes().all(is_id_byte) {
        return Err(RosterRule::Word { what, given: shown(given), form: "[a-z0-9-]{1,32}" });
    }
    Ok(())
}

/// The start of a text of unknown length, for a message.
pub(super) fn shown(given: &str) -> String {
    given.chars().take(80).collect()
}

fn number(place: Place, what: &'static str, got: u64, min: u64, max: u64) -> Result<(), Broken> {
    if (min..=max).contains(&got) { Ok(()) } else { Err((place, RosterRule::Number { what, got, min, max })) }
}

fn count(
    what: &'static str,
    got: usize,
    min: usize,
    max: usize,
    place: impl Fn(usize) -> Place,
) -> Result<(), Broken> {
    // The first that is too many, or the place where one is missing.
    let at = got.min(max);
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err((place(at), RosterRule::Count { what, got, min, max }))
    }
}

fn ascending<'a>(
    what: &'static str,
    list: impl Iterator<Item = &'a str>,
    place: impl Fn(usize) -> Place,
) -> Result<(), Broken> {
    let mut last: Option<&str> = None;
    for (at, word) in list.enumerate() {
        if last.is_some_and(|last| last >= word) {
            return Err((place(at), RosterRule::Order { what, at: word.to_owned() }));
        }
        last = Some(word);
    }
    Ok(())
}
