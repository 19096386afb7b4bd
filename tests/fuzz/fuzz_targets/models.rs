//! Model files of any format.
#![no_main]

libfuzzer_sys::fuzz_target!(init: hashpact_fuzz::seeds::write("models"), |data: &[u8]| hashpact_fuzz::models(data));
