//! What is stored and what is asked, as files that both sides read.
//!
//! A file is 32-byte values one after another, nothing else, so that the peers' script reads exactly the same
//! bytes. The record of a stored value is its position in the file. Files are made from a seed, once, under the
//! target folder, and found again by their names.
//!
//! Two kinds. *Uniform*: independent random bits, stored and asked. *Real*: see [`photos`](crate::photos).
//! Of the queries every [`PLANTED_EVERY`]th is a near duplicate of a stored value, at distances 0 to 31 in turn; the
//! others come from the same kind of source and have nothing to do with what is stored.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::photos::{self, Part};
use crate::random::Random;

/// Part of every file's name; another number when other data are made from the same seed.
const VERSION: u32 = 1;
/// The seed of everything.
pub(crate) const SEED: u64 = 0x4861_7368_7061_6374;
/// One query in so many is a near duplicate of a stored value.
pub(crate) const PLANTED_EVERY: usize = 100;
/// Above this many values the photographs would be cut too finely to be called different pictures.
pub(crate) const REAL_MAX: usize = 20_000_000;
/// Values read or written at a time: 32 MiB.
const BLOCK: usize = 1 << 20;

/// Streams of random numbers, one for each purpose.
#[derive(Clone, Copy)]
enum Stream {
    Stored = 1,
    Queries = 2,
    Planted = 3,
    Flips = 4,
}

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Independent random bits.
    Uniform,
    /// PDQ hashes of crops of photographs.
    Real,
}

impl Kind {
    /// As it is called in file names and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Real => "real",
        }
    }
}

/// How much of which kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) stored: usize,
    pub(crate) queries: usize,
}

/// Files of stored values and queries that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    pub(crate) stored: PathBuf,
    pub(crate) queries: PathBuf,
}

/// What a near duplicate was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planted {
    pub(crate) record: u64,
    pub(crate) distance: u16,
}

impl Set {
    /// Names the files in `folder`; makes nothing.
    pub(crate) fn new(folder: &Path, kind: Kind, size: Size) -> Self {
        let Size { stored, queries } = size;
        let file = |what: String| folder.join(format!("v{VERSION}-{}-{stored}.{what}", kind.name()));
        Self { kind, size, stored: file("stored".into()), queries: file(format!("queries-{queries}")) }
    }

    /// Makes the files that are not there. `photos` is the folder of photographs, needed for real values only.
    pub(crate) fn prepare(&self, photos: Option<&Path>) -> Result<()> {
        if !self.stored.is_file() {
            let values = self.source(Stream::Stored, self.size.stored, photos)?;
            write_values(&self.stored, values)?;
        }
        if !self.queries.is_file() {
            let misses = self.source(Stream::Queries, self.size.queries, photos)?;
            let mut stored = File::open(&self.stored)?;
            let queries = misses.enumerate().map(|(query, miss)| match self.planted(query) {
                None => Ok(miss),
                Some(planted) => {
                    Ok(near(&read_one(&mut stored, planted.record)?, query, usize::from(planted.distance)))
                }
            });
            // Collected, because a value that cannot be read must not become a shorter file.
            write_values(&self.queries, queries.collect::<Result<Vec<_>>>()?.into_iter())?;
        }
        Ok(())
    }

    fn source(
        &self,
        stream: Stream,
        count: usize,
        photos: Option<&Path>,
    ) -> Result<Box<dyn Iterator<Item = [u8; 32]>>> {
        if self.kind == Kind::Uniform {
            let mut random = Random::new(SEED, stream as u64);
            return Ok(Box::new((0..count).map(move |_| random.value())));
        }
        let photos = photos.context("HASHPACT_PHOTOS names no folder; cargo xtask photos fetches one")?;
        let part = if matches!(stream, Stream::Stored) { Part::Stored } else { Part::HeldOut };
        Ok(Box::new(photos::values(photos, part, count, SEED ^ stream as u64)?.into_iter()))
    }

    /// What the query at this position was made from, if it is a near duplicate.
    pub(crate) fn planted(&self, query: usize) -> Option<Planted> {
        query.is_multiple_of(PLANTED_EVERY).then(|| Planted {
            record: Random::new(SEED, Stream::Planted as u64 + ((query as u64) << 8))
                .below(self.size.stored as u64),
            distance: (query / PLANTED_EVERY % 32) as u16,
        })
    }

    /// All queries.
    pub(crate) fn read_queries(&self) -> Result<Vec<[u8; 32]>> {
        read_values(&self.queries, 0, self.size.queries)
    }

    /// Calls `each` with the stored values, block by block, and the record of the first of each block.
    pub(crate) fn each_block(&self, mut each: impl FnMut(u64, &[[u8; 32]])) -> Result<()> {
        for start in (0..self.size.stored).step_by(BLOCK) {
            let values = read_values(&self.stored, start, BLOCK.min(self.size.stored - start))?;
            each(start as u64, &values);
        }
        Ok(())
    }
}

/// A value at exactly `distance` from `value`; `number` chooses which.
pub(crate) fn near(value: &[u8; 32], number: usize, distance: usize) -> [u8; 32] {
    Random::new(SEED, Stream::Flips as u64 + ((number as u64) << 8)).at_distance(value, distance)
}

/// `count` values of a file from position `start` on.
pub(crate) fn read_values(path: &Path, start: usize, count: usize) -> Result<Vec<[u8; 32]>> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.seek(SeekFrom::Start(start as u64 * 32))?;
    let mut values = vec![[0; 32]; count];
    file.read_exact(values.as_flattened_mut()).with_context(|| format!("{} is too short", path.display()))?;
    Ok(values)
}

fn read_one(file: &mut File, record: u64) -> Result<[u8; 32]> {
    let mut value = [0; 32];
    file.seek(SeekFrom::Start(record * 32))?;
    file.read_exact(&mut value)?;
    Ok(value)
}

/// Writes beside the name and renames, so that a file that is there is whole.
fn write_values(path: &Path, values: impl Iterator<Item = [u8; 32]>) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut writer = BufWriter::new(File::create(&partial)?);
    let mut written = 0_usize;
    for value in values {
        writer.write_all(&value)?;
        written += 1;
    }
    ensure!(written > 0, "no value for {}", path.display());
    writer.into_inner()?.sync_all()?;
    Ok(fs::rename(partial, path)?)
}

#[cfg(test)]
mod tests {
    use hashpact_hashing::pdq::distance;

    use super::*;

    const SIZE: Size = Size { stored: 5000, queries: 6500 };

    #[test]
    fn files_are_reproducible_and_planted_queries_lie_at_their_distance() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let sets = [first.path(), second.path()].map(|folder| {
            let set = Set::new(folder, Kind::Uniform, SIZE);
            set.prepare(None).unwrap();
            set
        });
        let [a, b] = &sets;
        assert_eq!(fs::read(&a.stored).unwrap(), fs::read(&b.stored).unwrap());
        assert_eq!(fs::read(&a.queries).unwrap(), fs::read(&b.queries).unwrap());

        let stored = read_values(&a.stored, 0, SIZE.stored).unwrap();
        let mut distances = std::collections::BTreeSet::new();
        for (number, query) in a.read_queries().unwrap().iter().enumerate() {
            let Some(planted) = a.planted(number) else { continue };
            let found = distance(query, &stored[planted.record as usize]);
            assert_eq!(found, u32::from(planted.distance));
            distances.insert(found);
        }
        assert_eq!(distances, (0..32).collect());
    }

    #[test]
    fn queries_that_are_not_planted_are_far_from_everything() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::new(folder.path(), Kind::Uniform, SIZE);
        set.prepare(None).unwrap();
        let stored = read_values(&set.stored, 0, SIZE.stored).unwrap();
        for query in set.read_queries().unwrap()[1..50].iter() {
            assert!(stored.iter().all(|value| distance(query, value) > 31));
        }
    }

    #[test]
    fn blocks_cover_a_file_once_and_short_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::new(folder.path(), Kind::Uniform, SIZE);
        set.prepare(None).unwrap();
        let mut all = Vec::new();
        set.each_block(|start, values| {
            assert_eq!(start as usize, all.len());
            all.extend_from_slice(values);
        })
        .unwrap();
        assert_eq!(all, read_values(&set.stored, 0, SIZE.stored).unwrap());
        assert!(read_values(&set.stored, 1, SIZE.stored).unwrap_err().to_string().contains("too short"));
    }

    #[test]
    fn real_values_need_photographs() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::new(folder.path(), Kind::Real, SIZE);
        let error = set.prepare(None).unwrap_err().to_string();
        assert!(error.contains("HASHPACT_PHOTOS"), "{error}");
        assert!(!set.stored.exists());
    }
}
