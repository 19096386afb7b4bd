//! `data/journal`: what people decided about this node's log, one JSON object a line.
//!
//! Recoveries, overrides and installed rosters are written and synced here *before* they take effect, so
//! that an auditor finds each of them, also the one that a crash cut short. Only ever appended to.

use crate::driver::now_ms;
use anyhow::Context as _;
use hashpact_protocol::api::time::rfc3339;
use std::io::Write as _;
use std::path::Path;

/// Adds one line, synced.
///
/// # Errors
/// The file cannot be written.
pub fn record(path: &Path, action: &str, details: &serde_json::Value) -> anyhow::Result<()> {
    let line = serde_json::json!({ "time": rfc3339(now_ms()), "action": action, "details": details });
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{line}")?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write the journal {}", path.display()))
}
