//! Compressed bundles: blocks of zstd frames (SPEC §12.7).
//!
//! A block whose checksum is wrong is noted, and read on if it can still be unpacked, so that the entry that was
//! changed may be named as well. Behind a header that makes no sense the next one is searched for.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use hashpact_protocol::bundle::{BLOCK_HEADER_BYTES, BlockHeader, Section};
use hashpact_protocol::limits::BUNDLE_BLOCK_MAX_BYTES;

use super::archive::{ArchiveReader, Source};
use super::{Broken, Damage, Met, Progress};

/// How the header of a block starts.
const START: &[u8] = &[0x5e, 0x2a, 0x4d, 0x18, 36, 0, 0, 0, b'H', b'P', b'B', b'1'];

/// One block, or a gap where one cannot be read.
struct Place {
    file_at: u64,
    file_end: u64,
    header: Option<BlockHeader>,
}

/// Reads the blocks of one section.
pub(super) struct Blocks {
    file: BufReader<File>,
    places: Rc<Vec<Place>>,
    /// The next block to read, and one past the last one.
    next: usize,
    end: usize,
    decompressor: zstd::bulk::Decompressor<'static>,
    unpacked: Vec<u8>,
    taken: usize,
    met: Met,
    progress: Progress,
}

impl Blocks {
    /// Lists the blocks and opens both parts.
    pub(super) fn open(
        path: &Path,
        met: &Met,
        progress: &Progress,
    ) -> Result<(ArchiveReader, ArchiveReader), Broken> {
        let places = Rc::new(list(path)?);
        let is_annex = |place: &Place| place.header.is_some_and(|header| header.section == Section::Annex);
        let annex = places.iter().position(is_annex).unwrap_or(places.len());
        let core_bytes: u64 = places[..annex]
            .iter()
            .filter_map(|place| place.header)
            .map(|header| u64::from(header.unpacked))
            .sum();
        let open = |next: usize, end: usize| -> Result<Box<dyn Source>, Broken> {
            Ok(Box::new(Self {
                file: BufReader::with_capacity(BUNDLE_BLOCK_MAX_BYTES, File::open(path)?),
                places: Rc::clone(&places),
                next,
                end,
                decompressor: zstd::bulk::Decompressor::new()?,
                unpacked: Vec::new(),
                taken: 0,
                met: Rc::clone(met),
                progress: Rc::clone(progress),
            }))
        };
        let core = ArchiveReader::new(open(0, annex)?, 0, false);
        Ok((core, ArchiveReader::new(open(annex, places.len())?, core_bytes, true)))
    }

    /// Unpacks the next block; `false` behind the last.
    fn advance(&mut self) -> Result<bool, Broken> {
        let Some(place) = self.places.get(self.next).filter(|_| self.next < self.end) else {
            return Ok(false);
        };
        let damage = |what: String| Damage { start: place.file_at, end: place.file_end, what };
        let Some(header) = place.header else {
            return Err(Broken::Damage(damage("not the header of a block".to_owned())));
        };
        let frame = read_frame(&mut self.file, place)?;
        (self.progress)(place.file_end - place.file_at);
        let expected = u32::try_from(self.next).unwrap_or(u32::MAX);
        let checked = header.check(expected, &frame);
        if let Err(error) = &checked {
            self.met.borrow_mut().push(damage(error.to_string()));
        }
        match self.decompressor.decompress(&frame, header.unpacked as usize) {
            Ok(unpacked) if unpacked.len() == header.unpacked as usize => self.unpacked = unpacked,
            Ok(_) => {
                return Err(Broken::Damage(damage("the block has another length when unpacked".to_owned())));
            }
            Err(error) => {
                return Err(Broken::Damage(damage(format!("the block cannot be unpacked ({error})"))));
            }
        }
        self.taken = 0;
        self.next += 1;
        Ok(true)
    }
}

impl Source for Blocks {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        let mut got = 0;
        while got < buffer.len() {
            let held = &self.unpacked[self.taken..];
            if held.is_empty() {
                if !self.advance()? {
                    break;
                }
                continue;
            }
            let now = held.len().min(buffer.len() - got);
            buffer[got..got + now].copy_from_slice(&held[..now]);
            self.taken += now;
            got += now;
        }
        Ok(got)
    }

    /// The block that was read last is where the trouble ends; it is as exact as compression allows.
    fn place(&self, _start: u64, _end: u64) -> (u64, u64) {
        let last = self.next.saturating_sub(1);
        self.places.get(last).map_or((0, 0), |place| (place.file_at, place.file_end))
    }
}

fn read_frame(file: &mut BufReader<File>, place: &Place) -> io::Result<Vec<u8>> {
    let start = place.file_at + BLOCK_HEADER_BYTES as u64;
    if file.stream_position()? != start {
        let here = file.stream_position()?;
        let distance = i64::try_from(start).unwrap_or(0) - i64::try_from(here).unwrap_or(0);
        // Inside the buffer this costs nothing.
        file.seek_relative(distance)?;
    }
    let length = usize::try_from(place.file_end - start).map_err(io::Error::other)?;
    let mut frame = vec![0; length];
    file.read_exact(&mut frame)?;
    Ok(frame)
}

/// The blocks of a file by their headers alone.
fn list(path: &Path) -> io::Result<Vec<Place>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut places = Vec::new();
    let mut at = 0;
    while at < len {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        let header = file.read_exact(&mut bytes).ok().and_then(|()| BlockHeader::parse(&bytes).ok());
        let end = header.map(|header| at + BLOCK_HEADER_BYTES as u64 + u64::from(header.packed));
        let is_followed = match end {
            Some(end) if end < len => starts_block(&mut file, end)?,
            Some(end) => end == len,
            None => false,
        };
        let header = header.filter(|_| is_followed);
        let file_end = match (header, end) {
            (Some(_), Some(end)) => end,
            _ => find_start(&mut file, at + 1)?.unwrap_or(len),
        };
        places.push(Place { file_at: at, file_end, header });
        at = file_end;
    }
    Ok(places)
}

/// Whether a block's header, be it damaged at most in one place, could start here.
fn starts_block(file: &mut File, at: u64) -> io::Result<bool> {
    let mut bytes = [0; START.len()];
    file.seek(SeekFrom::Start(at))?;
    let mut got = 0;
    while got < bytes.len() {
        match file.read(&mut bytes[got..])? {
            0 => break,
            more => got += more,
        }
    }
    let differ = START.iter().zip(bytes).filter(|(expected, got)| **expected != *got).count();
    Ok(differ <= 1)
}

/// Where the next block starts at or behind a place.
fn find_start(file: &mut File, from: u64) -> io::Result<Option<u64>> {
    const STEP: usize = 1 << 20;
    let mut at = from;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(STEP);
        file.take(STEP as u64).read_to_end(&mut bytes)?;
        if let Some(found) = bytes.windows(START.len()).position(|window| window == START) {
            return Ok(Some(at + found as u64));
        }
        if bytes.len() < STEP {
            return Ok(None);
        }
        at += (STEP - START.len()) as u64;
    }
}

/// Checks every block of a file, and notes those that are damaged.
pub(super) fn check_all(path: &Path, met: &Met) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    for (number, place) in (0_u32..).zip(list(path)?) {
        let what = match place.header {
            None => Some("not the header of a block".to_owned()),
            Some(header) => {
                let frame = read_frame(&mut file, &place)?;
                header.check(number, &frame).err().map(|error| error.to_string())
            }
        };
        if let Some(what) = what {
            met.borrow_mut().push(Damage { start: place.file_at, end: place.file_end, what });
        }
    }
    Ok(())
}
