//! Imports that are killed between any two steps, and in the middle of writing the journal.
//!
//! A run is the steps: batch begun (journal), batch stated (node), batch done (journal). A crash
//! after step k is made for every k, and the journal is cut at every byte that a lost write could
//! have left; then the import is run again to its end. What must hold: each distinct record was
//! stated exactly once, in the order of the list.

use std::path::Path;

use hashpact_client::import::{ImportError, Importer, Totals};
use hashpact_client::journal::Journal;
use hashpact_client::list::{ListReader, ReadOptions};
use proptest::prelude::*;

use crate::fake_node::Ledger;

/// One process: makes at most `steps` steps; the totals if it came to the end of the list.
fn run(
    list: &str,
    journal: &Path,
    batch_max: usize,
    ledger: &mut Ledger,
    steps: usize,
) -> Result<Option<Totals>, ImportError> {
    let journal = Journal::open(journal, "list", "settings")?;
    let reader = ListReader::new(list.as_bytes(), ReadOptions::default());
    let mut importer = Importer::new(reader, Some(journal), "unused", batch_max);
    for batch_number in 0.. {
        // Three steps a batch; each may be the last that this process makes.
        if steps <= batch_number * 3 {
            return Ok(None);
        }
        let Some(batch) = importer.next_batch(&mut |_| {})? else {
            break;
        };
        if steps == batch_number * 3 + 1 {
            return Ok(None);
        }
        let receipts = ledger.contribute(&batch.key, &batch.records);
        if steps == batch_number * 3 + 2 {
            return Ok(None);
        }
        importer.confirm(&batch, &receipts)?;
    }
    Ok(Some(importer.totals()))
}

fn finish(list: &str, journal: &Path, batch_max: usize, ledger: &mut Ledger) -> Totals {
    run(list, journal, batch_max, ledger, usize::MAX).unwrap().expect("an unlimited run reaches the end")
}

/// A folder in memory where there is one: these tests sync thousands of times.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn md5_line(nth: usize) -> String {
    format!("md5 {nth:032x}\n")
}

/// A list with duplicates, blank lines and unusable lines, and its distinct values in order.
fn list() -> (String, Vec<String>) {
    let mut text = String::new();
    for nth in 0..11 {
        text.push_str(&md5_line(nth));
        match nth {
            2 => text.push_str("md5 tooshort\n\n"),
            4 => text.push_str(&md5_line(1)),
            7 => text.push_str("raw_text not a hash\n"),
            10 => text.push_str("\n \nmd5 0\n"),
            _ => {}
        }
    }
    (text, (0..11).map(|nth| format!("{nth:032x}")).collect())
}

fn stated(ledger: &Ledger) -> Vec<String> {
    ledger.stated.iter().map(|record| record.signals[0].value.clone()).collect()
}

#[test]
fn batches_that_were_under_way_together_are_sent_again_and_stated_once() {
    let (text, expected) = list();
    for confirmed in 0..3 {
        let folder = folder();
        let path = folder.path().join("journal");
        let mut ledger = Ledger::default();
        {
            let journal = Journal::open(&path, "list", "settings").unwrap();
            let reader = ListReader::new(text.as_bytes(), ReadOptions::default());
            let mut importer = Importer::new(reader, Some(journal), "unused", 2);
            let batches: Vec<_> =
                (0..4).map(|_| importer.next_batch(&mut |_| {}).unwrap().unwrap()).collect();
            // The last one never reached the node, the third did before the others.
            let receipts = [2, 0, 1]
                .map(|nth: usize| (nth, ledger.contribute(&batches[nth].key, &batches[nth].records)));
            for (batch, number) in batches.iter().zip(0..confirmed) {
                let (_, receipts) = receipts.iter().find(|(nth, _)| *nth == number).unwrap();
                importer.confirm(batch, receipts).unwrap();
            }
        }
        let totals = finish(&text, &path, 3, &mut ledger);
        let mut stated = stated(&ledger);
        stated.sort();
        assert_eq!((stated, totals.done_before), (expected.clone(), 2 * confirmed as u64), "{confirmed}");
    }
}

#[test]
fn a_kill_between_any_two_steps_and_in_any_write() {
    let (text, expected) = list();
    let folder = folder();
    let path = folder.path().join("journal");
    let after = |steps: usize, batch_max: usize| {
        let _ = std::fs::remove_file(&path);
        let mut ledger = Ledger::default();
        let end = run(&text, &path, batch_max, &mut ledger, steps).unwrap();
        (std::fs::read(&path).unwrap(), ledger, end.is_some())
    };
    let mut images = 0;
    for batch_max in [1, 2, 3, 4, 100] {
        for steps in 0.. {
            let (before, ledger, ended) = after(steps, batch_max);
            if ended {
                break;
            }
            // The step that was cut off may have left any beginning of its write behind.
            let (next, ..) = after(steps + 1, batch_max);
            assert!(next.starts_with(&before), "a journal is only appended to");
            // (Every single byte of a journal is cut in the journal's own tests.)
            let least = if steps == 0 { 0 } else { before.len() };
            let mut cuts = vec![
                least,
                least + 1,
                before.len(),
                (before.len() + next.len()) / 2,
                next.len() - 1,
                next.len(),
            ];
            cuts.retain(|cut| (least..=next.len()).contains(cut));
            cuts.dedup();
            for cut in cuts {
                std::fs::write(&path, &next[..cut]).unwrap();
                let mut ledger = ledger.clone();
                let totals = finish(&text, &path, batch_max, &mut ledger);
                assert_eq!(
                    stated(&ledger),
                    expected,
                    "batch {batch_max}, step {steps}, journal cut at {cut}"
                );
                assert_eq!((totals.records, totals.duplicates, totals.bad), (11, 1, 3));
                images += 1;
            }
        }
    }
    assert!(images > 200, "only {images} crash images");
}

#[test]
fn a_finished_list_may_grow_and_a_lost_journal_states_nothing_twice() {
    let (text, mut expected) = list();
    let folder = folder();
    let path = folder.path().join("journal");
    let mut ledger = Ledger::default();
    finish(&text, &path, 4, &mut ledger);
    let totals = finish(&text, &path, 4, &mut ledger);
    assert_eq!((stated(&ledger).len(), totals.done_before), (11, 11));

    let grown = format!("{text}{}{}", md5_line(3), md5_line(50));
    finish(&grown, &path, 4, &mut ledger);
    expected.push(format!("{:032x}", 50));
    assert_eq!(stated(&ledger), expected);

    // The keys depend on the list alone: without its journal, the node recognises what it has.
    let mut ledger = Ledger::default();
    std::fs::remove_file(&path).unwrap();
    finish(&text, &path, 4, &mut ledger);
    std::fs::remove_file(&path).unwrap();
    finish(&text, &path, 4, &mut ledger);
    assert_eq!(stated(&ledger).len(), 11);
}

#[test]
fn an_edited_list_is_noticed_before_anything_is_sent() {
    let (text, _) = list();
    let folder = folder();
    let path = folder.path().join("journal");
    // After one batch done (3 steps), and with the second one begun (4 steps).
    for steps in [3, 4] {
        for (from, to) in
            [(md5_line(0), md5_line(99)), (md5_line(5), md5_line(99)), (md5_line(0), String::new())]
        {
            let _ = std::fs::remove_file(&path);
            let mut ledger = Ledger::default();
            run(&text, &path, 4, &mut ledger, steps).unwrap();
            let edited = text.replace(&from, &to);
            let result = run(&edited, &path, 4, &mut ledger, usize::MAX);
            let in_covered_part = from != md5_line(5) || steps == 4;
            match result {
                Err(ImportError::ListChanged { .. }) => assert!(in_covered_part),
                other => assert!(!in_covered_part, "{other:?}"),
            }
            if in_covered_part {
                assert_eq!(stated(&ledger).len(), 4);
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
    run(&text, &path, 4, &mut Ledger::default(), 4).unwrap();
    let shorter = run(&md5_line(0), &path, 4, &mut Ledger::default(), usize::MAX);
    assert!(matches!(shorter, Err(ImportError::ListChanged { .. })), "{shorter:?}");
}

#[test]
fn receipts_of_another_batch_are_refused() {
    let (text, _) = list();
    let folder = folder();
    let journal = Journal::open(&folder.path().join("journal"), "list", "settings").unwrap();
    let reader = ListReader::new(text.as_bytes(), ReadOptions::default());
    let mut importer = Importer::new(reader, Some(journal), "unused", 4);
    let batch = importer.next_batch(&mut |_| {}).unwrap().unwrap();
    let receipts = Ledger::default().contribute(&batch.key, &batch.records);
    assert!(matches!(importer.confirm(&batch, &receipts[..3]), Err(ImportError::Receipts { .. })));
    assert!(matches!(importer.confirm(&batch, &[]), Err(ImportError::Receipts { .. })));
    importer.confirm(&batch, &receipts).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any list, any batch sizes in each run, any number of kills: each distinct record once.
    #[test]
    fn any_sequence_of_kills(values in proptest::collection::vec(0usize..40, 0..60), runs in proptest::collection::vec((1usize..9, 0usize..12), 0..8)) {
        let text: String = values.iter().map(|nth| md5_line(*nth)).collect();
        let folder = folder();
        let path = folder.path().join("journal");
        let mut ledger = Ledger::default();
        for (batch_max, steps) in runs {
            run(&text, &path, batch_max, &mut ledger, steps).unwrap();
        }
        if !text.is_empty() {
            finish(&text, &path, 5, &mut ledger);
        }
        let mut expected: Vec<String> = Vec::new();
        for value in values.iter().map(|nth| format!("{nth:032x}")) {
            if !expected.contains(&value) {
                expected.push(value);
            }
        }
        prop_assert_eq!(stated(&ledger), expected);
    }
}
