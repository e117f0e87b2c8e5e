//! `motet eval compare`: what changed between two files of records.

use std::path::PathBuf;

use clap::Args;
use motet::Result;
use motet::eval::compare::{Change, Comparison, Key, Pair, compare};

use super::score::fraction;
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

/// Characters of a key that are shown.
const SHOWN: usize = 40;

#[derive(Args)]
pub(super) struct Compare {
    /// Records before the change
    before: PathBuf,
    /// Records after the change
    after: PathBuf,
    /// What pairs the records; the id where the files share one, else the text of the user
    #[arg(long, value_enum)]
    by: Option<By>,
    /// How much lower a score may be without counting as worse
    #[arg(long, default_value = "0", value_parser = fraction)]
    tolerance: f64,
    /// Ends with exit code 4 when a record is worse than before: it failed, or a score is lower
    #[arg(long)]
    fail_on_regression: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    /// The id
    Id,
    /// The text of the user
    UserMessage,
}

pub(super) fn run(context: Context, asked: &Compare) -> Result<Exit> {
    let printer = context.printer;
    let key = asked.by.map(|by| match by {
        By::Id => Key::Id,
        By::UserMessage => Key::UserMessage,
    });
    let (before, after) = (motet::eval::read(&asked.before)?, motet::eval::read(&asked.after)?);
    let comparison = compare(&before, &after, key, asked.tolerance)?;
    printer.data(&comparison, || text(&comparison))?;
    let Comparison { pairs, missing, added, changed, regressions, .. } = &comparison;
    printer.note(&format!(
        "{} compared, {changed} answers changed, {regressions} worse, {} only before, {} only after",
        pairs.len(),
        missing.len(),
        added.len()
    ));
    Ok(if asked.fail_on_regression && *regressions > 0 { Exit::Unmet } else { Exit::Success })
}

fn text(comparison: &Comparison) -> String {
    let rows = comparison.pairs.iter().map(|pair| {
        let answer = if pair.changed { "changed" } else { "same" };
        let key: String = pair.key.chars().take(SHOWN).collect::<String>().replace('\n', " ");
        [
            key,
            answer.to_owned(),
            scores(pair),
            tokens(pair.tokens),
            money(pair.cost),
            time(pair.latency_ms),
            pair.regressions.join(", "),
        ]
    });
    let total = [
        "total".to_owned(),
        format!("{} changed", comparison.changed),
        String::new(),
        tokens(comparison.tokens),
        money(comparison.cost),
        time(comparison.latency_ms),
        comparison.regressions.to_string(),
    ];
    table(["RECORD", "ANSWER", "SCORES", "TOKENS", "COST", "TIME", "WORSE"], rows.chain([total]))
}

fn scores(pair: &Pair) -> String {
    let scores = pair
        .scores
        .iter()
        .map(|(name, change)| format!("{name} {:.3} -> {:.3}", change.before, change.after));
    scores.collect::<Vec<_>>().join(", ")
}

fn tokens(change: Change<u64>) -> String {
    format!("{} -> {}", change.before, change.after)
}

fn money(change: Change<Option<f64>>) -> String {
    let shown = |cost: Option<f64>| cost.map_or_else(|| "unknown".to_owned(), |cost| format!("${cost:.6}"));
    format!("{} -> {}", shown(change.before), shown(change.after))
}

fn time(change: Change<f64>) -> String {
    format!("{:.0} ms -> {:.0} ms", change.before, change.after)
}
