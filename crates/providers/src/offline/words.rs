//! Words: which carry meaning, what their stems are, and which language they are of.
//!
//! Stems only need to agree with each other; they are never shown.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use unicode_segmentation::UnicodeSegmentation as _;

/// A language that is recognised by its most frequent words or by its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Language {
    /// ISO 639-1 code.
    pub(super) code: &'static str,
    /// English name.
    pub(super) name: &'static str,
}

const STOP_WORDS: &[(Language, &str)] = &[
    (
        Language { code: "en", name: "English" },
        "a about above after again all also although am an and any are as at be because been before being below \
         between both but by can cannot could did do does doing down during each either else ever every few for \
         from further had has have having he her here hers him his how however i if in into is it its itself just \
         let like may me might more most much must my near neither no nor not now of off on once one only or other \
         our ours out over own per please rather same shall she should since so some still such than that the \
         their theirs them then there therefore these they this those though through thus to too under until up \
         upon us very via was we were what when where whether which while who whom whose why will with within \
         without would yet you your yours",
    ),
    (
        Language { code: "de", name: "German" },
        "aber alle allem allen aller alles als also am an auch auf aus außerdem bei beim bereits bis da dabei dadurch \
         damit dann das dass dein dem den denn der des deren dessen die dies diese diesem diesen dieser dieses doch \
         dort du durch ein eine einem einen einer eines er es etwa euch für gegen hat hatte hatten habe haben hier \
         hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jedem jeden jeder jedes kann \
         kein keine keinem keinen keiner können man mehr mein mich mir mit muss müssen nach nicht noch nun nur ob \
         oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so soll sollen sondern sowie statt über \
         um und uns unser unsere unter vom von vor war waren was weil wenn werden wer wie wir wird wo wollen wollte \
         wurde wurden zu zum zur zwar zwischen",
    ),
    (
        Language { code: "fr", name: "French" },
        "à au aux avec ce ces cette dans de des du elle elles en est et être il ils je la le les leur leurs lui mais \
         ne nous on ou par pas plus pour qu que qui sa se ses son sont sur un une vous été",
    ),
    (
        Language { code: "es", name: "Spanish" },
        "al como con de del el ella en era es esta este esto ha hay la las lo los más muy no nos o para pero por que \
         se ser si sin sobre son su sus también un una y ya",
    ),
    (
        Language { code: "it", name: "Italian" },
        "al alla anche che chi come con da dal dei del della delle di e è ed gli ha il in la le lo ma nel nella non \
         per più questo se si sono su un una uno",
    ),
    (
        Language { code: "nl", name: "Dutch" },
        "aan als bij dan dat de deze die dit door een en er het hij ik in is maar met naar niet nog of om ook op te \
         tot uit van voor waren wat we werd wij worden wordt zijn zij",
    ),
    (
        Language { code: "pt", name: "Portuguese" },
        "ao aos as com como da das de do dos e é em entre era essa esse esta este foi mais mas não na no nos o os ou \
         para pela pelo por que se sem seu sua são também um uma",
    ),
];

const SCRIPTS: &[(Language, &[(char, char)])] = &[
    (Language { code: "ja", name: "Japanese" }, &[('\u{3040}', '\u{30FF}')]),
    (Language { code: "zh", name: "Chinese" }, &[('\u{4E00}', '\u{9FFF}')]),
    (Language { code: "ko", name: "Korean" }, &[('\u{AC00}', '\u{D7AF}')]),
    (Language { code: "he", name: "Hebrew" }, &[('\u{590}', '\u{5FF}')]),
    (Language { code: "ar", name: "Arabic" }, &[('\u{600}', '\u{6FF}')]),
    (Language { code: "el", name: "Greek" }, &[('\u{370}', '\u{3FF}')]),
    (Language { code: "ru", name: "Russian" }, &[('\u{400}', '\u{4FF}')]),
    (Language { code: "hi", name: "Hindi" }, &[('\u{900}', '\u{97F}')]),
    (Language { code: "th", name: "Thai" }, &[('\u{E00}', '\u{E7F}')]),
];

/// Characters that are looked at to recognise a language; more would not change the answer.
const SAMPLE: usize = 200_000;

static STOP: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let mut words: HashMap<&str, Vec<&str>> = HashMap::new();
    for (language, list) in STOP_WORDS {
        for word in list.split_whitespace() {
            words.entry(word).or_default().push(language.code);
        }
    }
    words
});

static ENGLISH_AND_GERMAN: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| STOP_WORDS.iter().take(2).flat_map(|(_, list)| list.split_whitespace()).collect());

/// Recognises the language of a text; `None` where nothing speaks for any.
pub(super) fn language(text: &str) -> Option<Language> {
    let sample = text.char_indices().nth(SAMPLE).and_then(|(end, _)| text.get(..end)).unwrap_or(text);
    by_script(sample).or_else(|| by_stop_words(sample))
}

fn by_script(text: &str) -> Option<Language> {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let share = |ranges: &[(char, char)]| {
        text.chars().filter(|c| ranges.iter().any(|(from, to)| from <= c && c <= to)).count()
    };
    // Japanese is written with Chinese characters too, so a small share of its own syllables decides.
    let enough = |code: &str, count: usize| count * if code == "ja" { 5 } else { 2 } > letters;
    SCRIPTS
        .iter()
        .find(|(language, ranges)| enough(language.code, share(ranges)))
        .map(|(language, _)| *language)
}

fn by_stop_words(text: &str) -> Option<Language> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.unicode_words() {
        for code in STOP.get(word.to_lowercase().as_str()).into_iter().flatten() {
            *counts.entry(code).or_default() += 1;
        }
    }
    let count = |language: &Language| counts.get(language.code).copied().unwrap_or(0);
    let mut best: Option<Language> = None;
    for (language, _) in STOP_WORDS {
        if count(language) > best.as_ref().map_or(0, count) {
            best = Some(*language);
        }
    }
    best
}

/// Tells whether a word of any case is too common to carry meaning.
pub(super) fn is_stop_word(word: &str) -> bool {
    ENGLISH_AND_GERMAN.contains(word.to_lowercase().as_str())
}

/// Gives the words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words()
}

/// Counts words as a reader does.
pub(super) fn count(text: &str) -> usize {
    text.unicode_words().count()
}

/// Gives the stems of the words that carry meaning, in order, repeats included.
pub(super) fn stems(text: &str) -> Vec<String> {
    words(text).filter_map(meaningful_stem).collect()
}

/// Gives the stem of a word unless it is a stop word.
pub(super) fn meaningful_stem(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    let mut characters = lower.chars();
    if let (Some('\u{3040}'..='\u{309F}'), None) = (characters.next(), characters.next()) {
        // A single Japanese syllable is an ending or a particle.
        return None;
    }
    (!ENGLISH_AND_GERMAN.contains(lower.as_str())).then(|| stem_of_lower(&lower))
}

/// Takes the endings off that English and German add most; short words stay as they are.
pub(super) fn stem(word: &str) -> String {
    stem_of_lower(&word.to_lowercase())
}

fn stem_of_lower(lower: &str) -> String {
    let word = lower.trim_end_matches("'s").trim_end_matches("’s");
    let keeps = |ending: &str, least: usize| {
        word.strip_suffix(ending).filter(|rest| rest.chars().count() >= least).map(str::to_owned)
    };
    if let Some(root) = keeps("ies", 3) {
        return root + "y";
    }
    if let Some(root) = keeps("ings", 4).or_else(|| keeps("ing", 4)).or_else(|| keeps("ed", 4)) {
        return undouble(root);
    }
    for ending in ["ern", "en", "em", "er", "es", "e", "s"] {
        if let Some(root) = keeps(ending, 4) {
            return undouble(root);
        }
    }
    keeps("s", 3).unwrap_or_else(|| word.to_owned())
}

/// Makes `plann` and `plan` agree.
fn undouble(mut root: String) -> String {
    let mut last = root.chars().rev();
    if let (Some(one), Some(two)) = (last.next(), last.next())
        && one == two
        && root.chars().count() > 4
    {
        root.pop();
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for group in [
            ["booking", "bookings"],
            ["deadline", "deadlines"],
            ["topic", "topics"],
            ["library", "libraries"],
            ["expired", "expires"],
            ["decision", "decisions"],
            ["Schicht", "Schichten"],
            ["planned", "planning"],
            ["risk", "risks"],
        ] {
            assert_eq!(stem(group[0]), stem(group[1]), "{group:?}");
        }
        assert_ne!(stem("certificate"), stem("certain"));
    }

    #[test]
    fn languages_are_told_by_their_small_words_or_their_script() {
        for (text, expected) in [
            ("The cutover stays on the day that we agreed.", Some("en")),
            ("Der Betriebsrat hat mit der Leitung eine Vereinbarung geschlossen.", Some("de")),
            ("Nous avons reçu la lettre et les documents sont dans le dossier.", Some("fr")),
            ("No hay más billetes para el barco de la mañana.", Some("es")),
            ("新しい予約システムは動いています。", Some("ja")),
            ("新系统今天上线", Some("zh")),
            ("המערכת פועלת", Some("he")),
            ("وصلت السفينة", Some("ar")),
            ("12345 !!", None),
        ] {
            assert_eq!(language(text).map(|language| language.code), expected, "{text}");
        }
    }

    #[test]
    fn stop_words_carry_no_meaning() {
        assert_eq!(stems("The ships and the ferries"), ["ship", "ferry"]);
        assert!(is_stop_word("Und") && !is_stop_word("Kiel"));
    }
}
