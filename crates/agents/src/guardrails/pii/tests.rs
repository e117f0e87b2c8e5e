//! What is personal data, what only looks like it, and that pieces of a text say the same as the whole.

use proptest::prelude::*;

use super::*;

fn seen(text: &str) -> String {
    Pii::of_kinds(PiiKind::ALL).replacement("<{kind}>").redacted(text).unwrap_or_else(|| text.to_owned())
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(seen(text), *expected, "of `{text}`");
    }
}

fn check_untouched(texts: &[&str]) {
    for text in texts {
        assert_eq!(seen(text), *text);
    }
}

#[test]
fn addresses_are_found_in_any_script() {
    check(&[
        ("write to ada.brook+x@mail.example.co.uk.", "write to <email>."),
        ("<ada@x.org>, 'bo@y.io'", "<<email>>, '<email>'"),
        ("jürgen@müller.de schrieb", "<email> schrieb"),
        ("mailto:o'brien@x-y.org?subject=1", "mailto:<email>?subject=1"),
        ("邮箱 用户@例子.中国。", "邮箱 <email>。"),
        ("a@b@c.com", "a@<email>"),
    ]);
    check_untouched(&["pkg@1.2.3", "@handle", "root@localhost", "a @ b.com", "x@y", "5 @ 3.50"]);
}

#[test]
fn phone_numbers_are_found_as_people_write_them() {
    for number in [
        "+49 170 1234567",
        "+1 (555) 123-4567",
        "+44 20 7946 0958",
        "+4915112345678",
        "+33 1 23 45 67 89",
        "0049 170 1234567",
        "00441234567890",
        "0015551234567",
        "(555) 123-4567",
        "(555)123-4567",
        "555-123-4567",
        "555.123.4567",
        "1-800-555-0199",
        "020 7946 0958",
        "(020) 7946 0958",
        "07700 900123",
        "0170 1234567",
        "030/1234567",
        "0170-1234567",
        "089 / 123 456 78",
        "01 23 45 67 89",
        "+49 (0)30 123456",
    ] {
        for (ahead, behind) in
            [("", ""), ("Call ", "."), ("tel:", " now"), ("(", ")"), ("Tel.: ", ", or write")]
        {
            let text = format!("{ahead}{number}{behind}");
            let rest = seen(&text);
            assert_eq!(rest, format!("{ahead}<phone>{behind}"), "of `{text}`");
        }
    }
}

#[test]
fn dates_amounts_versions_and_ids_are_left_alone() {
    check_untouched(&[
        "2024-01-15",
        "2024-01-15T10:30:45.123456789+0100",
        "01/02/2024",
        "01.02.2024 10 Uhr",
        "01.02.2024 - 03.04.2024",
        "$1,234,567.89",
        "1.234.567,89 €",
        "+1.500.000 Besucher",
        "+48.856613, 2.352222",
        "v10.0.19041.1234",
        "1.22.333",
        "order 1234567890",
        "ORD-0123-4567-8901",
        "id 4f0170-1234567",
        "#0123 456 789",
        "1700000000000",
        "550e8400-e29b-41d4-a716-446655440000",
        "978-3-16-148410-0",
        "10:30:45",
        "12 34 56",
        "0.4111111111111111",
        "3.14159265358979",
        "1234 0123 4567 8901 2345 67",
    ]);
}

#[test]
fn cards_need_their_checksum_and_their_network() {
    check(&[
        ("4111 1111 1111 1111", "<card>"),
        ("4111-1111-1111-1111,", "<card>,"),
        ("pay 378282246310005 now", "pay <card> now"),
        ("3782 822463 10005", "<card>"),
        ("12 4111 1111 1111 1111", "12 <card>"),
        ("6304000000000000", "<card>"),
        ("5555555555554444 4012888888881881", "<card> <card>"),
    ]);
    check_untouched(&[
        "4111 1111 1111 1112",
        "1111 1111 1111 1117",
        "x4111111111111111",
        "41111111111111110000000",
    ]);
}

#[test]
fn bank_accounts_need_the_length_of_their_country_and_their_checksum() {
    check(&[
        ("DE89 3704 0044 0532 0130 00", "<iban>"),
        ("iban GB82WEST12345698765432.", "iban <iban>."),
        ("fr14 2004 1010 0505 0001 3M02 606", "<iban>"),
        ("NO93 8601 1117 947", "<iban>"),
        ("an DE89370400440532013000 und weiter", "an <iban> und weiter"),
    ]);
    check_untouched(&["DE89 3704 0044 0532 0130 01", "DE8937040044053201300", "XX89370400440532013000"]);
}

#[test]
fn social_security_numbers_keep_to_their_ranges() {
    check(&[("123-45-6789", "<ssn>"), ("SSN 078 05 1120 is known", "SSN <ssn> is known")]);
    check_untouched(&[
        "000-45-6789",
        "666-45-6789",
        "900-45-6789",
        "123-00-6789",
        "123-45-0000",
        "123-45 6789",
        "123456789",
        "123-45-6789-1",
    ]);
}

#[test]
fn ip_addresses_are_found_on_request_only() {
    check(&[("at 192.168.0.1:8080.", "at <ip>."), ("fe80::1 and 2001:db8::ff00:42:8329", "<ip> and <ip>")]);
    check_untouched(&["256.1.1.1", "1.2.3", "12:30:45", "std::dec", "::"]);
    assert_eq!(Pii::default().redacted("at 192.168.0.1"), None);
}

#[test]
fn what_overlaps_is_redacted_as_one() {
    assert_eq!(seen("+1 555 123 4567 4111 1111 1111 1111"), "<phone>");
}

/// Texts of what is personal, what is near it, and what lies between.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "ada@x.org",
        "jürgen@müller.de",
        "+49 170 1234567",
        "(555) 123-4567",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "123-45-6789",
        "fe80::1",
        "10.0.0.1",
        "2024-01-15",
        "1.234,56",
        "ORD-12",
        "+",
        "00",
        "@",
        ".",
        " ",
        " ",
        " ",
        "-",
        ":",
        "(",
        ")",
        "word ",
        "DE",
        "é",
        "中",
        "4",
        "11",
        "\n",
        "x",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever of a text is told to be settled, the whole text finds the same there.
    #[test]
    fn what_is_settled_never_changes(text in texts(), more in texts()) {
        let whole = format!("{text}{more}");
        for kind in PiiKind::ALL {
            let pii = Pii::of_kinds([kind]);
            let settled = kind.settled(&text, 0);
            let up_to = |found: Vec<(Range<usize>, &str)>| -> Vec<Range<usize>> {
                found.into_iter().map(|(span, _)| span).filter(|span| span.start < settled).collect()
            };
            prop_assert_eq!(up_to(pii.found(&text, 0)), up_to(pii.found(&whole, 0)), "{} of `{}`", kind.as_str(), whole);
        }
    }
}
