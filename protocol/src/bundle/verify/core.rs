//! The core: manifest, rosters, and the entries of all logs with the hashes that prove them.

use super::{Check, Member, Members, Stop, Trusted};
use crate::bundle::chunk::{Span, TileSequence, check_run, entries_name, read_entries, tile_name};
use crate::bundle::derived::derived_members;
use crate::bundle::findings::{Entry, EntryPayload};
use crate::bundle::manifest::{BundleLog, Manifest};
use crate::bundle::payload::{BundlePayload, decode_payloads};
use crate::bundle::problem::{Problem, Rule};
use crate::bundle::scope::Scope;
use crate::digest::{LeafHash, LogId, leaf_hash};
use crate::leaf::{EntryLeaf, check_commitment, read_leaf};
use crate::limits::{BUNDLE_ROSTERS_MAX_BYTES, SALT_BYTES};
use crate::merkle::{TileId, decode_tile};
use crate::record::{Payload, read_padded};
use crate::roster::Roster;
use std::ops::Range;

/// A leaf whose hash is not the one in its tile: one of the two was changed.
struct Suspect {
    index: u64,
    leaf: (Member, Range<usize>),
    hash: (Member, Range<usize>),
}

impl<M: Members> Check<'_, M> {
    /// Manifest and roster bodies.
    pub(super) fn core_start(&mut self) -> Result<(Manifest, Vec<Member>), Stop<M::Error>> {
        let member = self.core_member("core/manifest")?;
        let manifest = match Manifest::parse(&member.content) {
            Ok(manifest) => manifest,
            Err(error) => return self.fatal(&member, error),
        };
        self.findings.manifest = Some(manifest.clone());
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        for version in 1..=manifest.roster_version {
            let body = self.core_member(&format!("core/roster/{version:06}"))?;
            bytes += body.content.len();
            if bytes > BUNDLE_ROSTERS_MAX_BYTES {
                return self.fatal(&body, Rule::RosterBytes);
            }
            bodies.push(body);
        }
        Ok((manifest, bodies))
    }

    /// What follows from the roster and is there for readers.
    pub(super) fn derived(&mut self, roster: &Roster) -> Result<(), Stop<M::Error>> {
        for (name, content) in derived_members(roster) {
            let member = self.core_member(&name)?;
            if member.content != content.as_bytes() {
                self.whole(&member, Rule::Derived);
            }
        }
        Ok(())
    }

    /// All logs; behind the last one the core ends.
    pub(super) fn logs(&mut self, trusted: &Trusted) -> Result<(), Stop<M::Error>> {
        let mut found = false;
        for (number, log) in trusted.manifest.logs.iter().enumerate() {
            let log_id = log.log_id(&trusted.manifest.consortium);
            let place = Place { number, log, log_id, origin: log.origin(&trusted.manifest.consortium) };
            if trusted.manifest.scope.is_whole(&log.member) {
                self.whole_log(&place)?;
            } else {
                found |= self.runs(&place, &trusted.manifest.scope)?;
            }
        }
        if matches!(trusted.manifest.scope, Scope::Record(_)) && !found {
            let member = "core/manifest".to_owned();
            self.findings.add(Problem { member, start: 0, end: 0, rule: Rule::RecordMissing });
        }
        match self.core.take().map_err(Stop::Reader)? {
            Some(extra) => self.fatal(&extra, Rule::Expected { expected: "the annex".to_owned() }),
            None => Ok(()),
        }
    }

    /// A log as its tiles. Two trees are built where leaves and tiles differ: the one that leads to the signed
    /// root says which of them was changed.
    fn whole_log(&mut self, place: &Place<'_>) -> Result<(), Stop<M::Error>> {
        let log = place.log;
        let mut by_leaves = TileSequence::new(log.size);
        let mut by_tiles: Option<TileSequence> = None;
        let mut suspects = Vec::new();
        while let Some(id) = by_leaves.next_tile() {
            let tile = self.core_member(&tile_name(log, id))?;
            let entries = self.core_member(&entries_name(log, id))?;
            let (leaf_hashes, tile_hashes, mut differ) = self.compare(place, id, &tile, &entries);
            if !differ.is_empty() && by_tiles.is_none() {
                by_tiles = Some(by_leaves.clone());
            }
            suspects.append(&mut differ);
            suspects.truncate(crate::bundle::findings::PROBLEMS_KEPT_MAX);
            let above = by_leaves.advance(&leaf_hashes);
            let other = by_tiles.as_mut().map(|tiles| tiles.advance(&tile_hashes)).unwrap_or_default();
            for (nth, (id, content)) in above.iter().enumerate() {
                let member = self.core_member(&tile_name(log, *id))?;
                let is_other = other.get(nth).is_some_and(|(_, other)| *other == member.content);
                if member.content != *content && !is_other {
                    self.other_tile(place, &member, content);
                }
            }
            let start = id.index * 256;
            self.chunk(place, Span { start, count: id.width }, &entries, &leaf_hashes, 0)?;
        }
        if log.size > 0 {
            self.judge(place, &by_leaves, by_tiles.as_ref(), suspects);
        } else if log.root != crate::digest::empty_root() {
            self.root_problem(place);
        }
        Ok(())
    }

    /// Leaf hashes by the entries and by the tile, and where they differ.
    fn compare(
        &mut self,
        place: &Place<'_>,
        id: TileId,
        tile: &Member,
        entries: &Member,
    ) -> (Vec<LeafHash>, Vec<LeafHash>, Vec<Suspect>) {
        let width = usize::from(id.width);
        let of_tile = decode_tile(&tile.content).ok().filter(|hashes| hashes.len() == width);
        let of_tile =
            of_tile.map(|hashes| hashes.iter().map(|hash| LeafHash::new(*hash.as_bytes())).collect());
        let leaves = read_entries(&entries.content, id.width);
        let of_leaves = leaves.map(|leaves| leaves.iter().map(|leaf| leaf_hash(leaf)).collect());
        let (of_tile, of_leaves): (Vec<LeafHash>, Vec<LeafHash>) = match (of_tile, of_leaves) {
            (Some(of_tile), Some(of_leaves)) => (of_tile, of_leaves),
            (Some(of_tile), None) => {
                self.whole(entries, Rule::Entries);
                return (of_tile.clone(), of_tile, Vec::new());
            }
            (None, Some(of_leaves)) => {
                self.whole(tile, Rule::Tile { log: place.origin.clone(), number: 0 });
                return (of_leaves.clone(), of_leaves, Vec::new());
            }
            (None, None) => {
                self.whole(tile, Rule::Entries);
                self.whole(entries, Rule::Entries);
                let none = vec![LeafHash::new([0; 32]); width];
                return (none.clone(), none, Vec::new());
            }
        };
        let mut suspects = Vec::new();
        if of_tile != of_leaves {
            let mut at = 0;
            let leaves = read_entries(&entries.content, id.width).unwrap_or_default();
            for (nth, (leaf, (a, b))) in leaves.iter().zip(of_leaves.iter().zip(&of_tile)).enumerate() {
                let range = at..at + 2 + leaf.len();
                at = range.end;
                if a != b {
                    suspects.push(Suspect {
                        index: id.index * 256 + nth as u64,
                        leaf: (bare(entries), range),
                        hash: (bare(tile), nth * 32..nth * 32 + 32),
                    });
                }
            }
        }
        (of_leaves, of_tile, suspects)
    }

    fn judge(
        &mut self,
        place: &Place<'_>,
        by_leaves: &TileSequence,
        by_tiles: Option<&TileSequence>,
        suspects: Vec<Suspect>,
    ) {
        let root = place.log.root;
        let leaves_hold = by_leaves.root() == root;
        let tiles_hold = by_tiles.is_some_and(|tiles| tiles.root() == root);
        for suspect in suspects {
            let log = place.origin.clone();
            if !leaves_hold {
                let (member, range) = &suspect.leaf;
                self.problem(member, range.clone(), Rule::Entry { log: log.clone(), index: suspect.index });
            }
            if !tiles_hold {
                let (member, range) = &suspect.hash;
                self.problem(member, range.clone(), Rule::Tile { log, number: suspect.index % 256 });
            }
        }
        if !leaves_hold && !tiles_hold {
            self.root_problem(place);
        }
    }

    fn root_problem(&mut self, place: &Place<'_>) {
        let rule = Rule::Root { log: place.origin.clone() };
        self.findings.add(Problem { member: place.log.prefix("core/logs"), start: 0, end: 0, rule });
    }

    /// A tile of a higher level that is not the computed one.
    fn other_tile(&mut self, place: &Place<'_>, member: &Member, computed: &[u8]) {
        let differs = member.content.iter().zip(computed).position(|(got, expected)| got != expected);
        let from = differs.unwrap_or(0) / 32 * 32;
        let rule = Rule::Tile { log: place.origin.clone(), number: from as u64 / 32 };
        if member.content.len() == computed.len() {
            self.problem(member, from..from + 32, rule);
        } else {
            self.whole(member, rule);
        }
    }

    /// A log in part. Says whether the scope's record is in it.
    fn runs(&mut self, place: &Place<'_>, scope: &Scope) -> Result<bool, Stop<M::Error>> {
        let prefix = format!("{}/runs/", place.log.prefix("core/logs"));
        let (mut found, mut last) = (false, None);
        while let Some(rest) = self.core.behind(&prefix).map_err(Stop::Reader)? {
            let Some(member) = self.core.take().map_err(Stop::Reader)? else { break };
            let Some(span) = Span::parse(&rest) else {
                return self.fatal(&member, Rule::Expected { expected: format!("{prefix}<start>-<count>") });
            };
            let is_torn = last == Some(span.start) && span.start % 256 != 0;
            if last.is_some_and(|last| last > span.start) || is_torn {
                self.whole(&member, Rule::RunOrder);
            }
            last = Some(span.end());
            let leaves = match check_run(span, place.log, &member.content) {
                Ok(leaves) => leaves,
                Err(error) => {
                    self.whole(&member, error);
                    Vec::new()
                }
            };
            let hashes: Vec<LeafHash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
            for (index, (leaf, id)) in (span.start..).zip(leaves.iter().zip(&hashes)) {
                found |= matches!(scope, Scope::Record(record) if record == id);
                // Which entries a member's logs hold is not kept, so any subject passes here.
                if !scope.takes(leaf, id, &place.log_id, index, |_| true) {
                    self.whole(&member, Rule::OutOfScope { log: place.origin.clone(), index });
                }
            }
            let entries = leaves.iter().map(|leaf| 2 + leaf.len()).sum::<usize>();
            let from = member.content.len() - entries;
            self.chunk(place, span, &member, &hashes, from)?;
        }
        Ok(found)
    }

    /// The payloads of a chunk whose entries stand in `entries` from byte `from` on.
    fn chunk(
        &mut self,
        place: &Place<'_>,
        span: Span,
        entries: &Member,
        hashes: &[LeafHash],
        from: usize,
    ) -> Result<(), Stop<M::Error>> {
        let member = self.annex_member(&span.payloads_name(place.log))?;
        let leaves = entries.content.get(from..).and_then(|bytes| read_entries(bytes, span.count));
        let (payloads, mut at) = match decode_payloads(&member.content, usize::from(span.count)) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.whole(&member, error);
                self.digest(&member, &member.content);
                return Ok(());
            }
        };
        self.digest(&member, member.content.get(..at).unwrap_or_default());
        let leaves = leaves.unwrap_or_default();
        for (index, ((leaf, id), payload)) in (span.start..).zip(leaves.iter().zip(hashes).zip(&payloads)) {
            let known = read_leaf(leaf, &place.log_id, index);
            let read = if let BundlePayload::Present { salt, padded } = payload {
                let range = at..at + SALT_BYTES + 4 + padded.len();
                at = range.end;
                match check_commitment(leaf, salt, padded) {
                    Ok(()) => EntryPayload::Present(match &known {
                        EntryLeaf::Known(leaf) => Some(Box::new(read_padded(leaf, padded))),
                        EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => None,
                    }),
                    Err(detail) => {
                        let log = place.origin.clone();
                        self.problem(&member, range, Rule::Payload { log, index, detail });
                        EntryPayload::Damaged
                    }
                }
            } else {
                marker(payload)
            };
            self.count(place.number, &known, &read);
            let (log, log_id) = (place.log, place.log_id);
            self.visitor.entry(&Entry { log, log_id, index, id: *id, leaf: known, payload: read });
        }
        Ok(())
    }

    fn count(&mut self, number: usize, leaf: &EntryLeaf, payload: &EntryPayload) {
        let Some(found) = self.findings.logs.get_mut(number) else { return };
        found.entries += 1;
        let content = match payload {
            EntryPayload::Present(content) => content.as_deref(),
            _ => None,
        };
        match (leaf, content) {
            (EntryLeaf::Opaque(_), _) | (EntryLeaf::Known(_), Some(Payload::Opaque(_))) => found.opaque += 1,
            (EntryLeaf::Void(_), _) | (EntryLeaf::Known(_), Some(Payload::Void(_))) => found.void += 1,
            (EntryLeaf::Known(_), Some(Payload::Record(_)) | None) => {}
        }
        let counter = match payload {
            EntryPayload::Present(_) => &mut found.payloads.present,
            EntryPayload::Withheld => &mut found.payloads.withheld,
            EntryPayload::Erased(_) => &mut found.payloads.erased,
            EntryPayload::NotHere => &mut found.payloads.not_here,
            EntryPayload::Held => &mut found.payloads.held,
            EntryPayload::Damaged => return,
        };
        *counter += 1;
    }
}

/// The log that is being checked.
struct Place<'a> {
    number: usize,
    log: &'a BundleLog,
    log_id: LogId,
    origin: String,
}

fn marker(payload: &BundlePayload<'_>) -> EntryPayload {
    match payload {
        BundlePayload::Present { .. } => EntryPayload::Damaged,
        BundlePayload::Withheld => EntryPayload::Withheld,
        BundlePayload::Erased => EntryPayload::Erased(None),
        BundlePayload::NotHere => EntryPayload::NotHere,
        BundlePayload::Held => EntryPayload::Held,
        BundlePayload::ErasedBy { log, index } => EntryPayload::Erased(Some((*log, *index))),
    }
}

/// A member without its content, for a place.
fn bare(member: &Member) -> Member {
    Member { name: member.name.clone(), content: Vec::new(), at: member.at }
}
