//! libFuzzer's door to [`assay_fuzz::network::urls`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::network::urls(bytes));
