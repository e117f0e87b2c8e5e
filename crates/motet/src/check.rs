//! Checks workflow files against everything that is known here: methods, providers, keys, files, scripts, servers.
//!
//! Calls no provider, runs no script, and writes nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use motet_core::ModelId;
use motet_core::error::{ErrorKind, Result};
use motet_core::method::{FileScope, Parameter};
use motet_providers::files;
use motet_workflows::dag::check::{
    self, Access, Checked, FileStanding, ModelStanding, Surroundings, SyntaxFault,
};
use motet_workflows::dag::read;
use serde_json::{Map, Value};

use crate::methods::KnownMethods;
use crate::runtime::Runtime;
use crate::workflow::{read_file, unreadable};

/// The largest script that is looked at: 4 MiB.
const MAX_SCRIPT_BYTES: u64 = 4 << 20;

/// Compiles each of a list of sources, runs none, and says where one is not Python.
const COMPILE: &str = r#"
import json, sys
found = []
for source in json.load(sys.stdin):
    try:
        compile(source, "script", "exec", dont_inherit=True)
        found.append(None)
    except SyntaxError as error:
        found.append([error.lineno or 1, str(error.msg)])
    except Exception as error:
        found.append([1, str(error) or type(error).__name__])
json.dump(found, sys.stdout)
"#;

impl Runtime {
    /// Checks a workflow file: everything that is wrong or doubtful about it, as far as that is known before a run.
    ///
    /// # Errors
    /// `NotFound` and `InvalidRequest` when the file cannot be read at all; `Configuration` when what it says of its
    /// providers cannot be used.
    pub fn check_workflow(&self, path: &Path) -> Result<Checked> {
        let bytes = read_file(path)?;
        let real = path.canonicalize().map_err(|error| unreadable(path, error))?;
        let methods = self.known_methods(&self.outline(&bytes)).with_unreached(self);
        let files = self.file_scope(real.parent().unwrap_or(Path::new("/")));
        let around = Around { runtime: self, files, methods: &methods };
        Ok(check::check(&bytes, &methods.rules(self), &around))
    }

    /// Gives the JSON schema of workflow files, for editors.
    #[must_use]
    pub fn workflow_schema(&self) -> Value {
        let methods = self.methods();
        read::schema(methods.iter().map(|method| &**method))
    }

    /// Gives which files a workflow of this directory may touch.
    pub(crate) fn file_scope(&self, directory: &Path) -> FileScope {
        let allowed: Vec<PathBuf> =
            self.settings().files.allow.iter().map(|path| self.directory().join(path)).collect();
        FileScope { base: directory.to_owned(), allowed }
    }
}

/// What a check is told.
struct Around<'a> {
    runtime: &'a Runtime,
    files: FileScope,
    methods: &'a KnownMethods,
}

impl Surroundings for Around<'_> {
    fn result_schema(&self, method: &str, params: &Map<String, Value>) -> Value {
        self.methods.get(method).map_or(Value::Bool(true), |method| method.result_schema(params))
    }

    fn parameters(&self, method: &str) -> &[Parameter] {
        self.methods.get(method).map_or(&[], |method| method.parameters())
    }

    fn default_model(&self) -> Option<ModelId> {
        self.runtime.settings().model.clone()
    }

    fn model(&self, id: &ModelId) -> ModelStanding {
        self.runtime.model_table().standing(id)
    }

    fn file(&self, path: &str, access: Access) -> FileStanding {
        let resolved = match access {
            Access::Read => files::resolve(&self.files, path),
            Access::Write => files::resolve_for_write(&self.files, path),
        };
        match resolved {
            Ok(_) => FileStanding::Found,
            Err(error) if error.kind() == ErrorKind::NotFound => FileStanding::Missing,
            Err(error) => FileStanding::Refused {
                message: error.message().to_owned(),
                hint: error.hint().map(str::to_owned),
            },
        }
    }

    fn matches(&self, pattern: &str) -> Option<usize> {
        match files::glob(&self.files, &[pattern]) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(0),
            Err(_) => None,
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        files::read_text(&self.files, path, MAX_SCRIPT_BYTES).ok()
    }

    fn python(&self, scripts: &[String]) -> Vec<Option<SyntaxFault>> {
        compiled(&self.runtime.settings().python.interpreter, scripts).unwrap_or_default()
    }

    fn mcp_servers(&self) -> Vec<String> {
        let servers = self.runtime.mcp_servers().unwrap_or_default();
        servers.into_iter().map(|server| server.name).collect()
    }

    fn is_set(&self, variable: &str) -> bool {
        self.runtime.loaded().variable(variable).is_some()
    }
}

/// Has an interpreter compile sources; nothing where there is none, which the first run will tell.
fn compiled(interpreter: &str, scripts: &[String]) -> Option<Vec<Option<SyntaxFault>>> {
    let mut command = Command::new(interpreter);
    command.args(["-I", "-c", COMPILE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let written = child.stdin.take().map(|mut stdin| {
        let sources = serde_json::to_vec(scripts).unwrap_or_default();
        stdin.write_all(&sources)
    });
    let output = child.wait_with_output().ok()?;
    written?.ok()?;
    let found: Vec<Option<(usize, String)>> = serde_json::from_slice(&output.stdout).ok()?;
    let fault = |(line, message)| SyntaxFault { line, message };
    Some(found.into_iter().map(|found| found.map(fault)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_compiled_and_never_run() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let scripts = [
            format!("open({mark:?}, 'w')"),
            "x = 1\ndef (".to_owned(),
            "return 1".to_owned(),
            "a\0b".to_owned(),
        ];
        let Some(found) = compiled("python3", &scripts) else { return };
        let lines: Vec<_> = found.iter().map(|fault| fault.as_ref().map(|fault| fault.line)).collect();
        assert_eq!(lines, [None, Some(2), Some(1), Some(1)]);
        assert!(!mark.exists());
        assert_eq!(compiled("no-such-interpreter", &scripts), None);
    }
}
