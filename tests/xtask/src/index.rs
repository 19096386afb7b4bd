//! `cargo xtask bench index`: the match index and what others use, on the same data in the same run.
//!
//! The measuring is the `bench-index` program's; here it gets its data folder, the photographs and a Python with
//! the peers. Without Python or the packages only our own figures are printed, and that is said.

use std::env;
use std::ffi::OsString;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{photos, python};

const PEERS: [&str; 3] = ["faiss-cpu==1.15.1", "threatexchange==1.2.17", "numpy==2.4.6"];

pub(crate) fn run(workspace: &Workspace, json: bool, options: &[OsString]) -> Result<()> {
    let name = |given: &OsString| given.to_string_lossy().split('=').next().map(str::to_owned);
    let has = |option: &str| options.iter().any(|given| name(given).as_deref() == Some(option));
    let mut step = workspace
        .cargo(["run", "--quiet", "--locked", "--release", "--package", "hashpact-bench-matching"])
        .args(["--bin", "bench-index", "--", "--data"])
        .args([workspace.target_dir()?.join("bench-index")])
        .quiet();
    if json {
        step = step.args(["--json"]);
    }
    if env::var_os("HASHPACT_PHOTOS").is_none()
        && let Some(folder) = photos::already_here(workspace)?
    {
        step = step.env("HASHPACT_PHOTOS", folder);
    }
    if !["--no-peers", "--page", "--python", "--help-all"].into_iter().any(has) {
        match python::environment(workspace, "bench-peers", &PEERS) {
            Ok(python) => step = step.args(["--python".as_ref(), python.as_os_str()]),
            Err(error) => {
                eprintln!("note: no peers here ({error:#}); only our own figures follow");
                step = step.args(["--no-peers"]);
            }
        }
    }
    // This tool answers --help itself.
    let options =
        options.iter().map(|option| if option == "--help-all" { "--help".into() } else { option.clone() });
    step.args(options).run()
}
