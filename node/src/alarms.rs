//! What an operator should be woken for, in words for `/v1/status`; `docker/alerts.yaml` says the same to Prometheus.
//!
//! One rule here for each alert there, under the same name; a test compares them. What needs a history (rates, "for ten
//! minutes", a disk that fills) is left to Prometheus: here stands what is so now.

use crate::metrics::seconds_since_1970;
use hashpact_protocol::api::AlarmStatus;
use hashpact_protocol::api::time::rfc3339_seconds;
use std::path::Path;
use std::time::SystemTime;
use x509_parser::pem::Pem;

/// Less time than this before the roster expires, in seconds: 14 days.
const ROSTER_SOON_S: u64 = 14 * 86_400;
/// Less time than this before a token expires, in seconds: 7 days.
const TOKEN_SOON_S: u64 = 7 * 86_400;
/// Less time than this before the certificate of the API expires, in seconds: 14 days.
const CERTIFICATE_SOON_S: u64 = 14 * 86_400;
/// Older than this, a cosignature of a quorum is old: witnesses sign every ten seconds.
const COSIGNED_OLD_S: u64 = 600;
/// Later than this, a sealed payload should have been destroyed.
const ERASURE_LATE_S: u64 = 3_600;
/// An index snapshot is written every quarter of an hour unless said otherwise.
const SNAPSHOT_OLD_S: u64 = 86_400;
/// Times that others signed may lie this far ahead.
const CLOCK_BEHIND_S: u64 = 60;
/// Less than one part in so many of the disk is free.
const DISK_PART: u64 = 10;

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Seconds since 1970 UTC.
    pub now_s: u64,
    /// Why look-ups are not complete, if they are not.
    pub incomplete: Option<String>,
    /// Why the own log takes no entries, if it takes none.
    pub append_blocked: Option<String>,
    /// Logs that are behind what their authors announced: origin and entries.
    pub behind: Vec<(String, u64)>,
    /// Logs of which entries are held that look-ups do not know yet: origin and entries.
    pub unfolded: Vec<(String, u64)>,
    /// Logs whose quorum of cosignatures is this old: origin and seconds.
    pub cosigned_age_s: Vec<(String, u64)>,
    /// Logs that were forked.
    pub forked: Vec<String>,
    /// When the roster expires.
    pub roster_expires_s: u64,
    /// The token that expires next, and when.
    pub next_token: Option<(String, u64)>,
    /// When the first of the certificates that the API shows expires.
    pub certificate_expires_s: Option<u64>,
    /// Floods that wait for a decision.
    pub floods_waiting: u64,
    /// Whether the token file cannot be read as it is now.
    pub tokens_stale: bool,
    /// When the first sealed payload is to be destroyed.
    pub erasure_due_s: Option<u64>,
    /// When the index snapshot was written.
    pub snapshot_s: Option<u64>,
    /// How far other members' signed times lie ahead of this clock, in seconds.
    pub clock_behind_s: u64,
    /// Free and all bytes of the file system of the data folder.
    pub disk: Option<(u64, u64)>,
    /// What the scrub found since the start.
    pub scrub_problems: u64,
    /// What is wrong with the journal.
    pub journal_fault: Option<String>,
}

/// Names of all alarms that this node tells by itself.
pub const NAMES: [&str; 17] = [
    "HashpactIncomplete",
    "HashpactAppendBlocked",
    "HashpactLogBehind",
    "HashpactViewBehind",
    "HashpactCosignatureOld",
    "HashpactForked",
    "HashpactRosterExpires",
    "HashpactTokenExpires",
    "HashpactCertificateExpires",
    "HashpactTokensUnreadable",
    "HashpactErasureOverdue",
    "HashpactIndexSnapshotOld",
    "HashpactClockBehind",
    "HashpactDiskLow",
    "HashpactDamage",
    "HashpactJournalBroken",
    "HashpactQuarantineWaits",
];

/// The alarms that stand, in the order of [`NAMES`].
#[must_use]
pub fn alarms(facts: &Facts) -> Vec<AlarmStatus> {
    let now_s = facts.now_s;
    let soon = |at_s: u64, within_s: u64| at_s < now_s.saturating_add(within_s);
    let behind = facts.behind.iter().filter(|(_, entries)| *entries > 0);
    let unfolded = facts.unfolded.iter().filter(|(_, entries)| *entries > 0);
    let old = facts.cosigned_age_s.iter().filter(|(_, age_s)| *age_s > COSIGNED_OLD_S);
    let late_s = facts.erasure_due_s.map_or(0, |due_s| now_s.saturating_sub(due_s));
    let snapshot_age_s = facts.snapshot_s.map_or(0, |at_s| now_s.saturating_sub(at_s));
    let words: [Option<String>; NAMES.len()] = [
        facts.incomplete.as_ref().map(|reason| format!("look-ups are not complete: {reason}")),
        facts.append_blocked.as_ref().map(|reason| format!("nothing is appended: {reason}")),
        listed(behind.map(|(log, entries)| format!("{log} by {entries} entries")))
            .map(|logs| format!("logs are behind what their authors announced: {logs}")),
        listed(unfolded.map(|(log, entries)| format!("{log} by {entries} entries")))
            .map(|logs| format!("look-ups are behind what is held: {logs}")),
        listed(old.map(|(log, age_s)| format!("{log} for {age_s} s")))
            .map(|logs| format!("no quorum of witnesses has cosigned: {logs}")),
        listed(facts.forked.iter().cloned()).map(|logs| format!("two histories were signed of: {logs}")),
        soon(facts.roster_expires_s, ROSTER_SOON_S)
            .then(|| format!("the roster expires or expired on {}", rfc3339_seconds(facts.roster_expires_s))),
        facts
            .next_token
            .as_ref()
            .filter(|(_, at_s)| soon(*at_s, TOKEN_SOON_S))
            .map(|(name, at_s)| format!("token {name} expires on {}", rfc3339_seconds(*at_s))),
        facts
            .certificate_expires_s
            .filter(|at_s| soon(*at_s, CERTIFICATE_SOON_S))
            .map(|at_s| format!("the API's certificate expires or expired on {}", rfc3339_seconds(at_s))),
        facts
            .tokens_stale
            .then(|| "the token file cannot be read; the tokens before its last change count".to_owned()),
        (late_s > ERASURE_LATE_S).then(|| format!("a payload should have been destroyed {late_s} s ago")),
        (snapshot_age_s > SNAPSHOT_OLD_S).then(|| format!("the index snapshot is {snapshot_age_s} s old")),
        (facts.clock_behind_s > CLOCK_BEHIND_S)
            .then(|| format!("this clock is {} s behind what other members signed", facts.clock_behind_s)),
        facts
            .disk
            .filter(|(free, all)| free.saturating_mul(DISK_PART) < *all)
            .map(|(free, all)| format!("{free} of {all} bytes of the disk are free")),
        (facts.scrub_problems > 0).then(|| format!("the scrub found damage {} times", facts.scrub_problems)),
        facts.journal_fault.clone(),
        (facts.floods_waiting > 0)
            .then(|| format!("{} floods wait for a decision: GET /v1/quarantine", facts.floods_waiting)),
    ];
    NAMES
        .into_iter()
        .zip(words)
        .filter_map(|(name, words)| Some(AlarmStatus { name: name.to_owned(), message: words? }))
        .collect()
}

fn listed(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Free and all bytes of the file system that a folder is on.
#[must_use]
pub fn disk_bytes(dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

/// When the first certificate of a PEM file expires, in seconds since 1970 UTC; nothing if the file cannot be read.
#[must_use]
pub fn certificate_expires_s(path: &Path) -> Option<u64> {
    let bytes = std::fs::read(path).ok()?;
    let ends_s = Pem::iter_from_buffer(&bytes).filter_map(|pem| {
        let pem = pem.ok()?;
        let ends_s = pem.parse_x509().ok()?.validity().not_after.timestamp();
        u64::try_from(ends_s).ok()
    });
    ends_s.min()
}

/// When a file was written, in seconds since 1970 UTC.
#[must_use]
pub fn written_s(path: &Path) -> Option<u64> {
    let written = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Some(seconds_since_1970(written) as u64)
}

/// Seconds since 1970 UTC.
#[must_use]
pub fn now_s() -> u64 {
    seconds_since_1970(SystemTime::now()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn quiet() -> Facts {
        Facts {
            now_s: NOW_S,
            roster_expires_s: NOW_S + ROSTER_SOON_S,
            disk: Some((10, 100)),
            ..Facts::default()
        }
    }

    #[test]
    fn a_node_that_is_well_raises_none() {
        assert_eq!(alarms(&quiet()), []);
        let edge = Facts {
            next_token: Some(("ops".to_owned(), NOW_S + TOKEN_SOON_S)),
            cosigned_age_s: vec![("a".to_owned(), COSIGNED_OLD_S)],
            behind: vec![("a".to_owned(), 0)],
            unfolded: vec![("a".to_owned(), 0)],
            certificate_expires_s: Some(NOW_S + CERTIFICATE_SOON_S),
            erasure_due_s: Some(NOW_S - ERASURE_LATE_S),
            snapshot_s: Some(NOW_S - SNAPSHOT_OLD_S),
            clock_behind_s: CLOCK_BEHIND_S,
            ..quiet()
        };
        assert_eq!(alarms(&edge), []);
    }

    #[test]
    fn each_alarm_stands_alone_one_step_beyond_its_threshold() {
        let log = |number: u64| vec![("a/north/1".to_owned(), number)];
        let cases = [
            Facts { incomplete: Some("isolated".to_owned()), ..quiet() },
            Facts { append_blocked: Some("waiting".to_owned()), ..quiet() },
            Facts { behind: log(1), ..quiet() },
            Facts { unfolded: log(1), ..quiet() },
            Facts { cosigned_age_s: log(COSIGNED_OLD_S + 1), ..quiet() },
            Facts { forked: vec!["a/north/1".to_owned()], ..quiet() },
            Facts { roster_expires_s: NOW_S + ROSTER_SOON_S - 1, ..quiet() },
            Facts { next_token: Some(("ops".to_owned(), NOW_S + TOKEN_SOON_S - 1)), ..quiet() },
            Facts { certificate_expires_s: Some(NOW_S + CERTIFICATE_SOON_S - 1), ..quiet() },
            Facts { tokens_stale: true, ..quiet() },
            Facts { erasure_due_s: Some(NOW_S - ERASURE_LATE_S - 1), ..quiet() },
            Facts { snapshot_s: Some(NOW_S - SNAPSHOT_OLD_S - 1), ..quiet() },
            Facts { clock_behind_s: CLOCK_BEHIND_S + 1, ..quiet() },
            Facts { disk: Some((9, 100)), ..quiet() },
            Facts { scrub_problems: 1, ..quiet() },
            Facts { journal_fault: Some("line 2 was changed".to_owned()), ..quiet() },
            Facts { floods_waiting: 1, ..quiet() },
        ];
        assert_eq!(cases.len(), NAMES.len());
        for (facts, name) in cases.iter().zip(NAMES) {
            let told = alarms(facts);
            assert_eq!(told.len(), 1, "{name}: {told:?}");
            assert_eq!(told[0].name, name);
            assert!(!told[0].message.is_empty());
        }
    }

    #[test]
    fn the_disk_is_measured() {
        let (free, all) = disk_bytes(Path::new("/")).expect("a file system");
        assert!(free <= all && all > 0);
        assert_eq!(disk_bytes(Path::new("/no/such/folder")), None);
    }
}
