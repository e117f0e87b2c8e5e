//! Where and when tasks run: queues, limits, delays, the time of a run, and which failures are tried again.

use std::time::Duration;

use motet_core::Millis;
use motet_core::error::ErrorKind;

use super::*;

fn problems(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes(), &rules()).unwrap_err();
    let line = |problem: &Problem| {
        format!("{}: {} | {}", problem.place(), problem.message, problem.hint.as_deref().unwrap_or("-"))
    };
    problems.iter().map(line).collect()
}

#[test]
fn every_key_of_where_and_when_is_kept() {
    let spec = spec(
        "timeout: 2h\nqueue: slow\nlimits: {gpu: 2}\nproviders: {search: {url: 'http://h'}}\ntasks:\n\
         - {id: a, method: llm/chat, queue: gpu-box, limit: gpu, delay: 1.5s, not_before: '2026-05-03T09:00:00+02:00'}\n\
         - {id: b, method: llm/chat, retry: {max_attempts: 4, on: [tool_failed, timeout]}}\n\
         - {id: c, method: llm/chat, retry: {on: rate_limit}}\n",
    );
    assert_eq!((spec.timeout, spec.queue.as_deref()), (Some(Duration::from_secs(7_200)), Some("slow")));
    assert_eq!(spec.limits, [("gpu".to_owned(), 2)].into());
    assert_eq!(spec.providers["search"]["url"], "http://h");
    let [a, b, c] = spec.tasks.as_slice() else { panic!("{spec:?}") };
    assert_eq!((a.queue.as_deref(), a.limit.as_deref()), (Some("gpu-box"), Some("gpu")));
    assert_eq!(
        (a.delay, a.not_before),
        (Some(Duration::from_millis(1_500)), Millis::of_time("2026-05-03T07:00:00Z"))
    );
    assert_eq!(b.retry.on, [ErrorKind::ToolFailed, ErrorKind::Timeout]);
    assert_eq!((c.retry.max_attempts, c.retry.on.as_slice()), (3, [ErrorKind::RateLimit].as_slice()));
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    for (key, expected) in [
        (
            "queue: agents",
            "3:10: the queue `agents` is reserved for runs that are no workflows | choose another name",
        ),
        (
            "queue: a b",
            "3:10: `queue` holds ` `, which no name of this kind may | use letters, digits, `-`, `_`, and `.`",
        ),
        (
            "delay: soon",
            "3:10: `delay` must be a time, but is the string `soon` | write seconds, as in `30` or `0.5`, or a unit, as in `500ms`, `30s`, `5m`, `1h`",
        ),
        (
            "not_before: 2026-05-03",
            "3:15: `not_before` must be a time with its offset, but is the string `2026-05-03` | write it as `2026-05-03T09:00:00Z` or with `+02:00` at its end",
        ),
        (
            "limit: gpu",
            "3:10: there is no limit `gpu` | set it above the tasks, as in `limits: {gpu: 2}`, or as the setting `workflow.limits.gpu`",
        ),
        ("retry: {on: [time_out]}", "3:16: `on` must be one of"),
        ("retry: {on: []}", "3:15: `on` names no kind of error | leave it out to let each error decide"),
    ] {
        let found = problems(&format!("tasks:\n- id: t\n  {key}\n  method: llm/chat\n"));
        assert!(found[0].starts_with(expected), "{key}: {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
    let top = |line: &str| problems(&format!("{line}\ntasks: [{{id: t, method: llm/chat, limit: gpus}}]\n"));
    assert_eq!(top("limits: {gpu: 1}")[0], "2:42: there is no limit `gpus` | did you mean `gpu`?");
    assert_eq!(
        top("limits: {gpus: 0}")[0],
        "1:16: `gpus` must be a whole number from 1 to 100000, but is the number `0` | -"
    );
    assert_eq!(
        top("providers: {a: x}")[0],
        "1:16: the provider `a` must be a mapping, but is the string `x` | say how it is reached, such as `{url: …}`"
    );
    assert_eq!(top("timeout: 0")[0], "1:10: `timeout` is zero | leave it out for no limit");
}

#[test]
fn a_limit_of_the_settings_is_kept_with_the_file_that_names_it() {
    let rules = rules().with_limits([("gpu".to_owned(), 3), ("unused".to_owned(), 9)].into());
    let text = "tasks: [{id: t, method: llm/chat, limit: gpu}]";
    assert_eq!(read(text.as_bytes(), &rules).unwrap().limits, [("gpu".to_owned(), 3)].into());
    let own = format!("limits: {{gpu: 1}}\n{text}");
    assert_eq!(read(own.as_bytes(), &rules).unwrap().limits, [("gpu".to_owned(), 1)].into());
}
