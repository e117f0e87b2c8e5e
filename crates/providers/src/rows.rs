//! Every provider, as rows of data.

mod alibaba;
mod anthropic;
mod azure;
mod baseten;
mod bedrock;
mod bedrock_mantle;
mod cerebras;
mod chatgpt;
mod cohere;
mod copilot;
mod crusoe;
mod custom;
mod deepinfra;
mod deepseek;
mod doubleword;
mod fireworks;
mod gemini;
mod gemini_interactions;
mod gemini_openai;
mod github;
mod groq;
mod heroku;
mod huggingface;
mod litellm;
mod llamacpp;
mod lmstudio;
mod minimax;
mod mistral;
mod mistralrs;
mod moonshot;
mod nebius;
mod nvidia;
mod ollama;
mod openai;
mod openai_responses;
mod openrouter;
mod perplexity;
mod sambanova;
mod sglang;
mod siliconflow;
mod snowflake;
mod together;
mod venice;
mod vercel;
mod vertex;
mod vllm;
mod xai;
mod zai;

use motet_core::{Error, ErrorKind, Result};

use crate::provider::ProviderRow;

/// Every provider, in the order shown to users.
pub const ALL: &[&ProviderRow] = &[
    &openai::ROW,
    &openai_responses::ROW,
    &anthropic::ROW,
    &gemini::ROW,
    &gemini_interactions::ROW,
    &vertex::ROW,
    &bedrock::ROW,
    &bedrock_mantle::ROW,
    &azure::ROW,
    &xai::ROW,
    &mistral::ROW,
    &groq::ROW,
    &deepseek::ROW,
    &cohere::ROW,
    &openrouter::ROW,
    &together::ROW,
    &fireworks::ROW,
    &perplexity::ROW,
    &cerebras::ROW,
    &moonshot::ROW,
    &zai::ROW,
    &alibaba::ROW,
    &minimax::ROW,
    &gemini_openai::ROW,
    &chatgpt::ROW,
    &copilot::ROW,
    &github::ROW,
    &huggingface::ROW,
    &nebius::ROW,
    &nvidia::ROW,
    &deepinfra::ROW,
    &sambanova::ROW,
    &baseten::ROW,
    &siliconflow::ROW,
    &crusoe::ROW,
    &doubleword::ROW,
    &venice::ROW,
    &heroku::ROW,
    &snowflake::ROW,
    &vercel::ROW,
    &litellm::ROW,
    &ollama::ROW,
    &lmstudio::ROW,
    &llamacpp::ROW,
    &vllm::ROW,
    &sglang::ROW,
    &mistralrs::ROW,
    &custom::ROW,
];

/// Finds a provider by its name.
///
/// # Errors
/// `Configuration` naming the nearest provider there is.
pub fn find(name: &str) -> Result<&'static ProviderRow> {
    ALL.iter().find(|row| row.name == name).copied().ok_or_else(|| unknown(name))
}

/// Makes the error for a name that no provider has.
#[must_use]
pub fn unknown(name: &str) -> Error {
    let nearest = nearest(name).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    Error::new(ErrorKind::Configuration, format!("there is no provider `{name}`")).with_hint(format!(
        "{nearest}`motet provider list` shows all; `custom` speaks to any compatible server by its base URL"
    ))
}

/// Gives the name most like another, if any is like it at all.
fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.to_lowercase().replace('_', "-");
    let likeness = |row: &ProviderRow| strsim::jaro_winkler(&wanted, row.name);
    let near = ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(near) > 0.8).then_some(near.name)
}

#[cfg(test)]
mod tests {
    use motet_core::ModelId;

    use super::*;
    use crate::dialect::{MaxTokensField, SamplingRule, SystemRole};
    use crate::{dialects, embeddings, listings, rerankers};

    #[test]
    fn every_row_is_sound_and_is_one_file() {
        for row in ALL {
            ModelId::new(row.name, "m").unwrap();
            dialects::find(row.dialect).unwrap();
            assert!(row.doc.ends_with('.'), "{}", row.name);
            assert!(!row.key_required || !row.key_names.is_empty(), "{}", row.name);
            for other in row.alternatives {
                dialects::find(other.dialect).unwrap();
                assert_ne!(other.dialect, row.dialect);
            }
            for rule in row.models {
                let month = rule.as_of.split_once('-').unwrap();
                assert!(
                    month.0.parse::<u16>().unwrap() > 2023
                        && (1..=12).contains(&month.1.parse::<u8>().unwrap())
                );
            }
        }
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rows"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .collect();
        files.sort();
        let mut names: Vec<&str> = ALL.iter().map(|row| row.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn an_unknown_provider_is_an_error_that_names_the_nearest() {
        for (name, expected) in [
            ("opnai", "did you mean `openai`? `motet provider list`"),
            ("Gemini_OpenAI", "did you mean `gemini-openai`? `motet provider list`"),
            ("zzz", "`motet provider list`"),
        ] {
            let error = find(name).unwrap_err();
            assert_eq!(error.message(), format!("there is no provider `{name}`"));
            assert!(error.hint().unwrap().starts_with(expected), "{error:?}");
        }
    }

    #[test]
    fn what_rows_name_is_there() {
        for row in ALL {
            let name = row.name;
            assert!(row.embeddings.is_none_or(|format| embeddings::find(format).is_ok()), "{name}");
            assert!(row.listing.is_none_or(|format| listings::find(format).is_ok()), "{name}");
            assert!(row.reranker.is_none_or(|format| rerankers::find(format).is_ok()), "{name}");
            let address = row.base_url.unwrap_or("http://localhost");
            let filled = row.variables.iter().fold(address.to_owned(), |address, variable| {
                address.replace(&format!("{{{}}}", variable.name), variable.default.unwrap_or("mine"))
            });
            assert!(filled.starts_with("http") && !filled.contains(['{', '}']), "{name}: {filled}");
            assert!(!filled.ends_with('/'), "{name}: {filled}");
            let local = filled.starts_with("http://localhost");
            assert!(local != row.key_required, "{name}");
            assert!(row.headers.iter().all(|(header, _)| *header == header.to_lowercase()), "{name}");
            for rule in row.models {
                let twice = row.models.iter().filter(|other| other.prefix == rule.prefix).count() > 1;
                assert!(!twice && !rule.prefix.is_empty(), "{name}: {}", rule.prefix);
            }
            let efforts = row.models.iter().map(|rule| rule.profile.efforts).chain([row.profile.efforts]);
            assert!(efforts.into_iter().all(|efforts| efforts.is_sorted()), "{name}");
        }
    }

    #[test]
    fn what_says_where_a_model_runs_is_ignored_by_rules() {
        let row = find("bedrock").unwrap();
        let known = row.profile_of("anthropic.claude-sonnet-4-6");
        assert_ne!(known, row.profile);
        for name in [
            "us.anthropic.claude-sonnet-4-6",
            "us-gov.anthropic.claude-sonnet-4-6",
            "global.anthropic.claude-sonnet-4-6-v1:0",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-sonnet-4-6",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6",
        ] {
            assert_eq!(row.profile_of(name), known, "{name}");
        }
        for name in
            ["us.", "arn:aws:bedrock:us-east-1:1:application-inference-profile/mi1dadi0g15f", "house.brand"]
        {
            assert_eq!(row.profile_of(name), row.profile, "{name}");
        }
        assert_eq!(row.profile.bare("us."), "us.");
    }

    #[test]
    fn the_longest_rule_that_fits_counts() {
        let profile = |model| find("openai").unwrap().profile_of(model);
        assert_eq!(profile("gpt-4o").sampling, SamplingRule::Always);
        assert_eq!(profile("o3-2025-04-16").sampling, SamplingRule::Never);
        assert_eq!(profile("gpt-5-mini").sampling, SamplingRule::Never);
        assert_eq!(profile("gpt-5.1").sampling, SamplingRule::WithoutReasoning);
        assert_eq!(profile("gpt-5-chat-latest").sampling, SamplingRule::Always);
        assert_eq!(profile("o1-mini").system_role, SystemRole::User);
        assert_eq!(profile("o4-mini").max_tokens_field, MaxTokensField::MaxCompletionTokens);
        assert!(profile("gpt-4o").images && profile("gpt-4.1-mini").images && !profile("gpt-4-0613").images);
    }
}
