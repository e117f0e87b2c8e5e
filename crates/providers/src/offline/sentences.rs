//! Cuts running text into sentences, in any script, without falling for abbreviations, ordinals, or initials.
//!
//! Knows nothing of Markdown: it is given one paragraph, one list item, or one table row.

use super::words;

/// Abbreviations after which a sentence goes on, in lower case without the full stop.
const ABBREVIATIONS: &[&str] = &[
    "abs", "adm", "al", "approx", "apr", "art", "aug", "bd", "betr", "bspw", "bzw", "ca", "capt", "cf",
    "col", "dec", "dept", "dez", "dipl", "dr", "ed", "eg", "e.g", "evtl", "feb", "fig", "fr", "gen", "ggf",
    "gov", "hon", "hr", "hrsg", "ie", "i.e", "ing", "inkl", "jan", "jul", "jun", "kap", "lt", "max", "med",
    "min", "mio", "mr", "mrd", "mrs", "ms", "mt", "mär", "mt", "nov", "nr", "okt", "oct", "pp", "prof",
    "rep", "resp", "rev", "s.o", "sep", "sept", "sen", "sog", "st", "str", "tel", "u.a", "v.a", "vgl", "viz",
    "vol", "vs", "z.b", "zzgl", "d.h",
];

/// Abbreviations that often end a sentence; it goes on unless a common word with a capital follows.
const ENDING_ABBREVIATIONS: &[&str] = &["co", "corp", "etc", "inc", "jr", "ltd", "no", "sr", "usw"];

const CLOSERS: &[char] =
    &['"', '\'', ')', ']', '}', '”', '’', '“', '»', '«', '›', '」', '』', '）', '】', '*', '_'];

/// Gives the sentences of one block, trimmed, in order; none is empty.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if !is_terminator(character) {
            continue;
        }
        let mut end = at + character.len_utf8();
        while let Some((next, closer)) = characters.next_if(|(_, c)| is_terminator(*c) || CLOSERS.contains(c))
        {
            end = next + closer.len_utf8();
        }
        let (before, after) = (text.get(start..at).unwrap_or_default(), text.get(end..).unwrap_or_default());
        if ends_here(before, character, after) {
            sentences.push(text.get(start..end).unwrap_or_default().trim());
            start = end;
        }
    }
    sentences.push(text.get(start..).unwrap_or_default().trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

fn is_terminator(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…' | '‽' | '؟' | '۔' | '।' | '。' | '！' | '？' | '．')
}

fn ends_here(before: &str, terminator: char, after: &str) -> bool {
    if matches!(terminator, '。' | '！' | '？' | '।') {
        // A quotation that ends inside a sentence is followed by a particle and not by a new clause.
        return !after.starts_with(['と', 'は', 'が', 'を', 'に', 'の']);
    }
    let Some(first) = after.chars().next() else { return true };
    if !first.is_whitespace() {
        return false;
    }
    let next = after.trim_start();
    let Some(next_first) = next.chars().find(|c| c.is_alphanumeric()) else { return true };
    if next_first.is_lowercase() {
        return false;
    }
    terminator != '.' || full_stop_ends(before, next)
}

fn full_stop_ends(before: &str, next: &str) -> bool {
    let last = before.rsplit(|c: char| c.is_whitespace() || "([{\"“„".contains(c)).next().unwrap_or_default();
    let lower = last.to_lowercase();
    let next_word = words::words(next).next().unwrap_or_default();
    if ABBREVIATIONS.contains(&lower.as_str()) {
        return false;
    }
    if ENDING_ABBREVIATIONS.contains(&lower.as_str()) {
        return words::is_stop_word(next_word) && lower != "no";
    }
    let mut letters = last.chars();
    if let (Some(only), None) = (letters.next(), letters.next())
        && only.is_alphabetic()
    {
        return false;
    }
    let ordinal = (1..=2).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit());
    !(ordinal && (super::dates::is_month(next_word) || before.trim() == last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text), expected);
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        check("It works. Does it? Yes!", &["It works.", "Does it?", "Yes!"]);
        check("“It works.” She left.", &["“It works.”", "She left."]);
        check("“Really?” he asked. No.", &["“Really?” he asked.", "No."]);
        check("Wait… what? Fine", &["Wait… what?", "Fine"]);
        check("What?! No way.", &["What?!", "No way."]);
        check("", &[]);
    }

    #[test]
    fn abbreviations_initials_numbers_and_ordinals_do_not_end_a_sentence() {
        check(
            "Dr. Haddad met J. Orr at 3.30 p.m. in Kiel.",
            &["Dr. Haddad met J. Orr at 3.30 p.m. in Kiel."],
        );
        check("Version 4.2.0 is out. It is fine.", &["Version 4.2.0 is out.", "It is fine."]);
        check("Er kommt am 3. April 2026. Sie auch.", &["Er kommt am 3. April 2026.", "Sie auch."]);
        check("Vom 28. auf den 29. März, z. B. nachts.", &["Vom 28. auf den 29. März, z. B. nachts."]);
        check("It cost 30. The rest is free.", &["It cost 30.", "The rest is free."]);
        check("Calder Ltd. signed. Voss Ltd. The end.", &["Calder Ltd. signed.", "Voss Ltd.", "The end."]);
        check("See a.b@c.example or x.example. Bye.", &["See a.b@c.example or x.example.", "Bye."]);
    }

    #[test]
    fn scripts_without_capitals_or_spaces_are_split_too() {
        check("动了。好吗？好！", &["动了。", "好吗？", "好！"]);
        check("田中さんは「問題ない。」と言った。次。", &["田中さんは「問題ない。」と言った。", "次。"]);
        check("وصلت السفينة. هل نحتاج إلى تذاكر؟ لا.", &["وصلت السفينة.", "هل نحتاج إلى تذاكر؟", "لا."]);
        check("המערכת פועלת. הכול טוב.", &["המערכת פועלת.", "הכול טוב."]);
    }
}
