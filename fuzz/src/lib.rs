//! What the fuzz targets share: bytes are read in pieces and whole, and both must agree.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ModelId, StreamEvent};
use motet_providers::dialect::{Answer, Origin};
use motet_providers::driver::StreamReader;
use motet_providers::framing::FramingKind;
use motet_providers::provider::ProviderRow;
use motet_providers::{counters, dialects, embeddings, listings, rerankers, rows};

fn origin(dialect: &str) -> Arc<Origin> {
    let row = rows::ALL.iter().find(|row| row.dialect == dialect).copied();
    let row = row.unwrap_or_else(|| {
        let dialect = dialects::find(dialect).expect("a dialect").name();
        Box::leak(Box::new(ProviderRow { dialect, ..*rows::find("custom").expect("a row") }))
    });
    Arc::new(Origin::new(row, ModelId::new(row.name, "m").expect("an id")))
}

/// Folds events, and gives what can be seen of the outcome.
fn outcome(events: Vec<StreamEvent>, error: Option<String>) -> String {
    let mut accumulator = Accumulator::new(ModelId::new("fuzz", "m").expect("an id"));
    for event in events {
        accumulator.push(event).expect("events that fit each other");
    }
    format!("{:?} {:?} {error:?}", accumulator.partial(), accumulator.usage())
}

/// Reads bytes as a stream, split where the first byte says, and whole; then as a whole answer and as a refusal.
pub fn read_all(dialect: &str, data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let (format, origin) = (dialects::find(dialect).expect("a dialect"), origin(dialect));
    let stream = |pieces: &[&[u8]]| {
        let mut reader = StreamReader::new(format, &origin);
        let mut events = Vec::new();
        let mut result = Ok(());
        for piece in pieces {
            result = result.and_then(|()| reader.feed(piece, &mut events));
        }
        let result = result.and_then(|()| reader.finish(&mut events));
        outcome(events, result.err().map(|error| error.to_string()))
    };
    let at = usize::from(*cut) % (bytes.len() + 1);
    let (first, second) = bytes.split_at(at);
    assert_eq!(stream(&[bytes]), stream(&[first, second]));
    if let Ok(events) = format.decode(bytes, &origin) {
        outcome(events, None);
    }
    let answer = Answer { status: 200 + u16::from(*cut) * 2, headers: &[], body: bytes };
    let _ = format.classify(&answer, &origin).to_string();
}

/// Cuts bytes into frames, whole and split, and compares.
pub fn frame_all(framing: FramingKind, data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let frames = |pieces: &[&[u8]]| {
        let mut reader = framing.reader(1 << 16);
        let mut found = Vec::new();
        let mut sink = |frame: motet_providers::framing::Frame<'_>| {
            found.push((frame.event.map(str::to_owned), frame.data.to_vec()));
            Ok(())
        };
        let mut result = Ok(());
        for piece in pieces {
            result = result.and_then(|()| reader.feed(piece, &mut sink));
        }
        let result = result.and_then(|()| reader.finish(&mut sink));
        (found, result.map_err(|error| error.to_string()))
    };
    let at = usize::from(*cut) % (bytes.len() + 1);
    let (first, second) = bytes.split_at(at);
    assert_eq!(frames(&[bytes]), frames(&[first, second]));
}

/// Reads bytes as an answer of every operation beside chat.
pub fn read_operations(data: &[u8]) {
    let origin = origin("openai-chat");
    let answer = Answer { status: 200, headers: &[], body: data };
    for format in embeddings::ALL {
        let _ = format.decode(&answer, &origin);
    }
    for format in listings::ALL {
        let _ = format.decode(&answer, &origin);
    }
    for format in counters::ALL {
        let _ = format.decode(&answer, &origin);
    }
    for format in rerankers::ALL {
        let _ = format.decode(&answer, &origin);
    }
}
