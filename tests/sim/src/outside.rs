//! The check from outside: what a member's disk holds, written as an audit bundle and verified with the
//! code that members ship, from the trust anchor alone.

use crate::disk::{Disk, StoredLog};
use crate::founding::{Founding, Member};
use crate::world::checks::chain;
use hashpact_core::effect::StoredPayload;
use hashpact_protocol::bundle::archive::{Header, RECORD_BYTES, padding, parse_header};
use hashpact_protocol::bundle::{
    BundleLog, BundlePayload, BundleWriter, Findings, Manifest, Member as File, Members, Scope, Section,
    Sink, branch_spans, verify_bundle,
};
use hashpact_protocol::digest::leaf_hash;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::merkle::{Frontier, consistency_proof};
use hashpact_protocol::roster::{LogRef, LogStatus};
use std::convert::Infallible;

/// Writes and verifies a bundle of everything that one member's disk holds.
pub(crate) fn verify(founding: &Founding, holder: &Member, disk: &Disk, now_s: u64) -> Findings {
    let archive = write(founding, holder, disk, now_s);
    let mut trust = Frontier::empty();
    trust.append(leaf_hash(&founding.chain.suffix_from(0)[0].body));
    let core = Reader { bytes: &archive.bytes[..archive.annex] };
    let annex = Reader { bytes: &archive.bytes[archive.annex..] };
    let (findings, broken) = verify_bundle(core, annex, &trust.root(), &mut ());
    let Ok(()) = broken.map_or(Ok(()), Err);
    findings
}

fn write(founding: &Founding, holder: &Member, disk: &Disk, now_s: u64) -> Archive {
    let empty = StoredLog::default();
    let chain = chain(founding, disk);
    let listed: Vec<LogRef<'_>> = chain.current().logs().collect();
    let log_of = |log: &LogRef<'_>| disk.logs.get(&log.log_id).unwrap_or(&empty);
    let logs = listed.iter().map(|log| {
        let size = size(log, holder, disk);
        BundleLog {
            member: log.member.clone(),
            n: log.n,
            size,
            root: log_of(log).frontier_at(size as usize).root(),
        }
    });
    let manifest = Manifest {
        consortium: chain.current().consortium.clone(),
        roster_version: chain.version(),
        roster_root: chain.root(),
        scope: Scope::All,
        logs: logs.collect(),
    };
    let Ok(mut writer) = BundleWriter::start(Archive::default(), manifest.clone(), &chain) else {
        unreachable!("in memory")
    };
    let mut spans = Vec::new();
    for (place, log) in listed.iter().zip(&manifest.logs) {
        let mut whole = BundleWriter::<Archive>::whole_log(log);
        let mut start = 0;
        while let Some(count) = whole.next_count().filter(|_| log.size > 0) {
            let end = start + usize::from(count);
            let leaves: Vec<Vec<u8>> =
                log_of(place).entries[start..end].iter().map(|entry| entry.leaf.clone()).collect();
            writer.leaves(&mut whole, &leaves).expect("the leaves on disk are those of the head");
            spans.push((place, log, start, end));
            start = end;
        }
    }
    writer.annex(&chain).expect("in memory");
    for (place, log) in listed.iter().zip(&manifest.logs) {
        if let Some((size, note)) = note(place, holder, disk).filter(|(size, _)| *size <= log.size) {
            let proof = consistency_proof(log_of(place), size, log.size).expect("sizes in order");
            writer.checkpoints(log, size, &proof, &[note]).expect("in memory");
        }
    }
    for (number, evidence) in disk.facts.evidence.values().enumerate() {
        writer.evidence(number, evidence).expect("in memory");
    }
    branches(&mut writer, disk);
    for (place, log, start, end) in spans {
        let payloads: Vec<BundlePayload<'_>> =
            log_of(place).entries[start..end].iter().map(|entry| bundled(&entry.payload)).collect();
        writer.payloads(log, start as u64, &payloads).expect("in memory");
    }
    let card = SecretKey::from_seed(*holder.card_key.seed()).into();
    writer.finish(&holder.id, now_s, now_s, &card).expect("in memory")
}

/// Histories that are kept whole beside the followed ones.
fn branches(writer: &mut BundleWriter<Archive>, disk: &Disk) {
    let whole = disk.facts.branches.iter().filter(|(_, held)| held.is_whole());
    for (number, (key, held)) in whole.enumerate() {
        let before =
            disk.logs.get(&key.0).map_or_else(Frontier::empty, |log| log.frontier_at(held.start as usize));
        writer.branch(number, &held.note.note, &before).expect("in memory");
        for span in branch_spans(held.start, held.note.size) {
            let (from, to) = ((span.start - held.start) as usize, (span.end() - held.start) as usize);
            let entries = &disk.branches[key][from..to];
            let leaves: Vec<Vec<u8>> = entries.iter().map(|entry| entry.leaf.clone()).collect();
            let payloads: Vec<_> = entries.iter().map(|entry| bundled(&entry.payload)).collect();
            writer.branch_entries(number, span.start, &leaves, &payloads).expect("in memory");
        }
    }
}

/// How much of a log a bundle has: to its closure if that is here, else to the newest note.
fn size(log: &LogRef<'_>, holder: &Member, disk: &Disk) -> u64 {
    let held = disk.logs.get(&log.log_id).map_or(0, |stored| stored.entries.len() as u64);
    match log.status {
        LogStatus::Closed { size, .. } if *size <= held => *size,
        _ => note(log, holder, disk).map_or(0, |(size, _)| size),
    }
}

/// The newest signed note that a disk holds of a log, if there is one whose leaves are all there.
fn note(place: &LogRef<'_>, holder: &Member, disk: &Disk) -> Option<(u64, Vec<u8>)> {
    let log = disk.logs.get(&place.log_id)?;
    let note = if place.log_id == holder.log {
        disk.lock.as_ref().filter(|lock| lock.size > 0).map(|lock| (lock.size, lock.note.clone()))
    } else {
        log.note.as_ref().map(|note| (note.size, note.note.clone()))
    };
    note.filter(|(size, _)| *size <= log.entries.len() as u64)
}

fn bundled(payload: &StoredPayload) -> BundlePayload<'_> {
    match payload {
        StoredPayload::Present { salt, padded } => BundlePayload::Present { salt, padded },
        StoredPayload::Withheld => BundlePayload::Withheld,
        StoredPayload::Erased => BundlePayload::Erased,
        StoredPayload::Held { .. } => BundlePayload::Held,
        StoredPayload::Sealed { by, .. } | StoredPayload::ErasedBy { by } => {
            BundlePayload::ErasedBy { log: by.log, index: by.index }
        }
        StoredPayload::NotHere => BundlePayload::NotHere,
    }
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    annex: usize,
}

impl Sink for Archive {
    type Error = Infallible;

    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(bytes);
        if section == Section::Core {
            self.annex = self.bytes.len();
        }
        Ok(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Members for Reader<'_> {
    type Error = Infallible;

    fn next(&mut self) -> Result<Option<File>, Infallible> {
        let Some((record, rest)) = self.bytes.split_first_chunk::<RECORD_BYTES>() else { return Ok(None) };
        let Header::Member { name, size } = parse_header(record).expect("the writer's own header") else {
            return Ok(None);
        };
        self.bytes = &rest[size + padding(size)..];
        // Places in the file are of no interest: a problem fails the run.
        Ok(Some(File { name, content: rest[..size].to_vec(), at: 0 }))
    }
}
