//! Spans of time on the command line: `90d`, `12h`, `30m`, `45s`.

/// Seconds of a text such as `90d`.
///
/// # Errors
/// The rule, for whoever typed it.
pub(super) fn parse_duration(text: &str) -> Result<u64, String> {
    let rule = || format!("{text:?} is not a span of time: a whole number with s, m, h or d, like 90d");
    let (digits, unit) =
        text.char_indices().next_back().map(|(at, unit)| (&text[..at], unit)).ok_or_else(rule)?;
    let unit_s: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(rule()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(rule());
    }
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_s)).ok_or_else(rule)
}

/// A span in the largest unit of which there is at least two, rounded down.
pub(super) fn words(span_s: u64) -> String {
    for (unit_s, unit) in [(86_400, "days"), (3_600, "hours"), (60, "minutes")] {
        if span_s >= 2 * unit_s {
            return format!("{} {unit}", span_s / unit_s);
        }
    }
    format!("{span_s} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_said() {
        for (text, seconds) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("45s", 45), ("0d", 0)] {
            assert_eq!(parse_duration(text), Ok(seconds));
        }
        for text in ["", "d", "90", "-1d", "1.5d", "1w", "99999999999999999999d", "999999999999999999d", "9ü"]
        {
            assert!(parse_duration(text).expect_err(text).contains("like 90d"), "{text}");
        }
        let said = [7_776_000, 100_000, 172_800, 7_200, 119, 120].map(words);
        assert_eq!(said, ["90 days", "27 hours", "2 days", "2 hours", "119 seconds", "2 minutes"]);
    }
}
