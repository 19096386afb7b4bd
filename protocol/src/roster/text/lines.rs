//! Lines and the values on them, as the reader takes them one after the other.

use super::super::MemberId;
use super::super::rules::shown;
use super::{RosterError, Unit};
use crate::keys::PublicKey;
use std::str::Split;

/// The lines that are left, each ended by a newline, and the number of the one read last.
pub(super) struct Lines<'a> {
    split: Split<'a, char>,
    ahead: Option<&'a str>,
    /// From 1; of the line read last.
    pub(super) number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut split = text.split('\n');
        let ahead = split.next();
        Self { split, ahead, number: 0 }
    }

    /// Whether only the empty piece after the last newline is left.
    pub(super) fn is_done(&mut self) -> bool {
        self.ahead == Some("") && self.split.next().is_none()
    }

    /// The next line; it must be followed by a newline.
    pub(super) fn next(&mut self, expected: &'static str) -> Result<&'a str, RosterError> {
        let truncated = RosterError::Truncated { line: self.number, expected };
        let line = self.ahead.take().ok_or(truncated.clone())?;
        self.ahead = self.split.next();
        if self.ahead.is_none() {
            return Err(truncated);
        }
        self.number += 1;
        Ok(line)
    }

    /// The rest of the next line if it starts with this keyword.
    pub(super) fn take(&mut self, keyword: &'static str) -> Option<&'a str> {
        let rest = self.ahead?.strip_prefix(keyword)?.strip_prefix(' ')?;
        self.next(keyword).ok()?;
        Some(rest)
    }

    pub(super) fn value(&mut self, keyword: &'static str) -> Result<&'a str, RosterError> {
        let line = self.next(keyword)?;
        line.strip_prefix(keyword)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(RosterError::Keyword { line: self.number, expected: keyword })
    }

    pub(super) fn number<N: std::str::FromStr + ToString>(
        &mut self,
        keyword: &'static str,
    ) -> Result<N, RosterError> {
        let text = self.value(keyword)?;
        self.decimal(keyword, text)
    }

    /// A length of time in a unit, or in seconds with an `s` behind.
    pub(super) fn length_s(&mut self, keyword: &'static str, unit: &Unit) -> Result<u64, RosterError> {
        let text = self.value(keyword)?;
        match text.strip_suffix('s') {
            Some(seconds) => self.decimal(keyword, seconds),
            None => Ok(u64::from(self.decimal::<u32>(keyword, text)?) * unit.seconds),
        }
    }

    pub(super) fn repeated<T>(
        &mut self,
        keyword: &'static str,
        read: impl Fn(&Self, &str) -> Result<T, RosterError>,
    ) -> Result<Vec<T>, RosterError> {
        let mut list = Vec::new();
        while let Some(rest) = self.take(keyword) {
            list.push(read(self, rest)?);
        }
        Ok(list)
    }

    pub(super) fn decimal<N: std::str::FromStr + ToString>(
        &self,
        what: &'static str,
        text: &str,
    ) -> Result<N, RosterError> {
        let number = text.parse::<N>().ok().filter(|number| number.to_string() == text);
        number.ok_or_else(|| self.bad(what, text, "a decimal number in range, without sign or leading zeros"))
    }

    /// A word, and all that follows it.
    pub(super) fn pair<'t>(
        &self,
        what: &'static str,
        text: &'t str,
        form: &'static str,
    ) -> Result<(&'t str, &'t str), RosterError> {
        text.split_once(' ').ok_or_else(|| self.bad(what, text, form))
    }

    pub(super) fn key(&self, hex: &str) -> Result<PublicKey, RosterError> {
        PublicKey::from_hex(hex).map_err(|error| RosterError::Key { line: self.number, error })
    }

    pub(super) fn member_id(&self, text: &str) -> Result<MemberId, RosterError> {
        MemberId::parse(text).map_err(|_| self.bad("member id", text, "[a-z0-9-]{1,32}"))
    }

    pub(super) fn bad(&self, what: &'static str, given: &str, form: &'static str) -> RosterError {
        RosterError::Value { line: self.number, what, given: shown(given), form }
    }
}
