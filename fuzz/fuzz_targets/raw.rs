//! The target `raw`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ndferry_fuzz::raw(bytes);
});
