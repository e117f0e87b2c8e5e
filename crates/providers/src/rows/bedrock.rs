//! Amazon Bedrock, by its Converse API.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None, Xhigh};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{CallIdRule, JsonOutput, Profile, ReasoningEcho, SamplingRule, SystemRole, Thinking};
use crate::provider::{Auth, ModelRule, ProviderRow, Variable};

const AS_OF: &str = "2026-11";

/// The region that addresses and signatures name.
pub(super) const REGION: Variable = Variable {
    name: "region",
    sources: &["AWS_REGION", "AWS_DEFAULT_REGION"],
    default: Option::Some("us-east-1"),
};

/// Models of which nothing else is known: they talk, read images and documents, and call tools.
const CHAT: Profile = Profile {
    schema: &SchemaRules::BEDROCK,

    call_ids: CallIdRule { min: 1, max: 64, marks: "_-" },
    top_k: false,
    efforts: &[],
    thinking: Thinking::Never,
    json_output: JsonOutput::Instructions,
    parallel_tool_calls: false,
    none_tool_choice: false,
    required_tool_choice: false,
    named_tool_choice: false,
    image_types: &["image/png", "image/jpeg", "image/gif", "image/webp"],
    image_urls: false,
    tool_result_images: true,
    tool_result_documents: true,
    ignored_prefixes: &[
        "arn:…/", "us.", "us-gov.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "me.", "af.", "global.",
    ],
    ..Profile::COMMON
};

/// Models that read text alone.
const TEXT: Profile =
    Profile { images: false, tool_result_images: false, tool_result_documents: false, ..CHAT };

/// Models that read no instructions above the user's and call no tools.
const PLAIN: Profile = Profile { system_role: SystemRole::User, tools: false, ..TEXT };

/// Anthropic's models before they could think.
const CLAUDE: Profile = Profile {
    json_output: JsonOutput::Tool,
    top_k: true,
    required_tool_choice: true,
    named_tool_choice: true,
    forced_while_thinking: false,
    reasoning_echo: ReasoningEcho::Always("reasoningContent"),
    ..CHAT
};

const CLAUDE_OLD: Profile =
    Profile { images: false, tools: false, json_output: JsonOutput::Instructions, ..CLAUDE };

const CLAUDE_BUDGET: Profile = Profile {
    sampling: SamplingRule::WithoutReasoning,
    efforts: &[None, Minimal, Low, Medium, High, Xhigh],
    thinking: Thinking::Budget { min: 1_024, max: 32_000, off: true },
    ..CLAUDE
};

/// From 4.5 on, answers can be held to a schema.
const CLAUDE_4_5: Profile = Profile { json_output: JsonOutput::Schema, ..CLAUDE_BUDGET };

/// From 4.6 on, the model decides how long it thinks.
const CLAUDE_ADAPTIVE: Profile =
    Profile { efforts: &[None, Low, Medium, High], thinking: Thinking::Adaptive, ..CLAUDE_4_5 };

/// The newest take no sampling options.
const CLAUDE_NEWEST: Profile = Profile {
    efforts: &[None, Low, Medium, High, Xhigh],
    sampling: SamplingRule::Never,
    top_k: false,
    ..CLAUDE_ADAPTIVE
};

const NOVA: Profile = Profile {
    json_output: JsonOutput::Tool,
    top_k: true,
    top_k_path: &["inferenceConfig", "topK"],
    required_tool_choice: true,
    named_tool_choice: true,
    image_urls: true,
    document_urls: true,
    ..CHAT
};

const NOVA_MICRO: Profile = Profile {
    images: false,
    documents: false,
    tool_result_images: false,
    tool_result_documents: false,
    ..NOVA
};

/// These think by levels, and read images and documents only beside the results of tools.
const NOVA_2: Profile = Profile {
    sampling: SamplingRule::WithoutReasoning,
    efforts: &[None, Low, Medium, High],
    thinking: Thinking::Level,
    tool_result_images: false,
    tool_result_documents: false,
    ..NOVA
};

/// Open models that can be held to a schema.
const OPEN: Profile = Profile { json_output: JsonOutput::Schema, ..TEXT };

/// Open models that take an effort under a name of their own.
const OPEN_REASONING: Profile = Profile {
    efforts: &[Low, Medium, High],
    thinking: Thinking::Effort,
    effort_field: "reasoning_config",
    ..OPEN
};

const GPT_OSS: Profile = Profile { effort_field: "reasoning_effort", ..OPEN_REASONING };

/// Models that think always and call no tools.
const DEEPSEEK_R1: Profile = Profile { tools: false, ..TEXT };

const MISTRAL: Profile = Profile {
    top_k: true,
    required_tool_choice: true,
    tool_result_json: true,
    tool_result_images: false,
    tool_result_documents: false,
    ..CHAT
};

const MISTRAL_NEW: Profile = Profile { json_output: JsonOutput::Schema, ..MISTRAL };

const COHERE: Profile = Profile { top_k: true, top_k_path: &["k"], ..TEXT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "bedrock",
    doc: "Amazon Bedrock, by its Converse API.",
    dialect: "bedrock-converse",
    base_url: Option::Some("https://bedrock-runtime.{region}.amazonaws.com"),
    key_names: &["AWS_BEARER_TOKEN_BEDROCK"],
    key_required: true,
    auth: Auth::AwsSigV4 { service: "bedrock" },
    variables: &[REGION],
    embeddings: Option::Some("bedrock-invoke-embed"),
    listing: Option::None,
    counter: Option::Some("bedrock-count-tokens"),
    profile: CHAT,
    models: &[
        rule("anthropic.claude-", CLAUDE_NEWEST),
        rule("anthropic.claude-v2", CLAUDE_OLD),
        rule("anthropic.claude-instant", CLAUDE_OLD),
        rule("anthropic.claude-3", CLAUDE),
        rule("anthropic.claude-3-7", CLAUDE_BUDGET),
        rule("anthropic.claude-sonnet-4", CLAUDE_BUDGET),
        rule("anthropic.claude-sonnet-4-5", CLAUDE_4_5),
        rule("anthropic.claude-sonnet-4-6", CLAUDE_ADAPTIVE),
        rule("anthropic.claude-opus-4", CLAUDE_BUDGET),
        rule("anthropic.claude-opus-4-5", CLAUDE_4_5),
        rule("anthropic.claude-opus-4-6", CLAUDE_ADAPTIVE),
        rule("anthropic.claude-opus-4-7", CLAUDE_NEWEST),
        rule("anthropic.claude-opus-4-8", CLAUDE_NEWEST),
        rule("anthropic.claude-haiku-4", CLAUDE_4_5),
        rule("amazon.nova-", NOVA),
        rule("amazon.nova-micro", NOVA_MICRO),
        rule("amazon.nova-2-", NOVA_2),
        rule("amazon.titan-", PLAIN),
        rule("ai21.", TEXT),
        rule("ai21.j2-", PLAIN),
        rule("cohere.command-r", COHERE),
        rule("cohere.command-", PLAIN),
        rule("deepseek.", OPEN_REASONING),
        rule("deepseek.r1", DEEPSEEK_R1),
        rule("google.gemma-", Profile { images: true, ..OPEN }),
        rule("meta.llama", CHAT),
        rule("meta.llama3-", TEXT),
        rule("meta.llama3-8b", Profile { tools: false, ..TEXT }),
        rule("meta.llama3-70b", Profile { tools: false, ..TEXT }),
        rule("meta.llama3-2-11b", CHAT),
        rule("meta.llama3-2-90b", CHAT),
        rule("minimax.", OPEN),
        rule("mistral.", MISTRAL_NEW),
        rule("mistral.mistral-7b", Profile { top_k: true, ..PLAIN }),
        rule("mistral.mixtral-8x7b", Profile { top_k: true, ..PLAIN }),
        rule("mistral.mistral-large-24", Profile { images: false, ..MISTRAL }),
        rule("mistral.mistral-small-24", Profile { images: false, ..MISTRAL }),
        rule("mistral.pixtral-", MISTRAL),
        rule("moonshot", OPEN),
        rule("nvidia.nemotron", OPEN),
        rule("openai.gpt-oss", GPT_OSS),
        rule("qwen.", OPEN_REASONING),
        rule("writer.", TEXT),
        rule("zai.", OPEN),
    ],
    unknown_model_hint: Option::Some(
        "check that `{model}` exists in the region and is enabled for the account; many models are reached only by a \
         name that begins with a geography, such as `us.` or `global.`",
    ),
    ..ProviderRow::COMPATIBLE
};
