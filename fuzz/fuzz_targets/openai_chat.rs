//! Answers of `openai-chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::read_all("openai-chat", data));
