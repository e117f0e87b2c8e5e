//! The events of an answer while its bytes still arrive.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use motet_core::usage::Price;
use motet_core::{Error, ErrorKind, EventStream, Result, StreamEvent};

use super::bill::Bill;
use super::clock::{Clock, Watch};
use super::failure::{self, Answered};
use super::reading::{self, StreamReader};
use super::transport::Body;
use crate::dialect::lowering::Restoring;
use crate::dialect::{Dialect, Origin};

/// Largest body that is read whole although a stream was asked for.
const WHOLE_LIMIT: usize = 64 << 20;
/// Time that the end of the events waits for the end of the body, which is usually there already, so that the
/// connection is free for the next call.
const DRAIN_INLINE: Duration = Duration::from_millis(5);
/// Time after which a body that still does not end is given up, and its connection with it.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// Turns the pieces of a body into events.
pub(super) struct Decoding {
    dialect: &'static dyn Dialect,
    origin: Arc<Origin>,
    form: Form,
    restoring: Restoring,
    price: Option<Arc<Price>>,
    bill: Bill,
}

enum Form {
    /// Nothing has arrived that would tell.
    Unknown,
    Stream(StreamReader),
    /// One JSON text, although a stream was asked for.
    Whole(Vec<u8>),
}

impl Decoding {
    /// Starts an answer.
    pub(super) fn new(
        dialect: &'static dyn Dialect,
        origin: &Arc<Origin>,
        restoring: Restoring,
        price: Option<Arc<Price>>,
    ) -> Self {
        let (form, bill) = (Form::Unknown, Bill::default());
        Self { dialect, origin: Arc::clone(origin), form, restoring, price, bill }
    }

    fn feed(&mut self, piece: &[u8], out: &mut Vec<StreamEvent>) -> Result<()> {
        if matches!(self.form, Form::Unknown) {
            if piece.trim_ascii().is_empty() {
                return Ok(());
            }
            self.form = if reading::is_whole(piece, self.dialect.framing()) {
                Form::Whole(Vec::new())
            } else {
                Form::Stream(StreamReader::new(self.dialect, &self.origin))
            };
        }
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Stream(reader) => {
                let known = out.len();
                let result = reader.feed(piece, out);
                self.restoring.apply(out, known);
                if result.is_err() {
                    self.restoring.end(out);
                }
                self.bill.note(out.get(known..).unwrap_or_default());
                result
            }
            Form::Whole(body) if body.len() + piece.len() > WHOLE_LIMIT => Err(Error::new(
                ErrorKind::InvalidOutput,
                format!("the answer is larger than {WHOLE_LIMIT} bytes"),
            )),
            Form::Whole(body) => {
                body.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    fn ended(&self) -> bool {
        if let Form::Stream(reader) = &self.form { reader.ended() } else { false }
    }

    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        let known = out.len();
        let result = match &mut self.form {
            Form::Unknown => {
                Err(Error::new(ErrorKind::Truncated, "the streamed answer ended before it began"))
            }
            Form::Stream(reader) => reader.finish(out),
            Form::Whole(body) => self
                .dialect
                .decode(body, &self.origin)
                .map(|mut events| out.append(&mut events))
                .map_err(|error| reading::foreign_page(body).unwrap_or(error)),
        };
        self.restoring.apply(out, known);
        self.restoring.end(out);
        self.bill.note(out.get(known..).unwrap_or_default());
        result
    }
}

/// Adds the cost to the events of a whole answer.
pub(super) fn add_cost(events: &mut Vec<StreamEvent>, price: Option<&Price>) {
    let mut bill = Bill::default();
    bill.note(events);
    bill.close(price, events);
}

/// Gives the events of an answer after those known already.
pub(super) fn events(
    body: Body,
    decoding: Decoding,
    clock: Clock,
    mut known: Vec<StreamEvent>,
    answered: Answered,
) -> EventStream {
    known.reverse();
    Box::pin(Live {
        body: Some(body),
        rest: None,
        watch: clock.watch(),
        decoding,
        ready: known,
        failure: None,
        answered,
    })
}

/// Hands out events as long as bytes arrive in time. It polls by hand because this runs once for each piece of every
/// answer, and a wait made anew each time would cost as much as the reading.
struct Live {
    /// Gone once nothing more is read; dropping it closes the connection.
    body: Option<Body>,
    /// Reads what follows the genuine end.
    rest: Option<BoxFuture<'static, ()>>,
    watch: Watch,
    decoding: Decoding,
    /// Events that were not handed out yet, the next one last.
    ready: Vec<StreamEvent>,
    failure: Option<Error>,
    answered: Answered,
}

impl Stream for Live {
    type Item = Result<StreamEvent>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let live = self.get_mut();
        loop {
            if let Some(event) = live.ready.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(error) = live.failure.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(rest) = &mut live.rest {
                std::task::ready!(rest.as_mut().poll(context));
                live.rest = None;
            }
            let Some(body) = &mut live.body else { return Poll::Ready(None) };
            let piece = match body.poll_next_unpin(context) {
                Poll::Ready(piece) => Ok(piece.map(|piece| piece.map_err(failure::of_body))),
                Poll::Pending => Err(std::task::ready!(live.watch.poll(context))),
            };
            live.take(piece);
        }
    }
}

impl Live {
    /// Takes the next piece of the body, its end, or why there will be none.
    fn take(&mut self, piece: Result<Option<Result<Bytes>>>) {
        let outcome = match piece {
            Ok(Some(Ok(piece))) => {
                self.watch.touch();
                self.decoding.feed(&piece, &mut self.ready).map(|()| self.decoding.ended())
            }
            Ok(None) => self.decoding.finish(&mut self.ready).map(|()| true),
            Ok(Some(Err(broken))) => match self.decoding.finish(&mut self.ready) {
                Err(error) if error.kind() == ErrorKind::Truncated => Err(broken),
                other => other.map(|()| true),
            },
            Err(stopped) => Err(stopped),
        };
        if !matches!(outcome, Ok(false)) {
            self.decoding.bill.close(self.decoding.price.as_deref(), &mut self.ready);
            let rest = self.body.take().filter(|_| outcome.is_ok());
            self.rest = rest.map(|body| Box::pin(drain(body)) as BoxFuture<'static, ()>);
        }
        self.failure = outcome.err().map(|error| self.answered.complete(error));
        self.ready.reverse();
    }
}

/// Reads what follows the genuine end, so that the connection can serve the next call.
async fn drain(mut body: Body) {
    let mut rest = Box::pin(async move { while body.next().await.is_some() {} });
    if tokio::time::timeout(DRAIN_INLINE, &mut rest).await.is_err() {
        tokio::spawn(tokio::time::timeout(DRAIN_LIMIT, rest));
    }
}
