//! Looks whether an interpreter has what code needs, before the code runs. Installs nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use motet_core::{Error, ErrorKind, Result};
use tokio::process::Command;

use super::child;

const LOOK: &str = include_str!("requirements.py");
/// Longest time of a look.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was found to be there, so that it is looked for once.
#[derive(Debug, Default)]
pub(super) struct Checked(Mutex<HashSet<(String, Vec<String>)>>);

impl Checked {
    /// Refuses code whose requirements the interpreter does not meet.
    pub(super) async fn check(
        &self,
        interpreter: &str,
        environment: &[(OsString, OsString)],
        requirements: &[String],
    ) -> Result<()> {
        let key = (interpreter.to_owned(), requirements.to_vec());
        if requirements.is_empty() || self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let missing = look(interpreter, environment, requirements).await?;
        if !missing.is_empty() {
            let message =
                format!("`{interpreter}` does not have what the code needs: {}", missing.join("; "));
            return Err(Error::new(ErrorKind::Configuration, message).with_hint(format!(
                "install it there, for example by `{interpreter} -m pip install {}`",
                requirements.iter().map(|one| format!("'{one}'")).collect::<Vec<_>>().join(" ")
            )));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(())
    }
}

async fn look(
    interpreter: &str,
    environment: &[(OsString, OsString)],
    requirements: &[String],
) -> Result<Vec<String>> {
    let mut command = Command::new(child::program(interpreter)?);
    command
        .args(["-I", "-X", "utf8", "-c", LOOK])
        .args(requirements)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let broken = |why: String| {
        Error::new(
            ErrorKind::Configuration,
            format!("`{interpreter}` cannot tell what is installed for it: {why}"),
        )
        .with_hint("name a CPython 3.9 or later")
    };
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| broken(format!("it gave no answer within {PATIENCE:?}")))?
        .map_err(|error| child::cannot_start(interpreter, error))?;
    serde_json::from_slice(&output.stdout).map_err(|_| broken(output.status.to_string()))
}
