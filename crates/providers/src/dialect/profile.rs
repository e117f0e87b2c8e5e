//! What a provider and model can do, and where they differ from their format's norm, as data.
//!
//! Names no provider: rows fill these fields in, dialects read them.

use motet_core::request::ReasoningEffort;

use super::schema::SchemaRules;

/// Capabilities and quirks of one provider and model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Field that carries the output limit.
    pub max_tokens_field: MaxTokensField,
    /// A stream tells its usage when asked by an option.
    pub stream_usage_option: bool,
    /// How an answer of JSON is asked for.
    pub json_output: JsonOutput,
    /// How system messages are sent.
    pub system_role: SystemRole,
    /// Only one system message is accepted, and it must be the first.
    pub merge_system: bool,
    /// What ids of tool calls must look like.
    pub call_ids: CallIdRule,
    /// When sampling options are accepted.
    pub sampling: SamplingRule,
    /// `top_k` is accepted.
    pub top_k: bool,
    /// Field that carries the seed; `None` where none is accepted.
    pub seed_field: Option<&'static str>,
    /// Penalties on tokens that occurred are accepted.
    pub penalties: bool,
    /// Where `top_k` stands among fields that the format leaves to the model, outermost first.
    pub top_k_path: &'static [&'static str],
    /// Stop texts are accepted.
    pub stop: bool,
    /// Reasoning efforts that are accepted, in ascending order; empty when the model does not reason.
    pub efforts: &'static [ReasoningEffort],
    /// Tools are accepted.
    pub tools: bool,
    /// Word that says some tool must be called.
    pub required_word: &'static str,
    /// One named tool can be forced.
    pub named_tool_choice: bool,
    /// The option for several calls in one turn is accepted.
    pub parallel_tool_calls: bool,
    /// The content of a message with tool calls may be null.
    pub null_content: bool,
    /// Images are accepted.
    pub images: bool,
    /// Documents are accepted.
    pub documents: bool,
    /// In which form documents are sent, where the format has several.
    pub document_form: DocumentForm,
    /// Documents may be given by address.
    pub document_urls: bool,
    /// Whether reasoning text is sent back, and where.
    pub reasoning_echo: ReasoningEcho,
    /// Types of images that are accepted; empty when any is.
    pub image_types: &'static [&'static str],
    /// Largest image in bytes before base64; 0 where no limit is known.
    pub image_limit: u64,
    /// Images may be given by address.
    pub image_urls: bool,
    /// Types of documents that are accepted beside plain text; empty when any is.
    pub document_types: &'static [&'static str],
    /// Largest document in bytes before base64; 0 where no limit is known.
    pub document_limit: u64,
    /// Results of tools may hold images.
    pub tool_result_images: bool,
    /// Results of tools may hold documents.
    pub tool_result_documents: bool,
    /// Results of tools are sent as JSON objects, where the format knows text and JSON.
    pub tool_result_json: bool,
    /// What names of tools must look like.
    pub tool_names: NameRule,
    /// A call of some tool can be required.
    pub required_tool_choice: bool,
    /// Calls of tools can be forbidden while tools are offered.
    pub none_tool_choice: bool,
    /// A call can be required while the model thinks.
    pub forced_while_thinking: bool,
    /// An answer by schema can be asked for while tools are offered.
    pub schema_with_tools: bool,
    /// An answer by schema can be streamed.
    pub schema_streamed: bool,
    /// What schemas of answers must look like.
    pub schema: &'static SchemaRules,
    /// What schemas of tools' arguments must look like.
    pub tool_schema: &'static SchemaRules,
    /// Schemas go into the fields for JSON schema, not into older ones for a subset of it.
    pub json_schema_fields: bool,
    /// How thinking is asked for.
    pub thinking: Thinking,
    /// What stands for the signature that the first tool call of a turn must carry where another model made the call;
    /// `None` where calls need no signature.
    pub placeholder_signature: Option<&'static str>,
    /// Word that turns thinking off in models that think unless it is turned off; `None` where nothing needs to be sent.
    pub thinking_off: Option<&'static str>,
    /// Temperature and `top_p` exclude each other.
    pub temperature_or_top_p: bool,
    /// System messages are accepted between the turns, after one of the user.
    pub system_in_place: bool,
    /// Output limit that is sent where the format demands one and the caller gave none, in tokens.
    pub max_output: u32,
    /// What vectors are for is told as part of each text, not by a field.
    pub embed_purpose_in_text: bool,
    /// Field that carries the effort, where the format leaves it to the model.
    pub effort_field: &'static str,
    /// Beginnings of models' names that say where a model runs or how it is addressed, and that rules ignore; `…` stands
    /// for anything, so `arn:…/` takes away a resource's name up to its last slash.
    pub ignored_prefixes: &'static [&'static str],
    /// Vectors may be asked for in base64, which costs a quarter of the reading.
    pub embed_base64: bool,
    /// Texts that one request of embeddings may hold at most.
    pub embed_batch: usize,
    /// In which fields a reasoning effort goes over the wire.
    pub effort_form: EffortForm,
    /// Word for the greatest effort.
    pub xhigh_word: &'static str,
    /// Neighbouring messages of one role are refused, so they are joined.
    pub merge_neighbours: bool,
    /// Streams end with the format's own end marker without fail, so that one without it was cut off, unless it had
    /// come to the counts, which are the last that it tells.
    pub end_marker: bool,
    /// The reported output leaves reasoning tokens out.
    pub reasoning_outside_output: bool,
    /// The reported input leaves audio tokens out.
    pub audio_outside_input: bool,
    /// What stands above the conversation is demanded in a field of its own.
    pub instructions_field: bool,
    /// Only streamed answers are given; a plain one is a stream that is read whole.
    pub streams_only: bool,
    /// An output limit is accepted.
    pub output_limit: bool,
    /// Labels of the request are kept with the answer.
    pub labels: bool,
    /// Answers are kept unless the request says otherwise, which Motet always says.
    pub keeps_answers: bool,
    /// The model reasons, and gives its reasoning encrypted when asked to.
    pub encrypted_reasoning: bool,
    /// Tokens of instructions at most that the provider itself puts before every conversation and counts as input.
    pub hidden_input: u32,
}

impl Profile {
    /// What most speakers of the common formats accept; rows state only what differs.
    pub const COMMON: Profile = Profile {
        max_tokens_field: MaxTokensField::MaxTokens,
        stream_usage_option: true,
        json_output: JsonOutput::Schema,
        system_role: SystemRole::System,
        merge_system: false,
        call_ids: CallIdRule { min: 1, max: 40, marks: "_-" },
        sampling: SamplingRule::Always,
        top_k: true,
        seed_field: Some("seed"),
        penalties: true,
        top_k_path: &["top_k"],
        stop: true,
        efforts: &[
            ReasoningEffort::None,
            ReasoningEffort::Minimal,
            ReasoningEffort::Low,
            ReasoningEffort::Medium,
            ReasoningEffort::High,
            ReasoningEffort::Xhigh,
        ],
        tools: true,
        required_word: "required",
        named_tool_choice: true,
        parallel_tool_calls: true,
        null_content: true,
        images: true,
        documents: true,
        document_form: DocumentForm::File,
        document_urls: false,
        reasoning_echo: ReasoningEcho::Never,
        image_types: &[],
        image_limit: 0,
        image_urls: true,
        document_types: &[],
        document_limit: 0,
        tool_result_images: false,
        tool_result_documents: false,
        tool_result_json: false,
        tool_names: NameRule { max: 64, marks: "_-" },
        required_tool_choice: true,
        none_tool_choice: true,
        forced_while_thinking: true,
        schema_with_tools: true,
        schema_streamed: true,
        // Whoever imitates a format imitates its rules, and the narrowest of them pass everywhere: engines that would
        // enforce more are told the rest in words.
        schema: &SchemaRules::OPENAI_STRICT,
        tool_schema: &SchemaRules::ANY,
        json_schema_fields: true,
        thinking: Thinking::Effort,
        placeholder_signature: None,
        thinking_off: None,
        temperature_or_top_p: false,
        system_in_place: false,
        max_output: 4_096,
        embed_purpose_in_text: false,
        effort_field: "reasoning_effort",
        ignored_prefixes: &[],
        embed_base64: false,
        embed_batch: 2_048,
        effort_form: EffortForm::Word,
        xhigh_word: "xhigh",
        merge_neighbours: false,
        end_marker: false,
        reasoning_outside_output: false,
        audio_outside_input: false,
        instructions_field: false,
        streams_only: false,
        output_limit: true,
        labels: false,
        keeps_answers: false,
        encrypted_reasoning: false,
        hidden_input: 0,
    };

    /// What servers of open models accept: no documents, and reasoning goes back in the field in which it came.
    pub const OPEN: Profile =
        Profile { documents: false, reasoning_echo: ReasoningEcho::AsSent, ..Profile::COMMON };
    /// Gives a model's name without what says where it runs.
    #[must_use]
    pub fn bare<'a>(&self, model: &'a str) -> &'a str {
        self.ignored_prefixes.iter().fold(model, |name, prefix| {
            let stripped = match prefix.split_once('…') {
                Some((start, end)) if name.starts_with(start) => name.rsplit_once(end).map(|(_, rest)| rest),
                Some(_) => None,
                None => name.strip_prefix(prefix),
            };
            stripped.filter(|rest| !rest.is_empty()).unwrap_or(name)
        })
    }

    /// Gives the accepted effort nearest to the one wished, the lower of two; `None` when none is accepted.
    #[must_use]
    pub fn nearest_effort(&self, wished: ReasoningEffort) -> Option<ReasoningEffort> {
        let distance = |effort: &ReasoningEffort| (*effort as i32 - wished as i32).abs();
        self.efforts.iter().copied().min_by_key(distance)
    }
}

/// Field that carries the output limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`, which most speakers know.
    MaxTokens,
    /// `max_completion_tokens`, which counts reasoning too.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// Gives the field's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How an answer of JSON is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonOutput {
    /// By its schema.
    Schema,
    /// By a tool with the schema that must be called.
    Tool,
    /// By a JSON mode; the schema goes into the instructions.
    Object,
    /// By the instructions alone.
    Instructions,
}

/// How system messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemRole {
    /// As `system`.
    System,
    /// As `developer`.
    Developer,
    /// As `user`, where the model knows no other.
    User,
}

impl SystemRole {
    /// Gives the role on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SystemRole::System => "system",
            SystemRole::Developer => "developer",
            SystemRole::User => "user",
        }
    }
}

/// When sampling options are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplingRule {
    /// Always.
    Always,
    /// Never.
    Never,
    /// Only when reasoning is off, which it is unless an effort is asked for.
    WithoutReasoning,
}

/// Whether reasoning text is sent back, and in which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningEcho {
    /// It is not sent back.
    Never,
    /// It goes back in messages that call tools, in the field in which it came.
    AsSent,
    /// Messages that call tools must have this field, which is empty where the reasoning is not known.
    WithToolCalls(&'static str),
    /// It always goes back in this field.
    Always(&'static str),
    /// It always goes back as a thinking part of the content.
    Content,
}

impl ReasoningEcho {
    /// Tells whether reasoning goes back in a message that calls tools, or in one that does not.
    #[must_use]
    pub fn is_due(self, with_calls: bool) -> bool {
        match self {
            ReasoningEcho::Never => false,
            ReasoningEcho::AsSent | ReasoningEcho::WithToolCalls(_) => with_calls,
            ReasoningEcho::Always(_) | ReasoningEcho::Content => true,
        }
    }
}

/// In which form a document is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentForm {
    /// As a file with its name and bytes.
    File,
    /// As an address, which may hold the bytes.
    Address,
}

/// In which fields a reasoning effort goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffortForm {
    /// As a word.
    Word,
    /// As a word, of which this one stands for every effort but none.
    OneWord(&'static str),
    /// As a word in the object `reasoning`.
    Object,
    /// As the object `thinking`, which turns thinking on and off, and as a word too where the models have degrees.
    Switch {
        /// The models have degrees.
        word: bool,
    },
    /// As a truth value in this field, which turns thinking on and off.
    Flag(&'static str),
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It cannot be asked for.
    Never,
    /// By turning it on or off, whatever the effort.
    Switch,
    /// By a word for the effort.
    Effort,
    /// By a number of tokens within these bounds.
    Budget {
        /// Least number of tokens.
        min: u32,
        /// Greatest number of tokens.
        max: u32,
        /// Thinking can be turned off.
        off: bool,
    },
    /// By leaving the amount to the model, with a word for the effort.
    Adaptive,
    /// By a level.
    Level,
}

/// What names must look like: letters, digits, and some marks, up to a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameRule {
    /// Greatest number of characters.
    pub max: usize,
    /// Characters allowed beside ASCII letters and digits.
    pub marks: &'static str,
}

/// What ids of tool calls must look like: letters, digits, and some marks, within a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallIdRule {
    /// Least number of characters.
    pub min: usize,
    /// Greatest number of characters.
    pub max: usize,
    /// Characters allowed beside ASCII letters and digits.
    pub marks: &'static str,
}
