//! Brings a text into one form: line ends, spaces, invisible characters, and accents written apart from their letter.
//!
//! Changes nothing that a reader sees; knows nothing of Markdown or languages.

/// Gives the text with plain spaces and line ends, without invisible marks, and with composed Latin accents.
///
/// Zero-width joiners stay, as emoji and several scripts need them.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{85}' | '\u{2028}' => out.push('\n'),
            '\u{2029}' => out.push_str("\n\n"),
            '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => out.push(' '),
            '\u{2010}' | '\u{2011}' => out.push('-'),
            _ if is_invisible(character) => {}
            '\u{300}'..='\u{36F}' => match out.pop() {
                Some(base) => match compose(base, character) {
                    Some(composed) => out.push(composed),
                    None => out.extend([base, character]),
                },
                None => out.push(character),
            },
            _ => out.push(character),
        }
    }
    out
}

fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'
            ..='\u{202E}' | '\u{2060}' | '\u{2066}'
            ..='\u{2069}' | '\u{FEFF}'
    )
}

/// Letters that a combining mark makes of others, as pairs of base and result.
const COMPOSED: &[(char, &str)] = &[
    ('\u{300}', "aàeèiìoòuùAÀEÈIÌOÒUÙnǹNǸ"),
    ('\u{301}', "aáeéiíoóuúyýAÁEÉIÍOÓUÚYÝcćnńsśzźlĺrŕCĆNŃSŚZŹLĹRŔ"),
    ('\u{302}', "aâeêiîoôuûAÂEÊIÎOÔUÛcĉgĝhĥjĵsŝwŵyŷCĈGĜHĤJĴSŜWŴYŶ"),
    ('\u{303}', "aãnñoõiĩuũAÃNÑOÕIĨUŨêễÊỄ"),
    ('\u{304}', "aāeēiīoōuūAĀEĒIĪOŌUŪ"),
    ('\u{306}', "aăeĕgğiĭoŏuŭAĂEĔGĞIĬOŎUŬ"),
    ('\u{307}', "cċeėgġzżCĊEĖGĠIİZŻ"),
    ('\u{308}', "aäeëiïoöuüyÿAÄEËIÏOÖUÜYŸ"),
    ('\u{30A}', "aåuůAÅUŮ"),
    ('\u{30B}', "oőuűOŐUŰ"),
    ('\u{30C}', "cčdďeěnňrřsštťzžCČDĎEĚNŇRŘSŠTŤZŽ"),
    ('\u{327}', "cçsştţgģkķlļnņCÇSŞTŢGĢKĶLĻNŅ"),
    ('\u{328}', "aąeęiįuųAĄEĘIĮUŲ"),
];

fn compose(base: char, mark: char) -> Option<char> {
    let (_, pairs) = COMPOSED.iter().find(|(known, _)| *known == mark)?;
    let mut letters = pairs.chars();
    while let (Some(from), Some(to)) = (letters.next(), letters.next()) {
        if from == base {
            return Some(to);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_what_looks_the_same() {
        for (text, expected) in [
            ("Jose\u{301} Pen\u{303}a", "José Peña"),
            ("Nguye\u{302}\u{303}n", "Nguyễn"),
            ("14\u{A0}March\u{202F}2026", "14 March 2026"),
            ("2026\u{2011}03\u{2011}15", "2026-03-15"),
            ("a\r\nb\rc\u{2028}d", "a\nb\nc\nd"),
            ("zero\u{200B}width \u{200E}ship\u{200F}", "zerowidth ship"),
            ("\u{468}\u{301}", "\u{468}\u{301}"),
            ("\u{301}", "\u{301}"),
            ("\u{1F469}\u{1F3FD}\u{200D}\u{1F4BB}", "\u{1F469}\u{1F3FD}\u{200D}\u{1F4BB}"),
        ] {
            assert_eq!(normalise(text), expected);
        }
    }
}
