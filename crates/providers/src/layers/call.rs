//! What goes down through the layers, and the chain it goes through.
//!
//! Knows no layer by name.

use std::sync::Arc;

use futures::future::BoxFuture;
use motet_core::attempts::Attempts;
use motet_core::embedding::Embedder;
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{
    ChatRequest, Delivery, EmbedRequest, EmbedResponse, Error, ErrorKind, EventStream, Model, ModelId,
    Result, RunContext,
};

use super::ending::{Ending, Endings};
use super::{Layer, Lent};
use crate::driver::Operations;

/// What is asked of a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ask<'a> {
    /// An answer to messages.
    Chat {
        /// The messages and all else.
        request: Lent<'a, ChatRequest>,
        /// How the answer travels.
        delivery: Delivery,
    },
    /// Vectors of texts.
    Embed(Lent<'a, EmbedRequest>),
    /// Documents in the order of their fitness.
    Rerank(Lent<'a, RerankRequest>),
}

impl Ask<'_> {
    /// Gives the model that is asked.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        match self {
            Ask::Chat { request, .. } => &request.model,
            Ask::Embed(request) => &request.model,
            Ask::Rerank(request) => &request.model,
        }
    }

    /// Asks another model the same.
    #[must_use]
    pub fn for_model(&self, model: &ModelId) -> Ask<'static> {
        let mut ask = self.again().into_owned();
        match &mut ask {
            Ask::Chat { request, .. } => request.to_mut().model = model.clone(),
            Ask::Embed(request) => request.to_mut().model = model.clone(),
            Ask::Rerank(request) => request.to_mut().model = model.clone(),
        }
        ask
    }

    /// Borrows what is asked, to ask it once more.
    #[must_use]
    pub fn again(&self) -> Ask<'_> {
        match self {
            Ask::Chat { request, delivery } => {
                Ask::Chat { request: Lent::Borrowed(request), delivery: *delivery }
            }
            Ask::Embed(request) => Ask::Embed(Lent::Borrowed(request)),
            Ask::Rerank(request) => Ask::Rerank(Lent::Borrowed(request)),
        }
    }

    /// Keeps what is asked for longer than its lender.
    #[must_use]
    pub fn into_owned(self) -> Ask<'static> {
        match self {
            Ask::Chat { request, delivery } => Ask::Chat { request: request.into_owned(), delivery },
            Ask::Embed(request) => Ask::Embed(request.into_owned()),
            Ask::Rerank(request) => Ask::Rerank(request.into_owned()),
        }
    }
}

/// What comes back.
#[non_exhaustive]
pub enum Answer {
    /// The events of a chat, a plain one's all at once.
    Events(EventStream),
    /// Vectors.
    Vectors(EmbedResponse),
    /// A ranking.
    Ranking(RerankResponse),
}

/// One call on its way down.
pub struct Call<'a> {
    /// The run, its end, and its listeners.
    pub context: RunContext,
    /// What is asked.
    pub ask: Ask<'a>,
    /// What its resends come out of.
    pub attempts: Arc<Attempts>,
    /// Those who want to know how it ends.
    pub endings: Endings,
    /// True when a layer further out has counted the first send already, and said by which right it is made.
    pub counted: bool,
}

impl<'a> Call<'a> {
    /// Begins a call.
    #[must_use]
    pub fn new(context: RunContext, ask: Ask<'a>, attempts: Arc<Attempts>) -> Self {
        Self { context, ask, attempts, endings: Endings::default(), counted: false }
    }

    /// Has an observer told once how the call ended, however it did: also when the answer is dropped.
    pub fn on_end(&self, observer: impl FnOnce(&Ending<'_>) + Send + 'static) {
        self.endings.add(observer);
    }
}

/// What stands at the bottom: the provider's driver, or a model that needs none.
#[derive(Clone)]
#[non_exhaustive]
pub enum Bottom {
    /// Answers messages.
    Model(Arc<dyn Model>),
    /// Makes vectors.
    Embedder(Arc<dyn Embedder>),
    /// Ranks documents.
    Reranker(Arc<Operations>),
    /// Nothing: a layer above answers or routes every call.
    None,
}

impl Bottom {
    async fn call(&self, call: &Call<'_>) -> Result<Answer> {
        match (self, &call.ask) {
            (Bottom::Model(model), Ask::Chat { request, delivery }) => {
                model.open(&call.context, request, *delivery).await.map(Answer::Events)
            }
            (Bottom::Embedder(embedder), Ask::Embed(request)) => {
                embedder.embed(&call.context, request).await.map(Answer::Vectors)
            }
            (Bottom::Reranker(operations), Ask::Rerank(request)) => {
                // In a box, as no other call is to make room for it.
                Box::pin(operations.rerank(&call.context, request)).await.map(Answer::Ranking)
            }
            _ => Err(Error::new(ErrorKind::Internal, "a call reached a model that cannot answer it")),
        }
    }
}

/// Layers over a bottom.
#[derive(Clone)]
pub struct Chain(Arc<Links>);

struct Links {
    layers: Vec<Arc<dyn Layer>>,
    bottom: Bottom,
}

impl Chain {
    /// Puts layers, outermost first, over a bottom.
    #[must_use]
    pub fn new(layers: Vec<Arc<dyn Layer>>, bottom: Bottom) -> Self {
        Self(Arc::new(Links { layers, bottom }))
    }

    /// Gives the names of the layers, outermost first.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.layers.iter().map(|layer| layer.name()).collect()
    }

    /// Gives the way in.
    #[must_use]
    pub fn start(&self) -> Next {
        Next { chain: self.clone(), at: 0 }
    }
}

/// The rest of a chain; cheap to clone, so that a layer can send a call again.
#[derive(Clone)]
pub struct Next {
    chain: Chain,
    at: usize,
}

impl Next {
    /// Sends a call on.
    ///
    /// # Errors
    /// Whatever keeps the answer from starting.
    #[must_use = "nothing is sent unless it is awaited"]
    pub fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Answer>> {
        // Not async: each layer would hold the whole of what it awaits, which is copied with it.
        let mut layers = self.chain.0.layers.iter().enumerate().skip(self.at);
        match layers.find(|(_, layer)| !layer.lets_pass(&call)) {
            Some((at, layer)) => layer.call(call, Next { chain: self.chain.clone(), at: at + 1 }),
            None => Box::pin(async move { self.chain.0.bottom.call(&call).await }),
        }
    }
}
