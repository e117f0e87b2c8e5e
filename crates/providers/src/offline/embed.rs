//! Vectors without a network: texts that share words, parts of words, or neighbouring words lie close together.
//!
//! Each feature of a text is hashed to one place of the vector and a sign, as in feature hashing (Weinberger et al.,
//! 2009); meaning beyond shared words is not seen. Deterministic: no clock, no chance, the same on every machine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use motet_core::embedding::Embedder;
use motet_core::{Cost, EmbedRequest, EmbedResponse, Error, ErrorKind, Result, RunContext, Usage};

use super::reply::tokens_of;
use super::{LARGE, OfflineExtract, PROVIDER, words};

/// Length of the vectors where the request does not say.
const DIMENSIONS: u32 = 256;
/// Greatest length of the vectors.
const MOST_DIMENSIONS: u32 = 16_384;

const NOTE: &str =
    "offline:extract is not a language model; its vectors are hashed words and parts of words of the text";

/// Weight of a word that carries meaning.
const WORD: f64 = 1.0;
/// Weight of a word that is too common to carry any.
const COMMON: f64 = 0.05;
/// Weight of two words that follow each other.
const PAIR: f64 = 0.5;
/// Weight of three letters of a word, which bring together what the stems miss.
const LETTERS: f64 = 0.25;

#[async_trait]
impl Embedder for OfflineExtract {
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        context.check()?;
        let characters: u64 = request.inputs.iter().map(|text| text.chars().count() as u64).sum();
        let named = |error: Error| {
            error.with_provider(PROVIDER).with_model(request.model.clone()).with_operation("embed")
        };
        let dimensions = check(request).map_err(named)?;
        let vectors = if characters < LARGE {
            vectors(&request.inputs, dimensions)
        } else {
            let inputs = request.inputs.clone();
            let work = tokio::task::spawn_blocking(move || vectors(&inputs, dimensions));
            work.await.map_err(|error| {
                Error::new(ErrorKind::Internal, "reading the texts was interrupted").with_source(error)
            })?
        };
        let mut response = EmbedResponse::new(request.model.clone(), vectors);
        response.usage = Some(Usage::new(tokens_of(characters), 0));
        response.cost = Some(Cost::ZERO);
        response.metadata.insert("model_kind".into(), "hashed n-grams".into());
        response.metadata.insert("note".into(), NOTE.into());
        Ok(response)
    }
}

fn check(request: &EmbedRequest) -> Result<usize> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidRequest, message);
    if request.inputs.is_empty() {
        return Err(invalid("there is no text to embed".into()).with_hint("give at least one text"));
    }
    match request.dimensions.unwrap_or(DIMENSIONS) {
        dimensions @ 1..=MOST_DIMENSIONS => Ok(dimensions as usize),
        dimensions => Err(invalid(format!("vectors of {dimensions} numbers cannot be made"))
            .with_hint(format!("ask for 1 to {MOST_DIMENSIONS} dimensions"))),
    }
}

fn vectors(texts: &[String], dimensions: usize) -> Vec<Vec<f32>> {
    texts.iter().map(|text| vector(text, dimensions)).collect()
}

/// Makes the vector of a text; its length, as a geometer has it, is 1.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dimensions];
    for (hash, (count, weight)) in features(text) {
        let place = usize::try_from(hash % dimensions as u64).unwrap_or_default();
        // A word that occurs nine times says more than one that occurs once, but not nine times as much. The root is
        // rounded alike on every machine, which a logarithm is not.
        let value = weight * f64::from(count).sqrt();
        if let Some(sum) = sums.get_mut(place) {
            *sum += if hash >> 63 == 0 { value } else { -value };
        }
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    if length <= f64::EPSILON {
        // Nothing was found, or what was found cancels out; the whole text is one feature then.
        let place = usize::try_from(hash("text", text) % dimensions as u64).unwrap_or_default();
        return (0..dimensions).map(|at| if at == place { 1.0 } else { 0.0 }).collect();
    }
    #[expect(clippy::cast_possible_truncation, reason = "vectors are told in single precision")]
    sums.into_iter().map(|sum| (sum / length) as f32).collect()
}

/// Gives the features of a text by their hashes: how often each occurs and what it weighs. Their order is fixed, as
/// sums of fractions depend on it.
fn features(text: &str) -> BTreeMap<u64, (u32, f64)> {
    let mut features: BTreeMap<u64, (u32, f64)> = BTreeMap::new();
    let mut add = |kind: &str, feature: &str, weight: f64| {
        let known = features.entry(hash(kind, feature)).or_insert((0, weight));
        known.0 = known.0.saturating_add(1);
    };
    let mut before: Option<String> = None;
    for word in words::words(text) {
        let Some(stem) = words::meaningful_stem(word) else {
            add("common", &word.to_lowercase(), COMMON);
            continue;
        };
        add("word", &stem, WORD);
        if let Some(before) = before {
            add("pair", &format!("{before} {stem}"), PAIR);
        }
        let marked: Vec<char> = format!("<{stem}>").chars().collect();
        for letters in marked.windows(3).filter(|_| marked.len() > 4) {
            add("letters", &letters.iter().collect::<String>(), LETTERS);
        }
        before = Some(stem);
    }
    features
}

/// Hashes by FNV-1a and mixes the bits by the finaliser of SplitMix64, so that every bit depends on every letter.
fn hash(kind: &str, feature: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in kind.bytes().chain([0]).chain(feature.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &str, other: &str) -> f32 {
        let (one, other) = (vector(one, 256), vector(other, 256));
        one.iter().zip(&other).map(|(a, b)| a * b).sum()
    }

    async fn embed(texts: &[&str], dimensions: Option<u32>) -> Result<EmbedResponse> {
        let id: motet_core::ModelId = "offline:extract".parse().unwrap();
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        let request = EmbedRequest { dimensions, ..EmbedRequest::new(id.clone(), texts) };
        OfflineExtract::new(&id)?.embed(&RunContext::new(), &request).await
    }

    #[test]
    fn related_texts_lie_closer_than_others() {
        for (text, related, other) in [
            ("How do I reset my password?", "Resetting a forgotten password", "The ferry leaves at noon"),
            ("invoice overdue since March", "overdue invoices", "holiday photos from March"),
            ("Der Vertrag läuft im Mai aus", "Verträge, die im Mai auslaufen", "Die Katze schläft"),
            ("新しい予約システム", "予約システムの説明", "天気がいい"),
            ("database connection timeout", "timeouts when connecting to databases", "chocolate cake recipe"),
        ] {
            let (near, far) = (cosine(text, related), cosine(text, other));
            assert!(near > far + 0.2, "`{text}`: {near} for `{related}`, {far} for `{other}`");
        }
        assert!((cosine("The ship sails", "the SHIPS sail") - 1.0).abs() < 0.01);
        assert!(cosine("dog bites man", "man bites dog") < 0.999, "the order of words counts a little");
    }

    #[tokio::test]
    async fn vectors_have_the_wished_length_and_are_always_the_same() {
        let response = embed(&["Ada has the key.", "", "…", "the and of"], None).await.unwrap();
        assert_eq!(response.embeddings.len(), 4);
        for vector in &response.embeddings {
            let length: f32 = vector.iter().map(|number| number * number).sum();
            assert!(vector.len() == 256 && (length - 1.0).abs() < 1e-5, "{length}");
        }
        assert_eq!((response.usage, response.cost), (Some(Usage::new(7, 0)), Some(Cost::ZERO)));
        assert!(response.metadata["note"].as_str().unwrap().contains("not a language model"));
        let short = embed(&["Ada has the key."], Some(8)).await.unwrap();
        let shown: Vec<String> = short.embeddings[0].iter().map(|number| format!("{number:.3}")).collect();
        assert_eq!(shown.join(" "), "0.000 0.802 0.192 0.000 0.160 0.160 -0.192 0.481");
        let large = "word ".repeat(30_000);
        assert_eq!(embed(&[&large], None).await.unwrap().embeddings[0], vector(&large, 256));
        for (texts, dimensions) in [(&[][..], None), (&["a"][..], Some(0)), (&["a"][..], Some(20_000))] {
            let error = embed(texts, dimensions).await.unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidRequest, Some("embed")));
            assert!(error.hint().is_some());
        }
    }
}
