//! Answers of `gemini-interactions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::read_all("gemini-interactions", data));
