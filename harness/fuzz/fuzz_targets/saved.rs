//! libFuzzer's door to [`assay_fuzz::machine::saved`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::machine::saved(bytes));
