//! `TYPE VALUE` lines, as Meta's `threatexchange` command prints signals.
//!
//! Its type names are mapped to ours: `pdq` is the same, `video_md5` (and `photo_md5`, which older
//! extensions print) is a plain MD5 of a file. Types that carry text or addresses are refused by
//! name: a consortium of hashes must not become a place for the text itself. Our own type names are
//! taken as well, so that lists which `export --format tx` wrote can be read again.

use hashpact_protocol::api::{NewRecord, NewSignal};
use hashpact_protocol::record::SignalType;

use super::{LineError, record_of, shortened};

/// Foreign names of types that we have.
const SYNONYMS: [(&str, &str); 2] = [("video_md5", "md5"), ("photo_md5", "md5")];

/// Types whose values are, or reveal, text.
const TEXT_TYPES: [&str; 7] =
    ["raw_text", "text_tlsh", "trend_query", "url", "url_md5", "pdq_ocr", "keyword"];

/// True for a word that begins a line of such a list, usable or not.
pub(super) fn is_known_type(word: &str) -> bool {
    our_type(word).is_some() || TEXT_TYPES.contains(&word)
}

fn our_type(word: &str) -> Option<SignalType> {
    let synonym = SYNONYMS.iter().find(|(foreign, _)| *foreign == word);
    SignalType::parse(synonym.map_or(word, |(_, ours)| ours))
}

/// Reads one line.
pub(super) fn read(text: &str) -> Result<NewRecord, LineError> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    if TEXT_TYPES.contains(&name) {
        return Err(LineError::TextType { name: name.to_owned() });
    }
    let (Some(value), None) = (words.next(), words.next()) else {
        return Err(LineError::TypeValue);
    };
    let kind = our_type(name).ok_or_else(|| LineError::UnknownType { name: shortened(name) })?;
    let signal = NewSignal { signal_type: kind.name().to_owned(), value: value.to_owned(), quality: None };
    Ok(record_of(vec![signal]))
}

/// A line for one signal. MD5 is written under the name that the `threatexchange` command knows.
pub fn line(signal: &NewSignal) -> String {
    let name = if signal.signal_type == "md5" { "video_md5" } else { &signal.signal_type };
    format!("{name} {}", signal.value)
}
