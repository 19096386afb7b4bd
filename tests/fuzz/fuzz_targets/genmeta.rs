//! Containers of pictures and the settings in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashpact_fuzz::genmeta(data));
