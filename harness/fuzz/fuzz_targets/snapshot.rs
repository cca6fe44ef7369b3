//! libFuzzer's door to [`assay_fuzz::show::snapshot`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::show::snapshot(bytes));
