//! What people decide about runs: asked from the store, answered into it, and read back by the run that goes on.

use motet_agents::schema;
use motet_core::RunId;
use motet_core::decision::Decision;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::{AskedQuestion, RunFilter, RunSummary};

use crate::report;
use crate::runtime::Runtime;

impl Runtime {
    /// Gives what runs ask people, answered or not, of one run or of all, in the order asked.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store fails.
    pub async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        self.store().await?.questions(run).await
    }

    /// Gives what a run asks people, and what the runs that its tasks started ask, at any depth.
    ///
    /// # Errors
    /// As [`questions`](Self::questions).
    pub async fn questions_below(&self, run: &RunId) -> Result<Vec<AskedQuestion>> {
        let store = self.store().await?;
        let found = store.run(run).await?.ok_or_else(|| report::no_such_run(run))?;
        let filter = RunFilter { root: Some(found.summary.root().clone()), ..RunFilter::default() };
        let tree = store.runs(&filter).await?;
        let mut below = vec![run.clone()];
        let mut asked = Vec::new();
        while let Some(run) = below.pop() {
            asked.extend(store.questions(Some(&run)).await?);
            let started = |one: &&RunSummary| one.parent.as_ref().is_some_and(|parent| parent.run == run);
            below.extend(tree.iter().filter(started).map(|one| one.id.clone()));
        }
        Ok(asked)
    }

    /// Answers a question of a run; `step` may be left out where only one is open. Gives the question with its answer.
    ///
    /// # Errors
    /// `NotFound` when there is no such run or question; `InvalidRequest` when several are open and none was named, or
    /// the arguments decided on do not satisfy the tool's schema; `Conflict` when it was answered otherwise.
    pub async fn decide(&self, run: &RunId, step: Option<&str>, decision: Decision) -> Result<AskedQuestion> {
        let store = self.store().await?;
        let asked = chosen(run, store.questions(Some(run)).await?, step)?;
        if let Decision::Approve { arguments: Some(arguments) } = &decision {
            schema::check(&asked.question.schema, arguments).map_err(|findings| {
                let tool = &asked.question.tool;
                let message = format!("the arguments do not match the schema of `{tool}`: {findings}");
                Error::new(ErrorKind::InvalidRequest, message).with_hint("nothing was decided; decide again")
            })?;
        }
        store.decide(run, &asked.question.step, decision.clone()).await?;
        Ok(AskedQuestion { answer: Some(decision), ..asked })
    }
}

/// Finds the question that is meant.
fn chosen(run: &RunId, asked: Vec<AskedQuestion>, step: Option<&str>) -> Result<AskedQuestion> {
    let hint = "`motet questions` lists what waits for a decision";
    if let Some(step) = step {
        return asked.into_iter().find(|asked| asked.question.step == step).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("run `{run}` asks nothing at `{step}`")).with_hint(hint)
        });
    }
    let mut open: Vec<AskedQuestion> = asked.into_iter().filter(AskedQuestion::is_open).collect();
    match (open.pop(), open.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => {
            Err(Error::new(ErrorKind::NotFound, format!("run `{run}` waits for no decision")).with_hint(hint))
        }
        (Some(last), others) => {
            let message = format!("run `{run}` waits for {} decisions", others + 1);
            Err(Error::new(ErrorKind::InvalidRequest, message)
                .with_hint(format!("name one of them, such as `{}`; {hint}", last.question.step)))
        }
    }
}
