//! libFuzzer's door to [`assay_fuzz::wire::messages`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::wire::messages(bytes));
