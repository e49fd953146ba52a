//! Equality and order of the language: 1 equals 1.0, instants are compared and not their texts.

use std::cmp::Ordering;
use std::fmt::Write;

use super::Value;

impl Value {
    /// Whether the language calls the two equal.
    ///
    /// An int equals the number of the same size; the order of an object's fields does not count; values of different
    /// types are not equal.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Int(left), Value::Number(right)) | (Value::Number(right), Value::Int(left)) => {
                compare_int(*left, *right) == Ordering::Equal
            }
            (Value::List(left), Value::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| left.same(right))
            }
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| left.same(right)))
            }
            _ => self == other,
        }
    }

    /// The order of two numbers, strings (by code point), timestamps, durations or dates; none for anything else.
    pub fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            (Value::Int(left), Value::Number(right)) => Some(compare_int(*left, *right)),
            (Value::Number(left), Value::Int(right)) => Some(compare_int(*right, *left).reverse()),
            (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
            (Value::Period(left), Value::Period(right)) => Some(left.cmp(right)),
            (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// A text that two values share exactly when they are [`Value::same`]; for hashing, not for people.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text);
        text
    }

    fn write_canonical(&self, text: &mut String) {
        // Writing into a `String` cannot fail.
        let _ = match self {
            Value::Null => write!(text, "null"),
            Value::Bool(value) => write!(text, "{value}"),
            Value::Int(value) => write!(text, "{value}"),
            Value::Number(value) => match whole(*value) {
                Some(int) => write!(text, "{int}"),
                None => write!(text, "{value:e}"),
            },
            Value::String(value) => write!(text, "{value:?}"),
            Value::Time(time) => write!(text, "t{}", time.0),
            Value::Period(period) => write!(text, "p{}", period.0),
            Value::Date(date) => write!(text, "d{}", date.0),
            Value::List(items) => {
                text.push('[');
                for item in items.iter() {
                    item.write_canonical(text);
                    text.push(',');
                }
                write!(text, "]")
            }
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                text.push('{');
                for (name, value) in fields {
                    let _ = write!(text, "{name:?}:");
                    value.write_canonical(text);
                    text.push(',');
                }
                write!(text, "}}")
            }
        };
    }
}

/// 2^63, the first double above all ints.
const INT_END: f64 = 9_223_372_036_854_775_808.0;

/// The int of exactly this size, if there is one.
pub(crate) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && (-INT_END..INT_END).contains(&number)).then_some(number as i64)
}

/// The order of an int and a finite double, without rounding the int.
fn compare_int(int: i64, number: f64) -> Ordering {
    if number >= INT_END {
        return Ordering::Less;
    }
    if number < -INT_END {
        return Ordering::Greater;
    }
    let whole = number.trunc();
    int.cmp(&(whole as i64)).then_with(|| 0.0.partial_cmp(&(number - whole)).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_numbers_compare_exactly() {
        let cases = [
            (1, 1.0, Ordering::Equal),
            (0, -0.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Greater),
            (i64::MAX, INT_END, Ordering::Less),
            (i64::MIN, -INT_END, Ordering::Equal),
            (i64::MIN, -1e300, Ordering::Greater),
        ];
        for (int, number, order) in cases {
            assert_eq!(Value::Int(int).order(&Value::Number(number)), Some(order), "{int} {number}");
            assert_eq!(Value::Number(number).order(&Value::Int(int)), Some(order.reverse()), "{number} {int}");
            assert_eq!(Value::Int(int).same(&Value::Number(number)), order == Ordering::Equal);
        }
    }

    #[test]
    fn values_of_different_types_are_not_equal() {
        assert!(!Value::from("1").same(&Value::Int(1)));
        assert!(!Value::Null.same(&Value::Bool(false)));
        assert_eq!(Value::from("1").order(&Value::Int(1)), None);
        assert_eq!(Value::Bool(true).order(&Value::Bool(false)), None);
    }
}
