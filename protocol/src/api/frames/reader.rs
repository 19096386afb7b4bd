//! Reading a binary answer, and refusing what is none.

use super::{FRAME_BYTES, Frame, FrameError, FrameHeader, FrameOutcome, HEADER_BYTES, MatchFrame};
use crate::limits::MATCHES_PER_ITEM_MAX;

/// What a [`FrameReader`] gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameEvent {
    /// The header: always the first.
    Header(FrameHeader),
    /// One frame.
    Frame(Frame),
}

/// Reads an answer in parts of any size and checks that it is one.
///
/// Holds at most one incomplete frame. After an error nothing it gives back means anything.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    partial: Vec<u8>,
    header_read: bool,
    item: Option<Item>,
    matched: u32,
    ended: bool,
}

/// The item whose frames are being read.
#[derive(Clone, Copy, Debug)]
struct Item {
    number: u32,
    total: u32,
    outcome: FrameOutcome,
    distance: u16,
    frames: usize,
}

impl Item {
    /// Whether it has as many frames as it must.
    fn is_whole(&self) -> bool {
        self.frames == usize::try_from(self.total).unwrap_or(usize::MAX).min(MATCHES_PER_ITEM_MAX)
    }
}

impl FrameReader {
    /// A reader at the first byte of an answer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads further bytes and calls `each` with what they complete.
    ///
    /// # Errors
    /// The first rule that is broken; `each` has seen what came before it.
    pub fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameEvent)) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.ended {
                return Err(FrameError::AfterEnd);
            }
            let wanted = if self.header_read { FRAME_BYTES } else { HEADER_BYTES };
            let (head, rest) = bytes.split_at((wanted - self.partial.len()).min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() == wanted {
                each(self.complete()?);
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Whether the answer has its end: whole, or with a frame that says why it broke off.
    ///
    /// # Errors
    /// It has none, so it broke off on its way.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.ended { Ok(()) } else { Err(FrameError::NoEnd) }
    }

    fn complete(&mut self) -> Result<FrameEvent, FrameError> {
        if let Ok(bytes) = <&[u8; HEADER_BYTES]>::try_from(self.partial.as_slice()) {
            self.header_read = true;
            return FrameHeader::decode(bytes).map(FrameEvent::Header);
        }
        let bytes = <&[u8; FRAME_BYTES]>::try_from(self.partial.as_slice()).map_err(|_| FrameError::NoEnd)?;
        let frame = Frame::decode(bytes)?;
        match &frame {
            Frame::Match(found) => self.check_match(found)?,
            Frame::End(end) => {
                self.check_item_whole()?;
                let beyond = self.item.is_some_and(|item| item.number >= end.items);
                if beyond || end.matched != self.matched {
                    return Err(FrameError::Count { items: end.items, matched: end.matched });
                }
                self.ended = true;
            }
            Frame::Broken(_) => {
                self.check_item_whole()?;
                self.ended = true;
            }
        }
        Ok(FrameEvent::Frame(frame))
    }

    fn check_match(&mut self, found: &MatchFrame) -> Result<(), FrameError> {
        let wrong = FrameError::Item { item: found.item };
        if let Some(item) = &mut self.item
            && item.number == found.item
        {
            let same = (item.total, item.outcome) == (found.total, found.outcome);
            if !same || found.distance < item.distance || item.is_whole() {
                return Err(wrong);
            }
            item.frames += 1;
            item.distance = found.distance;
            return Ok(());
        }
        self.check_item_whole()?;
        if let Some(item) = self.item.filter(|item| item.number > found.item) {
            return Err(FrameError::Order { item: found.item, after: item.number });
        }
        if found.total == 0 {
            return Err(wrong);
        }
        let MatchFrame { item: number, total, outcome, distance, .. } = *found;
        self.item = Some(Item { number, total, outcome, distance, frames: 1 });
        self.matched += 1;
        Ok(())
    }

    fn check_item_whole(&self) -> Result<(), FrameError> {
        match &self.item {
            Some(item) if !item.is_whole() => Err(FrameError::Item { item: item.number }),
            _ => Ok(()),
        }
    }
}
