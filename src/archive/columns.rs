//! A serde form for large values of few types: each place in a type is a column of its own, and what stands in one column is
//! alike. Numbers are written by their bytes' significance, all lowest bytes first; each column is packed by itself.
//!
//! It does not say what it holds: what is read must be of the type that was written.

use std::fmt::Display;
use std::io;

use rayon::prelude::*;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::ser::{self, Serialize};

use super::invalid;

/// Written once, read once: the smaller the better. Numbers hardly repeat one another.
const TEXT_LEVEL: i32 = 9;
const NUMBER_LEVEL: i32 = 3;
/// Numbers of a column by which it is seen whether distances pack better.
const SAMPLE: usize = 4_096;
/// No type has more places one below the other.
const DEPTH: usize = 128;

/// Writes a value.
///
/// # Errors
/// What the value's own serializing gives, or packing.
pub fn to_bytes<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut root = Column::default();
    value.serialize(Writer(&mut root)).map_err(io::Error::other)?;
    root.packed()
}

/// A value's columns, unpacked.
pub struct Columns(Read);

impl Columns {
    /// # Errors
    /// `InvalidData` for what [`to_bytes`] did not write.
    pub fn unpack(bytes: &[u8]) -> io::Result<Self> {
        Read::unpacked(bytes).map(Self)
    }

    /// The value; texts in it may be borrowed.
    ///
    /// # Errors
    /// `InvalidData` for columns of another type.
    pub fn read<'de, T: de::Deserialize<'de>>(&'de self) -> io::Result<T> {
        T::deserialize(Reader(&mut self.0.cursor())).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// What stands at one place of a type, while it is written.
#[derive(Default)]
struct Column {
    /// LEB128.
    numbers: Vec<u8>,
    count: usize,
    text: Vec<u8>,
    below: Vec<Column>,
}

impl Column {
    fn push(&mut self, mut number: u64) {
        self.count += 1;
        while number >= 0x80 {
            self.numbers.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.numbers.push(number as u8);
    }

    fn push_text(&mut self, text: &[u8]) {
        self.push(text.len() as u64);
        self.text.extend_from_slice(text);
    }

    fn below(&mut self, at: usize) -> Writer<'_> {
        if self.below.len() <= at {
            self.below.resize_with(at + 1, Self::default);
        }
        #[expect(clippy::indexing_slicing, reason = "it was made there")]
        Writer(&mut self.below[at])
    }

    /// This column and all below it, each before those below.
    fn all<'c>(&'c self, into: &mut Vec<&'c Self>) {
        into.push(self);
        self.below.iter().for_each(|below| below.all(into));
    }

    fn packed(&self) -> io::Result<Vec<u8>> {
        let mut columns = Vec::new();
        self.all(&mut columns);
        let packed: Vec<Packed> = columns.into_par_iter().map(Packed::of).collect::<io::Result<_>>()?;
        let heads: Vec<Head> = packed.iter().map(|one| one.head).collect();
        let heads = postcard::to_stdvec(&heads).map_err(io::Error::other)?;
        let heads = zstd::bulk::compress(&heads, TEXT_LEVEL)?;
        let mut bytes = u32::try_from(heads.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
        bytes.extend(heads);
        for one in packed {
            bytes.extend(one.numbers);
            bytes.extend(one.text);
        }
        Ok(bytes)
    }

    fn values(&self) -> Vec<u64> {
        let mut values = Vec::with_capacity(self.count);
        let (mut value, mut shift) = (0_u64, 0);
        for byte in &self.numbers {
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                values.push(value);
                (value, shift) = (0, 0);
            } else {
                shift += 7;
            }
        }
        values
    }
}

/// How a column lies in the file.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Head {
    /// Numbers are distances from the one before.
    is_apart: bool,
    /// Bytes of each number.
    width: u8,
    count: u64,
    /// Bytes of the numbers, packed; as many as unpacked where they are not packed.
    numbers: u64,
    /// Bytes of the texts, and packed.
    text: u64,
    packed_text: u64,
    /// Columns below.
    below: u64,
}

struct Packed {
    head: Head,
    numbers: Vec<u8>,
    text: Vec<u8>,
}

impl Packed {
    fn of(column: &Column) -> io::Result<Self> {
        let values = column.values();
        let is_apart = is_closer_apart(&values)?;
        let values = if is_apart { apart(&values) } else { values };
        let (width, planes) = planes(&values);
        let numbers = packed(&planes, NUMBER_LEVEL)?;
        let text = packed(&column.text, TEXT_LEVEL)?;
        let head = Head {
            is_apart,
            width,
            count: values.len() as u64,
            numbers: numbers.len() as u64,
            text: column.text.len() as u64,
            packed_text: text.len() as u64,
            below: column.below.len() as u64,
        };
        Ok(Self { head, numbers, text })
    }
}

fn packed(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(bytes, level)?;
    Ok(if packed.len() < bytes.len() { packed } else { bytes.to_vec() })
}

fn unpacked(bytes: &[u8], len: usize) -> io::Result<Vec<u8>> {
    if bytes.len() == len {
        return Ok(bytes.to_vec());
    }
    let unpacked = zstd::decode_all(bytes)?;
    if unpacked.len() == len { Ok(unpacked) } else { Err(invalid("a column of another length")) }
}

/// The distance of each number from the one before: of both directions the nearest are the least.
fn apart(values: &[u64]) -> Vec<u64> {
    let mut before = 0_u64;
    let distance = |value: &u64| {
        let apart = value.wrapping_sub(before) as i64;
        before = *value;
        ((apart << 1) ^ (apart >> 63)) as u64
    };
    values.iter().map(distance).collect()
}

/// The bytes of numbers, all lowest first, and how many each has.
fn planes(values: &[u64]) -> (u8, Vec<u8>) {
    let most = values.iter().fold(0, |all, value| all | value);
    let width = (64 - most.leading_zeros()).div_ceil(8);
    let of = |plane: u32| values.iter().map(move |value| (value >> (8 * plane)) as u8);
    (width as u8, (0..width).flat_map(of).collect())
}

/// True where the distances of a column's numbers pack better, by the first of them.
fn is_closer_apart(values: &[u64]) -> io::Result<bool> {
    let sample = values.get(..SAMPLE).unwrap_or(values);
    let len = |values: &[u64]| zstd::bulk::compress(&planes(values).1, 1).map(|packed| packed.len());
    Ok(sample.len() > 64 && len(&apart(sample))? < len(sample)?)
}

/// A column as it was read.
struct Read {
    head: Head,
    planes: Vec<u8>,
    text: Vec<u8>,
    below: Vec<Read>,
}

impl Read {
    fn unpacked(bytes: &[u8]) -> io::Result<Self> {
        let cut = || invalid("columns that were cut short");
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
        let (heads, mut rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
        let heads = zstd::decode_all(heads)?;
        let heads: Vec<Head> = postcard::from_bytes(&heads).map_err(|error| invalid(&error.to_string()))?;
        let mut bodies = Vec::new();
        let mut take = |len: u64| {
            let (body, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            rest = after;
            Some(body)
        };
        for head in &heads {
            let numbers = take(head.numbers).ok_or_else(cut)?;
            bodies.push((head, numbers, take(head.packed_text).ok_or_else(cut)?));
        }
        let read = |(head, numbers, text): (&Head, &[u8], &[u8])| {
            let len = usize::try_from(head.count).ok().and_then(|count| count.checked_mul(head.width.into()));
            let planes = unpacked(numbers, len.ok_or_else(cut)?)?;
            let text = unpacked(text, usize::try_from(head.text).map_err(io::Error::other)?)?;
            Ok(Self { head: *head, planes, text, below: Vec::new() })
        };
        let columns: Vec<Self> = bodies.into_par_iter().map(read).collect::<io::Result<_>>()?;
        Self::arranged(&mut columns.into_iter(), 0).ok_or_else(cut)
    }

    /// Puts columns below those that they stand behind.
    fn arranged(columns: &mut impl Iterator<Item = Self>, depth: usize) -> Option<Self> {
        let mut column = columns.next().filter(|_| depth < DEPTH)?;
        for _ in 0..column.head.below {
            column.below.push(Self::arranged(columns, depth + 1)?);
        }
        Some(column)
    }

    fn cursor(&self) -> Cursor<'_> {
        let below = self.below.iter().map(Self::cursor).collect();
        Cursor { column: self, at: 0, last: 0, text: &self.text, below }
    }
}

/// Where reading a column has come to.
struct Cursor<'de> {
    column: &'de Read,
    at: usize,
    last: u64,
    text: &'de [u8],
    below: Vec<Cursor<'de>>,
}

impl<'de> Cursor<'de> {
    fn next(&mut self) -> Result<u64> {
        let (count, head) = (self.column.head.count as usize, &self.column.head);
        if self.at >= count {
            return Err(Error::at_end());
        }
        let byte = |plane: usize| self.column.planes.get(plane * count + self.at).copied().unwrap_or(0);
        let value =
            (0..usize::from(head.width).min(8)).fold(0, |all, plane| all | u64::from(byte(plane)) << (8 * plane));
        self.at += 1;
        if head.is_apart {
            let apart = (value >> 1) as i64 ^ -((value & 1) as i64);
            self.last = self.last.wrapping_add(apart as u64);
            return Ok(self.last);
        }
        Ok(value)
    }

    fn next_text(&mut self) -> Result<&'de [u8]> {
        let len = usize::try_from(self.next()?).map_err(|_| Error::at_end())?;
        let (text, rest) = self.text.split_at_checked(len).ok_or_else(Error::at_end)?;
        self.text = rest;
        Ok(text)
    }

    fn next_str(&mut self) -> Result<&'de str> {
        std::str::from_utf8(self.next_text()?).map_err(de::Error::custom)
    }

    fn below(&mut self, at: usize) -> Result<Reader<'_, 'de>> {
        self.below.get_mut(at).map(Reader).ok_or_else(Error::at_end)
    }
}

/// Why a value is not written, or not read.
#[derive(Debug)]
pub struct Error(String);

type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn at_end() -> Self {
        Self("a column ends too soon".into())
    }

    fn unsupported() -> Self {
        Self("no type for columns".into())
    }

    /// The same with the place in the type in front of it.
    fn below(self, at: usize) -> Self {
        Self(format!("{at}/{}", self.0))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl ser::Error for Error {
    fn custom<T: Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

impl de::Error for Error {
    fn custom<T: Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

struct Writer<'c>(&'c mut Column);

/// Things that stand one behind the other: in one column where they are of one type, else each in its own.
struct Several<'c> {
    column: &'c mut Column,
    at: usize,
}

impl<'c> Several<'c> {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(self.column.below(self.at))?;
        self.at += 1;
        Ok(())
    }
}

macro_rules! write_numbers {
    ($($name:ident: $type:ty),+) => {
        $(fn $name(self, value: $type) -> Result<()> {
            self.0.push(value.into());
            Ok(())
        })+
    };
}

macro_rules! write_signed {
    ($($name:ident: $type:ty),+) => {
        $(fn $name(self, value: $type) -> Result<()> {
            let value = i64::from(value);
            self.0.push(((value << 1) ^ (value >> 63)) as u64);
            Ok(())
        })+
    };
}

impl<'c> ser::Serializer for Writer<'c> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Several<'c>;
    type SerializeTuple = Several<'c>;
    type SerializeTupleStruct = Several<'c>;
    type SerializeTupleVariant = Several<'c>;
    type SerializeMap = Several<'c>;
    type SerializeStruct = Several<'c>;
    type SerializeStructVariant = Several<'c>;

    write_numbers!(serialize_bool: bool, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    write_numbers!(serialize_char: char);
    write_signed!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);

    fn serialize_f32(self, _: f32) -> Result<()> {
        Err(Error::unsupported())
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        self.0.push(value.to_bits());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.0.push_text(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.0.push(1);
        value.serialize(self.0.below(0))
    }

    fn serialize_unit(self) -> Result<()> {
        self.serialize_u8(0)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, number: u32, _: &'static str) -> Result<()> {
        self.serialize_u32(number)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        number: u32,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        self.0.push(number.into());
        value.serialize(self.0.below(number as usize))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Several<'c>> {
        self.0.push(len.ok_or_else(Error::unsupported)? as u64);
        Ok(Several { column: self.0, at: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<Several<'c>> {
        Ok(Several { column: self.0, at: 0 })
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Several<'c>> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(self, _: &'static str, number: u32, _: &'static str, _: usize) -> Result<Several<'c>> {
        self.0.push(number.into());
        Ok(Several { column: self.0.below(number as usize).0, at: 0 })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Several<'c>> {
        self.serialize_seq(len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Several<'c>> {
        self.serialize_tuple(len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        number: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Several<'c>> {
        self.serialize_tuple_variant(name, number, variant, len)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Several<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(self.column.below(0))
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeMap for Several<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        key.serialize(self.column.below(0))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(self.column.below(1))
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

macro_rules! write_fields {
    ($($trait:ident, $method:ident($($name:ident)?);)+) => {
        $(impl ser::$trait for Several<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result<()> {
                $(_ = $name;)?
                self.next(value)
            }

            fn end(self) -> Result<()> {
                Ok(())
            }
        })+
    };
}

write_fields! {
    SerializeTuple, serialize_element();
    SerializeTupleStruct, serialize_field();
    SerializeTupleVariant, serialize_field();
    SerializeStruct, serialize_field(name);
    SerializeStructVariant, serialize_field(name);
}

struct Reader<'a, 'de>(&'a mut Cursor<'de>);

/// Things to be read one behind the other.
struct Rest<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    /// Where the next one stands, and how many there are; those of one type stand in one column.
    at: usize,
    left: usize,
    is_one_type: bool,
}

impl<'de> de::SeqAccess<'de> for Rest<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let below = self.cursor.below(self.at).map_err(|error| error.below(self.at))?;
        let value = seed.deserialize(below).map_err(|error| error.below(self.at))?;
        self.at += usize::from(!self.is_one_type);
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for Rest<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.cursor.below(0)?).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(self.cursor.below(1)?)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// One of several forms.
struct Form<'a, 'de> {
    cursor: &'a mut Cursor<'de>,
    number: u32,
}

impl<'a, 'de> de::EnumAccess<'de> for Form<'a, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let value = seed.deserialize(self.number.into_deserializer())?;
        Ok((value, self))
    }
}

impl<'de> de::VariantAccess<'de> for Form<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.cursor.below(self.number as usize)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        let below = self.cursor.below(self.number as usize)?;
        visitor.visit_seq(Rest { cursor: below.0, at: 0, left: len, is_one_type: false })
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.tuple_variant(fields.len(), visitor)
    }
}

macro_rules! read_numbers {
    ($($name:ident, $visit:ident: $type:ty),+) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(<$type>::try_from(self.0.next()?).map_err(de::Error::custom)?)
        })+
    };
}

macro_rules! read_signed {
    ($($name:ident, $visit:ident: $type:ty),+) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let value = self.0.next()?;
            let value = (value >> 1) as i64 ^ -((value & 1) as i64);
            visitor.$visit(<$type>::try_from(value).map_err(de::Error::custom)?)
        })+
    };
}

impl<'de> de::Deserializer<'de> for Reader<'_, 'de> {
    type Error = Error;

    read_numbers!(deserialize_u8, visit_u8: u8, deserialize_u16, visit_u16: u16, deserialize_u32, visit_u32: u32);
    read_signed!(deserialize_i8, visit_i8: i8, deserialize_i16, visit_i16: i16, deserialize_i32, visit_i32: i32);
    read_signed!(deserialize_i64, visit_i64: i64);

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u64(self.0.next()?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::unsupported())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_bool(self.0.next()? != 0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = u32::try_from(self.0.next()?).ok().and_then(char::from_u32);
        visitor.visit_char(number.ok_or_else(|| de::Error::custom("no character"))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::unsupported())
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_f64(f64::from_bits(self.0.next()?))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_str(self.0.next_str()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_bytes(self.0.next_text()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.next()? {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self.0.below(0)?),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.next()?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = usize::try_from(self.0.next()?).map_err(|_| Error::at_end())?;
        visitor.visit_seq(Rest { cursor: self.0, at: 0, left, is_one_type: true })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Rest { cursor: self.0, at: 0, left: len, is_one_type: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = usize::try_from(self.0.next()?).map_err(|_| Error::at_end())?;
        visitor.visit_map(Rest { cursor: self.0, at: 0, left, is_one_type: true })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let number = u32::try_from(self.0.next()?).map_err(de::Error::custom)?;
        visitor.visit_enum(Form { cursor: self.0, number })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::unsupported())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::unsupported())
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind<'a> {
        None,
        Number(i64),
        Pair(u8, Option<u32>),
        Named { name: &'a str },
    }

    type Things<'a> = (Vec<Kind<'a>>, BTreeMap<u16, (bool, Vec<u64>)>, [u8; 3], char, f64);

    #[test]
    fn what_is_written_is_read() {
        let kind = |n: i64| match n % 4 {
            0 => Kind::None,
            1 => Kind::Number(-n * 1_000_000_007),
            2 => Kind::Pair(n as u8, (n % 3 == 0).then_some(n as u32)),
            _ => Kind::Named { name: "Grüße" },
        };
        let things: Things<'_> = (
            (0..500).map(kind).collect(),
            (0..90).map(|n| (n, (n % 2 == 0, vec![u64::MAX - u64::from(n); usize::from(n % 5)]))).collect(),
            [1, 2, 255],
            'ß',
            -0.1,
        );
        let bytes = to_bytes(&things).unwrap();
        assert!(bytes.len() < postcard::to_stdvec(&things).unwrap().len() / 2);
        assert_eq!(Columns::unpack(&bytes).unwrap().read::<Things<'_>>().unwrap(), things);
        for cut in 0..bytes.len() {
            assert!(Columns::unpack(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Columns::unpack(&bytes).unwrap().read::<Vec<Vec<String>>>().is_err());
        assert!(Columns::unpack(&to_bytes(&7_u64).unwrap()).unwrap().read::<(u64, u64)>().is_err());
    }
}
