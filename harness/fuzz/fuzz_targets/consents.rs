//! libFuzzer's door to [`assay_fuzz::recipe::consents`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::recipe::consents(bytes));
