//! libFuzzer's door to [`assay_fuzz::journal::journal`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::journal::journal(bytes));
