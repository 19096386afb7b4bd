//! The index as a file: derived data that saves the minutes of a rebuild, and is never trusted.
//!
//! ```text
//! blocks, of any length up to 2^32 - 1 bytes, one behind the other from byte 0
//! contents: for each block  section u8 | length u32 | XXH3-64 of section, length and bytes u64
//! footer, 56 bytes: "HPINDEX\0" | version u32 | zero u32 | blocks u64 | offset of the contents u64
//!                   | XXH3-64 of the contents u64 | length of the file u64 | XXH3-64 of the footer so far u64
//! ```
//!
//! Numbers are little-endian. The footer is written last, so a torn write is a file without one. Every byte is
//! under a checksum. The checksums find accidents; whoever can write this file can also write a checksum, so the owner compares
//! [`MatchIndex::fingerprint`] with what its logs say.
//!
//! Blocks are read with positioned reads straight into the memory where they stay. A mapping of the file would
//! start a little faster, but its small pages make every look-up slower for good, and a file that is cut
//! short under a mapping kills the process.
//!
//! Sections: [`HEAD`] once (seed, counts, the owner's tag); the others belong to the modules that write them.

use crate::exact::{ExactMaps, LoadLimits};
use crate::hamming::{Hamming, HammingWriter};
use crate::random::Random;
use crate::{MatchIndex, Options};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Mutex;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: [u8; 8] = *b"HPINDEX\0";
const VERSION: u32 = 1;
const FOOTER_BYTES: usize = 56;
const ENTRY_BYTES: usize = 13;
/// Seed, codes ever placed, and the tag.
const HEAD: u8 = 1;
/// The exact maps.
const EXACT: u8 = 2;
/// Sections from here on are the Hamming side's.
pub(crate) const HAMMING: u8 = 16;
/// Most bytes of an owner's tag.
pub const TAG_BYTES_MAX: usize = 1 << 20;
/// A file of more blocks would hold more than the index can.
const BLOCKS_MAX: u64 = 1 << 24;
/// Widest exact value that a file may bring.
const EXACT_WIDTH_MAX: u32 = 1 << 16;
/// Length of the blocks that a stream of bytes is cut into.
const STREAM_BLOCK_BYTES: usize = 1 << 20;

/// Why a snapshot was not written or not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file could not be read or written.
    #[error("the index snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The file is shorter than its footer says, or has none: a torn write, or not a snapshot.
    #[error("this is not a whole index snapshot: {0}")]
    Torn(&'static str),
    /// Another version of the format.
    #[error("the index snapshot has version {found}, this program reads version {VERSION}")]
    Version {
        /// What the file says.
        found: u32,
    },
    /// Bytes that are not those that were written.
    #[error("the index snapshot is damaged: block {block} of {length} bytes at {offset} fails its checksum")]
    Checksum {
        /// Number of the block; one past the last is the contents.
        block: usize,
        /// Where it starts.
        offset: u64,
        /// Its length.
        length: u64,
    },
    /// Checksums hold, but the contents contradict themselves.
    #[error("the index snapshot contradicts itself: {0}")]
    Content(String),
    /// The owner's tag is too long.
    #[error("a tag of {length} bytes, at most {TAG_BYTES_MAX} are kept")]
    Tag {
        /// Its length.
        length: usize,
    },
}

impl SnapshotError {
    pub(crate) fn content(what: impl Into<String>) -> Self {
        Self::Content(what.into())
    }
}

/// Writes blocks and remembers their checksums.
pub(crate) struct BlockWriter {
    out: BufWriter<File>,
    offset: u64,
    contents: Vec<u8>,
}

impl BlockWriter {
    /// Appends one block.
    pub(crate) fn block(&mut self, section: u8, bytes: &[u8]) -> Result<(), SnapshotError> {
        let length = u32::try_from(bytes.len()).expect("blocks are short");
        self.out.write_all(bytes)?;
        self.offset += u64::from(length);
        self.contents.push(section);
        self.contents.extend_from_slice(&length.to_le_bytes());
        self.contents.extend_from_slice(&checksum(section, bytes).to_le_bytes());
        Ok(())
    }

    fn finish(mut self) -> Result<File, SnapshotError> {
        self.out.write_all(&self.contents)?;
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend_from_slice(&MAGIC);
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&[0; 4]);
        let length = self.offset + self.contents.len() as u64 + FOOTER_BYTES as u64;
        let blocks = (self.contents.len() / ENTRY_BYTES) as u64;
        for number in [blocks, self.offset, xxh3_64(&self.contents), length] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&xxh3_64(&footer).to_le_bytes());
        self.out.write_all(&footer)?;
        Ok(self.out.into_inner().map_err(io::IntoInnerError::into_error)?)
    }
}

fn checksum(section: u8, bytes: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&[section]);
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
    hash.digest()
}

/// A block's place in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    number: usize,
    section: u8,
    offset: u64,
    /// In bytes.
    pub(crate) length: usize,
    checksum: u64,
}

/// An opened snapshot: the footer and the contents are whole.
#[derive(Debug)]
pub(crate) struct BlockReader {
    file: File,
    blocks: Vec<Block>,
}

impl BlockReader {
    fn open(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let Some(footer_at) = length.checked_sub(FOOTER_BYTES as u64) else {
            return Err(SnapshotError::Torn("it is shorter than a footer"));
        };
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let number = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().expect("eight bytes"));
        if footer[..8] != MAGIC {
            return Err(SnapshotError::Torn("it does not end with a footer"));
        }
        let version = number(8) as u32;
        if version != VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        if xxh3_64(&footer[..48]) != number(48) {
            return Err(SnapshotError::Torn("its footer fails its checksum"));
        }
        let (blocks, contents_at, contents_sum) = (number(16), number(24), number(32));
        let contents_bytes = blocks.saturating_mul(ENTRY_BYTES as u64);
        let whole = contents_at.checked_add(contents_bytes) == Some(footer_at);
        if number(40) != length || !whole || blocks > BLOCKS_MAX {
            return Err(SnapshotError::Torn("its length is not the one that was written"));
        }
        let mut contents = vec![0; contents_bytes as usize];
        file.read_exact_at(&mut contents, contents_at)?;
        if xxh3_64(&contents) != contents_sum {
            let (block, offset, length) = (blocks as usize, contents_at, contents_bytes);
            return Err(SnapshotError::Checksum { block, offset, length });
        }
        let mut offset = 0;
        let blocks: Vec<Block> = contents
            .chunks_exact(ENTRY_BYTES)
            .enumerate()
            .map(|(number, entry)| {
                let length = u32::from_le_bytes(entry[1..5].try_into().expect("four bytes")) as usize;
                let checksum = u64::from_le_bytes(entry[5..].try_into().expect("eight bytes"));
                let block = Block { number, section: entry[0], offset, length, checksum };
                offset += length as u64;
                block
            })
            .collect();
        if offset != contents_at {
            return Err(SnapshotError::Torn("its blocks do not fill it"));
        }
        Ok(Self { file, blocks })
    }

    /// The blocks of a section, in order.
    pub(crate) fn section(&self, section: u8) -> Vec<Block> {
        self.blocks.iter().filter(|block| block.section == section).copied().collect()
    }

    /// Reads a block into memory of its length and compares the checksum.
    pub(crate) fn read_into(&self, block: &Block, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.file.read_exact_at(bytes, block.offset)?;
        if checksum(block.section, bytes) != block.checksum {
            let (block, offset, length) = (block.number, block.offset, block.length as u64);
            return Err(SnapshotError::Checksum { block, offset, length });
        }
        Ok(())
    }

    pub(crate) fn read(&self, block: &Block) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = vec![0; block.length];
        self.read_into(block, &mut bytes)?;
        Ok(bytes)
    }
}

/// The blocks of a section as one stream of checked bytes.
struct SectionReader<'a> {
    reader: &'a BlockReader,
    blocks: std::vec::IntoIter<Block>,
    now: io::Cursor<Vec<u8>>,
}

impl Read for SectionReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.now.read(out)? {
                0 if !out.is_empty() => match self.blocks.next() {
                    Some(block) => {
                        let bytes = self.reader.read(&block).map_err(io::Error::other)?;
                        self.now = io::Cursor::new(bytes);
                    }
                    None => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}

/// A stream of bytes that becomes the blocks of a section.
struct SectionWriter<'a> {
    out: &'a mut BlockWriter,
    section: u8,
    bytes: Vec<u8>,
}

impl SectionWriter<'_> {
    fn finish(self) -> Result<(), SnapshotError> {
        self.out.block(self.section, &self.bytes)
    }
}

impl Write for SectionWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= STREAM_BLOCK_BYTES {
            self.out.block(self.section, &self.bytes).map_err(io::Error::other)?;
            self.bytes.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the first block says.
struct Head {
    seed: [u8; 32],
    end: u32,
    tag: Vec<u8>,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.seed.to_vec();
        bytes.extend_from_slice(&self.end.to_le_bytes());
        bytes.extend_from_slice(&self.tag);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (Some(seed), Some(end)) = (bytes.first_chunk(), bytes.get(32..36)) else {
            return Err(SnapshotError::content("its first block is too short"));
        };
        let end = u32::from_le_bytes(end.try_into().expect("four bytes"));
        Ok(Self { seed: *seed, end, tag: bytes[36..].to_vec() })
    }
}

impl MatchIndex {
    /// Writes a snapshot to `path`, beside readers and writers, and syncs it. A file that stood there is overwritten:
    /// whoever wants the old one until the new one is whole writes to another name and renames. Readable by the
    /// owner alone, because it holds the secret seed.
    ///
    /// `tag` says what the index held when the call started, in the owner's terms. Changes made while it writes may
    /// or may not be in the file; whoever opens it makes all changes since the tag again, in order: a change
    /// that is there already changes nothing, and the last one about a pair decides.
    ///
    /// # Errors
    /// The tag is longer than [`TAG_BYTES_MAX`]: nothing was touched. The file cannot be written: what was begun is
    /// removed.
    pub fn save(&self, path: &Path, tag: &[u8]) -> Result<(), SnapshotError> {
        if tag.len() > TAG_BYTES_MAX {
            return Err(SnapshotError::Tag { length: tag.len() });
        }
        // One at a time: each tells the writer when it is done.
        let _saving = self.saving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let out = BufWriter::with_capacity(1 << 20, file);
        let mut out = BlockWriter { out, offset: 0, contents: Vec::new() };
        let end = self.lock_writer().hold(&self.hamming);
        let written = self.write_blocks(&mut out, end, tag);
        self.lock_writer().release();
        let finished = written.and_then(|()| out.finish()).and_then(|file| Ok(file.sync_all()?));
        if finished.is_err() {
            // Best effort: half a file is recognised as such.
            let _ = std::fs::remove_file(path);
        }
        finished
    }

    fn write_blocks(&self, out: &mut BlockWriter, end: u32, tag: &[u8]) -> Result<(), SnapshotError> {
        let head = Head { seed: self.seed, end, tag: tag.to_vec() };
        out.block(HEAD, &head.encode())?;
        let mut exact = SectionWriter { out, section: EXACT, bytes: Vec::new() };
        self.exact.save_into(&mut exact)?;
        exact.finish()?;
        self.hamming.save(end, out)
    }

    /// Opens a snapshot; gives the index and the owner's tag.
    ///
    /// The index answers at once and rightly, perceptual values by a flat scan: the tables follow with
    /// [`warm`](Self::warm). Changes wait until then.
    ///
    /// # Errors
    /// The file is missing, torn, damaged, of another version, or contradicts itself.
    pub fn open(path: &Path) -> Result<(Self, Vec<u8>), SnapshotError> {
        let reader = BlockReader::open(path)?;
        let head = match reader.section(HEAD)[..] {
            [block] => Head::decode(&reader.read(&block)?)?,
            _ => return Err(SnapshotError::content("it has not exactly one head")),
        };
        let Options { flat_max, instructions, .. } = Options::with_seed(head.seed);
        let hamming = Hamming::new(&mut Random::from_seed(head.seed), instructions, flat_max);
        let blocks = reader.section(EXACT);
        let input_bytes = blocks.iter().map(|block| block.length as u64).sum();
        let now = io::Cursor::new(Vec::new());
        let mut input = SectionReader { reader: &reader, blocks: blocks.into_iter(), now };
        let limits = LoadLimits { width_max: EXACT_WIDTH_MAX, input_bytes };
        let (exact, writer) = std::thread::scope(|scope| {
            let exact = scope.spawn(|| {
                let exact = ExactMaps::load_from(&head.seed, &mut input, limits)
                    .map_err(|error| SnapshotError::content(error.to_string()))?;
                match input.read(&mut [0])? {
                    0 => Ok(exact),
                    _ => Err(SnapshotError::content("bytes behind the exact maps")),
                }
            });
            let writer = hamming.load_codes(head.end, &reader);
            (exact.join().expect("loading does not panic"), writer)
        });
        let (exact, writer) = (exact?, writer?);
        let pending = (head.end > 0).then_some(reader);
        let index = Self {
            hamming,
            exact,
            seed: head.seed,
            writer: Mutex::new(writer),
            saving: Mutex::new(()),
            pending: Mutex::new(pending),
        };
        Ok((index, head.tag))
    }

    /// Reads the tables of an opened snapshot, for full speed; on any other index it does nothing. Look-ups go on
    /// meanwhile, changes wait. The first change does the same if nobody has.
    ///
    /// # Errors
    /// The tables are damaged or contradict themselves. The index goes on with what it builds from its values.
    pub fn warm(&self) -> Result<(), SnapshotError> {
        let mut writer = self.writer.lock().expect("no writer of the match index panics half way");
        self.warm_locked(&mut writer)
    }

    pub(crate) fn warm_locked(&self, writer: &mut HammingWriter) -> Result<(), SnapshotError> {
        let pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        pending.map_or(Ok(()), |reader| writer.load_tables(&self.hamming, &reader))
    }
}
