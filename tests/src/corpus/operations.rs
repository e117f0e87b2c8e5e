//! Whether answers to embeddings, lists of models, token counts, and reranking are read as they say.

use anyhow::Result;
use motet_core::model_list::ModelPage;
use motet_core::rerank::RerankResponse;
use motet_core::{EmbedResponse, Error};
use motet_providers::dialect::{Answer, Origin};
use motet_providers::{counters, dialects, embeddings, listings, rerankers};
use serde_json::Value;

use super::Line;
use super::compare::{compare_error, differ};

/// Gives every difference between what Motet reads and what the line expects, in words.
///
/// # Errors
/// When there is no format for the line.
pub fn operation_differences(line: &Line) -> Result<Vec<String>> {
    let origin = line.origin()?;
    let (headers, body) = (line.headers(), line.bytes());
    let answer = Answer { status: line.response.status, headers: &headers, body: &body };
    let mut found = Vec::new();
    if answer.status >= 400 {
        let error = dialects::find(origin.row.dialect)?.classify(&answer, &origin);
        compare_error(&mut found, &error, &line.expect["error"]);
        return Ok(found);
    }
    match line.op.as_str() {
        "embed" => {
            let read = embeddings::find(&line.wire)?.decode(&answer, &origin);
            if let Some(read) = succeeded(&mut found, read) {
                embeddings_differ(&mut found, &read, &line.expect);
            }
        }
        "models" => {
            let listing = listings::find(origin.row.listing.unwrap_or("openai-models"))?;
            if let Some(page) = succeeded(&mut found, listing.decode(&answer, &origin)) {
                models_differ(&mut found, &page, &line.expect["models"]);
            }
        }
        "count-tokens" => {
            let counter = counters::find(counter_of(line, &origin))?;
            if let Some(count) = succeeded(&mut found, counter.decode(&answer, &origin)) {
                differ(&mut found, "tokens", &Some(count), line.expect["count_tokens"]["input"].as_u64());
            }
        }
        "rerank" => {
            let reranker = rerankers::find(origin.row.reranker.unwrap_or("cohere-rerank"))?;
            if let Some(read) = succeeded(&mut found, reranker.decode(&answer, &origin)) {
                ranks_differ(&mut found, &read, &line.expect["rerank"]["results"]);
            }
        }
        other => found.push(format!("there is no operation `{other}`")),
    }
    Ok(found)
}

fn succeeded<T>(found: &mut Vec<String>, read: Result<T, Error>) -> Option<T> {
    read.map_err(|error| found.push(format!("it failed: {error}"))).ok()
}

/// Gives the name of the format by which a recorded provider counts.
fn counter_of<'a>(line: &Line, origin: &Origin) -> &'a str {
    origin.row.counter.unwrap_or(if line.request.path.contains("/responses/") {
        "openai-input-tokens"
    } else if line.request.path.contains("/messages/") {
        "anthropic-count-tokens"
    } else if line.request.path.contains(":countTokens") {
        "gemini-count-tokens"
    } else {
        "bedrock-count-tokens"
    })
}

fn embeddings_differ(found: &mut Vec<String>, read: &EmbedResponse, expect: &Value) {
    let vectors = &expect["embeddings"];
    differ(
        found,
        "number of vectors",
        &(read.embeddings.len() as u64),
        vectors["count"].as_u64().unwrap_or(0),
    );
    for vector in &read.embeddings {
        differ(found, "dimensions", &(vector.len() as u64), vectors["dims"].as_u64().unwrap_or(0));
    }
    for (vector, first) in read.embeddings.iter().zip(vectors["first"].as_array().into_iter().flatten()) {
        for (got, expected) in vector.iter().zip(first.as_array().into_iter().flatten()) {
            let expected = expected.as_f64().unwrap_or(f64::NAN);
            if (f64::from(*got) - expected).abs() > 1e-6 * expected.abs().max(1e-3) {
                found.push(format!("a vector begins with {got} and should with {expected}"));
            }
        }
    }
    if let Some(model) = expect["model"].as_str() {
        differ(found, "model", &read.served_model.as_deref().unwrap_or_default(), model);
    }
    let input = read.usage.map(|usage| usage.input);
    // Some servers tell only the total, which is the input, as nothing is written.
    let told = ["input", "total"].iter().find_map(|name| expect["usage"][name].as_u64());
    differ(found, "usage input", &input, told);
}

fn models_differ(found: &mut Vec<String>, page: &ModelPage, expect: &Value) {
    differ(found, "number of models", &(page.models.len() as u64), expect["count"].as_u64().unwrap_or(0));
    for (model, expected) in page.models.iter().zip(expect["first"].as_array().into_iter().flatten()) {
        let expected = expected.as_str().unwrap_or_default();
        // Gemini prefixes names with the collection's, which are asked for without.
        differ(found, "model", &model.id.as_str(), expected.strip_prefix("models/").unwrap_or(expected));
    }
    differ(found, "a further page", &page.next.is_some(), expect["has_more"] == true);
}

fn ranks_differ(found: &mut Vec<String>, read: &RerankResponse, expect: &Value) {
    let pairs: Vec<(u64, f64)> = read.results.iter().map(|one| (one.index as u64, one.score)).collect();
    let expected: Vec<(u64, f64)> = expect
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_f64()?)))
        .collect();
    differ(found, "ranking", &pairs, expected);
}
