//! Peer messages as samples, and broken ones whose bytes are put together by hand.

use hashpact_protocol::roster::{CONSORTIUM_ID_MAX_BYTES, ORIGIN_MAX_BYTES};
use hashpact_protocol::wire::{
    Announce, HeadNote, Hello, PayloadsRequest, RangeChunk, RangeRequest, Refusal, Request, Response, Stored,
    WireEntry, WirePayload,
};

pub(crate) const CONSORTIUM: &str = "test-0123456789abcdef";
pub(crate) const ORIGIN: &str = "test-0123456789abcdef/acme/1";

pub(crate) fn hello() -> Hello {
    Hello {
        consortium: CONSORTIUM.to_owned(),
        roster_version: 300,
        roster: vec![(b"body".to_vec(), b"note".to_vec())],
        card: b"card".to_vec(),
    }
}

pub(crate) fn head() -> HeadNote {
    HeadNote { origin: ORIGIN.to_owned(), note: b"note".to_vec() }
}

pub(crate) fn range() -> RangeRequest {
    RangeRequest { log: [0x11; 32], start: 250, size: 70_000, entries_max: 251, bytes_max: 65_536 }
}

pub(crate) fn payloads_request() -> PayloadsRequest {
    PayloadsRequest { log: [0x11; 32], indexes: vec![0, 250, 251, 70_000], bytes_max: 65_536 }
}

pub(crate) fn payloads() -> Vec<WirePayload> {
    let present = WirePayload::Present { salt: [0x33; 32], padded: vec![0; 4] };
    vec![
        present,
        WirePayload::Withheld,
        WirePayload::Erased,
        WirePayload::NotHere,
        WirePayload::ErasedBy { log: [7; 32], index: 300 },
    ]
}

pub(crate) fn stored(ahead: Vec<u64>) -> Stored {
    Stored { log: [0x11; 32], size: 250, root: [0x22; 32], ahead }
}

pub(crate) fn chunk() -> RangeChunk {
    let entries =
        payloads().into_iter().map(|payload| WireEntry { leaf: b"leaf".to_vec(), payload }).collect();
    RangeChunk { start: u64::from(u32::MAX) + 1, entries, cover: vec![[0x22; 32]] }
}

pub(crate) fn accepted_requests() -> Vec<(&'static str, &'static str, Request)> {
    let announce = Announce { notes: vec![head()], priority: vec![(ORIGIN.to_owned(), u64::MAX)] };
    let quiet = Announce { notes: Vec::new(), priority: Vec::new() };
    let bare = Hello { roster: Vec::new(), ..hello() };
    let cardless = Hello { card: Vec::new(), ..bare.clone() };
    vec![
        ("request-hello", "An introduction with one roster version.", Request::Hello(hello())),
        ("request-hello-bare", "An introduction to somebody who holds the roster.", Request::Hello(bare)),
        (
            "request-hello-no-card",
            "A read replica that its author has given no card yet.",
            Request::Hello(cardless),
        ),
        ("request-heads", "One discriminant and nothing else.", Request::Heads),
        (
            "request-announce",
            "One checkpoint, one priority index of nine bytes.",
            Request::Announce(announce),
        ),
        ("request-announce-nothing", "Both lists may be empty.", Request::Announce(quiet)),
        ("request-range", "Integers of one, three and five bytes.", Request::Range(range())),
        ("request-stored", "A statement of possession.", Request::Stored(stored(Vec::new()))),
        (
            "request-stored-ahead",
            "The first entry behind the size, and one far beyond.",
            Request::Stored(stored(vec![250, 70_000])),
        ),
        (
            "request-payloads",
            "Four leaf indexes, each of another length.",
            Request::Payloads(payloads_request()),
        ),
    ]
}

pub(crate) fn accepted_responses() -> Vec<(&'static str, &'static str, Response)> {
    vec![
        ("response-hello", "The other side's introduction.", Response::Hello(hello())),
        ("response-ack", "One discriminant and nothing else.", Response::Ack),
        ("response-range", "Each kind of payload once.", Response::Range(chunk())),
        (
            "response-refused-beyond",
            "The one refusal that carries a number.",
            Response::Refused(Refusal::BeyondSize { held: 251 }),
        ),
        ("response-refused-rate", "The caller used up its budget.", Response::Refused(Refusal::RateLimited)),
        ("response-payloads", "Each kind of payload once.", Response::Payloads(payloads())),
    ]
}

/// Bytes that are put together by hand.
#[derive(Clone, Default)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    pub(crate) fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Length below 251, then the bytes.
    pub(crate) fn text(self, text: &str) -> Self {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 251).unwrap();
        self.byte(length).bytes(text.as_bytes())
    }

    /// A 64-bit integer in its longest form, whether or not it needs that.
    pub(crate) fn long(self, number: u64) -> Self {
        self.byte(253).bytes(&number.to_le_bytes())
    }

    pub(crate) fn repeat(self, bytes: &[u8], count: usize) -> Self {
        let all = bytes.repeat(count);
        self.bytes(&all)
    }
}

pub(crate) fn raw(discriminant: u8) -> Raw {
    Raw::default().byte(discriminant)
}

/// A range request whose numbers are these bytes.
pub(crate) fn raw_range(numbers: &[u8]) -> Raw {
    raw(3).repeat(&[0x11], 32).bytes(numbers)
}

/// A request for payloads with this behind its log id.
pub(crate) fn raw_payloads(rest: &[u8]) -> Raw {
    raw(5).repeat(&[0x11], 32).bytes(rest)
}

pub(crate) type Refused = (&'static str, &'static str, &'static str, Raw);

/// Broken encodings of requests.
pub(crate) fn refused_encodings() -> Vec<Refused> {
    vec![
        ("request-empty", "Truncated", "No bytes are no message.", Raw::default()),
        ("request-trailing-byte", "Trailing", "A byte follows.", raw(1).byte(0)),
        ("request-twice", "Trailing", "A second message follows.", raw(1).byte(1)),
        ("request-variant-11", "UnknownVariant", "There are eleven requests, 0 to 10.", raw(11)),
        ("request-variant-250", "UnknownVariant", "The largest discriminant of one byte.", raw(250)),
        (
            "request-variant-two-bytes",
            "NotCanonical",
            "Discriminant 1 fits one byte.",
            raw(251).bytes(&[1, 0]),
        ),
        ("request-variant-four-bytes", "NotCanonical", "The same in five.", raw(252).bytes(&[1, 0, 0, 0])),
        (
            "request-variant-eight-bytes",
            "NotCanonical|BadInteger",
            "Discriminants are 32-bit numbers; 253 starts a 64-bit one.",
            raw(253).bytes(&[1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("request-variant-reserved", "BadInteger", "255 starts no integer.", raw(255)),
        (
            "range-start-three-bytes",
            "NotCanonical",
            "250 fits one byte.",
            raw_range(&[251, 250, 0, 251, 0x10, 0x27, 1, 1]),
        ),
        (
            "range-size-nine-bytes",
            "NotCanonical",
            "10,000 fits three bytes.",
            raw_range(&[0]).long(10_000).bytes(&[1, 1]),
        ),
        (
            "range-entries-128-bit",
            "BadInteger",
            "254 starts a 128-bit integer.",
            raw_range(&[0, 9, 254]).repeat(&[0], 17),
        ),
        (
            "range-entries-64-bit",
            "BadInteger",
            "A 64-bit integer stands where a 32-bit one must.",
            raw_range(&[0, 9]).long(1).byte(1),
        ),
        ("range-cut-in-log", "Truncated", "31 bytes of a log id.", raw(3).repeat(&[0x11], 31)),
        ("range-cut-in-integer", "Truncated", "Two bytes of an integer of three.", raw_range(&[0, 251, 0])),
        (
            "hello-consortium-not-utf8",
            "NotUtf8",
            "0xff is in no UTF-8 text.",
            raw(0).bytes(&[1, 0xff, 1, 0, 1, 0]),
        ),
        ("announce-huge-notes", "BeyondLimit", "Ten bytes claim 2^60 checkpoints.", raw(2).long(1 << 60)),
        (
            "announce-most-notes",
            "BeyondLimit",
            "Ten bytes claim 2^64 - 1 checkpoints.",
            raw(2).long(u64::MAX),
        ),
        (
            "announce-huge-priority",
            "BeyondLimit",
            "The same in the second list.",
            raw(2).byte(0).long(1 << 60),
        ),
        ("hello-huge-consortium", "BeyondLimit", "A text of 2^60 bytes.", raw(0).long(1 << 60)),
        (
            "hello-huge-card",
            "BeyondLimit",
            "A card of 2^60 bytes.",
            raw(0).text("c").bytes(&[1, 0]).long(1 << 60),
        ),
        (
            "announce-long-count",
            "Truncated",
            "250 checkpoints are claimed and none is there.",
            raw(2).byte(250),
        ),
    ]
}

/// Requests that decode and break a bound.
pub(crate) fn refused_requests() -> Vec<Refused> {
    let hello =
        |consortium: &str, version: u8, rest: &[u8]| raw(0).text(consortium).byte(version).bytes(rest);
    let long_origin = "o".repeat(ORIGIN_MAX_BYTES + 1);
    let long_consortium = "c".repeat(CONSORTIUM_ID_MAX_BYTES + 1);
    vec![
        ("hello-no-consortium", "None", "The consortium id is empty.", hello("", 1, &[0, 1, 0])),
        ("hello-long-consortium", "TooMany", "One byte too long.", hello(&long_consortium, 1, &[0, 1, 0])),
        ("hello-consortium-space", "NameByte", "Spaces are in no name.", hello("a b", 1, &[0, 1, 0])),
        ("hello-consortium-newline", "NameByte", "Nor are newlines.", hello("a\n", 1, &[0, 1, 0])),
        ("hello-consortium-umlaut", "NameByte", "Names are ASCII.", hello("\u{e4}", 1, &[0, 1, 0])),
        ("hello-version-0", "RosterVersionZero", "Versions start at 1.", hello("c", 0, &[0, 1, 0])),
        ("hello-empty-body", "None", "An empty roster body.", hello("c", 1, &[1, 0, 1, 0, 1, 0])),
        ("hello-empty-note", "None", "An empty roster note.", hello("c", 1, &[1, 1, 0, 0, 1, 0])),
        (
            "hello-65-rosters",
            "TooMany",
            "64 versions are the most.",
            hello("c", 1, &[]).byte(65).repeat(&[1, 0, 1, 0], 65).bytes(&[1, 0]),
        ),
        ("announce-no-origin", "None", "The origin is empty.", raw(2).bytes(&[1, 0, 1, 0, 0])),
        (
            "announce-long-origin",
            "TooMany",
            "One byte too long.",
            raw(2).byte(1).text(&long_origin).bytes(&[1, 0, 0]),
        ),
        ("announce-empty-note", "None", "The checkpoint is empty.", raw(2).byte(1).text("o").bytes(&[0, 0])),
        (
            "announce-tab-in-origin",
            "NameByte",
            "In the second list.",
            raw(2).byte(0).byte(1).text("o\t").byte(0),
        ),
        ("range-empty", "EmptyRange", "Start is size.", raw_range(&[9, 9, 1, 1])),
        ("range-backwards", "EmptyRange", "Start is above size.", raw_range(&[9, 8, 1, 1])),
        ("range-of-nothing", "EmptyRange", "The tree is empty.", raw_range(&[0, 0, 1, 1])),
        ("range-no-entries", "None", "No entry is wanted.", raw_range(&[0, 9, 0, 1])),
        ("range-no-bytes", "None", "No byte is wanted.", raw_range(&[0, 9, 1, 0])),
        ("range-4097-entries", "TooMany", "4096 are the most.", raw_range(&[0, 9, 251, 0x01, 0x10, 1])),
        (
            "range-too-many-bytes",
            "TooMany",
            "1,048,576 are the most.",
            raw_range(&[0, 9, 1, 252, 0x01, 0x00, 0x10, 0x00]),
        ),
        (
            "payloads-huge",
            "BeyondLimit",
            "Ten bytes claim 2^60 leaf indexes.",
            raw_payloads(&[]).long(1 << 60),
        ),
        ("payloads-of-nothing", "None", "No leaf index.", raw_payloads(&[0, 1])),
        ("payloads-twice", "IndexOrder", "One leaf index twice.", raw_payloads(&[2, 7, 7, 1])),
        (
            "payloads-backwards",
            "IndexOrder",
            "The third is below the second.",
            raw_payloads(&[3, 1, 9, 8, 1]),
        ),
        ("payloads-no-bytes", "None", "No byte is wanted.", raw_payloads(&[1, 7, 0])),
        (
            "payloads-too-many-bytes",
            "TooMany",
            "1,048,576 are the most.",
            raw_payloads(&[1, 7, 252, 0x01, 0x00, 0x10, 0x00]),
        ),
        (
            "payloads-257",
            "TooMany",
            "256 are the most.",
            raw_payloads(&[251, 0x01, 0x01])
                .bytes(&(0..257_u64).flat_map(|index| unchecked(&index)).collect::<Vec<_>>())
                .byte(1),
        ),
    ]
}

/// The same of requests about cosigning and forks.
pub(crate) fn refused_witness_requests() -> Vec<Refused> {
    vec![
        ("request-cosign-empty", "None", "A cosign request without a body.", raw(6).byte(0)),
        (
            "request-consistency-backwards",
            "EmptyRange",
            "From size 2 to size 2.",
            raw(7).repeat(&[0x11], 32).bytes(&[2, 2]),
        ),
        ("request-evidence-empty", "None", "Evidence of nothing.", raw(8).byte(0)),
    ]
}

/// Statements of possession that break a rule.
pub(crate) fn refused_stored() -> Vec<Refused> {
    let stored = |rest: &[u8]| raw(4).repeat(&[0x11], 32).byte(7).repeat(&[0x22], 32).bytes(rest);
    vec![
        ("stored-no-list", "Truncated", "The list may be empty and is never left out.", stored(&[])),
        ("stored-huge", "BeyondLimit", "Ten bytes claim 2^60 leaf indexes.", stored(&[]).long(1 << 60)),
        ("stored-twice", "IndexOrder", "One leaf index twice.", stored(&[2, 9, 9])),
        ("stored-backwards", "IndexOrder", "The second is below the first.", stored(&[2, 9, 8])),
        ("stored-held", "IndexHeld", "Index 6 of seven leaves held.", stored(&[1, 6])),
        ("stored-65", "TooMany", "64 are the most.", stored(&[65]).bytes(&(7..72).collect::<Vec<u8>>())),
    ]
}

/// Responses that do not decode, or break a bound.
pub(crate) fn refused_responses() -> Vec<Refused> {
    let entry = |leaf: &[u8], rest: &[u8]| raw(3).bytes(&[0, 1]).bytes(leaf).bytes(rest);
    vec![
        ("response-variant-9", "UnknownVariant", "There are nine responses, 0 to 8.", raw(9)),
        (
            "response-cosign-variant-7",
            "UnknownVariant",
            "There are seven answers of a witness.",
            raw(6).byte(7),
        ),
        (
            "response-consistency-65",
            "TooMany",
            "More hashes than a tree has levels.",
            raw(7).repeat(&[0x22], 32).byte(65).repeat(&[0x33], 65 * 32).repeat(&[0x44], 32).byte(0),
        ),
        ("response-ack-trailing", "Trailing", "A byte follows.", raw(2).byte(2)),
        ("refused-variant-8", "UnknownVariant", "There are eight refusals, 0 to 7.", raw(4).byte(8)),
        ("refused-beyond-cut", "Truncated", "The size held is missing.", raw(4).byte(2)),
        ("refused-beyond-long", "NotCanonical", "The size held fits one byte.", raw(4).byte(2).long(7)),
        ("refused-busy-with-size", "Trailing", "Only `BeyondSize` carries a number.", raw(4).bytes(&[3, 0])),
        ("heads-huge", "BeyondLimit", "Ten bytes claim 2^60 checkpoints.", raw(1).long(1 << 60)),
        ("chunk-huge", "BeyondLimit", "2^60 entries.", raw(3).byte(0).long(1 << 60)),
        ("chunk-huge-leaf", "BeyondLimit", "A leaf of 2^60 bytes.", raw(3).bytes(&[0, 1]).long(1 << 60)),
        ("chunk-huge-payload", "BeyondLimit", "2^60 bytes.", entry(&[0, 0], &[0x33; 32]).long(1 << 60)),
        ("chunk-huge-cover", "BeyondLimit", "2^60 nodes.", entry(&[0], &[3]).long(1 << 60)),
        ("chunk-variant-5", "UnknownVariant", "There are five payload states.", entry(&[0], &[5, 0])),
        ("chunk-order-cut", "Truncated", "31 bytes of the log id of an order.", entry(&[0, 4], &[0x33; 31])),
        (
            "chunk-order-long",
            "NotCanonical",
            "The index fits one byte.",
            entry(&[0, 4], &[0x33; 32]).long(7).byte(0),
        ),
        ("chunk-salt-cut", "Truncated", "31 bytes of salt.", entry(&[0, 0], &[0x33; 31])),
        ("chunk-cover-cut", "Truncated", "31 bytes of a node.", entry(&[0], &[3, 1]).repeat(&[0x22], 31)),
        ("chunk-empty", "None", "An answer makes progress or is a refusal.", raw(3).bytes(&[0, 0, 0])),
        (
            "chunk-index-overflow",
            "IndexOverflow",
            "The entry behind 2^64 - 1 has no index.",
            raw(3).long(u64::MAX).bytes(&[1, 0, 3, 0]),
        ),
        (
            "chunk-leaf-1025",
            "TooMany",
            "Leaves have 1024 bytes at most.",
            entry(&[251, 0x01, 0x04], &[7; 1025]).bytes(&[3, 0]),
        ),
        ("payloads-none", "None", "An answer makes progress or is a refusal.", raw(5).byte(0)),
        ("payloads-variant-5", "UnknownVariant", "There are five payload states.", raw(5).bytes(&[1, 5])),
        ("payloads-order-none", "Truncated", "An order without its place.", raw(5).bytes(&[1, 4])),
        (
            "payloads-huge-payload",
            "BeyondLimit",
            "2^60 bytes.",
            raw(5).bytes(&[1, 0]).repeat(&[0x33], 32).long(1 << 60),
        ),
        (
            "payloads-257-states",
            "TooMany",
            "256 are the most.",
            raw(5).bytes(&[251, 0x01, 0x01]).repeat(&[3], 257),
        ),
        (
            "chunk-129-nodes",
            "TooMany",
            "A cover has 128 nodes at most.",
            entry(&[0], &[3]).byte(129).repeat(&[0x22], 129 * 32),
        ),
    ]
}

/// What a sender without our checks would send.
pub(crate) fn unchecked<T: bincode::Encode>(message: &T) -> Vec<u8> {
    bincode::encode_to_vec(message, bincode::config::standard()).unwrap()
}
