//! Writes a value as canonical JSON, for hashing: fields in the order of their names, whatever order they came in.
//!
//! Builds no tree on the way; what is written is what the tree of `serde_json` would be written as. Not meant to be read:
//! every item and field ends with a comma.

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Value};

/// Name under which `serde_json` hands over JSON that is written already.
const RAW: &str = "$serde_json::private::RawValue";

/// Writes a value.
///
/// # Errors
/// When the value cannot be written as JSON.
pub(crate) fn written(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer { out: Vec::with_capacity(1024), fields: Vec::new() };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// The fields of all objects that are being written, those of the innermost last.
    fields: Vec<Field>,
}

/// Where a field stands: its name in quotes, and from there on its value.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Writer {
    fn scalar(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, value)
    }

    fn open(&mut self, mark: u8) -> Result<Compound<'_>, Error> {
        self.out.push(mark);
        let (body, first) = (self.out.len(), self.fields.len());
        Ok(Compound { writer: self, body, first, inside: false })
    }

    /// Opens an object whose only field is what follows.
    fn open_variant(&mut self, name: &str, mark: u8) -> Result<Compound<'_>, Error> {
        self.out.push(b'{');
        self.scalar(name)?;
        self.out.push(b':');
        Ok(Compound { inside: true, ..self.open(mark)? })
    }

    /// Writes a field's name; what is no text but stands for one gets quotes.
    fn name(&mut self, name: &(impl Serialize + ?Sized)) -> Result<Field, Error> {
        let start = self.out.len();
        name.serialize(&mut *self)?;
        match self.out.get(start) {
            Some(b'"') => {}
            Some(b'{' | b'[') | None => return Err(ser::Error::custom("a field's name must be a text")),
            Some(_) if self.out.get(start..) == Some(b"null") => {
                return Err(ser::Error::custom("a field's name must be a text"));
            }
            Some(_) => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
        }
        let name_end = self.out.len();
        self.out.push(b':');
        Ok(Field { start, name_end, end: name_end })
    }

    fn end_field(&mut self, field: Field) {
        self.out.push(b',');
        self.fields.push(Field { end: self.out.len(), ..field });
    }

    /// Puts the fields from a place on in order; of those with one name the last counts.
    fn sort(&mut self, body: usize, first: usize) {
        let Self { out, fields } = self;
        let own = fields.get_mut(first..).unwrap_or_default();
        let name = |field: &Field| Name(out.get(field.start..field.name_end).unwrap_or_default());
        if !own.is_sorted_by(|one, other| name(one) < name(other)) {
            own.sort_by(|one, other| name(one).cmp(&name(other)));
            let mut sorted = Vec::with_capacity(out.len() - body);
            for (place, field) in own.iter().enumerate() {
                let is_last = own.get(place + 1).is_none_or(|next| name(next) != name(field));
                if is_last {
                    sorted.extend_from_slice(out.get(field.start..field.end).unwrap_or_default());
                }
            }
            out.truncate(body);
            out.extend_from_slice(&sorted);
        }
        fields.truncate(first);
    }
}

/// A field's name as it is written, compared as what it means.
#[derive(PartialEq, Eq)]
struct Name<'a>(&'a [u8]);

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if !self.0.contains(&b'\\') && !other.0.contains(&b'\\') {
            // The closing quote is no part of the name.
            let text = |name: &Self| name.0.len().saturating_sub(1);
            return self.0.get(..text(self)).cmp(&other.0.get(..text(other)));
        }
        let text = |name: &Self| serde_json::from_slice::<String>(name.0).unwrap_or_default();
        text(self).cmp(&text(other))
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.scalar(&f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.scalar(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut object = self.serialize_map(None)?;
        object.serialize_entry(variant, value)?;
        SerializeMap::end(object)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Error> {
        self.open(b'[')
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Error> {
        self.open(b'[')
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Error> {
        self.open(b'[')
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Error> {
        self.open_variant(variant, b'[')
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, Error> {
        Ok(Object { compound: self.open(b'{')?, field: None, raw: false })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Object<'a>, Error> {
        if name == RAW {
            let (body, first) = (self.out.len(), self.fields.len());
            let compound = Compound { writer: self, body, first, inside: false };
            return Ok(Object { compound, field: None, raw: true });
        }
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a>, Error> {
        Ok(Object { compound: self.open_variant(variant, b'{')?, field: None, raw: false })
    }
}

/// A list or object that was opened.
struct Compound<'a> {
    writer: &'a mut Writer,
    /// Where its content begins.
    body: usize,
    /// Place of its first field.
    first: usize,
    /// It stands alone in an object that has to be closed with it.
    inside: bool,
}

impl Compound<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)?;
        self.writer.out.push(b',');
        Ok(())
    }

    fn close(self, mark: u8) {
        self.writer.out.push(mark);
        if self.inside {
            self.writer.out.extend_from_slice(b",}");
        }
    }
}

/// An object that was opened.
struct Object<'a> {
    compound: Compound<'a>,
    /// The field whose name is written and whose value is not.
    field: Option<Field>,
    /// It is none, but a text that is JSON already.
    raw: bool,
}

impl Object<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let writer = &mut *self.compound.writer;
        if self.raw {
            let text = serde_json::to_value(value)?;
            return serde_json::from_str::<Value>(text.as_str().unwrap_or_default())?.serialize(writer);
        }
        let field = writer.name(name)?;
        value.serialize(&mut *writer)?;
        writer.end_field(field);
        Ok(())
    }

    fn close(self) {
        if !self.raw {
            self.compound.writer.sort(self.compound.body, self.compound.first);
            self.compound.close(b'}');
        }
    }
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.field = Some(self.compound.writer.name(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.compound.writer)?;
        let field = self.field.take().ok_or_else(|| ser::Error::custom("a value came without a name"))?;
        self.compound.writer.end_field(field);
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// Implements what hands over one part after the other.
macro_rules! in_turn {
    ($trait:ident, $type:ident, $method:ident($($name:ident: $kind:ty)?) => $own:ident, $close:expr) => {
        impl $trait for $type<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $kind,)? value: &T) -> Result<(), Error> {
                self.$own($($name,)? value)
            }

            fn end(self) -> Result<(), Error> {
                $close(self);
                Ok(())
            }
        }
    };
}

in_turn!(SerializeSeq, Compound, serialize_element() => item, |list: Self| list.close(b']'));
in_turn!(SerializeTuple, Compound, serialize_element() => item, |list: Self| list.close(b']'));
in_turn!(SerializeTupleStruct, Compound, serialize_field() => item, |list: Self| list.close(b']'));
in_turn!(SerializeTupleVariant, Compound, serialize_field() => item, |list: Self| list.close(b']'));
in_turn!(SerializeStruct, Object, serialize_field(name: &'static str) => field, Self::close);
in_turn!(SerializeStructVariant, Object, serialize_field(name: &'static str) => field, Self::close);

#[cfg(test)]
mod tests;
