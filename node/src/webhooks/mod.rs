//! Webhooks: changes of the feed, sent to a program of the operator, signed, in their order, each at least once.
//!
//! One task for each hook reads the feed like any follower, so a receiver that is slow, down or gone holds up nobody but
//! itself. A delivery is repeated until it is accepted (any 2xx status), after longer and longer pauses; its place is kept in
//! a file of its own, synced, before the next one is sent. One that is not accepted for a day (`give_up_after_s`) is set
//! aside as a *dead letter*: a line in `data/webhooks/NAME.dead` that says which changes it was, never what they state, and
//! the hook goes on. If the feed cannot go on from where a hook is, the hook is told to take a snapshot.
//!
//! Redirects are not followed: a receiver that moves is the operator's affair. Nothing of an answer but its status is read.

mod delivery;
mod files;
#[cfg(test)]
mod tests;

pub use delivery::backoff_ms;

use crate::changes::{ChangeCursor, FeedProgress};
use crate::config::WebhookConfig;
use crate::driver::now_ms;
use crate::metrics::HookLabel;
use crate::service::{ChangesPage, Service, ServiceError};
use delivery::Sender;
use files::HookFiles;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::api::{CHANGES_SNAPSHOT, ChangeCause, ChangeJson, WebhookStatus};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Changes of one delivery.
const CHANGES_TOGETHER_MAX: usize = 100;
/// How long a hook waits for a change before it looks again.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Pause after a file or the feed could not be read.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Changes that a filter may pass over before the place is kept all the same.
const PASSED_OVER_MAX: u64 = 1_000;

/// One webhook while it runs.
pub struct Hook {
    config: WebhookConfig,
    files: HookFiles,
    sender: Sender,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Behind the last change that was accepted, passed over or given up.
    at: Option<ChangeCursor>,
    delivered: u64,
    dead: u64,
    /// Attempts at the delivery that is under way.
    attempts: u32,
    failing_since_ms: Option<u64>,
    last_error: Option<String>,
}

/// The hooks of a configuration, not yet started.
///
/// # Errors
/// A secret or position that cannot be read, or a client that cannot be made.
pub fn open(configs: &[WebhookConfig], data_dir: &Path) -> anyhow::Result<Vec<Arc<Hook>>> {
    let open = |config: &WebhookConfig| {
        let files = HookFiles::of(data_dir, &config.name)?;
        let (at, dead) = (files.position()?, files.dead_count()?);
        let state = Mutex::new(State { at, dead, ..State::default() });
        let sender = Sender::new(config)?;
        Ok(Arc::new(Hook { config: config.clone(), files, sender, state }))
    };
    configs.iter().map(open).collect()
}

/// Starts hooks; they end when the feed does, or `stop` turns true. The service shows how they are.
pub fn start(hooks: Vec<Arc<Hook>>, service: &Service, stop: &watch::Receiver<bool>) {
    for hook in &hooks {
        info!(hook = hook.config.name, "a webhook follows the changes");
        let (hook, service, mut stop) = (Arc::clone(hook), service.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = hook.run(&service) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
    service.set_hooks(hooks);
}

/// What is to be sent next.
struct Letter {
    changes: Vec<ChangeJson>,
    /// Where the hook is once it is accepted.
    until: ChangeCursor,
}

impl Hook {
    async fn run(&self, service: &Service) {
        let mut passed_over = 0;
        while !service.feed_progress().is_ok_and(|progress| progress.borrow().ended) {
            let letter = match self.next_letter(service).await {
                Ok(letter) => letter,
                Err(error) => {
                    if !matches!(
                        error,
                        ServiceError::Loading | ServiceError::Stopping | ServiceError::Restored
                    ) {
                        error!(hook = self.config.name, %error, "a webhook cannot read the changes");
                    }
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                    continue;
                }
            };
            if letter.changes.is_empty() {
                let before = self.state().at.replace(letter.until);
                passed_over += before.map_or(0, |before| letter.until.sequence.abs_diff(before.sequence));
                if passed_over < PASSED_OVER_MAX && before.is_some() {
                    continue;
                }
            } else {
                self.deliver(service, &letter).await;
            }
            passed_over = 0;
            self.keep(letter.until).await;
        }
    }

    /// Reads on; waits for a change. Without any that the filters let through, only the place moves.
    async fn next_letter(&self, service: &Service) -> Result<Letter, ServiceError> {
        // A node that came from a backup shows nothing before it knows of erasures since.
        service.check_shows_payloads()?;
        let progress = *service.feed_progress()?.borrow();
        let at = self.state().at;
        let Some(at) = at else { return Ok(Letter { changes: Vec::new(), until: progress.end() }) };
        match service.changes_within(at, CHANGES_TOGETHER_MAX, LOOK_INTERVAL).await {
            Ok(ChangesPage { changes, cursor }) => {
                let changes = changes.into_iter().filter(|change| self.config.wants(change)).collect();
                Ok(Letter { changes, until: cursor })
            }
            Err(ServiceError::Feed(reason)) => {
                warn!(hook = self.config.name, %reason, "a webhook cannot go on and is told to take a snapshot");
                let progress = *service.feed_progress()?.borrow();
                Ok(Letter { changes: vec![gone(&progress)], until: progress.oldest() })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends until it is accepted or given up.
    async fn deliver(&self, service: &Service, letter: &Letter) {
        let metrics = &service.metrics().feed;
        let label = HookLabel { hook: self.config.name.clone() };
        let body = delivery::body(&letter.changes);
        let begun_ms = now_ms();
        loop {
            let Err(reason) = self.sender.send(&body, &letter.until.encode()).await else {
                metrics.delivered.get_or_create(&label).inc();
                let mut state = self.state();
                *state = State {
                    at: state.at,
                    delivered: state.delivered + 1,
                    dead: state.dead,
                    ..State::default()
                };
                return;
            };
            metrics.failed.get_or_create(&label).inc();
            let attempts = {
                let mut state = self.state();
                state.attempts += 1;
                state.failing_since_ms.get_or_insert(begun_ms);
                state.last_error = Some(reason.clone());
                state.attempts
            };
            if attempts == 1 {
                warn!(hook = self.config.name, reason, "a delivery was not accepted and is repeated");
            }
            let failing_ms = now_ms().saturating_sub(begun_ms);
            if failing_ms >= self.config.give_up_after_s.saturating_mul(1_000) {
                metrics.dead.get_or_create(&label).inc();
                self.give_up(letter, &reason).await;
                return;
            }
            let mut random = [0; 4];
            // Without randomness the pause is merely not spread.
            let _ = getrandom::fill(&mut random);
            let pause_ms = backoff_ms(attempts, u32::from_be_bytes(random));
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Sets a delivery aside.
    async fn give_up(&self, letter: &Letter, reason: &str) {
        error!(hook = self.config.name, reason, "a delivery was given up: see data/webhooks");
        let ids: Vec<&str> = letter.changes.iter().filter_map(|change| change.record.as_deref()).collect();
        let first = letter.changes.first().map(|change| change.cursor.as_str());
        let line = serde_json::json!({
            "time": rfc3339(now_ms()), "first": first, "last": letter.until.encode(), "records": ids, "reason": reason,
        });
        {
            let mut state = self.state();
            state.dead += 1;
            state.attempts = 0;
        }
        let (files, line) = (self.files.clone(), line.to_string());
        let written = tokio::task::spawn_blocking(move || files.add_dead(&line)).await;
        if let Ok(Err(error)) = written {
            error!(hook = self.config.name, %error, "a dead letter could not be written");
        }
    }

    /// Keeps the place; a crash before it is kept sends the last delivery again.
    async fn keep(&self, at: ChangeCursor) {
        self.state().at = Some(at);
        let files = self.files.clone();
        let kept = tokio::task::spawn_blocking(move || files.keep_position(at)).await;
        if let Ok(Err(error)) = kept {
            error!(hook = self.config.name, %error, "the place of a webhook could not be kept");
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the status shows it.
    #[must_use]
    pub fn status(&self, progress: Option<&FeedProgress>) -> WebhookStatus {
        let state = self.state();
        let behind = |progress: &FeedProgress| match state.at {
            Some(at) if at.epoch == progress.epoch => progress.end().sequence.saturating_sub(at.sequence),
            Some(_) => progress.end().sequence,
            None => 0,
        };
        WebhookStatus {
            name: self.config.name.clone(),
            cursor: state.at.map(|at| at.encode()),
            behind: progress.map_or(0, behind),
            delivered: state.delivered,
            attempts: state.attempts,
            failing_since: state.failing_since_ms.map(rfc3339),
            last_error: state.last_error.clone(),
            dead_letters: state.dead,
        }
    }
}

/// Tells a receiver that changes were missed.
fn gone(progress: &FeedProgress) -> ChangeJson {
    ChangeJson {
        cursor: progress.oldest().encode(),
        time: rfc3339(now_ms()),
        kind: ChangeJson::SNAPSHOT.to_owned(),
        cause: Some(ChangeCause { what: "cursor_gone".to_owned(), name: None, version: None }),
        snapshot: Some(CHANGES_SNAPSHOT.to_owned()),
        ..ChangeJson::default()
    }
}

impl WebhookConfig {
    /// Whether a change passes the filters; calls for a snapshot always do.
    #[must_use]
    pub fn wants(&self, change: &ChangeJson) -> bool {
        if change.kind != ChangeJson::RECORD {
            return true;
        }
        let has_status = change.status.as_ref().is_some_and(|status| self.statuses.contains(&status.after));
        let is_of = |name: &String| self.lists.contains(name);
        let decided = change.outcome.iter().flat_map(|turn| [&turn.list_before, &turn.list_after]).flatten();
        let has_list = decided.chain(change.lists.iter().map(|turn| &turn.list)).any(is_of);
        (self.statuses.is_empty() || has_status) && (self.lists.is_empty() || has_list)
    }
}
