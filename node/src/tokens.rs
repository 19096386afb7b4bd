//! Bearer tokens of the HTTP API: 256 random bits, shown once, stored as SHA-256; each with scopes, an end and limits.
//!
//! The file holds one line per token (`name scopes hash key=number …`), and is readable by its owner only. A running node
//! looks at it a few times a second ([`LiveTokens`]), so what a command changes counts within a second. An attacker who can
//! read it cannot use it; one who can write it can grant himself any scope. Losing it costs nothing but new tokens.
//!
//! Every token ends: one that was forgotten somewhere is worthless after [`LIFETIME_MAX_S`] at the latest.

mod limits;
mod live;
#[cfg(test)]
mod tests;
mod used;

pub use limits::{Exceeded, Limits};
pub use live::{LiveToken, LiveTokens};

use crate::journal::locked;
use crate::rosters::write_private;
use hashpact_protocol::digest::{hex_array, hex_encode, sha256};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Tokens that one node keeps.
pub const TOKENS_MAX: usize = 1_024;
/// How long a token is valid unless said otherwise, in seconds: 90 days.
pub const LIFETIME_DEFAULT_S: u64 = 90 * 86_400;
/// Longest time for which a token can be valid, in seconds: a leap year.
pub const LIFETIME_MAX_S: u64 = 366 * 86_400;
/// Longest name.
const NAME_MAX_BYTES: usize = 64;
const PREFIX: &str = "hpt_";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    /// Match, read records, proofs and status.
    Lookup,
    /// State, judge and retract.
    Contribute,
    /// Read logs and exports.
    Audit,
    /// Everything, and metrics.
    Admin,
}

impl Scope {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Contribute => "contribute",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Lookup, Self::Contribute, Self::Audit, Self::Admin]
            .into_iter()
            .find(|scope| scope.name() == word)
    }
}

/// One token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people, the journal and revoking.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// When it was made, in seconds since 1970 UTC.
    pub created_s: u64,
    /// From when on it is refused, in seconds since 1970 UTC.
    pub expires_s: u64,
    /// What it may use.
    pub limits: Limits,
    hash: [u8; 32],
}

impl Token {
    /// Whether it allows `scope`; `admin` allows everything.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// A stable number for this token, to bind idempotency keys to their caller.
    #[must_use]
    pub fn caller(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_expired(&self, now_s: u64) -> bool {
        now_s >= self.expires_s
    }

    fn line(&self) -> String {
        let words: Vec<&str> = self.scopes.iter().map(|scope| scope.name()).collect();
        let mut line = format!("{} {} {}", self.name, words.join(","), hex_encode(&self.hash));
        line.push_str(&format!(" created={} expires={}", self.created_s, self.expires_s));
        for (key, value) in self.limits.fields() {
            line.push_str(&format!(" {key}={value}"));
        }
        line + "\n"
    }
}

/// A token that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// What it is to allow.
    pub scopes: BTreeSet<Scope>,
    /// How long it is valid, in seconds.
    pub lifetime_s: u64,
    /// What it may use.
    pub limits: Limits,
}

impl NewToken {
    /// One with the default lifetime and without limits.
    #[must_use]
    pub fn new(name: &str, scopes: BTreeSet<Scope>) -> Self {
        Self { name: name.to_owned(), scopes, lifetime_s: LIFETIME_DEFAULT_S, limits: Limits::default() }
    }

    fn check(&self) -> Result<(), TokenError> {
        let refuse = |rule: &str| Err(TokenError::Name { name: self.name.clone(), rule: rule.to_owned() });
        if !is_name(&self.name) {
            return refuse("must be 1 to 64 of [a-z0-9._-]");
        }
        if self.scopes.is_empty() {
            return refuse("needs at least one scope");
        }
        if !(1..=LIFETIME_MAX_S).contains(&self.lifetime_s) {
            let days = LIFETIME_MAX_S / 86_400;
            return refuse(&format!("must expire within {days} days, and not at once"));
        }
        match self.limits.check() {
            Ok(()) => Ok(()),
            Err(rule) => refuse(&rule),
        }
    }
}

/// Why the token file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Cannot be read or written.
    #[error("token file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Cannot be replaced.
    #[error("token file {path}: {detail}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Readable by others.
    #[error("token file {path} has mode {mode:03o}; it must be readable by its owner only (chmod 600)")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is not a token.
    #[error("token file {path}, line {line}: {rule}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        rule: &'static str,
    },
    /// The name is taken or not a name, or the token cannot be as it is asked for.
    #[error("token {name:?}: {rule}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        rule: String,
    },
    /// No token of this name.
    #[error("there is no token {name:?}; `hashpact-node token list` shows all")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The journal does not take the change, which was not made.
    #[error("{0}")]
    Journal(String),
    /// No randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// All tokens of a node, as the file has them.
#[derive(Debug, Default, Clone)]
pub struct Tokens {
    tokens: Vec<Token>,
}

impl Tokens {
    /// Reads the file; a missing one holds no tokens.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        };
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Permissions { path: path.to_owned(), mode });
        }
        let wrong = |line, rule| TokenError::Line { path: path.to_owned(), line, rule };
        let mut tokens: Vec<Token> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let token = parse_line(text).map_err(|rule| wrong(line, rule))?;
            if tokens.iter().any(|other| other.name == token.name || other.hash == token.hash) {
                return Err(wrong(line, "this token is in the file twice"));
            }
            tokens.push(token);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(wrong(TOKENS_MAX + 1, "too many tokens"));
        }
        Ok(Self { tokens })
    }

    /// In the order of their creation.
    #[must_use]
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether there is any token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a token to the file and returns it with its secret, which is kept nowhere. `journal` is called when all was
    /// checked and before the file is changed.
    ///
    /// # Errors
    /// A bad or taken name or limit, the journal's error, or the file cannot be written.
    pub fn create(
        path: &Path,
        new: &NewToken,
        now_s: u64,
        journal: impl FnOnce(&Token) -> anyhow::Result<()>,
    ) -> Result<(Token, String), TokenError> {
        new.check()?;
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|_| TokenError::Random)?;
        let secret = format!("{PREFIX}{}", hex_encode(&random));
        let token = Token {
            name: new.name.clone(),
            scopes: new.scopes.clone(),
            created_s: now_s,
            expires_s: now_s.saturating_add(new.lifetime_s),
            limits: new.limits,
            hash: sha256(&[secret.as_bytes()]),
        };
        Self::change(path, |tokens| {
            let refuse = |rule: &str| TokenError::Name { name: new.name.clone(), rule: rule.to_owned() };
            if tokens.iter().any(|other| other.name == token.name) {
                return Err(refuse("is taken"));
            }
            if tokens.len() >= TOKENS_MAX {
                return Err(refuse("would be one token too many; revoke some that have expired"));
            }
            journal(&token).map_err(|error| TokenError::Journal(format!("{error:#}")))?;
            tokens.push(token.clone());
            Ok(())
        })?;
        Ok((token, secret))
    }

    /// Takes a token out of the file, journalled before; gives what it was.
    ///
    /// # Errors
    /// No such token, the journal's error, or the file cannot be written.
    pub fn revoke(
        path: &Path,
        name: &str,
        journal: impl FnOnce(&Token) -> anyhow::Result<()>,
    ) -> Result<Token, TokenError> {
        Self::change(path, |tokens| {
            let at = tokens.iter().position(|token| token.name == name);
            let at = at.ok_or_else(|| TokenError::Unknown { name: name.to_owned() })?;
            tokens
                .get(at)
                .map_or(Ok(()), journal)
                .map_err(|error| TokenError::Journal(format!("{error:#}")))?;
            Ok(tokens.remove(at))
        })
    }

    /// Reads the file, changes it and replaces it, while nobody else does.
    fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let _lock = locked(path).map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
        let mut all = Self::load(path)?;
        let done = change(&mut all.tokens)?;
        let text: String = all.tokens.iter().map(Token::line).collect();
        write_private(path, text.as_bytes())
            .map_err(|error| TokenError::Write { path: path.to_owned(), detail: format!("{error:#}") })?;
        Ok(done)
    }
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(fine)
}

fn parse_line(line: &str) -> Result<Token, &'static str> {
    let form = "must be: name scopes hash created=S expires=S, then limits";
    let mut words = line.split(' ');
    let (Some(name), Some(scopes), Some(hash)) = (words.next(), words.next(), words.next()) else {
        return Err(form);
    };
    if !is_name(name) {
        return Err("a name must be 1 to 64 of [a-z0-9._-]");
    }
    let scopes =
        scopes.split(',').map(Scope::parse).collect::<Option<BTreeSet<_>>>().ok_or("unknown scope")?;
    let hash = hex_array(hash).map_err(|_| "hash must be 64 hex digits")?;
    let mut number = |key: &'static str| {
        let value = words.next()?.strip_prefix(key)?.strip_prefix('=')?;
        value.parse::<u64>().ok()
    };
    let created_s = number("created").ok_or(form)?;
    let expires_s = number("expires").ok_or(form)?;
    if expires_s.saturating_sub(created_s) > LIFETIME_MAX_S {
        return Err("a token must expire within 366 days");
    }
    let limits = Limits::parse(words)?;
    Ok(Token { name: name.to_owned(), scopes, created_s, expires_s, limits, hash })
}
