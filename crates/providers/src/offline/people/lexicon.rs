//! Word lists by which people are told from places, organisations, and the first words of sentences.

use std::collections::HashSet;
use std::sync::LazyLock;

static GIVEN_NAMES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../given_names.txt").split_whitespace().collect());

const TITLES: &str = "Dr Mr Mrs Ms Miss Mx Prof Professor Sir Dame Lord Lady Herr Herrn Frau Mayor Councillor Captain Judge \
    Senator Minister Inspector Sergeant Bürgermeister Bürgermeisterin Professorin Doctor Father Sister Rabbi Imam Monsieur \
    Madame Señor Señora Signor Signora";

/// Titles that say what someone does, and so are a role too.
const OFFICES: &str = "Mayor Councillor Captain Judge Senator Minister Inspector Sergeant Professor Prof Bürgermeister \
    Bürgermeisterin Professorin";

const ROLES: &str = "accountant administrator advisor adviser agent analyst architect assistant attorney author buyer captain \
    chair chairman chairperson chairwoman chief clerk colleague consultant coordinator councillor counsel deputy designer \
    developer director doctor driver editor engineer founder head inspector interviewer journalist judge lawyer lead leader \
    manager mayor member minister nurse officer operator owner partner photographer planner president producer professor \
    programmer pupil representative researcher reviewer scientist secretary speaker specialist student supervisor teacher \
    technician tester trainer treasurer writer vorsitzender vorsitzende leiter leiterin geschäftsführer geschäftsführerin \
    mitarbeiter mitarbeiterin sprecher sprecherin ingenieur ingenieurin lehrer lehrerin ärztin arzt beauftragter beauftragte";

/// Words before a name that say how someone stands to the writer.
const RELATIONS: &str = "brother colleague cousin daughter father friend husband kollege kollegin mother neighbour neighbor \
    sister son wife";

const PERSON_LABELS: &str = "absent apologies apologised approved assignee attendees attending author authors betreut by cc \
    chair chaired contact excused from interviewee interviewer lead members minutes name names note notes officers owner \
    participants people person persons present presenter reporter reviewer reviewers signed speaker speakers teilnehmer \
    teilnehmende to von an verantwortlich who wer zuständig";

const VERBS: &str = "accepted added agreed announced answered apologised apologized approved approves argued asked asks \
    attended believes calculated called chaired checked chose claimed closed confirmed confirms congratulated declared \
    declares decided decides described disagreed explained fixed has hat hopes informed introduced joined knows leads left \
    looked moved noted objected observed opened prepared presented promised proposed raised reads recommended regretted \
    remarked reminded replied reported requested resigned responded returned said says sagt sagte schrieb seconded sent \
    showed shows signed spoke stated suggested suggests supports testified thanked thinks told translated voted wants warned \
    was welcomed went will wins won wrote meldet meldete fragte antwortete erläutert erklärte berichtete leitet";

/// Words that no person is called, as part of places, organisations, and things.
const NO_NAMES: &str = "Act Agency Agreement Airlines Airport Annex Appendix Article Association Atlantic Authority Avenue Bank \
    Bay Beach Board Book Bridge Budget Building Bundesbank Canal Centre Center Central Chamber Chapter Choral Christmas Church \
    City Clause Club Coast College Committee Community Company Conference Corporation Council County Court Customer Customers \
    Data Dear Department District Dock East Eastern Easter Emergency Energy English Environment European Euro Express Federal \
    Ferries Ferry Festival Finance Financial Foods Forest Forum Foundation Freight French Gate German Germany Government Group \
    Hall Harbour Harbor Health High Hill Holdings Home Hospital Hotel House Human Industries Initiative Institute \
    International Internet Island Journal Justice Kind Best Warm Labs Lake Lane Law League Library Limited Line Lines \
    Logistics Love Market Master Mill Ministry Monday Tuesday Wednesday Thursday Friday Saturday Sunday Montag Dienstag \
    Mittwoch Donnerstag Freitag Samstag Sonntag Mount Mountain Museum National Network New News North Northern Notes Office Old \
    Online Open Operations Park Parliament Partners Party Plan Planning Police Port Press Procedure Product Programme Project \
    Public Quarter Quay Question Rail Railway Region Regional Report Research Response Results River Road Royal School \
    Sciences Sea Security Service Services Ships Society Software South Southern Square Staff Standard State States Station \
    Status Store Street Studio Summary Supplier Support System Systems Table Team Technologies Technology Terminal Test \
    Theatre Time Times Tower Town Trade Training Transport Treaty Trust Union United University Update Valley Version Village \
    Week West Western World Yard Year Yours Zone Abteilung Amt Anlage Antrag Arbeitszeit Ausschuss Bahnhof Bericht \
    Betriebsrat Buchungssystem Bund Firma Geschäftsleitung Gesellschaft Hafen Hamburg Kolleginnen Kollegen Liebe Lieber \
    Ministerium Neuer Neue Platz Rathaus Schule Stadt Straße Terminal Verein Verordnung Werk Zimmer Grüßen Grüße Ukrainian \
    Welsh Hebrew Arabic Japanese Chinese Spanish Italian Dutch British American Christian-Democratic";

/// Words at the end of an organisation's name.
const ORGANISATIONS: &str = "AG Agency Airlines Association Authority Bank Choir Club College Committee Company Corp \
    Corporation Council Department Ferries Foods Foundation GmbH Group Holdings Inc Industries Institute KG LLC Labs Limited \
    Line Lines Llp Logistics Ltd Ministry Museum Partners Press SE School Services Society Software Systems Technologies \
    Trust Union University plc Verein eV";

const PARTICLES: &str = "al ap ben bin da dal de del den der di dos du el ibn la le van vom von zu zur";

/// Words by which a letter is opened or closed, next to a single name.
const GREETINGS: &str =
    "dear hello hi hey hallo liebe lieber moin thanks thank cheers regards best grüße gruß danke love yours";

macro_rules! sets {
    ($($(#[doc = $doc:literal])+ $name:ident of $list:ident, $case:ident;)+) => {
        $($(#[doc = $doc])+ pub(super) fn $name(word: &str) -> bool {
            static SET: LazyLock<HashSet<&'static str>> = LazyLock::new(|| $list.split_whitespace().collect());
            sets!(@$case SET, word)
        })+
    };
    (@exact $set:ident, $word:ident) => { $set.contains($word) };
    (@lower $set:ident, $word:ident) => { $set.contains($word.to_lowercase().as_str()) };
}

sets! {
    /// Tells whether a word is a title before a name.
    is_title of TITLES, exact;
    /// Tells whether a title is an office.
    is_office of OFFICES, exact;
    /// Tells whether a word says what someone does.
    is_role of ROLES, lower;
    /// Tells whether a word says how someone stands to the writer.
    is_relation of RELATIONS, lower;
    /// Tells whether people are listed behind a label with this word.
    is_person_label of PERSON_LABELS, lower;
    /// Tells whether a verb is mostly done by people.
    is_verb of VERBS, exact;
    /// Tells whether a word is no part of a person's name.
    is_no_name of NO_NAMES, exact;
    /// Tells whether a word ends an organisation's name.
    is_organisation of ORGANISATIONS, exact;
    /// Tells whether a word with a small letter may stand inside a name.
    is_particle of PARTICLES, exact;
    /// Tells whether a word opens or closes a letter.
    is_greeting of GREETINGS, lower;
}

/// Tells whether a word is a common given name.
pub(super) fn is_given_name(word: &str) -> bool {
    GIVEN_NAMES.contains(word) || word.split_once('-').is_some_and(|(first, _)| GIVEN_NAMES.contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_are_sorted_out_from_everything_else() {
        for name in super::GIVEN_NAMES.iter() {
            assert!(!is_no_name(name) && !is_title(name), "`{name}` is on two lists");
        }
        assert!(is_given_name("Anna-Lena") && !is_given_name("Harbour"));
        assert!(is_title("Dr") && is_role("Director") && is_particle("van"));
    }
}
