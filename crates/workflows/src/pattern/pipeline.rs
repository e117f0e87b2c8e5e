//! `pipeline`: agents one after the other, each working on what the one before gave.

use async_trait::async_trait;
use motet_agents::{Agent, AgentResult, Outcome};
use motet_core::ModelId;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{ModelCalls, Parameter, ParameterKind};
use motet_core::usage::{Cost, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Interaction, Pattern, PatternCall, PatternOutcome, PatternResult};

/// Agents one after the other.
pub struct Pipeline;

const OPTIONS: &[Parameter] = &[Parameter {
    name: "stages",
    kind: ParameterKind::Array,
    required: true,
    doc: "agents in order: objects with `name`, `instructions`, and optionally `model`",
}];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    name: String,
    instructions: String,
    #[serde(default)]
    model: Option<ModelId>,
}

#[async_trait]
impl Pattern for Pipeline {
    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn doc(&self) -> &'static str {
        "Agents one after the other, each working on what the one before gave"
    }

    fn options(&self) -> &'static [Parameter] {
        OPTIONS
    }

    fn model_calls(&self, options: &Map<String, Value>) -> ModelCalls {
        match options.get("stages").and_then(Value::as_array) {
            Some(stages) => ModelCalls { expected: stages.len() as u64, most: Some(stages.len() as u64) },
            None => ModelCalls { expected: 1, most: None },
        }
    }

    async fn run(&self, context: &RunContext, call: PatternCall) -> Result<PatternResult> {
        let options: Options =
            serde_json::from_value(Value::Object(call.options.clone())).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("the options of `pipeline` do not fit: {error}"),
                )
            })?;
        if options.stages.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "`stages` is empty")
                .with_hint("a pipeline needs an agent"));
        }
        let mut result = begun(&call.input);
        result.metadata.insert("stages".to_owned(), json!(options.stages.len()));
        for (number, stage) in options.stages.iter().enumerate() {
            let input = result.final_output.clone();
            let turn = ask(context, &call, (number, stage), &input).await?;
            result.usage += turn.usage;
            result.cost = result.cost.zip(turn.cost).map(|(sum, cost)| sum + cost);
            if let Some(error) = turn.error() {
                context.check()?;
                let limited = turn.outcome == Outcome::LimitReached;
                result.outcome = if limited { PatternOutcome::LimitReached } else { PatternOutcome::Failed };
                result.error = Some(error.report());
                result.metadata.insert("failed_stage".to_owned(), json!(stage.name));
                break;
            }
            result.iterations += 1;
            result.interactions.push(Interaction {
                agent: stage.name.clone(),
                input,
                output: turn.text.clone(),
            });
            result.final_output = turn.text;
        }
        Ok(result)
    }
}

/// Before the first stage the input is what was reached.
fn begun(input: &str) -> PatternResult {
    PatternResult {
        final_output: input.to_owned(),
        iterations: 0,
        interactions: Vec::new(),
        metadata: Map::new(),
        usage: Usage::default(),
        cost: Some(Cost::ZERO),
        outcome: PatternOutcome::Completed,
        error: None,
    }
}

/// Lets one stage work on what the one before gave; its steps are named after its place, as names may repeat.
async fn ask(
    context: &RunContext,
    call: &PatternCall,
    (number, stage): (usize, &Stage),
    input: &str,
) -> Result<AgentResult> {
    let id = stage.model.clone().or_else(|| call.model.clone()).ok_or_else(|| {
        Error::new(
            ErrorKind::Configuration,
            format!("the stage `{}` names no model, and there is no other", stage.name),
        )
        .with_hint("give `model` to the stage, the task, or the workflow, or use `--model`")
    })?;
    let model = call.models.model(&id).await?;
    let agent = Agent::builder(&stage.name, id).instructions(&stage.instructions).build()?;
    Ok(motet_agents::run(&context.child(&format!("stage/{number}")), &agent, model, input).await)
}
