//! The seams of wire formats beside chat: embeddings, lists of models, token counts, reranking.
//!
//! Does no I/O. A refusal of any of them is read as one of the chat format is.

use motet_core::model_list::ModelPage;
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{ChatRequest, EmbedRequest, EmbedResponse, Result};

use super::{Answer, HttpRequest, Origin, Profile};

/// A wire format of embeddings, as a row.
pub trait Embedding: Send + Sync {
    /// Gives the name that provider rows refer to, such as `openai-embeddings`.
    fn name(&self) -> &'static str;

    /// Gives one line about the format.
    fn doc(&self) -> &'static str;

    /// Gives how many texts one request of a model may hold; the driver sends more in several requests.
    fn batch(&self, model: &str) -> usize;

    /// Writes a request of at most that many texts.
    ///
    /// # Errors
    /// `InvalidRequest` when the request contradicts itself, `Unsupported` when the model cannot do it.
    fn encode(&self, request: &EmbedRequest, profile: &Profile) -> Result<HttpRequest>;

    /// Reads an answer of status 2xx; vectors are in the order of the inputs, whatever order the wire has.
    ///
    /// # Errors
    /// `InvalidOutput` when it is no answer of this format, or the error that the body tells of.
    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse>;
}

/// A wire format of lists of models, as a row.
pub trait Listing: Send + Sync {
    /// Gives the name that provider rows refer to, such as `openai-models`.
    fn name(&self) -> &'static str;

    /// Gives one line about the format.
    fn doc(&self) -> &'static str;

    /// Asks for the first page, or for the one that the page before named.
    fn encode(&self, page: Option<&str>) -> HttpRequest;

    /// Reads an answer of status 2xx.
    ///
    /// # Errors
    /// `InvalidOutput` when it is no answer of this format, or the error that the body tells of.
    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<ModelPage>;
}

/// A wire format by which a provider counts the tokens of a request, as a row.
pub trait Counting: Send + Sync {
    /// Gives the name that provider rows refer to, such as `anthropic-count-tokens`.
    fn name(&self) -> &'static str;

    /// Gives one line about the format.
    fn doc(&self) -> &'static str;

    /// Writes the request whose tokens are counted.
    ///
    /// # Errors
    /// As when the request itself is written.
    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest>;

    /// Reads the number of input tokens out of an answer of status 2xx.
    ///
    /// # Errors
    /// `InvalidOutput` when it is no answer of this format, or the error that the body tells of.
    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<u64>;
}

/// A wire format of reranking, as a row.
pub trait Reranking: Send + Sync {
    /// Gives the name that provider rows refer to, such as `cohere-rerank`.
    fn name(&self) -> &'static str;

    /// Gives one line about the format.
    fn doc(&self) -> &'static str;

    /// Writes a request.
    ///
    /// # Errors
    /// `InvalidRequest` when there are no documents.
    fn encode(&self, request: &RerankRequest, profile: &Profile) -> Result<HttpRequest>;

    /// Reads an answer of status 2xx.
    ///
    /// # Errors
    /// `InvalidOutput` when it is no answer of this format, or the error that the body tells of.
    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<RerankResponse>;
}
