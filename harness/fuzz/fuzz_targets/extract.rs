//! libFuzzer's door to [`assay_fuzz::archive::extract`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::archive::extract(bytes));
