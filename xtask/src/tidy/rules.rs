//! The table of house rules.
//!
//! A rule looks at one file at a time. Words that a rule forbids are put together from halves, so that this file keeps
//! its own rules.

use crate::tidy::source::Source;
use crate::tidy::{Finding, pure};

/// One house rule.
pub(crate) struct Rule {
    /// Name shown beside each breach.
    pub(crate) name: &'static str,
    /// The rule in one line.
    pub(crate) doc: &'static str,
    /// Which files it is for.
    pub(crate) applies: fn(&Source) -> bool,
    /// Finds the breaches in one file.
    pub(crate) check: fn(&Source) -> Vec<Finding>,
}

/// Every rule.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "purpose", doc: "a file opens with `//!`", applies: Source::is_rust, check: purpose },
    Rule {
        name: "length",
        doc: "a file has one subject and at most 600 lines",
        applies: is_product,
        check: length,
    },
    Rule { name: "module-files", doc: "`foo.rs` with `foo/`", applies: Source::is_rust, check: module_files },
    Rule {
        name: "test-length",
        doc: "long tests have a file of their own",
        applies: Source::is_rust,
        check: test_length,
    },
    Rule { name: "words", doc: "the code is finished", applies: Source::is_code, check: words },
    Rule {
        name: "suppressions",
        doc: "lints are silenced by `expect` with a reason",
        applies: Source::is_rust,
        check: suppressions,
    },
    Rule {
        name: "ignored-tests",
        doc: "a test runs, or calls `skip` with a reason",
        applies: Source::is_rust,
        check: ignored_tests,
    },
    Rule { name: "names", doc: "names say what a thing is", applies: Source::is_rust, check: names },
    Rule { name: "banners", doc: "comments say why", applies: Source::is_code, check: banners },
    Rule { name: "whitespace", doc: "lines end where their text ends", applies: |_| true, check: whitespace },
    Rule {
        name: "pure",
        doc: "parsing and state machines do no I/O",
        applies: pure::applies,
        check: pure::check,
    },
    Rule { name: "machine-paths", doc: "no path of one machine", applies: |_| true, check: machine_paths },
    Rule {
        name: "registries",
        doc: "packages come from where the user's tools take them",
        applies: |_| true,
        check: registries,
    },
];

const LONGEST_FILE: usize = 600;
const LONGEST_TEST_MODULE: usize = 150;

fn is_product(source: &Source) -> bool {
    source.is_rust() && !source.is_test()
}

fn purpose(source: &Source) -> Vec<Finding> {
    let opens = source.text.strip_prefix("//! ").is_some_and(|rest| !rest.trim_start().is_empty());
    if opens { Vec::new() } else { vec![Finding::new(1, "say first what the file is for, with `//!`")] }
}

fn length(source: &Source) -> Vec<Finding> {
    let count = source.lines_outside_tests().count();
    if count <= LONGEST_FILE {
        return Vec::new();
    }
    vec![Finding::new(LONGEST_FILE, format!("{count} lines without tests; split it by subject"))]
}

fn module_files(source: &Source) -> Vec<Finding> {
    match source.path.strip_suffix("/mod.rs") {
        Some(folder) => vec![Finding::new(1, format!("move it to `{folder}.rs`"))],
        None => Vec::new(),
    }
}

fn test_length(source: &Source) -> Vec<Finding> {
    let long = |module: &std::ops::RangeInclusive<usize>| module.clone().count() > LONGEST_TEST_MODULE;
    let modules = source.test_modules().into_iter().filter(long);
    modules
        .map(|module| {
            let own = source.path.trim_end_matches(".rs").trim_end_matches("/lib").to_owned();
            Finding::new(
                *module.start(),
                format!("{} lines of tests; move them to `{own}/tests.rs`", module.count()),
            )
        })
        .collect()
}

fn words(source: &Source) -> Vec<Finding> {
    let exact = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let any_case = [concat!("for", " now"), concat!("simpli", "fied")];
    each_line(source, |line| {
        let lower = line.to_lowercase();
        let exact = exact.iter().find(|word| has_word(line, word));
        let word = exact.or_else(|| any_case.iter().find(|word| has_word(&lower, word)))?;
        Some(format!("says `{word}`; finish it, or say what it does"))
    })
}

fn suppressions(source: &Source) -> Vec<Finding> {
    let allow = [concat!("#[al", "low("), concat!("#![al", "low(")];
    let expect = [concat!("#[exp", "ect("), concat!("#![exp", "ect(")];
    let lines: Vec<_> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if allow.iter().any(|open| line.contains(open)) {
            findings.push(Finding::new(
                index + 1,
                "use `expect` with a reason, which tells when it is not needed",
            ));
        }
        if expect.iter().any(|open| line.trim_start().starts_with(open)) {
            let attribute = lines.iter().skip(index).take_while(|line| !line.trim_end().ends_with(")]"));
            let last = lines.iter().skip(index).find(|line| line.trim_end().ends_with(")]"));
            if !attribute.chain(last).any(|line| line.contains("reason =")) {
                findings.push(Finding::new(index + 1, "give the reason: `reason = \"…\"`"));
            }
        }
    }
    findings
}

fn ignored_tests(source: &Source) -> Vec<Finding> {
    let ignore = concat!("#[ig", "nore");
    each_line(source, |line| {
        let ignored = line.trim_start().starts_with(ignore);
        ignored.then(|| "make it run everywhere, or call `motet_tests::skip` where it cannot".to_owned())
    })
}

fn names(source: &Source) -> Vec<Finding> {
    let vague = ["manager", "helper", "utils"];
    let file = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    let message = |name: &str| format!("`{name}` could hold anything; name it by what it does");
    let mut findings = Vec::new();
    if vague.iter().any(|word| file.contains(word)) {
        findings.push(Finding::new(1, message(file)));
    }
    let keywords = ["struct", "enum", "trait", "type", "union", "fn", "mod", "const", "static"];
    findings.extend(each_line(source, |line| {
        let code = line.split("//").next().unwrap_or_default();
        let words: Vec<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let declared = words.windows(2).find_map(|pair| match pair {
            [keyword, name] if keywords.contains(keyword) => Some(*name),
            _ => None,
        })?;
        vague.iter().any(|word| declared.to_lowercase().contains(word)).then(|| message(declared))
    }));
    findings
}

fn banners(source: &Source) -> Vec<Finding> {
    each_line(source, |line| {
        let body = line.trim_start().trim_start_matches(['/', '!', '#']).trim_start();
        let is_comment = line.trim_start().starts_with("//") || line.trim_start().starts_with("# ");
        let drawn =
            ['=', '-', '*', '~', '#'].iter().any(|mark| body.starts_with(&mark.to_string().repeat(4)));
        (is_comment && drawn).then(|| "is a banner; let the order of the items speak".to_owned())
    })
}

fn whitespace(source: &Source) -> Vec<Finding> {
    let mut findings = each_line(source, |line| {
        line.ends_with([' ', '\t', '\r']).then(|| "ends with white space".to_owned())
    });
    let last = source.text.lines().count().max(1);
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        findings.push(Finding::new(last, "the last line has no end"));
    }
    if source.text.ends_with("\n\n") {
        findings.push(Finding::new(last, "the file ends with empty lines"));
    }
    findings
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    let roots = [concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/ro", "ot/")];
    each_line(source, |line| {
        let root = roots.iter().find(|root| {
            line.match_indices(*root).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().next_back());
                before.is_none_or(|c| c.is_whitespace() || "\"'`(=:<[".contains(c))
            })
        })?;
        Some(format!(
            "names `{root}`, which exists on one machine; use a path from the root or a temporary folder"
        ))
    })
}

fn registries(source: &Source) -> Vec<Finding> {
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("files.python", "hosted.org"),
        concat!("registry.npm", "js.org"),
        concat!("index", "-url"),
    ];
    each_line(source, |line| {
        let host = hosts.iter().find(|host| line.contains(*host))?;
        Some(format!("names `{host}`; give the name of the package only"))
    })
}

fn each_line(source: &Source, check: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    source.lines().filter_map(|(number, line)| Some(Finding::new(number, check(line)?))).collect()
}

/// Tells whether a text has a word, and not only a longer word that it is part of.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).is_some_and(|rest| rest.ends_with(part));
        let after = text.get(at + found.len()..).is_some_and(|rest| rest.starts_with(part));
        !before && !after
    })
}
