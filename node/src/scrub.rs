//! The thread that reads everything stored again while the node runs, slowly, and says what changed on the disk.
//!
//! It has a thread of its own and a rate of its own; it never writes to the database and never waits for whoever
//! does. Damaged entries go to the loop, which stops the node (own log) or fetches them again (other logs); this
//! thread waits for that and goes on where it stood. Where it stands survives a restart in `data/scrub`: derived, safe
//! to delete.
//!
//! A finding is read a second time before anything is made of it: what the second reading does not confirm was the
//! memory or the bus, is worth a warning, and must not stop a node.

mod shown;
mod state;
#[cfg(test)]
mod tests;

pub use shown::Shown;

use crate::metrics::Metrics;
use crate::storage::Store;
use crate::storage::scrub::{Finding, Pass, Stepped, TablePass};
use hashpact_core::effect::PublishedHead;
use hashpact_core::event::Damage;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash, Root};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::merkle::Frontier;
use serde_json::json;
use state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How long damaged entries may take to come back before the rest of their log waits for the next pass.
const HEALING_MAX: Duration = Duration::from_secs(600);
/// How often the place is written down.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(30);
/// What it is told and has not heard yet; one thing is under way at a time.
const TOLD_QUEUED_MAX: usize = 16;
/// How soon a node that shows nothing yet is looked at again.
const IDLE: Duration = Duration::from_secs(1);

/// How fast and how often.
#[derive(Debug, Clone, Copy)]
pub struct ScrubPace {
    /// Bytes a second.
    pub bytes_per_s: u64,
    /// Least time between the beginnings of two passes.
    pub interval: Duration,
}

/// What the loop is asked to do.
#[derive(Debug)]
pub enum ScrubAsk {
    /// Something is damaged.
    Damage(Damage),
    /// Upper tiles are to be written again; the tree was read whole and has the signed root.
    Tiles {
        /// The log.
        log: LogId,
        /// Level, index and hashes of each.
        wrong: Vec<(u8, u64, Vec<NodeHash>)>,
    },
}

/// What the thread is told.
#[derive(Debug)]
pub enum Told {
    /// Entries are stored again.
    Healed {
        /// The log.
        log: LogId,
        /// First leaf index.
        start: u64,
        /// Behind the last one.
        end: u64,
        /// Of how many no payload is here.
        payloads_missing: u64,
    },
    /// End now.
    Stop,
}

/// What the thread works with.
pub struct ScrubParts {
    /// The database.
    pub store: Arc<Store>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What status shows.
    pub shown: Arc<Shown>,
    /// How fast and how often.
    pub pace: ScrubPace,
    /// Where it remembers its place.
    pub state_file: PathBuf,
    /// Where healed damage is written down.
    pub journal_file: PathBuf,
    /// Keys of all logs of the roster.
    pub keys: BTreeMap<LogId, PublicKey>,
    /// The own log.
    pub own: LogId,
    /// The loop's inbox.
    pub asks: tokio::sync::mpsc::Sender<ScrubAsk>,
}

/// The running thread; joined when dropped.
pub struct Scrub {
    told: SyncSender<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Scrub {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(parts: ScrubParts) -> std::io::Result<Self> {
        let (told, inbox) = std::sync::mpsc::sync_channel(TOLD_QUEUED_MAX);
        let state = State::load(&parts.state_file);
        let now = Instant::now();
        let mut scrubbing = Scrubbing { parts, inbox, state, due: now, remembered: now };
        let thread = std::thread::Builder::new().name("scrub".to_owned()).spawn(move || {
            // Only being told to stop ends it.
            let Err(Stopped) = scrubbing.run();
            scrubbing.remember();
        })?;
        Ok(Self { told, thread: Some(thread) })
    }

    /// Where it is told what became of what it asked for.
    #[must_use]
    pub fn told(&self) -> SyncSender<Told> {
        self.told.clone()
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.told.send(Told::Stop);
            let _ = thread.join();
        }
    }
}

struct Stopped;

/// What became of a log in this pass.
enum Outcome {
    Whole,
    /// The rest waits for the next pass.
    Left,
    /// The tree before the place where it began was not what the tiles said: read it from its start.
    Again,
}

struct Scrubbing {
    parts: ScrubParts,
    inbox: Receiver<Told>,
    state: State,
    /// When the next step may begin.
    due: Instant,
    remembered: Instant,
}

impl Scrubbing {
    fn run(&mut self) -> Result<std::convert::Infallible, Stopped> {
        loop {
            let heads = self.parts.store.published_all();
            if heads.is_empty() {
                self.wait(IDLE)?;
                continue;
            }
            let begun = Instant::now();
            let whole = self.pass(&heads)?;
            self.end_pass(whole, begun.elapsed());
            self.wait(self.parts.pace.interval.saturating_sub(begun.elapsed()))?;
        }
    }

    /// Reads all logs from the remembered place on, then the other tables. Whether all of it was whole.
    fn pass(&mut self, heads: &[PublishedHead]) -> Result<bool, Stopped> {
        let (resumed, mut from) = self.state.place.take().map_or((None, 0), |(log, from)| (Some(log), from));
        let mut whole = true;
        for head in heads.iter().filter(|head| resumed.is_none_or(|log| head.log >= log)) {
            if resumed != Some(head.log) {
                from = 0;
            }
            self.state.place = Some((head.log, from));
            let mut outcome = self.log(head, from)?;
            if let Outcome::Again = outcome {
                outcome = self.log(head, 0)?;
            }
            whole &= matches!(outcome, Outcome::Whole);
        }
        self.state.place = None;
        Ok(self.tables()? && whole)
    }

    fn log(&mut self, head: &PublishedHead, from: u64) -> Result<Outcome, Stopped> {
        let store = Arc::clone(&self.parts.store);
        let mut pass = match Pass::begin(&store, head, self.signed(head), from) {
            Ok(pass) => pass,
            Err(_) if from > 0 => return Ok(Outcome::Again),
            Err(error) => {
                let finding = Finding::Unreadable { detail: error.to_string() };
                self.found(head, None, &finding)?;
                return Ok(Outcome::Left);
            }
        };
        self.stand(head, pass.position());
        loop {
            // The second reading counts.
            let stepped = match pass.step(&store) {
                Err(first) => pass.step(&store).inspect(|_| {
                    let detail = first.detail();
                    warn!(origin = head.origin, detail, "a finding was not confirmed; check the memory");
                }),
                stepped => stepped,
            };
            match stepped {
                Ok(stepped) => {
                    self.stepped(stepped)?;
                    self.parts.metrics.scrub.advanced(pass.position() - self.stood());
                    self.stand(head, pass.position());
                    if stepped.is_done {
                        self.tiles(head, &pass)?;
                        return Ok(Outcome::Whole);
                    }
                }
                Err(Finding::Root { .. }) if pass.is_from_tiles() => return Ok(Outcome::Again),
                Err(finding) => {
                    if !self.found(head, Some(&pass), &finding)? {
                        return Ok(Outcome::Left);
                    }
                }
            }
        }
    }

    /// Size and root that the author signed, of the note that is shown.
    fn signed(&self, head: &PublishedHead) -> Option<(u64, Root)> {
        let (note, key) = (head.note.as_ref()?, self.parts.keys.get(&head.log)?);
        let signed = SignedCheckpoint::verify(&note.note, &head.origin, key).ok()?;
        (signed.size() <= head.size).then(|| (signed.size(), signed.root()))
    }

    /// Upper tiles are derived: wrong ones are written again, except of the own log, where nothing may be wrong.
    fn tiles(&mut self, head: &PublishedHead, pass: &Pass) -> Result<(), Stopped> {
        let wrong = pass.wrong_tiles();
        let Some((level, index, _)) = wrong.first() else { return Ok(()) };
        let detail =
            format!("hash tile {level}/{index} is not what the leaves lead to ({} in all)", wrong.len());
        self.count(head, &detail);
        if head.log == self.parts.own {
            return self.stop_node(head, detail);
        }
        self.journal("tiles-rewritten", &json!({ "log": head.origin, "found": detail }));
        self.ask(ScrubAsk::Tiles { log: head.log, wrong: wrong.to_vec() });
        self.parts.shown.healed(&head.origin);
        self.parts.metrics.scrub.healed.inc();
        Ok(())
    }

    fn tables(&mut self) -> Result<bool, Stopped> {
        let store = Arc::clone(&self.parts.store);
        let (mut pass, mut whole) = (TablePass::default(), true);
        loop {
            match pass.step(&store) {
                Ok(stepped) => {
                    self.stepped(stepped)?;
                    if stepped.is_done {
                        return Ok(whole);
                    }
                }
                Err(finding) => {
                    whole = false;
                    let detail = finding.detail();
                    error!(detail, "a table of the database cannot be read: stop the node and run fsck");
                    self.parts.metrics.scrub.problems.inc();
                    self.parts.shown.problem("", detail);
                }
            }
        }
    }

    /// Makes something of a confirmed finding; `true` if it was healed and the log can be read on.
    fn found(
        &mut self,
        head: &PublishedHead,
        pass: Option<&Pass>,
        finding: &Finding,
    ) -> Result<bool, Stopped> {
        self.count(head, finding.detail());
        if head.log == self.parts.own {
            self.stop_node(head, finding.detail().to_owned())?;
        }
        let (Finding::Rows { end, payloads, detail }, Some(pass)) = (finding, pass) else {
            warn!(
                origin = head.origin,
                "this cannot be healed while the node runs: stop it and run `hashpact-node repair`"
            );
            return Ok(false);
        };
        let (start, end) = (pass.position(), *end);
        let before = pass.tree().clone();
        let (payloads, said) = (payloads.clone(), detail.clone());
        self.ask(ScrubAsk::Damage(Damage { log: head.log, start, end, before, payloads, detail: said }));
        let Some(payloads_missing) = self.wait_for_healing(head.log, start)? else {
            warn!(origin = head.origin, start, end, "no peer could help with damaged entries yet");
            return Ok(false);
        };
        let details = json!({
            "log": head.origin, "start": start, "end": end, "found": detail, "payloads_missing": payloads_missing,
        });
        self.journal("healed", &details);
        info!(origin = head.origin, start, end, payloads_missing, "damaged entries were fetched again");
        self.parts.metrics.scrub.healed.inc();
        self.parts.shown.healed(&head.origin);
        Ok(true)
    }

    fn count(&self, head: &PublishedHead, detail: &str) {
        error!(origin = head.origin, detail, "stored bytes are not what they were: check the disk");
        self.parts.metrics.scrub.problems.inc();
        self.parts.shown.problem(&head.origin, detail);
    }

    /// The loop stops the node over this; nothing is left to do here.
    fn stop_node(&mut self, head: &PublishedHead, detail: String) -> Result<(), Stopped> {
        let (log, before, payloads) = (head.log, Frontier::empty(), BTreeSet::new());
        self.ask(ScrubAsk::Damage(Damage { log, start: 0, end: 0, before, payloads, detail }));
        self.wait(HEALING_MAX)
    }

    /// A loop that has ended needs no telling.
    fn ask(&self, ask: ScrubAsk) {
        let _ = self.parts.asks.blocking_send(ask);
    }

    fn journal(&self, action: &str, details: &serde_json::Value) {
        if let Err(error) =
            crate::journal::record(&self.parts.journal_file, &crate::journal::Actor::Node, action, details)
        {
            warn!(%error, "what was healed could not be written down");
        }
    }

    fn wait_for_healing(&mut self, damaged: LogId, from: u64) -> Result<Option<u64>, Stopped> {
        let until = Instant::now() + HEALING_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Told::Healed { log, start, payloads_missing, .. }) if (log, start) == (damaged, from) => {
                    self.due = Instant::now();
                    return Ok(Some(payloads_missing));
                }
                // Of something that was given up before.
                Ok(Told::Healed { .. }) => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.due = Instant::now();
                    return Ok(None);
                }
                Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
            }
        }
    }

    /// Counts what was read, and rests as long as reading it may take.
    fn stepped(&mut self, stepped: Stepped) -> Result<(), Stopped> {
        self.parts.metrics.scrub.bytes.inc_by(stepped.bytes);
        self.parts.shown.read(stepped.bytes);
        self.state.bytes += stepped.bytes;
        let rate = u128::from(self.parts.pace.bytes_per_s.max(1));
        let nanos = u128::from(stepped.bytes) * 1_000_000_000 / rate;
        self.due += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        // A rest is never made up for by a burst.
        let rest = self.due.saturating_duration_since(now);
        self.due = self.due.max(now);
        self.wait(rest)
    }

    fn stood(&self) -> u64 {
        self.state.place.map_or(0, |(_, entries)| entries)
    }

    fn stand(&mut self, head: &PublishedHead, position: u64) {
        self.state.place = Some((head.log, position));
        self.parts.shown.stands(&head.origin, position, head.size);
        if self.remembered.elapsed() >= REMEMBER_INTERVAL {
            self.remember();
        }
    }

    fn end_pass(&mut self, whole: bool, took: Duration) {
        self.state.passes += 1;
        self.parts.metrics.scrub.passes.inc();
        if whole {
            self.state.whole_ms = Some(crate::driver::now_ms());
            self.parts.shown.whole();
        }
        self.parts.metrics.scrub.ended(whole, took);
        self.parts.shown.ended(&self.state, took);
        self.remember();
    }

    fn remember(&mut self) {
        self.remembered = Instant::now();
        if let Err(error) = self.state.save(&self.parts.state_file) {
            warn!(%error, "the place of the scrub could not be written down");
        }
    }

    /// Rests, and ends at once when told to.
    fn wait(&mut self, how_long: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + how_long;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Told::Healed { .. }) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
            }
        }
    }
}
