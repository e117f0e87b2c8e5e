//! Where requests come from: the files of a directory, or the lines of a file, read one by one when their turn comes.
//!
//! What can be found wrong before anything is paid for is found when the source is opened.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use motet::batch::written::{self as requests, Defaults};
use motet::batch::{BatchRequest, Unreadable};
use motet::core::method::FileScope;
use motet::providers::files;
use motet::workflows::methods::llm_chat::MAX_FILE_BYTES;
use motet::{ChatRequest, Error, ErrorKind, Message, Result, Runtime};
use serde_json::Map;

use super::asked::Asked;
use super::prompt::{Filling, fill, places_content};
use crate::attachment;

/// The largest image or PDF that is sent: 20 MiB.
const MAX_MEDIA_BYTES: u64 = 20 << 20;
/// Lines with problems that are told at once.
const MOST_PROBLEMS: usize = 20;

/// Requests that are read one by one.
pub(super) struct Source {
    asked: Arc<Asked>,
    scope: FileScope,
    kind: Kind,
}

enum Kind {
    Files(Vec<PathBuf>),
    Lines { defaults: Defaults, count: u64 },
}

type Read = Result<BatchRequest, Unreadable>;

impl Source {
    /// Finds the files, or looks through all lines; files of results are none to ask about.
    pub(super) async fn open(asked: &Asked, runtime: &Runtime, results: &[PathBuf]) -> Result<Self> {
        let allowed = runtime.settings().files.allow.iter().map(|path| runtime.directory().join(path));
        let scope = FileScope { base: asked.input.clone(), allowed: allowed.collect() };
        let kind = if asked.input.is_dir() {
            // A model that cannot be asked at all is told once, not once for every file.
            if let Some(model) = &asked.model {
                runtime.models().model(model).await?;
            }
            files_of(asked, &scope, results)?
        } else {
            lines_of(asked)?
        };
        Ok(Self { asked: Arc::new(asked.clone()), scope, kind })
    }

    /// Gives the number of requests.
    pub(super) fn count(&self) -> u64 {
        match &self.kind {
            Kind::Files(paths) => u64::try_from(paths.len()).unwrap_or(u64::MAX),
            Kind::Lines { count, .. } => *count,
        }
    }

    /// Gives the requests.
    pub(super) fn requests(self) -> BoxStream<'static, Read> {
        let Self { asked, scope, kind } = self;
        match kind {
            Kind::Files(paths) => about_files(asked, scope, paths).boxed(),
            Kind::Lines { defaults, count } => {
                let mut lines = Lines::open(&asked.input);
                // The length of the stream is that of the range, so that the batch knows how many follow.
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                stream::iter((0..count).map(move |_| next(&mut lines, &asked, &defaults))).boxed()
            }
        }
    }
}

fn files_of(asked: &Asked, scope: &FileScope, results: &[PathBuf]) -> Result<Kind> {
    let mut paths = files::glob(scope, &asked.patterns)?;
    let results: Vec<PathBuf> = results.iter().filter_map(|path| path.canonicalize().ok()).collect();
    paths.retain(|path| path.canonicalize().map_or(true, |real| !results.contains(&real)));
    paths.truncate(asked.limit.unwrap_or(usize::MAX));
    Ok(Kind::Files(paths))
}

fn about_files(asked: Arc<Asked>, scope: FileScope, paths: Vec<PathBuf>) -> impl Stream<Item = Read> + Send {
    let scope = Arc::new(scope);
    stream::iter(paths).then(move |path| {
        let (asked, scope) = (Arc::clone(&asked), Arc::clone(&scope));
        async move {
            let reading = tokio::task::spawn_blocking(move || about_file(&asked, &scope, &path));
            reading.await.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Internal, "reading a file broke off").with_source(error).into())
            })
        }
    })
}

/// Makes the request about one file.
fn about_file(asked: &Asked, scope: &FileScope, path: &Path) -> Read {
    let below = path.strip_prefix(&scope.base).unwrap_or(path).display().to_string();
    let message = question(asked, scope, path, &below);
    let request = message.and_then(|question| {
        let model =
            asked.model.clone().ok_or_else(|| Error::new(ErrorKind::Configuration, "no model was named"))?;
        let system = asked.system.clone().map(Message::system);
        let mut request = ChatRequest::new(model, system.into_iter().chain([question]).collect());
        if let Some(schema) = &asked.schema {
            request.output = motet::written::schema(schema.clone());
        }
        Ok(BatchRequest::new(request).with_id(&below))
    });
    request.map_err(|error| Unreadable { id: Some(below), metadata: Map::new(), error })
}

fn question(asked: &Asked, scope: &FileScope, path: &Path, below: &str) -> Result<Message> {
    let prompt = asked.prompt.as_deref().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if attachment::is_media(path) {
        let mut question = Message::user(fill(prompt, &Filling { file: below, name: &name, content: None }));
        question.parts.push(media(asked, path, below)?);
        return Ok(question);
    }
    // Errors name the file as the results do.
    let text = files::read_text(scope, path.strip_prefix(&scope.base).unwrap_or(path), MAX_FILE_BYTES)?;
    Ok(Message::user(fill(prompt, &Filling { file: below, name: &name, content: Some(&text) })))
}

fn media(asked: &Asked, path: &Path, below: &str) -> Result<motet::Part> {
    let refused = |why: String, hint: &str| {
        Err(Error::new(ErrorKind::InvalidRequest, format!("`{below}` {why}")).with_hint(hint))
    };
    if !asked.vision {
        return refused("is no text".to_owned(), "add `--vision` to send images and PDFs to the model");
    }
    if places_content(asked.prompt.as_deref().unwrap_or_default()) {
        return refused(
            "has no text to stand for `{content}`".to_owned(),
            "leave `{content}` out of the prompt",
        );
    }
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > MAX_MEDIA_BYTES {
        return refused(format!("has {} MiB", size >> 20), "send files of at most 20 MiB");
    }
    attachment::part(&path.to_string_lossy())
}

/// Reads all lines once, and tells all that is wrong with them.
fn lines_of(asked: &Asked) -> Result<Kind> {
    let extension = asked.input.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if !matches!(extension.as_str(), "jsonl" | "ndjson") {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("`{}` is neither a directory nor a `.jsonl` file", asked.named),
        )
        .with_hint("name a directory, or a `.jsonl` file with one request a line"));
    }
    let mut defaults = Defaults::default();
    defaults.model.clone_from(&asked.model);
    defaults.system.clone_from(&asked.system);
    defaults.schema.clone_from(&asked.schema);
    let (mut problems, mut seen, mut count) = (Vec::new(), HashMap::new(), 0);
    for line in Lines::open(&asked.input)?.take(asked.limit.unwrap_or(usize::MAX)) {
        let line = line?;
        count += 1;
        match line.request(&defaults) {
            Err(error) => problems.push(line.problem(&error)),
            Ok(request) => {
                let mut hasher = DefaultHasher::new();
                request.id.hash(&mut hasher);
                if let Some(first) = seen.insert(hasher.finish(), line.number) {
                    let id = request.id.unwrap_or_default();
                    problems
                        .push(format!("line {}: the id `{id}` is that of line {first} already", line.number));
                }
            }
        }
        if problems.len() > MOST_PROBLEMS {
            problems.push("and perhaps more".to_owned());
            break;
        }
    }
    if problems.is_empty() {
        return Ok(Kind::Lines { defaults, count });
    }
    let message = format!("`{}` cannot be used: {}", asked.named, problems.join("; "));
    Err(Error::new(ErrorKind::InvalidRequest, message)
        .with_hint(r#"each line is one request, such as `{"id": "a", "prompt": "Say hello"}`"#))
}

/// Reads the next line, which was there when the lines were checked.
fn next(lines: &mut Result<Lines>, asked: &Asked, defaults: &Defaults) -> Read {
    let lines = lines.as_mut().map_err(|error| Error::from(error.report()))?;
    let gone = || {
        let message = format!("the request is no longer in `{}`", asked.named);
        Error::new(ErrorKind::InvalidRequest, message).with_hint("leave the file alone while the batch runs")
    };
    read(lines.next().unwrap_or_else(|| Err(gone())), defaults)
}

fn read(line: Result<Line>, defaults: &Defaults) -> Read {
    let line = line?;
    line.request(defaults).map_err(|error| Unreadable {
        id: Some(line.number.to_string()),
        metadata: Map::new(),
        error,
    })
}

/// A line with a request.
struct Line {
    /// Its number, from 1.
    number: u64,
    text: String,
}

impl Line {
    /// Reads the request; one without an id is named by the number of its line.
    fn request(&self, defaults: &Defaults) -> Result<BatchRequest> {
        let written = serde_json::from_str(&self.text)
            .map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("it is not JSON: {error}")))?;
        let mut request = requests::request(written, defaults)?;
        request.id.get_or_insert_with(|| self.number.to_string());
        Ok(request)
    }

    fn problem(&self, error: &Error) -> String {
        format!("line {}: {error}", self.number)
    }
}

/// The lines of a file that are not empty.
struct Lines {
    reader: BufReader<File>,
    named: PathBuf,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self { reader: BufReader::new(file), named: path.to_owned(), number: 0 }),
            Err(error) => Err(unreadable(path, error)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut text = String::new();
            self.number += 1;
            match self.reader.read_line(&mut text) {
                Ok(0) => return None,
                Ok(_) if text.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']).is_empty() => {}
                Ok(_) => {
                    let text = text.trim_start_matches('\u{feff}').to_owned();
                    return Some(Ok(Line { number: self.number, text }));
                }
                Err(error) => return Some(Err(unreadable(&self.named, error))),
            }
        }
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be read: {error}", path.display()))
}
