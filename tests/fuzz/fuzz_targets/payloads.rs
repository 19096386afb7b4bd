//! Payloads of records, of every kind.
#![no_main]

libfuzzer_sys::fuzz_target!(init: hashpact_fuzz::seeds::write("payloads"), |data: &[u8]| hashpact_fuzz::payloads(data));
