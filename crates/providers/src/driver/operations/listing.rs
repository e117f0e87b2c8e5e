//! A provider's list of models, and the cheapest call that tells whether the provider answers.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::model_list::{ModelInfo, ModelPage};
use motet_core::{Error, ErrorKind, Result, RunContext};

use super::{Asking, Operations, unsupported};
use crate::dialect::operations::Listing;
use crate::dialect::{HttpRequest, Method, Origin};
use crate::listings;

/// Most pages that are asked for; a list that is longer is an error.
const MOST_PAGES: usize = 200;

const LIST: &str = "list_models";
const CHECK: &str = "check";

impl Operations {
    /// Asks the provider for all its models, page after page; the time limits are for all pages together.
    ///
    /// # Errors
    /// `Unsupported` when the provider has no list, `InvalidOutput` when its pages do not end, and whatever kept the
    /// list from coming.
    pub async fn list_models(&self, context: &RunContext) -> Result<Vec<ModelInfo>> {
        let origin = Origin::of_provider(self.connection.row)?;
        let list = async {
            let named = self.connection.row.listing;
            let listing = named.ok_or_else(|| unsupported(&origin, "list its models", |row| row.listing))?;
            self.pages(context, listings::find(listing)?, &origin).await
        };
        list.await.map_err(|error| self.named(error, &origin, LIST))
    }

    /// Follows the pages of a list.
    pub(super) async fn pages(
        &self,
        context: &RunContext,
        listing: &dyn Listing,
        origin: &Origin,
    ) -> Result<Vec<ModelInfo>> {
        let asking = Asking::new(&self.connection, origin, LIST, context);
        let mut models = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let wire = listing.encode(page.as_deref());
            let read = asking.ask(&wire, |answer| listing.decode(answer, origin)).await?.read;
            let ModelPage { models: more, next } = read;
            models.extend(more);
            match next {
                None => return Ok(models),
                Some(next) if page.as_deref() == Some(&*next) => {
                    return Err(endless("a page of the list names itself as the next one"));
                }
                next => page = next,
            }
        }
        Err(endless(&format!("the list has more than {MOST_PAGES} pages")))
    }

    /// Asks the provider for as little as possible, to see whether it answers and takes the key: the first page of its
    /// models, or its base address where it has no list. Gives the number of models that it showed.
    ///
    /// # Errors
    /// Whatever kept the answer from coming. A base address that holds nothing is no error, as it mostly does not.
    pub async fn check(&self, context: &RunContext) -> Result<Option<usize>> {
        let origin = Origin::of_provider(self.connection.row)?;
        let asking = Asking::new(&self.connection, &origin, CHECK, context);
        let answer = async {
            if let Some(named) = self.connection.row.listing {
                let listing = listings::find(named)?;
                let decode = |answer: &crate::dialect::Answer<'_>| listing.decode(answer, &origin);
                let page = asking.ask(&listing.encode(None), decode).await?.read;
                return Ok(Some(page.models.len()));
            }
            let wire = HttpRequest {
                method: Method::Get,
                path: Cow::Borrowed(""),
                headers: Vec::new(),
                body: Bytes::new(),
                warnings: Vec::new(),
            };
            match asking.ask(&wire, |_| Ok(())).await {
                Err(error) if is_only_empty(&error) => Ok(None),
                other => other.map(|_| None),
            }
        };
        answer.await.map_err(|error| self.named(error, &origin, CHECK))
    }
}

/// Tells whether an address answered, but has nothing for this request.
fn is_only_empty(error: &Error) -> bool {
    error.status().is_some() && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidRequest)
}

fn endless(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOutput, message).with_hint("check the base URL")
}
