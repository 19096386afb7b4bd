//! Fetches and keeps what the followed tree lacks of both histories of a forked log.

use super::{Engine, ReadFor};
use crate::branches::{Brought, Kept};
use crate::effect::{Effect, HeldBranch, RequestId, WriteId};
use crate::event::{Channel, Peer, SendFailure};
use crate::follow::Barred;
use crate::view::{Author, View};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{BranchRequest, ConsistencyAnswer, Refusal, Request, Response};

impl Engine {
    /// What start-up found of a kept history. One whose checkpoint is not of this log is left alone: `fsck` names it.
    pub(super) fn load_branch(&mut self, log: LogId, number: u8, held: HeldBranch) {
        let Some(origin) = self.forks.evidence(&log).map(|evidence| evidence.origin().to_owned()) else {
            return;
        };
        let Some((_, key)) = self.log_of(&origin) else { return };
        if let Ok(signed) = SignedCheckpoint::verify(&held.note.note, &origin, &key) {
            self.branches.load(log, number, held, &signed);
            self.contest(log);
        }
    }

    /// Goes on with every history that is not whole: finds out where it leaves the followed tree, asks for more of it.
    pub(super) fn keep_branches(&mut self, now_ms: u64) {
        let unplaced: Vec<(LogId, u64)> = self
            .forks
            .logs()
            .filter(|(log, _)| self.branches.is_to_be_placed(log, now_ms))
            .filter_map(|(log, evidence)| Some((*log, evidence.diverges_at()?)))
            .collect();
        for (log, index) in unplaced {
            self.find_place(log, index);
        }
        self.ask_branches(now_ms);
    }

    /// The tree that is followed, or written, of a log.
    fn tree_of(&self, log: &LogId) -> Option<&Frontier> {
        if *log == self.own.author().log {
            return Some(self.own.frontier());
        }
        self.logs.get(log).map(crate::follow::FollowedLog::frontier)
    }

    fn find_place(&mut self, log: LogId, index: u64) {
        let Some(size) = self.tree_of(&log).map(Frontier::size) else { return };
        if size <= index {
            self.place(log, None);
        } else if !self
            .reads
            .values()
            .any(|read| matches!(read, ReadFor::Branch { log: other } if *other == log))
        {
            self.read_tree(ReadFor::Branch { log }, log, index, size);
        }
    }

    /// The followed tree says what it has where the two histories part. What could not be read is read again later.
    pub(super) fn branch_read(&mut self, log: LogId, found: Option<&ConsistencyAnswer>, now_ms: u64) {
        if found.is_none() {
            return self.branches.rest(log, now_ms);
        }
        self.place(log, found);
        self.ask_branches(now_ms);
    }

    fn place(&mut self, log: LogId, here: Option<&ConsistencyAnswer>) {
        let Some(ours) = self.tree_of(&log).cloned() else { return };
        if let Some(evidence) = self.forks.evidence(&log) {
            self.branches.place(log, evidence, &ours, here);
        }
        self.show_branches(log);
    }

    fn ask_branches(&mut self, now_ms: u64) {
        let Self { branches, peers, logs, out, .. } = self;
        for (log, branch) in branches.wanted() {
            let followed = logs.get(&log);
            let offers = |peer: &Peer| {
                let mut offers = followed.into_iter().flat_map(crate::follow::FollowedLog::offers);
                offers.any(|(who, head)| who == peer && (head.size(), head.root()) == branch.head())
            };
            let willing: Vec<(Peer, bool)> =
                peers.admitted().map(|(peer, _)| (*peer, offers(peer))).collect();
            let Some(peer) = branch.pick(&willing, now_ms) else { continue };
            let request_id = out.next_id();
            let request = Request::Branch(branch.ask(log, peer, request_id));
            out.push(Effect::Send { peer, request_id, request });
        }
    }

    /// Takes an answer if it is to a request for another history; `false` otherwise.
    pub(super) fn take_branch(
        &mut self,
        peer: Peer,
        request: RequestId,
        result: &Result<Response, SendFailure>,
        now_ms: u64,
    ) -> bool {
        if !self.branches.is_asking(request) {
            return false;
        }
        let chunk = match result {
            Ok(Response::Range(chunk)) => Some(chunk.clone()),
            _ => None,
        };
        let id = self.out.next_id();
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        match self.branches.answered(request, chunk, id, &barred) {
            Brought::Batch(batch) => self.out.push(Effect::WriteBranch(batch)),
            Brought::Fault(error) => self.misbehaved(peer, error.label()),
            Brought::Nothing => {}
        }
        self.ask_branches(now_ms);
        true
    }

    /// A part of another history is on disk; `false` if the write is another's.
    pub(super) fn branch_written(&mut self, write: WriteId, now_ms: u64) -> bool {
        let Some(Kept { log, number, entries }) = self.branches.written(write) else { return false };
        if let Some(author) = self.author_of(&log) {
            // What is to be thought of the history comes before its entries.
            self.contest(log);
            self.fold(&author.beside(number), &entries, View::fold, now_ms);
        }
        self.show_branches(log);
        self.ask_branches(now_ms);
        true
    }

    /// Who writes a log, or the log of a history that is kept under this name.
    pub(super) fn author_of(&self, line: &LogId) -> Option<Author> {
        if let Some((log, number)) = self.branches.named(line) {
            return Some(self.author_of(&log)?.beside(number));
        }
        let own = self.own.author();
        if *line == own.log {
            return Some(own.clone());
        }
        self.logs.get(line).map(|log| log.author().clone())
    }

    pub(super) fn show_branches(&mut self, log: LogId) {
        let ours = self.tree_of(&log).map_or(0, Frontier::size);
        if let Some(evidence) = self.forks.evidence(&log) {
            let state = self.branches.state(log, evidence, ours);
            self.out.push(Effect::Branches(state));
        }
    }

    /// Answers a request for one history of a log.
    pub(super) fn serve_branch(&mut self, peer: Peer, channel: Channel, ask: BranchRequest) {
        match self.served(&LogId::new(ask.range.log)) {
            None => self.reply(channel, Response::Refused(Refusal::UnknownLog)),
            Some(_) => {
                let entitled = self.entitled(&peer, &LogId::new(ask.range.log));
                self.out.push(Effect::ServeBranch { channel, ask, entitled });
            }
        }
    }

    /// Histories of forked logs that are kept beside the followed one: log, size and root of the checkpoint, and
    /// whether all of it is kept.
    pub fn branches(&self) -> impl Iterator<Item = (LogId, u64, Root, bool)> {
        self.branches.kept()
    }
}
