//! libFuzzer's door to [`assay_fuzz::network::answers`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::network::answers(bytes));
