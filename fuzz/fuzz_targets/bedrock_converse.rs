//! Answers of `bedrock-converse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::read_all("bedrock-converse", data));
