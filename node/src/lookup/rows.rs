//! The records that look-ups know, by number, by id and by place.
//!
//! A block of leaf indexes is a column of rows of a fixed width and one run of bytes with what each record
//! states ([`super::packed`]). Nearly all records stand and nobody has said anything about them: whatever is
//! more than a status is kept aside.

mod saved;

pub(super) use saved::{BLOCK_HEAD_BYTES, BlockHead, SavedBlock, SavedDescriptions};

use super::packed::{self, Description, Descriptions};
use hashpact_core::effect::ViewChange;
use hashpact_core::policy::Benign;
use hashpact_core::view::{
    Author, BLOCK_ENTRIES, Block, Followed, Ids, KnownRecord, Numbers, RecordView, Ruled, RulingChange,
    Standing, Stated, Status,
};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::record::{Content, Detail, Signal, SignalType};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

/// Stands where a block has no record. No entry's leaf hash is this.
const ABSENT: RecordId = RecordId::new([0; 32]);
/// Room that a column and its bytes get at least when they grow.
const ROOM_MIN: usize = 64;

/// The rows.
#[derive(Debug)]
pub(super) struct Rows {
    numbers: Numbers,
    /// By block number; none where no record is.
    columns: Vec<Option<Column>>,
    ids: Ids,
    descriptions: Descriptions,
    /// By record number: of all records that are not simply active.
    standings: BTreeMap<u64, Standing>,
    /// Signals that members call benign.
    benign: Benign,
    /// Opinions, by the signals that they follow.
    followed: Followed,
    /// By record number: how records that stand do so with opinions that follow their signals, where that is another word
    /// than the view's.
    following: BTreeMap<u64, Standing>,
    /// What the panel holds of signals.
    rulings: BTreeMap<Signal, Ruled>,
    /// Numbers of records of which some signal is cleared: they match by the others only.
    cleared: BTreeSet<u64>,
    /// Numbers of listings that contradict the registry of models.
    conflicting: BTreeSet<u64>,
    count: usize,
    /// Whether any record is of a history that is kept beside a followed one.
    keeps_beside: bool,
    /// What is being packed.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Column {
    author: Author,
    /// By offset; as long as the last record needs.
    rows: Vec<Row>,
    packed: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    id: RecordId,
    /// When it was stated: 48 bits.
    time_low: u32,
    time_high: u16,
    status: Status,
    /// Bit by code of the types of its signals, counted from the first code of its kind.
    types: u8,
    description: u32,
    /// Where its own bytes begin.
    at: u32,
}

const NO_ROW: Row =
    Row { id: ABSENT, time_low: 0, time_high: 0, status: Status::Active, types: 0, description: 0, at: 0 };

impl Row {
    const fn time_ms(&self) -> u64 {
        (self.time_high as u64) << 32 | self.time_low as u64
    }
}

// Ten million rows are kept.
const _: () = assert!(size_of::<Row>() == 48);

/// What taking a record came to.
pub(super) struct Put {
    /// Its number.
    pub(super) number: u64,
    /// How it stood before; none if it was not known.
    pub(super) before: Option<Standing>,
    /// If other opinions follow its signals than before: these signals.
    pub(super) follows: Vec<Signal>,
}

/// One record among the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) number: u64,
    /// Leaf index.
    pub(super) index: u64,
    pub(super) author: &'a Author,
    pub(super) description: &'a Description,
    row: &'a Row,
    packed: &'a [u8],
}

/// Random bytes for the key of a table.
pub(super) fn table_key() -> [u8; 16] {
    let random = RandomState::new();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&random.hash_one(0).to_be_bytes());
    key[8..].copy_from_slice(&random.hash_one(1).to_be_bytes());
    key
}

impl Default for Rows {
    fn default() -> Self {
        Self::with_numbers(Numbers::default())
    }
}

impl Rows {
    /// No rows yet, but these numbers.
    pub(super) fn with_numbers(numbers: Numbers) -> Self {
        Self {
            numbers,
            columns: Vec::new(),
            ids: Ids::new(table_key()),
            descriptions: Descriptions::default(),
            standings: BTreeMap::new(),
            benign: Benign::default(),
            followed: Followed::default(),
            following: BTreeMap::new(),
            rulings: BTreeMap::new(),
            cleared: BTreeSet::new(),
            conflicting: BTreeSet::new(),
            count: 0,
            keeps_beside: false,
            scratch: Vec::new(),
        }
    }

    /// The numbers handed out.
    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Hands out the block of a leaf index ahead of need.
    pub(super) fn reserve(&mut self, log: LogId, index: u64) {
        self.numbers.assign(log, index);
    }

    /// Takes a record as it now stands.
    pub(super) fn put(&mut self, ViewChange { record, stated, .. }: &ViewChange) -> Put {
        let number = self.numbers.assign(record.author.line, record.index);
        self.keeps_beside |= record.author.is_beside();
        let is_known = self.row_mut(number).is_some_and(|row| row.id != ABSENT);
        if let Some(stated) = stated {
            self.insert(number, record, stated);
        }
        if let Some(row) = self.row_mut(number) {
            row.status = record.status();
        }
        let before = if record.standing == Standing::UNDISPUTED {
            // Most records never had another standing.
            if self.standings.is_empty() { None } else { self.standings.remove(&number) }
        } else {
            self.standings.insert(number, record.standing.clone())
        };
        // By the row's own signals: a record may have been stated long before anybody spoke about it.
        let mut benign = std::mem::take(&mut self.benign);
        benign.note(number, &record.standing, || {
            self.get(number).map_or_else(Vec::new, |held| held.signals().collect())
        });
        self.benign = benign;
        let mut followed = std::mem::take(&mut self.followed);
        let signals = || self.get(number).map_or_else(Vec::new, |held| held.signals().collect());
        let is_news = followed.note(number, &record.author.member, &record.standing, signals);
        let follows = if is_news { signals() } else { Vec::new() };
        self.followed = followed;
        if !self.rulings.is_empty()
            || !self.followed.is_empty()
            || !self.following.is_empty()
            || self.conflicting.contains(&number)
        {
            self.judge(number);
        }
        let before = is_known.then(|| before.unwrap_or(Standing::UNDISPUTED));
        Put { number, before: before.map(|before| self.ruled(number, before)), follows }
    }

    /// Signals that members call benign.
    pub(super) fn benign(&self) -> &Benign {
        &self.benign
    }

    /// How a record stands that is not simply active.
    pub(super) fn standing(&self, number: u64) -> Option<&Standing> {
        self.following.get(&number).or_else(|| self.standings.get(&number))
    }

    /// How a record stood when it was judged last.
    pub(super) fn judged(&self, number: u64) -> Option<Standing> {
        let record = self.get(number)?;
        let standing = self.standing(number).cloned().unwrap_or(Standing::UNDISPUTED);
        let ruled = self.by_verdicts(&record, standing);
        Some(Standing { status: self.beside_registry(number, ruled.status), ..ruled })
    }

    /// Takes the panel's verdict on a signal. Records that carry it are judged anew by [`Self::judge`].
    pub(super) fn rule(&mut self, RulingChange { signal, ruled }: RulingChange) {
        match ruled {
            Some(ruled) => self.rulings.insert(signal, ruled),
            None => self.rulings.remove(&signal),
        };
    }

    /// Whether the panel holds that records of a signal stand: opinions about it lower nothing.
    pub(super) fn is_settled(&self, signal: &Signal) -> bool {
        !self.rulings.is_empty()
            && self.rulings.get(&signal.clone().without_quality()).is_some_and(Ruled::settles)
    }

    /// The panel's verdicts.
    pub(super) fn rulings(&self) -> impl Iterator<Item = (&Signal, &Ruled)> {
        self.rulings.iter()
    }

    /// Takes up which opinions follow a record's signals, and what the panel holds of these.
    pub(super) fn judge(&mut self, number: u64) {
        let Some(record) = self.get(number) else { return };
        let verdicts: Vec<Option<Ruled>> =
            record.signals().map(|signal| self.rulings.get(&signal.without_quality()).cloned()).collect();
        let own = self.standings.get(&number);
        let mut status = own.map_or(Status::Active, |standing| standing.status);
        let mut following = None;
        if status.stands() && !self.followed.is_empty() {
            let own = own.cloned().unwrap_or(Standing::UNDISPUTED);
            let with = self.followed.follow(number, &record.author.member, record.signals(), own.clone());
            status = with.status;
            following = (with != own).then_some(with);
        }
        let standing = Standing { status, ..Standing::UNDISPUTED };
        let status = standing.ruled(verdicts.iter().map(Option::as_ref)).status;
        if verdicts.iter().flatten().any(Ruled::clears) {
            self.cleared.insert(number);
        } else {
            self.cleared.remove(&number);
        }
        match following {
            Some(standing) => self.following.insert(number, standing),
            None => self.following.remove(&number),
        };
        let status = self.beside_registry(number, status);
        if let Some(row) = self.row_mut(number) {
            row.status = status;
        }
    }

    /// Takes which listings contradict the registry of models.
    pub(super) fn set_conflicting(&mut self, ids: impl Iterator<Item = RecordId>) {
        let numbers = ids.filter_map(|id| self.by_id(&id).map(|record| record.number));
        let numbers = numbers.collect();
        let before = std::mem::replace(&mut self.conflicting, numbers);
        let changed: Vec<u64> = before.symmetric_difference(&self.conflicting).copied().collect();
        changed.into_iter().for_each(|number| self.judge(number));
    }

    /// The status of a record that otherwise has this one.
    fn beside_registry(&self, number: u64, status: Status) -> Status {
        if status.stands() && self.conflicting.contains(&number) { Status::Conflicting } else { status }
    }

    /// How a record that stands so stands by the opinions that follow its signals, by what the panel holds of these, and
    /// beside the registry of models.
    pub(super) fn ruled(&self, number: u64, standing: Standing) -> Standing {
        if self.rulings.is_empty() && self.followed.is_empty() && self.conflicting.is_empty() {
            return standing;
        }
        let Some(record) = self.get(number) else { return standing };
        let standing = self.followed.follow(number, &record.author.member, record.signals(), standing);
        let ruled = self.by_verdicts(&record, standing);
        Standing { status: self.beside_registry(number, ruled.status), ..ruled }
    }

    fn by_verdicts(&self, record: &Held<'_>, standing: Standing) -> Standing {
        if self.rulings.is_empty() {
            return standing;
        }
        let verdicts: Vec<Option<&Ruled>> =
            record.signals().map(|signal| self.rulings.get(&signal.without_quality())).collect();
        standing.ruled(verdicts)
    }

    /// A record as it matches, if the panel cleared some of its signals: without these.
    pub(super) fn in_part(&self, record: &Held<'_>) -> Option<RecordView> {
        if !self.cleared.contains(&record.number) {
            return None;
        }
        let mut view = self.view(record);
        view.stated.content.signals.retain(|signal| {
            let ruled = self.rulings.get(&signal.clone().without_quality());
            !ruled.is_some_and(Ruled::clears)
        });
        Some(view)
    }

    /// Forgets what a record states: its payload is sealed or gone.
    pub(super) fn blank(&mut self, number: u64) {
        self.benign.forget(number);
        self.followed.forget(number);
        self.following.remove(&number);
        let Some(record) = self.get(number) else { return };
        let mut view = self.view(&record);
        view.stated.content = Content::empty();
        self.insert(number, &view.known, &view.stated);
    }

    fn insert(&mut self, number: u64, record: &KnownRecord, stated: &Stated) {
        // One leaf in two histories of a forked log is one record, where the view has it last.
        if self.keeps_beside
            && let Some(held) = self.by_id(&record.id).map(|held| held.number).filter(|held| *held != number)
        {
            self.forget(held);
        }
        let (block, offset) = Numbers::split(number);
        if self.columns.len() <= block {
            self.columns.resize_with(block + 1, || None);
        }
        let column = self.columns[block].get_or_insert_with(|| Column {
            author: record.author.clone(),
            rows: Vec::new(),
            packed: Vec::new(),
        });
        let row = Row {
            id: record.id,
            time_low: stated.time_ms as u32,
            time_high: (stated.time_ms >> 32) as u16,
            status: record.status(),
            types: types(stated),
            description: self.descriptions.number(stated),
            at: u32::try_from(column.packed.len()).expect("65,536 payloads are less than 4 GiB"),
        };
        self.scratch.clear();
        packed::pack(&stated.content, &mut self.scratch);
        if column.push(offset, row, &self.scratch) {
            self.ids.insert(&record.id, number);
            self.count += 1;
        }
    }

    fn forget(&mut self, number: u64) {
        self.benign.forget(number);
        self.followed.forget(number);
        self.following.remove(&number);
        self.standings.remove(&number);
        self.cleared.remove(&number);
        if let Some(row) = self.row_mut(number) {
            // Its number by id stays, and leads to nothing.
            *row = NO_ROW;
            self.count -= 1;
        }
    }

    fn row_mut(&mut self, number: u64) -> Option<&mut Row> {
        let (block, offset) = Numbers::split(number);
        self.columns.get_mut(block)?.as_mut()?.rows.get_mut(offset)
    }

    /// A record by its number.
    pub(super) fn get(&self, number: u64) -> Option<Held<'_>> {
        let (block, offset) = Numbers::split(number);
        let Column { author, rows, packed } = self.columns.get(block)?.as_ref()?;
        let row = rows.get(offset).filter(|row| row.id != ABSENT)?;
        let (_, index) = self.numbers.place(number)?;
        let description = self.descriptions.get(row.description);
        Some(Held { number, index, author, description, row, packed: &packed[row.at as usize..] })
    }

    /// A record by its id.
    pub(super) fn by_id(&self, id: &RecordId) -> Option<Held<'_>> {
        let is = |number| self.get(number).is_some_and(|record| record.row.id == *id);
        self.get(self.ids.get(id, is)?)
    }

    /// Everything about a record.
    pub(super) fn view(&self, record: &Held<'_>) -> RecordView {
        let standing = self.standings.get(&record.number).cloned().unwrap_or(Standing::UNDISPUTED);
        let standing = self.ruled(record.number, standing);
        RecordView {
            known: KnownRecord {
                id: record.row.id,
                author: record.author.clone(),
                index: record.index,
                standing,
            },
            stated: packed::unpack(record.packed, record.description, record.time_ms()),
        }
    }

    /// The record at a place.
    pub(super) fn at(&self, log: LogId, index: u64) -> Option<Held<'_>> {
        let block = Block::of(log, index);
        let (_, number) = self.numbers.at_or_after(block).filter(|(found, _)| *found == block)?;
        self.get(Numbers::join(number, index % BLOCK_ENTRIES))
    }

    /// Every number handed out is smaller.
    pub(super) fn numbers_end(&self) -> u64 {
        Numbers::join(self.columns.len() as u64, 0)
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The first block at or after this one in the order of (log, leaf index), with its records in
    /// that order.
    pub(super) fn block_at_or_after(&self, block: Block) -> Option<(Block, impl Iterator<Item = Held<'_>>)> {
        let (block, number) = self.numbers.at_or_after(block)?;
        let numbers = (0..BLOCK_ENTRIES).map(move |offset| Numbers::join(number, offset));
        let column = usize::try_from(number).ok().and_then(|number| self.columns.get(number)?.as_ref());
        let rows = column.map_or(0, |column| column.rows.len());
        Some((block, numbers.take(rows).filter_map(|number| self.get(number))))
    }
}

impl Column {
    /// Adds a row and what it states; whether there was none at this offset.
    fn push(&mut self, offset: usize, row: Row, packed: &[u8]) -> bool {
        if self.rows.len() <= offset {
            let lacking = offset + 1 - self.rows.len();
            make_room(&mut self.rows, lacking);
            self.rows.resize(offset + 1, NO_ROW);
        }
        make_room(&mut self.packed, packed.len());
        self.packed.extend_from_slice(packed);
        if offset as u64 == BLOCK_ENTRIES - 1 {
            self.packed.shrink_to_fit();
        }
        std::mem::replace(&mut self.rows[offset], row).id == ABSENT
    }
}

/// Lets a vector grow by an eighth at a time: doubling would leave a third of all memory unused.
fn make_room<T>(held: &mut Vec<T>, lacking: usize) {
    if held.capacity() - held.len() < lacking {
        held.reserve_exact(lacking.max(held.len() / 8).max(ROOM_MIN));
    }
}

impl<'a> Held<'a> {
    /// Whether it counts.
    pub(super) fn status(&self) -> Status {
        self.row.status
    }

    /// Its id.
    pub(super) fn id(&self) -> RecordId {
        self.row.id
    }

    /// When it was stated.
    pub(super) fn time_ms(&self) -> u64 {
        self.row.time_ms()
    }

    /// Whether it has a signal of this type.
    pub(super) fn has(&self, kind: SignalType) -> bool {
        self.description.about() == kind.record_kind() && self.row.types & type_bit(kind) != 0
    }

    /// Whether this is the record, and it states this. Of a record with sketches it never is.
    pub(super) fn states(&self, RecordView { known, stated }: &RecordView) -> bool {
        self.row.id == known.id
            && self.row.types == types(stated)
            && packed::unpack(self.packed, self.description, self.time_ms()) == *stated
    }

    /// What only its kind says, without values of sketches.
    pub(super) fn detail(&self) -> Option<Detail> {
        packed::detail(self.packed, self.description)
    }

    /// Its signals.
    pub(super) fn signals(&self) -> impl Iterator<Item = Signal> {
        packed::signals(self.packed)
    }

    /// Who stated it originally, and a pair of numbers that two records share only if it is the same.
    pub(super) fn source(&self) -> (&'a str, (u32, LogId)) {
        let name = self.description.organisation().unwrap_or(self.author.member.as_str());
        (name, (self.row.description, self.author.log))
    }
}

fn types(stated: &Stated) -> u8 {
    stated.content.signals.iter().fold(0, |types, signal| types | type_bit(signal.kind()))
}

/// Types of one kind of record have codes of one range of 16.
const fn type_bit(kind: SignalType) -> u8 {
    1 << (kind.code() & 15)
}
