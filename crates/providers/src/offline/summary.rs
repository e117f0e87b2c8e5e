//! Writes what was chosen: sentences in the order of the text, as prose or as a list, within a wished length.

use super::material::{Material, Sentence, shortened};
use super::rank::Ranking;
use super::wish::Wish;
use super::words;

/// Sentences of a summary where no length is wished, for a short and a long text.
const USUAL: (usize, usize) = (3, 5);
/// Number of sentences from which a text is long.
const LONG: usize = 60;
/// Words after which a sentence is cut, as text without full stops is one without end.
const LONGEST: usize = 100;
/// Share of the best score that a sentence needs to fill space that is left.
const WORTHY: f32 = 0.6;
/// Items of a list where no number is wished.
const USUAL_ITEMS: usize = 5;

/// Summarises a whole material.
pub(super) fn summarise(material: &Material, wish: Wish) -> Vec<String> {
    let ranking = Ranking::of(material);
    let total = material.sentences.len();
    let usual = match (wish.is_list, total >= LONG) {
        (true, _) => USUAL_ITEMS,
        (false, true) => USUAL.1,
        (false, false) => USUAL.0,
    };
    let limited = wish.words.is_some() || wish.characters.is_some();
    let count = wish.sentences.unwrap_or(if limited { total.min(50) } else { usual });
    let mut chosen = ranking.choose(material, count, |_| true);
    if limited && wish.sentences.is_none() {
        // Space that is left over is better left empty than filled with what hardly matters.
        let best = chosen.first().map_or(0.0, |at| ranking.score_of(*at));
        chosen.retain(|at| ranking.score_of(*at) >= best * WORTHY);
    }
    let pieces = within(material, &chosen, wish);
    if pieces.is_empty() {
        // A text without sentences, such as an address or a list of labels, is given as it stands.
        let lines = material.blocks.iter().map(|block| match &block.label {
            Some(label) => format!("{label}: {}", block.text),
            None => block.text.clone(),
        });
        return lines.take(count.max(1)).collect();
    }
    pieces
}

/// Gives the chosen sentences that fit, best first, in the order of the text.
pub(super) fn within(material: &Material, chosen: &[usize], wish: Wish) -> Vec<String> {
    let mut kept: Vec<(usize, String)> = Vec::new();
    let (mut used_words, mut used_characters) = (0, 0);
    for at in chosen {
        let Some(sentence) = material.sentences.get(*at) else { continue };
        let text = finished(material, sentence);
        let (length, characters) = (words::count(&text), text.chars().count() + 3);
        let fits = wish.words.is_none_or(|most| used_words + length <= most)
            && wish.characters.is_none_or(|most| used_characters + characters <= most + 3);
        if fits {
            used_words += length;
            used_characters += characters;
            kept.push((*at, text));
        }
    }
    if kept.is_empty()
        && let Some(sentence) = chosen.first().and_then(|at| material.sentences.get(*at))
    {
        kept.push((0, cut(&material.shown(sentence), wish)));
    }
    kept.sort_by_key(|(at, _)| *at);
    kept.into_iter().map(|(_, text)| text).collect()
}

/// Joins pieces to prose or to a list.
pub(super) fn join(pieces: &[String], wish: Wish) -> String {
    if wish.is_list {
        let lines: Vec<String> = pieces.iter().map(|piece| format!("- {piece}")).collect();
        return lines.join("\n");
    }
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() && !text.ends_with(['。', '！', '？']) {
            text.push(' ');
        }
        text.push_str(piece);
    }
    text
}

/// Gives a sentence with a full stop, which list items and table rows often lack.
fn finished(material: &Material, sentence: &Sentence) -> String {
    let mut text = shortened(&material.shown(sentence), LONGEST);
    if text.ends_with(|c: char| c.is_alphanumeric() || c == ')' || c == '%') {
        text.push('.');
    }
    text
}

fn cut(text: &str, wish: Wish) -> String {
    let by_words = wish.words.map_or_else(|| text.to_owned(), |most| shortened(text, most));
    wish.characters.map_or_else(|| by_words.clone(), |most| cut_characters(&by_words, most))
}

/// Cuts a text to a number of characters, between words where that keeps most of it.
pub(super) fn cut_characters(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most.saturating_sub(1)).collect();
    let whole_word = !text.get(head.len()..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    let at_space =
        head.rfind(' ').filter(|at| at * 2 > head.len() && !whole_word).and_then(|at| head.get(..at));
    let kept = at_space.unwrap_or(&head).trim_end_matches([',', ';', ':', '.', '–', ' ']);
    if most == 0 { String::new() } else { format!("{kept}…") }
}
