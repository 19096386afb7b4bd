//! Numbers, times and lists as people read them.

use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::roster::{LogPlace, Member, Role};

/// A number with a comma between thousands.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time, in days or hours where that is exact.
pub(super) fn length(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0 => (0, "second"),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ => (seconds, "second"),
    };
    format!("{} {unit}{}", thousands(number), if number == 1 { "" } else { "s" })
}

pub(super) fn time(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000))
}

/// `log 2, entry 1,234`.
pub(super) fn place(place: LogPlace) -> String {
    format!("log {}, entry {}", place.n, thousands(place.index))
}

/// From when on a member may have payloads.
pub(super) fn history(seconds: u64) -> String {
    if seconds == 0 { "the beginning".to_owned() } else { time(seconds) }
}

pub(super) fn roles(member: &Member) -> String {
    member.roles.iter().map(|role: &Role| role.name()).collect::<Vec<_>>().join(", ")
}

/// `a`, `a and b`, `a, b and c`; `none` of nothing.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
