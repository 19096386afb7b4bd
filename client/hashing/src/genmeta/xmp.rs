//! The digital source type of the IPTC, in an XMP packet or a C2PA manifest.
//!
//! Both write it as an address of the IPTC's vocabulary. Its last part is looked for and compared with the words
//! that exist; no XML is parsed, since nothing else of the packet is wanted.

use super::vocabulary::SOURCE_TYPES;

const MARK: &[u8] = b"digitalsourcetype/";

/// The first source type that the bytes name.
pub(crate) fn source_type(bytes: &[u8]) -> Option<&'static str> {
    let mut places = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    places.find_map(|(at, _)| {
        let rest = &bytes[at + MARK.len()..];
        let length = rest.iter().take(64).take_while(|byte| byte.is_ascii_alphabetic()).count();
        SOURCE_TYPES.into_iter().find(|word| word.as_bytes() == &rest[..length])
    })
}
