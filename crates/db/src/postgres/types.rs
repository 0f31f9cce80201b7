//! Values between our parameters and columns and PostgreSQL's binary formats; the statement's own types decide.

use crate::Param;
use std::error::Error;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

pub(super) type Fault = Box<dyn Error + Sync + Send>;

/// An array of `ty` of these values, as it goes over the wire. Its size is known before it is written: those of a set are
/// long, and growing one copies it again and again.
pub(super) fn array<'a>(
    values: impl ExactSizeIterator<Item = &'a Param<'a>> + Clone,
    ty: &Type,
    out: &mut BytesMut,
) -> Result<(), Fault> {
    let Kind::Array(element) = ty.kind() else { return Err(format!("{ty} is no array").into()) };
    let length = |value: &Param| match value {
        Param::Text(text) => text.len(),
        Param::Bytes(bytes) => bytes.len(),
        _ => 16,
    };
    let has_null = values.clone().any(|value| matches!(value, Param::Null));
    out.reserve(20 + values.clone().map(|value| 5 + length(value)).sum::<usize>());
    let head = [1, i32::from(has_null), element.oid().cast_signed(), i32::try_from(values.len())?, 1];
    head.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    for value in values {
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes()); // null, unless there is a value
        if let IsNull::No = value.to_sql(element, out)? {
            let length = i32::try_from(out.len() - at - 4)?;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        match (*self, ty) {
            (Param::Null, _) => Ok(IsNull::Yes),
            (Param::Bool(value), &Type::BOOL) => value.to_sql(ty, out),
            (Param::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (Param::Int(value), &Type::INT4) => i32::try_from(value)?.to_sql(ty, out),
            (Param::Int(value), &Type::INT2) => i16::try_from(value)?.to_sql(ty, out),
            (Param::Int(value), &Type::FLOAT8) => (value as f64).to_sql(ty, out),
            (Param::Real(value), &Type::FLOAT8) => value.to_sql(ty, out),
            (Param::Real(value), &Type::FLOAT4) => (value as f32).to_sql(ty, out),
            (Param::Text(value), &Type::JSON) => {
                out.extend_from_slice(value.as_bytes());
                Ok(IsNull::No)
            }
            (Param::Text(value), &Type::JSONB) => {
                out.extend_from_slice(&[JSONB_VERSION]);
                out.extend_from_slice(value.as_bytes());
                Ok(IsNull::No)
            }
            (Param::Text(value), ty) if <&str as ToSql>::accepts(ty) => value.to_sql(ty, out),
            (Param::Bytes(value), &Type::BYTEA) => value.to_sql(ty, out),
            (Param::Uuid(value), &Type::UUID) => value.to_sql(ty, out),
            (param, ty) => {
                let given = match param {
                    Param::Null => "null",
                    Param::Bool(_) => "a boolean",
                    Param::Int(_) => "an integer",
                    Param::Real(_) => "a double",
                    Param::Text(_) => "text",
                    Param::Bytes(_) => "bytes",
                    Param::Uuid(_) => "a uuid",
                };
                Err(format!("the statement wants {ty} and was given {given}").into())
            }
        }
    }
    fn accepts(_: &Type) -> bool {
        true // `to_sql` looks at the value too
    }
    to_sql_checked!();
}

/// First byte of a `jsonb` on the wire.
const JSONB_VERSION: u8 = 1;

/// Any of PostgreSQL's whole numbers: `sum` of them widens to `numeric`, a literal is an `integer`.
pub(crate) struct Integer(pub i64);

impl<'a> FromSql<'a> for Integer {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Integer, Fault> {
        Ok(Integer(match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            _ => Numeric::parse(raw)?.integer().ok_or("not a whole number of 64 bits")?,
        }))
    }
    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::NUMERIC)
    }
}

/// Any of PostgreSQL's fractions; `avg` of whole numbers is `numeric`.
pub(crate) struct Real(pub f64);

impl<'a> FromSql<'a> for Real {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Real, Fault> {
        Ok(Real(match *ty {
            Type::FLOAT8 => f64::from_sql(ty, raw)?,
            Type::FLOAT4 => f32::from_sql(ty, raw)?.into(),
            _ => Numeric::parse(raw)?.real(),
        }))
    }
    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::FLOAT8 | Type::FLOAT4 | Type::NUMERIC)
    }
}

/// Text, or the text of JSON.
pub(crate) struct Text(pub String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Text, Fault> {
        let raw = match *ty {
            Type::JSONB => raw.strip_prefix(&[JSONB_VERSION]).ok_or("a jsonb of another version")?,
            _ => raw,
        };
        Ok(Text(std::str::from_utf8(raw)?.to_owned()))
    }
    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::JSON | Type::JSONB) || <String as FromSql>::accepts(ty)
    }
}

/// A `numeric` on the wire: base-10000 digits, the first of them times 10000 to the power of `weight`.
struct Numeric {
    digits: Vec<i16>,
    weight: i16,
    negative: bool,
}

impl Numeric {
    fn parse(raw: &[u8]) -> Result<Numeric, Fault> {
        let words: Vec<i16> = raw.chunks_exact(2).map(|word| i16::from_be_bytes([word[0], word[1]])).collect();
        match words[..] {
            [count, weight, sign @ (0 | 0x4000), _scale, ref digits @ ..] if count as usize == digits.len() => {
                Ok(Numeric { digits: digits.to_vec(), weight, negative: sign != 0 })
            }
            _ => Err("not a finite number".into()),
        }
    }
    fn integer(&self) -> Option<i64> {
        let whole = (self.weight + 1).max(0) as usize;
        if self.digits.iter().skip(whole).any(|digit| *digit != 0) {
            return None;
        }
        let mut value = 0i64; // negative all the way: there is one more of them
        for place in 0..whole {
            let digit = self.digits.get(place).copied().unwrap_or(0);
            value = value.checked_mul(10_000)?.checked_sub(digit.into())?;
        }
        if self.negative { Some(value) } else { value.checked_neg() }
    }
    fn real(&self) -> f64 {
        let places = (0..).map(|place| i32::from(self.weight) - place);
        let value: f64 = self.digits.iter().zip(places).map(|(digit, at)| f64::from(*digit) * 10_000f64.powi(at)).sum();
        if self.negative { -value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(words: &[i16]) -> Numeric {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Numeric::parse(&raw).unwrap()
    }

    #[test]
    fn numerics_become_numbers_or_nothing() {
        let table: [(&[i16], Option<i64>, f64); 7] = [
            (&[0, 0, 0, 0], Some(0), 0.0),
            (&[1, 0, 0x4000, 0, 7], Some(-7), -7.0),
            (&[1, 1, 0, 0, 3], Some(30_000), 30_000.0),
            (&[2, 0, 0, 1, 2, 5000], None, 2.5),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5807], Some(i64::MAX), i64::MAX as f64),
            (&[5, 4, 0x4000, 0, 922, 3372, 368, 5477, 5808], Some(i64::MIN), i64::MIN as f64),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5808], None, -(i64::MIN as f64)),
        ];
        for (words, integer, real) in table {
            let numeric = numeric(words);
            assert_eq!(numeric.integer(), integer, "{words:?}");
            assert!((numeric.real() - real).abs() <= real.abs() * 1e-15, "{words:?}: {}", numeric.real());
        }
        assert!(Numeric::parse(&[0, 0, 0, 0, 0xC0, 0, 0, 0]).is_err(), "not a number");
    }
}
