//! The one-byte vocabularies of binary answers.

use crate::record::Vocabulary;

/// What the member's lists make of an item that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameOutcome {
    /// Do not let it through.
    Block,
    /// A person should look.
    Review,
    /// Only note it.
    Log,
}

impl Vocabulary for FrameOutcome {
    const FIELD: &'static str = "outcome";
    const TABLE: &'static [(Self, u8, &'static str)] =
        &[(Self::Block, 1, "block"), (Self::Review, 2, "review"), (Self::Log, 3, "log")];
}

/// Why "no match" proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incomplete {
    /// The logs are being read from disk.
    Loading,
    /// Not yet caught up with any peer.
    Starting,
    /// No other member is connected.
    Isolated,
    /// Behind what other members hold.
    Lagging,
    /// A log is frozen because its author contradicted itself.
    Frozen,
}

impl Vocabulary for Incomplete {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Loading, 1, "loading"),
        (Self::Starting, 2, "starting"),
        (Self::Isolated, 3, "isolated"),
        (Self::Lagging, 4, "lagging"),
        (Self::Frozen, 5, "frozen"),
    ];
}

/// Why an answer broke off. What came before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenOff {
    /// The body ended inside a value.
    TruncatedValue,
    /// The body brought too little for too long.
    TooSlow,
    /// More items than 32 bits count.
    TooManyItems,
    /// The body broke off.
    BodyBrokeOff,
    /// The node is stopping.
    Stopping,
    /// The rate of the caller's token is used up for longer than a request may take.
    RateLimited,
    /// The caller's token has nothing left of its day.
    QuotaExceeded,
}

impl Vocabulary for BrokenOff {
    const FIELD: &'static str = "cause";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::TruncatedValue, 1, "truncated_value"),
        (Self::TooSlow, 2, "too_slow"),
        (Self::TooManyItems, 3, "too_many_items"),
        (Self::BodyBrokeOff, 4, "body_broke_off"),
        (Self::Stopping, 5, "stopping"),
        (Self::RateLimited, 6, "rate_limited"),
        (Self::QuotaExceeded, 7, "quota_exceeded"),
    ];
}
