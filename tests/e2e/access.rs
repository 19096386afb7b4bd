//! Who may use a node, as people meet it: tokens while it runs, the journal of what was done, TLS, and keys that are
//! sealed or held by another program.

mod errors;
mod journal;
mod keys;
mod tls;
mod tokens;
