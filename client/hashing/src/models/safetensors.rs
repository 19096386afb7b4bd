//! The header of a safetensors file, as strictly as the format's own library reads it.
//!
//! Eight bytes of length, that many bytes of JSON, then the tensors without holes: each begins where the one before
//! it ended, the last ends with the file. A header may be at most [`HEADER_MAX_BYTES`] long. What the metadata says
//! about digests is kept as [`Claim`]s; nothing else of it is.

use std::borrow::Cow;
use std::io::{Read, Seek};

use super::element;
use super::layout::{self, About, Claim, Layout, LayoutError, ReadError, Source, Tensor, shown};
use crate::json::Json;

/// The longest header: the bound of the format's own library.
pub(crate) const HEADER_MAX_BYTES: u64 = 100_000_000;
/// The most digests that a file may claim.
const CLAIMS_MAX: usize = 16;

/// Keys of the metadata that hold a digest: what of, which identifier, and how many hex digits it has.
const CLAIMED: [(&str, About, &str, usize); 7] = [
    ("sshs_model_hash", About::Itself, "st_body", 64),
    ("sshs_legacy_hash", About::Itself, "autov1", 8),
    ("modelspec.hash_sha256", About::Itself, "st_body", 64),
    ("ss_new_sd_model_hash", About::Base, "sha256", 64),
    ("ss_sd_model_hash", About::Base, "autov1", 8),
    ("ss_new_vae_hash", About::Vae, "sha256", 64),
    ("ss_vae_hash", About::Vae, "autov1", 8),
];

/// Reads the header.
pub(crate) fn read<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Layout, ReadError> {
    let length = source.read_at(0, 8, "the length of the header")?;
    let length = length.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if length > HEADER_MAX_BYTES {
        let error =
            LayoutError::TooLarge { what: "bytes of the header", found: length, max: HEADER_MAX_BYTES };
        return Err(error.into());
    }
    let header = source.read_at(8, length, "the header")?;
    let header = std::str::from_utf8(&header).map_err(|_| LayoutError::NotUtf8("the header"))?;
    Ok(parse(header, 8 + length, source.size)?)
}

/// Where the tensors of a file begin whose header is otherwise wrong: `st_body` needs no more than the length.
pub(crate) fn body_start<R: Read + Seek>(source: &mut Source<'_, R>) -> std::io::Result<Option<u64>> {
    match source.read_at(0, 8, "the length of the header") {
        Ok(length) => {
            let length = length.first_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
            Ok(length.checked_add(8).filter(|start| *start <= source.size))
        }
        Err(ReadError::Io(error)) => Err(error),
        Err(ReadError::Layout(_)) => Ok(None),
    }
}

/// Reads the text of a header, for a file of `size` bytes whose tensors begin at `body`.
pub(crate) fn parse(header: &str, body: u64, size: u64) -> Result<Layout, LayoutError> {
    let mut layout = Layout { tensors: Vec::new(), claims: Vec::new(), body_start: Some(body) };
    let mut json = Json::new(header, 0);
    json.object(|json, key| {
        if key == "__metadata__" {
            return metadata(json, &mut layout.claims);
        }
        layout.tensors.push(tensor(json, key, body)?);
        layout::check_bounds(layout.tensors.len(), "", 0)
    })?;
    json.end()?;
    check(&mut layout.tensors, body, size)?;
    Ok(layout)
}

fn metadata(json: &mut Json<'_>, claims: &mut Vec<Claim>) -> Result<(), LayoutError> {
    json.object(|json, key| {
        let known = CLAIMED.iter().find(|(name, ..)| *name == key);
        let Some((_, about, identifier, digits)) = known else {
            return json.string().map(drop).map_err(LayoutError::from);
        };
        let text = json.string()?;
        let hex = text.strip_prefix("0x").unwrap_or(&text).to_ascii_lowercase();
        let is_hex = hex.len() == *digits && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_hex && claims.len() < CLAIMS_MAX {
            claims.push(Claim { about: *about, identifier, hex });
        }
        Ok(())
    })
}

fn tensor(json: &mut Json<'_>, name: Cow<'_, str>, body: u64) -> Result<Tensor, LayoutError> {
    let field = |what| LayoutError::Field { tensor: shown(&name), what };
    let (mut encoding, mut dimensions, mut offsets) = (None, None, None);
    json.object(|json, key| match &*key {
        "dtype" => {
            let found = json.string()?;
            let known = element::plain(&found);
            let unknown = || LayoutError::UnknownType { tensor: shown(&name), found: shown(&found) };
            set(&mut encoding, known.ok_or_else(unknown)?).ok_or_else(|| field("dtype stands there twice"))
        }
        "shape" => {
            let sides = numbers(json, layout::DIMENSIONS_MAX)?;
            set(&mut dimensions, sides).ok_or_else(|| field("shape stands there twice"))
        }
        "data_offsets" => {
            let found = numbers(json, 2)?;
            set(&mut offsets, found).ok_or_else(|| field("data_offsets stands there twice"))
        }
        _ => Err(field("an unknown key")),
    })?;
    let encoding = encoding.ok_or_else(|| field("dtype is missing"))?;
    let dimensions = dimensions.ok_or_else(|| field("shape is missing"))?;
    let offsets = offsets.ok_or_else(|| field("data_offsets is missing"))?;
    let [start, end] = offsets[..] else { return Err(field("data_offsets must be two numbers")) };
    let found = end.checked_sub(start).ok_or_else(|| field("data_offsets end before they begin"))?;
    layout::check_bounds(0, &name, dimensions.len())?;
    let needed = layout::bytes_of(&name, &dimensions, &encoding)?;
    if needed != found {
        return Err(LayoutError::Size { tensor: shown(&name), needed, found });
    }
    let start = body.checked_add(start).ok_or_else(|| field("data_offsets exceed 64 bits"))?;
    Ok(Tensor { name: name.into_owned(), encoding, dimensions, start, bytes: found, strides: None })
}

/// Fills an empty place.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    let empty = place.is_none();
    *place = Some(value);
    empty.then_some(())
}

fn numbers(json: &mut Json<'_>, max: usize) -> Result<Vec<u64>, LayoutError> {
    let mut numbers = Vec::new();
    json.array(|json| {
        numbers.push(json.u64()?);
        if numbers.len() > max {
            let (found, max) = (numbers.len() as u64, max as u64);
            return Err(LayoutError::TooLarge { what: "numbers in an array of the header", found, max });
        }
        Ok(())
    })?;
    Ok(numbers)
}

/// Sorts the tensors by place and refuses overlaps, holes, an end beyond the file, and one name for two.
fn check(tensors: &mut [Tensor], body: u64, size: u64) -> Result<(), LayoutError> {
    layout::check_names(tensors)?;
    tensors.sort_by(|a, b| (a.start, a.bytes, &a.name).cmp(&(b.start, b.bytes, &b.name)));
    let mut end = body;
    for tensor in tensors.iter() {
        if tensor.start < end {
            return Err(LayoutError::Overlap { tensor: shown(&tensor.name), at: tensor.start });
        }
        if tensor.start > end {
            return Err(LayoutError::Gap { at: end, bytes: tensor.start - end });
        }
        end = tensor.start.saturating_add(tensor.bytes);
    }
    match end.cmp(&size) {
        std::cmp::Ordering::Greater => {
            Err(LayoutError::Truncated { what: "the last tensor", needed: end, size })
        }
        std::cmp::Ordering::Less => Err(LayoutError::Gap { at: end, bytes: size - end }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

#[cfg(test)]
mod tests;
