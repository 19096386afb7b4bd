//! Why an edit cannot be made, and what to do instead.

use super::terms::Right;
use super::words::{list, place};
use hashpact_protocol::roster::{LogPlace, MemberId, RosterRule, Term};

/// Why a proposal cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A value of another form than its option has.
    #[error("--{option} {given:?} cannot be read: it takes {form}")]
    Form {
        /// The option.
        option: &'static str,
        /// Given.
        given: String,
        /// Expected.
        form: &'static str,
    },
    /// Nobody of this id.
    #[error("the roster lists no member {member}; it lists {}", list(.known))]
    NoMember {
        /// The id.
        member: MemberId,
        /// Who is listed.
        known: Vec<String>,
    },
    /// An id that is taken, for ever.
    #[error(
        "the id {0} is taken, and stays so when its member leaves. Let the new member choose another `member` in its \
         configuration and create its keys again with `hashpact-node init`"
    )]
    Taken(MemberId),
    /// Of a member who left.
    #[error("{0} left. Who left does not come back: the organisation joins again under another id")]
    HasLeft(MemberId),
    /// Only of a member who left.
    #[error(
        "{0} takes part; this can be said of a member who left. Name it with --leave in the same proposal"
    )]
    TakesPart(MemberId),
    /// What is asked for is so already.
    #[error("{0}: there is nothing to change")]
    Already(String),
    /// No group of this name.
    #[error("there is no group {word}; there are {}. A group is made with --group {word}", list(.known))]
    NoGroup {
        /// The name.
        word: String,
        /// Groups there are.
        known: Vec<String>,
    },
    /// A member cannot leave a group while it is in a part of it.
    #[error(
        "{member} is in {inner}, which is a part of {word}: take it out of {inner} as well, before, with --out-of-group {member}={inner}"
    )]
    InnerGroup {
        /// The member.
        member: MemberId,
        /// The group to leave.
        word: String,
        /// The narrower one.
        inner: String,
    },
    /// No governance key of this name.
    #[error("there is no governance key {name}; there are {}", list(.known))]
    NoGovernance {
        /// The name.
        name: String,
        /// Keys there are.
        known: Vec<String>,
    },
    /// Nothing that could be closed.
    #[error("{0} has no open log that could be closed")]
    NoOpenLog(MemberId),
    /// A member leaves with an open log.
    #[error(
        "log {n} of {member} is open. Say where it ends: with its newest checkpoint, as members hold it, \
         --checkpoint FILE, or with --close {member}=SIZE:ROOT"
    )]
    LogOpen {
        /// The member.
        member: MemberId,
        /// The log.
        n: u32,
    },
    /// No log in reserve.
    #[error(
        "{0} has no spare log to open. List the key of its next one with --spare {0}=KEY first, or use `hashpact-node roster \
         replace-log` with its new join file"
    )]
    NoSpare(MemberId),
    /// The log before is open.
    #[error("log {n} of {member} is open: close it in the same proposal before the next one opens")]
    StillOpen {
        /// The member.
        member: MemberId,
        /// The log.
        n: u32,
    },
    /// A term that does not go on cannot end.
    #[error("{member} has no term as {right} that goes on")]
    NoTerm {
        /// Of which right.
        right: Right,
        /// The member.
        member: MemberId,
    },
    /// A term that goes on cannot begin.
    #[error("{member} is {right} since {}: that term goes on", place(*.from))]
    GoesOn {
        /// Of which right.
        right: Right,
        /// The member.
        member: MemberId,
        /// Where its term began.
        from: LogPlace,
    },
    /// A further term without its beginning.
    #[error("{member} is or was {right}: say from which entry on its new term counts, {member}@N:INDEX, behind {}", place(*.after))]
    PlaceNeeded {
        /// Of which right.
        right: Right,
        /// The member.
        member: MemberId,
        /// Where its last term ended.
        after: LogPlace,
    },
    /// A term would end before it has begun.
    #[error(
        "the term of {} as {right} began at {} and cannot end at {}: what was said in it stays said. End it at its next \
         entry or later", .term.member, place(.term.from), place(*.until)
    )]
    EndsEarly {
        /// Of which right.
        right: Right,
        /// The term.
        term: Term,
        /// Given.
        until: LogPlace,
    },
    /// A panellist that the new panel does not name.
    #[error(
        "{0} is on the review panel and not named in --panel. A panel of another size needs a new term for everybody on it: name \
         {0} as well, or end its term with --end-panellist {0}@N:INDEX"
    )]
    PanelLeft(MemberId),
    /// A rule of rosters, which the edit would break.
    #[error(transparent)]
    Rule(#[from] RosterRule),
}
