//! Opens the database of this data folder, for every command that works on it.

use crate::config::Config;
use crate::journal;
use crate::storage::{Store, StoreError, TornTail};
use std::io;

/// Opens it. A torn tail that is cut off its write-ahead log stands in the journal before, and in the log.
pub(super) fn open(config: &Config) -> Result<Store, StoreError> {
    let path = config.journal_file();
    Store::open_telling(&config.database_dir(), &mut |tail: &TornTail| {
        let TornTail { file, whole_bytes, torn_bytes, zero_bytes, aside } = tail;
        let details = serde_json::json!({
            "file": file.display().to_string(), "whole_bytes": whole_bytes, "torn_bytes": torn_bytes,
            "zero_bytes": zero_bytes, "kept": aside.as_ref().map(|aside| aside.display().to_string()),
        });
        let said = "a log of the database ends in a torn write and blocks that were never written, as after a power cut; they are \
                    cut off, and nothing that was acknowledged is in them";
        if tracing::dispatcher::has_been_set() {
            tracing::warn!(file.path = %file.display(), whole_bytes, torn_bytes, zero_bytes, "{said}");
        } else {
            eprintln!("warning: {said} ({}, behind byte {whole_bytes})", file.display());
        }
        journal::record(&path, &journal::Actor::Node, "cut-torn-tail", &details).map_err(|error| {
            StoreError::Io { path: path.clone(), source: io::Error::other(format!("{error:#}")) }
        })
    })
}
