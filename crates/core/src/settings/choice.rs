//! Options that take one of a few words.
//!
//! Knows no option by name; each set of words is an enum that users of the settings match on.

use figment::value::Value;
use serde::{Deserialize, Serialize};

use super::kind::Kind;

macro_rules! choices {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident as $kind:ident, $expected:literal {
            $( $(#[doc = $vdoc:literal])+ $variant:ident = $word:literal, )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
            #[serde(rename_all = "snake_case")]
            #[non_exhaustive]
            pub enum $name { $( $(#[doc = $vdoc])+ $variant, )+ }

            impl $name {
                /// Every word, in the order of the documentation.
                pub const ALL: &'static [$name] = &[$( $name::$variant, )+];

                /// Gives the word.
                #[must_use]
                pub fn as_str(self) -> &'static str {
                    match self { $( $name::$variant => $word, )+ }
                }

                /// Finds the choice that a word names.
                #[must_use]
                pub fn find(word: &str) -> Option<Self> {
                    Self::ALL.iter().copied().find(|one| one.as_str() == word)
                }
            }

            pub(super) struct $kind;

            impl Kind for $kind {
                type Value = $name;
                const NAME: &'static str = $expected;
                const EXPECTED: &'static str = concat!("one of ", $expected);

                fn read(value: &Value) -> Option<$name> {
                    $name::find(value.as_str()?.trim())
                }

                fn show(value: &$name) -> String {
                    value.as_str().to_owned()
                }
            }
        )+
    };
}

choices! {
    /// How answers are kept and given again.
    CacheMode as CacheModes, "`off`, `read`, `write`, `read_write`, or `refresh`" {
        /// Neither looked up nor kept.
        Off = "off",
        /// Looked up, never kept.
        Read = "read",
        /// Kept, never looked up.
        Write = "write",
        /// Looked up, and kept where it was not there.
        ReadWrite = "read_write",
        /// Asked anew and kept in the place of what was there.
        Refresh = "refresh",
    }

    /// Where answers are kept.
    CachePlace as CachePlaces, "`memory` or `store`" {
        /// In this process.
        Memory = "memory",
        /// In this process and in the store, for all that share it.
        Store = "store",
    }

    /// What happens to rate limits when the server that keeps them is away.
    Outage as Outages, "`local` or `fail`" {
        /// Each process keeps the limits by itself, with a warning.
        Local = "local",
        /// Calls fail.
        Fail = "fail",
    }

    /// What is learnt from the limits that providers tell in their headers.
    Learning as Learnings, "`off`, `tighten`, or `adopt`" {
        /// Nothing.
        Off = "off",
        /// Limits that are configured are corrected by what the provider tells.
        Tighten = "tighten",
        /// As `tighten`; and where none is configured, the provider's limits are kept too.
        Adopt = "adopt",
    }

    /// What a budget in money does with models of unknown price.
    UnknownPrice as UnknownPrices, "`refuse` or `warn`" {
        /// The call is not made.
        Refuse = "refuse",
        /// The call is made with a warning, and counts in tokens and time only.
        Warn = "warn",
    }

    /// What a failed request does to the rest of its batch.
    BatchStrategy as BatchStrategies, "`fail_fast`, `continue`, or `collect`" {
        /// The batch ends: what runs is cancelled, and nothing more starts.
        FailFast = "fail_fast",
        /// The others go on; a batch with failures ends as failed.
        Continue = "continue",
        /// The others go on; failures are results like any other, and the batch ends well.
        Collect = "collect",
    }
}
