//! What a token may use: requests and items a second, with bursts, and a day; and the meters that count it.
//!
//! A meter of a rate lets pass what comes while there is one left, and takes all of it off even if that overdraws: so one
//! request of 10,000 items passes under a limit of 1,000 a second, and the next waits for it. A quota of a day (UTC) is
//! never overdrawn. Meters are atomics in memory; those of a day outlive the node (`used`).

use std::sync::atomic::{AtomicU64, Ordering};

/// Largest rate, a second.
const RATE_MAX: u64 = 1_000_000_000;
/// Largest quota, a day.
const QUOTA_MAX: u64 = 1_000_000_000_000;
/// Longest burst, in seconds.
const BURST_MAX_S: u64 = 3_600;
/// Burst when none is given, in seconds.
const BURST_DEFAULT_S: u64 = 10;
const DAY_S: u64 = 86_400;
const NS: u64 = 1_000_000_000;
/// Bits of a quota's count; the day is above.
const COUNT_BITS: u32 = 44;

/// Limits of one token; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second.
    pub requests_per_s: Option<u64>,
    /// Items (of look-ups, or records stated) a second.
    pub items_per_s: Option<u64>,
    /// How many seconds' worth of a rate may come at once; 10 if not given.
    pub burst_s: Option<u64>,
    /// Requests a day, UTC.
    pub requests_per_day: Option<u64>,
    /// Items a day, UTC.
    pub items_per_day: Option<u64>,
}

impl Limits {
    const KEYS: [&'static str; 5] =
        ["requests_per_s", "items_per_s", "burst_s", "requests_per_day", "items_per_day"];

    /// Limits that are set, by their keys.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values =
            [self.requests_per_s, self.items_per_s, self.burst_s, self.requests_per_day, self.items_per_day];
        Self::KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
    }

    /// Reads `key=value` words in the order of [`Limits::fields`].
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let mut values = [None; 5];
        let mut from = 0;
        for word in words {
            let (key, value) = word.split_once('=').ok_or("limits must be key=number")?;
            let at = Self::KEYS.iter().skip(from).position(|known| *known == key);
            let at = from + at.ok_or("unknown limit, one twice, or in another order")?;
            if let Some(place) = values.get_mut(at) {
                *place = Some(value.parse().map_err(|_| "a limit must be a number")?);
            }
            from = at + 1;
        }
        let [requests_per_s, items_per_s, burst_s, requests_per_day, items_per_day] = values;
        let limits = Self { requests_per_s, items_per_s, burst_s, requests_per_day, items_per_day };
        limits.check().map_err(|_| "a limit is 0 or too large")?;
        Ok(limits)
    }

    /// Whether all numbers are within their bounds.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value) in self.fields() {
            let max = match key {
                "burst_s" => BURST_MAX_S,
                "requests_per_day" | "items_per_day" => QUOTA_MAX,
                _ => RATE_MAX,
            };
            if value == 0 || value > max {
                return Err(format!("{key} = {value}: must be 1 to {max}"));
            }
        }
        Ok(())
    }

    fn burst_ns(&self) -> u64 {
        self.burst_s.unwrap_or(BURST_DEFAULT_S) * NS
    }
}

/// A limit that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which: a key of [`Limits`].
    pub limit: &'static str,
    /// Its value.
    pub value: u64,
    /// In how many nanoseconds there is something left again.
    pub wait_ns: u64,
}

impl Exceeded {
    /// Whether it is one of a day.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        self.limit.ends_with("_per_day")
    }

    /// Whole seconds after which to try again.
    #[must_use]
    pub fn retry_after_s(&self) -> u32 {
        u32::try_from(self.wait_ns.div_ceil(NS)).unwrap_or(u32::MAX).max(1)
    }
}

/// What a token has used.
#[derive(Debug, Default)]
pub(super) struct Usage {
    requests: Rate,
    items: Rate,
    requests_today: Quota,
    items_today: Quota,
}

impl Usage {
    /// What was used of a day's quotas, for a file: requests and items, each with its day.
    pub(super) fn today(&self) -> [u64; 2] {
        [&self.requests_today, &self.items_today].map(|quota| quota.used.load(Ordering::Relaxed))
    }

    /// One that has used what [`Usage::today`] said.
    pub(super) fn of_today([requests, items]: [u64; 2]) -> Self {
        let quota = |used| Quota { used: AtomicU64::new(used) };
        Self { requests_today: quota(requests), items_today: quota(items), ..Self::default() }
    }

    /// Counts one request; `now_ns` counts from any moment and never goes back, `now_s` since 1970 UTC.
    pub(super) fn request(&self, limits: &Limits, now_ns: u64, now_s: u64) -> Result<(), Exceeded> {
        if let Some(value) = limits.requests_per_s {
            let taken = self.requests.take(1, value, limits.burst_ns(), now_ns);
            taken.map_err(|wait_ns| Exceeded { limit: "requests_per_s", value, wait_ns })?;
        }
        if let Some(value) = limits.requests_per_day {
            let taken = self.requests_today.take(1, value, now_s);
            taken.map_err(|wait_ns| Exceeded { limit: "requests_per_day", value, wait_ns })?;
        }
        Ok(())
    }

    /// Counts items.
    pub(super) fn items(&self, limits: &Limits, count: u64, now_ns: u64, now_s: u64) -> Result<(), Exceeded> {
        if let Some(value) = limits.items_per_s {
            let taken = self.items.take(count, value, limits.burst_ns(), now_ns);
            taken.map_err(|wait_ns| Exceeded { limit: "items_per_s", value, wait_ns })?;
        }
        if let Some(value) = limits.items_per_day {
            let taken = self.items_today.take(count, value, now_s);
            taken.map_err(|wait_ns| Exceeded { limit: "items_per_day", value, wait_ns })?;
        }
        Ok(())
    }
}

/// A bucket that fills at a rate: the moment when it is full again says what is in it.
#[derive(Debug, Default)]
struct Rate {
    full_ns: AtomicU64,
}

impl Rate {
    /// Takes so many if there is one left; else says for how many nanoseconds there is not.
    fn take(&self, count: u64, per_s: u64, burst_ns: u64, now_ns: u64) -> Result<(), u64> {
        let cost_ns = u64::try_from(u128::from(count) * u128::from(NS) / u128::from(per_s.max(1)));
        let cost_ns = cost_ns.unwrap_or(u64::MAX);
        let one_ns = NS / per_s.max(1);
        let taken = self.full_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_ns| {
            let lacking_ns = full_ns.saturating_sub(now_ns);
            (lacking_ns.saturating_add(one_ns) <= burst_ns)
                .then(|| full_ns.max(now_ns).saturating_add(cost_ns))
        });
        taken
            .map(|_| ())
            .map_err(|full_ns| full_ns.saturating_sub(now_ns).saturating_add(one_ns).saturating_sub(burst_ns))
    }
}

/// A count that begins anew each day.
#[derive(Debug, Default)]
struct Quota {
    /// Day since 1970 above, count below.
    used: AtomicU64,
}

impl Quota {
    /// Takes so many if they are left; else says in how many nanoseconds the day ends.
    fn take(&self, count: u64, per_day: u64, now_s: u64) -> Result<(), u64> {
        let today = now_s / DAY_S;
        let mask = (1 << COUNT_BITS) - 1;
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let used = if packed >> COUNT_BITS == today { packed & mask } else { 0 };
            let after = used.checked_add(count).filter(|after| *after <= per_day.min(mask))?;
            Some(today << COUNT_BITS | after)
        });
        taken.map(|_| ()).map_err(|_| (DAY_S - now_s % DAY_S) * NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_a_burst_pass_and_then_its_rate() {
        let limits = Limits { requests_per_s: Some(10), burst_s: Some(2), ..Limits::default() };
        let usage = Usage::default();
        let passed = |at_ns: u64| (0..100).filter(|_| usage.request(&limits, at_ns, 0).is_ok()).count();
        let start = 5 * NS;
        assert_eq!(passed(start), 20);
        assert_eq!(passed(start + NS / 10), 1);
        assert_eq!(passed(start + NS), 9);
        let refused = usage.request(&limits, start + NS, 0).expect_err("used up");
        assert_eq!((refused.limit, refused.value, refused.is_quota()), ("requests_per_s", 10, false));
        assert!(refused.wait_ns <= NS / 10 + 1, "{refused:?}");
        assert_eq!(passed(start + 1_000 * NS), 20, "never more than the burst");
    }

    #[test]
    fn a_request_larger_than_the_burst_passes_and_is_paid_for() {
        let limits = Limits { items_per_s: Some(100), burst_s: Some(1), ..Limits::default() };
        let usage = Usage::default();
        assert_eq!(usage.items(&limits, 10_000, NS, 0), Ok(()));
        let refused = usage.items(&limits, 1, NS, 0).expect_err("overdrawn");
        assert_eq!(refused.retry_after_s(), 100, "100 s for what was taken, less the burst, and a little");
        usage.items(&limits, 1, NS + refused.wait_ns, 0).expect("paid for");
    }

    #[test]
    fn a_quota_is_never_overdrawn_and_begins_anew_at_midnight() {
        let limits = Limits { items_per_day: Some(1_000), requests_per_day: Some(2), ..Limits::default() };
        let (usage, noon) = (Usage::default(), 20_000 * DAY_S + DAY_S / 2);
        assert_eq!(usage.items(&limits, 990, 0, noon), Ok(()));
        let refused = usage.items(&limits, 11, 0, noon).expect_err("too many");
        assert_eq!((refused.limit, refused.retry_after_s()), ("items_per_day", 43_200));
        assert!(refused.is_quota());
        assert_eq!(usage.items(&limits, 10, 0, noon), Ok(()));
        assert_eq!(usage.items(&limits, 1_000, 0, noon + DAY_S / 2), Ok(()), "a new day");
        assert!((0..2).all(|_| usage.request(&limits, 0, noon).is_ok()));
        assert!(usage.request(&limits, 0, noon).is_err());
    }

    #[test]
    fn limits_are_read_as_they_are_written() {
        let limits = Limits {
            requests_per_s: Some(1),
            items_per_s: None,
            burst_s: Some(3),
            requests_per_day: None,
            items_per_day: Some(5),
        };
        let words: Vec<String> = limits.fields().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(Limits::parse(words.iter().map(String::as_str)), Ok(limits));
        assert_eq!(Limits::parse([].into_iter()), Ok(Limits::default()));
        for (words, expected) in [
            (&["burst_s"][..], "key=number"),
            (&["color=1"], "unknown limit"),
            (&["burst_s=1", "burst_s=1"], "one twice"),
            (&["burst_s=1", "items_per_s=1"], "another order"),
            (&["burst_s=x"], "a number"),
            (&["burst_s=0"], "0 or too large"),
            (&["burst_s=3601"], "0 or too large"),
        ] {
            let error = Limits::parse(words.iter().copied()).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn threads_together_get_no_more_than_the_limit() {
        let limits = Limits {
            requests_per_day: Some(1_000),
            requests_per_s: Some(100),
            burst_s: Some(5),
            ..Limits::default()
        };
        let usage = Usage::default();
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..400).filter(|_| usage.request(&limits, 7, 0).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(passed, 500);
    }
}
