//! Reads JSON objects with a fixed set of keys and says, for an unknown one, which known key is nearest.
//!
//! Knows nothing of what the keys mean.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

/// An object of a script that is filled key by key.
pub(super) trait Keyed: Default {
    /// What the object is, for error messages, with its article.
    const WHAT: &'static str;
    /// Every key it may have.
    const KEYS: &'static [&'static str];

    /// Reads the value of one of [`KEYS`](Self::KEYS).
    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// Tells what is wrong with the object as a whole.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Reads a [`Keyed`] object wherever a value is read.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Keyed> serde::Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Keyed> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, an object", T::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = map.next_key_seed(KnownKey { what: T::WHAT, known: T::KEYS, seen: &seen })? {
            seen.push(key);
            object.set(key, &mut map)?;
        }
        object.check().map_err(A::Error::custom)?;
        Ok(object)
    }
}

struct KnownKey<'a> {
    what: &'static str,
    known: &'static [&'static str],
    seen: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for KnownKey<'_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownKey<'_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of {}", self.what)
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        let Some(known) = self.known.iter().find(|known| **known == key) else {
            let nearest = nearest(key, self.known);
            return Err(E::custom(format_args!(
                "unknown key `{key}` in {}, nearest is `{nearest}`",
                self.what
            )));
        };
        if self.seen.contains(known) {
            return Err(E::custom(format_args!("key `{key}` stands twice in {}", self.what)));
        }
        Ok(known)
    }
}

fn nearest(key: &str, known: &[&'static str]) -> &'static str {
    let closeness = |known: &str| strsim::normalized_damerau_levenshtein(key, known);
    known.iter().copied().max_by(|a, b| closeness(a).total_cmp(&closeness(b))).unwrap_or_default()
}
