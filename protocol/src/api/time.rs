//! RFC 3339 times and calendar days, without a clock and without a time-zone database.
//!
//! The years 1970 to 9999 of the proleptic Gregorian calendar, UTC, no leap seconds: a leaf counts
//! milliseconds as POSIX does, and this is the only place where such a count becomes text. Reading
//! accepts any numeric offset and up to nine digits of a second; writing always produces `Z`.
//!
//! The calendar arithmetic shifts the year to begin in March, so that the leap day is its last.

use crate::limits::{TIME_MS_MAX, TIME_S_MAX};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Days of 400 Gregorian years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_SHIFT_DAYS: u64 = 719_468;

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not of the form `YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm|-hh:mm)`.
    #[error("expected an RFC 3339 time such as 2026-01-31T12:00:00Z")]
    Form,
    /// Not of the form `YYYY-MM-DD`.
    #[error("expected a day such as 2026-01-31")]
    DayForm,
    /// No such month, day, hour, minute, second or offset.
    #[error("no such {part}: {got}")]
    Part {
        /// `month`, `day`, `hour`, `minute`, `second` or `offset`.
        part: &'static str,
        /// The number given.
        got: u64,
    },
    /// Before 1970 or after 9999 in UTC.
    #[error("outside the years 1970 to 9999 in UTC")]
    Range,
}

/// `time_ms` as RFC 3339 with milliseconds, `2026-01-31T12:00:00.000Z`. A count after the year 9999,
/// which no valid leaf carries, is shown as the last instant of that year.
#[must_use]
pub fn rfc3339(time_ms: u64) -> String {
    let time_ms = time_ms.min(TIME_MS_MAX);
    let whole = rfc3339_seconds(time_ms / 1000);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), time_ms % 1000)
}

/// `time_s` as RFC 3339 with whole seconds, `2026-01-31T12:00:00Z`. Clamped like [`rfc3339`].
#[must_use]
pub fn rfc3339_seconds(time_s: u64) -> String {
    let time_s = time_s.min(TIME_S_MAX);
    let second = time_s % 86_400;
    let day = day_text(time_s / 86_400);
    format!("{day}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// `days` since 1970-01-01 as `YYYY-MM-DD`.
#[must_use]
pub fn day_text(days: u64) -> String {
    let shifted = days.min(TIME_S_MAX / 86_400) + EPOCH_SHIFT_DAYS;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days since 1970-01-01 of a `YYYY-MM-DD`.
///
/// # Errors
/// The form, a month or day that does not exist, or a year before 1970.
pub fn parse_day(text: &str) -> Result<u64, TimeError> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().map_err(|_| TimeError::DayForm)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *bytes else {
        return Err(TimeError::DayForm);
    };
    let number = |digits: &[u8]| digits_value(digits).ok_or(TimeError::DayForm);
    days_from_civil(number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?)
}

/// Milliseconds since 1970 of an RFC 3339 time; digits of a second past the third are cut off.
///
/// # Errors
/// The form, a part that does not exist (leap seconds do not), or a time outside 1970 to 9999.
pub fn parse_rfc3339(text: &str) -> Result<u64, TimeError> {
    let (day, rest) = text.split_at_checked(10).ok_or(TimeError::Form)?;
    let days = parse_day(day).map_err(|error| match error {
        TimeError::DayForm => TimeError::Form,
        other => other,
    })?;
    let (clock, rest) = rest.split_at_checked(9).ok_or(TimeError::Form)?;
    let clock: &[u8; 9] = clock.as_bytes().try_into().map_err(|_| TimeError::Form)?;
    let [b'T' | b't', h0, h1, b':', m0, m1, b':', s0, s1] = *clock else {
        return Err(TimeError::Form);
    };
    let number = |digits: &[u8]| digits_value(digits).ok_or(TimeError::Form);
    let hour = part("hour", number(&[h0, h1])?, 23)?;
    let minute = part("minute", number(&[m0, m1])?, 59)?;
    let second = part("second", number(&[s0, s1])?, 59)?;
    let (fraction_ms, zone) = fraction_ms(rest)?;
    let local_ms = days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms;
    let utc_ms = match offset_ms(zone)? {
        (true, offset) => local_ms.checked_sub(offset).ok_or(TimeError::Range)?,
        (false, offset) => local_ms + offset,
    };
    if utc_ms > TIME_MS_MAX { Err(TimeError::Range) } else { Ok(utc_ms) }
}

/// The fraction of a second at the start of `rest`, and what follows it.
fn fraction_ms(rest: &str) -> Result<(u64, &str), TimeError> {
    let Some(digits_on) = rest.strip_prefix('.') else {
        return Ok((0, rest));
    };
    let end = digits_on.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits_on.len());
    let (digits, zone) = digits_on.split_at_checked(end).ok_or(TimeError::Form)?;
    if digits.is_empty() || digits.len() > 9 {
        return Err(TimeError::Form);
    }
    let thousandths = digits.bytes().chain(*b"000").take(3);
    Ok((thousandths.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), zone))
}

/// Whether the zone is east of UTC, and by how much.
fn offset_ms(zone: &str) -> Result<(bool, u64), TimeError> {
    if zone == "Z" || zone == "z" {
        return Ok((true, 0));
    }
    let bytes: &[u8; 6] = zone.as_bytes().try_into().map_err(|_| TimeError::Form)?;
    let [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] = *bytes else {
        return Err(TimeError::Form);
    };
    let number = |digits: &[u8]| digits_value(digits).ok_or(TimeError::Form);
    let hours = part("offset", number(&[h0, h1])?, 23)?;
    let minutes = part("offset", number(&[m0, m1])?, 59)?;
    Ok((sign == b'+', (hours * 60 + minutes) * 60_000))
}

fn days_from_civil(year: u64, month: u64, day: u64) -> Result<u64, TimeError> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_max = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => {
            return Err(TimeError::Part { part: "month", got: month });
        }
    };
    if day == 0 || day > days_max {
        return Err(TimeError::Part { part: "day", got: day });
    }
    if year < 1970 {
        return Err(TimeError::Range);
    }
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Ok(era * ERA_DAYS + day_of_era - EPOCH_SHIFT_DAYS)
}

fn part(part: &'static str, got: u64, max: u64) -> Result<u64, TimeError> {
    if got > max { Err(TimeError::Part { part, got }) } else { Ok(got) }
}

fn digits_value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
