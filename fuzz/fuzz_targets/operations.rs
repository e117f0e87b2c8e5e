//! Answers to embeddings, lists of models, token counts, and reranking.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::read_operations(data));
