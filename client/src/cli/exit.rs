//! Exit codes: one table, shown by `hashpact --help`, used by every command.
//!
//! Scripts rely on these numbers; they change only with a major version. When several apply, the
//! order of [`Outcome::worst`] decides, so that an incomplete answer is never hidden behind a
//! friendlier number.

/// How a command ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    #[default]
    Done,
    /// `match --exit-code`: at least one item matched.
    Matched,
    /// A wrong option, an unreadable token file, an address that is none.
    Usage,
    /// Some inputs failed; the others were done.
    SomeFailed,
    /// The node refused the request.
    Refused,
    /// The node could not be reached, or something else answered.
    Unreachable,
    /// The node answered that its answer is incomplete.
    Incomplete,
    /// A proof does not hold.
    NotProven,
}

/// Code, outcome and meaning, in the order of the codes.
pub(crate) const EXIT_CODES: [(u8, Outcome, &str); 8] = [
    (0, Outcome::Done, "done; for `match` also when nothing or something matched (see 10)"),
    (2, Outcome::Usage, "wrong options, or a local file that cannot be used at all"),
    (3, Outcome::SomeFailed, "some inputs failed and were reported; the rest is done"),
    (4, Outcome::Refused, "the node refused the request; its code and request id are shown"),
    (5, Outcome::Unreachable, "the node cannot be reached, or something else answered"),
    (6, Outcome::Incomplete, "the node said that its answer is incomplete: \"no match\" proves nothing"),
    (7, Outcome::NotProven, "a proof does not hold"),
    (10, Outcome::Matched, "`match --exit-code`: at least one item matched"),
];

impl Outcome {
    /// The process exit code.
    pub(crate) fn code(self) -> u8 {
        EXIT_CODES.iter().find(|(_, outcome, _)| *outcome == self).map_or(1, |(code, _, _)| *code)
    }

    /// The one of two outcomes that a script must hear about.
    pub(crate) fn worst(self, other: Outcome) -> Outcome {
        let rank = |outcome: Outcome| match outcome {
            Outcome::Done => 0,
            Outcome::Matched => 1,
            Outcome::SomeFailed => 2,
            Outcome::Incomplete => 3,
            Outcome::NotProven => 4,
            Outcome::Refused => 5,
            Outcome::Unreachable => 6,
            Outcome::Usage => 7,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// The table as it stands at the end of `--help`.
pub(crate) fn help_text() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, _, meaning) in EXIT_CODES {
        text.push_str(&format!("  {code:>2}  {meaning}\n"));
    }
    text.push_str("When several apply, the first of 2, 5, 4, 7, 6, 3, 10 is used.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_the_stated_order_is_the_one_used() {
        let order = [2u8, 5, 4, 7, 6, 3, 10, 0];
        let by_code = |code: u8| EXIT_CODES.iter().find(|entry| entry.0 == code).unwrap().1;
        for pair in order.windows(2) {
            assert_eq!(by_code(pair[1]).worst(by_code(pair[0])), by_code(pair[0]), "{pair:?}");
            assert_eq!(by_code(pair[0]).worst(by_code(pair[1])), by_code(pair[0]), "{pair:?}");
        }
        for (code, outcome, _) in EXIT_CODES {
            assert_eq!(outcome.code(), code);
        }
    }
}
