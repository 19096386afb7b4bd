//! Short lists that several kinds of record carry: entries that they are related to, and techniques.
//!
//! Both are strictly ascending, so that there is one order and nothing twice, and are left out when empty.
//!
//! SPEC §7.14.

use super::error::{RecordError, SchemaError};
use super::schema::{MapReader, MapWriter, SubjectRef};
use super::techniques::TechniqueId;
use crate::codec::Value;
use crate::limits::{RELATED_PER_LIST_MAX, TECHNIQUES_PER_RECORD_MAX};

/// Checks the number and the order of a list.
///
/// # Errors
/// Too many elements, or one that is not after the one before it.
pub(super) fn check_ascending<T: Ord>(list: &[T], max: usize) -> Result<(), RecordError> {
    if list.len() > max {
        return Err(RecordError::ListCount { got: list.len(), max });
    }
    let mut pairs = list.iter().zip(list.iter().skip(1));
    match pairs.position(|(before, after)| before >= after) {
        Some(at) => Err(RecordError::ListOrder { nth: at + 1 }),
        None => Ok(()),
    }
}

/// Reads a strictly ascending list that is not empty where it is written; nothing where the key is not there.
pub(super) fn read_ascending<T: Ord>(
    map: &mut MapReader,
    key: u64,
    max: usize,
    read: impl Fn(usize, &Value) -> Result<T, RecordError>,
) -> Result<Vec<T>, SchemaError> {
    let Some(elements) = map.array(key)? else { return Ok(Vec::new()) };
    if elements.is_empty() || elements.len() > max {
        return Err(map.broken(key, RecordError::ListCount { got: elements.len(), max }));
    }
    let list = elements.iter().enumerate().map(|(nth, element)| read(nth, element));
    let list: Vec<T> = list.collect::<Result<_, _>>().map_err(|rule| map.broken(key, rule))?;
    check_ascending(&list, max).map_err(|rule| map.broken(key, rule))?;
    Ok(list)
}

pub(super) fn read_related(map: &mut MapReader, key: u64) -> Result<Vec<SubjectRef>, SchemaError> {
    read_ascending(map, key, RELATED_PER_LIST_MAX, |nth, element| {
        SubjectRef::from_value(element).ok_or(RecordError::ListShape { nth, expected: "[log id, index]" })
    })
}

pub(super) fn write_related(map: &mut MapWriter, key: u64, related: &[SubjectRef]) {
    map.put_list(key, related.iter().map(|one| one.to_value()).collect());
}

pub(super) fn read_techniques(map: &mut MapReader, key: u64) -> Result<Vec<TechniqueId>, SchemaError> {
    read_ascending(map, key, TECHNIQUES_PER_RECORD_MAX, |nth, element| {
        let number =
            element.as_unsigned().ok_or(RecordError::ListShape { nth, expected: "number of a technique" })?;
        TechniqueId::from_number(number)
    })
}

pub(super) fn write_techniques(map: &mut MapWriter, key: u64, techniques: &[TechniqueId]) {
    map.put_list(key, techniques.iter().map(|technique| Value::unsigned(technique.number())).collect());
}
