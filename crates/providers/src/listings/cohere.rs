//! Cohere's list of models.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::model_list::ModelPage;
use motet_core::{Error, ErrorKind, Result};

use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin};

pub(super) struct Cohere;

impl Listing for Cohere {
    fn name(&self) -> &'static str {
        "cohere-models"
    }

    fn doc(&self) -> &'static str {
        "Cohere's list of models."
    }

    fn encode(&self, _page: Option<&str>) -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            path: Cow::Borrowed("/models"),
            headers: Vec::new(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<ModelPage> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
