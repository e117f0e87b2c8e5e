//! Every option through every source, and every way to get one wrong. Uses texts only: no file, no environment.

use super::*;
use crate::ModelId;
use crate::price::PriceChange;

const KEY: &str = "sk-a-very-secret-key-9876";

fn toml(text: &str) -> Sources {
    Sources { motet_toml: Some(("motet.toml".to_owned(), text.to_owned())), ..Sources::default() }
}

fn dotenv(text: &str) -> Sources {
    Sources { dotenv: Some((".env".to_owned(), text.to_owned())), ..Sources::default() }
}

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources { environment: pairs.iter().map(owned).collect(), ..Sources::default() }
}

fn flag(path: &str, text: &str) -> Sources {
    let one = (path.to_owned(), text.to_owned(), "flag --set".to_owned());
    Sources { overrides: vec![one], ..Sources::default() }
}

fn load(sources: &Sources) -> Loaded {
    Settings::load(sources).unwrap()
}

/// Gives the error as text, with its hint on a second line.
fn refusal(sources: &Sources) -> String {
    let error = Settings::load(sources).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

fn row(loaded: &Loaded, path: &str) -> Shown {
    loaded.show().into_iter().find(|row| row.path == path).unwrap_or_else(|| panic!("no row `{path}`"))
}

/// The variable of an option's example, and what it holds.
fn example_variable(option: &OptionRow) -> (String, String) {
    let keys = path::example(option.path);
    let below: Vec<_> = keys.iter().skip(option.environment_keys().len()).rev().collect();
    let value = if below.is_empty() {
        option.example.to_owned()
    } else {
        let whole = option.kind == "count";
        let inner = if whole { option.example.to_owned() } else { format!("\"{}\"", option.example) };
        below.iter().fold(inner, |inner, key| format!("{{\"{key}\": {inner}}}"))
    };
    (option.environment().replace("<NAME>", "LOCAL"), value)
}

/// What a file must say beside one part of a price, for a price must be whole.
fn rest_of_price(option: &OptionRow) -> String {
    let parts = ["input", "output"].map(|part| (format!("prices.<model>.{part}"), part));
    let missing = parts.iter().filter(|(path, _)| option.path.starts_with("prices") && option.path != path);
    missing.map(|(_, part)| format!("prices.\"openai:gpt-4o-mini\".{part} = 7\n")).collect()
}

/// What `config show` must say of the example.
fn example_shown(option: &OptionRow) -> String {
    let shown = |text: &str| if option.secret { Secret::new(text).masked() } else { text.to_owned() };
    match option.kind {
        kind if kind.starts_with("list of") => {
            let commas = !kind.contains("texts");
            let items: Vec<&str> =
                if commas { option.example.split(',').collect() } else { vec![option.example] };
            let items = items.into_iter().map(shown);
            serde_json::to_string(&items.collect::<Vec<_>>()).unwrap()
        }
        _ => shown(option.example),
    }
}

#[test]
fn every_example_is_read_from_every_source_and_shown_with_its_origin() {
    for option in OPTIONS {
        let path = path::join(&path::example(option.path));
        let (variable, value) = example_variable(option);
        let rest = rest_of_price(option);
        let beside = |sources: Sources| Sources { motet_toml: toml(&rest).motet_toml, ..sources };
        for (sources, origin) in [
            (toml(&(rest.clone() + &option.example_toml())), "motet.toml".to_owned()),
            (beside(dotenv(&format!("{variable}='{value}'"))), format!(".env ({variable})")),
            (beside(environment(&[(&variable, &value)])), format!("environment variable {variable}")),
            (beside(flag(&path, option.example)), "flag --set".to_owned()),
        ] {
            let loaded = load(&sources);
            let row = row(&loaded, &path);
            assert_eq!(row.value, Some(example_shown(option)), "{path} from {origin}");
            assert_eq!(row.origin.name, origin, "{path}");
            assert_eq!(loaded.origin(&path), Some(row.origin));
        }
        assert_ne!(option.default_text(), Some(example_shown(option)), "{path}: the example is the default");
    }
}

#[test]
fn every_source_wins_over_those_before_it_for_every_option() {
    for option in OPTIONS {
        let path = path::join(&path::example(option.path));
        let (variable, value) = example_variable(option);
        let mut sources = Sources::default();
        let mut seen = vec![load(&sources).origin(&path).unwrap_or_default().layer];
        sources.motet_toml = toml(&(rest_of_price(option) + &option.example_toml())).motet_toml;
        seen.push(load(&sources).origin(&path).unwrap().layer);
        sources.dotenv = dotenv(&format!("{variable}='{value}'")).dotenv;
        seen.push(load(&sources).origin(&path).unwrap().layer);
        sources.environment = environment(&[(&variable, &value)]).environment;
        seen.push(load(&sources).origin(&path).unwrap().layer);
        sources.overrides = flag(&path, option.example).overrides;
        seen.push(load(&sources).origin(&path).unwrap().layer);
        assert_eq!(seen, Layer::ALL, "{path}");
    }
}

#[test]
fn the_value_of_the_strongest_source_is_the_one_that_counts() {
    for (path, variable, texts) in [
        ("model", "MOTET_MODEL", ["a:1", "a:2", "a:3", "a:4"]),
        ("store", "MOTET_STORE", ["sqlite:a", "sqlite:b", "memory:", "redis://h"]),
        ("log", "MOTET_LOG", ["error", "info", "debug", "trace"]),
        ("worker.lease", "MOTET_WORKER_LEASE", ["1s", "2s", "3s", "4s"]),
        ("providers.x.api_key", "MOTET_PROVIDERS_X_API_KEY", ["one", "two", "three", "four"]),
        ("providers.x.proxy", "MOTET_PROVIDERS_X_PROXY", ["http://a", "http://b", "http://c", "http://d"]),
        (
            "providers.x.base_url",
            "MOTET_PROVIDERS_X_BASE_URL",
            ["http://a", "http://b", "http://c", "http://d"],
        ),
    ] {
        let [file, dotenv_text, variable_text, flag_text] = texts;
        let mut sources = toml(&format!("{path} = \"{file}\""));
        let value = |sources: &Sources| {
            let settings = load(sources).settings;
            let secret = settings.providers.get("x").and_then(|provider| provider.api_key.clone());
            let shown =
                || OPTIONS.iter().flat_map(|row| row.values(&settings)).find(|(shown, _)| shown == path);
            secret.map_or_else(|| shown().unwrap().1, |secret| secret.expose().to_owned())
        };
        let mut seen = vec![value(&sources)];
        sources.dotenv = dotenv(&format!("{variable}={dotenv_text}")).dotenv;
        seen.push(value(&sources));
        sources.environment = environment(&[(variable, variable_text)]).environment;
        seen.push(value(&sources));
        sources.overrides = flag(path, flag_text).overrides;
        seen.push(value(&sources));
        assert_eq!(seen, texts, "{path}");
    }
}

#[test]
fn numbers_and_lists_of_a_stronger_source_replace_those_of_a_weaker_one() {
    let mut sources = toml("max_parallel_tasks = 2\nstructured.max_repairs = 1\nfiles.allow = ['a', 'b']");
    sources.environment =
        environment(&[("MOTET_MAX_PARALLEL_TASKS", "3"), ("MOTET_FILES_ALLOW", "c")]).environment;
    let settings = load(&sources).settings;
    assert_eq!((settings.max_parallel_tasks, settings.structured.max_repairs), (3, 1));
    assert_eq!(settings.files.allow, ["c"].map(std::path::PathBuf::from));
    sources.overrides = flag("files.allow", r#"["d, e", "f"]"#).overrides;
    assert_eq!(load(&sources).settings.files.allow, ["d, e", "f"].map(std::path::PathBuf::from));
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let loaded = load(&Sources::default());
    assert_eq!(loaded.settings, Settings::default());
    let settings = loaded.settings.clone();
    assert_eq!((settings.model, settings.store.as_str()), (None, "sqlite:.motet/motet.db"));
    assert_eq!(settings.request.timeout, std::time::Duration::from_secs(600));
    assert!(loaded.show().iter().all(|row| row.origin.layer == Layer::Default));
    assert_eq!(row(&loaded, "model").value, None);
    assert_eq!(row(&loaded, "request.first_byte_timeout").value.as_deref(), Some("2m"));
}

/// Each source must be refused with this message and this hint.
fn refuses(cases: &[(Sources, &str)]) {
    for (sources, expected) in cases {
        assert_eq!(refusal(sources), *expected);
    }
}

#[test]
fn an_unknown_option_in_a_file_is_named_with_its_line_and_the_nearest_one() {
    refuses(&[
        (
            toml("model = 'a:b'\n\n[pyton]\ntimeout = 3"),
            "unknown option `pyton` (file: motet.toml, line: 3)\ndid you mean `python`?",
        ),
        (
            toml("[python]\n# timeout\ntimeot = '3s' # timeot"),
            "unknown option `python.timeot` (file: motet.toml, line: 3)\ndid you mean `python.timeout`?",
        ),
        (
            toml("\npython.memory = 3"),
            "unknown option `python.memory` (file: motet.toml, line: 2)\ndid you mean `python.memory_mb`?",
        ),
        (
            toml("memory_mb = 3"),
            "unknown option `memory_mb` (file: motet.toml, line: 1)\ndid you mean `python.memory_mb`?",
        ),
        (
            toml("providers.groq = { base_url = 'http://x' }\nproviders.mine = { base_uri = 'http://x' }"),
            "unknown option `providers.mine.base_uri` (file: motet.toml, line: 2)\ndid you mean `providers.mine.base_url`?",
        ),
        (
            toml("[prices.'openai:gpt-4.1']\ninput = 1\noutputs = 2"),
            "unknown option `prices.\"openai:gpt-4.1\".outputs` (file: motet.toml, line: 3)\n\
             did you mean `prices.\"openai:gpt-4.1\".output`?",
        ),
        (
            toml("zzz = 1"),
            "unknown option `zzz` (file: motet.toml, line: 1)\nsee `motet config show --reference` for all options",
        ),
    ]);
}

#[test]
fn an_unknown_variable_is_named_with_its_place_and_the_nearest_one() {
    refuses(&[
        (
            dotenv("A=1\nMOTET_MODLE=a:b"),
            "unknown variable `MOTET_MODLE` (file: .env, line: 2)\ndid you mean `MOTET_MODEL`?",
        ),
        (
            environment(&[("MOTET_PYTHON_TIMOUT", "")]),
            "unknown variable `MOTET_PYTHON_TIMOUT`\ndid you mean `MOTET_PYTHON_TIMEOUT`?",
        ),
        (
            environment(&[("MOTET_model", "a:b")]),
            "unknown variable `MOTET_model`\ndid you mean `MOTET_MODEL`?",
        ),
        (
            environment(&[("MOTET_PROVIDERS_MY_LAB_BASE_URI", "x")]),
            "unknown variable `MOTET_PROVIDERS_MY_LAB_BASE_URI`\ndid you mean `MOTET_PROVIDERS_MY_LAB_BASE_URL`?",
        ),
        (
            environment(&[("MOTET_PROVIDERS_BASE_URL", "x")]),
            "unknown variable `MOTET_PROVIDERS_BASE_URL`\ndid you mean `MOTET_PROVIDERS_<NAME>_BASE_URL`?",
        ),
    ]);
}

#[test]
fn an_unknown_path_of_a_flag_is_named_with_the_flag_and_the_nearest_one() {
    refuses(&[
        (
            flag("agent.max_iteration", "3"),
            "unknown option `agent.max_iteration` (source: flag --set)\ndid you mean `agent.max_iterations`?",
        ),
        (
            flag("pyton.timeout", "3"),
            "unknown option `pyton.timeout` (source: flag --set)\ndid you mean `python.timeout`?",
        ),
        (
            flag("request.max_retries", "3"),
            "unknown option `request.max_retries` (source: flag --set)\nsee `motet config show --reference` for all options",
        ),
        (
            flag("model.name", "3"),
            "unknown option `model.name` (source: flag --set)\nsee `motet config show --reference` for all options",
        ),
        (
            flag("prices.\"a:b", "3"),
            "`prices.\"a:b` is not an option's path (source: flag --set)\n\
             divide its parts by dots and put a part that has dots in double quotes",
        ),
    ]);
}

/// Each source must be refused with this message and with some hint.
fn refuses_value(cases: &[(Sources, &str)]) {
    for (sources, expected) in cases {
        let refusal = refusal(sources);
        assert_eq!(refusal.lines().next(), Some(*expected));
        assert!(refusal.lines().nth(1).is_some_and(|hint| !hint.is_empty()), "{expected}");
    }
}

#[test]
fn a_wrong_value_in_a_file_is_named_with_its_line_and_what_is_expected() {
    for (text, expected) in [
        ("\n[python]\ntimeout = 'fast'", "`python.timeout` must be {duration}, found `fast` (line: 3)"),
        ("python.timeout = 0", "`python.timeout` must be {duration}, found `0` (line: 1)"),
        ("python.timeout = 1979-05-27", "`python.timeout` must be {duration}, found a date (line: 1)"),
        ("max_parallel_tasks = 0", "`max_parallel_tasks` must be {count}, found `0` (line: 1)"),
        ("max_parallel_tasks = 8.0", "`max_parallel_tasks` must be {count}, found `8.0` (line: 1)"),
        ("max_parallel_tasks = '8'", "`max_parallel_tasks` must be {count}, found `8` (line: 1)"),
        (
            "max_parallel_tasks = 4294967296",
            "`max_parallel_tasks` must be {count}, found `4294967296` (line: 1)",
        ),
        ("structured.max_repairs = -1", "`structured.max_repairs` must be {whole}, found `-1` (line: 1)"),
        ("log = ''", "`log` must be a text that is not empty, found `` (line: 1)"),
        ("model = true", "`model` must be a model id written `provider:model`, found `true` (line: 1)"),
        ("files.allow = 'data'", "`files.allow` must be {directories}, found `data` (line: 1)"),
        ("files.allow = ['a', 1]", "`files.allow` must be {directories}, found a list (line: 1)"),
    ] {
        let expected = expected
            .replace(
                "{duration}",
                "a duration above zero, such as `30s`, `500ms`, `2m`, `1h`, or a number of seconds",
            )
            .replace("{count}", "a whole number from 1 to 4294967295")
            .replace("{whole}", "a whole number from 0 to 4294967295")
            .replace("{directories}", "a list of directories, such as `[\"data\", \"/srv/shared\"]`")
            .replace("(line", "(file: motet.toml, line");
        refuses_value(&[(toml(text), &expected)]);
    }
}

#[test]
fn what_should_be_a_table_or_a_name_in_a_file_is_refused_with_its_line() {
    for (text, expected) in [
        ("python = 1979-05-27", "`python` must be a table, found a date (line: 1)"),
        ("\npython = 'x'", "`python` must be a table, found a text (line: 2)"),
        ("python = 1.5", "`python` must be a table, found a number (line: 1)"),
        ("[[python]]\ntimeout = 1", "`python` must be a table, found a list (line: 1)"),
        ("providers.OpenAI.api_key = 'x'", "`OpenAI` is not a provider's name (line: 1)"),
        ("providers.x.headers.'a b' = 'x'", "`a b` is not the name of an HTTP header (line: 1)"),
        ("prices.gpt.input = 1", "`gpt` is not a model id (line: 1)"),
        (
            "prices.'a:b' = {}\nprices.'a/b' = {}",
            "`prices.\"a:b\"` is given twice in different spellings (line: 2)",
        ),
    ] {
        refuses_value(&[(toml(text), &expected.replace("(line", "(file: motet.toml, line"))]);
    }
}

#[test]
fn a_wrong_value_of_a_variable_or_flag_is_named_with_it_and_what_is_expected() {
    refuses_value(&[
        (
            dotenv("\nMOTET_AGENT_MAX_ITERATIONS=many"),
            "`agent.max_iterations` must be a whole number from 1 to 4294967295, found `many` \
             (file: .env, line: 2, variable: MOTET_AGENT_MAX_ITERATIONS)",
        ),
        (
            environment(&[("MOTET_MODEL", "gpt-4o")]),
            "`model` must be a model id written `provider:model`, found `gpt-4o` (variable: MOTET_MODEL)",
        ),
        (
            environment(&[("MOTET_PRICES", "0.15")]),
            "`prices` must be a JSON object, found something else (variable: MOTET_PRICES)",
        ),
        (
            environment(&[("MOTET_PRICES", "{")]),
            "`prices` must be a JSON object, but EOF while parsing an object at line 1 column 1 \
             (variable: MOTET_PRICES)",
        ),
        (
            environment(&[("MOTET_PRICES", r#"{"a:b": 1}"#)]),
            "`prices.\"a:b\"` must be a table, found a number (variable: MOTET_PRICES)",
        ),
        (
            flag("store", "motet.db"),
            "`store` must be the URL of a store, such as `sqlite:.motet/motet.db` or `memory:`, found another text \
             (source: flag --set)",
        ),
    ]);
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line_and_without_its_content() {
    for (text, line) in [
        (format!("model = 'a:b'\nproviders.x.api_key = \"{KEY}\n"), 2),
        (format!("\n\nproviders.x.api_key = {KEY}"), 3),
        (format!("log = 'a'\nlog = '{KEY}'"), 2),
    ] {
        let error = Settings::load(&toml(&text)).unwrap_err();
        assert!(error.message().starts_with("not valid TOML: "), "{error}");
        assert!(error.to_string().ends_with(&format!("(file: motet.toml, line: {line})")), "{error}");
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    }
}

#[test]
fn nothing_that_is_shown_or_said_contains_a_secret() {
    let mut sources = toml(&format!(
        "store = 'redis://user:{KEY}@host/0'\n[providers.x]\napi_key = '{KEY}'\nproxy = 'http://u:{KEY}@proxy'\n\
         base_url = 'https://{KEY}@host'\nheaders = {{ X-Key = '{KEY}' }}"
    ));
    sources.environment = environment(&[("OPENAI_API_KEY", KEY)]).environment;
    sources.overrides = flag("providers.x.api_key", KEY).overrides;
    let loaded = load(&sources);
    let shown = serde_json::to_string(&loaded.show()).unwrap();
    assert_eq!(row(&loaded, "providers.x.api_key").value.as_deref(), Some("****9876"));
    assert_eq!(row(&loaded, "providers.x.headers.x-key").value.as_deref(), Some("****9876"));
    assert_eq!(row(&loaded, "store").value.as_deref(), Some("redis://****@host/0"));
    let provider = format!("{:?}", loaded.settings.providers);
    for text in
        [shown, format!("{loaded:?}"), format!("{:?}", loaded.settings), format!("{sources:?}"), provider]
    {
        assert!(!text.contains(KEY), "{text}");
    }
    assert_eq!(loaded.settings.providers["x"].api_key, Some(Secret::new(KEY)));
}

#[test]
fn a_wrong_value_that_may_hold_a_key_is_not_repeated() {
    for sources in [
        toml(&format!("providers.x.api_key = ['{KEY}']")),
        toml(&format!("providers.x.headers = '{KEY}'")),
        toml(&format!("providers.x = '{KEY}'")),
        toml(&format!("providers.x.base_url = 'user:{KEY}@host'")),
        toml(&format!("store = '{KEY}'")),
        environment(&[("MOTET_PROVIDERS_X_PROXY", KEY)]),
        environment(&[("MOTET_PROVIDERS_X_HEADERS", &format!("X-Key: {KEY}"))]),
        environment(&[("MOTET_PROVIDERS_X_HEADERS", &format!("[\"{KEY}\"]"))]),
        environment(&[("MOTET_PROVIDERS_X_HEADERS", &format!("{{\"a\": [\"{KEY}\"]}}"))]),
        dotenv(&format!("MOTET_PROVIDERS_X_API_KEY=\"{KEY}")),
    ] {
        let error = Settings::load(&sources).unwrap_err();
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    }
}

#[test]
fn keys_of_providers_are_found_in_dotenv_and_environment_and_the_environment_wins() {
    let mut sources = dotenv("OPENAI_API_KEY=from-file\nGROQ_API_KEY='from-file'\nEMPTY=\n");
    sources.environment =
        environment(&[("OPENAI_API_KEY", "from-environment"), ("GROQ_API_KEY", "")]).environment;
    let loaded = load(&sources);
    for (name, value, origin) in [
        ("OPENAI_API_KEY", "from-environment", "environment variable OPENAI_API_KEY"),
        ("GROQ_API_KEY", "from-file", ".env (GROQ_API_KEY)"),
    ] {
        assert_eq!(loaded.variable(name), Some(Secret::new(value)));
        assert_eq!(loaded.variable_origin(name).unwrap().to_string(), origin);
    }
    assert_eq!((loaded.variable("EMPTY"), loaded.variable("ABSENT")), (None, None));
    assert!(loaded.variable_origin("EMPTY").is_none());
}

#[test]
fn variables_that_are_empty_or_reserved_or_of_others_set_nothing() {
    let sources =
        environment(&[("MOTET_MODEL", ""), ("MOTET_SKIPS", "redis"), ("PATH", "/bin"), ("MOTETS", "1")]);
    assert_eq!(load(&sources).settings, Settings::default());
}

#[test]
fn a_provider_in_a_variable_is_the_one_that_is_spelled_so() {
    let variable = [("MOTET_PROVIDERS_MY_LAB_API_KEY", KEY)];
    for (file, flag_path, expected) in [
        ("", None, "my_lab"),
        ("providers.my-lab.dialect = 'x'", None, "my-lab"),
        ("", Some("providers.my-lab.dialect"), "my-lab"),
        ("providers.my-labs.dialect = 'x'", None, "my_lab"),
    ] {
        let mut sources = Sources { environment: environment(&variable).environment, ..toml(file) };
        sources.overrides = flag_path.map(|path| flag(path, "x").overrides).unwrap_or_default();
        let key = load(&sources).settings.providers[expected].api_key.clone();
        assert_eq!(key, Some(Secret::new(KEY)), "{file}");
    }
    let both = toml("[providers]\nmy-lab.dialect = 'x'\nmy_lab.dialect = 'y'");
    assert_eq!(
        refusal(&Sources { environment: environment(&variable).environment, ..both }),
        "`MOTET_PROVIDERS_MY_LAB_API_KEY` can mean provider `my-lab` or `my_lab`\n\
         set it in `motet.toml`, or rename one of them"
    );
}

#[test]
fn a_provider_is_merged_from_several_sources_part_by_part() {
    let mut sources =
        toml("[providers.my-lab]\nbase_url = 'http://a'\nheaders = { X-One = '1', X-Two = '2' }");
    sources.environment = environment(&[
        ("MOTET_PROVIDERS_MY_LAB_DIALECT", "openai-chat"),
        ("MOTET_PROVIDERS_MY_LAB_HEADERS", r#"{"x-two": "3"}"#),
    ])
    .environment;
    let provider = load(&sources).settings.providers.remove("my-lab").unwrap();
    assert_eq!(
        (provider.base_url.as_deref(), provider.dialect.as_deref()),
        (Some("http://a"), Some("openai-chat"))
    );
    let headers: Vec<_> =
        provider.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-one", "1"), ("x-two", "3")]);
}

#[test]
fn every_part_of_a_price_can_be_set() {
    let rows: Vec<_> = OPTIONS.iter().filter(|row| row.path.starts_with("prices.<model>.")).collect();
    let lines = rows.iter().enumerate().map(|(number, row)| {
        format!("{} = {}\n", row.path.trim_start_matches("prices.<model>."), number + 1)
    });
    let text = format!("[prices.'a:b']\n{}", lines.collect::<String>());
    let loaded = load(&toml(&text));
    let price = loaded.settings.prices[&"a:b".parse::<ModelId>().unwrap()].over(None).unwrap();
    let parts = serde_json::to_value(price).unwrap();
    assert_eq!(parts.as_object().unwrap().len(), rows.len(), "a part cannot be set, or an option is no part");
    for (number, row) in (1_u64..).zip(&rows) {
        let name = row.path.trim_start_matches("prices.<model>.");
        let unit = if row.kind == "count" { 1 } else { 1_000_000 };
        assert_eq!(parts[name], number * unit, "{name}");
    }
}

#[test]
fn prices_become_micro_dollars_exactly() {
    let whole = PriceChange {
        input: Some(75_000),
        output: Some(37_500),
        cached_input: Some(2_500_000),
        cache_write: Some(1),
        ..PriceChange::default()
    };
    let plain = PriceChange { input: Some(15_000_000), output: Some(0), ..PriceChange::default() };
    for (sources, model, expected) in [
        (
            toml(
                "[prices]\n'openai:gpt-4.1' = { input = 0.075, output = 0.0375, cached_input = 2.5, cache_write = 0.000001 }",
            ),
            "openai:gpt-4.1",
            whole,
        ),
        (
            toml(
                "[prices.'openai/gpt-4.1']\ninput = '0.075'\noutput = '0.037500'\ncached_input = '2.5'\ncache_write = '0.000001'",
            ),
            "openai:gpt-4.1",
            whole,
        ),
        (environment(&[("MOTET_PRICES", r#"{"a:b": {"input": 15, "output": 0.0}}"#)]), "a:b", plain),
        (flag("prices.a:b", r#"{"input": "15.0", "output": 0}"#), "a:b", plain),
    ] {
        let loaded = load(&sources);
        assert_eq!(loaded.settings.prices[&model.parse::<ModelId>().unwrap()], expected);
    }
    for (text, found) in [("0.0000001", "1e-7"), ("-1", "-1"), ("nan", "NaN"), ("1e300", "1e300")] {
        let error = refusal(&toml(&format!("prices.'a:b' = {{ input = {text}, output = 1 }}")));
        let expected = "dollars per million tokens with at most six decimals, such as `0.15`";
        let message =
            format!("`prices.\"a:b\".input` must be {expected}, found `{found}` (file: motet.toml, line: 1)");
        assert_eq!(error.lines().next(), Some(message.as_str()));
    }
}

#[test]
fn a_price_may_be_changed_in_part() {
    let mut sources = toml("prices.'a:b.c' = { input = 1, output = 2 }");
    sources.overrides = flag("prices.\"a:b.c\".output", "3").overrides;
    let price = load(&sources).settings.prices[&"a:b.c".parse().unwrap()];
    assert_eq!((price.input, price.output), (Some(1_000_000), Some(3_000_000)));
    sources.motet_toml = None;
    let price = load(&sources).settings.prices[&"a:b.c".parse().unwrap()];
    assert_eq!((price.input, price.output), (None, Some(3_000_000)));
}

#[test]
fn the_reference_has_every_option_with_default_variable_and_example() {
    let text = reference_markdown();
    for option in OPTIONS {
        let line = text.lines().find(|line| line.starts_with(&format!("| `{}` |", option.path))).unwrap();
        assert_eq!(line.matches(" | ").count(), 5, "{line}");
        assert!(line.contains(&format!("| `{}`", option.environment())), "{line}");
        assert!(line.contains(option.doc) && line.contains(&option.example_toml()), "{line}");
        assert!(
            option.default_text().is_none_or(|default| line.contains(&format!("| `{default}` |"))),
            "{line}"
        );
    }
    assert!(text.contains("| `python.timeout` | duration | `1m` | `MOTET_PYTHON_TIMEOUT` |"));
    assert!(
        text.contains(
            "| `prices.<model>.input` | dollars per million tokens | none | `MOTET_PRICES` `{…}` |"
        )
    );
}

#[test]
fn every_option_has_a_doc_of_one_line_and_a_path_of_its_own() {
    let mut paths = BTreeSet::new();
    for option in OPTIONS {
        assert!(option.doc.ends_with('.') && !option.doc.contains('\n'), "{}", option.path);
        assert!(paths.insert(option.path), "{} is there twice", option.path);
    }
}
