//! `hashpact digest service`: one app by the digests of its packages and of the certificates that signed them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hashpact_hashing::digest::sha256_reader;
use hashpact_protocol::api::{NewRecord, NewSignal};
use hashpact_protocol::digest::sha256;
use hashpact_protocol::limits::SIGNALS_PER_RECORD_MAX;
use hashpact_protocol::record::SignalType;
use serde_json::json;

use super::addresses::ServiceArgs;
use super::{OutArgs, shown, signal, write};
use crate::cli::exit::Outcome;
use crate::cli::output::{Output, counted};

/// No certificate file is longer, in bytes.
const CERTIFICATE_MAX_BYTES: u64 = 64 * 1024;
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";
/// The tag of a DER sequence, which a certificate is.
const DER_SEQUENCE: u8 = 0x30;

/// Arguments of `digest service`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One record for one service: package_sha256 of each package as it is installed, certificate_sha256 of each \
                  signing certificate in DER (SPEC §7.16). A certificate outlives the versions of an app. Nothing is sent to \
                  anybody, and no name of a file is part of the record.\n\n\
                  State it with `hashpact contribute --signals FILE --review WORD`."
)]
pub(crate) struct Args {
    /// Packages of the service, such as an .apk or .ipa file
    #[arg(value_name = "PACKAGE", required_unless_present = "certificate")]
    packages: Vec<PathBuf>,
    /// Certificate that signed them, DER or PEM; repeat for several
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    of: ServiceArgs,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let mut signals: Vec<NewSignal> = Vec::new();
    let mut add = |signal: NewSignal| {
        if !signals.contains(&signal) {
            signals.push(signal);
        }
    };
    for path in &args.packages {
        let (digest, size_bytes) = File::open(path).and_then(sha256_reader).with_context(|| shown(path))?;
        if size_bytes == 0 {
            bail!("{}: the file is empty", shown(path));
        }
        add(signal(SignalType::PackageSha256, &digest));
    }
    for path in &args.certificate {
        add(signal(SignalType::CertificateSha256, &sha256(&[&certificate(path)?])));
    }
    if signals.len() > SIGNALS_PER_RECORD_MAX {
        let count = counted(signals.len() as u64, "digest", "digests");
        bail!("{count}, but a record has at most {SIGNALS_PER_RECORD_MAX}; give fewer files at a time");
    }
    let count = signals.len();
    let mut target = args.out.open()?;
    write(&mut target, &NewRecord { signals, ..args.of.record() })?;
    target.finish()?;
    let text = format!("1 record with {}", counted(count as u64, "digest", "digests"));
    args.out.conclude(&json!({"records": 1, "digests": count}), &text, output);
    Ok(Outcome::Done)
}

/// A certificate in DER, of a file that has it so or as PEM.
fn certificate(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| shown(path))?;
    file.take(CERTIFICATE_MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| shown(path))?;
    if bytes.len() as u64 > CERTIFICATE_MAX_BYTES {
        bail!("{}: more than {CERTIFICATE_MAX_BYTES} bytes; a certificate is expected", shown(path));
    }
    let der = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains(PEM_BEGIN) => {
            one_of_pem(text).with_context(|| format!("{}: not one certificate in PEM", shown(path)))?
        }
        _ => bytes,
    };
    if !is_whole_sequence(&der) {
        bail!("{}: not a certificate in DER or PEM", shown(path));
    }
    Ok(der)
}

/// The bytes between the marks, if there is one certificate.
fn one_of_pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(PEM_BEGIN)?;
    let (inside, after) = rest.split_once(PEM_END)?;
    if after.contains(PEM_BEGIN) {
        return None;
    }
    let digits: String = inside.split_whitespace().collect();
    STANDARD.decode(digits).ok()
}

/// Whether the bytes are one DER sequence, from the first to the last.
fn is_whole_sequence(der: &[u8]) -> bool {
    let Some((&[DER_SEQUENCE, first], rest)) = der.split_first_chunk::<2>() else { return false };
    if first < 0x80 {
        return rest.len() == usize::from(first);
    }
    let width = usize::from(first & 0x7f);
    let Some((length, rest)) = rest.split_at_checked(width) else { return false };
    (1..=4).contains(&width) && length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) == rest.len()
}
