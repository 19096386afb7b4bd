//! A bounded reader of JSON text, for headers and metadata that strangers wrote.
//!
//! It goes over the text once and hands out what is asked for; what is skipped allocates nothing. Depth is
//! bounded while reading, and a tree is only built under a budget of values, so neither time nor memory can
//! exceed a constant times the length of the text. Duplicate keys are handed out as often as they stand there:
//! the caller decides what they mean.
//!
//! `NaN`, `Infinity` and `-Infinity` are read as null, since Python writes them; a half of a surrogate pair
//! becomes U+FFFD. Everything else is RFC 8259.

use std::borrow::Cow;

/// How deep objects and arrays may lie in one another.
const DEPTH_MAX: u32 = 64;

/// What is wrong with a JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at} of the JSON text: {what}")]
pub struct JsonError {
    /// Bytes before the place.
    pub at: usize,
    /// The rule that is broken.
    pub what: &'static str,
}

/// A value that [`Json::value`] built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Null, `NaN` or an infinity.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A text without its quotes and escapes.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object in the order of the text.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The last member of an object with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.members().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members of an object; nothing for anything else.
    pub(crate) fn members(&self) -> &[(Cow<'a, str>, Value<'a>)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The items of an array; nothing for anything else.
    pub(crate) fn items(&self) -> &[Value<'a>] {
        if let Self::Array(items) = self { items } else { &[] }
    }

    /// A text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A number, or a text that is one: tools write both.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            Self::Text(text) if text.len() <= 32 => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }
}

/// What comes next in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    Text,
    /// A digit or a minus sign.
    Number,
    /// A word such as `true`.
    Word,
}

/// A place in a JSON text.
#[derive(Debug)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Values that may still be built.
    budget: u32,
}

impl<'a> Json<'a> {
    /// A reader at the start of `text` that builds at most `values_max` values.
    pub(crate) fn new(text: &'a str, values_max: u32) -> Self {
        Self { text, at: 0, depth: 0, budget: values_max }
    }

    /// The whole text as one value.
    pub(crate) fn parse(text: &'a str, values_max: u32) -> Result<Value<'a>, JsonError> {
        let mut json = Self::new(text, values_max);
        let value = json.value()?;
        json.end()?;
        Ok(value)
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        self.skip_spaces();
        if self.byte() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    /// The kind of the next value.
    pub(crate) fn next(&mut self) -> Result<Next, JsonError> {
        self.skip_spaces();
        match self.byte() {
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(b'"') => Ok(Next::Text),
            Some(b'0'..=b'9') => Ok(Next::Number),
            Some(b'-') if self.text.as_bytes().get(self.at + 1) != Some(&b'I') => Ok(Next::Number),
            Some(b'-' | b'a'..=b'z' | b'A'..=b'Z') => Ok(Next::Word),
            Some(_) => Err(self.error("no value starts with this byte")),
            None => Err(self.error("the text ends where a value is expected")),
        }
    }

    fn descend(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.error("nested too deeply")) } else { Ok(()) }
    }

    /// Reads an object; `each` must read the value of the key that it is given.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "expected an object")?;
        self.descend()?;
        self.skip_spaces();
        if self.byte() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let key = self.string()?;
                self.expect(b':', "expected a colon after a key")?;
                each(self, key)?;
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array; `each` must read the item at which the reader stands.
    pub(crate) fn array<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[', "expected an array")?;
        self.descend()?;
        self.skip_spaces();
        if self.byte() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                each(self)?;
                if !self.more(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// After a member or an item: a comma (true) or the closing bracket (false).
    fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        self.skip_spaces();
        let found = self.byte();
        if found == Some(b',') || found == Some(close) {
            self.at += 1;
            return Ok(found == Some(b','));
        }
        Err(self.error("expected a comma or the closing bracket"))
    }

    /// Reads a text.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"', "expected a text in quotes")?;
        let start = self.at;
        let plain = self.run_of_plain()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::with_capacity(self.at - start + 16);
        text.push_str(plain);
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => {}
            }
            text.push_str(self.run_of_plain()?);
        }
    }

    /// The bytes up to the next quote or backslash, at which the reader then stands.
    fn run_of_plain(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"' | b'\\') => break,
                Some(0..=0x1f) => return Err(self.error("a control character inside a text")),
                Some(_) => self.at += 1,
                None => return Err(self.error("a text without its closing quote")),
            }
        }
        // Both ends stand beside an ASCII byte or at the start, so they are boundaries of characters.
        self.text.get(start..self.at).ok_or_else(|| self.error("not UTF-8"))
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let found = self.byte().ok_or_else(|| self.error("the text ends in an escape"))?;
        self.at += 1;
        Ok(match found {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if !(0xd800..0xe000).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if first < 0xdc00 && rest.starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("four hexadecimal digits must follow"))?;
        self.at += 4;
        Ok(code)
    }

    /// Reads a number and returns it as it was written.
    pub(crate) fn number(&mut self) -> Result<&'a str, JsonError> {
        self.skip_spaces();
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        let whole = digits.strip_prefix('-').unwrap_or(digits);
        let starts_well = whole.starts_with(|c: char| c.is_ascii_digit());
        if !starts_well || digits.parse::<f64>().is_err() {
            return Err(self.error("not a number"));
        }
        Ok(digits)
    }

    /// Reads a whole number without a sign.
    pub(crate) fn u64(&mut self) -> Result<u64, JsonError> {
        let digits = self.number()?;
        digits.parse().map_err(|_| self.error("expected a whole number of at most 64 bits"))
    }

    fn word(&mut self) -> Result<Value<'a>, JsonError> {
        const WORDS: [(&str, Value<'static>); 6] = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
            ("NaN", Value::Null),
            ("Infinity", Value::Null),
            ("-Infinity", Value::Null),
        ];
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in WORDS {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("an unknown word"))
    }

    /// Goes past the next value.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        match self.next()? {
            Next::Object => self.object(|json, _| json.skip()),
            Next::Array => self.array(Self::skip),
            Next::Text => self.string().map(drop),
            Next::Number => self.number().map(drop),
            Next::Word => self.word().map(drop),
        }
    }

    /// Builds the next value as a tree.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, JsonError> {
        self.budget = self.budget.checked_sub(1).ok_or_else(|| self.error("too many values"))?;
        Ok(match self.next()? {
            Next::Object => {
                let mut members = Vec::new();
                self.object(|json, key| {
                    members.push((key, json.value()?));
                    Ok::<_, JsonError>(())
                })?;
                Value::Object(members)
            }
            Next::Array => {
                let mut items = Vec::new();
                self.array(|json| {
                    items.push(json.value()?);
                    Ok::<_, JsonError>(())
                })?;
                Value::Array(items)
            }
            Next::Text => Value::Text(self.string()?),
            Next::Number => Value::Number(self.number()?),
            Next::Word => self.word()?,
        })
    }

    /// Bytes that were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Nothing but spaces may follow.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.skip_spaces();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("text after the value")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Value<'_>, JsonError> {
        Json::parse(text, 1000)
    }

    #[test]
    fn values_are_read() {
        let value =
            parse(r#" {"a":[1,-2.5e3,"x\n\u00e4\ud83d\ude00\ud800"],"b":{"c":null},"a":true} "#).unwrap();
        assert_eq!(value.get("a"), Some(&Value::Bool(true)), "the last of two wins");
        assert_eq!(value.members().len(), 3);
        let first = &value.members()[0].1;
        assert_eq!(first.items()[1].number(), Some(-2500.0));
        assert_eq!(first.items()[2].text(), Some("x\nä😀\u{fffd}"));
        assert_eq!(parse("[NaN,-Infinity,\" 7.5 \"]").unwrap().items()[2].number(), Some(7.5));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let check = |text: &str, at: usize, what: &str| {
            let error = parse(text).unwrap_err();
            assert_eq!((error.at, error.what), (at, what), "{text}");
        };
        check("", 0, "the text ends where a value is expected");
        check("{\"a\" 1}", 5, "expected a colon after a key");
        check("[1 2]", 3, "expected a comma or the closing bracket");
        check("[1,]", 3, "no value starts with this byte");
        check("\"a\u{1}\"", 2, "a control character inside a text");
        check("\"abc", 4, "a text without its closing quote");
        check("\"\\u12g4\"", 3, "four hexadecimal digits must follow");
        check("\"\\x\"", 3, "an unknown escape");
        check("1 x", 2, "text after the value");
        check("-", 1, "not a number");
        check("1.2.3", 5, "not a number");
        check("nul", 0, "an unknown word");
        check(&"[".repeat(65), 65, "nested too deeply");
        assert!(parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert_eq!(Json::parse("[1,2,3]", 3).unwrap_err().what, "too many values");
        assert!(Json::parse("[1,2,3]", 4).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_panics(text in "[\\[\\]{}\",:0-9a-zA-Z\\\\u \\-.ä]{0,80}") {
            let tree = parse(&text);
            let mut json = Json::new(&text, 0);
            let skipped = json.skip().and_then(|()| json.end());
            prop_assert_eq!(tree.is_ok(), skipped.is_ok(), "skipping and reading disagree");
        }
    }
}
