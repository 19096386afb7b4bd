//! Members out of bytes: the one spelling of an archive (SPEC §12.2), read in a stream.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use hashpact_protocol::bundle::archive::{END_BYTES, Header, RECORD_BYTES, padding, parse_header};
use hashpact_protocol::bundle::{Member, Members};

use super::{Broken, Damage, Progress};

/// Bytes of the archive from some place on.
pub(super) trait Source {
    /// Fills as much of `buffer` as there is; less only at the end of this part.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Broken>;

    /// Which bytes of the file hold these bytes of the archive that were just read.
    fn place(&self, start: u64, end: u64) -> (u64, u64);
}

/// Members of one part of an archive.
pub(super) struct ArchiveReader {
    source: Box<dyn Source>,
    /// Offset in the archive.
    at: u64,
    /// Whether the end of the archive must follow the last member.
    is_last: bool,
    ended: bool,
}

impl ArchiveReader {
    pub(super) fn new(source: Box<dyn Source>, at: u64, is_last: bool) -> Self {
        Self { source, at, is_last, ended: false }
    }

    fn damage<T>(&self, start: u64, end: u64, what: impl Into<String>) -> Result<T, Broken> {
        let (start, end) = self.source.place(start, end);
        Err(Broken::Damage(Damage { start, end, what: what.into() }))
    }

    /// Reads so many bytes, which must be there.
    fn take(&mut self, count: usize, name: &str) -> Result<Vec<u8>, Broken> {
        let mut bytes = vec![0; count];
        let start = self.at;
        let got = self.source.fill(&mut bytes)?;
        self.at += got as u64;
        if got == count {
            Ok(bytes)
        } else {
            self.damage(start, start + got as u64, format!("{name}: the file ends too early"))
        }
    }

    fn end(&mut self) -> Result<Option<Member>, Broken> {
        self.ended = true;
        let start = self.at - RECORD_BYTES as u64;
        // One byte more than may follow.
        let mut rest = [0; END_BYTES - RECORD_BYTES + 1];
        let got = self.source.fill(&mut rest)?;
        let is_end = got == END_BYTES - RECORD_BYTES && rest.iter().all(|byte| *byte == 0);
        if is_end && self.is_last {
            return Ok(None);
        }
        self.damage(
            start,
            self.at + got as u64,
            "the archive must end here, with zeros and nothing behind them",
        )
    }
}

impl Members for ArchiveReader {
    type Error = Broken;

    fn next(&mut self) -> Result<Option<Member>, Broken> {
        let mut record = [0; RECORD_BYTES];
        let start = self.at;
        if self.ended {
            return Ok(None);
        }
        let got = self.source.fill(&mut record)?;
        self.at += got as u64;
        if got == 0 && !self.is_last {
            return Ok(None);
        }
        if got < RECORD_BYTES {
            return self.damage(start, start + got as u64, "the file ends too early");
        }
        let (name, size) = match parse_header(&record) {
            Ok(Header::End) => return self.end(),
            Ok(Header::Member { name, size }) => (name, size),
            Err(error) => return self.damage(start, self.at, error.to_string()),
        };
        let at = self.at;
        let content = self.take(size, &name)?;
        let behind = self.take(padding(size), &name)?;
        if behind.iter().any(|byte| *byte != 0) {
            return self.damage(at + size as u64, self.at, format!("{name}: padding that is not zeros"));
        }
        Ok(Some(Member { name, content, at }))
    }
}

/// A plain archive: the file is the archive.
struct Plain {
    file: BufReader<File>,
    left: u64,
    progress: Progress,
}

impl Source for Plain {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut got = 0;
        while got < count {
            match self.file.read(&mut buffer[got..count])? {
                0 => break,
                more => got += more,
            }
        }
        self.left -= got as u64;
        (self.progress)(got as u64);
        Ok(got)
    }

    fn place(&self, start: u64, end: u64) -> (u64, u64) {
        (start, end)
    }
}

/// Finds where the annex of a plain archive starts, by its headers alone, and opens both parts.
pub(super) fn find_annex(path: &Path, progress: &Progress) -> Result<(ArchiveReader, ArchiveReader), Broken> {
    let len = std::fs::metadata(path)?.len();
    let mut file = BufReader::with_capacity(RECORD_BYTES, File::open(path)?);
    let mut at = 0;
    loop {
        let damage = |end: u64, what: String| Broken::Damage(Damage { start: at, end, what });
        let mut record = [0; RECORD_BYTES];
        if at + RECORD_BYTES as u64 > len {
            return Err(damage(len, "the file ends too early".to_owned()));
        }
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut record)?;
        match parse_header(&record) {
            Ok(Header::Member { name, .. }) if name.starts_with("annex/") => break,
            Ok(Header::Member { size, .. }) => at += (RECORD_BYTES + size + padding(size)) as u64,
            Ok(Header::End) => return Err(damage(len, "an archive without an annex".to_owned())),
            Err(error) => return Err(damage(at + RECORD_BYTES as u64, error.to_string())),
        }
    }
    let open = |from: u64, left: u64| -> Result<Box<dyn Source>, Broken> {
        let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(Plain { file, left, progress: progress.clone() }))
    };
    Ok((ArchiveReader::new(open(0, at)?, 0, false), ArchiveReader::new(open(at, len - at)?, at, true)))
}
