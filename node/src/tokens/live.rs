//! The tokens of a running node: found by hash, metered, and read anew when the file changes.

use super::limits::{Exceeded, Usage};
use super::used::{self, Used};
use super::{Token, TokenError, Tokens};
use hashpact_protocol::digest::sha256;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime};
use subtle::ConstantTimeEq as _;

/// How often a running node looks whether the file was changed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often it writes down what was used, in looks.
const LOOKS_PER_SAVE: u64 = 20;

/// A token and what it has used.
#[derive(Debug)]
pub struct LiveToken {
    token: Token,
    /// The same before and after the file is read anew.
    usage: Arc<Usage>,
    /// Meters count from here.
    epoch: Instant,
}

impl LiveToken {
    /// As stored.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The limit that is used up.
    pub fn request(&self, now_s: u64) -> Result<(), Exceeded> {
        let limits = &self.token.limits;
        if limits.requests_per_s.is_none() && limits.requests_per_day.is_none() {
            return Ok(());
        }
        self.usage.request(limits, self.now_ns(), now_s)
    }

    /// Counts items of a look-up, or records.
    ///
    /// # Errors
    /// The limit that is used up; then nothing of its kind was counted.
    pub fn items(&self, count: u64, now_s: u64) -> Result<(), Exceeded> {
        let limits = &self.token.limits;
        if limits.items_per_s.is_none() && limits.items_per_day.is_none() {
            return Ok(());
        }
        self.usage.items(limits, count, self.now_ns(), now_s)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

type ByHash = HashMap<[u8; 32], Arc<LiveToken>>;

/// What changes when the file is replaced: time of the change, length, number of the file.
type Stamp = Option<(SystemTime, u64, u64)>;

/// The tokens that count now.
#[derive(Debug)]
pub struct LiveTokens {
    path: PathBuf,
    by_hash: RwLock<Arc<ByHash>>,
    epoch: Instant,
    /// Whether the file as it is now was refused.
    is_stale: AtomicBool,
    /// What is written down of what was used.
    saved: Mutex<Used>,
}

impl LiveTokens {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let live = Self {
            path: path.to_owned(),
            by_hash: RwLock::default(),
            epoch: Instant::now(),
            is_stale: AtomicBool::new(false),
            saved: Mutex::new(used::load(&used::path(path))),
        };
        live.reload()?;
        Ok(live)
    }

    /// The token that this secret belongs to. Found by its SHA-256, which nobody can aim at another's, and compared as
    /// a whole in constant time.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<Arc<LiveToken>> {
        let hash = sha256(&[secret.as_bytes()]);
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let found = by_hash.get(&hash)?;
        bool::from(found.token.hash.ct_eq(&hash)).then(|| Arc::clone(found))
    }

    /// Whether there is any token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Whether the file was changed to something that cannot be read, so that the tokens before it count.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// The token that expires next, of those that have not.
    #[must_use]
    pub fn next_to_expire(&self, now_s: u64) -> Option<Arc<LiveToken>> {
        let all = self.all();
        let valid = all.values().filter(|live| !live.token.has_expired(now_s));
        valid.min_by_key(|live| live.token.expires_s).cloned()
    }

    fn all(&self) -> Arc<ByHash> {
        self.by_hash.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file anew; what a token has used goes on.
    ///
    /// # Errors
    /// What is wrong with it; the tokens before it count on.
    pub fn reload(&self) -> Result<(), TokenError> {
        let loaded = Tokens::load(&self.path);
        self.is_stale.store(loaded.is_err(), Ordering::Relaxed);
        let before = self.all();
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let by_hash = loaded?.tokens.into_iter().map(|token| {
            let usage = before.get(&token.hash).map(|live| Arc::clone(&live.usage)).unwrap_or_else(|| {
                Arc::new(saved.get(&token.hash).map_or_else(Usage::default, |used| Usage::of_today(*used)))
            });
            (token.hash, Arc::new(LiveToken { token, usage, epoch: self.epoch }))
        });
        let by_hash = Arc::new(by_hash.collect());
        *self.by_hash.write().unwrap_or_else(PoisonError::into_inner) = by_hash;
        Ok(())
    }

    /// Writes down what was used of today's quotas, if that has changed.
    fn save_used(&self) {
        let all = self.all();
        let used = used::collect(all.iter().map(|(hash, live)| (hash, &*live.usage)));
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved != used {
            match used::save(&used::path(&self.path), &used) {
                Ok(()) => *saved = used,
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "what tokens have used cannot be written down"
                    );
                }
            }
        }
    }

    /// Reads the file anew whenever it was changed, until the tokens are dropped.
    pub async fn watch(live: Weak<Self>) {
        // Read once more at first: the file may have been changed since it was opened.
        let mut seen: Option<Stamp> = None;
        for look in 1u64.. {
            let Some(tokens) = live.upgrade() else { return };
            let now = stamp(&tokens.path);
            if seen != Some(now) {
                seen = Some(now);
                match tokens.reload() {
                    Ok(()) => tracing::info!(tokens = tokens.all().len(), "tokens were read"),
                    Err(error) => {
                        tracing::error!(%error, "the token file was changed and cannot be used; the tokens before it count on");
                    }
                }
            }
            if look.is_multiple_of(LOOKS_PER_SAVE) {
                tokens.save_used();
            }
            drop(tokens);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Drop for LiveTokens {
    fn drop(&mut self) {
        self.save_used();
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
