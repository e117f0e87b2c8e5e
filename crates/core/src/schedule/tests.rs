//! Random graphs under random events, with every counter counted again after each; and each policy in a table.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decision::{Decision, Question, QuestionReason};
use crate::error::Retry;
use crate::id::RunId;
use crate::store::{AskedQuestion, ParentTask};
use crate::workflow::{Backoff, RetryPolicy};

/// Rows in a map: as little of a store as scheduling needs.
#[derive(Debug, Clone, PartialEq)]
struct Double {
    run: RunRow,
    tasks: BTreeMap<u32, Entry>,
    questions: Vec<AskedQuestion>,
    events: Vec<RunEvent>,
    error: Option<ErrorReport>,
    others: BTreeMap<RunId, RunState>,
    /// Tasks whose runs were abandoned, in order.
    abandoned: Vec<Option<u32>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    row: TaskRow,
    new: NewTask,
    error: Option<ErrorReport>,
    output: Option<Value>,
}

impl Double {
    fn new(tasks: &[NewTask]) -> Self {
        check_graph(tasks).unwrap();
        let run = new_run(&NewRun::new("workflow", "test", tasks.to_vec()));
        let mut double = Self {
            run,
            tasks: BTreeMap::new(),
            questions: Vec::new(),
            events: Vec::new(),
            error: None,
            others: BTreeMap::new(),
            abandoned: Vec::new(),
        };
        submit(&mut double, tasks, Millis(0)).unwrap();
        double
    }

    fn entry(&mut self, number: u32) -> Result<&mut Entry> {
        self.tasks
            .get_mut(&number)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no task {number}")))
    }

    fn row(&self, number: u32) -> &TaskRow {
        &self.tasks[&number].row
    }

    fn children(&self, parent: u32) -> impl Iterator<Item = &TaskRow> {
        self.tasks.values().map(|entry| &entry.row).filter(move |row| row.parent == Some(parent))
    }

    /// The tasks and how they stand, such as `a:done b:ready`.
    fn states(&self) -> String {
        let shown = self.tasks.values().map(|entry| format!("{}:{}", entry.new.name, entry.row.state));
        shown.collect::<Vec<_>>().join(" ")
    }
}

impl Rows for Double {
    fn run(&mut self) -> &mut RunRow {
        &mut self.run
    }

    fn task(&mut self, number: u32) -> Result<TaskRow> {
        self.entry(number).map(|entry| entry.row.clone())
    }

    fn save(&mut self, task: &TaskRow) -> Result<()> {
        self.entry(task.number)?.row = task.clone();
        Ok(())
    }

    fn name(&mut self, number: u32) -> Result<String> {
        self.entry(number).map(|entry| entry.new.name.clone())
    }

    fn dependents(&mut self, number: u32) -> Result<Vec<u32>> {
        let waits = |entry: &&Entry| entry.new.dependencies.contains(&number);
        Ok(self.tasks.values().filter(waits).map(|entry| entry.row.number).collect())
    }

    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>> {
        self.entry(number).map(|entry| entry.new.dependencies.clone())
    }

    fn numbers(&mut self) -> Result<Vec<u32>> {
        Ok(self.tasks.keys().copied().collect())
    }

    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()> {
        let mut new = task.clone();
        new.dependencies.sort_unstable();
        new.dependencies.dedup();
        let before =
            self.tasks.insert(row.number, Entry { row: row.clone(), new, error: None, output: None });
        assert_eq!(before, None, "a number was given twice");
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        self.tasks.remove(&number);
        self.questions.retain(|asked| asked.task != number);
        Ok(())
    }

    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()> {
        self.entry(number)?.error = error.cloned();
        Ok(())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.entry(number)?.output = Some(output.clone());
        Ok(())
    }

    fn has_ready(&mut self) -> Result<bool> {
        Ok(self.tasks.values().any(|entry| entry.row.state == TaskState::Ready))
    }

    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>> {
        Ok(self.questions.iter().find(|asked| asked.question.step == step).cloned())
    }

    fn set_question(&mut self, question: &AskedQuestion) -> Result<()> {
        self.questions.retain(|asked| asked.question.step != question.question.step);
        self.questions.push(question.clone());
        Ok(())
    }

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        self.events.push(event);
        Ok(())
    }

    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()> {
        self.error = error.cloned();
        Ok(())
    }

    fn active_with(&mut self, key: &str) -> Result<u32> {
        let holds = |entry: &&Entry| {
            entry.row.state == TaskState::Running
                && entry.row.limit.as_ref().is_some_and(|limit| limit.key == key)
        };
        Ok(u32::try_from(self.tasks.values().filter(holds).count()).unwrap())
    }

    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>> {
        Ok(self.others.get(run).copied())
    }

    fn abandon(&mut self, task: Option<u32>) {
        self.abandoned.push(task);
    }
}

fn task(name: impl Into<String>, dependencies: &[u32], on_failure: OnFailure) -> NewTask {
    NewTask { dependencies: dependencies.to_vec(), on_failure, ..NewTask::named(name) }
}

const POLICIES: [OnFailure; 3] = [OnFailure::Fail, OnFailure::SkipDependents, OnFailure::Continue];

/// What happens next; the number picks one of the tasks that it can happen to.
#[derive(Debug, Clone, Copy)]
enum Event {
    Claim(usize),
    Done(usize),
    Skipped(usize),
    Failed(usize, Retry),
    Expand(usize, u8, OnFailure),
    Released(usize),
    Asks(usize, u8),
    Decided(usize),
    Awaits(usize, RunState),
    ChildChanged(usize, RunState),
    TooLongAsked(usize),
    Pause,
    TimeOut,
    WorkerDied(usize),
    StaleReport(usize),
    TimePasses,
    Cancel,
    Resume,
    Redefine(u64),
}

/// A run under events.
struct World {
    double: Double,
    now: Millis,
    stale: Vec<LeaseToken>,
    /// Counts names that were made up.
    made: u32,
}

impl World {
    fn new(tasks: &[NewTask]) -> Self {
        Self { double: Double::new(tasks), now: Millis(1), stale: Vec::new(), made: 0 }
    }

    /// Gives one of the tasks that this holds for.
    fn pick(&self, pick: usize, fits: impl Fn(&TaskRow) -> bool) -> Option<u32> {
        let numbers: Vec<u32> = self
            .double
            .tasks
            .values()
            .map(|entry| &entry.row)
            .filter(|row| fits(row))
            .map(|row| row.number)
            .collect();
        (!numbers.is_empty()).then(|| numbers[pick % numbers.len()])
    }

    fn running(&self, pick: usize) -> Option<LeaseToken> {
        let number = self.pick(pick, |row| row.state == TaskState::Running)?;
        self.double.row(number).token.clone()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Claim(pick) => self.claim(pick),
            Event::Done(pick) => self.end(pick, Outcome::Done { output: json!("result") }),
            Event::Skipped(pick) => self.end(pick, Outcome::Skipped { reason: "no".to_owned() }),
            Event::Failed(pick, retry) => {
                let error = Error::new(ErrorKind::ToolFailed, "boom").with_retry(retry).report();
                self.end(pick, Outcome::Failed { error, chance: 0.5 });
            }
            Event::Expand(pick, count, policy) => self.expand(pick, count, policy),
            Event::Released(pick) => self.end(pick, Outcome::Released),
            Event::Asks(pick, count) => self.ask(pick, count),
            Event::Decided(pick) => self.decide(pick),
            Event::WorkerDied(pick) => self.reclaim(pick),
            Event::StaleReport(pick) => self.report_stale(pick),
            Event::TimePasses => self.now = self.now.after(Duration::from_secs(3)),
            Event::Cancel => {
                let ended = matches!(self.double.run.state, RunState::Completed | RunState::Failed);
                assert_eq!(cancel(&mut self.double, self.now).is_err(), ended);
            }
            Event::Resume => self.keeping_results(
                |_| true,
                |world| {
                    let completed = world.double.run.state == RunState::Completed;
                    assert_eq!(resume(&mut world.double, world.now).is_err(), completed);
                },
            ),
            Event::Redefine(choices) => self.redefine(choices),
            Event::Awaits(pick, state) => {
                let joins_items = |row: &TaskRow| row.joining && row.awaits.is_none();
                if self.running(pick).is_some_and(|token| !joins_items(self.double.row(token.task))) {
                    let run = RunId::new();
                    self.double.others.insert(run.clone(), state);
                    self.end(pick, Outcome::Awaiting { run });
                }
            }
            Event::ChildChanged(pick, state) => self.child_changed(pick, state),
            Event::TooLongAsked(pick) => {
                let asks = |row: &TaskRow| row.waits_for_people() && row.lease_until.0 > 0;
                if let Some(number) = self.pick(pick, asks) {
                    let due = self.double.row(number).lease_until;
                    self.now = self.now.max(due);
                    wake(&mut self.double, number, self.now).unwrap();
                    assert_eq!(self.double.row(number).state, TaskState::Ready);
                }
            }
            Event::Pause => {
                let can =
                    matches!(self.double.run.state, RunState::Running | RunState::Waiting | RunState::Paused);
                assert_eq!(pause(&mut self.double, self.now).is_ok(), can);
            }
            Event::TimeOut => {
                self.double.run.deadline = Some(self.now);
                time_out(&mut self.double, self.now).unwrap();
            }
        }
        self.check();
    }

    fn claim(&mut self, pick: usize) {
        let (state, now) = (self.double.run.state, self.now);
        let Some(number) = self.pick(pick, |row| row.is_claimable(state, now)) else { return };
        let worker = WorkerId::from_stored("w");
        let until = now.after(Duration::from_secs(30));
        let room = self.double.run.has_room();
        let token = lease(&mut self.double, number, &worker, now, until).unwrap();
        assert_eq!(token.is_some(), room);
        if let Some(token) = token {
            assert!(self.double.row(number).is_held_by(&token));
        }
    }

    fn child_changed(&mut self, pick: usize, state: RunState) {
        let Some(number) = self.pick(pick, |row| row.state == TaskState::Waiting && row.awaits.is_some())
        else {
            return;
        };
        let (parent, run) = (self.double.run.id.clone(), self.double.row(number).awaits.clone().unwrap());
        self.double.others.insert(run.clone(), state);
        let news =
            News { parent: ParentTask { root: parent.clone(), run: parent, task: number }, run, state };
        child_changed(&mut self.double, &news, self.now).unwrap();
        let before = self.double.clone();
        child_changed(&mut self.double, &news, self.now).unwrap();
        assert_eq!(self.double, before);
    }

    /// Ends an attempt, and reports a second time that it ended otherwise, which must change nothing.
    fn end(&mut self, pick: usize, outcome: Outcome) {
        let Some(token) = self.running(pick) else { return };
        let applied = complete(&mut self.double, &token, outcome, self.now).unwrap();
        assert_eq!(applied.run, self.double.run.state);
        assert_eq!(applied.state, self.double.row(token.task).state);
        let before = self.double.clone();
        let repeated =
            complete(&mut self.double, &token, Outcome::Done { output: json!("other") }, self.now).unwrap();
        assert_eq!(repeated, Applied { ready: 0, ..applied });
        assert_eq!(self.double, before);
    }

    fn expand(&mut self, pick: usize, count: u8, policy: OnFailure) {
        let number =
            self.pick(pick, |row| row.state == TaskState::Running && !row.joining && row.awaits.is_none());
        let Some(token) = number.and_then(|number| self.double.row(number).token.clone()) else { return };
        let name = self.double.name(token.task).unwrap();
        let children = (0..count).map(|index| task(format!("{name}[{index}]"), &[], policy)).collect();
        complete(&mut self.double, &token, Outcome::Expand { children }, self.now).unwrap();
    }

    /// Parks a task with questions; asked again at the same places, they are about something else.
    fn ask(&mut self, pick: usize, count: u8) {
        let Some(token) = self.running(pick) else { return };
        self.made += 1;
        let ask = |place| {
            let mut question =
                Question::new(format!("{}/{place}", token.task), QuestionReason::Approval, "pay");
            question.arguments = json!(self.made);
            question
        };
        let questions = (0..count).map(ask).collect();
        let at_most_ms = self.made.is_multiple_of(2).then_some(5_000);
        self.end(pick, Outcome::Waiting { questions, at_most_ms });
    }

    /// Answers one open question; the same answer again changes nothing, and another one is refused.
    fn decide(&mut self, pick: usize) {
        let open: Vec<_> = self.double.questions.iter().filter(|asked| asked.is_open()).cloned().collect();
        if open.is_empty() {
            return;
        }
        let step = open[pick % open.len()].question.step.clone();
        let yes = Decision::Approve { arguments: None };
        decide(&mut self.double, &step, yes.clone(), self.now).unwrap();
        let before = self.double.clone();
        decide(&mut self.double, &step, yes, self.now).unwrap();
        let no = Decision::Deny { reason: None };
        assert_eq!(decide(&mut self.double, &step, no, self.now).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(self.double, before);
    }

    fn reclaim(&mut self, pick: usize) {
        let Some(token) = self.running(pick) else { return };
        let state = reclaim(&mut self.double, token.task, self.now).unwrap();
        assert_eq!(state == TaskState::Dead, self.double.row(token.task).crashes == MAX_CRASHES);
        if state == TaskState::Ready {
            self.stale.push(token);
        }
    }

    /// Reports the end of an attempt that was taken back. Until the task is claimed again it counts as a repetition.
    fn report_stale(&mut self, pick: usize) {
        if self.stale.is_empty() {
            return;
        }
        let token = self.stale[pick % self.stale.len()].clone();
        let current =
            self.double.tasks.get(&token.task).is_some_and(|entry| entry.row.token.as_ref() == Some(&token));
        let before = self.double.clone();
        let answer = complete(&mut self.double, &token, Outcome::Done { output: json!("stale") }, self.now);
        match answer {
            Ok(applied) => assert!(current && applied.ready == 0),
            Err(error) => assert!(!current && error.kind() == ErrorKind::Conflict),
        }
        assert_eq!(self.double, before);
    }

    /// Checks that the tasks of these names that are done stay so, with their results.
    fn keeping_results(&mut self, named: impl Fn(&str) -> bool, change: impl FnOnce(&mut Self)) {
        let kept: Vec<Entry> =
            self.double.tasks.values().filter(|entry| named(&entry.new.name)).cloned().collect();
        change(self);
        for entry in kept.iter().filter(|entry| entry.row.state == TaskState::Done) {
            assert_eq!(self.double.tasks.get(&entry.row.number), Some(entry));
        }
    }

    /// Removes, changes, and adds tasks as the bits of a number say.
    fn redefine(&mut self, choices: u64) {
        let top: Vec<&Entry> =
            self.double.tasks.values().filter(|entry| entry.row.parent.is_none()).collect();
        let choice = |number: u32| (choices >> (2 * number % 62)) & 3;
        let stays: Vec<&&Entry> = top.iter().filter(|entry| choice(entry.row.number) != 3).collect();
        let place = |number: &u32| stays.iter().position(|entry| entry.row.number == *number);
        let mut unchanged: Vec<String> = Vec::new();
        let mut tasks = Vec::new();
        for entry in &stays {
            let places: Vec<Option<usize>> = entry.new.dependencies.iter().map(place).collect();
            let as_before = places
                .iter()
                .all(|place| place.is_some_and(|place| unchanged.contains(&stays[place].new.name)));
            if as_before && choice(entry.row.number) != 2 {
                unchanged.push(entry.new.name.clone());
            }
            let dependencies =
                places.into_iter().flatten().map(|place| u32::try_from(place).unwrap()).collect();
            tasks.push(NewTask { dependencies, ..entry.new.clone() });
        }
        self.made += 1;
        let last = u32::try_from(tasks.len()).unwrap().checked_sub(1);
        tasks.push(task(
            format!("made-{}", self.made),
            &last.into_iter().collect::<Vec<_>>(),
            OnFailure::Fail,
        ));
        let names = unchanged.clone();
        self.keeping_results(
            |name| names.iter().any(|kept| name == kept),
            |world| {
                let (active, before) = (world.double.run.active, world.double.clone());
                let change = Redefinition { tasks: &tasks, unchanged: &unchanged };
                let answer = redefine(&mut world.double, &change, world.now);
                assert_eq!(answer.is_err(), active > 0);
                if active > 0 {
                    assert_eq!(world.double, before);
                }
            },
        );
    }

    /// Ends everything well until the run has ended.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if self.double.run.state.is_ended() {
                return;
            }
            let ends = Event::ChildChanged(0, RunState::Completed);
            for event in [Event::TimePasses, Event::Claim(0), Event::Decided(0), ends, Event::Done(0)] {
                self.apply(event);
            }
            if self.double.run.state == RunState::Paused {
                self.apply(Event::Resume);
            }
        }
        panic!("the run does not end: {:?} {}", self.double.run, self.double.states());
    }

    /// Counts everything again.
    fn check(&self) {
        let (run, rows) = (&self.double.run, || self.double.tasks.values().map(|entry| &entry.row));
        let count =
            |fits: &dyn Fn(&TaskRow) -> bool| u32::try_from(rows().filter(|row| fits(row)).count()).unwrap();
        let in_state = |state: TaskState| count(&|row| row.state == state);
        let counted = (count(&|row| !row.state.is_ended()), in_state(TaskState::Running), count(&|_| true));
        assert_eq!((run.open, run.active, run.tasks), counted, "{}", self.double.states());
        let failed = in_state(TaskState::Failed) + in_state(TaskState::Dead);
        let ended = [in_state(TaskState::Done), failed, in_state(TaskState::Skipped)];
        assert_eq!([run.done, run.failed, run.skipped], ended, "{}", self.double.states());
        assert!((1..=run.events).eq(self.double.events.iter().map(|event| event.seq)));
        assert!(run.max_active.is_none_or(|most| run.active <= most));
        assert_eq!(self.double.error.is_some(), run.fatal > 0, "{}", self.double.states());
        assert_eq!(run.ended_at.is_some(), run.state.is_ended());
        assert_eq!(run.waiting, count(&TaskRow::waits_for_people), "{}", self.double.states());
        let awaits = |row: &TaskRow| {
            row.state == TaskState::Waiting && row.awaits.is_some() && row.open_questions == 0
        };
        assert_eq!(run.awaiting, count(&awaits), "{}", self.double.states());
        match run.state {
            RunState::Running => assert!(
                in_state(TaskState::Ready) + in_state(TaskState::Running) > 0
                    || count(&|row| row.state == TaskState::Waiting && row.awaits.is_some()) > 0,
                "nothing can happen: {}",
                self.double.states()
            ),
            RunState::Waiting => assert!(
                run.waiting > 0 && in_state(TaskState::Ready) + in_state(TaskState::Running) == 0,
                "something can happen: {}",
                self.double.states()
            ),
            RunState::Failing | RunState::Cancelling | RunState::TimingOut => assert!(run.active > 0),
            RunState::Paused => assert!(run.open > 0),
            RunState::Completed => assert_eq!((run.open, run.fatal), (0, 0)),
            RunState::Failed | RunState::Cancelled => assert_eq!(run.active, 0),
        }
        for entry in self.double.tasks.values() {
            self.check_task(entry);
        }
    }

    fn check_task(&self, Entry { row, new, error, output }: &Entry) {
        let shown = || format!("{} in {}", new.name, self.double.states());
        // A failure that stops the run lets nothing go.
        let lets_go = |row: &TaskRow| match row.state {
            TaskState::Failed | TaskState::Dead => row.on_failure != OnFailure::Fail,
            state => state.is_ended(),
        };
        let is_open = |number: &&u32| !lets_go(self.double.row(**number));
        let open = if row.parent.is_some() { 0 } else { new.dependencies.iter().filter(is_open).count() };
        let children: Vec<&TaskRow> = self.double.children(row.number).collect();
        let open_children = children.iter().filter(|child| !child.state.is_ended()).count();
        assert_eq!(output.is_some(), row.state == TaskState::Done, "{}", shown());
        assert_eq!(row.ended_at.is_some(), row.state.is_ended(), "{}", shown());
        match row.state {
            TaskState::Blocked => assert!(open > 0 && row.remaining as usize == open, "{}", shown()),
            TaskState::Skipped => assert!(error.is_some(), "{}", shown()),
            _ => assert_eq!(open, 0, "{}", shown()),
        }
        let asked =
            self.double.questions.iter().filter(|asked| asked.task == row.number && asked.is_open()).count();
        let awaits = row.state == TaskState::Waiting && row.awaits.is_some();
        if awaits {
            let halted = self.double.others[row.awaits.as_ref().unwrap()].is_halted();
            assert_eq!(row.open_questions > 0, halted, "{}", shown());
        } else {
            // What was asked too long stays open, though nobody waits for it.
            assert!(row.open_questions as usize <= asked, "{}", shown());
        }
        match row.state {
            TaskState::Waiting if awaits => assert!(!row.joining && open_children == 0, "{}", shown()),
            TaskState::Waiting if row.open_questions > 0 => assert_eq!(open_children, 0, "{}", shown()),
            TaskState::Waiting => {
                let failed = children.iter().filter(|child| child.state.has_failed()).count();
                let counted = (row.open_children as usize, row.failed_children as usize);
                assert_eq!(counted, (open_children, failed), "{}", shown());
                assert!(open_children > 0 && !row.joining, "{}", shown());
            }
            TaskState::Ready | TaskState::Running => {
                assert!(row.joining || children.is_empty(), "{}", shown());
                assert_eq!(open_children, 0, "{}", shown());
            }
            TaskState::Done => assert!(error.is_none() && open_children == 0, "{}", shown()),
            TaskState::Failed | TaskState::Dead => {
                assert!(error.is_some() && self.is_allowed(row), "{}", shown());
            }
            TaskState::Blocked | TaskState::Skipped => {}
            TaskState::Cancelled => panic!("it is never stored: {}", shown()),
        }
    }

    /// Tells whether a failure is one that a completed run may have.
    fn is_allowed(&self, failed: &TaskRow) -> bool {
        if self.double.run.state != RunState::Completed {
            return true;
        }
        match failed.parent.map(|parent| self.double.row(parent)) {
            None => failed.on_failure == OnFailure::Continue,
            // A failed parent is looked at itself.
            Some(parent) => parent.state.has_failed() || parent.on_failure == OnFailure::Continue,
        }
    }
}

fn policy() -> impl Strategy<Value = OnFailure> {
    proptest::sample::select(&POLICIES[..])
}

fn retry() -> impl Strategy<Value = Retry> {
    prop_oneof![Just(Retry::Never), Just(Retry::Backoff), Just(Retry::After(Duration::from_secs(2)))]
}

fn child_state() -> impl Strategy<Value = RunState> {
    proptest::sample::select(RunState::ALL)
}

/// Up to a dozen tasks, each of which may wait for any earlier one.
fn graphs() -> impl Strategy<Value = Vec<NewTask>> {
    let one = (any::<u16>(), any::<u16>(), policy(), 1u32..4, any::<bool>());
    proptest::collection::vec(one, 1..12).prop_map(|tasks| {
        let build =
            |(number, (some, of_them, on_failure, max_attempts, delayed)): (u32, (u16, u16, _, _, bool))| {
                let dependencies: Vec<u32> =
                    (0..number).filter(|earlier| (some & of_them) >> earlier & 1 == 1).collect();
                let base_delay = if delayed { Duration::from_secs(1) } else { Duration::ZERO };
                let retry = RetryPolicy {
                    max_attempts,
                    base_delay,
                    backoff: Backoff::Fixed,
                    ..RetryPolicy::default()
                };
                NewTask { retry, ..task(format!("t{number}"), &dependencies, on_failure) }
            };
        (0..).zip(tasks).map(build).collect()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pick = || any::<usize>();
    let event = prop_oneof![
        12 => pick().prop_map(Event::Claim),
        8 => pick().prop_map(Event::Done),
        1 => pick().prop_map(Event::Skipped),
        3 => (pick(), retry()).prop_map(|(pick, retry)| Event::Failed(pick, retry)),
        3 => (pick(), 0u8..4, policy()).prop_map(|(pick, count, policy)| Event::Expand(pick, count, policy)),
        1 => pick().prop_map(Event::Released),
        3 => (pick(), 1u8..4).prop_map(|(pick, count)| Event::Asks(pick, count)),
        3 => pick().prop_map(Event::Decided),
        2 => pick().prop_map(Event::WorkerDied),
        2 => pick().prop_map(Event::StaleReport),
        2 => Just(Event::TimePasses),
        2 => (pick(), child_state()).prop_map(|(pick, state)| Event::Awaits(pick, state)),
        2 => (pick(), child_state()).prop_map(|(pick, state)| Event::ChildChanged(pick, state)),
        1 => pick().prop_map(Event::TooLongAsked),
        1 => Just(Event::Pause),
        1 => Just(Event::TimeOut),
        1 => Just(Event::Cancel),
        2 => Just(Event::Resume),
        1 => any::<u64>().prop_map(Event::Redefine),
    ];
    proptest::collection::vec(event, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_counters_are_right_and_the_run_can_be_brought_to_a_good_end(
        tasks in graphs(),
        events in events(),
    ) {
        let mut world = World::new(&tasks);
        world.check();
        for event in events {
            world.apply(event);
        }
        world.finish();
        if world.double.run.state != RunState::Completed {
            world.apply(Event::Resume);
            world.finish();
        }
        prop_assert_eq!(world.double.run.state, RunState::Completed);
    }

    #[test]
    fn without_failures_every_task_is_done_once(tasks in graphs(), picks in proptest::collection::vec(any::<usize>(), 24)) {
        let mut world = World::new(&tasks);
        for (claim, done) in picks.iter().zip(picks.iter().rev()) {
            world.apply(Event::Claim(*claim));
            world.apply(Event::Done(*done));
        }
        world.finish();
        prop_assert_eq!(world.double.run.done as usize, tasks.len());
        prop_assert!(world.double.tasks.values().all(|entry| entry.row.attempt == 1));
    }
}

/// Runs `a`, which ends in this way, then everything that can run, and gives how all ended.
fn after_first(policy: OnFailure, event: Event) -> (String, RunState) {
    let tasks = [
        task("a", &[], policy),
        task("b", &[0], OnFailure::Fail),
        task("c", &[1], OnFailure::Fail),
        task("d", &[], OnFailure::Fail),
    ];
    let mut world = World::new(&tasks);
    world.apply(Event::Claim(0));
    world.apply(event);
    if !world.double.run.state.is_ended() {
        world.finish();
    }
    (world.double.states(), world.double.run.state)
}

#[test]
fn each_policy_means_what_it_says() {
    let failed = Event::Failed(0, Retry::Never);
    for (policy, event, states, state) in [
        (OnFailure::Fail, Event::Done(0), "a:done b:done c:done d:done", RunState::Completed),
        (OnFailure::Fail, Event::Skipped(0), "a:skipped b:done c:done d:done", RunState::Completed),
        (OnFailure::Fail, failed, "a:failed b:blocked c:blocked d:ready", RunState::Failed),
        (OnFailure::SkipDependents, failed, "a:failed b:skipped c:skipped d:done", RunState::Failed),
        (OnFailure::Continue, failed, "a:failed b:done c:done d:done", RunState::Completed),
        (OnFailure::Continue, Event::Cancel, "a:running b:blocked c:blocked d:ready", RunState::Cancelling),
    ] {
        let (ended, run) = match event {
            Event::Cancel => {
                let mut world = World::new(&[
                    task("a", &[], policy),
                    task("b", &[0], policy),
                    task("c", &[1], policy),
                    task("d", &[], policy),
                ]);
                world.apply(Event::Claim(0));
                world.apply(event);
                (world.double.states(), world.double.run.state)
            }
            _ => after_first(policy, event),
        };
        assert_eq!((ended.as_str(), run), (states, state), "{policy:?} {event:?}");
    }
}

/// Spreads `a` over two items of this policy, of which the first fails, and gives how all ended.
fn after_first_item(parent: OnFailure, item: OnFailure) -> (String, RunState) {
    let mut world = World::new(&[task("a", &[], parent), task("b", &[0], OnFailure::Fail)]);
    for event in [Event::Claim(0), Event::Expand(0, 2, item), Event::Claim(0), Event::Failed(0, Retry::Never)]
    {
        world.apply(event);
    }
    if !world.double.run.state.is_ended() {
        world.finish();
    }
    (world.double.states(), world.double.run.state)
}

#[test]
fn the_failure_of_an_item_means_what_its_policy_and_that_of_its_task_say() {
    use OnFailure::{Continue, Fail, SkipDependents};
    for (parent, item, states, state) in [
        (Fail, Fail, "a:failed b:blocked a[0]:failed a[1]:ready", RunState::Failed),
        (SkipDependents, Fail, "a:failed b:skipped a[0]:failed a[1]:done", RunState::Failed),
        (Continue, Fail, "a:failed b:done a[0]:failed a[1]:done", RunState::Completed),
        (Fail, SkipDependents, "a:failed b:blocked a[0]:failed a[1]:done", RunState::Failed),
        (SkipDependents, SkipDependents, "a:failed b:skipped a[0]:failed a[1]:done", RunState::Failed),
        (Fail, Continue, "a:failed b:blocked a[0]:failed a[1]:done", RunState::Failed),
        (Continue, Continue, "a:done b:done a[0]:failed a[1]:done", RunState::Completed),
    ] {
        let (ended, run) = after_first_item(parent, item);
        assert_eq!((ended.as_str(), run), (states, state), "{parent:?} {item:?}");
    }
}

#[test]
fn retries_are_counted_without_released_and_forgiven_attempts() {
    let retry = RetryPolicy { max_attempts: 2, base_delay: Duration::ZERO, ..RetryPolicy::default() };
    let mut world = World::new(&[NewTask { retry, ..task("a", &[], OnFailure::Fail) }]);
    let failed = Event::Failed(0, Retry::Backoff);
    for (events, expected) in [
        (vec![Event::Claim(0), Event::Released(0), Event::Claim(0), failed], RunState::Running),
        (vec![Event::Claim(0), failed], RunState::Failed),
        (vec![Event::Resume, Event::Claim(0), failed], RunState::Running),
        (vec![Event::Claim(0), failed], RunState::Failed),
    ] {
        events.into_iter().for_each(|event| world.apply(event));
        assert_eq!(world.double.run.state, expected);
    }
}
