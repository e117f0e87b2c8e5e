//! Whatever a model asks for and however tools fail, a run keeps its promises.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Ask {
    Good,
    Unknown,
    Malformed,
    WrongType,
    Fails,
    Panics,
    Slow,
}

impl Ask {
    const ALL: [Ask; 7] =
        [Ask::Good, Ask::Unknown, Ask::Malformed, Ask::WrongType, Ask::Fails, Ask::Panics, Ask::Slow];

    fn name_and_arguments(self) -> (&'static str, &'static str) {
        match self {
            Ask::Good => ("work", "{\"n\":1}"),
            Ask::Unknown => ("wrok", "{\"n\":1}"),
            Ask::Malformed => ("work", "{\"n\""),
            Ask::WrongType => ("work", "{\"n\":[]}"),
            Ask::Fails => ("work", "{\"n\":-1}"),
            Ask::Panics => ("work", "{\"n\":-2}"),
            Ask::Slow => ("work", "{\"n\":5}"),
        }
    }

    fn runs(self) -> bool {
        !matches!(self, Ask::Unknown | Ask::Malformed | Ask::WrongType)
    }

    fn succeeds(self) -> bool {
        matches!(self, Ask::Good | Ask::Slow)
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Says,
    Fails,
    CutOff,
}

#[derive(Debug, Clone)]
struct Script {
    rounds: Vec<(Vec<Ask>, Spending)>,
    end: (End, Spending),
    limit: u32,
    parallel: usize,
}

type Spending = (u64, u64, Option<u64>);

fn script() -> impl Strategy<Value = Script> {
    let spending = || (0..1000u64, 0..1000u64, proptest::option::weighted(0.9, 0..1000u64));
    let asks = || proptest::collection::vec(proptest::sample::select(Ask::ALL.to_vec()), 1..6);
    let end = proptest::sample::select(vec![End::Says, End::Fails, End::CutOff]);
    (proptest::collection::vec((asks(), spending()), 0..5), (end, spending()), 1..7u32, 1..4usize)
        .prop_map(|(rounds, end, limit, parallel)| Script { rounds, end, limit, parallel })
}

impl Script {
    fn turns(&self) -> Vec<Turn> {
        let rounds = self.rounds.iter().map(|(asks, (input, output, nanos))| {
            // Ids repeat on purpose: providers are known to do that.
            let asked: Vec<_> = asks.iter().map(|ask| ("id", ask.name_and_arguments())).collect();
            let asked: Vec<_> =
                asked.iter().map(|(id, (name, arguments))| (*id, *name, *arguments)).collect();
            calls(&asked).spending(*input, *output, *nanos)
        });
        let (end, (input, output, nanos)) = self.end;
        let end = match end {
            End::Says => says("The end.").spending(input, output, nanos),
            End::Fails => Turn::Fail(ErrorKind::Overloaded),
            End::CutOff => says("The e").spending(input, output, nanos).cut_off(),
        };
        rounds.chain([end]).collect()
    }

    /// Rounds that the limit lets the model ask for.
    fn asked(&self) -> &[(Vec<Ask>, Spending)] {
        &self.rounds[..self.rounds.len().min(self.limit as usize)]
    }

    fn reaches_end(&self) -> bool {
        self.rounds.len() < self.limit as usize
    }

    fn outcome(&self) -> Option<ErrorKind> {
        match self.end.0 {
            _ if !self.reaches_end() => Some(ErrorKind::LimitReached),
            End::Says => None,
            End::Fails => Some(ErrorKind::Overloaded),
            End::CutOff => Some(ErrorKind::Truncated),
        }
    }

    fn spent(&self) -> (Usage, Option<Cost>) {
        let mut spent: Vec<_> = self.asked().iter().map(|(_, spending)| *spending).collect();
        match self.end {
            (End::Says, spending) if self.reaches_end() => spent.push(spending),
            // The price of an answer that broke off is unknown.
            (End::CutOff, (input, output, _)) if self.reaches_end() => spent.push((input, output, None)),
            _ => {}
        }
        let usage = spent.iter().map(|(input, output, _)| Usage::new(*input, *output)).sum();
        (usage, spent.iter().map(|(_, _, nanos)| nanos.map(Cost::from_nanos)).sum())
    }
}

fn worker(count: &Arc<AtomicU32>) -> FunctionTool {
    let count = Arc::clone(count);
    function("work", "", move |args: Double, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            for _ in 0..args.n {
                tokio::task::yield_now().await;
            }
            match args.n {
                -1 => Err(Error::new(ErrorKind::ToolFailed, "it went wrong")),
                -2 => panic!("it went very wrong"),
                n => Ok(n),
            }
        }
    })
}

async fn check(script: &Script) {
    let count = Arc::new(AtomicU32::new(0));
    let builder = agent([worker(&count)])
        .max_iterations(script.limit)
        .max_parallel_tools(script.parallel)
        .max_repeated_rounds(0)
        .max_refused_rounds(0);
    let result = both(builder, &script.turns()).await;

    assert_eq!(result.error().map(|error| error.kind()), script.outcome());
    assert_eq!((result.usage, result.cost), script.spent());
    let model_calls = script.asked().len() + usize::from(script.reaches_end());
    assert_eq!(result.model_calls as usize, model_calls);

    // The last answer before the limit has its calls refused, as nobody would read their results.
    let refused_round = if script.reaches_end() { usize::MAX } else { script.limit as usize - 1 };
    let expected: Vec<_> = (0..)
        .zip(script.asked())
        .flat_map(|(round, (asks, _))| asks.iter().map(move |ask| (round, ask)))
        .map(|(round, ask)| {
            let run = round != refused_round;
            (round as u32, run && ask.runs(), !(run && ask.succeeds()))
        })
        .collect();
    let history: Vec<_> =
        result.tool_history.iter().map(|tool| (tool.round, tool.executed, tool.is_error)).collect();
    assert_eq!(history, expected);
    let runs = expected.iter().filter(|(_, executed, _)| *executed).count();
    assert_eq!(count.load(Ordering::SeqCst) as usize, 2 * runs, "each once for each driver");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_answered_once_in_order_and_sums_are_exact(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&script));
    }
}
