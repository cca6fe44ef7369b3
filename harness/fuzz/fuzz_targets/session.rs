//! libFuzzer's door to [`assay_fuzz::session::session`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::session::session(bytes));
