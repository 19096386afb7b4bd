//! Verifying a bundle, front to back, in memory that does not grow with it (SPEC §12.8).
//!
//! Two readers go through one archive at once, one through the core and one through the annex, so that a
//! payload meets its leaf without either being kept. What grows is one line a payload chunk (its digest).
//!
//! A problem is noted with its place and the rest is checked all the same, as far as it can still be read.

mod annex;
mod branches;
mod core;

use super::findings::{Findings, Visitor};
use super::manifest::Manifest;
use super::problem::{Problem, Rule};
use crate::digest::Root;
use crate::note::NoteKey;
use crate::roster::{MemberId, Roster, RosterChain};
use std::ops::Range;
use std::sync::Arc;

/// A member of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Offset of the content in the archive.
    pub at: u64,
}

/// Members of one part of the archive, in order.
pub trait Members {
    /// Why there is no next one.
    type Error;

    /// The next member; `None` behind the last of this part.
    ///
    /// # Errors
    /// The archive cannot be read any further.
    fn next(&mut self) -> Result<Option<Member>, Self::Error>;
}

/// Verifies a bundle against the root of roster version 1. The first reader stands at the start of the archive
/// and ends where the annex starts; the second stands there.
///
/// An error of a reader ends the verification and comes beside what was found until then.
pub fn verify_bundle<M: Members>(
    core: M,
    annex: M,
    trust: &Root,
    visitor: &mut dyn Visitor,
) -> (Findings, Option<M::Error>) {
    let mut check = Check {
        core: Ahead::new(core),
        annex: Ahead::new(annex),
        findings: Findings::default(),
        digests: Vec::new(),
        visitor,
    };
    let stop = check.run(trust).err();
    check.findings.is_finished = stop.is_none();
    match stop {
        Some(Stop::Reader(error)) => (check.findings, Some(error)),
        Some(Stop::Problem) | None => (check.findings, None),
    }
}

/// Why nothing further can be checked.
enum Stop<E> {
    /// The reader's error.
    Reader(E),
    /// A problem that was noted.
    Problem,
}

struct Check<'v, M: Members> {
    core: Ahead<M>,
    annex: Ahead<M>,
    findings: Findings,
    /// What the lists of digests must say, with the place of each member.
    digests: Vec<(String, String, Range<u64>)>,
    visitor: &'v mut dyn Visitor,
}

/// What the roster says, once it is trusted.
struct Trusted {
    manifest: Manifest,
    roster: Arc<Roster>,
    /// Every key that any version listed for a witness.
    witnesses: Vec<(MemberId, NoteKey)>,
}

impl<M: Members> Check<'_, M> {
    fn run(&mut self, trust: &Root) -> Result<(), Stop<M::Error>> {
        let (manifest, bodies) = self.core_start()?;
        let trusted = self.roster(manifest, bodies, trust)?;
        self.checkpoints(&trusted)?;
        self.evidence(&trusted)?;
        self.branches(&trusted)?;
        self.logs(&trusted)?;
        self.journal()?;
        self.statement(&trusted)
    }

    fn problem(&mut self, member: &Member, range: Range<usize>, rule: impl Into<Rule>) {
        let (start, end) = (member.at + range.start as u64, member.at + range.end as u64);
        self.findings.add(Problem { member: member.name.clone(), start, end, rule: rule.into() });
    }

    /// A problem with a member as a whole.
    fn whole(&mut self, member: &Member, rule: impl Into<Rule>) {
        self.problem(member, 0..member.content.len(), rule);
    }

    fn fatal<T>(&mut self, member: &Member, rule: impl Into<Rule>) -> Result<T, Stop<M::Error>> {
        self.whole(member, rule);
        Err(Stop::Problem)
    }

    /// The next member of the core, which must have this name.
    fn core_member(&mut self, name: &str) -> Result<Member, Stop<M::Error>> {
        let next = self.core.take().map_err(Stop::Reader)?;
        self.named(next, name)
    }

    /// The next member of the annex, which must have this name.
    fn annex_member(&mut self, name: &str) -> Result<Member, Stop<M::Error>> {
        let next = self.annex.take().map_err(Stop::Reader)?;
        self.named(next, name)
    }

    fn named(&mut self, next: Option<Member>, name: &str) -> Result<Member, Stop<M::Error>> {
        match next {
            Some(member) if member.name == name => Ok(member),
            Some(other) => self.fatal(&other, Rule::Expected { expected: name.to_owned() }),
            None => {
                let rule = Rule::Ends { expected: name.to_owned() };
                self.findings.add(Problem { member: name.to_owned(), start: 0, end: 0, rule });
                Err(Stop::Problem)
            }
        }
    }

    /// Notes what the lists of digests must say about a member of the annex.
    fn digest(&mut self, member: &Member, bytes: &[u8]) {
        let line = super::writer::digest_line(&member.name, bytes);
        let range = member.at..member.at + member.content.len() as u64;
        self.digests.push((member.name.clone(), line, range));
    }
}

/// A reader that can look at the next member before it is taken.
struct Ahead<M: Members> {
    members: M,
    next: Option<Member>,
}

impl<M: Members> Ahead<M> {
    fn new(members: M) -> Self {
        Self { members, next: None }
    }

    fn peek(&mut self) -> Result<Option<&Member>, M::Error> {
        if self.next.is_none() {
            self.next = self.members.next()?;
        }
        Ok(self.next.as_ref())
    }

    fn take(&mut self) -> Result<Option<Member>, M::Error> {
        match self.next.take() {
            Some(member) => Ok(Some(member)),
            None => self.members.next(),
        }
    }

    /// The part behind a prefix of the next member's name.
    fn behind(&mut self, prefix: &str) -> Result<Option<String>, M::Error> {
        let next = self.peek()?;
        Ok(next.and_then(|member| member.name.strip_prefix(prefix)).map(ToOwned::to_owned))
    }
}

/// Every key under which any version of the chain listed a witness.
fn all_witnesses(chain: &RosterChain) -> Vec<(MemberId, NoteKey)> {
    let mut keys: Vec<(MemberId, NoteKey)> = Vec::new();
    for version in chain.suffix_from(0) {
        let Ok(roster) = Roster::parse(&version.body) else { continue };
        for witness in &roster.witnesses {
            // Every author has the same list but for itself; nobody is called like this.
            let key = roster.member(witness).and_then(|member| member.cosigner_key);
            let name = roster.witness_name(witness);
            let key =
                key.map(|key| NoteKey { name, algorithm: crate::note::NoteAlgorithm::CosignatureV1, key });
            let pair = key.map(|key| (witness.clone(), key)).filter(|pair| !keys.contains(pair));
            keys.extend(pair);
        }
    }
    keys
}
