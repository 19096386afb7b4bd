//! Model files of any format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashpact_fuzz::models(data));
