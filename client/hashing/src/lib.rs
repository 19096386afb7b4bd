//! Signals of one picture, computed on the machine that holds it.
//!
//! Three steps, each usable alone: [`digest`] takes MD5, SHA-1 and SHA-256 of a byte stream in one
//! pass, [`decode`] turns the bytes of an image file into RGB pixels under limits, and [`pdq`]
//! turns pixels into Meta's perceptual hash with its quality and its eight dihedral variants.
//! [`mod@file`] does all three for one file's bytes.
//!
//! The crate is pure: it opens no file, starts no thread, reads no clock and no variable, and has no
//! way to send anything anywhere. Walking folders, reading files and spreading the work over
//! processors belong to the `hashpact` command.
//!
//! What others compare with their own lists must be the same number everywhere. PDQ values here
//! equal those of the Python binding `pdqhash` 0.2.8 (the one that ThreatExchange's own tools call)
//! bit for bit on the same pixels; the vectors under `tests/vectors/pdq` pin that. Decoders differ
//! in the last bit of a JPEG's pixels, so across tools two hashes of one file may be a few bits
//! apart, which is why matches are made by distance and never by equality.

pub mod decode;
pub mod digest;
pub mod file;
pub mod genmeta;
mod json;
pub mod models;
pub mod pdq;
