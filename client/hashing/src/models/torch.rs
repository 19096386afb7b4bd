//! Tensors of a `torch.save` archive (`.ckpt`, `.pt`, `.bin` since PyTorch 1.6): a zip file with a pickle that
//! describes the tensors and one member for each storage.
//!
//! The pickle is never executed; see [`super::pickle`]. Tensors may be views of one storage; those whose values
//! follow one another are read where they are, others with their strides.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::layout::{self, Layout, LayoutError, ReadError, Source, Tensor, shown};
use super::pickle::{self, View};
use super::zip::{self, Member};

/// The longest pickle that is read; that of a model with ten thousand tensors has about a mebibyte.
const PICKLE_MAX_BYTES: u64 = 16 << 20;

fn malformed(what: &'static str) -> LayoutError {
    LayoutError::Malformed { format: "torch archive", what }
}

/// Reads directory and pickle.
pub(crate) fn read<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Layout, ReadError> {
    let members = zip::members(source)?;
    let pickles: Vec<&Member> = members.iter().filter(|member| member.name.ends_with("/data.pkl")).collect();
    let [member] = pickles[..] else {
        return Err(malformed("there must be one data.pkl").into());
    };
    let prefix = member.name.strip_suffix("data.pkl").unwrap_or_default();
    let by_name: BTreeMap<&str, &Member> =
        members.iter().map(|member| (member.name.as_str(), member)).collect();
    if let Some(order) = by_name.get(format!("{prefix}byteorder").as_str()) {
        let start = order.start(source)?;
        if source.read_at(start, order.size.min(8), "the byte order")? != b"little" {
            return Err(malformed("only little-endian archives are read").into());
        }
    }
    if member.size > PICKLE_MAX_BYTES {
        let error =
            LayoutError::TooLarge { what: "bytes of the pickle", found: member.size, max: PICKLE_MAX_BYTES };
        return Err(error.into());
    }
    let start = member.start(source)?;
    let views = pickle::views(&source.read_at(start, member.size, "the pickle")?)?;
    let mut starts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut tensors = Vec::with_capacity(views.len());
    for view in views {
        let key = format!("{prefix}data/{}", view.storage.key);
        let (start, size) = match starts.get(&key) {
            Some(known) => *known,
            None => {
                let member = by_name.get(key.as_str()).ok_or_else(|| malformed("a storage is missing"))?;
                let place = (member.start(source)?, member.size);
                starts.insert(key, place);
                place
            }
        };
        tensors.push(tensor(view, start, size)?);
    }
    layout::check_names(&tensors)?;
    Ok(Layout { tensors, claims: Vec::new(), body_start: None })
}

/// The tensor of a view of a storage of `size` bytes at `start`.
fn tensor(view: View, start: u64, size: u64) -> Result<Tensor, LayoutError> {
    let View { name, offset, dimensions, strides, encoding, .. } = view;
    let bytes = layout::bytes_of(&name, &dimensions, &encoding)?;
    let width = u64::from(encoding.block_bytes);
    let reach = if dimensions.contains(&0) {
        Some(0)
    } else {
        let sides = dimensions.iter().zip(&strides);
        sides
            .map(|(side, stride)| (side - 1).checked_mul(*stride))
            .try_fold(1u64, |sum, part| sum.checked_add(part?))
    };
    let end = reach.and_then(|reach| reach.checked_add(offset)?.checked_mul(width));
    if end.is_none_or(|end| end > size) {
        return Err(LayoutError::Field { tensor: shown(&name), what: "it reaches beyond its storage" });
    }
    let strides = (!is_contiguous(&dimensions, &strides)).then_some(strides);
    Ok(Tensor { name, encoding, dimensions, start: start + offset * width, bytes, strides })
}

/// Whether the values follow one another.
fn is_contiguous(dimensions: &[u64], strides: &[u64]) -> bool {
    let mut expected = 1u64;
    for (side, stride) in dimensions.iter().zip(strides).rev() {
        if *side != 1 && *stride != expected {
            return dimensions.contains(&0);
        }
        expected = expected.saturating_mul(*side);
    }
    true
}
