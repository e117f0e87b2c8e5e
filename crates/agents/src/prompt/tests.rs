//! Templates of prompts: what they write, and what they refuse.

use motet_core::request::ToolSpec;
use serde_json::json;

use super::*;
use crate::agent::Agent;
use crate::function::dynamic;

fn written(source: &str, variables: &Value) -> Result<String> {
    PromptTemplate::new(source)?.render(variables)
}

fn told(source: &str, variables: &Value) -> (String, Option<String>) {
    let error = written(source, variables).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    (error.to_string(), error.hint().map(str::to_owned))
}

#[test]
fn values_stand_as_they_are_and_are_never_expanded_again() {
    let tricky = "{{ secret }} {% for %} <b>&\"'\n\t{# x #}";
    let text = written("a\n  {{ value }}\n", &json!({"value": tricky, "secret": "s"})).unwrap();
    assert_eq!(text, format!("a\n  {tricky}\n"));
    assert_eq!(written("", &json!({})).unwrap(), "");
    assert_eq!(written("<a & b>\r\n\n", &Value::Null).unwrap(), "<a & b>\r\n\n");
}

#[test]
fn a_missing_variable_is_named_with_its_place_and_the_nearest_name() {
    let (message, hint) = told("Hi.\n  {{ custmer }}", &json!({"customer": "A", "x": 1}));
    assert_eq!(message, "the template needs `custmer` at line 2, column 6, which is missing");
    assert_eq!(hint.as_deref(), Some("did you mean `customer`?"));
    let (message, hint) = told("{{ user.nmae }}", &json!({"user": {"name": "A"}}));
    assert!(message.contains("`user.nmae` at line 1"), "{message}");
    assert_eq!(hint.as_deref(), Some("did you mean `user.name`?"));
    let (message, hint) = told("{% for a in list %}{{ a }}{% endfor %}", &json!({}));
    assert!(message.contains("`list` at line 1"), "{message}");
    assert_eq!(hint.as_deref(), Some("give it a value, or ask whether it `is defined`"));
    assert_eq!(written("{% if x is defined %}a{% else %}b{% endif %}", &json!({})).unwrap(), "b");
}

#[test]
fn wrong_templates_tell_line_and_column() {
    for (source, expected) in [
        ("ok\n{{ a", "line 2, column"),
        ("{% if a %}", "line 1, column"),
        ("{{ a | nofilter }}", "line 1, column"),
        ("{% include 'other.txt' %}", "line 1"),
        ("{% import '/etc/passwd' as p %}{{ p }}", "line 1"),
    ] {
        let (message, _) = told(source, &json!({"a": 1}));
        assert!(message.contains(expected), "{source}: {message}");
    }
    let error = PromptTemplate::new("x").unwrap().render(&json!([1])).unwrap_err();
    assert_eq!(error.to_string(), "the variables of a template are no object");
}

#[test]
fn endless_templates_are_stopped() {
    let deep = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}";
    assert!(told(deep, &json!({})).0.contains("million steps"));
    let wide = "{% for a in range(9999) %}{{ text }}{% endfor %}";
    assert!(told(wide, &json!({"text": "x".repeat(1000)})).0.contains("more than 4194304 bytes"));
    let endless = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(written(endless, &json!({})).is_err());
}

#[test]
fn filters_write_json_and_trim() {
    let data = json!({"data": {"b": [1, "<é>"], "a": null}, "text": "  x "});
    assert_eq!(written("{{ data | json }}{{ text | trim }}", &data).unwrap(), r#"{"b":[1,"<é>"],"a":null}x"#);
    assert_eq!(written("{{ data.b | tojson(indent=2) }}", &data).unwrap(), "[\n  1,\n  \"<é>\"\n]");
}

#[test]
fn variables_lists_what_is_needed() {
    let template = PromptTemplate::new(
        "{% set own = 1 %}{{ own }}{% for r in rules %}{{ r.x }}{{ range(2) }}{% endfor %}{{ user.name }}",
    );
    assert_eq!(template.unwrap().variables(), ["rules", "user"]);
}

#[test]
fn typed_values_are_variables_too() {
    #[derive(Serialize)]
    struct Facts<'a> {
        name: &'a str,
        count: u8,
    }
    let template = PromptTemplate::new("{{ name }}: {{ count + 1 }}").unwrap();
    assert_eq!(template.render(&Facts { name: "n", count: 2 }).unwrap(), "n: 3");
}

#[test]
fn instructions_know_the_tools_of_their_agent() {
    let tool = |name: &str| {
        let spec = ToolSpec::new(name, format!("Does {name} <now>."), json!({"type": "object"}));
        dynamic(spec, |_, _| async { Ok(motet_core::ToolOutput::text("")) })
    };
    let template = PromptTemplate::new(
        "{{ role }}{% for tool in tools %}\n- {{ tool.name }}: {{ tool.description }}{% endfor %}",
    )
    .unwrap();
    let builder = || {
        let builder = Agent::builder("a", "scripted:test".parse().unwrap());
        builder.tool(tool("one")).instructions_template(&template, json!({"role": "Clerk"})).tool(tool("two"))
    };
    let agent = builder().build().unwrap();
    assert_eq!(agent.instructions(), "Clerk\n- one: Does one <now>.\n- two: Does two <now>.");
    assert_eq!(builder().instructions("plain").build().unwrap().instructions(), "plain");
    let missing = Agent::builder("a", "scripted:test".parse().unwrap());
    let error = missing.instructions_template(&template, json!({"rule": 1})).build().unwrap_err();
    assert!(
        error.to_string().contains("needs `role` at line 1, column 4, which is missing (agent: a)"),
        "{error}"
    );
}
