//! Reads JSON into types by the rules of Go's `encoding/json`.
//!
//! Every document is read with it, so that what a pull takes can be shown later, and so that wharf
//! sees in a document what Docker sees in it:
//!
//! - `null` leaves a zero value: an empty text, 0, `false`, an empty list, map or struct. That also
//!   holds for the elements of lists and maps.
//! - A key matches a field in any case, if no field has exactly its name.
//! - Of a key that occurs several times the last one counts; structs and maps are merged.
//! - Unknown keys are skipped.
//!
//! A type marks fields that may be absent with `#[serde(default)]`; nothing else is needed.
//!
//! A value is kept as its source text until its type asks for it, so what no type asks for takes no
//! memory. The text is read again for each level of the types, which is at most five times.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::ReadError;
use super::error::Step;
use super::scan::{self, VALUES_MAX};

type Result<T, E = ReadError> = std::result::Result<T, E>;

/// Reads a document of at most [`VALUES_MAX`] values. The caller bounds its length.
pub fn from_slice<T: DeserializeOwned>(raw: &[u8]) -> Result<T> {
    from_slice_within(raw, VALUES_MAX)
}

/// Reads a document as [`from_slice`] does, and refuses a field that occurs several times: what decides
/// which content belongs to an image must not be readable in two ways (CVE-2021-41190).
pub fn from_slice_unambiguous<T: DeserializeOwned>(raw: &[u8]) -> Result<T> {
    read(raw, VALUES_MAX, Repeated::Refused)
}

/// Reads a document of at most `values_max` values. The caller bounds its length.
pub fn from_slice_within<T: DeserializeOwned>(raw: &[u8], values_max: usize) -> Result<T> {
    read(raw, values_max, Repeated::Merged)
}

fn read<T: DeserializeOwned>(raw: &[u8], values_max: usize, repeated: Repeated) -> Result<T> {
    let text = scan::text(raw, values_max)?;
    // Checks the syntax of the whole, so that all later errors are about types.
    let whole: &RawValue = serde_json::from_str(&text).map_err(ReadError::Syntax)?;
    T::deserialize(Node {
        sources: vec![whole.get()],
        repeated,
    })
}

/// What happens to a field that occurs several times in an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    /// What Go does: the last one counts, structs and maps are merged.
    Merged,
    /// It is an error.
    Refused,
}

/// A value, by its source text: more than one if its key occurs several times.
struct Node<'de> {
    sources: Vec<&'de str>,
    repeated: Repeated,
}

const NULL: &str = "null";

impl<'de> Node<'de> {
    /// The source that counts for anything but structs and maps. `null` changes nothing.
    fn scalar(&self) -> Option<&'de str> {
        self.sources
            .iter()
            .rev()
            .copied()
            .find(|&source| source != NULL)
    }

    /// The source that counts for a list, which `null` empties.
    fn list(&self) -> Option<&'de str> {
        self.sources
            .last()
            .copied()
            .filter(|&source| source != NULL)
    }

    /// Without what stands before the last `null`: what a pointer or a map keeps.
    fn after_null(mut self) -> Self {
        if let Some(last) = self.sources.iter().rposition(|&source| source == NULL) {
            self.sources.drain(..=last);
        }
        self
    }

    /// The entries of all objects, in order.
    fn entries(&self) -> Result<Vec<Entry<'de>>> {
        let mut all = Vec::new();
        for source in self.sources.iter().filter(|&&source| source != NULL) {
            let mut inner = serde_json::Deserializer::from_str(source);
            inner
                .deserialize_map(EntriesVisitor(&mut all))
                .map_err(|error| ReadError::of_value(&error))?;
        }
        Ok(all)
    }
}

type Entry<'de> = (Cow<'de, str>, &'de str);

struct EntriesVisitor<'a, 'de>(&'a mut Vec<Entry<'de>>);

impl<'de> Visitor<'de> for EntriesVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            self.0.push((key.0, value.get()));
        }
        Ok(())
    }
}

/// A key; it borrows from the source if it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Reads scalars: the last source, or else the type's zero value.
macro_rules! scalars {
    ($($method:ident or $visit:ident($zero:expr)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.scalar() {
                None => visitor.$visit($zero),
                Some(source) => serde_json::Deserializer::from_str(source)
                    .$method(visitor)
                    .map_err(|error| ReadError::of_value(&error)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = ReadError;

    scalars! {
        deserialize_bool or visit_bool(false),
        deserialize_i8 or visit_i8(0), deserialize_i16 or visit_i16(0),
        deserialize_i32 or visit_i32(0), deserialize_i64 or visit_i64(0),
        deserialize_i128 or visit_i128(0),
        deserialize_u8 or visit_u8(0), deserialize_u16 or visit_u16(0),
        deserialize_u32 or visit_u32(0), deserialize_u64 or visit_u64(0),
        deserialize_u128 or visit_u128(0),
        deserialize_f32 or visit_f32(0.0), deserialize_f64 or visit_f64(0.0),
        deserialize_char or visit_str(""),
        deserialize_str or visit_borrowed_str(""), deserialize_string or visit_borrowed_str(""),
        deserialize_bytes or visit_borrowed_bytes(b""), deserialize_byte_buf or visit_borrowed_bytes(b""),
        deserialize_identifier or visit_borrowed_str(""),
    }

    /// Reads a value by the type that it has in the document.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.list().and_then(|source| source.bytes().next()) {
            None => visitor.visit_unit(),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'"') => self.deserialize_str(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(_) => self.deserialize_f64(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let node = self.after_null();
        if node.sources.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(node)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let source = self.list().unwrap_or("[]");
        serde_json::Deserializer::from_str(source)
            .deserialize_seq(ListVisitor(visitor, self.repeated))
            .map_err(|error| ReadError::of_value(&error))?
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let repeated = self.repeated;
        let entries = self.after_null().entries()?;
        visitor.visit_map(MapEntries {
            rest: entries.into_iter(),
            value: None,
            repeated,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let mut found: HashMap<&'static str, Vec<&'de str>> = HashMap::new();
        for (key, source) in self.entries()? {
            if let Some(field) = field(fields, &key) {
                let sources = found.entry(field).or_default();
                if self.repeated == Repeated::Refused && !sources.is_empty() {
                    let message = format!("the field {field} occurs several times");
                    return Err(serde::de::Error::custom(message));
                }
                sources.push(source);
            }
        }
        visitor.visit_map(StructFields {
            rest: fields.iter(),
            found,
            value: None,
            repeated: self.repeated,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        serde_json::Deserializer::from_str(self.scalar().unwrap_or("\"\""))
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| ReadError::of_value(&error))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }
}

/// Returns the field that a key means: the one with its name, or else the first with its name in
/// another case.
fn field(fields: &'static [&'static str], key: &str) -> Option<&'static str> {
    let same = || fields.iter().find(|&&field| field == key);
    let in_any_case = || fields.iter().find(|field| folded_eq(field, key));
    same().or_else(in_any_case).copied()
}

/// Compares as Go folds keys: two letters beyond ASCII fold into it.
fn folded_eq(field: &str, key: &str) -> bool {
    let folded = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    field.chars().map(folded).eq(key.chars().map(folded))
}

/// Hands a list's elements on, each as a [`Node`].
struct ListVisitor<V>(V, Repeated);

impl<'de, V: Visitor<'de>> Visitor<'de> for ListVisitor<V> {
    /// The inner result, so that its error is not turned into one of `serde_json`.
    type Value = Result<V::Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        let mut elements = ListElements {
            list,
            number: 0,
            repeated: self.1,
        };
        let read = self.0.visit_seq(&mut elements);
        // A visitor may stop early; `serde_json` expects the list to be read to its end.
        while elements.list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(read)
    }
}

struct ListElements<A> {
    list: A,
    number: usize,
    repeated: Repeated,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for &mut ListElements<A> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let element = self.list.next_element::<&'de RawValue>();
        let Some(element) = element.map_err(serde::de::Error::custom)? else {
            return Ok(None);
        };
        let number = self.number;
        self.number += 1;
        let node = Node {
            sources: vec![element.get()],
            repeated: self.repeated,
        };
        seed.deserialize(node)
            .map(Some)
            .map_err(|error: ReadError| error.below(Step::Element(number)))
    }
}

/// A map's entries.
struct MapEntries<'de> {
    rest: std::vec::IntoIter<Entry<'de>>,
    value: Option<Entry<'de>>,
    repeated: Repeated,
}

impl<'de> MapAccess<'de> for MapEntries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.value = self.rest.next();
        let Some((key, _)) = &self.value else {
            return Ok(None);
        };
        seed.deserialize(CowStrDeserializer::new(key.clone()))
            .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let (key, source) = self.value.take().unwrap_or((Cow::Borrowed(""), NULL));
        let node = Node {
            sources: vec![source],
            repeated: self.repeated,
        };
        seed.deserialize(node)
            .map_err(|error: ReadError| error.below(Step::Key(&key)))
    }
}

/// A struct's fields, in the type's order.
struct StructFields<'de> {
    rest: std::slice::Iter<'static, &'static str>,
    found: HashMap<&'static str, Vec<&'de str>>,
    value: Option<(&'static str, Vec<&'de str>)>,
    repeated: Repeated,
}

impl<'de> MapAccess<'de> for StructFields<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.value = self
            .rest
            .find_map(|&name| Some((name, self.found.remove(name)?)));
        let Some((name, _)) = &self.value else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let (name, sources) = self.value.take().unwrap_or(("", vec![NULL]));
        let repeated = self.repeated;
        seed.deserialize(Node { sources, repeated })
            .map_err(|error: ReadError| error.below(Step::Key(name)))
    }
}
