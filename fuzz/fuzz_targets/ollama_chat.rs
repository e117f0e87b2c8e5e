//! Answers of `ollama-chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::read_all("ollama-chat", data));
