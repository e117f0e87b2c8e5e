//! Tests of how people are told from everything else with a capital.

use super::*;
use crate::offline::blocks;

fn names(text: &str) -> Names {
    find(&blocks::read(text), words::language(text), text)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = names(text).people.into_iter().map(|person| person.name).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn titles_roles_labels_and_given_names_show_people() {
    check("We met Dr. Zorah Quimby and Ms Pell.", &["Zorah Quimby", "Ms Pell"]);
    check("The pilot, Zorah Quimby, landed. Our colleague Vank Ormsby slept.", &["Vank Ormsby"]);
    check("Zorah Quimby (head of engines) resigned.", &["Zorah Quimby"]);
    check("Present: Zorah Quimby, Vank Ormsby\n", &["Zorah Quimby", "Vank Ormsby"]);
    check("| Who | What |\n|---|---|\n| Zorah Quimby | Fly |", &["Zorah Quimby"]);
    check("It was Martha Quimby who saw it.", &["Martha Quimby"]);
    check("From: Zorah Quimby <zorah.quimby@x.example>", &["Zorah Quimby"]);
    check("**Zorah Quimby:** I saw it. It was far away.", &["Zorah Quimby"]);
    check("Regards\nZorah Quimby\nHead of Engines", &["Zorah Quimby"]);
}

#[test]
fn places_organisations_months_and_first_words_are_no_people() {
    for text in [
        "They met in Granary Lane near Market Square on Easter Monday.",
        "Fenwick Line and Northgate Foods plc signed with Calder & Voss Software GmbH.",
        "The Environment Agency said no. The Harbour Engineer agreed.",
        "In May March Street was closed by Central European Time.",
        "Der Neue Schichtplan am Terminal Kiel gilt für das Buchungssystem Tideway.",
        "Group Bookings said more. All group bookings are late.",
        "# Meeting With Everyone\n\nNothing happened.",
        "",
    ] {
        check(text, &[]);
    }
}

#[test]
fn parts_of_a_name_are_mentions_of_the_same_person() {
    let text = "Miriam Okafor spoke. Ms Okafor left. Miriam's bag stayed. Ada Okafor, her sister, came.";
    let found = names(text);
    let counts: Vec<_> = found.people.iter().map(|person| (person.name.as_str(), person.mentions)).collect();
    // `Okafor` alone could be either of them once there are two.
    assert_eq!(counts, [("Miriam Okafor", 2), ("Ada Okafor", 1)]);
    let alone = names("Miriam Okafor spoke. Ms Okafor left. Miriam's bag stayed.");
    assert_eq!(alone.people.first().map(|person| person.mentions), Some(3));
}

#[test]
fn roles_are_read_beside_names() {
    let text = "Marcus Thiele, Director of Finance, spoke. Helen Strand (City Clerk) wrote. Mayor Ruth Castellan left. \
                Amara Nwosu, the Harbour Engineer, agreed. Priya Raman, who met the clerk, smiled.";
    let roles: Vec<_> = names(text).people.into_iter().map(|person| person.role).collect();
    let expected = ["Director of Finance", "City Clerk", "Mayor", "Harbour Engineer"];
    let expected: Vec<Option<String>> =
        expected.iter().map(|role| Some((*role).to_owned())).chain([None]).collect();
    assert_eq!(roles, expected);
}

#[test]
fn single_names_count_where_they_greet_or_sign() {
    check("Dear Tomasz,\n\nthe key is here. We saw Jonas.\n\nThanks, Sabine", &["Tomasz", "Sabine"]);
    check("田中さんは来ました。", &["田中"]);
}

#[test]
fn organisations_are_kept_apart() {
    let text = "Northgate Foods plc wrote to the University of Port Alder and to Harbourline Ferries.";
    let found = names(text).organisations;
    assert_eq!(found, ["Northgate Foods plc", "University of Port Alder", "Harbourline Ferries"]);
}
