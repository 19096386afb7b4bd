//! What this node's member may have, as of the last start (`data/entitled`).
//!
//! A payload that was withheld is not asked for again, or a member would ask for ever for what it may not have. When a newer
//! roster lets it have more, the node starts anew, finds here that it may have had less before, and looks through what
//! was withheld once. Losing the file costs one such look, or none if the member has no restriction and never had one.

use crate::rosters::write_whole;
use crate::storage::Store;
use anyhow::{Context as _, Result};
use hashpact_core::entitled::{Entitled, Mine};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{MemberId, Roster};
use std::path::Path;

/// Lists what was withheld and is not any more as missing. Returns how many payloads.
///
/// # Errors
/// The database or the file cannot be read or written.
pub(crate) fn want_again(store: &Store, file: &Path, roster: &Roster, member: &MemberId) -> Result<u64> {
    let mine = Mine::of(roster, member);
    let now = stated(&mine.entitled);
    let before = match std::fs::read_to_string(file) {
        Ok(before) => before,
        // Nothing was ever withheld from a member of no group with all of the history.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => stated(&Entitled::UNRESTRICTED),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    if before == now {
        return Ok(0);
    }
    let mut count = 0;
    for log in roster.logs() {
        let id = LogId::of_origin(&log.origin);
        count += store.want_again(&id, |leaf| mine.covers(log.member, leaf)).context("what was withheld")?;
    }
    write_whole(file, now.as_bytes())?;
    Ok(count)
}

/// One line that is another one when another payload may be had.
fn stated(entitled: &Entitled) -> String {
    match entitled {
        Entitled::All => "all\n".to_owned(),
        Entitled::Nothing => "nothing\n".to_owned(),
        Entitled::Groups { groups, from_ms } => {
            let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
            format!("groups {} from {from_ms}\n", groups.join(" "))
        }
    }
}
