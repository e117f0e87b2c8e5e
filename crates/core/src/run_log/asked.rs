//! What a step asks, whose hash is made only when somebody needs it.
//!
//! A log that dies with the process keeps what is asked instead of its hash; a request that is the one before it and some
//! messages more is kept, and hashed, as those messages.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::error::Result;
use crate::id::content_hash;
use crate::message::Message;
use crate::request::ChatRequest;

/// What a step asks.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// A request by itself.
    Request(&'a ChatRequest),
    /// A request of a conversation that goes on.
    Chain(&'a RequestChain, &'a ChatRequest),
    /// A call of a tool, by its name and arguments.
    Call(&'a str, &'a Value),
}

/// What a log keeps to make the hash of.
#[derive(Debug)]
pub enum Kept {
    /// A request by itself.
    Request(Box<ChatRequest>),
    /// A request of a conversation that goes on.
    Chain(RequestChain),
    /// A call of a tool.
    Call(String, Value),
}

impl<'a> Asked<'a> {
    /// Makes the hash.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub fn hash(&self) -> Result<String> {
        match self {
            Asked::Request(request) => content_hash(request),
            Asked::Chain(chain, _) => chain.hash(),
            Asked::Call(name, arguments) => call_hash(name, arguments),
        }
    }

    /// Gives what a model is asked.
    #[must_use]
    pub fn request(&self) -> Option<&'a ChatRequest> {
        match self {
            Asked::Request(request) | Asked::Chain(_, request) => Some(request),
            Asked::Call(..) => None,
        }
    }

    /// Copies what the hash is made of.
    #[must_use]
    pub fn keep(&self) -> Kept {
        match *self {
            Asked::Request(request) => Kept::Request(Box::new(request.clone())),
            Asked::Chain(chain, _) => Kept::Chain(chain.clone()),
            Asked::Call(name, arguments) => Kept::Call(name.to_owned(), arguments.clone()),
        }
    }
}

impl Kept {
    /// Makes the hash.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub fn hash(&self) -> Result<String> {
        match self {
            Kept::Request(request) => content_hash(request),
            Kept::Chain(chain) => chain.hash(),
            Kept::Call(name, arguments) => call_hash(name, arguments),
        }
    }
}

fn call_hash(name: &str, arguments: &Value) -> Result<String> {
    content_hash(&(name, arguments))
}

/// The requests of a conversation, each of which is the one before it and some messages more.
///
/// Only those are hashed together with the hash before, as hashing every request whole would make the work of a
/// conversation grow with the square of its length.
#[derive(Debug, Clone)]
pub struct RequestChain(Arc<Link>);

#[derive(Debug)]
struct Link {
    before: Option<RequestChain>,
    added: Added,
    /// Messages up to here.
    messages: usize,
    hash: OnceLock<String>,
}

#[derive(Debug)]
enum Added {
    Whole(Box<ChatRequest>),
    Messages(Vec<Message>),
}

impl RequestChain {
    /// Begins with a request.
    #[must_use]
    pub fn begin(request: &ChatRequest) -> Self {
        let messages = request.messages.len();
        let added = Added::Whole(Box::new(request.clone()));
        Self(Arc::new(Link { before: None, added, messages, hash: OnceLock::new() }))
    }

    /// Goes on with the request that has some messages more; begins anew with one that has fewer.
    #[must_use]
    pub fn next(&self, request: &ChatRequest) -> Self {
        let Some(added) = request.messages.get(self.0.messages..) else { return Self::begin(request) };
        let (before, messages) = (Some(self.clone()), request.messages.len());
        let added = Added::Messages(added.to_vec());
        Self(Arc::new(Link { before, added, messages, hash: OnceLock::new() }))
    }

    /// Makes the hash of the newest request.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub fn hash(&self) -> Result<String> {
        let mut open = Vec::new();
        let mut link = Some(self);
        while let Some(chain) = link.filter(|chain| chain.0.hash.get().is_none()) {
            open.push(chain);
            link = chain.0.before.as_ref();
        }
        for chain in open.into_iter().rev() {
            let before = chain.0.before.as_ref().and_then(|before| before.0.hash.get());
            let hash = match (&chain.0.added, before) {
                (Added::Whole(request), _) => content_hash(request)?,
                (Added::Messages(added), before) => content_hash(&(before, added))?,
            };
            let _ = chain.0.hash.set(hash);
        }
        Ok(self.0.hash.get().cloned().unwrap_or_default())
    }
}

impl Drop for Link {
    /// Takes a long chain apart link by link, as doing so within each other would need as deep a stack.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(RequestChain(link)) = next {
            match Arc::into_inner(link) {
                Some(mut link) => next = link.before.take(),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(texts: &[&str]) -> ChatRequest {
        let messages = texts.iter().map(|text| Message::user(*text)).collect();
        ChatRequest::new("openai:m".parse().unwrap(), messages)
    }

    #[test]
    fn the_hash_of_a_chain_is_the_same_early_late_and_by_hand() {
        let (one, two, three) = (request(&["a"]), request(&["a", "b"]), request(&["a", "b", "c", "d"]));
        let first = RequestChain::begin(&one);
        let early = first.hash().unwrap();
        let late = first.next(&two).next(&three).hash().unwrap();
        let again = RequestChain::begin(&one).next(&two).next(&three);
        assert_eq!((again.hash().unwrap(), again.hash().unwrap()), (late.clone(), late.clone()));
        assert_eq!(early, content_hash(&one).unwrap());
        let second = content_hash(&(&early, &two.messages[1..])).unwrap();
        assert_eq!(late, content_hash(&(&second, &three.messages[2..])).unwrap());
        let shorter = again.next(&one);
        assert_eq!(shorter.hash().unwrap(), early);
    }

    #[test]
    fn a_long_chain_is_hashed_and_dropped_without_a_deep_stack() {
        let mut asked = request(&["a"]);
        let mut chain = RequestChain::begin(&asked);
        for _ in 0..100_000 {
            asked.messages.truncate(1);
            chain = RequestChain(Arc::new(Link {
                before: Some(chain),
                added: Added::Messages(Vec::new()),
                messages: 1,
                hash: OnceLock::new(),
            }));
        }
        assert_eq!(chain.hash().unwrap().len(), 64);
    }
}
