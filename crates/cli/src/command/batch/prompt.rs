//! Puts a file into a prompt.
//!
//! What is put in is never looked through for placeholders again. Reads no file.

/// What stands for a file in a prompt.
pub(super) struct Filling<'a> {
    /// Its path below the directory.
    pub(super) file: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    /// Its text, where it is text.
    pub(super) content: Option<&'a str>,
}

/// Tells whether a prompt says where the text of a file goes.
pub(super) fn places_content(prompt: &str) -> bool {
    prompt.contains("{content}")
}

/// Fills a prompt in; a text that has no place in it follows it.
pub(super) fn fill(prompt: &str, filling: &Filling<'_>) -> String {
    let known = [
        ("{file}", filling.file),
        ("{name}", filling.name),
        ("{content}", filling.content.unwrap_or_default()),
    ];
    let mut filled = String::with_capacity(prompt.len() + filling.content.map_or(0, str::len));
    let mut rest = prompt;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        match known.iter().find_map(|(place, text)| Some((from.strip_prefix(place)?, text))) {
            Some((after, text)) => {
                filled.push_str(text);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    filled.push_str(rest);
    if let Some(content) = filling.content.filter(|_| !places_content(prompt)) {
        filled.push_str("\n\n");
        filled.push_str(content);
    }
    filled
}
