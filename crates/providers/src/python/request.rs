//! Turns the parameters of a call into the message that the child reads.
//!
//! Checks every parameter; knows nothing of processes.

use std::path::PathBuf;
use std::time::Duration;

use motet_core::method::FileScope;
use motet_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use super::{PARAMETERS, PythonConfig};
use crate::files;

const MEBIBYTE: u64 = 1 << 20;
/// An interpreter alone takes about a third of it.
const LEAST_MEMORY: u64 = 32 * MEBIBYTE;
/// Four tebibytes: no machine has more, and sums of it fit their types.
const MOST_MEMORY: u64 = 1 << 42;
const LONGEST: Duration = Duration::from_hours(24);

/// A checked call.
#[derive(Debug)]
pub(super) struct Request {
    source: Source,
    context: Map<String, Value>,
    pub(super) limits: Limits,
    /// Whether it runs in the sandbox.
    pub(super) sandbox: bool,
    /// Packages that its interpreter must have.
    pub(super) requirements: Vec<String>,
    interpreter: Option<String>,
}

/// The largest file that runs in the sandbox: 1 MiB.
const MAX_SOURCE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
enum Source {
    Code(String),
    File(String),
}

/// What one call may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) memory_bytes: u64,
    pub(super) max_processes: u32,
    pub(super) max_output_bytes: usize,
    pub(super) max_result_bytes: u64,
}

/// A call that is ready to start.
pub(super) struct Task {
    /// What the child reads from its standard input.
    pub(super) message: Vec<u8>,
    /// Where the child writes its outcome; the child itself takes its name away, so that nothing can leave it behind.
    pub(super) out: NamedTempFile,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    context: &'a Map<String, Value>,
    memory: u64,
    max_result: u64,
    /// The workflow's directory, which the code works in.
    directory: &'a str,
    out: &'a str,
}

impl Request {
    pub(super) fn read(mut params: Map<String, Value>, config: &PythonConfig) -> Result<Self> {
        for (name, value) in &params {
            check(name, value)?;
        }
        let source = match (text(&mut params, "code"), text(&mut params, "file")) {
            (Some(code), None) => Source::Code(code),
            (None, Some(file)) => Source::File(file),
            (None, None) => {
                return Err(invalid("neither `code` nor `file` is given")
                    .with_hint("give the source as `code` or the path of a Python file as `file`"));
            }
            (Some(_), Some(_)) => {
                return Err(invalid("both `code` and `file` are given").with_hint("keep one of them"));
            }
        };
        let context = match params.remove("context") {
            Some(Value::Object(context)) => context,
            _ => Map::new(),
        };
        let timeout = timeout(params.get("timeout").and_then(Value::as_f64), config.timeout)?;
        let memory_bytes =
            memory(params.get("memory_mb").filter(|value| !value.is_null()), config.memory_bytes)?;
        let limits = Limits {
            timeout,
            memory_bytes,
            max_processes: config.max_processes,
            max_output_bytes: config.max_output_bytes,
            max_result_bytes: config.max_result_bytes,
        };
        let sandbox = params.get("sandbox").and_then(Value::as_bool).unwrap_or(false);
        let interpreter = text(&mut params, "interpreter").filter(|name| !name.trim().is_empty());
        let requirements = requirements(params.get("requirements"))?;
        let default = PythonConfig::default().interpreter;
        if sandbox && (interpreter.is_some() || !requirements.is_empty()) {
            return Err(invalid("the sandbox has no other interpreter and no packages")
                .with_hint("leave out `sandbox`, or `interpreter` and `requirements`"));
        }
        if !requirements.is_empty() && interpreter.is_none() && config.interpreter == default {
            let message = format!(
                "`requirements` are given, and no interpreter that has them: {}",
                requirements.join(", ")
            );
            return Err(Error::new(ErrorKind::Configuration, message).with_hint(
                "nothing is installed by itself: make an environment with them, and name its Python as `interpreter` or in the setting `python.interpreter`",
            ));
        }
        Ok(Self { source, context, limits, sandbox, requirements, interpreter })
    }

    /// Gives the interpreter that runs it; a path starts at the workflow's directory.
    pub(super) fn interpreter(&self, scope: &FileScope, config: &PythonConfig) -> String {
        match &self.interpreter {
            None => config.interpreter.clone(),
            Some(name) if std::path::Path::new(name).components().count() < 2 => name.clone(),
            Some(path) => scope.base.join(path).to_string_lossy().into_owned(),
        }
    }

    /// Gives the source itself, read within the scope, and its values; blocks on the file system.
    pub(super) fn into_code(self, scope: &FileScope) -> Result<(String, Map<String, Value>)> {
        let code = match self.source {
            Source::Code(code) => code,
            Source::File(path) => files::read_text(scope, path, MAX_SOURCE_BYTES)?,
        };
        Ok((code, self.context))
    }

    /// Resolves the file and makes what the child needs; blocks on the file system.
    pub(super) fn prepare(&self, scope: &FileScope) -> Result<Task> {
        let directory = utf8(files::roots(scope)?.base().to_owned())?;
        let file = match &self.source {
            Source::File(path) => Some(utf8(files::resolve(scope, path)?)?),
            Source::Code(_) => None,
        };
        let out = tempfile::Builder::new()
            .prefix("motet-")
            .rand_bytes(24)
            .tempfile()
            .map_err(|error| files::failure("make a file in", &std::env::temp_dir(), error))?;
        let code = match &self.source {
            Source::Code(code) => Some(code.as_str()),
            Source::File(_) => None,
        };
        let body = serde_json::to_vec(&Message {
            code,
            file: file.as_deref(),
            context: &self.context,
            memory: self.limits.memory_bytes,
            max_result: self.limits.max_result_bytes,
            directory: &directory,
            out: &utf8(out.path().to_owned())?,
        })
        .map_err(|error| invalid("the context cannot be written as JSON").with_source(error))?;
        let mut message = format!("{:020}", body.len()).into_bytes();
        message.extend(body);
        Ok(Task { message, out })
    }
}

fn check(name: &str, value: &Value) -> Result<()> {
    let Some(parameter) = PARAMETERS.iter().find(|parameter| parameter.name == name) else {
        let known: Vec<String> = PARAMETERS.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
        return Err(invalid(&format!("there is no parameter `{name}`"))
            .with_hint(format!("the parameters are {}", known.join(", "))));
    };
    if parameter.kind.accepts(value) {
        return Ok(());
    }
    Err(invalid(&format!("`{name}` must be {}, not `{}`", parameter.kind.as_str(), short(value)))
        .with_hint(parameter.doc))
}

fn text(params: &mut Map<String, Value>, name: &str) -> Option<String> {
    match params.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn timeout(seconds: Option<f64>, default: Duration) -> Result<Duration> {
    let Some(seconds) = seconds else { return Ok(default) };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST)
        .ok_or_else(|| {
            invalid(&format!("`timeout` is `{seconds}`"))
                .with_hint(format!("give seconds above 0 and up to {}", LONGEST.as_secs()))
        })
}

fn requirements(written: Option<&Value>) -> Result<Vec<String>> {
    let list = written.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |value: &Value| {
        // What begins with a dash would be an option of whatever reads it.
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty() && !text.starts_with('-'));
        text.map(str::to_owned).ok_or_else(|| {
            invalid(&format!("`{value}` is no requirement"))
                .with_hint("write names with versions, such as `numpy>=1.26`")
        })
    };
    list.iter().map(one).collect()
}

fn memory(mebibytes: Option<&Value>, default: u64) -> Result<u64> {
    let bytes = match mebibytes {
        Some(value) => value.as_u64().and_then(|mebibytes| mebibytes.checked_mul(MEBIBYTE)),
        None => Some(default),
    };
    bytes.filter(|bytes| (LEAST_MEMORY..=MOST_MEMORY).contains(bytes)).ok_or_else(|| {
        let (kind, what) = match mebibytes {
            Some(value) => (ErrorKind::InvalidRequest, format!("`memory_mb` is `{value}`")),
            None => {
                (ErrorKind::Configuration, format!("the setting for Python's memory is `{default}` bytes"))
            }
        };
        Error::new(kind, what).with_hint(format!(
            "give from {} to {} mebibytes",
            LEAST_MEMORY / MEBIBYTE,
            MOST_MEMORY / MEBIBYTE
        ))
    })
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        invalid(&format!("the path `{}` is not UTF-8", path.display()))
            .with_hint("rename the file or its directory")
    })
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
