//! Where in a file its tensors lie, whatever the format, and what may be wrong with that.
//!
//! Reading a layout goes to the headers alone; no weight is read. All numbers in a header are a stranger's: they are
//! compared with the file's size and with [`Limits`](self) before anything is allocated by them.

use std::io::{self, Read, Seek, SeekFrom};

use super::element::Encoding;
use super::{gguf, safetensors, torch};
use crate::json::JsonError;

/// The most tensors in a file.
pub const TENSORS_MAX: usize = 1 << 18;
/// The longest name of a tensor, in bytes.
pub const NAME_MAX_BYTES: usize = 1024;
/// The most dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 16;
/// Characters of a stranger's text that an error repeats.
const SHOWN_MAX: usize = 80;

/// A format of model files, told by the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Safetensors.
    Safetensors,
    /// GGUF of ggml and llama.cpp.
    Gguf,
    /// A zip archive of `torch.save`: `.ckpt`, `.pt`, `.bin`.
    Torch,
    /// Anything else, such as ONNX and archives of PyTorch before 1.6: digests of the whole file only.
    Other,
}

impl Format {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
            Self::Torch => "torch",
            Self::Other => "other",
        }
    }
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) encoding: Encoding,
    /// Sides, the slowest first.
    pub(crate) dimensions: Vec<u64>,
    /// Where its bytes begin in the file.
    pub(crate) start: u64,
    /// How many there are.
    pub(crate) bytes: u64,
    /// For a tensor whose values do not follow one another: the distance of neighbours along each side, in values.
    pub(crate) strides: Option<Vec<u64>>,
}

/// A digest that a file states about itself or about what it was made from. It is a claim until it was recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it is said to be the digest of.
    pub about: About,
    /// Which identifier it is meant to be.
    pub identifier: &'static str,
    /// Lower-case hexadecimal digits, at most 64.
    pub hex: String,
}

/// What a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// This file.
    Itself,
    /// The model that it was trained from.
    Base,
    /// The VAE that was used.
    Vae,
}

impl About {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::Base => "base",
            Self::Vae => "vae",
        }
    }
}

/// What a header says.
#[derive(Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) claims: Vec<Claim>,
    /// Where the part begins that `st_body` is the digest of.
    pub(crate) body_start: Option<u64>,
}

/// Why the tensors of a file cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Something reaches beyond the end of the file.
    #[error("{what} needs {needed} bytes, the file has {size}")]
    Truncated {
        /// What does.
        what: &'static str,
        /// The bytes that it needs.
        needed: u64,
        /// The bytes that are there.
        size: u64,
    },
    /// A bound on headers is exceeded.
    #[error("{what}: {found}, at most {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it says it is.
        found: u64,
        /// How large it may be.
        max: u64,
    },
    /// A header is not the JSON that it must be.
    #[error("the header is no JSON: {0}")]
    Json(#[from] JsonError),
    /// A text is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A field is missing, unknown, or of the wrong kind.
    #[error("tensor {tensor:?}: {what}")]
    Field {
        /// The tensor, shortened.
        tensor: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A type that does not exist.
    #[error("tensor {tensor:?} has the unknown type {found:?}")]
    UnknownType {
        /// The tensor, shortened.
        tensor: String,
        /// The type, shortened.
        found: String,
    },
    /// Dimensions and type need another number of bytes than the offsets give.
    #[error("tensor {tensor:?} needs {needed} bytes and has {found}")]
    Size {
        /// The tensor, shortened.
        tensor: String,
        /// Bytes by dimensions and type.
        needed: u64,
        /// Bytes by offsets.
        found: u64,
    },
    /// Two tensors have one name.
    #[error("two tensors are named {tensor:?}")]
    NameTwice {
        /// The name, shortened.
        tensor: String,
    },
    /// A tensor begins before the one before it ends.
    #[error("tensor {tensor:?} overlaps the one before it, at byte {at}")]
    Overlap {
        /// The tensor, shortened.
        tensor: String,
        /// Where it begins.
        at: u64,
    },
    /// Bytes belong to no tensor.
    #[error("{bytes} bytes at byte {at} belong to no tensor")]
    Gap {
        /// Where they begin.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// A structure of the format is not as it must be.
    #[error("{format}: {what}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// The rule that is broken.
        what: &'static str,
    },
    /// A pickle asks for something that is not read here. Nothing of it is ever executed.
    #[error("the pickle asks for {found:?}, which is not on the list of what is read; nothing was executed")]
    PickleGlobal {
        /// Module and name, shortened.
        found: String,
    },
    /// A pickle has an instruction that is not read here.
    #[error("the pickle has instruction 0x{code:02x} at byte {at}, which is not read")]
    PickleInstruction {
        /// The instruction.
        code: u8,
        /// Where it stands.
        at: u64,
    },
}

/// A stranger's text, short enough for an error.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().nth(SHOWN_MAX).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN_MAX).chain(['…']).collect()
}

/// A reading that failed, or a file that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl From<JsonError> for ReadError {
    fn from(error: JsonError) -> Self {
        Self::Layout(error.into())
    }
}

/// A file whose size is known.
pub(crate) struct Source<'r, R> {
    pub(crate) reader: &'r mut R,
    pub(crate) size: u64,
}

impl<'r, R: Read + Seek> Source<'r, R> {
    pub(crate) fn new(reader: &'r mut R) -> io::Result<Self> {
        let size = reader.seek(SeekFrom::End(0))?;
        Ok(Self { reader, size })
    }

    /// Reads `bytes` bytes at `start`; `what` names them in the error when they are not there.
    pub(crate) fn read_at(
        &mut self,
        start: u64,
        bytes: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, ReadError> {
        let needed = start.saturating_add(bytes);
        if needed > self.size {
            return Err(LayoutError::Truncated { what, needed, size: self.size }.into());
        }
        self.reader.seek(SeekFrom::Start(start))?;
        let mut buffer = Vec::new();
        self.reader.by_ref().take(bytes).read_to_end(&mut buffer)?;
        if buffer.len() as u64 != bytes {
            // The file became shorter while it was read.
            return Err(LayoutError::Truncated { what, needed, size: start + buffer.len() as u64 }.into());
        }
        Ok(buffer)
    }
}

/// Which format the file has.
pub(crate) fn format<R: Read + Seek>(source: &mut Source<'_, R>) -> io::Result<Format> {
    let head = match source.read_at(0, source.size.min(9), "the head") {
        Ok(head) => head,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Layout(_)) => return Ok(Format::Other),
    };
    Ok(match &head[..] {
        [b'G', b'G', b'U', b'F', ..] => Format::Gguf,
        [b'P', b'K', 3, 4, ..] => Format::Torch,
        [_, _, _, _, _, _, 0, 0, b'{'] => Format::Safetensors,
        _ => Format::Other,
    })
}

/// Reads the layout of a file of this format.
pub(crate) fn read<R: Read + Seek>(format: Format, source: &mut Source<'_, R>) -> Result<Layout, ReadError> {
    match format {
        Format::Safetensors => safetensors::read(source),
        Format::Gguf => gguf::read(source),
        Format::Torch => torch::read(source),
        Format::Other => Ok(Layout { tensors: Vec::new(), claims: Vec::new(), body_start: None }),
    }
}

/// Refuses more tensors, longer names or more dimensions than are read.
pub(crate) fn check_bounds(tensors: usize, name: &str, dimensions: usize) -> Result<(), LayoutError> {
    let checks = [
        ("tensors", tensors, TENSORS_MAX),
        ("bytes of a tensor's name", name.len(), NAME_MAX_BYTES),
        ("dimensions of a tensor", dimensions, DIMENSIONS_MAX),
    ];
    for (what, found, max) in checks {
        if found > max {
            return Err(LayoutError::TooLarge { what, found: found as u64, max: max as u64 });
        }
    }
    Ok(())
}

/// Refuses two tensors of one name.
pub(crate) fn check_names(tensors: &[Tensor]) -> Result<(), LayoutError> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(LayoutError::NameTwice { tensor: shown(pair[0]) }),
        None => Ok(()),
    }
}

/// Bytes of a tensor by its dimensions and type.
pub(crate) fn bytes_of(name: &str, dimensions: &[u64], encoding: &Encoding) -> Result<u64, LayoutError> {
    let values = dimensions.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
    values.and_then(|values| encoding.bytes_of(values)).ok_or_else(|| LayoutError::Field {
        tensor: shown(name),
        what: "its dimensions do not fill whole blocks of its type, or exceed 64 bits",
    })
}
