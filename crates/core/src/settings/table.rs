//! The one table of all options: path, type, default, example, and doc, from which everything else is made.
//!
//! A new option is one entry here; the structs, their defaults, and [`OPTIONS`] follow. Reads no source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;

use super::choice::{
    BatchStrategies, BatchStrategy, CacheMode, CacheModes, CachePlace, CachePlaces, Learning, Learnings,
    Outage, Outages, UnknownPrice, UnknownPrices,
};
use super::kind::{
    Count, Directories, Dollars, ErrorKinds, Factor, Flag, Hidden, Hiddens, HttpUrl, Kind, Model, ModelIds,
    Money, Percent, ProxyUrl, Span, StoreUrl, Text, Texts, Whole,
};
use super::row::OptionRow;
use crate::error::ErrorKind;
use crate::model_id::ModelId;
use crate::price::PriceChange;
use crate::secret::Secret;
use crate::usage::Cost;

macro_rules! or_default {
    () => {
        Default::default()
    };
    ($value:expr) => {
        $value
    };
}

/// Makes one row; `$at` and `$all` say where its values are in the settings.
macro_rules! row {
    ($path:expr, $kind:ident, $example:literal, [$($doc:literal)+], $at:expr, $all:expr) => {
        OptionRow {
            path: $path,
            kind: <$kind as Kind>::NAME,
            secret: <$kind as Kind>::SECRET,
            example: $example,
            doc: concat!($($doc),+).trim_ascii(),
            expected: <$kind as Kind>::EXPECTED,
            repeatable: <$kind as Kind>::REPEATABLE,
            from_text: <$kind as Kind>::from_text,
            accepts: |value: &Value| <$kind as Kind>::read(value).is_some(),
            assign: $at,
            current: $all,
        }
    };
}

/// Shows a field that holds a value of a kind, or may hold one.
macro_rules! shown {
    ($kind:ident, $field:expr) => {
        Option::<&<$kind as Kind>::Value>::from($field).map(<$kind as Kind>::show)
    };
}

/// Makes the row of an option that exists once.
macro_rules! plain_row {
    ($path:expr, $kind:ident, $example:literal, [$($doc:literal)+], $($field:ident).+) => {
        row!(
            $path, $kind, $example, [$($doc)+],
            |settings, _, value| {
                settings.$($field).+ = <$kind as Kind>::read(value)?.into();
                Some(())
            },
            |settings| shown!($kind, &settings.$($field).+).map(|text| (Vec::new(), text)).into_iter().collect()
        )
    };
}

/// Makes the row of an option that every provider has.
macro_rules! provider_row {
    ($field:ident, $kind:ident, $example:literal, [$($doc:literal)+]) => {
        row!(
            concat!("providers.<name>.", stringify!($field)), $kind, $example, [$($doc)+],
            |settings, keys, value| {
                settings.providers.entry(keys.get(1)?.clone()).or_default().$field =
                    <$kind as Kind>::read(value)?.into();
                Some(())
            },
            |settings| {
                let shown = settings.providers.iter().filter_map(|(name, provider)| {
                    shown!($kind, &provider.$field).map(|text| (vec![name.clone()], text))
                });
                shown.collect()
            }
        )
    };
}

/// Makes the row of an option that every key of a provider's pool has.
macro_rules! key_row {
    ($field:ident, $kind:ident, $example:literal, [$($doc:literal)+]) => {
        row!(
            concat!("providers.<name>.keys.<key>.", stringify!($field)), $kind, $example, [$($doc)+],
            |settings, keys, value| {
                let provider = settings.providers.entry(keys.get(1)?.clone()).or_default();
                provider.keys.entry(keys.get(3)?.clone()).or_default().$field = <$kind as Kind>::read(value)?.into();
                Some(())
            },
            |settings| {
                let shown = settings.providers.iter().flat_map(|(name, provider)| {
                    let one = |(key, entry): (&String, &ProviderKey)| {
                        shown!($kind, &entry.$field).map(|text| (vec![name.clone(), key.clone()], text))
                    };
                    provider.keys.iter().filter_map(one).collect::<Vec<_>>()
                });
                shown.collect()
            }
        )
    };
}

/// Makes the row of one part of every price.
macro_rules! price_row {
    ($field:ident, $kind:ident, $example:literal, [$($doc:literal)+]) => {
        row!(
            concat!("prices.<model>.", stringify!($field)),
            $kind,
            $example,
            [$($doc)+],
            |settings, keys, value| {
                let model: ModelId = keys.get(1)?.parse().ok()?;
                settings.prices.entry(model).or_default().$field = Some($kind::read(value)?.into());
                Some(())
            },
            |settings| {
                let shown = settings.prices.iter().filter_map(|(model, price)| {
                    let value = price.$field.and_then(|value| value.try_into().ok());
                    shown!($kind, &value).map(|text| (vec![model.to_string()], text))
                });
                shown.collect()
            }
        )
    };
}

/// Makes the structs, their defaults, and the rows. An option without a value is not set by default.
macro_rules! options {
    (
        once {
            $( $(#[doc = $doc:literal])+
               $field:ident: $type:ty as $kind:ident $(= $value:expr)?, example $example:literal; )*
        }
        groups {
            $(
                $group:ident: $name:ident {
                    $(#![doc = $gdoc:literal])+
                    $( $(#[doc = $fdoc:literal])+
                       $gfield:ident: $gtype:ty as $gkind:ident $(= $gvalue:expr)?, example $gexample:literal; )*
                }
            )*
        }
        per_provider {
            $(#![doc = $pdoc:literal])+
            $( $(#[doc = $pfdoc:literal])+
               $pfield:ident: $ptype:ty as $pkind:ident, example $pexample:literal; )*
            headers {
                $(#![doc = $hdoc:literal])+
                example $hexample:literal;
            }
            keys {
                $(#![doc = $kdoc:literal])+
                $( $(#[doc = $kfdoc:literal])+
                   $kfield:ident: $ktype:ty as $kkind:ident, example $kexample:literal; )*
            }
        }
        per_model {
            $(#![doc = $cdoc:literal])+
            $( $(#[doc = $cfdoc:literal])+ $cfield:ident as $ckind:ident, example $cexample:literal; )*
        }
    ) => {
        /// Everything that can be set, merged from all sources. `Debug` shows neither keys nor passwords.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Settings {
            $( $(#[doc = $doc])+ pub $field: $type, )*
            $( $(#[doc = $gdoc])+ pub $group: $name, )*
            $(#[doc = $pdoc])+
            pub providers: BTreeMap<String, Provider>,
            $(#[doc = $cdoc])+
            pub prices: BTreeMap<ModelId, PriceChange>,
            /// How many tasks of workflows with one key of a limit run at once, over all runs of the store.
            pub limits: BTreeMap<String, u32>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $( $field: or_default!($($value)?), )*
                    $( $group: $name::default(), )*
                    providers: BTreeMap::new(),
                    prices: BTreeMap::new(),
                    limits: BTreeMap::new(),
                }
            }
        }

        $(
            $(#[doc = $gdoc])+
            #[derive(Debug, Clone, PartialEq)]
            #[non_exhaustive]
            pub struct $name { $( $(#[doc = $fdoc])+ pub $gfield: $gtype, )* }

            impl Default for $name {
                fn default() -> Self {
                    Self { $( $gfield: or_default!($($gvalue)?), )* }
                }
            }
        )*

        /// How one provider is reached, where it differs from what is known of it. `Debug` shows no keys.
        #[derive(Clone, PartialEq, Default)]
        #[non_exhaustive]
        pub struct Provider {
            $( $(#[doc = $pfdoc])+ pub $pfield: $ptype, )*
            $(#[doc = $hdoc])+
            pub headers: BTreeMap<String, Secret>,
            $(#[doc = $kdoc])+
            pub keys: BTreeMap<String, ProviderKey>,
        }

        /// One key of a provider's pool. `Debug` does not show it.
        #[derive(Debug, Clone, PartialEq, Default)]
        #[non_exhaustive]
        pub struct ProviderKey {
            $( $(#[doc = $kfdoc])+ pub $kfield: $ktype, )*
        }

        impl fmt::Debug for Provider {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Provider")
                    $( .field(stringify!($pfield), &shown!($pkind, &self.$pfield)) )*
                    .field("headers", &self.headers)
                    .field("keys", &self.keys)
                    .finish()
            }
        }

        /// Every option, in the order of the reference.
        pub static OPTIONS: &[OptionRow] = &[
            $( plain_row!(stringify!($field), $kind, $example, [$($doc)+], $field), )*
            $( $( plain_row!(
                concat!(stringify!($group), ".", stringify!($gfield)), $gkind, $gexample, [$($fdoc)+], $group.$gfield
            ), )* )*
            $( provider_row!($pfield, $pkind, $pexample, [$($pfdoc)+]), )*
            row!(
                "providers.<name>.headers.<header>", Hidden, $hexample, [$($hdoc)+],
                |settings, keys, value| {
                    let provider = settings.providers.entry(keys.get(1)?.clone()).or_default();
                    provider.headers.insert(keys.get(3)?.clone(), Hidden::read(value)?);
                    Some(())
                },
                |settings| {
                    let shown = settings.providers.iter().flat_map(|(name, provider)| {
                        let one = |(header, value)| (vec![name.clone(), String::clone(header)], Hidden::show(value));
                        provider.headers.iter().map(one).collect::<Vec<_>>()
                    });
                    shown.collect()
                }
            ),
            $( key_row!($kfield, $kkind, $kexample, [$($kfdoc)+]), )*
            $( price_row!($cfield, $ckind, $cexample, [$($cfdoc)+]), )*
            row!(
                "workflow.limits.<key>", Count, "2",
                ["How many tasks whose `limit` is this key run at once, over all runs of the store; a file's own limit of the key wins."],
                |settings, keys, value| {
                    settings.limits.insert(keys.get(2)?.clone(), Count::read(value)?.into());
                    Some(())
                },
                |settings| {
                    let shown = settings.limits.iter().map(|(key, most)| (vec![key.clone()], most.to_string()));
                    shown.collect()
                }
            ),
        ];
    };
}

options! {
    once {
        /// Model for calls that name none, as `provider:model`; there is no hidden default.
        model: Option<ModelId> as Model, example "openai:gpt-4o-mini";
        /// Where runs and their logs are kept: `sqlite:<path>`, `memory:`, or another store's URL; `http://host:port` is a server.
        store: String as StoreUrl = "sqlite:.motet/motet.db".to_owned(), example "memory:";
        /// What is logged to stderr: a level, or `target=level` pairs divided by commas.
        log: String as Text = "warn".to_owned(), example "info,motet_providers=debug";
        /// How many tasks of workflows one process runs at once.
        max_parallel_tasks: u32 as Count = 8, example "16";
    }
    groups {
        worker: Worker {
            //! Workers that claim tasks from the store.
            /// How long a claimed task stays with a worker that gives no sign of life.
            lease: Duration as Span = Duration::from_secs(30), example "45s";
            /// How many tasks may run at once over all workers of the store; without end where it is not given.
            max_running: Option<u32> as Count, example "64";
            /// Queues that `motet worker` takes tasks from.
            queues: Vec<String> as Texts = vec!["default".to_owned()], example "default,gpu";
            /// How long a worker that is told to stop lets its tasks finish before it gives them back.
            drain_timeout: Duration as Span = Duration::from_secs(30), example "5m";
        }

        request: Request {
            //! Time limits of one request to a provider.
            /// Longest time to connect, name lookup and TLS included.
            connect_timeout: Duration as Span = Duration::from_secs(10), example "5s";
            /// Longest time from sending a request to the first byte of its answer.
            first_byte_timeout: Duration as Span = Duration::from_secs(120), example "5m";
            /// Longest silence inside an answer that has begun.
            idle_timeout: Duration as Span = Duration::from_secs(60), example "90s";
            /// Longest time of one request as a whole.
            timeout: Duration as Span = Duration::from_secs(600), example "20m";
        }

        retry: RetrySettings {
            //! Calls that failed and are tried again, wherever trying again is safe.
            /// How many times the requests of one call may be sent in all, over every key, model, and repair.
            max_attempts: u32 as Count = 3, example "5";
            /// Longest wait before the first retry; the wait is drawn between zero and it.
            min_delay: Duration as Span = Duration::from_millis(500), example "1s";
            /// Longest wait that is drawn; a wait that the provider asks for may be longer.
            max_delay: Duration as Span = Duration::from_secs(30), example "10s";
            /// What the longest wait grows by from one retry to the next.
            multiplier: f64 as Factor = 2.0, example "3";
            /// Time after which no retry of one call begins.
            max_time: Duration as Span = Duration::from_secs(300), example "1m";
            /// Kinds of errors that are tried again; where it is not given, those that may pass.
            on: Option<Vec<ErrorKind>> as ErrorKinds, example "rate_limit,timeout";
            /// Tries again even after part of the answer was shown; what was shown is declared void.
            recover_streams: bool as Flag = false, example "true";
        }

        fallback: Fallback {
            //! Models that take over when one fails.
            /// Models to ask in turn when the one asked for fails.
            models: Vec<ModelId> as ModelIds, example "groq:llama-3.3-70b-versatile";
            /// Kinds of errors after which the next model is asked.
            on: Vec<ErrorKind> as ErrorKinds = vec![
                ErrorKind::RateLimit, ErrorKind::QuotaExceeded, ErrorKind::TokenLimit, ErrorKind::Connection,
                ErrorKind::Timeout, ErrorKind::Overloaded, ErrorKind::Truncated, ErrorKind::Authentication,
                ErrorKind::Permission, ErrorKind::NotFound,
            ], example "overloaded,timeout";
            /// How long a model that failed is passed over while another can be asked.
            remember: Duration as Span = Duration::from_secs(60), example "5m";
        }

        breaker: Breaker {
            //! Circuit breakers: a model that mostly fails is left alone for a while.
            /// Whether they are used.
            enabled: bool as Flag = true, example "false";
            /// Share of failed calls from which the circuit opens.
            failure_rate: u32 as Percent = 50, example "80";
            /// Calls that the window must hold before the share counts.
            min_calls: u32 as Count = 20, example "5";
            /// Time over which calls are counted.
            window: Duration as Span = Duration::from_secs(60), example "30s";
            /// Time for which an open circuit lets nothing through.
            open_for: Duration as Span = Duration::from_secs(30), example "10s";
            /// Calls that are let through to see whether the model answers again; all must end well.
            probes: u32 as Count = 3, example "1";
        }

        rate_limit: RateLimit {
            //! Where limits of requests and tokens are kept, and how; the limits themselves stand with the providers.
            /// What keeps them: `memory:` for this process alone, or the URL of a Redis server for all that share it.
            store: String as StoreUrl = "memory:".to_owned(), example "redis://localhost:6379";
            /// What happens while that server is away.
            on_outage: Outage as Outages = Outage::Local, example "fail";
            /// What is learnt from the limits that providers tell in their headers.
            learn: Learning as Learnings = Learning::Tighten, example "adopt";
            /// Longest time that a call waits for its turn; it fails at once where it would be longer.
            max_wait: Option<Duration> as Span, example "2m";
        }

        budget: Budget {
            //! What may be spent; a call that could spend more is not made.
            /// Money for one run.
            run_cost: Option<Cost> as Money, example "0.50";
            /// Tokens for one run.
            run_tokens: Option<u32> as Count, example "200000";
            /// Time for one run.
            run_time: Option<Duration> as Span, example "10m";
            /// On whose account the work is done; needed for a tenant's budget.
            tenant: Option<String> as Text, example "acme";
            /// Money for the tenant, in all.
            tenant_cost: Option<Cost> as Money, example "100.00";
            /// Tokens for the tenant, in all.
            tenant_tokens: Option<u32> as Count, example "50000000";
            /// Money for one day (UTC), over all runs of the store.
            day_cost: Option<Cost> as Money, example "5.00";
            /// Tokens for one day (UTC), over all runs of the store.
            day_tokens: Option<u32> as Count, example "5000000";
            /// What happens with models of unknown price where a budget in money holds.
            unknown_price: UnknownPrice as UnknownPrices = UnknownPrice::Refuse, example "warn";
        }

        cache: Cache {
            //! Answers that are kept and given again to the same request.
            /// How the cache is used.
            mode: CacheMode as CacheModes = CacheMode::Off, example "read_write";
            /// Where answers are kept.
            place: CachePlace as CachePlaces = CachePlace::Memory, example "store";
            /// Memory for kept answers, in megabytes.
            max_mb: u32 as Count = 64, example "256";
            /// Space for kept answers in the store, in megabytes.
            store_mb: u32 as Count = 1024, example "100";
            /// How long an answer is given again.
            max_age: Duration as Span = Duration::from_secs(86_400), example "1h";
        }

        record: Record {
            //! Runs that are kept in the store.
            /// Whether single calls are kept too; workflows always are.
            calls: bool as Flag = false, example "true";
            /// Regular expressions; what they match is masked in everything that is exported.
            redact: Vec<String> as Texts, example "[0-9]{16}";
        }

        eval: Eval {
            //! Records of what runs were asked, did, and answered.
            /// File to which a record of every call, agent, and request of a batch is appended, one line of JSON each.
            records: Option<String> as Text, example "eval/records.jsonl";
            /// How many records may wait to be written; what is too much is dropped and counted.
            queue: u32 as Count = 1024, example "100";
        }

        replay: Replay {
            //! Recorded calls that are answered without a network.
            /// Whether a call that was not recorded fails; otherwise the next recorded answer is given with a warning.
            strict: bool as Flag = true, example "false";
        }

        batch: Batch {
            //! Many requests at once.
            /// How many requests run at the same time.
            max_concurrent: u32 as Count = 8, example "32";
            /// What a failed request does to the others.
            strategy: BatchStrategy as BatchStrategies = BatchStrategy::Continue, example "fail_fast";
            /// How many times requests that failed in a way that may pass are tried again after all others.
            retry_failed: u32 as Whole = 0, example "1";
        }

        python: Python {
            //! Python code that tasks run in a child process.
            /// Command that starts Python.
            interpreter: String as Text = "python3".to_owned(), example "/usr/bin/python3.12";
            /// Longest time that the code of one task runs.
            timeout: Duration as Span = Duration::from_secs(60), example "500ms";
            /// Memory that the code may use, in megabytes.
            memory_mb: u32 as Count = 1024, example "256";
            /// How many interpreters are kept started for the tasks to come, from the first task on; with 0 each task starts its own.
            idle: u32 as Whole = 2, example "4";
            /// How many processes and threads the code may have.
            max_processes: u32 as Count = 64, example "16";
            /// How much the code may print, in kilobytes.
            max_output_kb: u32 as Count = 1024, example "64";
            /// Names of variables of the environment that code may read, beside the few that finding programs and files takes.
            env: Vec<String> as Texts, example "LD_LIBRARY_PATH,DATA_DIR";
        }

        http: Http {
            //! Services of the web that tasks may ask.
            /// Hosts that `http/request` may ask, as `example.com`, `*.example.com`, `example.com:8080`, or `*`; none where it is not given. Addresses inside a network are allowed only by their own name.
            allow: Vec<String> as Texts, example "api.example.com,*.example.org";
        }

        remote: Remote {
            //! Other programs that answer methods of tasks by JSON-RPC.
            /// JSON file that names them, as `{"providers": {...}}`.
            file: Option<String> as Text, example "providers.json";
        }

        server: Server {
            //! The server of `motet serve`, and how others reach one.
            /// Address and port that `motet serve` listens on; others than this machine's own need `server.tokens`.
            listen: String as Text = "127.0.0.1:7420".to_owned(), example "0.0.0.0:7420";
            /// Tokens of which callers of this server must show one.
            tokens: Vec<Secret> as Hiddens, example "2f8b1c9d0e7a4635";
            /// File with more such tokens, one a line; lines that begin with `#` are left out.
            tokens_file: Option<String> as Text, example "tokens.txt";
            /// Largest request that this server reads, in megabytes.
            max_request_mb: u32 as Count = 64, example "256";
            /// Token shown to the server that `store` names by `http://` or `https://`.
            token: Option<Secret> as Hidden, example "2f8b1c9d0e7a4635";
        }

        files: Files {
            //! Files that workflows may touch.
            /// Directories that workflows may read and write beside their own.
            allow: Vec<PathBuf> as Directories, example "data,/srv/shared";
        }

        agent: Agent {
            //! Limits of agents.
            /// How many times an agent may call its model in one run.
            max_iterations: u32 as Count = 10, example "25";
            /// How many of the tools that a model asks for at once run at the same time.
            max_parallel_tools: u32 as Count = 8, example "4";
            /// Longest time that one call of a tool runs.
            tool_timeout: Duration as Span = Duration::from_secs(60), example "10s";
        }

        mcp: Mcp {
            //! Servers of the Model Context Protocol.
            /// File that names them, as `{"mcpServers": {...}}`; where not given, `.mcp.json` beside the settings if it exists.
            file: Option<String> as Text, example "servers.json";
        }

        structured: Structured {
            //! Answers that must have a given shape.
            /// How many times a model may repair an answer that does not fit its schema.
            max_repairs: u32 as Whole = 2, example "0";
        }
    }
    per_provider {
        //! Providers by name: changes to known ones, and new ones that have a `base_url`.
        /// Address that requests go to, in place of the provider's own.
        base_url: Option<String> as HttpUrl, example "http://localhost:8000/v1";
        /// Key that requests carry, in place of the provider's usual variable.
        api_key: Option<Secret> as Hidden, example "sk-0123456789abcdef";
        /// Proxy that requests go through.
        proxy: Option<String> as ProxyUrl, example "http://localhost:3128";
        /// Wire format that the provider speaks; needed for a new one.
        dialect: Option<String> as Text, example "openai-chat";
        /// Requests a minute that may be sent; no limit is kept where it is not given.
        requests_per_minute: Option<u32> as Count, example "500";
        /// Tokens a minute, input and output together, that may be used; no limit is kept where it is not given.
        tokens_per_minute: Option<u32> as Count, example "200000";
        /// Requests that may be sent at once after a pause; a minute's worth where it is not given.
        burst: Option<u32> as Count, example "20";
        headers {
            //! Headers that every request carries beside the usual ones, by lower-case name.
            example "Motet";
        }
        keys {
            //! Several keys that share the work, by names of your own; they take the place of `api_key`.
            /// The key itself.
            api_key: Option<Secret> as Hidden, example "sk-0123456789abcdef";
            /// Its share of the work beside the other keys; 1 where it is not given.
            weight: Option<u32> as Count, example "2";
            /// Name of the account or organisation whose limits the key shares with others of the same group.
            group: Option<String> as Text, example "team-a";
            /// Requests a minute that this key, or its group, may send.
            requests_per_minute: Option<u32> as Count, example "500";
            /// Tokens a minute, input and output together, that this key, or its group, may use.
            tokens_per_minute: Option<u32> as Count, example "200000";
            /// Requests that this key, or its group, may send at once after a pause; a minute's worth where not given.
            burst: Option<u32> as Count, example "20";
        }
    }
    per_model {
        //! Prices of models, part by part in place of the known ones; a model without a known one needs `input` and
        //! `output`.
        /// Price of fresh input tokens.
        input as Dollars, example "0.15";
        /// Price of output tokens, reasoning included.
        output as Dollars, example "0.6";
        /// Price of input tokens read from the cache; the input price where it is not given.
        cached_input as Dollars, example "0.0375";
        /// Price of input tokens written to the cache; the input price where it is not given.
        cache_write as Dollars, example "0.075";
        /// Price of input tokens written to the cache for an hour; that of other cache writes where it is not given.
        cache_write_1h as Dollars, example "0.3";
        /// Price of output tokens spent on reasoning; the output price where it is not given.
        reasoning as Dollars, example "0.4";
        /// Price of audio tokens read; the input price where it is not given.
        audio_input as Dollars, example "10";
        /// Price of audio tokens written; the output price where it is not given.
        audio_output as Dollars, example "20";
        /// Price of a million searches that are billed one by one, by a reranker or of the web.
        search as Dollars, example "2000";
        /// Input tokens above which a request costs the `long` prices as a whole.
        long_above as Count, example "200000";
        /// Price of fresh input tokens of long requests; the other parts follow by its ratio to the input price.
        long_input as Dollars, example "0.3";
        /// Price of output tokens of long requests.
        long_output as Dollars, example "0.9";
        /// Price of input tokens of long requests that were read from the cache.
        long_cached_input as Dollars, example "0.075";
        /// Price of fresh input tokens in batches; the other parts follow by its ratio to the input price.
        batch_input as Dollars, example "0.075";
        /// Price of output tokens in batches.
        batch_output as Dollars, example "0.3";
        /// Price of fresh input tokens in the slower service tier.
        flex_input as Dollars, example "0.075";
        /// Price of output tokens in the slower service tier.
        flex_output as Dollars, example "0.3";
        /// Price of fresh input tokens in the faster service tier.
        priority_input as Dollars, example "0.25";
        /// Price of output tokens in the faster service tier.
        priority_output as Dollars, example "1";
    }
}
