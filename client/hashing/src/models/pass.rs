//! One pass over a file: digests of its bytes, digest and sketch of each tensor.
//!
//! Bytes are read in portions that stay in the second-level cache while everything goes over them. Tensors are
//! visited in the order of their places in the file. What cannot be handled in that order is visited afterwards:
//! tensors that share bytes with an earlier one or whose values are scattered (views of PyTorch), factors of
//! adapters, and vectors of textual inversions.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use sha2::{Digest as _, Sha256};

use super::identifiers::{Digester, Identifiers, between, tensor_digest};
use super::layout::{Layout, ReadError, Source, Tensor};
use super::sketch::{self, BUCKETS, Ones, Shape, Sketch, TileShape};
use super::tiles::Tiler;
use super::{TILES_MAX, Tile, Weights, adapter};

/// Bytes read at a time.
const PORTION_BYTES: usize = 128 * 1024;
/// The largest part of a file that is held in memory for a tensor with scattered values.
const SCATTERED_MAX_BYTES: u64 = 64 << 20;

/// How many times the file's size the tensors may have together that share bytes: a bound on time.
const LATER_MAX_TIMES: u64 = 2;

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Identifiers, digests of tensors, and sketches.
    Everything,
    /// Sketches: for a base whose identifiers nobody asks for.
    Sketches,
}

/// Goes over the file. Identifiers are there if they were wanted.
pub(crate) fn run<R: Read + Seek>(
    source: &mut Source<'_, R>,
    layout: &Layout,
    want: Want,
    progress: impl FnMut(u64),
) -> io::Result<(Option<Identifiers>, Weights)> {
    let plan = adapter::plan(&layout.tensors);
    let mut order: Vec<usize> = (0..layout.tensors.len()).collect();
    order.sort_by_key(|at| (layout.tensors[*at].start, *at));
    let (mut streamed, mut later, mut end) = (Vec::new(), Vec::new(), 0);
    for at in order {
        let tensor = &layout.tensors[at];
        if tensor.strides.is_some() || tensor.start < end {
            later.push(at);
        } else {
            end = tensor.start + tensor.bytes;
            streamed.push(at);
        }
    }
    let mut pass = Pass { layout, want, plan: &plan, found: Found::new(layout) };
    let identifiers = pass.stream(source, &streamed, progress)?;
    let mut allowed = source.size.saturating_mul(LATER_MAX_TIMES);
    for at in later {
        let tensor = &layout.tensors[at];
        match allowed.checked_sub(tensor.bytes) {
            Some(rest) => allowed = rest,
            None => {
                pass.found.weights.skipped.add(&tensor.name, "too many tensors share its bytes");
                continue;
            }
        }
        pass.visit(source, at)?;
    }
    let Found { mut weights, mut ones, digests } = pass.found;
    weights.digests = digests.into_iter().flatten().collect();
    adapter::sketch(source, layout, &plan, &mut weights, &mut ones)?;
    Ok((identifiers, weights))
}

/// What was found so far.
struct Found {
    weights: Weights,
    ones: Ones,
    /// In the order of the layout.
    digests: Vec<Option<[u8; 32]>>,
}

impl Found {
    fn new(layout: &Layout) -> Self {
        let values =
            |tensor: &Tensor| tensor.dimensions.iter().fold(1u64, |all, side| all.saturating_mul(*side));
        let parameters = layout.tensors.iter().fold(0u64, |sum, tensor| sum.saturating_add(values(tensor)));
        let weights = Weights { tensors: layout.tensors.len() as u64, parameters, ..Weights::default() };
        Self { weights, ones: Ones::default(), digests: vec![None; layout.tensors.len()] }
    }
}

struct Pass<'l> {
    layout: &'l Layout,
    want: Want,
    plan: &'l adapter::Plan,
    found: Found,
}

impl Pass<'_> {
    /// Reads the file from its first byte to its last.
    fn stream<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
        order: &[usize],
        mut progress: impl FnMut(u64),
    ) -> io::Result<Option<Identifiers>> {
        source.reader.seek(SeekFrom::Start(0))?;
        let mut digester = (self.want == Want::Everything).then(|| Digester::new(self.layout.body_start));
        let (mut portion, mut scratch) = (vec![0u8; PORTION_BYTES], Vec::new());
        let (mut at, mut next, mut current) = (0u64, order.iter().copied().peekable(), None);
        loop {
            let read = read_portion(source.reader, &mut portion)?;
            let bytes = &portion[..read];
            if let Some(digester) = &mut digester {
                digester.update(bytes);
            }
            let end = at + read as u64;
            if read == 0 && end < source.size {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the file became shorter while it was read",
                ));
            }
            loop {
                if current.is_none() {
                    let begins = |nth: &usize| self.layout.tensors[*nth].start < end || read == 0;
                    let Some(nth) = next.next_if(begins) else { break };
                    current = Some((nth, self.collector(nth)));
                }
                let Some((nth, collector)) = &mut current else { break };
                let tensor = &self.layout.tensors[*nth];
                let tensor_end = tensor.start + tensor.bytes;
                collector.push(between(at, bytes, tensor.start, tensor_end), &mut scratch);
                if tensor_end > end && read > 0 {
                    break;
                }
                if let Some((nth, collector)) = current.take() {
                    self.keep(nth, collector);
                }
            }
            if read == 0 {
                return Ok(digester.map(Digester::finish));
            }
            at = end;
            progress(read as u64);
        }
    }

    fn collector(&self, nth: usize) -> Collector {
        let tensor = &self.layout.tensors[nth];
        let sketched = tensor.encoding.is_float() && !self.plan.is_part(nth);
        let full = self.found.weights.tiles.len() >= TILES_MAX;
        let shape = Shape::of(&tensor.dimensions).filter(|_| sketched && !full);
        Collector::new(tensor, shape, self.want)
    }

    fn keep(&mut self, nth: usize, collector: Collector) {
        let tensor = &self.layout.tensors[nth];
        let shape = collector.shape;
        let (digest, sketches) = collector.finish(&mut self.found.ones);
        self.found.digests[nth] = digest;
        let Some(shape) = shape else { return };
        let weights = &mut self.found.weights;
        match sketches {
            Some(sketches) => {
                weights.tiles.extend(sketches.iter().filter_map(|numbers| tile(shape.tile, numbers)))
            }
            None => weights.skipped.add(&tensor.name, "a value is no finite number"),
        }
    }

    /// Visits one tensor that was left out of the stream.
    fn visit<R: Read + Seek>(&mut self, source: &mut Source<'_, R>, nth: usize) -> io::Result<()> {
        let tensor = &self.layout.tensors[nth];
        let mut collector = self.collector(nth);
        let mut scratch = Vec::new();
        if let Some(strides) = &tensor.strides {
            let Some(values) = scattered(source, tensor, strides)? else {
                self.found.weights.skipped.add(&tensor.name, "its values are scattered too widely");
                return Ok(());
            };
            values.chunks(PORTION_BYTES).for_each(|part| collector.push(part, &mut scratch));
        } else {
            source.reader.seek(SeekFrom::Start(tensor.start))?;
            let mut rest = source.reader.by_ref().take(tensor.bytes);
            let mut portion = vec![0u8; PORTION_BYTES];
            loop {
                let read = read_portion(&mut rest, &mut portion)?;
                if read == 0 {
                    break;
                }
                collector.push(&portion[..read], &mut scratch);
            }
        }
        self.keep(nth, collector);
        Ok(())
    }
}

/// A tile as it is kept; none when all its numbers are zero.
pub(crate) fn tile(shape: TileShape, numbers: &Sketch) -> Option<Tile> {
    let rounded: [f32; BUCKETS] = std::array::from_fn(|at| numbers[at] as f32);
    let any = rounded.iter().any(|number| *number != 0.0);
    any.then(|| Tile { shape, numbers: Box::new(rounded), bits: sketch::bits(numbers) })
}

/// Fills as much of `portion` as there is.
fn read_portion(reader: &mut impl Read, portion: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < portion.len() {
        match reader.read(&mut portion[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The values of a view in their order; nothing when they lie too far apart to hold what is between them.
fn scattered<R: Read + Seek>(
    source: &mut Source<'_, R>,
    tensor: &Tensor,
    strides: &[u64],
) -> io::Result<Option<Vec<u8>>> {
    let width = u64::from(tensor.encoding.block_bytes);
    let reach = tensor.dimensions.iter().zip(strides);
    let last: u64 = reach
        .map(|(side, stride)| side.saturating_sub(1).saturating_mul(*stride))
        .fold(0, u64::saturating_add);
    let span = last.saturating_add(1).saturating_mul(width);
    if tensor.dimensions.contains(&0) {
        return Ok(Some(Vec::new()));
    }
    if span.max(tensor.bytes) > SCATTERED_MAX_BYTES {
        return Ok(None);
    }
    let storage = match source.read_at(tensor.start, span, "a view") {
        Ok(storage) => storage,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Layout(_)) => return Ok(None),
    };
    let mut values = Vec::new();
    let mut index = vec![0u64; tensor.dimensions.len()];
    loop {
        let at: u64 = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        let from = (at * width) as usize;
        values.extend_from_slice(&storage[from..from + width as usize]);
        // Counts like an odometer, the last side fastest.
        let Some(side) = (0..index.len()).rev().find(|side| index[*side] + 1 < tensor.dimensions[*side])
        else {
            return Ok(Some(values));
        };
        index[side] += 1;
        index[side + 1..].fill(0);
    }
}

/// Takes the bytes of one tensor.
struct Collector {
    encoding: super::element::Encoding,
    digest: Option<Sha256>,
    shape: Option<Shape>,
    tiler: Option<Tiler>,
    /// Bytes of a block that is not whole yet.
    partial: Vec<u8>,
}

impl Collector {
    fn new(tensor: &Tensor, shape: Option<Shape>, want: Want) -> Self {
        let encoding = tensor.encoding;
        let raw_type = (!encoding.is_float()).then_some(encoding.name);
        let digest = (want == Want::Everything).then(|| tensor_digest(&tensor.dimensions, raw_type));
        Self { encoding, digest, shape, tiler: shape.map(Tiler::new), partial: Vec::new() }
    }

    fn push(&mut self, mut bytes: &[u8], scratch: &mut Vec<u8>) {
        if !self.encoding.is_float() {
            return self.update(bytes);
        }
        let block = self.encoding.block_bytes as usize;
        if !self.partial.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(block - self.partial.len()));
            self.partial.extend_from_slice(now);
            bytes = rest;
            if self.partial.len() < block {
                return;
            }
            let whole = std::mem::take(&mut self.partial);
            self.take(&whole, scratch);
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % block);
        self.take(whole, scratch);
        self.partial.extend_from_slice(rest);
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
    }

    /// Whole blocks.
    fn take(&mut self, blocks: &[u8], scratch: &mut Vec<u8>) {
        let floats = if matches!(self.encoding.kind, super::element::Kind::Floats) {
            blocks
        } else {
            scratch.clear();
            self.encoding.decode(blocks, scratch);
            scratch
        };
        self.update(floats);
        if let Some(tiler) = &mut self.tiler {
            tiler.push(floats);
        }
    }

    fn finish(self, ones: &mut Ones) -> (Option<[u8; 32]>, Option<Vec<Sketch>>) {
        let digest = self.digest.map(|digest| digest.finalize().into());
        (digest, self.tiler.and_then(|tiler| tiler.finish(ones)))
    }
}
