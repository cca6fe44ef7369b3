//! libFuzzer's door to [`assay_fuzz::version::ranges`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::version::ranges(bytes));
