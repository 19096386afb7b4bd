//! `hashpact-node`: parse arguments, call [`hashpact_node::cli`], set the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hashpact_node::cli::main()
}
