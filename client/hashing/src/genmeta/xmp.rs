//! What is wanted of an XMP packet: the digital source type of the IPTC, and the settings of Draw Things.
//!
//! A source type is written as an address of the IPTC's vocabulary, in a C2PA manifest too, or as its word alone. It is looked
//! for and compared with the words that exist; no XML is parsed, since nothing else of the packet is wanted.

use super::vocabulary::SOURCE_TYPES;

const MARK: &[u8] = b"digitalsourcetype/";
/// The name of the element or attribute, without its first letter, which some write small.
const PROPERTY: &[u8] = b"igitalSourceType";
/// What may stand between a name and its value.
const BETWEEN: &[u8] = b":=\"'> \t\r\n";
/// Bytes that are passed over there at most.
const BETWEEN_MAX: usize = 16;
/// The longest name of a reference to a character.
const NAME_MAX: usize = 8;
/// Bytes of elements around the settings.
const BEFORE_SETTINGS_MAX: usize = 1024;
/// The longest settings, in bytes.
const SETTINGS_MAX_BYTES: usize = 256 * 1024;

/// The first source type that the bytes name.
pub(crate) fn source_type(bytes: &[u8]) -> Option<&'static str> {
    let word = |rest: &[u8]| {
        let length = rest.iter().take(64).take_while(|byte| byte.is_ascii_alphabetic()).count();
        SOURCE_TYPES.into_iter().find(|word| word.as_bytes() == &rest[..length])
    };
    let by_address = behind(bytes, MARK).find_map(word);
    by_address.or_else(|| behind(bytes, PROPERTY).find_map(|rest| word(value(rest))))
}

/// The settings that Draw Things wrote, as JSON; an empty text if it names itself and they cannot be read.
pub(crate) fn draw_things(packet: &[u8]) -> Option<String> {
    behind(packet, b"CreatorTool").find(|rest| value(rest).starts_with(b"Draw Things"))?;
    Some(user_comment(packet).map(unescaped).unwrap_or_default())
}

/// The JSON in the comment of a packet.
fn user_comment(packet: &[u8]) -> Option<&str> {
    let comment = behind(packet, b"exif:UserComment").next()?;
    let start = comment.iter().take(BEFORE_SETTINGS_MAX).position(|byte| *byte == b'{')?;
    let settings = &comment[start..];
    let end = settings.iter().take(SETTINGS_MAX_BYTES).position(|byte| *byte == b'<')?;
    std::str::from_utf8(&settings[..end]).ok()
}

/// What follows each place of a mark.
fn behind<'b>(bytes: &'b [u8], mark: &'static [u8]) -> impl Iterator<Item = &'b [u8]> {
    let places = bytes.windows(mark.len()).enumerate().filter(move |(_, window)| *window == mark);
    places.map(move |(at, _)| &bytes[at + mark.len()..])
}

fn value(rest: &[u8]) -> &[u8] {
    let between = rest.iter().take(BETWEEN_MAX).take_while(|byte| BETWEEN.contains(byte)).count();
    &rest[between..]
}

/// A text of XML without its references to characters.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // Looked for nearby only: a text of ampersands would be gone over as often as it has some.
        let Some(end) = after.bytes().take(NAME_MAX + 1).position(|byte| byte == b';') else {
            plain.push('&');
            rest = after;
            continue;
        };
        let (name, next) = (&after[..end], &after[end + 1..]);
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = match name {
            "quot" => Some('"'),
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "apos" => Some('\''),
            _ => match name.strip_prefix('#') {
                Some(digits) => match digits.strip_prefix(['x', 'X']) {
                    Some(digits) => number(digits, 16),
                    None => number(digits, 10),
                },
                None => None,
            },
        };
        plain.extend(character);
        rest = next;
    }
    plain + rest
}
