//! What formats accept of JSON schema, as data.
//!
//! Names kinds of schemas, not who takes them; profiles refer to these rules.

/// What one kind of schemas accepts of JSON schema.
///
/// Whatever is not said here is the same for all: `oneOf` becomes `anyOf`, `allOf` and references beside other keywords
/// are merged where that is plain, titles, defaults, and examples are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaRules {
    /// Name of the rules, for messages.
    pub name: &'static str,
    /// Any schema is taken as it is; the other rules do not matter then.
    pub anything: bool,
    /// A schema that breaks the rules may still be sent, as advice that is not enforced.
    pub advice: bool,
    /// Keywords with plain values that are enforced, such as `minimum`.
    pub constraints: &'static [&'static str],
    /// Greatest `minItems` that is enforced.
    pub min_items: u64,
    /// Formats of texts and numbers that are accepted.
    pub formats: &'static [&'static str],
    /// Regular expressions that are accepted.
    pub patterns: Patterns,
    /// What is said about further properties of an object.
    pub objects: Objects,
    /// Objects may hold properties of any name.
    pub maps: bool,
    /// Every property must be required; what was optional may be null instead.
    pub all_required: bool,
    /// Every object must require at least one property.
    pub one_required: bool,
    /// Objects without any property are accepted.
    pub empty_objects: bool,
    /// Where references may lead.
    pub references: References,
    /// Whether they may lead in circles.
    pub recursion: Recursion,
    /// A reference may stand beside a description.
    pub reference_siblings: bool,
    /// How several types are written.
    pub types: TypeLists,
    /// Whether `anyOf` is accepted.
    pub unions: Unions,
    /// Everything must have a type.
    pub typed: bool,
    /// `const` is accepted; otherwise it becomes an `enum` of one value.
    pub constants: bool,
    /// Values that an `enum` may list.
    pub enums: Enums,
    /// Items may have a type each.
    pub tuples: bool,
    /// The root must be an object, and not `anyOf`.
    pub root_object: bool,
    /// The order of properties is told by `propertyOrdering`.
    pub ordering: bool,
    /// Bounds of the whole schema.
    pub limits: SchemaLimits,
}

/// Bounds of a whole schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaLimits {
    /// Objects and lists within each other.
    pub depth: usize,
    /// Properties of all objects together.
    pub properties: usize,
    /// Values of all enumerations together.
    pub enum_values: usize,
    /// Characters of all names and enumerated texts together.
    pub characters: usize,
    /// Optional properties of all objects together.
    pub optional: usize,
    /// Unions and lists of types together.
    pub unions: usize,
}

impl SchemaLimits {
    /// No bound.
    pub const NONE: SchemaLimits = SchemaLimits {
        depth: usize::MAX,
        properties: usize::MAX,
        enum_values: usize::MAX,
        characters: usize::MAX,
        optional: usize::MAX,
        unions: usize::MAX,
    };
}

/// Regular expressions that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patterns {
    /// None.
    Never,
    /// Those without looking around, going back, and word borders.
    Plain,
    /// Plain ones that begin with `^` and end with `$`.
    Anchored,
    /// Plain ones without `^` and `$`.
    Unanchored,
}

/// What is said about further properties of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// `additionalProperties: false` must stand in every object.
    Closed,
    /// `additionalProperties` may say anything.
    Free,
    /// Nothing: the keyword is refused, and the model gives no further properties.
    Unwritten,
}

/// Where references may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// To `$defs` at the root, where whatever is referred to is put.
    Definitions,
    /// Nowhere: what they lead to stands in their place.
    Inlined,
}

/// Whether references may lead in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    /// They may not.
    Never,
    /// Through a property that is not required.
    Optional,
    /// They may.
    Always,
}

/// How several types are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeLists {
    /// As a list of names.
    List,
    /// As `anyOf`.
    Union,
    /// As `anyOf`, and null as `nullable: true`.
    Nullable,
}

/// Whether `anyOf` is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unions {
    /// It is not.
    Never,
    /// Only with nothing beside it.
    Alone,
    /// It is.
    Free,
}

/// Values that an `enum` may list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enums {
    /// Any.
    Any,
    /// Texts, numbers, booleans, and null.
    Plain,
    /// Texts.
    Strings,
}

/// What tells how large or long something is.
const ALL_CONSTRAINTS: &[&str] = &[
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
];

impl SchemaRules {
    /// Any JSON schema is taken as it is.
    pub const ANY: SchemaRules = SchemaRules {
        name: "JSON schema",
        anything: true,
        advice: true,
        constraints: ALL_CONSTRAINTS,
        min_items: u64::MAX,
        formats: &[],
        patterns: Patterns::Plain,
        objects: Objects::Free,
        maps: true,
        all_required: false,
        one_required: false,
        empty_objects: true,
        references: References::Definitions,
        recursion: Recursion::Always,
        reference_siblings: true,
        types: TypeLists::List,
        unions: Unions::Free,
        typed: false,
        constants: true,
        enums: Enums::Any,
        tuples: true,
        root_object: false,
        ordering: false,
        limits: SchemaLimits::NONE,
    };

    /// OpenAI's strict mode, by the guide "Structured model outputs", section "Supported schemas", of 2026-02.
    pub const OPENAI_STRICT: SchemaRules = SchemaRules {
        name: "OpenAI's strict mode",
        anything: false,
        constraints: &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "minItems",
            "maxItems",
        ],
        formats: &["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"],
        objects: Objects::Closed,
        maps: false,
        all_required: true,
        reference_siblings: false,
        typed: true,
        enums: Enums::Plain,
        tuples: false,
        root_object: true,
        limits: SchemaLimits {
            depth: 10,
            properties: 5_000,
            enum_values: 1_000,
            characters: 120_000,
            ..SchemaLimits::NONE
        },
        ..SchemaRules::ANY
    };

    /// Groq's strict mode, by its guide "Structured outputs" of 2026: as OpenAI's, which it does not say more about.
    pub const GROQ: SchemaRules = SchemaRules { name: "Groq's strict mode", ..SchemaRules::OPENAI_STRICT };

    /// Mistral's custom structured output, by what its own client sends: objects must be closed.
    pub const MISTRAL: SchemaRules = SchemaRules {
        name: "Mistral's structured output",
        anything: false,
        formats: &[
            "date-time",
            "time",
            "date",
            "duration",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "uuid",
            "uri",
        ],
        objects: Objects::Closed,
        maps: false,
        reference_siblings: false,
        enums: Enums::Plain,
        root_object: true,
        ..SchemaRules::ANY
    };

    /// Ollama and llama.cpp, by the latter's conversion of schemas to grammars, which passes over what it does not know.
    pub const OLLAMA: SchemaRules = SchemaRules {
        name: "a grammar",
        anything: false,
        constraints: &["minLength", "maxLength", "minItems", "maxItems"],
        formats: &["date", "time", "date-time", "uuid"],
        patterns: Patterns::Anchored,
        reference_siblings: false,
        ..SchemaRules::ANY
    };

    /// Gemini's `responseSchema` and `parameters`: a part of OpenAPI 3.0's schema object.
    pub const GEMINI_OPENAPI: SchemaRules = SchemaRules {
        name: "Gemini's OpenAPI schema",
        anything: false,
        advice: false,
        constraints: &[
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
        ],
        formats: &["date-time", "int32", "int64", "float", "double"],
        objects: Objects::Unwritten,
        maps: false,
        empty_objects: false,
        references: References::Inlined,
        recursion: Recursion::Never,
        types: TypeLists::Nullable,
        unions: Unions::Alone,
        typed: true,
        constants: false,
        enums: Enums::Strings,
        tuples: false,
        ordering: true,
        ..SchemaRules::ANY
    };

    /// Gemini's `responseJsonSchema` and `parametersJsonSchema`, by the API reference of `GenerationConfig`.
    pub const GEMINI_JSON: SchemaRules = SchemaRules {
        name: "Gemini's JSON schema",
        anything: false,
        advice: false,
        constraints: &["minimum", "maximum", "minItems", "maxItems"],
        formats: &["date-time", "date", "time"],
        patterns: Patterns::Never,
        recursion: Recursion::Optional,
        reference_siblings: false,
        constants: false,
        enums: Enums::Plain,
        ordering: true,
        ..SchemaRules::ANY
    };

    /// Anthropic's structured outputs, by its guide's section "JSON Schema limitations" of 2026.
    pub const ANTHROPIC: SchemaRules = SchemaRules {
        name: "Anthropic's structured output",
        anything: false,
        advice: false,
        constraints: &["minItems"],
        min_items: 1,
        formats: &[
            "date-time",
            "time",
            "date",
            "duration",
            "email",
            "hostname",
            "uri",
            "ipv4",
            "ipv6",
            "uuid",
        ],
        objects: Objects::Closed,
        maps: false,
        recursion: Recursion::Never,
        reference_siblings: false,
        typed: true,
        enums: Enums::Plain,
        tuples: false,
        root_object: true,
        limits: SchemaLimits { optional: 24, unions: 16, ..SchemaLimits::NONE },
        ..SchemaRules::ANY
    };

    /// Bedrock's structured output, by its guide "Get validated JSON results from models" of 2026.
    pub const BEDROCK: SchemaRules =
        SchemaRules { name: "Bedrock's structured output", ..SchemaRules::ANTHROPIC };

    /// Cohere's JSON schema mode, by its guide's sections "Schema constraints" and "Unsupported schema features".
    pub const COHERE: SchemaRules = SchemaRules {
        name: "Cohere's JSON schema mode",
        anything: false,
        advice: false,
        constraints: &[],
        formats: &["date-time", "uuid", "date", "time"],
        patterns: Patterns::Unanchored,
        objects: Objects::Unwritten,
        maps: false,
        one_required: true,
        empty_objects: false,
        references: References::Inlined,
        recursion: Recursion::Never,
        types: TypeLists::Union,
        unions: Unions::Never,
        typed: true,
        enums: Enums::Plain,
        tuples: false,
        root_object: true,
        ..SchemaRules::ANY
    };
}
