//! What a member node decides, without doing any of it.
//!
//! [`Engine`] takes [`Event`]s and the time and returns [`Effect`]s. It owns all state that a rule
//! depends on: the own log ([`append`]), the logs of the other members ([`follow`]), who may speak
//! to us ([`admit`]), what this node cosigns and which logs are forked, and what currently stands ([`view`]). It never waits, reads a clock, opens a
//! file or rolls dice, so the daemon and the simulator run the same decisions.
//!
//! Deliberately absent: storage, sockets, HTTP, logging. `hashpact-node` performs the effects.
//! Invariants, each with a check on the way in or out:
//! - nothing signed leaves before the batch that records it and the lock that remembers it are on
//!   disk (*persist, then publish*);
//! - nothing of another log is stored or folded unless a signed root covers it;
//! - the view is a fold over a *set* of entries: any arrival order gives the same result.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod admit;
pub mod append;
mod branches;
mod cosigning;
pub mod coverage;
pub mod effect;
pub mod engine;
pub mod entitled;
pub mod erasing;
pub mod event;
pub mod follow;
mod forks;
pub mod governance;
pub mod health;
pub mod limits;
pub mod models;
pub mod policy;
pub mod recover;
pub mod statistics;
mod stop;
pub mod view;
mod witness;

pub use effect::Effect;
pub use engine::{Engine, EngineConfig, NodeRole, Opening};
pub use event::Event;
pub use stop::StopReason;
