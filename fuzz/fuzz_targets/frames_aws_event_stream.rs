//! Frames of AwsEventStream.
#![no_main]

use motet_providers::framing::FramingKind;

libfuzzer_sys::fuzz_target!(|data: &[u8]| motet_fuzz::frame_all(FramingKind::AwsEventStream, data));
