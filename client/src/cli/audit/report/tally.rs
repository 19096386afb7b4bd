//! Counting while a bundle is verified.
//!
//! Memory grows with the records (about 100 bytes each): who opened a dispute must be brought together with what
//! its author did about it, and equal signals of two members with each other. Signals are kept as 64 bits of a keyed
//! hash, which cannot be printed.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher as _;

use hashpact_protocol::api::time::rfc3339_seconds;
use hashpact_protocol::bundle::{Cosigned, Entry, EntryPayload, Findings, Visitor};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf};
use hashpact_protocol::record::{Content, OpinionValue, Payload, Record, Vocabulary};

/// What one member did, or what was done about its records, in one month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// Records stated: content, models, datasets, services, procedures.
    pub(super) contributed: u64,
    /// Opinions of other members' records.
    pub(super) opinions: u64,
    /// Own records withdrawn.
    pub(super) retracted: u64,
    /// Own records replaced.
    pub(super) corrected: u64,
    /// Own records of which a first member disagreed.
    pub(super) disputed: u64,
    /// Erasure orders about own records.
    pub(super) erased: u64,
}

/// One dispute: from the first disagreement until nobody disagrees, or the author withdrew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispute {
    pub(super) member: String,
    pub(super) opened_ms: u64,
    /// When, and how: `retracted` or `agreed`.
    pub(super) resolved: Option<(u64, &'static str)>,
}

/// What the report shows.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// By member and month (`2026-01`).
    pub(super) activity: BTreeMap<(String, String), Activity>,
    pub(super) members: BTreeSet<String>,
    pub(super) months: BTreeSet<String>,
    pub(super) disputes: Vec<Dispute>,
    /// By field and word: records.
    pub(super) labels: BTreeMap<(&'static str, &'static str), u64>,
    /// Signals that so many independent sources stated.
    pub(super) sources: BTreeMap<usize, u64>,
    /// Signals that both members stated; of one member with itself: all of its own.
    pub(super) overlap: BTreeMap<(String, String), u64>,
    /// Records whose payload was read, and those whose was not.
    pub(super) read: u64,
    pub(super) unread: u64,
    /// The newest time that any entry or cosignature states.
    pub(super) newest_ms: u64,
}

/// A record that may be disputed.
struct Stated {
    member: u16,
}

/// Statements about one record.
#[derive(Default)]
struct About {
    /// Time, who, whether it is a disagreement.
    opinions: Vec<(u64, u16, bool)>,
    retracted: Option<(u64, u16)>,
    erased: Option<u64>,
}

/// Counts entries as they come.
#[derive(Default)]
pub(super) struct Tally {
    summary: Summary,
    names: Vec<String>,
    organisations: HashMap<String, u32>,
    records: HashMap<[u8; 16], Stated>,
    about: HashMap<[u8; 16], About>,
    signals: HashMap<u64, (BTreeSet<u16>, BTreeSet<u32>), Keyless>,
    key: RandomState,
    month: (u64, String),
}

/// The keys are hashes already.
type Keyless = std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>;

impl Visitor for Tally {
    fn entry(&mut self, entry: &Entry<'_>) {
        let EntryLeaf::Known(leaf) = &entry.leaf else { return };
        let member = self.member(entry.log.member.as_str());
        self.summary.newest_ms = self.summary.newest_ms.max(leaf.time_ms);
        let payload = match &entry.payload {
            EntryPayload::Present(Some(payload)) => Some(payload.as_ref()),
            _ => None,
        };
        match leaf.kind {
            Kind::Content | Kind::Model | Kind::Dataset | Kind::Service | Kind::Ttp | Kind::Supersede => {
                let activity = self.activity(member, leaf.time_ms);
                match leaf.kind {
                    Kind::Supersede => activity.corrected += 1,
                    _ => activity.contributed += 1,
                }
                self.records.insert(short(&entry.id), Stated { member });
                match payload {
                    Some(Payload::Record(Record::Content(content) | Record::Supersede(content))) => {
                        self.content(member, content);
                    }
                    _ => self.summary.unread += 1,
                }
            }
            _ => self.statement(member, leaf, payload),
        }
    }

    fn cosignature(&mut self, cosigned: &Cosigned<'_>) {
        self.summary.newest_ms = self.summary.newest_ms.max(cosigned.time_s.saturating_mul(1000));
    }
}

impl Tally {
    /// Brings statements together with what they are about.
    pub(super) fn finish(mut self, findings: &Findings) -> Summary {
        for log in &findings.logs {
            self.summary.members.insert(log.log.member.to_string());
        }
        let about: Vec<([u8; 16], About)> = self.about.drain().collect();
        for (record, about) in about {
            let Some(author) = self.records.get(&record).map(|stated| stated.member) else { continue };
            if let Some(time_ms) = about.erased {
                self.activity(author, time_ms).erased += 1;
            }
            if let Some(dispute) = self.dispute(author, about) {
                self.activity(author, dispute.opened_ms).disputed += 1;
                self.summary.disputes.push(dispute);
            }
        }
        self.summary.disputes.sort_by(|a, b| (a.opened_ms, &a.member).cmp(&(b.opened_ms, &b.member)));
        for (members, sources) in std::mem::take(&mut self.signals).into_values() {
            *self.summary.sources.entry(sources.len()).or_default() += 1;
            for a in &members {
                for b in members.iter().filter(|b| *b >= a) {
                    let pair = (self.name(*a), self.name(*b));
                    *self.summary.overlap.entry(pair).or_default() += 1;
                }
            }
        }
        self.summary
    }

    fn member(&mut self, name: &str) -> u16 {
        let at = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        u16::try_from(at).expect("a roster has at most 256 members")
    }

    fn name(&self, member: u16) -> String {
        self.names.get(usize::from(member)).cloned().unwrap_or_default()
    }

    fn activity(&mut self, member: u16, time_ms: u64) -> &mut Activity {
        let day = time_ms / 86_400_000;
        if self.month.0 != day || self.month.1.is_empty() {
            self.month = (day, rfc3339_seconds(time_ms / 1000)[..7].to_owned());
        }
        let month = self.month.1.clone();
        if !self.summary.months.contains(&month) {
            self.summary.months.insert(month.clone());
        }
        let name = self.name(member);
        self.summary.activity.entry((name, month)).or_default()
    }

    fn content(&mut self, member: u16, content: &Content) {
        self.summary.read += 1;
        let labels = &content.labels;
        let words = [
            ("origin", labels.origin.get().name()),
            ("realism", labels.realism.get().name()),
            ("activity", labels.activity.get().name()),
            ("age_group", labels.age_group.get().name()),
            ("likeness", labels.likeness.get().name()),
            ("review", content.review.get().name()),
            ("industry_class", labels.industry_class().unwrap_or("none")),
            ("tlp", labels.tlp.get().name()),
        ];
        for word in words {
            *self.summary.labels.entry(word).or_default() += 1;
        }
        let source = match &content.source {
            Some(source) => format!("organisation {}", source.organisation.as_str()),
            None => format!("member {}", self.name(member)),
        };
        let next = u32::try_from(self.organisations.len()).unwrap_or(u32::MAX);
        let source = *self.organisations.entry(source).or_insert(next);
        for signal in &content.signals {
            let hash = self.key.hash_one((signal.kind().code(), signal.value()));
            let (members, sources) = self.signals.entry(hash).or_default();
            members.insert(member);
            sources.insert(source);
        }
    }

    /// An entry about another one.
    fn statement(&mut self, member: u16, leaf: &Leaf, payload: Option<&Payload>) {
        let Some(subject) = leaf.subject.as_ref().map(short) else { return };
        let time_ms = leaf.time_ms;
        match (leaf.kind, payload) {
            (Kind::Opinion, payload) => {
                self.activity(member, time_ms).opinions += 1;
                if let Some(Payload::Record(Record::Opinion(opinion))) = payload {
                    let disagrees = opinion.opinion == OpinionValue::Disagree;
                    self.about.entry(subject).or_default().opinions.push((time_ms, member, disagrees));
                }
            }
            (Kind::Retraction, _) => {
                self.activity(member, time_ms).retracted += 1;
                let retracted = &mut self.about.entry(subject).or_default().retracted;
                *retracted = Some(retracted.map_or((time_ms, member), |first| first.min((time_ms, member))));
            }
            (Kind::Erasure, _) => {
                let erased = &mut self.about.entry(subject).or_default().erased;
                *erased = Some(erased.map_or(time_ms, |first| first.min(time_ms)));
            }
            _ => {}
        }
    }

    /// The dispute about a record, if other members ever disagreed.
    fn dispute(&self, author: u16, mut about: About) -> Option<Dispute> {
        about.opinions.retain(|(_, member, _)| *member != author);
        about.opinions.sort_unstable();
        let opened_ms = about.opinions.iter().find(|(_, _, disagrees)| *disagrees)?.0;
        let mut against: BTreeSet<u16> = BTreeSet::new();
        let mut agreed = None;
        for (time_ms, member, disagrees) in &about.opinions {
            if *disagrees {
                against.insert(*member);
                agreed = None;
            } else if against.remove(member) && against.is_empty() {
                agreed = Some((*time_ms, "agreed"));
            }
        }
        // Only the author can withdraw; what came before the dispute was not about it.
        let retracted =
            about.retracted.filter(|(time_ms, member)| *member == author && *time_ms >= opened_ms);
        let retracted = retracted.map(|(time_ms, _)| (time_ms, "retracted"));
        let resolved = [agreed, retracted].into_iter().flatten().min();
        Some(Dispute { member: self.name(author), opened_ms, resolved })
    }
}

/// Enough of an id to tell records of one bundle apart.
fn short(id: &RecordId) -> [u8; 16] {
    *id.as_bytes().first_chunk().expect("an id has 32 bytes")
}
