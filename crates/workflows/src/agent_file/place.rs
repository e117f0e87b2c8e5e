//! Reads types of serde out of a tree that knows its places, so that what does not fit is told with line and column.
//!
//! A key that a type does not have is refused whatever the type itself says of unknown keys.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use crate::dag::read::describe::found;
use crate::dag::reference::{list_of, nearest};
use crate::dag::yaml::{Content, Field, Node, Place};

/// A value and the key that it stands at.
#[derive(Clone, Copy)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) key: Option<&'n str>,
}

/// What does not fit, and where.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) place: Option<Place>,
    /// Whether it is the key that does not fit, and not its value.
    pub(super) of_key: bool,
    /// Whether something is missing, which may be so because it did not fit itself.
    pub(super) is_missing: bool,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// What was expected in the place of another type.
    expected: Option<String>,
}

impl Misfit {
    fn new(message: String) -> Self {
        Self { place: None, of_key: false, is_missing: false, message, hint: None, expected: None }
    }

    fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

/// Asks whether a known name was meant, or lists them.
fn advice(name: &str, known: &'static [&'static str]) -> Option<String> {
    let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    near.or_else(|| (!known.is_empty()).then(|| format!("known are {}", list_of(known.iter().copied()))))
}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut misfit = Self::new(String::new());
        misfit.expected = Some(in_words(&expected.to_string()));
        misfit
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("`{variant}` is not known here")).with_hint(advice(variant, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { of_key: true, ..Self::new(format!("unknown key `{field}`")) }
            .with_hint(advice(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { is_missing: true, ..Self::new(format!("`{field}` is missing")) }
    }
}

/// Gives the words of the file for those of serde.
fn in_words(expected: &str) -> String {
    let first = expected.split([' ', '<']).next().unwrap_or_default();
    match (expected, first) {
        ("a boolean", _) => "`true` or `false`".to_owned(),
        ("a sequence", _) => "a list".to_owned(),
        ("a map", _) | (_, "struct") => "a mapping".to_owned(),
        (_, "u8" | "u16" | "u32" | "u64" | "usize") => "a whole number from 0 up".to_owned(),
        (_, "i8" | "i16" | "i32" | "i64" | "isize") => "a whole number".to_owned(),
        (_, "f32" | "f64") => "a number".to_owned(),
        _ => expected.to_owned(),
    }
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, key: None }
    }

    /// Says where something does not fit, unless what lies deeper has said so.
    fn placed<T>(self, read: Result<T, Misfit>) -> Result<T, Misfit> {
        read.map_err(|mut misfit| {
            if misfit.place.is_none() {
                misfit.place = Some(self.node.place);
            }
            if let Some(expected) = misfit.expected.take() {
                let what = self.key.map_or("this".to_owned(), |key| format!("`{key}`"));
                misfit.message = format!("{what} must be {expected}, but is {}", found(self.node));
                let is_scalar = matches!(self.node.content, Content::Bool(_) | Content::Number(_));
                if is_scalar && expected == "a string" {
                    misfit.hint = Some(format!("put it in quotes: `\"{}\"`", self.node.to_json()));
                }
            }
            misfit
        })
    }
}

impl<'de> Deserializer<'de> for At<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(truth) => visitor.visit_bool(*truth),
            Content::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Content::String(text) => visitor.visit_borrowed_str(text),
            Content::List(items) => visitor.visit_seq(Items { items: items.iter(), key: self.key }),
            Content::Map(fields) => visitor.visit_map(Entries { fields: fields.iter(), value: None }),
        };
        self.placed(read)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.node.content {
            Content::Null => self.placed(visitor.visit_none()),
            _ => self.placed(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.placed(visitor.visit_newtype_struct(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        // Types made by derive would take a list for the fields in their order.
        let Content::Map(fields) = &self.node.content else {
            return self.placed(Err(de::Error::invalid_type(Unexpected::Other(""), &"a mapping")));
        };
        if let Some(field) = fields.iter().find(|field| !known.contains(&field.key.as_str())) {
            let misfit = <Misfit as de::Error>::unknown_field(&field.key, known);
            return Err(Misfit { place: Some(field.place), ..misfit });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let read = match &self.node.content {
            Content::String(name) => visitor.visit_enum(Variant { name, value: None }),
            Content::Map(fields) => match fields.as_slice() {
                [field] => visitor.visit_enum(Variant { name: &field.key, value: Some(field) }),
                _ => Err(de::Error::invalid_type(Unexpected::Map, &"a word, or a mapping with one key")),
            },
            _ => Err(de::Error::invalid_type(Unexpected::Other(""), &"a word, or a mapping with one key")),
        };
        self.placed(read)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
    key: Option<&'n str>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.items.next().map(|node| seed.deserialize(At { node, key: self.key })).transpose()
    }
}

struct Entries<'n> {
    fields: std::slice::Iter<'n, Field>,
    value: Option<&'n Field>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.value = Some(field);
        let key: StrDeserializer<'_, Misfit> = field.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|misfit| Misfit {
            place: Some(field.place),
            of_key: true,
            ..misfit
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some(field) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let at = At { node: &field.node, key: Some(&field.key) };
        // What a type says once it has the value has no place yet.
        at.placed(seed.deserialize(at))
    }
}

struct Variant<'n> {
    name: &'n str,
    value: Option<&'n Field>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let name: StrDeserializer<'_, Misfit> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(de::Error::custom(format!("`{}` takes no value", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        match self.value {
            Some(field) => seed.deserialize(At { node: &field.node, key: Some(&field.key) }),
            None => Err(de::Error::custom(format!("`{}` needs a value", self.name))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.newtype_variant_seed(Visited(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.newtype_variant_seed(Visited(visitor))
    }
}

/// Has a visitor read a value of any form.
struct Visited<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Visited<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}
