//! libFuzzer's door to [`assay_fuzz::machine::state`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::machine::state(bytes));
