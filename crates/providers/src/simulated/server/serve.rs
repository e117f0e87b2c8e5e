//! Answers one request as the simulation decides, and breaks the connection where it says so.
//!
//! An error of these functions ends the connection, on purpose or because the client went away.

use std::io;
use std::time::Duration;

use motet_core::ErrorKind;
use motet_core::limits::RateLimits;
use serde_json::Value;

use super::answer::{self, Chat};
use super::http::{self, Connection, LAST_CHUNK, Request};
use super::{NO_KEY, Shared};
use crate::simulated::{Fault, Stage, Verdict};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// What is asked for.
enum Asked<'a> {
    Chat {
        streamed: bool,
    },
    Embeddings(Vec<&'a str>),
    Models,
    /// Nothing that there is.
    Unknown,
    /// Something that cannot be read.
    Malformed,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request) -> Self {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/chat/completions") if request.body.get("messages").is_some_and(Value::is_array) => {
                Asked::Chat { streamed: request.body.get("stream") == Some(&Value::Bool(true)) }
            }
            ("POST", "/v1/embeddings") => {
                answer::texts(&request.body).map_or(Asked::Malformed, Asked::Embeddings)
            }
            ("GET", "/v1/models") => Asked::Models,
            ("POST", "/v1/chat/completions") => Asked::Malformed,
            _ => Asked::Unknown,
        }
    }
}

/// What one request met.
struct Meeting {
    number: u64,
    verdict: Verdict,
    latency: Duration,
    between: Duration,
    words: usize,
}

pub(super) async fn serve(connection: &mut Connection, request: &Request, shared: &Shared) -> io::Result<()> {
    let asked = Asked::of(request);
    let plain = |kind, status| {
        let (status, body) = answer::refusal(kind, status);
        whole(status, &answer::headers(0, &RateLimits::default()), &body)
    };
    match asked {
        Asked::Models => {
            let headers = answer::headers(0, &RateLimits::default());
            return connection.write(&whole(200, &headers, &answer::models())).await;
        }
        Asked::Unknown => return connection.write(&plain(ErrorKind::NotFound, None)).await,
        Asked::Malformed => return connection.write(&plain(ErrorKind::InvalidRequest, None)).await,
        Asked::Chat { .. } | Asked::Embeddings(_) => {}
    }
    let meeting = meet(request, &asked, shared);
    let limits = match &meeting.verdict {
        Verdict::Answered { limits } => limits,
        Verdict::TooMany { retry_after, limits } => {
            let (status, body) = answer::refusal(ErrorKind::RateLimit, None);
            let mut headers = answer::headers(meeting.number, limits);
            headers.extend(answer::retry_after(*retry_after));
            return connection.write(&whole(status, &headers, &body)).await;
        }
        Verdict::Revoked => return connection.write(&plain(ErrorKind::Authentication, None)).await,
        Verdict::Broken(fault) => {
            let fault = fault.clone();
            return broken(connection, request, &asked, &meeting, &fault).await;
        }
    };
    let headers = answer::headers(meeting.number, limits);
    connection.pause(meeting.latency).await?;
    match asked {
        Asked::Chat { streamed: true } => {
            let chat = Chat::new(meeting.number, &request.body, meeting.words);
            begin_stream(connection, &headers, &chat).await?;
            words(connection, &chat, meeting.between, chat.words).await?;
            end_stream(connection, &chat, &request.body).await?;
            connection.write(LAST_CHUNK).await
        }
        _ => connection.write(&whole(200, &headers, &body_of(&asked, request, &meeting))).await,
    }
}

/// Has the simulation decide.
fn meet(request: &Request, asked: &Asked<'_>, shared: &Shared) -> Meeting {
    let key = request.key.as_deref().unwrap_or(NO_KEY);
    let mut simulation = shared.simulation();
    let (words, between) = (simulation.rules().words, simulation.rules().between);
    let tokens = match asked {
        Asked::Embeddings(texts) => answer::tokens_of(texts),
        _ => answer::input_of(&request.body) + Chat::new(0, &request.body, words).words as u64,
    };
    let (number, latency) = (simulation.arrived(), simulation.next_latency());
    let verdict = simulation.arrive(shared.start.elapsed(), key, tokens);
    Meeting { number, verdict, latency, between, words }
}

/// Gives a whole answer.
fn body_of(asked: &Asked<'_>, request: &Request, meeting: &Meeting) -> Value {
    match asked {
        Asked::Embeddings(texts) => answer::embeddings(&request.body, texts),
        _ => Chat::new(meeting.number, &request.body, meeting.words).whole(),
    }
}

fn whole(status: u16, headers: &[(String, String)], body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let mut written = http::head(status, headers, JSON, Some(body.len()));
    written.extend(body.as_bytes());
    written
}

fn event(data: &impl ToString) -> Vec<u8> {
    http::chunk(&format!("data: {}\n\n", data.to_string()))
}

async fn begin_stream(
    connection: &mut Connection,
    headers: &[(String, String)],
    chat: &Chat<'_>,
) -> io::Result<()> {
    let mut begin = http::head(200, headers, EVENTS, None);
    begin.extend(event(&chat.opening()));
    connection.write(&begin).await
}

async fn words(
    connection: &mut Connection,
    chat: &Chat<'_>,
    between: Duration,
    count: usize,
) -> io::Result<()> {
    if between.is_zero() {
        let all: Vec<u8> = (0..count).flat_map(|number| event(&chat.word(number))).collect();
        return connection.write(&all).await;
    }
    for number in 0..count {
        connection.pause(between).await?;
        connection.write(&event(&chat.word(number))).await?;
    }
    Ok(())
}

async fn end_stream(connection: &mut Connection, chat: &Chat<'_>, body: &Value) -> io::Result<()> {
    let mut end: Vec<u8> = chat.closing(body).iter().flat_map(event).collect();
    end.extend(event(&"[DONE]"));
    connection.write(&end).await
}

/// Answers as far as the fault lets it, then breaks off or hangs.
async fn broken(
    connection: &mut Connection,
    request: &Request,
    asked: &Asked<'_>,
    meeting: &Meeting,
    fault: &Fault,
) -> io::Result<()> {
    if !(fault.stage == Stage::BeforeConnect || fault.hangs) {
        connection.pause(meeting.latency).await?;
    }
    let headers = answer::headers(meeting.number, &RateLimits::default());
    match fault.stage {
        Stage::BeforeConnect => connection.reset(),
        Stage::AfterConnect => {}
        Stage::InHeaders if refuses(fault) => return refuse(connection, headers, fault).await,
        Stage::InHeaders => connection.write(b"HTTP/1.1 200 OK\r\ncontent-ty").await?,
        Stage::MidBody | Stage::MidStream | Stage::AfterFinish => {
            if let Asked::Chat { streamed: true } = asked {
                let chat = Chat::new(meeting.number, &request.body, meeting.words);
                break_stream(connection, &headers, (&chat, &request.body), meeting.between, fault).await?;
            } else {
                let answer = whole(200, &headers, &body_of(asked, request, meeting));
                break_answer(connection, &answer, fault.stage).await?;
            }
        }
    }
    if fault.hangs {
        return connection.gone().await;
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// Tells whether a fault is a refusal in words, and not a cut.
fn refuses(fault: &Fault) -> bool {
    !fault.hangs && (fault.status.is_some() || fault.kind != ErrorKind::Connection)
}

/// Refuses with a status; the connection stays open.
async fn refuse(
    connection: &mut Connection,
    mut headers: Vec<(String, String)>,
    fault: &Fault,
) -> io::Result<()> {
    let (status, body) = answer::refusal(fault.kind, fault.status);
    headers.extend(fault.retry_after.into_iter().flat_map(answer::retry_after));
    connection.write(&whole(status, &headers, &body)).await
}

/// Writes part of a whole answer, or all of it and something that does not belong there.
async fn break_answer(connection: &mut Connection, answer: &[u8], stage: Stage) -> io::Result<()> {
    let body = memchr::memmem::find(answer, b"\r\n\r\n").map_or(0, |end| end + 4);
    if stage == Stage::AfterFinish {
        connection.write(answer).await?;
        return connection.write(GARBAGE).await;
    }
    let half = body + (answer.len() - body) / 2;
    connection.write(answer.get(..half).unwrap_or(answer)).await
}

/// What does not belong after an answer.
const GARBAGE: &[u8] = b"data: {\"oops\": [tru";

async fn break_stream(
    connection: &mut Connection,
    headers: &[(String, String)],
    (chat, body): (&Chat<'_>, &Value),
    between: Duration,
    fault: &Fault,
) -> io::Result<()> {
    begin_stream(connection, headers, chat).await?;
    match fault.stage {
        Stage::AfterFinish => {
            words(connection, chat, between, chat.words).await?;
            end_stream(connection, chat, body).await?;
            let garbage = String::from_utf8_lossy(GARBAGE);
            return connection.write(&http::chunk(&garbage)).await;
        }
        Stage::MidStream => words(connection, chat, between, chat.words / 2 + 1).await?,
        _ => {}
    }
    if refuses(fault) && !matches!(fault.kind, ErrorKind::Truncated | ErrorKind::Timeout) {
        let (_, refusal) = answer::refusal(fault.kind, fault.status);
        return connection.write(&event(&refusal)).await;
    }
    // Half an event, so that what comes last cannot be read.
    let next = event(&chat.word(chat.words / 2));
    connection.write(next.get(..next.len() / 2).unwrap_or_default()).await
}
