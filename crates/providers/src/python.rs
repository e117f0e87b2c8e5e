//! `python/execute`: runs a task in a child CPython under limits.
//!
//! Every call gets a process of its own, which may have been started before but runs no other call's code, and which nothing
//! that the code starts outlives: not a success, a failure, a timeout, a dropped future, nor a killed engine. The limits bound mistakes, they are no jail: the code has the rights
//! of the user. Knows nothing of workflows, references, or settings files.

pub(crate) mod capture;
mod child;
mod idle;
mod processes;
mod report;
mod request;
mod requirements;
mod sandboxed;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result, RunContext};
use serde_json::{Map, Value, json};

use idle::Idle;
use request::Request;

/// The method's name.
pub const NAME: &str = "python/execute";

/// What a child inherits of the environment, for it to start and to find the user's files; never a key.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "TZ",
    "TMPDIR",
    #[cfg(windows)]
    "SYSTEMROOT",
    #[cfg(windows)]
    "PATHEXT",
    #[cfg(windows)]
    "TEMP",
    #[cfg(windows)]
    "TMP",
    #[cfg(windows)]
    "USERPROFILE",
];

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "code",
        kind: ParameterKind::Source,
        required: false,
        doc: "Python source to run; what it leaves in the variable `result` is the answer",
    },
    Parameter {
        name: "file",
        kind: ParameterKind::String,
        required: false,
        doc: "Python file to run instead of `code`; it may import the modules beside it",
    },
    Parameter {
        name: "context",
        kind: ParameterKind::Object,
        required: false,
        doc: "values for the code: the variable `context`, and each key that is a name also as a variable",
    },
    Parameter {
        name: "timeout",
        kind: ParameterKind::Number,
        required: false,
        doc: "seconds after which the code is stopped",
    },
    Parameter {
        name: "memory_mb",
        kind: ParameterKind::Integer,
        required: false,
        doc: "mebibytes of memory that the code may use",
    },
    Parameter {
        name: "sandbox",
        kind: ParameterKind::Boolean,
        required: false,
        doc: "runs the code in this process, in an interpreter without files, network, and modules of its own",
    },
    Parameter {
        name: "interpreter",
        kind: ParameterKind::String,
        required: false,
        doc: "Python to run it with, by name or path; a path starts at the workflow's directory; the setting `python.interpreter` where it is left out",
    },
    Parameter {
        name: "requirements",
        kind: ParameterKind::Array,
        required: false,
        doc: "packages that must be installed for the interpreter, which must be named then, such as `numpy>=1.26`; nothing is installed",
    },
];

/// How children are run and what they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonConfig {
    /// Name or path of a CPython 3.9 or later.
    pub interpreter: String,
    /// Longest time of a call that names none.
    pub timeout: Duration,
    /// Memory of a call that names none, in bytes: for each process, and for all processes of the call together.
    pub memory_bytes: u64,
    /// Most interpreters that are kept started for calls to come; with 0 every call waits until one has started.
    pub idle: usize,
    /// Most processes that a call may have at one time; counted on Linux only.
    pub max_processes: u32,
    /// Most bytes kept of standard output, and of standard error; what follows is dropped with a notice.
    pub max_output_bytes: usize,
    /// Largest result as JSON, in bytes.
    pub max_result_bytes: u64,
    /// Names of variables of the environment that code may read, beside the few that finding programs and files takes.
    pub env: Vec<String>,
}

impl Default for PythonConfig {
    /// `python3`, 60 s, 1 GiB, 2 interpreters kept started, 64 processes, 1 MiB of each output, and 16 MiB of result.
    fn default() -> Self {
        Self {
            interpreter: "python3".to_owned(),
            timeout: Duration::from_mins(1),
            memory_bytes: 1 << 30,
            idle: 2,
            max_processes: 64,
            max_output_bytes: 1 << 20,
            max_result_bytes: 16 << 20,
            env: Vec::new(),
        }
    }
}

/// Runs Python code or a Python file in a child process.
///
/// The result is `{"result", "output", "stderr", "success", "execution_time"}`: what the code left in the variable
/// `result` as JSON (null where it left nothing, tuples as lists), what it printed, true, and seconds.
///
/// The code runs as the module `__main__` in the workflow's directory. `context` is a dict of the given values; a key
/// that is an identifier is a variable too, unless it is a keyword, `context`, `result`, or begins with two underscores.
/// Values arrive as data and are never part of the source. `sys.exit()` ends the code early and keeps `result`. Processes
/// that the code leaves running are killed when it ends. On Unix all of them run at a lower priority than the engine.
///
/// A retry can help after a timeout, a kill from outside, `sys.exit(75)`, and exceptions that do not tell of a mistake
/// in the code or its values, such as `ConnectionError`.
#[derive(Debug, Clone)]
pub struct PythonExecute {
    config: PythonConfig,
    environment: Arc<[(OsString, OsString)]>,
    checked: Arc<requirements::Checked>,
    idle: Arc<Idle>,
}

impl PythonExecute {
    /// Makes the method; of the environment, children see only what finding programs and files takes.
    #[must_use]
    pub fn new(config: PythonConfig) -> Self {
        Self::with_environment(config, std::env::vars_os())
    }

    fn with_environment(
        config: PythonConfig,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let utf8 = ["LANG", "LC_ALL"].map(|name| (OsString::from(name), OsString::from("C.UTF-8")));
        let listed = |name: &OsString| config.env.iter().any(|allowed| *name == **allowed);
        let inherited = environment
            .into_iter()
            .filter(|(name, _)| INHERITED.iter().any(|allowed| name == allowed) || listed(name));
        let environment: Arc<[_]> = inherited.chain(utf8).collect();
        let idle = Arc::new(Idle::new(config.idle, Arc::clone(&environment)));
        Self { config, environment, checked: Arc::default(), idle }
    }

    async fn run(&self, context: &RunContext, call: MethodCall) -> Result<Value> {
        context.check()?;
        let started = Instant::now();
        let mut request = Request::read(call.params, &self.config)?;
        let limits = request.limits;
        if request.sandbox {
            let (code, values) = blocking(move || request.into_code(&call.files)).await?;
            return sandboxed::run(context, &code, values, &limits).await;
        }
        let interpreter = request.interpreter(&call.files, &self.config);
        let needed = std::mem::take(&mut request.requirements);
        self.checked.check(&interpreter, &self.environment, &needed).await?;
        let (idle, name) = (Arc::clone(&self.idle), interpreter.clone());
        let (task, child) = blocking(move || Ok((request.prepare(&call.files)?, idle.take(&name)?))).await?;
        // The next one starts while this one works.
        self.idle.refill(interpreter);
        let end = child.finish(context, &limits, &task.message).await;
        let outcome = {
            let limit = limits.max_result_bytes;
            blocking(move || Ok(report::read_outcome(task.out.as_file(), limit))).await?
        };
        report::conclude(end, outcome, &limits, started.elapsed())
    }
}

#[async_trait]
impl Method for PythonExecute {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "Runs Python code or a Python file in a process of its own, with limits of time and memory"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`result` holds what the code left in the variable `result`; beside it `output` and `stderr`, what it printed, `success`, and `execution_time` in seconds."
    }

    /// Code is run again after a crash, as every task is: what it did outside it must look up by itself.
    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({
            "type": "object",
            "properties": {
                "result": true,
                "output": {"type": "string"},
                "stderr": {"type": "string"},
                "success": {"type": "boolean"},
                "execution_time": {"type": "number"},
            },
            "additionalProperties": false,
        })
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        self.run(context, call).await.map(Into::into).map_err(|error| error.with_operation(NAME))
    }
}

/// Runs what blocks on the file system where it holds up no other task.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "the work of a Python task broke off").with_source(error)
    })?
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
