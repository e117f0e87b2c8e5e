//! Reads one task: its keys, its method, and the references in its values.

use motet_core::method::{Parameter, ParameterKind};
use motet_core::workflow::{OnFailure, RetryPolicy, TaskSpec};
use serde_json::{Map, Value};

use super::fields::{Fields, name, object, string, strings};
use super::references::{Found, Site, collect};
use super::report::Report;
use super::{Rules, batch, for_each, limits, params, policy};
use crate::dag::reference::{RESERVED, RESERVED_CHARACTERS};
use crate::dag::yaml::{Content, Field, Node, Place};

/// Every key that a task may have.
pub(super) const KEYS: [&str; 22] = [
    "id",
    "name",
    "description",
    "protocol",
    "method",
    "params",
    "parameters",
    "dependencies",
    "depends_on",
    "when",
    "for_each",
    "retry",
    "timeout",
    "priority",
    "queue",
    "limit",
    "delay",
    "not_before",
    "on_failure",
    "cache",
    "tags",
    "metadata",
];

/// The longest id or name, in characters.
pub(super) const LONGEST_NAME: usize = 200;

/// A task before its dependencies are known.
#[derive(Debug)]
pub(super) struct Draft {
    /// The task; its id is empty where none could be read.
    pub(super) spec: TaskSpec,
    /// Where its id is written, or its name, or where it starts.
    pub(super) id_place: Place,
    pub(super) name_place: Place,
    /// Where its limit is named, or where it starts.
    pub(super) limit_place: Place,
    /// Dependencies as written.
    pub(super) dependencies: Vec<(String, Place)>,
    pub(super) references: Vec<Found>,
}

pub(super) fn read(node: &Node, rules: &Rules<'_>, report: &mut Report<'_>) -> Option<Draft> {
    let written = Fields::of(node, "a task", report)?;
    let rewritten = batch::task(written, rules, report);
    let fields = match rewritten.as_ref().map(|node| &node.content) {
        Some(Content::Map(all)) => Fields { all, ..written },
        _ => written,
    };
    let params_field = fields.either("params", "parameters", report);
    let method = method(fields, rules, report);
    let table = method.as_ref().and_then(|method| rules.method(method, None)).map(|(_, table)| table);
    fields.refuse_others(&KEYS, report, |key| {
        let method = method.as_ref()?;
        let is_parameter = table?.iter().any(|parameter| parameter.name == key);
        is_parameter.then(|| format!("`{key}` is a parameter of `{method}`: write it under `params`"))
    });
    let given = params_field.and_then(|field| Fields::of(&field.node, "`params`", report));
    if let (Some(method), Some(table)) = (&method, table) {
        let place = params_field.map_or(fields.place, |field| field.place);
        params::check((method, table), given, place, report);
    }
    let (id, id_place) = id(fields, report);
    let mut spec = empty(id);
    spec.name = fields.get("name").and_then(|field| name(field, report)).map(|name| name.trim().to_owned());
    spec.method = method.unwrap_or_default();
    if let (Some(field), Some(_)) = (params_field, given) {
        spec.params = object(field, report);
    }
    read_policies(&mut spec, fields, report);
    if let Some(field) = fields.get("cache") {
        spec.cache = policy::cache(field, (&spec.method, table), report);
    }
    spec.metadata = metadata(fields, &["description", "tags"], report);
    if let Some(field) = fields.get("description") {
        string(field, report);
    }
    let dependencies = fields.either("dependencies", "depends_on", report);
    let dependencies = dependencies.map(|field| strings(field, report)).unwrap_or_default();
    Some(Draft {
        references: references(fields, (params_field, table), spec.for_each.is_some(), report),
        dependencies: dependencies.into_iter().map(|(name, place)| (name.trim().to_owned(), place)).collect(),
        limit_place: fields.get("limit").map_or(fields.place, |field| field.node.place),
        name_place: fields.get("name").map_or(id_place, |field| field.node.place),
        id_place,
        spec,
    })
}

fn empty(id: String) -> TaskSpec {
    TaskSpec {
        id,
        name: None,
        method: String::new(),
        params: Map::new(),
        dependencies: Vec::new(),
        when: None,
        for_each: None,
        retry: RetryPolicy::default(),
        timeout: None,
        priority: None,
        queue: None,
        limit: None,
        delay: None,
        not_before: None,
        on_failure: OnFailure::default(),
        cache: None,
        metadata: Map::new(),
    }
}

fn read_policies(spec: &mut TaskSpec, fields: Fields<'_>, report: &mut Report<'_>) {
    if let Some(field) = fields.written("when") {
        spec.when = for_each::when(field, report);
    }
    if let Some(field) = fields.written("for_each") {
        spec.for_each = for_each::for_each(field, report);
    }
    if let Some(field) = fields.get("retry") {
        spec.retry = policy::retry(field, report);
    }
    if let Some(field) = fields.get("timeout") {
        spec.timeout = policy::timeout(field, report);
    }
    if let Some(field) = fields.get("priority") {
        spec.priority = policy::priority(field, report);
    }
    spec.queue = fields.get("queue").and_then(|field| limits::queue(field, report));
    spec.limit = fields.get("limit").and_then(|field| limits::key(field, report));
    spec.delay = fields.get("delay").and_then(|field| policy::duration(field, report));
    spec.not_before = fields.get("not_before").and_then(|field| policy::time(field, report));
    if let Some(field) = fields.get("on_failure") {
        spec.on_failure = policy::on_failure(field, report).unwrap_or_default();
    }
}

fn references(
    fields: Fields<'_>,
    (params, table): (Option<&Field>, Option<&[Parameter]>),
    has_items: bool,
    report: &mut Report<'_>,
) -> Vec<Found> {
    let mut found = Vec::new();
    // A `for_each` that could not be read still gives an item, so that the references to it are not reported too.
    let inside = if has_items || fields.written("for_each").is_some() { Site::Item } else { Site::Task };
    for (field, site) in [(fields.get("when"), inside), (fields.get("for_each"), Site::Task)] {
        if let Some(field) = field {
            collect(&field.node, site, &mut found, report);
        }
    }
    match params.map(|field| &field.node.content) {
        // The references of a definition are its own.
        Some(Content::Map(params)) => {
            for param in params.iter().filter(|param| !is_definition(table, &param.key)) {
                collect(&param.node, inside, &mut found, report);
            }
        }
        _ => {
            if let Some(field) = params {
                collect(&field.node, inside, &mut found, report);
            }
        }
    }
    found
}

/// Tells whether a parameter holds what is to run.
fn is_definition(table: Option<&[Parameter]>, name: &str) -> bool {
    let of_name = |known: &&Parameter| known.name == name;
    table
        .and_then(|table| table.iter().find(of_name))
        .is_some_and(|known| known.kind == ParameterKind::Definition)
}

/// Reads the id, or makes one of the name.
fn id(fields: Fields<'_>, report: &mut Report<'_>) -> (String, Place) {
    if let Some(field) = fields.get("id") {
        let Some(id) = name(field, report) else { return (String::new(), field.node.place) };
        check_name(id, field, report);
        if let Some(bad) = id.chars().find(|character| RESERVED_CHARACTERS.contains(character)) {
            let message = format!("the id `{id}` holds `{bad}`, which separates the steps of references");
            report.hint(field.node.place, message, "use letters, digits, `-`, and `_`");
        }
        return (id.to_owned(), field.node.place);
    }
    if let Some(field) = fields.get("name") {
        let Content::String(written) = &field.node.content else { return (String::new(), field.node.place) };
        check_name(written.trim(), field, report);
        return (written.trim().replace(RESERVED_CHARACTERS, "-"), field.node.place);
    }
    report.hint(
        fields.place,
        "the task has neither `id` nor `name`",
        "add `id:` with a short name of its own",
    );
    (String::new(), fields.place)
}

fn check_name(written: &str, field: &Field, report: &mut Report<'_>) {
    let (key, place) = (&field.key, field.node.place);
    if RESERVED.contains(&written) {
        let message = format!("the {key} `{written}` is reserved: references use it for something else");
        report.hint(place, message, "choose another one");
    }
    if written.trim() != written || written.contains(char::is_control) {
        report.add(place, format!("the {key} has spaces around it, or line breaks"));
    }
    if written.chars().count() > LONGEST_NAME {
        report.add(place, format!("the {key} is longer than {LONGEST_NAME} characters"));
    }
}

/// Reads the method, and checks the protocol if one is written; gives the name by which it is known.
fn method(fields: Fields<'_>, rules: &Rules<'_>, report: &mut Report<'_>) -> Option<String> {
    let protocol = fields.get("protocol").and_then(|field| Some((field, name(field, report)?)));
    let Some(field) = fields.get("method") else {
        let place = fields.written("method").map_or(fields.place, |field| field.place);
        report.hint(place, "the task has no `method`", "write what it calls, such as `method: llm/chat`");
        return None;
    };
    let written = name(field, report)?;
    let known = rules.method(written, protocol.map(|(_, protocol)| protocol));
    let Some((known, _)) = known else {
        if let Some(reason) = rules.missing(written, protocol.map(|(_, protocol)| protocol)) {
            // What is wrong with a provider is told once, where the provider is written.
            if !rules.providers.values().any(|told| told == reason) {
                report.add_with(field.node.place, reason.message.clone(), reason.hint.clone());
            }
            return None;
        }
        let hint = report.advice(written, rules.names());
        report.add_with(field.node.place, format!("there is no method `{written}`"), hint);
        return None;
    };
    let family = |name: &'_ str| name.split('/').next().unwrap_or_default().to_owned();
    if let Some((field, protocol)) = protocol
        && family(protocol) != family(known)
    {
        let message = format!("the protocol `{protocol}` does not fit the method `{known}`");
        report.hint(field.node.place, message, "leave `protocol` out; it follows from the method");
    }
    Some(known.to_owned())
}

/// Reads `metadata`, and keeps there what has no other place.
pub(super) fn metadata(fields: Fields<'_>, kept: &[&str], report: &mut Report<'_>) -> Map<String, Value> {
    let mut metadata = fields.get("metadata").map(|field| object(field, report)).unwrap_or_default();
    for field in kept.iter().filter_map(|key| fields.get(key)) {
        if !metadata.contains_key(&field.key) {
            metadata.insert(field.key.clone(), field.node.to_json());
        }
    }
    metadata
}
