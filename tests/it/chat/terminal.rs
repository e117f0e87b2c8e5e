//! `motet chat` in a real terminal, driven by tmux: what a person sees and types.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use motet_tests::command::{Place, binary};
use motet_tests::skip::skip;

/// How long a screen may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal in which the chat runs.
struct Screen {
    place: Place,
    socket: String,
}

impl Screen {
    /// Starts a slow provider and a chat with it; `None` where there is no tmux.
    fn start(latency: &str, more: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            skip("no tmux on the path, which the tests of the chat at a terminal need");
            return None;
        }
        let place = Place::new().unwrap();
        let socket = place.path().join("tmux").display().to_string();
        let motet = binary().unwrap().display().to_string();
        // The shell ends the provider with the chat, so that nothing outlives the test.
        let script = format!(
            "'{motet}' demo provider --words 30 --latency {latency} --between 100ms > url 2> /dev/null &\n\
             while [ ! -s url ]; do sleep 0.05; done\n\
             '{motet}' chat --model custom:demo --base-url \"$(head -n 1 url)\" {more}\n\
             echo \"left with $?\"\nkill %1\nwait\ncat > /dev/null\n"
        );
        place.write("chat.sh", script).unwrap();
        let screen = Self { place, socket };
        let home = screen.place.path().display().to_string();
        let shell = format!("cd '{home}' && HOME='{home}' TERM=screen bash -m chat.sh");
        assert!(screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", &shell]).1);
        Some(screen)
    }

    /// Gives what tmux writes, and whether it succeeds.
    fn tmux(&self, arguments: &[&str]) -> (String, bool) {
        let output = Command::new("tmux").args(["-S", &self.socket]).args(arguments).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    fn keys(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).1);
    }

    fn says(&self, text: &str) {
        self.keys(&["-l", text]);
        self.keys(&["Enter"]);
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-200"]).0
    }

    /// Waits until the screen is as told.
    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.shown();
            if holds(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} did not come:\n{shown}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |shown| shown.contains(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["send-keys", "C-c"]);
        self.tmux(&["kill-server"]);
    }
}

/// The last line with something on it.
fn last_line(shown: &str) -> &str {
    shown.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim_end()
}

#[test]
fn an_answer_streams_is_stopped_by_an_interrupt_and_the_chat_goes_on() {
    let Some(screen) = Screen::start("0s", "") else { return };
    screen.wait("the prompt", |shown| last_line(shown) == "1>");
    screen.says("Hello");
    let shown = screen.wait_for("word2 ");
    assert!(!shown.contains("word29"), "the answer comes piece by piece:\n{shown}");
    screen.keys(&["C-c"]);
    let shown = screen.wait("the prompt", |shown| shown.contains("[stopped") && last_line(shown) == "1>");
    assert!(!shown.contains("word29") && !shown.contains("left with"), "{shown}");
    screen.says("Again");
    screen.wait("the second prompt", |shown| shown.contains("word29") && last_line(shown) == "2>");
    // An interrupt clears the line, and what was typed is not said.
    screen.keys(&["-l", "not this"]);
    screen.wait_for("not this");
    screen.keys(&["C-c"]);
    screen.wait("a clear line", |shown| last_line(shown) == "2>");
    screen.says("/cost");
    screen.wait_for("1 turn, ");
    screen.keys(&["C-d"]);
    screen.wait_for("left with 0");
}

#[test]
fn several_lines_and_another_size_of_the_window_do_no_harm() {
    let Some(screen) = Screen::start("0s", "--conversation lines --history typed") else { return };
    screen.wait("the prompt", |shown| last_line(shown) == "1>");
    screen.says("one \\");
    screen.says("two");
    screen.wait("the second prompt", |shown| shown.contains("word29") && last_line(shown) == "2>");
    assert!(screen.tmux(&["resize-window", "-x", "50", "-y", "15"]).1);
    screen.says("```");
    screen.says("three");
    screen.says("```");
    screen.wait("the third prompt", |shown| last_line(shown) == "3>");
    // The arrows bring back what was said.
    screen.keys(&["Up"]);
    screen.wait("what was said", |shown| shown.trim_end().ends_with("```"));
    screen.keys(&["C-c"]);
    screen.wait("a clear line", |shown| last_line(shown) == "3>");
    screen.keys(&["C-c"]);
    screen.wait_for("left with 0");
    let kept = screen.place.run(&["conversation", "show", "lines"]).unwrap().stdout;
    assert!(
        kept.contains("## User\n\none \ntwo\n") && kept.contains("## User\n\n```\nthree\n```\n"),
        "{kept}"
    );
    assert!(screen.place.read("typed").unwrap().contains("three"));
}

#[test]
fn a_turn_that_was_stopped_before_its_answer_began_is_asked_again() {
    let Some(screen) = Screen::start("2s", "") else { return };
    screen.wait("the prompt", |shown| last_line(shown) == "1>");
    screen.says("Hello");
    // The line is taken when the cursor stands below it.
    screen.wait("the next line", |_| screen.tmux(&["display-message", "-p", "#{cursor_y}"]).0.trim() == "2");
    screen.keys(&["C-c"]);
    screen.wait("the prompt", |shown| shown.contains("[stopped") && last_line(shown) == "1>");
    screen.says("/retry");
    screen.wait("the second prompt", |shown| shown.contains("word29") && last_line(shown) == "2>");
    screen.says("/edit 1");
    screen.wait("the draft", |shown| last_line(shown) == "1> Hello");
    screen.says(" there");
    screen.wait("the second prompt", |shown| shown.contains("Hello there") && last_line(shown) == "2>");
    screen.says("/quit");
    screen.wait_for("left with 0");
}
