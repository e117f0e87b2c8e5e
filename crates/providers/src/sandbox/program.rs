//! Compiled code, and a run of it that pauses at every call of a function from outside.
//!
//! Everything here is synchronous and waits for nothing, so whoever drives it decides where it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use monty::{MontyRun, RunProgress};
use monty_types::{
    CompileOptions, ExcType, ExtFunctionResult, MontyException, MontyObject, NameLookupResult, PrintWriter,
    ResourceLimits, ResourceTracker,
};
use serde_json::Value;

use super::memory;
use super::printed::{Printed, Stop};
use super::value::{inward, outward};
use super::{Execution, Failure, FailureKind, Limits};

/// How tracebacks call the code.
const FILE: &str = "code.py";
/// Characters of a traceback at most; an exception may carry a text of any length.
const MAX_MESSAGE_CHARS: usize = 8_000;

/// The names that code may use beside its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Variables that are given values when the code is run.
    pub inputs: Vec<String>,
    /// Functions that are called outside.
    pub functions: Vec<String>,
}

/// Code that is compiled once and run often, also by several threads at a time; cheap to clone.
#[derive(Debug, Clone)]
pub struct Program {
    /// Locked only to be copied: the interpreter's own form of code belongs to one thread at a time.
    code: Arc<Mutex<MontyRun>>,
    names: Names,
    functions: Arc<[String]>,
}

/// Where a run stands.
#[derive(Debug)]
pub enum Step {
    /// It waits for a function from outside.
    Call(Box<Suspended>),
    /// It ended.
    Ended(Result<Execution, Failure>),
}

/// A call of a function from outside.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// Number of the call in this run, from 0.
    pub number: u32,
    /// Name of the function.
    pub name: String,
    /// Arguments by place.
    pub positional: Vec<Value>,
    /// Arguments by name.
    pub named: Vec<(String, Value)>,
}

/// A run that waits for the answer to a call.
#[derive(Debug)]
pub struct Suspended {
    call: Call,
    state: monty::FunctionCall,
    session: Session,
}

impl Program {
    /// Compiles code.
    ///
    /// # Errors
    /// `Syntax` with the line.
    pub fn compile(code: &str, names: Names) -> Result<Self, Failure> {
        let known = names.inputs.iter().chain(&names.functions).cloned().collect();
        let compiled = guarded(|| MontyRun::new(code.to_owned(), FILE, known, CompileOptions::default()))?;
        match compiled {
            Ok(code) => Ok(Self {
                code: Arc::new(Mutex::new(code)),
                functions: names.functions.as_slice().into(),
                names,
            }),
            Err(exception) => Err(failure(&exception, FailureKind::Syntax)),
        }
    }

    /// Gives the names that it was compiled for.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Runs the code where it stands, which blocks the thread; functions from outside are not there.
    ///
    /// Values are given in the order of the names of inputs; those left out are `None`.
    ///
    /// # Errors
    /// Whatever kept the code from having a result.
    pub fn run(&self, inputs: &[Value], limits: &Limits) -> Result<Execution, Failure> {
        let mut step = self.start(inputs, limits, Stop::default());
        loop {
            match step {
                Step::Ended(ended) => return ended,
                Step::Call(suspended) => {
                    let message = format!("`{}` cannot be called here", suspended.call().name);
                    step = suspended.resume(Err(message));
                }
            }
        }
    }

    /// Begins a run and goes on to the first call of a function from outside, or to the end; blocks the thread.
    #[must_use]
    pub fn start(&self, inputs: &[Value], limits: &Limits, stop: Stop) -> Step {
        let mut objects: Vec<MontyObject> = inputs.iter().map(inward).collect();
        objects.resize(self.names.inputs.len(), MontyObject::None);
        objects.extend(
            self.names
                .functions
                .iter()
                .map(|name| MontyObject::Function { name: name.clone(), docstring: None }),
        );
        let bounds = ResourceLimits::default()
            .max_duration(limits.time)
            .max_memory(limits.memory_bytes)
            .max_recursion_depth(limits.recursion);
        let session = Session {
            printed: Printed::new(limits.output_bytes, stop),
            functions: Arc::clone(&self.functions),
            limits: limits.clone(),
            calls: 0,
            grown: 0,
        };
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner).clone();
        session.advance(move |print| code.start(objects, ResourceTracker::new(bounds), print))
    }
}

impl Suspended {
    /// Gives the call that is waited for.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Goes on with the answer to the call, which is raised as an exception when it is a failure; blocks the thread.
    #[must_use]
    pub fn resume(self, answer: Result<Value, String>) -> Step {
        let Self { state, session, .. } = self;
        session.advance(move |print| match answer {
            Ok(value) => state.resume(inward(&value), print),
            Err(message) => state.resume(MontyException::new(ExcType::RuntimeError, Some(message)), print),
        })
    }

    /// Ends the run for good; no code can catch it.
    #[must_use]
    pub fn abort(self, kind: FailureKind, message: &str) -> Failure {
        let output = self.session.printed.text;
        Failure { output, ..Failure::new(kind, message) }
    }
}

/// What a run is beside the state of its interpreter.
#[derive(Debug)]
struct Session {
    printed: Printed,
    functions: Arc<[String]>,
    limits: Limits,
    calls: u32,
    /// Bytes by which the process grew while it ran.
    grown: usize,
}

impl Session {
    /// Goes on until a function from outside is called, or the end.
    fn advance(mut self, go_on: impl FnOnce(PrintWriter<'_>) -> Result<RunProgress, MontyException>) -> Step {
        let watched = memory::watch(self.limits.memory_bytes, self.grown, self.printed.stop().clone());
        let mut progress = guarded(|| go_on(PrintWriter::Callback(&mut self.printed)));
        let ended = loop {
            progress = match progress {
                Ok(Ok(RunProgress::FunctionCall(state))) if self.knows(&state) => {
                    self.grown = watched.end();
                    return self.suspend(state);
                }
                Ok(Ok(RunProgress::Complete(object))) => break self.result(object),
                Ok(Ok(other)) => guarded(|| refuse(other, PrintWriter::Callback(&mut self.printed))),
                Ok(Err(exception)) => break Err(failure(&exception, FailureKind::Exception)),
                Err(broken) => break Err(broken),
            };
        };
        self.end(ended)
    }

    fn knows(&self, state: &monty::FunctionCall) -> bool {
        state.object_id.is_none() && self.functions.contains(&state.function_name)
    }

    fn suspend(mut self, state: monty::FunctionCall) -> Step {
        if self.printed.stop().reason().is_some() {
            return self.end(Ok(Value::Null));
        }
        if self.calls >= self.limits.calls {
            let message = format!("more than {} calls of functions were made", self.limits.calls);
            return self.end(Err(Failure::new(FailureKind::Calls, message)));
        }
        match self.call(&state) {
            Ok(call) => {
                self.calls += 1;
                Step::Call(Box::new(Suspended { call, state, session: self }))
            }
            Err(message) => {
                let message =
                    format!("the arguments of `{}` cannot be passed: {message}", state.function_name);
                self.end(Err(Failure::new(FailureKind::Result, message)))
            }
        }
    }

    fn call(&self, state: &monty::FunctionCall) -> Result<Call, String> {
        let bytes = self.limits.result_bytes;
        let positional = state.args.iter().map(|object| outward(object.clone(), bytes));
        let named =
            state.kwargs.iter().map(|(name, object)| Ok((name.to_string(), outward(object.clone(), bytes)?)));
        Ok(Call {
            number: self.calls,
            name: state.function_name.clone(),
            positional: positional.collect::<Result<_, _>>()?,
            named: named.collect::<Result<_, String>>()?,
        })
    }

    fn result(&self, object: MontyObject) -> Result<Value, Failure> {
        let bytes = self.limits.result_bytes;
        guarded(|| outward(object, bytes))?.map_err(|message| {
            Failure::new(FailureKind::Result, format!("the result cannot be given back: {message}"))
        })
    }

    fn end(self, ended: Result<Value, Failure>) -> Step {
        let (reason, output) = (self.printed.stop().reason(), self.printed.text);
        let ended = match reason {
            Some(kind) => Err(Failure::new(kind, stopped(kind, &self.limits))),
            None => ended,
        };
        Step::Ended(match ended {
            Ok(value) => Ok(Execution { value, output, calls: self.calls }),
            Err(failure) => Err(Failure { output, ..failure }),
        })
    }
}

fn stopped(kind: FailureKind, limits: &Limits) -> String {
    match kind {
        FailureKind::Memory => format!("the code used more than {} bytes of memory", limits.memory_bytes),
        FailureKind::Output => format!("the code printed more than {} bytes", limits.output_bytes),
        _ => "the code was stopped".to_owned(),
    }
}

/// Goes on from what no code is given: files, environment, clock, and names that do not exist.
fn refuse(progress: RunProgress, print: PrintWriter<'_>) -> Result<RunProgress, MontyException> {
    match progress {
        RunProgress::NameLookup(lookup) => lookup.resume(NameLookupResult::Undefined, print),
        RunProgress::OsCall(call) => {
            let message = "there are no files, no environment, and no clock in this sandbox".to_owned();
            call.resume(MontyException::new(ExcType::PermissionError, Some(message)), print)
        }
        RunProgress::FunctionCall(call) => {
            let name = call.function_name.clone();
            call.resume(ExtFunctionResult::NotFound(name), print)
        }
        RunProgress::ResolveFutures(waiting) => {
            let message = "nothing here needs to be awaited".to_owned();
            waiting.abort(MontyException::new(ExcType::RuntimeError, Some(message)), print)
        }
        done @ RunProgress::Complete(_) => Ok(done),
    }
}

/// Keeps a breakdown of the interpreter from going further.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| Failure::new(FailureKind::Broken, "the interpreter broke down on this code"))
}

fn failure(exception: &MontyException, otherwise: FailureKind) -> Failure {
    let summary = exception.message().unwrap_or_default();
    let kind = match exception.exc_type() {
        ExcType::SyntaxError if otherwise == FailureKind::Syntax => FailureKind::Syntax,
        ExcType::TimeoutError if summary.starts_with("time limit exceeded") => FailureKind::Time,
        ExcType::MemoryError if summary.starts_with("memory limit exceeded") => FailureKind::Memory,
        _ => otherwise,
    };
    let mut message = exception.to_string();
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
        message.truncate(end);
        message.push_str("… (cut)");
    }
    let line = exception.traceback().last().map(|frame| frame.start.line);
    Failure { line, ..Failure::new(kind, message) }
}
