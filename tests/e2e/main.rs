//! End to end: real programs, real sockets, real disks, on loopback.
//!
//! Every file founds the consortium that it needs with the commands that people would use. What the
//! nodes promise is checked from outside, with nothing but HTTP, `fsck` and the verifier that members
//! ship. Random tests print their seeds and take them back through a variable; every wait has a
//! deadline.

mod access;
mod alerts;
mod audit;
mod backup;
mod bad_files;
mod bad_requests;
mod bulk;
mod c2sp;
mod canary;
mod changes;
mod cosign;
mod crash;
mod damage;
mod erasure;
mod evidence;
mod governance;
mod hostile;
mod http;
mod index_snapshot;
mod kinds;
mod kinds_life;
mod lists;
mod models;
mod overtake;
mod power;
mod recover;
mod recovery;
mod replicas;
mod rosters;
mod tiles;
