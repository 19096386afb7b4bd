//! Signals of a hash list on their way to be looked up, a lot at a time.

use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use hashpact_client::list::{ListItem, ListReader, ReadOptions, Step};
use hashpact_protocol::api::{NewSignal, QuerySignal};
use serde::Serialize;

/// What an item is to the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    /// A file.
    File(String),
    /// A line of a list.
    Line(u64),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// Items with their signals.
pub(super) type Lot = Vec<(Subject, Vec<QuerySignal>)>;

/// A list that is read a lot at a time.
pub(super) struct Lots {
    name: String,
    reader: ListReader<BufReader<Box<dyn std::io::Read>>>,
    signals_max: usize,
    failed: u64,
}

impl Lots {
    /// Opens a list; `-` is standard input.
    pub(super) fn open(
        list: &Path,
        signals_max: usize,
        ignore_unknown_columns: bool,
    ) -> anyhow::Result<Self> {
        let name = list.display().to_string();
        let input: Box<dyn std::io::Read> = if list.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(list).with_context(|| name.clone())?)
        };
        let options = ReadOptions { ignore_unknown_columns, ..ReadOptions::default() };
        let reader = ListReader::new(BufReader::with_capacity(1 << 16, input), options);
        Ok(Self { name, reader, signals_max, failed: 0 })
    }

    /// The next items, about as many signals as one call should have; `warn` is told of lines that cannot be read.
    pub(super) fn next_lot(&mut self, warn: impl Fn(&str)) -> anyhow::Result<Option<Lot>> {
        let (mut lot, mut signals) = (Lot::new(), 0);
        while signals < self.signals_max {
            let Some(step) = self.reader.next_step().with_context(|| self.name.clone())? else { break };
            match step {
                Step::Bad(bad) => {
                    self.failed += 1;
                    warn(&format!("line {}: {}; not looked up", bad.line, bad.reason));
                }
                Step::Item(item) => {
                    let item = query_of(*item);
                    signals += item.1.len();
                    lot.push(item);
                }
            }
        }
        Ok(Some(lot).filter(|lot| !lot.is_empty()))
    }

    /// Lines that could not be read so far.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }
}

fn query_of(item: ListItem) -> (Subject, Vec<QuerySignal>) {
    let mut variants = item.variants;
    let query = |signal: NewSignal| QuerySignal {
        variants: if signal.signal_type == "pdq" { std::mem::take(&mut variants) } else { Vec::new() },
        signal_type: signal.signal_type,
        value: signal.value,
        quality: signal.quality,
    };
    let signals = item.record.signals.into_iter().map(query).collect();
    (item.file.map_or(Subject::Line(item.line), Subject::File), signals)
}
