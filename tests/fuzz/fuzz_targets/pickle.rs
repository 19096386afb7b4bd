//! Pickles of PyTorch archives.
#![no_main]

libfuzzer_sys::fuzz_target!(init: hashpact_fuzz::seeds::write("pickle"), |data: &[u8]| hashpact_fuzz::pickle(data));
