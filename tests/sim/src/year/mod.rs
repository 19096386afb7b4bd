//! A year of a consortium of twelve members, from one seed: what its people do, what goes wrong, and what every
//! honest member must see of it.
//!
//! The script decides with dice of its own, and repeats what a crash or a lost message swallowed until it is done. So
//! what happens in a year follows from the seed alone, whatever the weather in the network; so does the report. Between
//! the episodes time jumps by days; within them it runs.
//!
//! Months are of thirty days. Each episode says what it does ([`Year::note`]) and waits until every honest member sees
//! what must follow; what must not happen is checked by the world after every step. In the end all members' views
//! are compared, record by record.

mod acts;
mod apart;
mod checks;
mod desk;
mod governance;
mod judging;
mod ledger;
mod passing;
mod removal;
mod report;
mod theft;

use crate::founding::Founding;
use crate::random::Random;
use crate::world::{Faults, World};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::keys::SecretKey;
use ledger::Ledger;
use report::Notes;

/// Members at the founding, in the order of their nodes; the first three are the review panel, the first is an erasure
/// authority, the second declares incidents.
const NAMES: [&str; 12] = [
    "aurora", "beacon", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper", "krill",
    "lumen",
];
const AURORA: usize = 0;
const BEACON: usize = 1;
const COBALT: usize = 2;
const DELTA: usize = 3;
const EMBER: usize = 4;
const FJORD: usize = 5;
const GROVE: usize = 6;
const HARBOR: usize = 7;
const ISLAND: usize = 8;
const JUNIPER: usize = 9;
const KRILL: usize = 10;
const LUMEN: usize = 11;

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Messages get lost and are late, and peers leave payloads out, all year.
const WEATHER: Faults = Faults { loss: 40, delay_max_ms: 120, crash: 0, cut: 0, bare: 8, partition: 0 };

/// A year under way.
struct Year {
    world: World,
    /// The script's own dice.
    dice: Random,
    ledger: Ledger,
    notes: Notes,
    /// Hears of every note at once.
    tell: fn(&str),
    /// Governance keys by name, those that are at hand.
    keys: Vec<(String, SecretKey)>,
    /// When each node's card was signed last.
    carded_ms: Vec<u64>,
    /// A record that was retracted in the third month.
    rotated: Option<RecordId>,
    /// A record of the ninth month that expires in the eleventh.
    mortal: Option<RecordId>,
}

/// A year that has passed.
pub struct Passed {
    /// What happened, month by month, for people: the same for one seed whatever the network did.
    pub report: String,
    /// Of all that every member sees, at the end of each month: the same for one seed and one version of the code.
    pub digests: Vec<String>,
    /// What the network and the machines did.
    pub weather: crate::Report,
}

/// Lets a year pass; `tell` hears what happens while it does.
///
/// # Panics
/// Something happened that must not, or did not happen that must.
#[must_use]
pub fn pass(seed: u64, tell: fn(&str)) -> Passed {
    let mut year = Year::found(seed, tell);
    let months: [(&str, fn(&mut Year)); 12] = [
        ("twelve members begin", Year::founding),
        ("a member joins", Year::joining),
        ("a member rotates its keys", Year::rotation),
        ("governance keys are lost", Year::lost_keys),
        ("a contributor is compromised", Year::compromise),
        ("payloads are erased", Year::erasures),
        ("an incident", Year::incident),
        ("a machine is stolen", Year::theft),
        ("the roster expires", Year::expiry),
        ("two members leave", Year::leaving),
        ("the consortium is parted", Year::partition),
        ("the year closes", Year::closing),
    ];
    for (number, (title, episode)) in (0..).zip(months) {
        year.pass_to(number * 30);
        year.notes.begin(title);
        tell(&format!("Month {}: {title}", number + 1));
        episode(&mut year);
        year.end_month();
    }
    year.check_all();
    let report = year.report(seed);
    Passed { report, digests: year.notes.digests, weather: year.world.report }
}

impl Year {
    /// Founds the consortium of a seed and starts its nodes.
    fn found(seed: u64, tell: fn(&str)) -> Self {
        let mut random = Random::new(seed);
        let (founding, keys) = governance::found(&mut random);
        let members = founding.members.len();
        let dice = Random::new(random.bits());
        let mut world = World::of(founding, random, None, WEATHER);
        for node in 0..members {
            world.start(node);
        }
        world.run(4 * SECOND_MS);
        Self {
            world,
            dice,
            ledger: Ledger::default(),
            notes: Notes::default(),
            tell,
            keys,
            carded_ms: vec![Founding::NOW_MS; members],
            rotated: None,
            mortal: None,
        }
    }

    /// Days since the founding, begun ones not counted.
    fn day(&self) -> u64 {
        (self.world.now_ms - Founding::NOW_MS) / DAY_MS
    }

    fn name(&self, node: usize) -> String {
        self.world.nodes[node].member.id.to_string()
    }

    fn note(&mut self, text: impl Into<String>) {
        let (day, text) = (self.day(), text.into());
        (self.tell)(&format!("day {day}: {text}"));
        self.notes.add(day, text);
    }
}
