//! Every provider, as rows of data.

mod bedrock;
mod bedrock_mantle;
mod custom;
mod ollama;
mod openai;

use motet_core::{Error, ErrorKind, Result};

use crate::provider::ProviderRow;

/// Every provider, in the order shown to users.
pub const ALL: &[&ProviderRow] =
    &[&openai::ROW, &bedrock::ROW, &bedrock_mantle::ROW, &ollama::ROW, &custom::ROW];

/// Finds a provider by its name.
///
/// # Errors
/// `Configuration` naming the providers there are.
pub fn find(name: &str) -> Result<&'static ProviderRow> {
    ALL.iter().find(|row| row.name == name).copied().ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|row| format!("`{}`", row.name)).collect();
        Error::new(ErrorKind::Configuration, format!("there is no provider `{name}`")).with_hint(format!(
            "providers are {}; `custom` speaks to any compatible server by its base URL",
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use motet_core::ModelId;

    use super::*;
    use crate::dialect::{MaxTokensField, SamplingRule, SystemRole};
    use crate::dialects;

    #[test]
    fn every_row_is_sound_and_is_one_file() {
        for row in ALL {
            ModelId::new(row.name, "m").unwrap();
            dialects::find(row.dialect).unwrap();
            assert!(row.doc.ends_with('.'), "{}", row.name);
            assert!(!row.key_required || !row.key_names.is_empty(), "{}", row.name);
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
    fn an_unknown_provider_is_an_error_that_lists_the_known_ones() {
        let error = find("opnai").unwrap_err();
        assert_eq!(error.message(), "there is no provider `opnai`");
        assert!(
            error.hint().unwrap().contains("`openai`, `bedrock`, `bedrock-mantle`, `ollama`, `custom`"),
            "{error:?}"
        );
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
    }
}
