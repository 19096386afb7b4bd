//! Decodes one image file as the library does and writes a line `WIDTH HEIGHT` and the RGB bytes to
//! standard output, so that another implementation can be given the same pixels.
#![expect(clippy::disallowed_methods, reason = "a tool reads the file named in its argument")]

use std::io::{Write, stdout};
use std::process::ExitCode;

use hashpact_hashing::decode::{DecodeLimits, decode};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: dump_rgb FILE");
        return ExitCode::from(2);
    };
    let written = std::fs::read(&path).map_err(|e| e.to_string()).and_then(|bytes| {
        let rgb = decode(&bytes, &DecodeLimits::default()).map_err(|e| e.to_string())?;
        let mut out = stdout().lock();
        writeln!(out, "{} {}", rgb.width, rgb.height)
            .and_then(|()| out.write_all(&rgb.pixels))
            .and_then(|()| out.flush())
            .map_err(|e| e.to_string())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
