//! Rules of records: of values that can be checked alone, and of payloads as a whole.

use super::signal::SignalType;
use crate::api::time::TimeError;
use crate::digest::HexError;
use crate::leaf::Kind;
use crate::limits::{
    CLASS_ID_MAX_BYTES, CLASSES_PER_RECORD_MAX, INCIDENT_ID_BYTES, MODEL_PARTS_MAX, QUALITY_MAX,
    RECEIPT_GAPS_MAX, RECEIPT_LOGS_MAX, REPORTS_PER_RECORD_MAX, SIGNALS_PER_RECORD_MAX, TECHNIQUE_NUMBER_MAX,
    TILE_SIDE_MIN, TIME_S_MAX, TOKEN_MAX_BYTES, UNKNOWN_FIELDS_MAX, VERSION_NUMBER_MAX,
};
use crate::merkle::TREE_SIZE_MAX;
use crate::roster::MemberIdError;

/// A value that cannot be part of any record. Never repeats the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A value of another width than its type has.
    #[error("{kind} signal of {got_bytes} bytes, expected {expected_bytes}")]
    SignalWidth {
        /// The type.
        kind: SignalType,
        /// Bytes the type has.
        expected_bytes: usize,
        /// Bytes given.
        got_bytes: usize,
    },
    /// A value of an unknown type that is empty or too wide.
    #[error("signal of unknown type {code} with {got_bytes} bytes, expected 1..={max_bytes}")]
    UnknownSignalWidth {
        /// The code of the type.
        code: u64,
        /// Bytes given.
        got_bytes: usize,
        /// Bytes allowed.
        max_bytes: usize,
    },
    /// A quality above 100.
    #[error("quality {got}, expected 0..={QUALITY_MAX}")]
    QualityRange {
        /// The quality.
        got: u64,
    },
    /// A quality for a type that has none.
    #[error("{kind} signals have no quality, got {got}")]
    QualityNotForType {
        /// The type.
        kind: SignalType,
        /// The quality.
        got: u64,
    },
    /// A signal of a type that is kept for records of another kind.
    #[error("signals of type {} do not stand in records of kind {kind}", type_name(*code))]
    SignalOfOtherKind {
        /// The code of the type.
        code: u64,
        /// The kind of the record.
        kind: Kind,
    },
    /// A keyed digest in a record for every member.
    #[error("{kind} signals go to a group only")]
    KeyedWithoutGroup {
        /// The type.
        kind: SignalType,
    },
    /// Signals where there can be none.
    #[error("this record has no signals")]
    SignalsNotAllowed,
    /// A record without signals.
    #[error("a record needs at least one signal")]
    NoSignals,
    /// A record with too many signals.
    #[error("{got} signals in one record, at most {SIGNALS_PER_RECORD_MAX} are allowed")]
    TooManySignals {
        /// Signals given.
        got: usize,
    },
    /// The same type and value twice.
    #[error("same type and value as signals[{first}]")]
    DuplicateSignal {
        /// Where it stands first.
        first: usize,
        /// Where it stands again.
        second: usize,
    },
    /// A token that is empty or too long.
    #[error("token of {got} bytes, expected 1..={TOKEN_MAX_BYTES}")]
    TokenLength {
        /// Bytes given.
        got: usize,
    },
    /// A token with a character outside its alphabet.
    #[error("a token has only the characters a-z 0-9 . _ - (byte {position} is another)")]
    TokenCharacter {
        /// Offset of the first offender, in bytes.
        position: usize,
    },
    /// A text that is not a day from 1970 to 9999.
    #[error("{0}")]
    Date(TimeError),
    /// A day number after the year 9999.
    #[error("day {got} is after the year 9999")]
    DayRange {
        /// Days since 1970-01-01.
        got: u64,
    },
    /// An expiry of 0 or after the year 9999.
    #[error("expiry {got} s, expected 1..={TIME_S_MAX}")]
    ExpiryRange {
        /// Seconds since 1970.
        got: u64,
    },
    /// A day of another form than `YYYY-MM`, or a month after the year 9999.
    #[error("expected a month as YYYY-MM, from 1970-01 to 9999-12")]
    Month,
    /// A validity that begins when it is over.
    #[error("valid from {from} s, which is not before the expiry {expires} s")]
    ValidityOrder {
        /// When it begins, seconds since 1970.
        from: u64,
        /// When it is over.
        expires: u64,
    },
    /// No report, or too many.
    #[error("{got} reports, expected 1..={REPORTS_PER_RECORD_MAX}")]
    ReportCount {
        /// Reports given.
        got: usize,
    },
    /// A report that is not [to, month] with a month before the year 10000.
    #[error("report {nth}: expected [to, month]")]
    ReportShape {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// Reports out of order, or one twice.
    #[error("report {nth} is not after the one before it in (to, month) order")]
    ReportOrder {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// No class, or too many.
    #[error("{got} classes, expected 1..={CLASSES_PER_RECORD_MAX}")]
    ClassCount {
        /// Classes given.
        got: usize,
    },
    /// A class that is not [scheme, version, class].
    #[error("class {nth}: expected [scheme, version, class]")]
    ClassShape {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// Classes out of order, or one twice.
    #[error("class {nth} is not after the one before it in (scheme, version, class) order")]
    ClassOrder {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// A version or class of another scheme that is longer than such ids are.
    #[error("class id of {got} bytes, at most {CLASS_ID_MAX_BYTES} are allowed")]
    ClassIdLength {
        /// Bytes given.
        got: usize,
    },
    /// A text that is no incident id.
    #[error("an incident id has 32 lower-case hex digits: {0}")]
    IncidentId(HexError),
    /// An incident id of another width.
    #[error("incident id of {got} bytes, expected {INCIDENT_ID_BYTES}")]
    IncidentIdBytes {
        /// Bytes given.
        got: usize,
    },
    /// A declaration that says why the incident was closed.
    #[error("a declaration says why the incident was closed")]
    ClosingOfDeclaration,
    /// A closure that says what sort of incident it is.
    #[error("a closure says what sort of incident it is")]
    ClassOfClosure,
    /// A text that is no member id.
    #[error("{0}")]
    Member(MemberIdError),
    /// There is no roster version 0.
    #[error("roster versions count from 1")]
    RosterVersion,
    /// A vote that ends a suspension and names a place from which it holds.
    #[error("a withdrawal names no place")]
    PlaceOfWithdrawal,
    /// An entry about another one, of a kind that is about none.
    #[error("entries of kind {kind} have no subject")]
    SubjectNotAllowed {
        /// The kind.
        kind: Kind,
    },
    /// A list that is empty where it is written, or too long.
    #[error("{got} elements, expected 1..={max}")]
    ListCount {
        /// Elements given.
        got: usize,
        /// Elements allowed.
        max: usize,
    },
    /// An element of a list of another form.
    #[error("element {nth}: expected {expected}")]
    ListShape {
        /// Which one, counted from 0.
        nth: usize,
        /// The form.
        expected: &'static str,
    },
    /// A list out of order, or one element twice.
    #[error("element {nth} is not after the one before it")]
    ListOrder {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// A byte string of another width than its field has.
    #[error("{got} bytes, expected {expected}")]
    FixedWidth {
        /// Bytes given.
        got: usize,
        /// Bytes the field has.
        expected: usize,
    },
    /// A number that is too large.
    #[error("{got}, at most {max} is allowed")]
    NumberRange {
        /// The number.
        got: u64,
        /// The largest.
        max: u64,
    },
    /// A tile with a side that no sketch is made of.
    #[error("tile with a side of {got}, at least {TILE_SIDE_MIN} is needed")]
    TileSide {
        /// The shorter side.
        got: u32,
    },
    /// Values of tiles that are none, or not whole.
    #[error("{got} bytes of tiles, expected a multiple of {width}")]
    TileBytes {
        /// Bytes given.
        got: usize,
        /// Bytes of one tile.
        width: usize,
    },
    /// A roll-up of more than one value.
    #[error("a roll-up is one value for its shape")]
    RollUps,
    /// The digest of nothing, which every small file would have.
    #[error("autov1 is the digest of nothing")]
    Autov1OfNothing,
    /// A part that does not exist.
    #[error("part {number} of {of}, expected 1..=n of 2..={MODEL_PARTS_MAX}")]
    PartNumber {
        /// Which one.
        number: u16,
        /// Of how many.
        of: u16,
    },
    /// A further part that says more than sketches, or is about no record.
    #[error("a further part is about the first one and carries sketches only")]
    PartSaysMore,
    /// Numbers of tiles in a record that registers no model.
    #[error("numbers of tiles are for registered bases and intermediates")]
    NumbersOfListing,
    /// An identifier of another width than its type has.
    #[error("identifier of {got} bytes, expected {min}..={max}")]
    ClaimedWidth {
        /// Bytes given.
        got: usize,
        /// Bytes needed.
        min: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// More items that are known than there are.
    #[error("{known} known items of {items}")]
    KnownItems {
        /// Items known.
        known: u64,
        /// Items.
        items: u64,
    },
    /// No number of a technique.
    #[error("expected a technique as HP-T0001 to HP-T{TECHNIQUE_NUMBER_MAX}")]
    Technique,
    /// A version of a tool of another form.
    #[error("expected two or three numbers, at most {VERSION_NUMBER_MAX} each")]
    ToolVersion,
    /// Labels of media in a record that is about none.
    #[error("the only label of a ttp record is tlp")]
    LabelsOfTtp,
    /// A receipt about another entry.
    #[error("a receipt has no subject")]
    ReceiptSubject,
    /// A receipt of no log, or of too many.
    #[error("a receipt about {got} logs, expected 1..={RECEIPT_LOGS_MAX}")]
    HoldingCount {
        /// Logs given.
        got: usize,
    },
    /// Logs of a receipt out of order, or one twice.
    #[error("log {nth} of the receipt is not after the one before it")]
    HoldingOrder {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// What is held of a log is not stated in its form.
    #[error("expected [log id, size, root, [start, count, ...]]")]
    HoldingShape,
    /// A tree of no entries, or of more than there can be.
    #[error("tree size {got}, expected 1..={TREE_SIZE_MAX}")]
    HoldingSize {
        /// The size.
        got: u64,
    },
    /// More gaps than a receipt has room for.
    #[error("{got} gaps, at most {RECEIPT_GAPS_MAX} are allowed")]
    GapCount {
        /// Gaps given.
        got: usize,
    },
    /// A gap that is empty, beyond the tree, or not behind the one before it with an entry between.
    #[error("gap of {count} entries from {start} in a tree of {size}: empty, beyond it, or out of order")]
    Gap {
        /// First leaf index.
        start: u64,
        /// Entries.
        count: u64,
        /// Tree size.
        size: u64,
    },
}

/// A canonical payload that is not what its kind demands. Such an entry is void.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A key that must be there is not.
    #[error("{map}: key {key} is missing")]
    Missing {
        /// The map.
        map: &'static str,
        /// The key.
        key: u64,
    },
    /// A value of another CBOR type than its key has.
    #[error("{map}: key {key} holds no {expected}")]
    Type {
        /// The map.
        map: &'static str,
        /// The key.
        key: u64,
        /// What it must hold.
        expected: &'static str,
    },
    /// An unknown odd key that holds something else than an integer.
    #[error("{map}: unknown odd key {key} holds no integer")]
    UnknownNotInteger {
        /// The map.
        map: &'static str,
        /// The key.
        key: u64,
    },
    /// Too many unknown keys: room for hidden data, not for growth.
    #[error("{map}: {got} unknown keys, at most {UNKNOWN_FIELDS_MAX} are allowed")]
    UnknownTooMany {
        /// The map.
        map: &'static str,
        /// Unknown keys.
        got: usize,
    },
    /// A default that is written although absence says it.
    #[error("{map}: key {key} writes its default")]
    DefaultWritten {
        /// The map.
        map: &'static str,
        /// The key.
        key: u64,
    },
    /// A rule that binds several keys, or a key and the leaf.
    #[error("{map}: {rule}")]
    Whole {
        /// The map.
        map: &'static str,
        /// The rule.
        rule: RecordError,
    },
    /// The leaf announces a subject, the payload names none.
    #[error("the leaf has a subject, the payload names none")]
    SubjectMissing,
    /// The payload names a subject, the leaf has none.
    #[error("the payload names a subject, the leaf has none")]
    SubjectUnannounced,
    /// An element of the signals that is not [type, value] or [type, value, quality].
    #[error("signals[{nth}]: expected [type, value] or [type, value, quality]")]
    SignalShape {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// Signals out of order, or the same one twice.
    #[error("signals[{nth}]: not after signals[{}] in (type, value) order", nth.saturating_sub(1))]
    SignalOrder {
        /// Which one, counted from 0.
        nth: usize,
    },
    /// A signal that breaks a rule of its own.
    #[error("signals[{nth}]: {rule}")]
    Signal {
        /// Which one, counted from 0.
        nth: usize,
        /// The rule.
        rule: RecordError,
    },
    /// A value that breaks a rule of its own.
    #[error("{map}: key {key}: {rule}")]
    Field {
        /// The map.
        map: &'static str,
        /// The key.
        key: u64,
        /// The rule.
        rule: RecordError,
    },
}

/// The name of a signal type, or its number.
fn type_name(code: u64) -> String {
    SignalType::from_code(code).map_or_else(|| code.to_string(), |kind| kind.name().to_owned())
}
