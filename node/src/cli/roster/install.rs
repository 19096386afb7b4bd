//! `hashpact-node roster install`: a newer version comes into a node's data folder.

use super::load_roster;
use crate::config::Config;
use crate::rosters::{RosterFile, write_whole};
use anyhow::{Context as _, Result, bail};
use hashpact_protocol::roster::{RosterChain, SignedRoster};
use std::path::Path;

/// Adopts a longer chain that continues the one held. A rival is kept as evidence and never taken.
pub(in crate::cli) fn install(config: &Config, file: &Path) -> Result<()> {
    let files = RosterFile::of(config);
    let held = files.load()?;
    let (given, bytes) = load_roster(file, None)?;
    let mut common = held.suffix_from(0).iter().zip(given.suffix_from(0));
    if let Some((_, other)) = common.find(|(ours, theirs)| ours.body != theirs.body) {
        return Err(rival(&files, held, other, file));
    }
    if given.version() < held.version() {
        bail!(
            "{} ends at version {}, and this node holds version {}: a roster never goes back",
            file.display(),
            given.version(),
            held.version()
        );
    }
    if given.version() == held.version() {
        println!("version {} is installed already", held.version());
        return Ok(());
    }
    // Under the rivals that this node knows.
    let mut chain = held.clone();
    for next in given.suffix_from(held.version()) {
        chain.advance(next).with_context(|| format!("{} cannot be installed", file.display()))?;
    }
    let details = serde_json::json!({
        "from": held.version(), "to": given.version(), "root": given.root().to_hex(),
    });
    crate::journal::record(
        &config.journal_file(),
        &crate::journal::Actor::of_command(),
        "install-roster",
        &details,
    )?;
    write_whole(&config.roster_file(), &bytes)?;
    println!(
        "installed version {}, root {}; a running node adopts it within seconds",
        given.version(),
        given.root()
    );
    Ok(())
}

/// Keeps a rival, if it is one, and says what it means.
fn rival(files: &RosterFile, mut held: RosterChain, other: &SignedRoster, file: &Path) -> anyhow::Error {
    let does_not_continue =
        format!("{} does not continue version {} that this node holds", file.display(), held.version());
    match held.note_rival(other) {
        Ok(_) => match files.add_rivals(std::slice::from_ref(other)) {
            Ok(()) => anyhow::anyhow!(
                "{does_not_continue}; a rival version is never taken. It is kept as evidence: governance signed both, and no \
                 version is accepted that does not reject it (`hashpact-node roster propose --reject`)"
            ),
            Err(error) => error.context(does_not_continue),
        },
        Err(error) => anyhow::Error::from(error).context(does_not_continue),
    }
}
