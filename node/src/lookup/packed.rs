//! What a record states, in few bytes, and back without a loss.
//!
//! Two parts. What many records have in common (kind, labels, review, organisation and list, hash set, incident and
//! other classes) is kept once and called by a number ([`Descriptions`]). What is a record's own stands in bytes:
//!
//! ```text
//!  0  1  flags: bit 0 = expires, 1 = subject, 2 = id of the source, 3 = date of the source,
//!        4 = preserved until, 5 = valid from, 6 = reports, 7 = what only its kind says
//!  1  1  signals        2  1  signals of unknown types
//!  …     signals: type 1, quality 1 (255 = not stated), value as wide as its type
//!  …     signals of unknown types: type 8, quality 1, length 2, value
//!  …     expires, seconds 8; subject: log id 32, leaf index 8; source: length 1, id; days 4
//!  …     preserved until, seconds 8; valid from, seconds 8; reports: number 1, each to 8, month 4
//!  …     what only its kind says: length 2, bytes as the protocol keeps them, without values of sketches
//! ```
//!
//! Big-endian. The bytes live as long as the process and are written and read here only, so what cannot be
//! read is a fault of ours.

use hashpact_core::view::Stated;
use hashpact_protocol::digest::{DIGEST_BYTES, LogId};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::IncidentId;
use hashpact_protocol::record::{
    Content, Date, Detail, Handling, Label, Labels, Month, Report, Review, Signal, SignalType, Source,
    SubjectRef, Token, UnknownFields, UnknownSignal,
};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

const HAS_EXPIRY: u8 = 1;
const HAS_SUBJECT: u8 = 2;
const HAS_SOURCE_ID: u8 = 4;
const HAS_SOURCE_DATE: u8 = 8;
const HAS_PRESERVED: u8 = 16;
const HAS_VALID_FROM: u8 = 32;
const HAS_REPORTS: u8 = 64;
const HAS_DETAIL: u8 = 128;
const NO_QUALITY: u8 = u8::MAX;
const REPORT_BYTES: usize = 12;

/// What many records have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Description {
    kind: Kind,
    /// What it is a statement about: its kind, or what a `supersede` says.
    about: Kind,
    is_registration: bool,
    labels: Labels,
    /// Who looked at it.
    pub(super) review: Label<Review>,
    /// Without id and date.
    source: Option<Source>,
    /// Hash set, incident and classes; nothing else of it.
    handling: Option<Box<Handling>>,
    unknown: UnknownFields,
}

/// The part of what is known beside the labels that many records have in common.
fn common(handling: Option<&Handling>) -> Option<Box<Handling>> {
    let Handling { hash_set, incident, classes, .. } = handling?;
    let common = Handling {
        hash_set: hash_set.clone(),
        incident: *incident,
        classes: classes.clone(),
        ..Handling::default()
    };
    (common != Handling::default()).then(|| Box::new(common))
}

impl Description {
    fn of(stated: &Stated) -> Self {
        let Content { labels, review, source, handling, unknown, .. } = &stated.content;
        let source = source.as_ref().map(|source| Source { id: None, date: None, ..source.clone() });
        Self {
            kind: stated.kind,
            about: stated.content.kind(),
            is_registration: stated.content.is_registration(),
            labels: labels.clone(),
            review: *review,
            source,
            handling: common(handling.as_deref()),
            unknown: unknown.clone(),
        }
    }

    fn is_of(&self, stated: &Stated) -> bool {
        let Content { labels, review, source, handling, unknown, .. } = &stated.content;
        let is_same_handling = match (&self.handling, handling) {
            (None, None) => true,
            (held, stated) => *held == common(stated.as_deref()),
        };
        let is_same_source = match (&self.source, source) {
            (Some(held), Some(source)) => {
                held.organisation == source.organisation
                    && held.list == source.list
                    && held.unknown == source.unknown
            }
            (None, None) => true,
            _ => false,
        };
        self.kind == stated.kind
            && self.about == stated.content.kind()
            && self.is_registration == stated.content.is_registration()
            && self.review == *review
            && is_same_source
            && is_same_handling
            && self.labels == *labels
            && self.unknown == *unknown
    }

    /// What it is a statement about.
    pub(super) const fn about(&self) -> Kind {
        self.about
    }

    /// The kind of its leaf.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it says that a model is benign.
    pub(super) const fn is_registration(&self) -> bool {
        self.is_registration
    }

    /// Its labels.
    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Hash set that its author put it into.
    pub(super) fn hash_set(&self) -> Option<&str> {
        Some(self.handling.as_ref()?.hash_set.as_ref()?.as_str())
    }

    /// Incident that it belongs to.
    pub(super) fn incident(&self) -> Option<IncidentId> {
        self.handling.as_ref()?.incident
    }

    /// The organisation that stated it originally, if the author names one.
    pub(super) fn organisation(&self) -> Option<&str> {
        self.source.as_ref().map(|source| source.organisation.as_str())
    }
}

/// Descriptions by number, each once.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    all: Vec<Description>,
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<u32>>,
    /// What came last often comes again.
    last: u32,
}

impl Descriptions {
    /// The number of what this record has in common with others.
    pub(super) fn number(&mut self, stated: &Stated) -> u32 {
        if self.all.get(self.last as usize).is_some_and(|held| held.is_of(stated)) {
            return self.last;
        }
        let Content { labels, review, source, handling, .. } = &stated.content;
        let source = source.as_ref().map(|source| (&source.organisation, &source.list));
        let handling = handling.as_deref().map(|held| (&held.hash_set, held.incident, &held.classes));
        let handling = handling.filter(|held| *held != (&None, None, &Vec::new()));
        let numbers =
            self.by_hash.entry(self.hasher.hash_one((labels, review, source, handling))).or_default();
        let all = &mut self.all;
        let known = numbers.iter().copied().find(|number| all[*number as usize].is_of(stated));
        self.last = known.unwrap_or_else(|| {
            let number = u32::try_from(all.len()).expect("there are fewer than 2^32 records");
            all.push(Description::of(stated));
            numbers.push(number);
            number
        });
        self.last
    }

    /// The description with this number.
    pub(super) fn get(&self, number: u32) -> &Description {
        &self.all[number as usize]
    }
}

/// Appends what is this record's own.
pub(super) fn pack(content: &Content, out: &mut Vec<u8>) {
    let source_id = content.source.as_ref().and_then(|source| source.id.as_ref());
    let source_date = content.source.as_ref().and_then(|source| source.date);
    let handling = content.handling.as_deref();
    let preserved_until_s = handling.and_then(|handling| handling.preserved_until_s);
    let valid_from_s = handling.and_then(|handling| handling.valid_from_s);
    let reports = handling.map_or(&[] as &[Report], |handling| &handling.reports);
    let flag = |is_there, flag| if is_there { flag } else { 0 };
    out.push(
        flag(content.expires_s.is_some(), HAS_EXPIRY)
            | flag(content.subject.is_some(), HAS_SUBJECT)
            | flag(source_id.is_some(), HAS_SOURCE_ID)
            | flag(source_date.is_some(), HAS_SOURCE_DATE)
            | flag(preserved_until_s.is_some(), HAS_PRESERVED)
            | flag(valid_from_s.is_some(), HAS_VALID_FROM)
            | flag(!reports.is_empty(), HAS_REPORTS)
            | flag(content.detail.is_some(), HAS_DETAIL),
    );
    // A record has at most 64 of both, a token at most 64 bytes, an unknown value 256: see the protocol.
    out.push(u8::try_from(content.signals.len()).expect("bounded"));
    out.push(u8::try_from(content.unknown_signals.len()).expect("bounded"));
    for signal in &content.signals {
        out.extend([signal.kind().code(), signal.quality().unwrap_or(NO_QUALITY)]);
        out.extend(signal.value());
    }
    for UnknownSignal { code, value, quality } in &content.unknown_signals {
        out.extend(code.to_be_bytes());
        out.push(quality.unwrap_or(NO_QUALITY));
        out.extend(u16::try_from(value.len()).expect("bounded").to_be_bytes());
        out.extend(value);
    }
    if let Some(expires_s) = content.expires_s {
        out.extend(expires_s.to_be_bytes());
    }
    if let Some(SubjectRef { log, index }) = content.subject {
        out.extend(log.as_bytes());
        out.extend(index.to_be_bytes());
    }
    if let Some(id) = source_id {
        out.push(u8::try_from(id.as_str().len()).expect("bounded"));
        out.extend(id.as_str().as_bytes());
    }
    if let Some(date) = source_date {
        out.extend(u32::try_from(date.days()).expect("before the year 10000").to_be_bytes());
    }
    for time_s in [preserved_until_s, valid_from_s].into_iter().flatten() {
        out.extend(time_s.to_be_bytes());
    }
    if !reports.is_empty() {
        out.push(u8::try_from(reports.len()).expect("bounded"));
        for report in reports {
            out.extend(report.to.code().to_be_bytes());
            out.extend(report.month.months().to_be_bytes());
        }
    }
    if let Some(detail) = &content.detail {
        let kept = detail.to_kept();
        // Without values of sketches it is a few hundred bytes, and never more than its payload.
        out.extend(u16::try_from(kept.len()).expect("bounded").to_be_bytes());
        out.extend(kept);
    }
}

/// The signals in packed bytes.
pub(super) fn signals(packed: &[u8]) -> impl Iterator<Item = Signal> {
    let mut reader = Reader(packed);
    let [_, count, _] = reader.take();
    (0..count).map(move |_| reader.signal())
}

/// What only the kind of the record says, in packed bytes.
pub(super) fn detail(packed: &[u8], description: &Description) -> Option<Detail> {
    let [flags, ..] = packed else { return None };
    if flags & HAS_DETAIL == 0 {
        return None;
    }
    unpack(packed, description, 0).content.detail.map(|detail| *detail)
}

/// What was packed, together with its description.
pub(super) fn unpack(packed: &[u8], description: &Description, time_ms: u64) -> Stated {
    let mut reader = Reader(packed);
    let [flags, count, unknown_count] = reader.take();
    let signals = (0..count).map(|_| reader.signal()).collect();
    let unknown_signals = (0..unknown_count).map(|_| reader.unknown_signal()).collect();
    let expires_s = (flags & HAS_EXPIRY != 0).then(|| u64::from_be_bytes(reader.take()));
    let subject = (flags & HAS_SUBJECT != 0)
        .then(|| SubjectRef { log: LogId::new(reader.take()), index: u64::from_be_bytes(reader.take()) });
    let id = (flags & HAS_SOURCE_ID != 0).then(|| reader.token());
    let date = (flags & HAS_SOURCE_DATE != 0).then(|| reader.date());
    let source = description.source.clone().map(|source| Source { id, date, ..source });
    let mut handling = description.handling.clone();
    if flags & (HAS_PRESERVED | HAS_VALID_FROM | HAS_REPORTS) != 0 {
        let handling = handling.get_or_insert_default();
        handling.preserved_until_s = (flags & HAS_PRESERVED != 0).then(|| u64::from_be_bytes(reader.take()));
        handling.valid_from_s = (flags & HAS_VALID_FROM != 0).then(|| u64::from_be_bytes(reader.take()));
        if flags & HAS_REPORTS != 0 {
            let [count] = reader.take();
            handling.reports = (0..count).map(|_| reader.report()).collect();
        }
    }
    let detail = (flags & HAS_DETAIL != 0).then(|| Box::new(reader.detail(description.about)));
    let Description { kind, labels, review, unknown, .. } = description;
    let content = Content {
        subject,
        signals,
        unknown_signals,
        labels: labels.clone(),
        review: *review,
        source,
        expires_s,
        handling,
        detail,
        unknown: unknown.clone(),
    };
    Stated { kind: *kind, time_ms, content }
}

/// Length of what one record of kind `content` was packed to at the beginning of these bytes, and when it expires, in seconds;
/// `None` if none packs to them.
pub(super) fn measure(packed: &[u8]) -> Option<(usize, Option<u64>)> {
    let ([flags, count, unknown_count], mut rest) = packed.split_first_chunk()?;
    let has = |flag| flags & flag != 0;
    for _ in 0..*count {
        let ([code, quality], after) = rest.split_first_chunk()?;
        let kind = SignalType::from_code((*code).into())?;
        let (value, after) = after.split_at_checked(kind.width_bytes())?;
        Signal::new(kind, value, stated(*quality)).ok()?;
        rest = after;
    }
    for _ in 0..*unknown_count {
        (_, rest) = after_length(rest.get(size_of::<u64>() + 1..)?)?;
    }
    let mut expires_s = None;
    if has(HAS_EXPIRY) {
        let (seconds, after) = rest.split_first_chunk()?;
        (expires_s, rest) = (Some(u64::from_be_bytes(*seconds)), after);
    }
    if has(HAS_SUBJECT) {
        rest = rest.get(DIGEST_BYTES + size_of::<u64>()..)?;
    }
    if has(HAS_SOURCE_ID) {
        let ([length], after) = rest.split_first_chunk()?;
        let (id, after) = after.split_at_checked((*length).into())?;
        Token::check(std::str::from_utf8(id).ok()?).ok()?;
        rest = after;
    }
    if has(HAS_SOURCE_DATE) {
        let (days, after) = rest.split_first_chunk()?;
        Date::from_days(u32::from_be_bytes(*days).into()).ok()?;
        rest = after;
    }
    let times = usize::from(has(HAS_PRESERVED)) + usize::from(has(HAS_VALID_FROM));
    rest = rest.get(times * size_of::<u64>()..)?;
    if has(HAS_REPORTS) {
        let ([count], after) = rest.split_first_chunk()?;
        let (reports, after) = after.split_at_checked(usize::from(*count) * REPORT_BYTES)?;
        for report in reports.as_chunks::<REPORT_BYTES>().0 {
            let month = report.last_chunk().map(|month| u32::from_be_bytes(*month))?;
            Month::from_months(month.into()).ok()?;
        }
        rest = after;
    }
    if has(HAS_DETAIL) {
        let (kept, after) = after_length(rest)?;
        Detail::from_kept(Kind::Content, kept)?;
        rest = after;
    }
    Some((packed.len() - rest.len(), expires_s))
}

/// As many bytes as a length of two bytes says, and what stands behind them.
fn after_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

const OWN: &str = "bytes that were packed here";

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect(OWN);
        self.0 = rest;
        *taken
    }

    fn bytes(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at_checked(count).expect(OWN);
        self.0 = rest;
        taken
    }

    fn signal(&mut self) -> Signal {
        let [code, quality] = self.take();
        let kind = SignalType::from_code(code.into()).expect(OWN);
        Signal::new(kind, self.bytes(kind.width_bytes()), stated(quality)).expect(OWN)
    }

    fn unknown_signal(&mut self) -> UnknownSignal {
        let code = u64::from_be_bytes(self.take());
        let [quality] = self.take();
        let length = u16::from_be_bytes(self.take());
        UnknownSignal { code, value: self.bytes(length.into()).to_vec(), quality: stated(quality) }
    }

    fn token(&mut self) -> Token {
        let [length] = self.take();
        let text = std::str::from_utf8(self.bytes(length.into())).expect(OWN);
        Token::new(text).expect(OWN)
    }

    fn report(&mut self) -> Report {
        let to = Label::from_code(u64::from_be_bytes(self.take()));
        Report { to, month: Month::from_months(u32::from_be_bytes(self.take()).into()).expect(OWN) }
    }

    fn detail(&mut self, about: Kind) -> Detail {
        let length = u16::from_be_bytes(self.take());
        Detail::from_kept(about, self.bytes(length.into())).expect(OWN)
    }

    fn date(&mut self) -> Date {
        Date::from_days(u32::from_be_bytes(self.take()).into()).expect(OWN)
    }
}

fn stated(quality: u8) -> Option<u8> {
    (quality != NO_QUALITY).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::record::{
        Activity, Dataset, EvidenceSet, Genmeta, IncidentId, Model, ModelRole, Origin, OtherClass,
        ReportedTo, Scheme, TechniqueId, Tlp, Ttp, Vocabulary as _,
    };
    use proptest::prelude::*;

    fn signal() -> impl Strategy<Value = Signal> {
        (1..=5_u64, any::<[u8; 32]>(), prop::option::of(0..=100_u8)).prop_map(|(code, value, quality)| {
            let kind = SignalType::from_code(code).expect("there are five");
            let value: Vec<u8> = value.iter().cycle().take(kind.width_bytes()).copied().collect();
            Signal::new(kind, &value, quality.filter(|_| kind.has_quality())).expect("valid")
        })
    }

    fn source() -> impl Strategy<Value = Source> {
        let token = || "[a-z0-9._-]{1,64}".prop_map(|text| Token::new(&text).expect("valid"));
        let date = (0..2_932_896_u64).prop_map(|days| Date::from_days(days).expect("valid"));
        (token(), prop::option::of(token()), prop::option::of(token()), prop::option::of(date))
            .prop_map(|(organisation, list, id, date)| Source { list, id, date, ..Source::new(organisation) })
    }

    fn handling() -> impl Strategy<Value = Option<Box<Handling>>> {
        let times = (prop::option::of(1..9_u64), prop::option::of(1..9_u64));
        let parts = (prop::option::of(any::<[u8; 16]>()), prop::option::of("[a-z]{1,3}"), times);
        let lists =
            (prop::collection::vec((0..9_u64, 0..99_u64), 0..3), prop::collection::vec("[a-z]{1,3}", 0..3));
        (parts, lists).prop_filter_map("twice", |((incident, hash_set, times), (reports, classes))| {
            let report = |(to, month)| Report {
                to: Label::<ReportedTo>::from_code(to),
                month: Month::from_months(month).expect("a month"),
            };
            let class = |class: String| OtherClass::new(Scheme::Iwf, "1", &class).expect("an id");
            let handling = Handling {
                hash_set: hash_set.map(|text| Token::new(&text).expect("valid")),
                reports: reports.into_iter().map(report).collect(),
                preserved_until_s: times.0,
                valid_from_s: times.1,
                incident: incident.map(IncidentId::new),
                classes: classes.into_iter().map(class).collect(),
            };
            handling.boxed().ok()
        })
    }

    fn detail() -> impl Strategy<Value = Option<Box<Detail>>> {
        let month = Month::from_months(682).expect("a month");
        let technique = |number| TechniqueId::from_number(number).expect("a number");
        let model = (any::<u64>(), 0..4_u64).prop_map(|(parameters, role)| {
            let role = ModelRole::from_code(role).expect("a role");
            Detail::Model(Model { parameters, role, vector_count: 3, ..Model::default() })
        });
        let ttp = (1..99_u64).prop_map(move |number| Detail::Ttp(Ttp::new(technique(number), month)));
        let genmeta = (1..9_u64).prop_map(|steps| Detail::Genmeta(Genmeta { steps, ..Genmeta::default() }));
        let items = (1..9_u64).prop_map(|items| Detail::Dataset(Dataset { items, ..Dataset::default() }));
        prop::option::of(prop_oneof![model, ttp, genmeta, items].prop_map(Box::new))
    }

    prop_compose! {
        fn content()(
            signals in prop::collection::vec(signal(), 0..4),
            unknown_signals in prop::collection::vec((6..99_u64, any::<Vec<u8>>(), prop::option::of(0..=100_u8)), 0..3),
            subject in prop::option::of((any::<[u8; 32]>(), any::<u64>())),
            (labels, review) in (any::<[u8; 3]>(), 0..9_u64),
            source in prop::option::of(source()),
            (expires_s, handling, detail) in (prop::option::of(any::<u64>()), handling(), detail()),
            unknown in prop::collection::btree_map(any::<u64>(), any::<u64>().prop_map(hashpact_protocol::codec::Int::Unsigned), 0..2),
        ) -> Content {
            let unknown_signals = unknown_signals.into_iter()
                .map(|(code, value, quality)| UnknownSignal { code, value, quality }).collect();
            let labels = Labels {
                origin: Label::<Origin>::from_code(labels[0].into()),
                activity: Label::<Activity>::from_code(labels[1].into()),
                evidence: EvidenceSet::from_bits(labels[2].into()),
                tlp: Label::<Tlp>::from_code(labels[2].into()),
                ..Labels::default()
            };
            let subject = subject.map(|(log, index)| SubjectRef { log: LogId::new(log), index });
            let review = Label::from_code(review);
            Content { subject, signals, unknown_signals, labels, review, source, expires_s, handling, detail, unknown }
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back_whole(contents in prop::collection::vec(content(), 1..8)) {
            let mut descriptions = Descriptions::default();
            let mut bytes = Vec::new();
            let places: Vec<_> = contents.iter().map(|content| {
                let stated = Stated { kind: Kind::Content, time_ms: 7, content: content.clone() };
                let at = bytes.len();
                pack(content, &mut bytes);
                (at, descriptions.number(&stated))
            }).collect();
            for (content, (at, number)) in contents.iter().zip(places) {
                let description = descriptions.get(number);
                let unpacked = unpack(&bytes[at..], description, 7);
                prop_assert_eq!(&unpacked.content, content);
                prop_assert_eq!(signals(&bytes[at..]).collect::<Vec<_>>(), content.signals.clone());
                if content.kind() == Kind::Content {
                    let (length, expires_s) = measure(&bytes[at..]).expect("packed here");
                    prop_assert_eq!(expires_s, content.expires_s);
                    prop_assert_eq!(measure(&bytes[at..at + length]), Some((length, expires_s)));
                    prop_assert_eq!(measure(&bytes[at..at + length - 1]), None, "cut off");
                }
                prop_assert_eq!(descriptions.number(&unpacked), number, "once each");
            }
        }
    }
}
