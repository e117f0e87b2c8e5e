//! Every rule by which workflow files are checked, as rows.

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The workflow cannot run, or a task of it must fail.
    Error,
    /// It can run, but probably not as meant.
    Warning,
}

impl Severity {
    /// Gives its name: `error` or `warning`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// What it finds, in one sentence.
    pub doc: &'static str,
}

macro_rules! rules {
    ($( $name:ident = $id:literal, $severity:ident, $doc:literal; )*) => {
        $( pub(super) const $name: Rule = Rule { id: $id, severity: Severity::$severity, doc: $doc }; )*

        /// Every rule, in the order of the documentation.
        pub const RULES: &[Rule] = &[$( $name ),*];
    };
}

rules! {
    INVALID = "invalid", Error, "The file is not a workflow: its text, keys, values, names, or dependencies are wrong.";
    RESULT_FIELD = "result-field", Error, "A reference leads to something that the result of a task cannot have.";
    UNDECLARED_FIELD = "undeclared-field", Warning, "A reference leads to a field that the schema of an answer does not name.";
    TYPE_MISMATCH = "type-mismatch", Error, "A reference gives a value of another type than the parameter takes.";
    NEVER_RUNS = "never-runs", Warning, "A task cannot run, because its condition is always false.";
    REFERS_TO_NEVER = "refers-to-never", Warning, "A reference to a task that never runs is always null.";
    UNBOUNDED = "unbounded-items", Warning, "A task runs once for each item of a list whose length a model decides.";
    RECURSION = "recursion", Error, "A workflow runs itself, directly or through others.";
    RISKY = "risky-use", Warning, "What a model or another outsider wrote decides about a path, an address, or a command.";
    UNFILLED = "not-filled-in", Warning, "A reference to a task stands in a workflow or agent that is written out, where it means nothing.";
    PARAMETERS = "parameters", Error, "The parameters of a task cannot work together, or hold a value that is not known.";
    NO_MODEL = "no-model", Warning, "A task asks a model, and nothing names one.";
    MODEL = "model", Error, "A model cannot be called: its provider or itself does not exist.";
    NO_KEY = "no-key", Warning, "The provider of a model needs a key that is not there.";
    UNLISTED_MODEL = "unlisted-model", Warning, "A model is not among those known of its provider.";
    FILE_MISSING = "file-missing", Warning, "A file or directory is not there, or nothing matches a pattern.";
    FILE_REFUSED = "file-refused", Error, "A path lies outside of the directories that a workflow may touch.";
    SCRIPT_MISSING = "script-missing", Error, "The script of a task is not there.";
    SCRIPT_SYNTAX = "script-syntax", Error, "The source of a script is not Python.";
    MCP_SERVER = "mcp-server", Error, "A task calls a tool of an MCP server that is not configured.";
    NOT_SET = "variable-not-set", Warning, "An environment variable that the workflow lists is not set.";
    UNUSED = "unused", Warning, "An input, a variable, or a limit is declared and never used.";
    QUEUE = "unknown-queue", Warning, "A task names a queue that looks like a misspelt one.";
    SECRET = "secret", Warning, "A key or password is written in the file.";
}
