//! Fingerprints of generative models: exact identifiers, and a sketch of the weights that survives re-saving.
//!
//! [`read`] goes over a file once, from the first byte to the last: every exact identifier, the digest of the tensor
//! set and the WSK-1 sketches of all weight tiles come from that pass. Adapters (LoRA and its kin), whose factors
//! must be multiplied, are small and visited a second time. Memory does not depend on the size of the file.
//!
//! | what | where |
//! |---|---|
//! | digests of bytes, `tset1` | [`identifiers`] |
//! | the sketch itself, its arithmetic, its bits | [`sketch`] |
//! | headers of the formats | [`layout`], `safetensors`, `gguf`, `torch` (a zip archive with a pickle, which is **never executed**) |
//! | pairs of low-rank factors | `adapter` |
//! | files of many parts, folders | [`parts`] |
//! | what was added to a known base | [`registry`] |
//! | *same*, *review* or nothing | [`decision`] |
//!
//! A file whose structure is wrong still has its exact identifiers; the reason stands in [`Model::weights`]. A tensor
//! with a value that is no finite number has no sketch, and is named in [`Weights::skipped`].
//!
//! `client/hashing/MODELS.md` says what a fingerprint reveals, what breaks it, and how thresholds were found.

mod adapter;
pub mod decision;
mod element;
mod gguf;
pub mod identifiers;
pub mod layout;
pub mod parts;
mod pass;
mod pickle;
mod quants;
pub mod registry;
mod safetensors;
pub mod sketch;
mod tiles;
mod torch;
mod zip;

use std::io::{self, Read, Seek};

use self::identifiers::Identifiers;
use self::layout::{Claim, Format, Layout, LayoutError, ReadError, Source};
use self::pass::Want;
use self::sketch::{BUCKETS, Bits, TileShape};

/// The most tiles that are kept of one file.
pub const TILES_MAX: usize = 1 << 16;
/// The most tensors without a sketch that are named.
const SKIPPED_MAX: usize = 64;

/// All that can be said about one model file.
#[derive(Debug)]
pub struct Model {
    /// Its format, by its first bytes.
    pub format: Format,
    /// Digests of its bytes.
    pub identifiers: Identifiers,
    /// Digests that it claims.
    pub claims: Vec<Claim>,
    /// Its tensors, or why they cannot be read; nothing for a format of which only digests are taken.
    pub weights: Option<Result<Weights, LayoutError>>,
}

/// What the tensors of a file, or of several files that belong together, are.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// Tensors.
    pub tensors: u64,
    /// Values in all of them.
    pub parameters: u64,
    /// The digest of each tensor, in the order of the file; see [`identifiers::tensor_set`].
    pub digests: Vec<[u8; 32]>,
    /// Sketches of the tiles of full weights.
    pub tiles: Vec<Tile>,
    /// Sketches of the tiles of low-rank changes.
    pub changes: Vec<Tile>,
    /// Values of a textual inversion, one for each vector.
    pub vectors: Vec<Bits>,
    /// Tensors that should have a sketch and have none.
    pub skipped: Skipped,
}

/// The sketch of a tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// Its shape.
    pub shape: TileShape,
    /// The numbers, rounded to 32 bits.
    pub numbers: Box<[f32; BUCKETS]>,
    /// Their signs. Of full weights these name the *family* and must never be listed: every innocent descendant of
    /// a public base has them too.
    pub bits: Bits,
}

/// What kind of model a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Full weights.
    Full,
    /// Low-rank changes to a base.
    Adapter,
    /// Vectors of a textual inversion.
    Embedding,
    /// Tensors, but none that is large enough for a sketch.
    Small,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Adapter => "adapter",
            Self::Embedding => "embedding",
            Self::Small => "small",
        }
    }
}

/// Tensors without a sketch: how many, and the first of them with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many there are.
    pub count: u64,
    /// The first of them: shortened name, and why.
    pub first: Vec<(String, &'static str)>,
}

impl Skipped {
    fn add(&mut self, name: &str, why: &'static str) {
        self.count += 1;
        if self.first.len() < SKIPPED_MAX {
            self.first.push((layout::shown(name), why));
        }
    }
}

impl Weights {
    /// The kind of model.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if !self.vectors.is_empty() {
            Kind::Embedding
        } else if !self.changes.is_empty() {
            Kind::Adapter
        } else if !self.tiles.is_empty() {
            Kind::Full
        } else {
            Kind::Small
        }
    }

    /// `tset1`; see [`identifiers::tensor_set`].
    #[must_use]
    pub fn tensor_set(&self) -> Option<[u8; 32]> {
        identifiers::tensor_set(&self.digests)
    }

    /// Adds what another part of the same model holds.
    pub fn merge(&mut self, part: Self) {
        self.tensors += part.tensors;
        self.parameters = self.parameters.saturating_add(part.parameters);
        self.digests.extend(part.digests);
        self.tiles.extend(part.tiles);
        self.tiles.truncate(TILES_MAX);
        self.changes.extend(part.changes);
        self.changes.truncate(TILES_MAX);
        self.vectors.extend(part.vectors);
        self.skipped.count += part.skipped.count;
        let room = SKIPPED_MAX.saturating_sub(self.skipped.first.len());
        self.skipped.first.extend(part.skipped.first.into_iter().take(room));
    }
}

/// Reads a model file. `progress` is called with the bytes that were read since the last call.
///
/// # Errors
/// The reader's own errors only. A file that is not as it should be is a [`Model`] that says so.
pub fn read(reader: &mut (impl Read + Seek), progress: impl FnMut(u64)) -> io::Result<Model> {
    let mut source = Source::new(reader)?;
    let (format, layout, error) = layout_of(&mut source)?;
    let (identifiers, weights) = pass::run(&mut source, &layout, Want::Everything, progress)?;
    let identifiers = identifiers.expect("identifiers were wanted");
    let weights = match (format, error) {
        (_, Some(error)) => Some(Err(error)),
        (Format::Other, None) => None,
        (_, None) => Some(Ok(weights)),
    };
    Ok(Model { format, identifiers, claims: layout.claims, weights })
}

/// Reads the sketches of a model file alone, in less than half of the time: for a base that is compared with.
/// Nothing for a format of which only digests are taken.
///
/// # Errors
/// The reader's own errors only.
pub fn read_sketches(
    reader: &mut (impl Read + Seek),
    progress: impl FnMut(u64),
) -> io::Result<Option<Result<Weights, LayoutError>>> {
    let mut source = Source::new(reader)?;
    match layout_of(&mut source)? {
        (_, _, Some(error)) => Ok(Some(Err(error))),
        (Format::Other, _, None) => Ok(None),
        (_, layout, None) => {
            let (_, weights) = pass::run(&mut source, &layout, Want::Sketches, progress)?;
            Ok(Some(Ok(weights)))
        }
    }
}

/// Format and layout; when the layout is wrong, what digests need of it, and the reason.
fn layout_of<R: Read + Seek>(
    source: &mut Source<'_, R>,
) -> io::Result<(Format, Layout, Option<LayoutError>)> {
    let format = layout::format(source)?;
    match layout::read(format, source) {
        Ok(layout) => Ok((format, layout, None)),
        Err(ReadError::Io(error)) => Err(error),
        Err(ReadError::Layout(error)) => {
            let body_start =
                if format == Format::Safetensors { safetensors::body_start(source)? } else { None };
            Ok((format, Layout { tensors: Vec::new(), claims: Vec::new(), body_start }, Some(error)))
        }
    }
}
