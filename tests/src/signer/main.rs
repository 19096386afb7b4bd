//! A reference signer for tests (node/SIGNER.md): holds seeds in a folder, `<role>.seed`, 64 hexadecimal digits each.
//!
//! A file `mode` beside them, read before every answer, makes it fail in one of the ways in which such programs do: `hang`,
//! `garbage`, `wrong` (a signature that does not verify), `exit`, `refuse`. Not for real keys: they lie in the clear.

use anyhow::{Context as _, Result, bail};
use hashpact_protocol::digest::{hex_array, hex_decode, hex_encode};
use hashpact_protocol::keys::SecretKey;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).context("the folder of seeds")?);
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines() {
        let line = line?;
        let mode = std::fs::read_to_string(dir.join("mode")).unwrap_or_default();
        let answer = match mode.trim() {
            "hang" => {
                std::thread::sleep(Duration::from_secs(3_600));
                continue;
            }
            "garbage" => "what do you mean?".to_owned(),
            "exit" => bail!("told to end"),
            "refuse" => "error the module is locked".to_owned(),
            mode => answer(&dir, &line, mode == "wrong").unwrap_or_else(|error| format!("error {error:#}")),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(dir: &Path, line: &str, is_wrong: bool) -> Result<String> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["hashpact-signer/1"] => Ok(line.to_owned()),
        ["public", role] => Ok(format!("public {role} {}", key(dir, role)?.public().to_hex())),
        ["sign", role, message] => {
            let mut signature = key(dir, role)?.sign(&hex_decode(message)?);
            if is_wrong {
                signature.0[0] ^= 1;
            }
            Ok(format!("signature {role} {}", hex_encode(&signature.0)))
        }
        _ => bail!("not understood"),
    }
}

fn key(dir: &Path, role: &str) -> Result<SecretKey> {
    let seed = std::fs::read_to_string(dir.join(format!("{role}.seed")))
        .with_context(|| format!("no {role} key"))?;
    Ok(SecretKey::from_seed(hex_array(seed.trim())?))
}
