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
    /// How thinking is asked for.
    pub thinking: Thinking,
    /// Output limit that is sent where the format demands one and the caller gave none, in tokens.
    pub max_output: u32,
    /// Vectors may be asked for in base64, which costs a quarter of the reading.
    pub embed_base64: bool,
    /// The reported output leaves reasoning tokens out.
    pub reasoning_outside_output: bool,
    /// The reported input leaves audio tokens out.
    pub audio_outside_input: bool,
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
        document_urls: false,
        reasoning_echo: ReasoningEcho::Never,
        image_types: &[],
        image_limit: 0,
        image_urls: true,
        document_types: &[],
        document_limit: 0,
        tool_result_images: false,
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
        thinking: Thinking::Effort,
        max_output: 4_096,
        embed_base64: false,
        reasoning_outside_output: false,
        audio_outside_input: false,
    };

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
    /// It goes back in this field of messages that call tools.
    WithToolCalls(&'static str),
    /// It always goes back in this field.
    Always(&'static str),
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It cannot be asked for.
    Never,
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
