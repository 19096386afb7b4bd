//! The journal: chained, checked at the start and by `fsck`, in audit bundles, and put aside when it is broken.

use crate::audit::verify;
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::Consortium;

#[test]
fn a_changed_journal_is_found_everywhere_and_put_aside() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let dir = consortium.dir().to_owned();
    let node = &mut consortium.nodes[0];
    for name in ["one", "two"] {
        node.command(&["token", "create", "--name", name, "--scope", "lookup"])?;
    }
    ensure!(node.command(&["journal", "verify"])?.starts_with("whole: 3 lines, newest "));
    node.start()?;
    node.wait_until_open()?;
    node.hashpact_ok(&["audit", "fetch", "--out", "good.tar"])?;
    let good = verify(&consortium, &dir.join("ash/good.tar"))?;
    ensure!(good["journal"]["lines"] == 3, "{good:#}");

    let node = &mut consortium.nodes[0];
    node.stop()?;
    let path = node.dir.join("data/journal");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replacen("\"one\"", "\"One\"", 1))?;
    let says = "line 2 was changed: line 3 carries another digest of it";
    let checked = node.try_command(&["fsck"])?;
    ensure!(
        checked.code == Some(3) && checked.stdout.contains(says) && checked.stdout.contains("NOT CLEAN"),
        "{checked:?}"
    );
    let shown = node.try_command(&["journal", "show"])?;
    ensure!(shown.code == Some(1) && shown.stderr.contains(says), "{shown:?}");

    // Look-ups go on; the log of the process says what is wrong, and a bundle carries it to whoever verifies it.
    node.start()?;
    node.wait_until_open()?;
    ensure!(std::fs::read_to_string(node.dir.join("node.log"))?.contains(says));
    node.hashpact_ok(&["audit", "fetch", "--out", "bad.tar"])?;
    let refused =
        verify(&consortium, &dir.join("ash/bad.tar")).err().context("a broken journal is not proven")?;
    ensure!(format!("{refused:#}").contains(says), "{refused:#}");

    let node = &mut consortium.nodes[0];
    let aside = node.command(&["journal", "restart", "--reason", "test"])?;
    ensure!(aside.contains("journal.broken-"), "{aside}");
    let lines = crate::recover::journal(node)?;
    ensure!(
        lines.len() == 1 && lines[0]["action"] == "restart-journal" && lines[0]["line"] == 1,
        "{lines:?}"
    );
    node.stop()?;
    ensure!(node.command(&["fsck"])?.contains("journal: whole, 1 lines"));
    // Cut off at its end.
    std::fs::write(&path, "")?;
    let cut = node.try_command(&["journal", "verify"])?;
    ensure!(cut.stderr.contains("was cut: 1 lines were written, 0 are there"), "{cut:?}");
    let refused = node.try_command(&["token", "revoke", "one"])?;
    ensure!(
        refused.code == Some(1)
            && refused.stderr.contains("revoke-token was not done, for it cannot be journalled"),
        "{refused:?}"
    );
    Ok(())
}
