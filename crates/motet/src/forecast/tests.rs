//! Forecasts of small workflows: order, items, calls, and sums.

use std::path::PathBuf;

use motet_core::settings::{Settings, Sources};
use serde_json::json;

use super::*;

/// Forecasts a workflow in a directory with two documents, of 400 and 800 bytes.
async fn forecast(text: &str, inputs: Value) -> Forecast {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("docs")).unwrap();
    std::fs::write(directory.path().join("docs/a.txt"), "x".repeat(400)).unwrap();
    std::fs::write(directory.path().join("docs/b.txt"), "x".repeat(800)).unwrap();
    let path = directory.path().join("w.yaml");
    std::fs::write(&path, text).unwrap();
    let overrides = vec![("store".to_owned(), "memory:".to_owned(), "test".to_owned())];
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    let runtime = Runtime::new(loaded, PathBuf::from(directory.path())).unwrap();
    let file = runtime.read_workflow(&path).map_err(motet_core::Error::from).unwrap();
    let inputs = inputs.as_object().cloned().unwrap();
    runtime.forecast(&file, ForecastOptions::new(inputs, None, None)).await.unwrap()
}

#[tokio::test]
async fn tasks_stand_in_waves_with_their_items_counted_now() {
    let text = r#"
name: brief
model: offline:extract
inputs: {names: [a, b, c]}
tasks:
- {id: each, for_each: {files: docs/*.txt}, method: llm/chat, params: {prompt: Sum up, file_path: "${item.path}"}}
- {id: name, for_each: "${inputs.names}", method: llm/chat, params: {prompt: "${item}"}}
- {id: again, for_each: "${each[*].content}", method: llm/chat, params: {prompt: "${item}"}}
- {id: split, method: python/execute, params: {context: {a: "${again}"}, code: "result = [1]"}}
- {id: parts, for_each: "${split.result}", method: llm/chat, params: {prompt: "${item}"}}
- {id: save, method: file/write, params: {path: out.txt, content: "${parts} ${name}"}}
"#;
    let found = forecast(text, json!({})).await;
    assert_eq!(
        found.waves,
        [vec!["each", "name"], vec!["again"], vec!["split"], vec!["parts"], vec!["save"]]
    );
    assert_eq!(found.critical_path, ["each", "again", "split", "parts", "save"]);
    assert_eq!(found.width, 5);
    let items: Vec<_> = found.tasks.iter().map(|task| task.items).collect();
    assert_eq!(items, [Some(2), Some(3), Some(2), Some(1), None, Some(1)]);
    assert_eq!(found.unknown_items, ["parts"]);
    assert_eq!(found.model_calls, Estimate { expected: 8, most: Some(7 + 100_000) });
    assert_eq!(found.cost.expected, Some(Cost::ZERO));
    let given = forecast(text, json!({"names": ["x"]})).await;
    assert_eq!(given.tasks[1].items, Some(1));
}

#[tokio::test]
async fn money_follows_the_prices_and_the_most_counts_retries_and_repairs() {
    let text = r#"
name: paid
tasks:
- {id: one, method: llm/chat, params: {model: "openai:gpt-4o-mini", prompt: hello, max_tokens: 100}}
- {id: two, retry: 3, method: llm/chat, params: {model: "openai:gpt-4o-mini", prompt: "${one.content}", max_tokens: 100, schema: {type: object}}}
"#;
    let found = forecast(text, json!({})).await;
    let [one, two] = found.tasks.as_slice() else { panic!() };
    assert_eq!((one.model_calls, two.model_calls.expected), (Estimate { expected: 1, most: Some(1) }, 1));
    let repairs = two.model_calls.most.unwrap() / 3;
    assert!(repairs > 1 && two.model_calls.most == Some(repairs * 3), "{two:?}");
    // 2 tokens of the prompt at $0.15 a million, 100 of the answer at $0.60.
    assert_eq!(one.cost.expected, Some(Cost::from_nanos(2 * 150 + 100 * 600)));
    assert!(one.cost.most >= one.cost.expected && two.cost.most > one.cost.most);
    let (one, two, all) = (one.cost.most.unwrap(), two.cost.most.unwrap(), found.cost.most.unwrap());
    assert_eq!(one.nanos() + two.nanos(), all.nanos());
}

#[tokio::test]
async fn what_is_unknown_is_said_to_be_unknown() {
    let text = r#"
name: unknown
tasks:
- {id: a, method: llm/chat, params: {model: "ollama:mystery", prompt: hello}}
- {id: b, method: python/execute, params: {code: "result = 1"}}
- {id: c, method: llm/chat, params: {model: "openai:gpt-4o-mini", prompt: "${b.result}", max_tokens: 5}}
"#;
    let found = forecast(text, json!({})).await;
    assert_eq!((found.cost.expected, found.cost.most), (None, None));
    assert_eq!(found.unknown_prices.iter().map(ModelId::to_string).collect::<Vec<_>>(), ["ollama:mystery"]);
    let c = &found.tasks[2];
    assert!(c.cost.expected.is_some() && c.cost.most.is_none(), "nothing bounds what a script gives: {c:?}");
}

#[tokio::test]
async fn an_input_that_is_not_given_bounds_nothing() {
    let text = "name: i\ninputs: {text: null}\ntasks:\n- {id: a, method: llm/chat, params: {model: 'openai:gpt-4o-mini', prompt: 'Sum up ${inputs.text}', max_tokens: 10}}\n";
    let unknown = forecast(text, json!({})).await;
    assert_eq!((unknown.tokens.most, unknown.cost.most), (None, None));
    assert!(unknown.tokens.expected > 10 + 200, "{unknown:?}");
    let given = forecast(text, json!({"text": "four"})).await;
    assert_eq!(given.tokens.expected, 11_u64.div_ceil(4) + 10);
    assert!(given.cost.most.is_some());
}

#[tokio::test]
async fn items_of_a_task_are_found_by_its_name_too() {
    let text = "name: n\nmodel: offline:extract\ntasks:\n- {id: each, name: Every one, for_each: [1, 2, 3], method: llm/chat, params: {prompt: '${item}'}}\n- {id: again, for_each: '${Every one[*].content}', method: llm/chat, params: {prompt: '${item}'}}\n";
    let found = forecast(text, json!({})).await;
    assert_eq!((found.tasks[1].items, found.unknown_items), (Some(3), Vec::new()));
}

#[tokio::test]
async fn what_runs_below_ask_counts_and_what_is_not_known_of_it_has_no_bound() {
    let ask = "{id: ask, method: llm/chat, params: {model: 'openai:gpt-4o-mini', prompt: 'Sum up ${inputs.text}', max_tokens: 10}}";
    let below = |keys: &str, params: &str| {
        format!(
            "name: above\ninputs: {{text: null}}\ntasks:\n- {{id: below, {keys}method: workflow/run, params: {{{params}}}}}\n"
        )
    };
    let inner = format!("workflow: {{inputs: {{text: abcd}}, tasks: [{ask}]}}");
    let alone = forecast(&format!("name: alone\ninputs: {{text: abcd}}\ntasks:\n- {ask}\n"), json!({})).await;
    assert!(alone.cost.expected > Some(Cost::ZERO) && alone.cost.most.is_some());
    // What is written out, with its own default, once for each item and attempt.
    let found = forecast(&below("for_each: [1, 2], retry: 3, ", &inner), json!({})).await;
    assert_eq!(found.model_calls, Estimate { expected: 2, most: Some(6) });
    assert_eq!(found.tokens.expected, 2 * alone.tokens.expected);
    let twice = |cost: Option<Cost>, times| cost.map(|cost| Cost::from_nanos(cost.nanos() * times));
    assert_eq!(found.cost.expected, twice(alone.cost.expected, 2));
    assert_eq!(found.cost.most, twice(alone.cost.most, 6));
    // An input that is handed over wins over the default, and is not known before the run.
    let handed = below("", &format!("{inner}, inputs: {{text: '${{inputs.text}}'}}"));
    let unknown = forecast(&handed, json!({})).await;
    assert_eq!((unknown.model_calls, unknown.cost.most), (Estimate { expected: 1, most: Some(1) }, None));
    assert_eq!(forecast(&handed, json!({"text": "abcd"})).await.cost, alone.cost);
    // A file is looked at as it lies there; one that is not there, or runs itself, has no bound.
    for file in ["none.yaml", "w.yaml", "${inputs.text}"] {
        let unknown = forecast(&below("", &format!("file: '{file}'")), json!({})).await;
        assert_eq!(unknown.model_calls, Estimate { expected: 0, most: None }, "{file}");
        assert_eq!((unknown.tokens.most, unknown.cost.most), (None, None), "{file}");
    }
}

#[tokio::test]
async fn the_size_of_files_counts() {
    let text = "name: f\ntasks:\n- {id: a, for_each: {files: docs/*.txt}, method: llm/chat, params: {model: 'openai:gpt-4o-mini', prompt: hi, file_path: \"${item.path}\", max_tokens: 10}}\n";
    let found = forecast(text, json!({})).await;
    // Two files of 600 bytes on the average, two bytes of the prompt, and ten tokens each.
    assert_eq!(found.tokens.expected, 2 * (602_u64.div_ceil(4) + 10));
}
