//! The graph that workers run, and the method that its tasks call.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::run_log::{Step, StepKind};
use motet_core::store::NewRun;
use motet_core::tool::Effect as ToolEffect;
use motet_core::workflow::WorkflowSpec;
use motet_workflows::dag::plan::{RunSettings, plan};
use serde_json::{Map, Value, json};

use super::effects::{Effect, Effects};
use super::{Chaos, Numbers};

/// How a graph looks.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Layers of tasks, each of which waits for tasks of the one before.
    pub layers: u32,
    /// Tasks of a layer.
    pub width: u32,
    /// Whether a task takes every worker down that runs it.
    pub poison: bool,
}

/// Name of the method.
const METHOD: &str = "chaos/step";

/// Name of the task that takes workers down.
const POISON: &str = "poison";

/// Tells whether a task takes workers down.
pub(super) fn is_poison(name: &str) -> bool {
    name == POISON
}

/// Makes the run of a seed: layers of tasks, of which some spread over items, some fail at first, and one may be poison.
pub(super) fn run_of(chaos: &Chaos) -> Result<NewRun> {
    let Shape { layers, width, poison } = chaos.shape;
    let mut numbers = Numbers::new(chaos.seed ^ 0xface);
    let mut tasks: Vec<Value> = Vec::new();
    for layer in 0..layers {
        for place in 0..width {
            let mut dependencies: Vec<String> = Vec::new();
            for _ in 0..numbers.below(3) + 1 {
                let above = format!("t{}-{}", layer.wrapping_sub(1), numbers.below(width));
                if layer > 0 && !dependencies.contains(&above) {
                    dependencies.push(above);
                }
            }
            let fails = if numbers.below(5) == 0 { 1 + numbers.below(2) } else { 0 };
            let mut task = json!({
                "id": format!("t{layer}-{place}"),
                "method": METHOD,
                "params": {"sleep_ms": 2 + numbers.below(25), "fails": fails},
                "dependencies": dependencies,
                "retry": {"max_attempts": 5, "base_delay": 5, "max_delay": 20, "backoff": "fixed", "jitter": true},
            });
            if numbers.below(6) == 0 {
                task["for_each"] = json!({"items": [0, 1, 2, 3]});
            }
            tasks.push(task);
        }
    }
    if poison {
        // Beside the first layer, so that its worker has others in hand when it dies.
        let poison = json!({
            "id": POISON, "method": METHOD, "params": {"poison": true}, "on_failure": "skip_dependents",
        });
        tasks.insert(numbers.below(width) as usize, poison);
    }
    let spec: WorkflowSpec = serde_json::from_value(json!({"name": "chaos", "tasks": tasks}))?;
    Ok(plan(&spec, Map::new(), &RunSettings::default())?)
}

/// What the tasks call: it pays for something once, takes its time, and fails as it is told to.
pub struct Play {
    /// Where it notes what it does.
    pub effects: PathBuf,
}

const PARAMETERS: &[Parameter] = &[
    parameter("sleep_ms", ParameterKind::Integer),
    parameter("fails", ParameterKind::Integer),
    parameter("poison", ParameterKind::Boolean),
];

const fn parameter(name: &'static str, kind: ParameterKind) -> Parameter {
    Parameter { name, kind, required: false, doc: "tells how to behave" }
}

#[async_trait]
impl Method for Play {
    fn name(&self) -> &'static str {
        METHOD
    }

    fn doc(&self) -> &'static str {
        "Pays once, takes its time, and fails as it is told to"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn effect(&self) -> ToolEffect {
        ToolEffect::Pure
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> motet_core::Result<MethodOutcome> {
        let task = context.step_name().to_owned();
        self.note(&Effect::Begun { task: task.clone() })?;
        if call.params.get("poison") == Some(&json!(true)) {
            std::process::abort();
        }
        let (kind, effect) = (StepKind::Value, ToolEffect::Pure);
        let step = Step { name: "pay", kind, request_hash: "same", effect, label: "what is paid for" };
        let receipt: String = context
            .observe(step, || async {
                let receipt = motet_core::store::Nonce::new().to_string();
                self.note(&Effect::Paid { task: task.clone(), receipt: receipt.clone() })?;
                Ok(receipt)
            })
            .await?;
        let number = |name: &str| call.params.get(name).and_then(Value::as_u64).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(number("sleep_ms"))).await;
        let failed = Effects::read(&self.effects).map_or(0, |effects| effects.failures(&task));
        if (failed as u64) < number("fails") {
            self.note(&Effect::Failed { task })?;
            return Err(Error::new(ErrorKind::Overloaded, "told to fail"));
        }
        Ok(json!({"receipt": receipt}).into())
    }
}

impl Play {
    fn note(&self, effect: &Effect) -> motet_core::Result<()> {
        effect
            .append(&self.effects)
            .map_err(|error| Error::new(ErrorKind::Internal, "an effect cannot be noted").with_source(error))
    }
}
