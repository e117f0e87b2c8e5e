//! The seam of wire formats: pure encoding, decoding, and classifying.
//!
//! Does no I/O and knows no provider by name: what differs between the speakers of one format is data in a [`Profile`].

pub(crate) mod billing;
pub(crate) mod call_ids;
mod classify;
pub mod content;
pub(crate) mod documents;
pub(crate) mod fields;
pub(crate) mod history;
pub(crate) mod json;
pub mod limits;
pub mod lowering;
pub mod operations;
pub(crate) mod options;
pub(crate) mod parts;
mod profile;
pub(crate) mod refusal;
pub mod schema;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use motet_core::{ChatRequest, Delivery, Error, ModelId, Result, StreamEvent};

pub use classify::{Complaint, error_from};
pub(crate) use classify::{request_id, shortened};
pub use profile::{
    CallIdRule, DocumentForm, EffortForm, JsonOutput, MaxTokensField, NameRule, Profile, ReasoningEcho,
    SamplingRule, SystemRole, Thinking,
};

use crate::framing::{Frame, FramingKind};
use crate::provider::ProviderRow;

/// A wire format, as a row: how requests are written and answers are read.
pub trait Dialect: Send + Sync {
    /// Gives the name that provider rows refer to, such as `openai-chat`.
    fn name(&self) -> &'static str;

    /// Gives one line about the format.
    fn doc(&self) -> &'static str;

    /// Tells how a streamed answer is cut into frames.
    fn framing(&self) -> FramingKind;

    /// Tells how the key is sent.
    fn key_header(&self) -> KeyHeader;

    /// Writes a request.
    ///
    /// # Errors
    /// `Unsupported` when the profile lacks what the request needs, `InvalidRequest` when it contradicts itself.
    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest>;

    /// Reads a plain answer of status 2xx.
    ///
    /// # Errors
    /// `InvalidOutput` when it is no answer of this format, or the error that the body tells of.
    fn decode(&self, body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>>;

    /// Makes the reader of one streamed answer.
    fn decoder(&self, origin: &Arc<Origin>) -> Box<dyn Decoder>;

    /// Tells what a refused request means.
    fn classify(&self, answer: &Answer<'_>, origin: &Origin) -> Error {
        refusal::of_answer(answer, origin)
    }
}

/// Reads the frames of one streamed answer.
pub trait Decoder: Send {
    /// Takes one frame and appends what it says.
    ///
    /// # Errors
    /// `InvalidOutput` when the frame cannot be read, or the error that it tells of; the answer is over then.
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()>;

    /// Tells whether the genuine end was seen and nothing that follows matters.
    fn ended(&self) -> bool;

    /// Takes the end of the bytes and appends what was held back.
    ///
    /// # Errors
    /// `Truncated` when no genuine end was seen.
    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()>;
}

/// How a key is sent: `<name>: <prefix><key>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHeader {
    /// Name of the header in lower case.
    pub name: &'static str,
    /// What stands before the key, such as `Bearer `.
    pub prefix: &'static str,
}

/// Verb of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads something.
    Get,
    /// Sends a body.
    Post,
}

impl Method {
    /// Gives the word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A request as it goes over the wire, without address and key.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// Verb.
    pub method: Method,
    /// Path that is joined to the base URL, beginning with `/`; a query may follow.
    pub path: Cow<'static, str>,
    /// Headers of this format beside content type and key; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: Bytes,
    /// What was asked for and left out or changed, for the user to know.
    pub warnings: Vec<String>,
}

/// Stands for the model where none is asked.
const NO_MODEL: &str = "*";

/// Who answers: the model asked, its provider, and what is known about both.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The model that was asked.
    pub model: ModelId,
    /// The provider's row.
    pub row: &'static ProviderRow,
    /// What the provider and model can do.
    pub profile: Profile,
}

impl Origin {
    /// Looks up what is known about a model of a provider.
    #[must_use]
    pub fn new(row: &'static ProviderRow, model: ModelId) -> Self {
        Self { profile: row.profile_of(model.model()), row, model }
    }

    /// Stands for a provider where no model is asked, such as for its list of models.
    ///
    /// # Errors
    /// `Configuration` when the row's name is none that a model id can have.
    pub fn of_provider(row: &'static ProviderRow) -> Result<Self> {
        Ok(Self::new(row, ModelId::new(row.name, NO_MODEL)?))
    }

    /// Gives the model that was asked; `None` where none was.
    #[must_use]
    pub fn asked(&self) -> Option<&ModelId> {
        Some(&self.model).filter(|model| model.model() != NO_MODEL)
    }
}

/// An answer that came whole.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: &'a [(String, String)],
    /// Body; of a refusal possibly empty and not necessarily JSON.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Gives a header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
