//! Round trips, and every way in which bytes are not an answer.

use super::*;
use proptest::prelude::*;

fn header() -> FrameHeader {
    FrameHeader { pdq_distance: 31, roster: 7, view: "12-0011223344556677".to_owned() }
}

fn found(item: u32, total: u32, distance: u16) -> Frame {
    let record = RecordId::new([item as u8; 32]);
    Frame::Match(MatchFrame { item, total, distance, outcome: FrameOutcome::Review, review: 2, record })
}

fn end(items: u32, matched: u32) -> Frame {
    Frame::End(EndFrame { items, matched, incomplete: None, same_view: true })
}

fn broken(items: u32) -> Frame {
    Frame::Broken(BrokenFrame { why: BrokenOff::TooSlow, items })
}

fn answer(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = header().encode().expect("a short name").to_vec();
    frames.iter().for_each(|frame| bytes.extend_from_slice(&frame.encode()));
    bytes
}

/// Reads bytes in parts of `part` and returns what they say.
fn read(bytes: &[u8], part: usize) -> Result<Vec<FrameEvent>, FrameError> {
    let (mut reader, mut events) = (FrameReader::new(), Vec::new());
    for bytes in bytes.chunks(part) {
        reader.read(bytes, |event| events.push(event))?;
    }
    reader.finish().map(|()| events)
}

fn refused(frames: &[Frame]) -> FrameError {
    read(&answer(frames), 1_000).expect_err("refused")
}

#[test]
fn the_layout_is_the_documented_one() {
    let bytes = header().encode().expect("a short name");
    assert_eq!(&bytes[..16], b"HPM1\0\x1f\0\0\0\0\0\0\0\0\0\x07");
    assert_eq!(&bytes[16..36], b"12-0011223344556677\0");
    let record = RecordId::new([0xab; 32]);
    let outcome = FrameOutcome::Block;
    let frame = MatchFrame { item: 0x0102_0304, total: 0x0506, distance: 30, outcome, review: 3, record };
    let bytes = Frame::Match(frame).encode();
    assert_eq!(&bytes[..16], [1, 1, 3, 0, 1, 2, 3, 4, 0, 0, 5, 6, 0, 30, 0, 0]);
    assert_eq!(&bytes[16..], [0xab; 32]);
    let incomplete = Some(Incomplete::Lagging);
    let bytes = Frame::End(EndFrame { items: 258, matched: 3, incomplete, same_view: true }).encode();
    assert_eq!(&bytes[..12], [2, 4, 1, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
    assert_eq!(&broken(5).encode()[..8], [3, 2, 0, 0, 0, 0, 0, 5]);
}

#[test]
fn a_whole_answer_is_read_in_parts_of_any_size() {
    let frames = [found(0, 1, 0), found(7, 3, 0), found(7, 3, 0), found(7, 3, 31), end(9, 2)];
    let bytes = answer(&frames);
    for part in [1, 3, 47, 48, 49, 80, 81, 10_000] {
        let events = read(&bytes, part).expect("an answer");
        assert_eq!(events[0], FrameEvent::Header(header()));
        let read: Vec<FrameEvent> = frames.iter().map(|frame| FrameEvent::Frame(*frame)).collect();
        assert_eq!(&events[1..], read);
    }
    assert_eq!(read(&answer(&[end(0, 0)]), 9).map(|events| events.len()), Ok(2));
    assert_eq!(read(&answer(&[found(1, 1, 4), broken(2)]), 9).map(|events| events.len()), Ok(3));
    let hundred: Vec<Frame> = (0..100).map(|_| found(3, 1_000, 2)).chain([end(4, 1)]).collect();
    assert!(read(&answer(&hundred), 4_096).is_ok(), "at most 100 of many are shown");
}

#[test]
fn every_cut_is_recognised() {
    let bytes = answer(&[found(0, 2, 0), found(0, 2, 1), end(1, 1)]);
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length], 64), Err(FrameError::NoEnd), "cut at {length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(read(&longer, 64), Err(FrameError::AfterEnd));
}

#[test]
fn frames_that_contradict_one_another_are_refused() {
    let item = |item| FrameError::Item { item };
    assert_eq!(refused(&[found(2, 2, 0), end(3, 1)]), item(2), "one of two");
    assert_eq!(refused(&[found(2, 2, 0), found(3, 1, 0), end(4, 2)]), item(2));
    assert_eq!(refused(&[found(2, 2, 0), broken(3)]), item(2));
    assert_eq!(refused(&[found(2, 1, 0), found(2, 1, 0), end(3, 1)]), item(2), "two of one");
    assert_eq!(refused(&[found(2, 2, 0), found(2, 3, 0), end(3, 1)]), item(2), "two totals");
    assert_eq!(refused(&[found(2, 2, 5), found(2, 2, 4), end(3, 1)]), item(2), "not closest first");
    assert_eq!(refused(&[found(2, 0, 0), end(3, 1)]), item(2), "a match of none");
    let many: Vec<Frame> = (0..101).map(|_| found(3, 1_000, 2)).collect();
    assert_eq!(refused(&many), item(3), "one past the hundred");
    let order = FrameError::Order { item: 1, after: 2 };
    assert_eq!(refused(&[found(2, 1, 0), found(1, 1, 0), end(3, 2)]), order);
    for (items, matched) in [(2, 1), (3, 0), (3, 2)] {
        assert_eq!(refused(&[found(2, 1, 0), end(items, matched)]), FrameError::Count { items, matched });
    }
}

#[test]
fn bytes_that_have_no_meaning_are_refused() {
    let whole = answer(&[found(0, 1, 0), end(1, 1)]);
    let at = |place: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[place] = value;
        read(&bytes, 4_096).expect_err("refused")
    };
    assert_eq!(at(0, b'X'), FrameError::Magic);
    assert_eq!(at(3, b'2'), FrameError::Magic);
    assert_eq!(at(6, 1), FrameError::Reserved { at: 6 });
    assert_eq!(at(16, 0), FrameError::Reserved { at: 17 }, "a name that does not begin");
    assert_eq!(at(17, b' '), FrameError::View);
    assert_eq!(at(79, 1), FrameError::Reserved { at: 79 });
    let unknown = |what, code| FrameError::Unknown { what, code };
    for (kind, code) in [(80, 0), (80, 4), (80, 255), (128, 9)] {
        assert_eq!(at(kind, code), unknown("frame", code));
    }
    assert_eq!(at(81, 0), unknown("outcome", 0));
    assert_eq!(at(83, 1), FrameError::Reserved { at: 3 });
    assert_eq!(at(95, 1), FrameError::Reserved { at: 15 });
    assert_eq!(at(129, 6), unknown("reason", 6));
    assert_eq!(at(130, 2), unknown("flag", 2));
    assert_eq!(at(175, 1), FrameError::Reserved { at: 47 });
    let mut bytes = answer(&[broken(0)]);
    bytes[81] = 99;
    assert_eq!(read(&bytes, 7), Err(unknown("cause", 99)));
    for view in ["", &"v".repeat(65), "a b", "\u{e9}"] {
        assert_eq!(FrameHeader { view: view.to_owned(), ..header() }.encode(), Err(FrameError::View));
    }
    let longest = FrameHeader { view: "v".repeat(64), ..header() };
    assert_eq!(FrameHeader::decode(&longest.encode().expect("64 fit")), Ok(longest));
}

proptest! {
    #[test]
    fn frames_that_decode_encode_to_the_same_bytes(mut bytes in proptest::array::uniform32(any::<u8>()), kind in 0u8..5) {
        bytes[0] = kind;
        let mut frame = [0; FRAME_BYTES];
        frame[..32].copy_from_slice(&bytes);
        if let Ok(decoded) = Frame::decode(&frame) {
            prop_assert_eq!(decoded.encode(), frame);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), part in 1usize..100) {
        let mut with_header = answer(&[]);
        with_header.extend_from_slice(&bytes);
        let _ = read(&bytes, part);
        let _ = read(&with_header, part);
    }
}
