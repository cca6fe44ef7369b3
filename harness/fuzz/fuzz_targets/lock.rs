//! libFuzzer's door to [`assay_fuzz::recipe::lock`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::recipe::lock(bytes));
