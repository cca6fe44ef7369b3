//! libFuzzer's door to [`assay_fuzz::show::sanitise`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assay_fuzz::show::sanitise(bytes));
