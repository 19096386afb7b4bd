//! The manifest: the first member, from which the rest of the core follows (SPEC §12.3).
//!
//! It names the roster version with the root of the roster log, and size and root of every log. Each other
//! byte of the core is committed to by one of these, so the digest of the manifest is the digest of the core,
//! and two nodes that hold the same heads write the same core.

use super::scope::Scope;
use crate::checkpoint::parse_decimal;
use crate::digest::{DIGEST_BYTES, LogId, Root, hex_encode, sha256};
use crate::merkle::TREE_SIZE_MAX;
use crate::roster::{LogStatus, MemberId, Roster};

const HEADER: &str = "hashpact/audit-bundle/v1";

/// Why a text is not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not UTF-8.
    #[error("the manifest is not UTF-8")]
    NotUtf8,
    /// A line is missing, or has another form.
    #[error("line {line} of the manifest is not {expected}")]
    Line {
        /// From 1.
        line: usize,
        /// What must stand there.
        expected: &'static str,
    },
    /// The last line is not the digest of the others.
    #[error("the manifest was changed: its last line is not the digest of the others")]
    Digest,
    /// Logs of another order, or one of them twice.
    #[error("line {line} of the manifest: logs are in ascending order, each once")]
    Order {
        /// From 1.
        line: usize,
    },
}

/// The head of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleLog {
    /// Who writes it.
    pub member: MemberId,
    /// Its number.
    pub n: u32,
    /// Entries.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Root,
}

impl BundleLog {
    /// Where its members are: `core/logs/<member>/<n>`, for the core.
    #[must_use]
    pub fn prefix(&self, section: &str) -> String {
        format!("{section}/{}/{}", self.member, self.n)
    }

    /// Its origin in a consortium.
    #[must_use]
    pub fn origin(&self, consortium: &str) -> String {
        format!("{consortium}/{}/{}", self.member, self.n)
    }

    /// Its id in a consortium.
    #[must_use]
    pub fn log_id(&self, consortium: &str) -> LogId {
        LogId::of_origin(&self.origin(consortium))
    }
}

/// What a bundle is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Consortium id.
    pub consortium: String,
    /// Version of the roster.
    pub roster_version: u64,
    /// Root of the roster log at that version.
    pub roster_root: Root,
    /// Which entries.
    pub scope: Scope,
    /// Every log of that roster version but spares, ascending by member and number.
    pub logs: Vec<BundleLog>,
}

impl Manifest {
    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nconsortium {}\n", self.consortium);
        text.push_str(&format!("roster {} {}\n", self.roster_version, self.roster_root));
        text.push_str(&format!("scope {}\n", self.scope.text()));
        for log in &self.logs {
            text.push_str(&format!("log {} {} {} {}\n", log.member, log.n, log.size, log.root));
        }
        let digest = hex_encode(&sha256(&[text.as_bytes()]));
        text.push_str(&format!("end {digest}\n"));
        text
    }

    /// Reads what [`Manifest::encode`] writes, and nothing else.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
        let wrong = |line, expected| ManifestError::Line { line, expected };
        let mut lines = (1..).zip(text.split_terminator('\n'));
        let mut next = |expected| lines.next().ok_or(wrong(0, expected));
        let (line, header) = next("the header")?;
        if header != HEADER {
            return Err(wrong(line, "hashpact/audit-bundle/v1"));
        }
        let (line, consortium) = next("the consortium")?;
        let consortium = consortium.strip_prefix("consortium ").filter(|id| is_consortium(id));
        let consortium = consortium.ok_or(wrong(line, "consortium <id>"))?;
        let (line, roster) = next("the roster")?;
        let (roster_version, roster_root) =
            parse_roster(roster).ok_or(wrong(line, "roster <version> <root>"))?;
        let (line, scope) = next("the scope")?;
        let scope = scope.strip_prefix("scope ").and_then(Scope::parse);
        let scope = scope.ok_or(wrong(line, "scope all, member, period or record"))?;
        let mut logs: Vec<BundleLog> = Vec::new();
        loop {
            let (line, content) = next("a log, or end")?;
            if content.starts_with("end ") {
                break;
            }
            let log =
                parse_log(content).ok_or(wrong(line, "log <member> <n> <size> <root>, or end <digest>"))?;
            if logs.last().is_some_and(|last| (&last.member, last.n) >= (&log.member, log.n)) {
                return Err(ManifestError::Order { line });
            }
            logs.push(log);
        }
        let consortium = consortium.to_owned();
        let manifest = Self { consortium, roster_version, roster_root, scope, logs };
        // Another digest, what follows it, or a last line without its newline.
        if manifest.encode().as_bytes() == bytes { Ok(manifest) } else { Err(ManifestError::Digest) }
    }

    /// The digest of the core: SHA-256 of the manifest's text.
    #[must_use]
    pub fn core_digest(&self) -> [u8; DIGEST_BYTES] {
        sha256(&[self.encode().as_bytes()])
    }

    /// Whether the logs are those of this roster; the first that is missing or too many, if not.
    #[must_use]
    pub fn other_log(&self, roster: &Roster) -> Option<String> {
        let listed = roster.logs().filter(|log| *log.status != LogStatus::Spare);
        let mut listed: Vec<(String, u32)> = listed.map(|log| (log.member.to_string(), log.n)).collect();
        let mut named: Vec<(String, u32)> =
            self.logs.iter().map(|log| (log.member.to_string(), log.n)).collect();
        let both: Vec<(String, u32)> = named.iter().filter(|log| listed.contains(log)).cloned().collect();
        listed.retain(|log| !both.contains(log));
        named.retain(|log| !both.contains(log));
        listed.into_iter().chain(named).next().map(|(member, n)| format!("{member}/{n}"))
    }
}

fn is_consortium(id: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=crate::roster::CONSORTIUM_ID_MAX_BYTES).contains(&id.len()) && id.bytes().all(fine)
}

fn parse_roster(line: &str) -> Option<(u64, Root)> {
    let (version, root) = line.strip_prefix("roster ")?.split_once(' ')?;
    let version = parse_decimal(version).filter(|version| *version >= 1)?;
    Some((version, Root::from_hex(root).ok()?))
}

fn parse_log(line: &str) -> Option<BundleLog> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["log", member, n, size, root] = words.as_slice() else { return None };
    Some(BundleLog {
        member: MemberId::parse(member).ok()?,
        n: parse_decimal(n).and_then(|n| u32::try_from(n).ok())?,
        size: parse_decimal(size).filter(|size| *size <= TREE_SIZE_MAX)?,
        root: Root::from_hex(root).ok()?,
    })
}
