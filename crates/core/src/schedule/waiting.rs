//! Tasks that cannot go on before people decide, and the decisions that let them.

use std::time::Duration;

use super::{Rows, TaskRow, change_run, note, settle};
use crate::decision::{Decision, Question};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Millis;
use crate::store::{AskedQuestion, Change, RunState, TaskState};

/// Refuses a task that waits for nothing, as nothing would ever wake it.
pub(super) fn check(questions: &[Question]) -> Result<()> {
    if questions.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "a task that waits for people asks nothing"));
    }
    Ok(())
}

/// Parks a task until its questions are answered; gives how many tasks became ready.
pub(super) fn wait(
    rows: &mut dyn Rows,
    task: &mut TaskRow,
    (questions, at_most_ms): (Vec<Question>, Option<u64>),
    now: Millis,
) -> Result<u32> {
    let mut open = 0;
    for question in questions {
        let asked = rows.question(&question.step)?;
        match asked.filter(|asked| asked.task == task.number && asked.question == question) {
            Some(asked) => open += u32::from(asked.is_open()),
            // An answer to another question of this place, such as one about other arguments, is none to this one.
            None => {
                let run = rows.run().id.clone();
                let asked = AskedQuestion {
                    run,
                    task: task.number,
                    question,
                    answer: None,
                    asked_at: now,
                    decided_at: None,
                };
                rows.set_question(&asked)?;
                open += 1;
            }
        }
    }
    task.attempt -= 1;
    task.open_questions = open;
    task.awaits = None;
    task.not_before = now;
    task.state = if open == 0 { TaskState::Ready } else { TaskState::Waiting };
    task.lease_until = at_most_ms.map_or(Millis::default(), |most| now.after(Duration::from_millis(most)));
    rows.save(task)?;
    rows.run().waiting += u32::from(open > 0);
    if open > 0 {
        note(rows, Some(task.number), Change::Asked { questions: open }, now)?;
    }
    Ok(u32::from(open == 0))
}

/// Answers a question; a task all of whose questions have answers is ready again.
///
/// # Errors
/// `NotFound` when nothing is asked at this step; `Conflict` when it was answered otherwise; the rows' own errors.
pub fn decide(rows: &mut dyn Rows, step: &str, decision: Decision, now: Millis) -> Result<RunState> {
    let Some(mut asked) = rows.question(step)? else {
        let message = format!("run `{}` asks nothing at `{step}`", rows.run().id);
        return Err(Error::new(ErrorKind::NotFound, message)
            .with_hint("`motet agent questions` lists what waits for a decision"));
    };
    match &asked.answer {
        Some(answer) if *answer == decision => return Ok(rows.run().state),
        Some(_) => {
            let message = format!("the question at `{step}` was answered otherwise already");
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint("a decision stands once it is made; `motet agent questions` shows it"));
        }
        None => {}
    }
    asked.answer = Some(decision);
    asked.decided_at = Some(now);
    rows.set_question(&asked)?;
    let mut task = rows.task(asked.task)?;
    if !task.waits_for_people() || task.awaits.is_some() {
        return Ok(rows.run().state);
    }
    task.open_questions -= 1;
    if task.open_questions == 0 {
        return go_on(rows, &mut task, now);
    }
    rows.save(&task)?;
    Ok(rows.run().state)
}

/// Lets a task go on whose waiting for people took too long; any other stays as it is.
///
/// # Errors
/// The rows' own errors.
pub fn wake(rows: &mut dyn Rows, number: u32, now: Millis) -> Result<RunState> {
    let mut task = rows.task(number)?;
    let is_over = task.waits_for_people() && task.due(now).is_some_and(|due| due <= now);
    if is_over { go_on(rows, &mut task, now) } else { Ok(rows.run().state) }
}

fn go_on(rows: &mut dyn Rows, task: &mut TaskRow, now: Millis) -> Result<RunState> {
    task.state = TaskState::Ready;
    task.open_questions = 0;
    task.not_before = now;
    rows.save(task)?;
    note(rows, Some(task.number), Change::Woken, now)?;
    let run = rows.run();
    run.waiting = run.waiting.saturating_sub(1);
    if run.state == RunState::Waiting {
        change_run(rows, RunState::Running, None, now)?;
    }
    settle(rows, now)
}
