//! The texts in which tools state their settings.
#![no_main]

libfuzzer_sys::fuzz_target!(init: hashpact_fuzz::seeds::write("settings"), |data: &[u8]| hashpact_fuzz::settings(data));
