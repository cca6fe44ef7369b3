//! libFuzzer's door to [`assay_fuzz::wire::frames`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::wire::frames(bytes));
