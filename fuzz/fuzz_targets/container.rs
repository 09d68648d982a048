//! The target `container`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ndferry_fuzz::container(bytes);
});
