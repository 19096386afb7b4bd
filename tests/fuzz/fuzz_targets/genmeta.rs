//! Containers of pictures and what is in them.
#![no_main]

libfuzzer_sys::fuzz_target!(init: hashpact_fuzz::seeds::write("genmeta"), |data: &[u8]| hashpact_fuzz::genmeta(data));
