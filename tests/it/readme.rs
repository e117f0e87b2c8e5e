//! Every example of the README and the guides runs as it is written.

use motet_tests::command::{Place, workspace};

/// Gives the fenced blocks of a language in a Markdown file.
pub(crate) fn blocks(file: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join(file)).unwrap();
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        match &mut current {
            Some(block) if line.starts_with("```") => {
                blocks.push(std::mem::take(block));
                current = None;
            }
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line.trim_end() == format!("```{language}") => current = Some(String::new()),
            None => {}
        }
    }
    blocks
}

/// Splits a command line as a shell does, as far as the examples go: words, and texts in quotes of either kind.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), line);
    while let Some(start) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(start);
        words.extend(before.split_whitespace().map(str::to_owned));
        let (quote, quoted) = quoted.split_at(1);
        let (text, after) = quoted.split_once(quote).expect("a quote that ends");
        words.push(text.to_owned());
        rest = after;
    }
    words.extend(rest.split_whitespace().map(str::to_owned));
    words
}

/// Links the examples into a place, so that commands find them and leave nothing in the checkout.
fn examples(place: &Place) {
    let target = place.path().join("examples");
    let status =
        std::process::Command::new("cp").arg("-r").arg(workspace().join("examples")).arg(&target).status();
    assert!(status.unwrap().success());
}

#[test]
fn every_command_of_the_readme_works() {
    let place = Place::new().unwrap();
    examples(&place);
    let commands: Vec<String> = blocks("README.md", "console")
        .concat()
        .lines()
        .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned))
        .collect();
    assert!(commands.len() >= 8);
    let mut run = 0;
    let mut submitted = String::new();
    for command in &commands {
        let command = command.replace("cargo run --release -p motet-cli --", "motet");
        let Some(arguments) = command.strip_prefix("motet ") else {
            assert_eq!(command, "cargo xtask test", "an example that no test runs");
            continue;
        };
        if arguments.contains("RUN_ID") && submitted.is_empty() {
            assert_eq!(arguments, "workflow resume RUN_ID", "an example that no test runs");
            continue;
        }
        let arguments = words(&arguments.replace("RUN_ID", &submitted));
        let done = place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(done.code, Some(0), "{command}: {done:?}");
        assert!(!done.stdout.trim().is_empty(), "{command} printed nothing");
        if arguments.starts_with(&["workflow".to_owned(), "submit".to_owned()]) {
            submitted = done.stdout.trim().to_owned();
        }
        run += 1;
    }
    assert!(run >= 11 && !submitted.is_empty());
    assert!(place.read("examples/output/brief.md").unwrap().starts_with("# Brief of 12 documents"));
}

#[test]
fn every_workflow_of_the_readme_runs_and_those_of_the_guide_are_sound() {
    let place = Place::new().unwrap();
    for block in blocks("README.md", "yaml").iter().filter(|block| block.contains("\ntasks:")) {
        place.write("readme.yaml", block).unwrap();
        let done = place.run(&["run", "readme.yaml"]).unwrap();
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), "people: 1\n"), "{done:?}");
    }
    let guide: Vec<_> = ["workflow-file", "references", "checking"]
        .into_iter()
        .map(|page| blocks(&format!("docs/guide/{page}.md"), "yaml"))
        .inspect(|blocks| assert!(blocks.iter().any(|block| block.contains("\ntasks:"))))
        .flatten()
        .collect();
    let whole = |block: &&String| block.starts_with("name:") || block.starts_with("# yaml-language-server");
    for block in guide.iter().filter(whole) {
        place.write("guide.yaml", block).unwrap();
        let done = place.run(&["check", "guide.yaml"]).unwrap();
        assert_eq!(done.code, Some(0), "{block}\n{}", done.stderr);
    }
}

#[test]
fn every_agent_of_the_readme_and_the_guides_is_sound() {
    let place = Place::new().unwrap();
    let guides = ["agent-file", "guardrails", "hooks"].map(|name| format!("docs/guide/{name}.md"));
    for file in guides.iter().map(String::as_str).chain(["README.md"]) {
        let blocks = blocks(file, "yaml");
        let agents: Vec<_> = blocks.iter().filter(|block| !block.contains("\ntasks:")).collect();
        assert!(!agents.is_empty(), "{file}");
        for block in agents {
            place.write("agent.yaml", block).unwrap();
            let done = place.run(&["agent", "check", "agent.yaml"]).unwrap();
            assert_eq!(done.code, Some(0), "{file}:\n{block}\n{}{}", done.stdout, done.stderr);
        }
    }
}

/// The Rust example is compiled and run as a documentation test of the facade; here it is only kept from vanishing.
#[test]
fn the_readme_has_an_example_for_every_way_of_use() {
    for language in ["console", "yaml", "rust", "python"] {
        assert!(!blocks("README.md", language).is_empty(), "no {language} example");
    }
}
