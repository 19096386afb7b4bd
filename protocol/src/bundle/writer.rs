//! Writing a bundle: the caller brings leaves, notes and payloads in order, the writer knows the format
//! (SPEC §12). It holds one chunk at a time and refuses what would not verify.

use super::archive::{END_BYTES, header, padding};
use super::block::Section;
use super::branch::place;
use super::chunk::{Span, TileSequence, encode_run, entries_name, tile_name};
use super::derived::derived_members;
use super::manifest::{BundleLog, Manifest};
use super::payload::{BundlePayload, encode_payloads};
use super::statement::Statement;
use crate::digest::{NodeHash, hex_encode, leaf_hash, sha256};
use crate::keys::{Signer, SignerError};
use crate::limits::{BUNDLE_DIGESTS_PER_LIST_MAX, BUNDLE_JOURNAL_PART_MAX_BYTES};
use crate::merkle::{Frontier, HashReader, encode_bundle, encode_tile};
use crate::roster::{MemberId, RosterChain};
use sha2::{Digest as _, Sha256};

/// Where the bytes of a bundle go.
pub trait Sink {
    /// What can go wrong.
    type Error;

    /// Takes the next bytes of the archive.
    ///
    /// # Errors
    /// Whatever the sink reports; the bundle is then given up.
    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Why a bundle cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The sink failed.
    #[error("writing the bundle: {0}")]
    Sink(E),
    /// The leaves given are not those of the head: the tree at hand is damaged.
    #[error("the entries of {log} do not lead to the root of its head; run fsck")]
    Root {
        /// Which log.
        log: String,
    },
    /// Whoever holds the card key gave no signature over the statement.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// Writes one bundle, front to back.
pub struct BundleWriter<S> {
    sink: S,
    manifest: Manifest,
    digests: Vec<String>,
}

impl<S: Sink> BundleWriter<S> {
    /// Starts with manifest, roster bodies, policies and taxonomy. The chain ends at the manifest's version.
    ///
    /// # Errors
    /// The sink failed.
    pub fn start(sink: S, manifest: Manifest, chain: &RosterChain) -> Result<Self, WriteError<S::Error>> {
        let mut writer = Self { sink, manifest, digests: Vec::new() };
        let text = writer.manifest.encode();
        writer.put(Section::Core, "core/manifest", text.as_bytes())?;
        for (version, signed) in (1_u64..).zip(chain.suffix_from(0)) {
            writer.put(Section::Core, &format!("core/roster/{version:06}"), &signed.body)?;
        }
        for (name, content) in derived_members(chain.current()) {
            writer.put(Section::Core, &name, content.as_bytes())?;
        }
        Ok(writer)
    }

    /// Starts a log that stands in the core as a whole; its chunks follow in order.
    #[must_use]
    pub fn whole_log(log: &BundleLog) -> WholeLog {
        WholeLog { log: log.clone(), tiles: TileSequence::new(log.size) }
    }

    /// Writes the next chunk of a whole log: as many leaves as its next tile has.
    ///
    /// # Errors
    /// The sink failed, or the last leaf was taken and the root is another.
    pub fn leaves(&mut self, whole: &mut WholeLog, leaves: &[Vec<u8>]) -> Result<(), WriteError<S::Error>> {
        let wrong = || WriteError::Root { log: whole.log.prefix("logs") };
        let tile = whole.tiles.next_tile().filter(|tile| usize::from(tile.width) == leaves.len());
        let tile = tile.ok_or_else(wrong)?;
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let nodes: Vec<NodeHash> = hashes.iter().map(|hash| (*hash).into()).collect();
        let entries = encode_bundle(leaves.iter().map(Vec::as_slice)).map_err(|_| wrong())?;
        let above = whole.tiles.advance(&hashes);
        let log = &whole.log;
        self.put(Section::Core, &tile_name(log, tile), &encode_tile(&nodes))?;
        self.put(Section::Core, &entries_name(log, tile), &entries)?;
        for (tile, content) in above {
            self.put(Section::Core, &tile_name(log, tile), &content)?;
        }
        if whole.tiles.next_tile().is_none() && whole.tiles.root() != log.root {
            return Err(WriteError::Root { log: log.prefix("logs") });
        }
        Ok(())
    }

    /// Writes a run of a log that stands in the core in part; `hashes` reads the log's tree.
    ///
    /// # Errors
    /// The sink failed, or a tree hash cannot be read (as [`WriteError::Root`]).
    pub fn run<R: HashReader + ?Sized>(
        &mut self,
        log: &BundleLog,
        start: u64,
        leaves: &[Vec<u8>],
        hashes: &R,
    ) -> Result<(), WriteError<S::Error>> {
        let wrong = || WriteError::Root { log: log.prefix("logs") };
        let count = u16::try_from(leaves.len()).map_err(|_| wrong())?;
        let span = Span { start, count };
        let content = encode_run(hashes, start, log.size, leaves).map_err(|_| wrong())?;
        super::chunk::check_run(span, log, &content).map_err(|_| wrong())?;
        self.put(Section::Core, &span.run_name(log), &content)
    }

    /// Starts the annex with the notes that governance signed for each version.
    ///
    /// # Errors
    /// The sink failed.
    pub fn annex(&mut self, chain: &RosterChain) -> Result<(), WriteError<S::Error>> {
        for (version, signed) in (1_u64..).zip(chain.suffix_from(0)) {
            self.note(&format!("annex/roster/{version:06}"), &signed.note)?;
        }
        Ok(())
    }

    /// Writes checkpoints of one size of a log, each with whatever cosignatures it has; `consistency` is the
    /// proof between that size and the head's, empty if they are equal or the smaller one is 0.
    ///
    /// # Errors
    /// The sink failed.
    pub fn checkpoints(
        &mut self,
        log: &BundleLog,
        size: u64,
        consistency: &[NodeHash],
        notes: &[Vec<u8>],
    ) -> Result<(), WriteError<S::Error>> {
        let place = log.prefix("annex/checkpoints");
        self.note(&format!("{place}/{size}/consistency"), &encode_tile(consistency))?;
        for (number, note) in notes.iter().enumerate() {
            self.note(&format!("{place}/{size}/{number}"), note)?;
        }
        Ok(())
    }

    /// Writes a piece of evidence of a forked log.
    ///
    /// # Errors
    /// The sink failed.
    pub fn evidence(&mut self, number: usize, evidence: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.note(&format!("annex/evidence/{number:06}"), evidence)
    }

    /// Starts history number `number` of a forked log that has evidence here: its checkpoint, and the frontier of
    /// the entries before its own, which follow in the chunks of [`super::branch_spans`].
    ///
    /// # Errors
    /// The sink failed.
    pub fn branch(
        &mut self,
        number: usize,
        note: &[u8],
        before: &Frontier,
    ) -> Result<(), WriteError<S::Error>> {
        let place = place(number);
        self.note(&format!("{place}/checkpoint"), note)?;
        self.note(&format!("{place}/before-{}", before.size()), &encode_tile(before.hashes()))
    }

    /// Writes a chunk of a history's own entries with their payloads and markers.
    ///
    /// # Errors
    /// The sink failed, or a leaf is longer than any entry.
    pub fn branch_entries(
        &mut self,
        number: usize,
        start: u64,
        leaves: &[Vec<u8>],
        payloads: &[BundlePayload<'_>],
    ) -> Result<(), WriteError<S::Error>> {
        let wrong = || WriteError::Root { log: place(number) };
        let entries = encode_bundle(leaves.iter().map(Vec::as_slice)).map_err(|_| wrong())?;
        let part = format!("{start}-{}", leaves.len());
        self.note(&format!("{}/entries/{part}", place(number)), &entries)?;
        let name = format!("{}/payloads/{part}", place(number));
        let (content, states) = encode_payloads(payloads);
        self.put(Section::Annex, &name, &content)?;
        self.digest(&name, content.get(..states).unwrap_or_default());
        Ok(())
    }

    /// Writes payloads and markers of a chunk that the core has, in the core's order.
    ///
    /// # Errors
    /// The sink failed.
    pub fn payloads(
        &mut self,
        log: &BundleLog,
        start: u64,
        payloads: &[BundlePayload<'_>],
    ) -> Result<(), WriteError<S::Error>> {
        let count = u16::try_from(payloads.len()).unwrap_or(u16::MAX);
        let name = Span { start, count }.payloads_name(log);
        let (content, states) = encode_payloads(payloads);
        self.put(Section::Annex, &name, &content)?;
        self.digest(&name, content.get(..states).unwrap_or_default());
        Ok(())
    }

    /// Writes the holder's journal of administrative actions, behind all payloads: whole lines, cut where a part would
    /// become too long. A journal that is torn or changed is written as it is, for the verifier to say so.
    ///
    /// # Errors
    /// The sink failed.
    pub fn journal(&mut self, journal: &[u8]) -> Result<(), WriteError<S::Error>> {
        let (mut rest, mut number) = (journal, 0_usize);
        while !rest.is_empty() {
            let window = rest.get(..BUNDLE_JOURNAL_PART_MAX_BYTES).unwrap_or(rest);
            let is_all = window.len() == rest.len();
            let whole = window.iter().rposition(|byte| *byte == b'\n').map_or(window.len(), |at| at + 1);
            let (part, after) =
                rest.split_at_checked(if is_all { rest.len() } else { whole }).unwrap_or((rest, &[]));
            self.note(&format!("annex/journal/{number:06}"), part)?;
            (rest, number) = (after, number + 1);
        }
        Ok(())
    }

    /// Ends the bundle with the digests and the signed statement of the holder.
    ///
    /// # Errors
    /// The sink failed.
    pub fn finish(
        mut self,
        member: &MemberId,
        begun_s: u64,
        ended_s: u64,
        card: &Signer,
    ) -> Result<S, WriteError<S::Error>> {
        let digests = std::mem::take(&mut self.digests);
        let mut all = Sha256::new();
        for (number, list) in digests.chunks(BUNDLE_DIGESTS_PER_LIST_MAX).enumerate() {
            let list = list.concat();
            all.update(list.as_bytes());
            self.put(Section::Annex, &format!("annex/digests/{number:06}"), list.as_bytes())?;
        }
        let statement = Statement {
            consortium: self.manifest.consortium.clone(),
            member: member.clone(),
            begun_s,
            ended_s,
            core: self.manifest.core_digest(),
            digests: all.finalize().into(),
        };
        self.put(Section::Annex, "annex/statement", &statement.sign(card)?)?;
        self.write(Section::Annex, &[0; END_BYTES])?;
        Ok(self.sink)
    }

    fn note(&mut self, name: &str, content: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.put(Section::Annex, name, content)?;
        self.digest(name, content);
        Ok(())
    }

    fn digest(&mut self, name: &str, content: &[u8]) {
        self.digests.push(digest_line(name, content));
    }

    fn put(&mut self, section: Section, name: &str, content: &[u8]) -> Result<(), WriteError<S::Error>> {
        let zeros = [0; super::archive::RECORD_BYTES];
        self.write(section, &header(name, content.len()))?;
        self.write(section, content)?;
        self.write(section, zeros.get(..padding(content.len())).unwrap_or_default())
    }

    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.sink.write(section, bytes).map_err(WriteError::Sink)
    }
}

/// A log that is being written as a whole.
pub struct WholeLog {
    log: BundleLog,
    tiles: TileSequence,
}

impl WholeLog {
    /// How many leaves the next chunk takes; `None` behind the last.
    #[must_use]
    pub fn next_count(&self) -> Option<u16> {
        self.tiles.next_tile().map(|tile| tile.width)
    }
}

/// A line of a list of digests: `<SHA-256 in hexadecimal>  <name>`.
pub(super) fn digest_line(name: &str, content: &[u8]) -> String {
    format!("{}  {name}\n", hex_encode(&sha256(&[content])))
}
