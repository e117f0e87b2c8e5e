//! `motet eval score`: how good the answers of records are.

use std::path::PathBuf;

use clap::Args;
use motet::agents::EvalRecord;
use motet::eval::score::{Expected, Scorer, Scores};
use motet::{Result, RunContext};
use serde_json::{Map, Value, json};

use super::{lines, write};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

/// Characters shown of the reason for a score.
const REASON: usize = 200;
/// What rounding may do to a mean.
const ROUNDING: f64 = 1e-9;

#[derive(Args)]
pub(super) struct Score {
    /// File of records
    records: PathBuf,
    /// exact, contains, regex, regex=EXPRESSION, schema, schema=FILE, or judge=MODEL; several may be given
    #[arg(long, required = true)]
    scorer: Vec<String>,
    /// Field of the records that holds what is expected
    #[arg(long, value_name = "PATH", default_value = "metadata.expected")]
    expected: String,
    /// File with what is expected, one line such as {"id": "7", "expected": "42"} for each record
    #[arg(long, value_name = "FILE", conflicts_with = "expected")]
    expected_from: Option<PathBuf>,
    /// What a good answer is, for the scorer `judge`
    #[arg(long, value_name = "TEXT")]
    rubric: Option<String>,
    /// Ends with exit code 4 when the mean of all scores is lower, from 0 to 1
    #[arg(long, value_parser = fraction)]
    threshold: Option<f64>,
    /// Writes the records with their scores, for `motet eval compare`
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "use a number from 0 to 1".to_owned())
}

pub(super) fn run(context: Context, score: Score) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        let rubric = score.rubric.as_deref();
        let scorers: Vec<Scorer> =
            score.scorer.iter().map(|text| Scorer::parse(text, rubric)).collect::<Result<_>>()?;
        let expected = match &score.expected_from {
            Some(path) => Expected::read(path)?,
            None => Expected::Field(score.expected),
        };
        let records = motet::eval::read(&score.records)?;
        let asked = RunContext::new().with_cancellation(cancellation);
        let scores = runtime.score(&asked, &records, &scorers, &expected).await?;
        if let Some(path) = &score.to {
            write(path, &lines(&with_scores(records, &scores))?)?;
        }
        let passed = score.threshold.is_none_or(|threshold| scores.mean + ROUNDING >= threshold);
        let shape = json!({
            "records": scores.records,
            "scorers": scores.scorers,
            "mean": scores.mean,
            "threshold": score.threshold,
            "passed": passed,
        });
        printer.data(&shape, || text(&scores))?;
        if passed {
            return Ok(Exit::Success);
        }
        printer.note(&format!(
            "the mean {:.3} is below the threshold {}",
            scores.mean,
            score.threshold.unwrap_or_default()
        ));
        Ok(Exit::Unmet)
    })
}

fn with_scores(records: Vec<EvalRecord>, scores: &Scores) -> Vec<EvalRecord> {
    let scored = records.into_iter().zip(&scores.records).map(|(record, scored)| {
        let scores: Map<String, Value> =
            scored.scores.iter().map(|(name, score)| (name.clone(), json!(score.score))).collect();
        record.with_metadata(Map::from_iter([("scores".to_owned(), Value::Object(scores))]))
    });
    scored.collect()
}

/// Gives the beginning of a reason on one line; JSON has it whole.
fn shortened(reason: &str) -> String {
    let mut words = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(REASON) {
        words.truncate(end);
        words.push('…');
    }
    words
}

fn text(scores: &Scores) -> String {
    let lines = scores.records.iter().flat_map(|record| {
        record.scores.iter().map(|(name, score)| {
            let reason = shortened(score.reason.as_deref().unwrap_or_default());
            [record.id.clone(), name.clone(), format!("{:.3}", score.score), reason]
        })
    });
    let means = scores
        .scorers
        .iter()
        .map(|(name, mean)| ["mean".to_owned(), name.clone(), format!("{mean:.3}"), String::new()]);
    let all = ["mean".to_owned(), "all".to_owned(), format!("{:.3}", scores.mean), String::new()];
    table(["RECORD", "SCORER", "SCORE", "REASON"], lines.chain(means).chain([all]))
}
