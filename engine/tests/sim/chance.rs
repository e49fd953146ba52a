//! Chance with a seed, and what is drawn with it.

use serde_json::{Map, Value as Json, json};
use wf_dsl::{Time, Type};

pub(crate) use crate::random::Random;

/// Distances between instants that matter, in milliseconds.
const SPANS: [i64; 14] = [
    0,
    1,
    2,
    20,
    999,
    1_000,
    30_000,
    60_000,
    3_600_000,
    7_200_000,
    86_400_000,
    3 * 86_400_000,
    8 * 86_400_000,
    31 * 86_400_000,
];

/// A generator for one purpose of one schedule.
pub(crate) fn random(example: &str, seed: u64, purpose: &str) -> Random {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in example.bytes().chain(purpose.bytes()).chain(seed.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    Random::new(hash)
}

/// One of several.
pub(crate) fn one<'a, T>(random: &mut Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len())]
}

/// Whether something happens that happens in so many of a hundred cases.
pub(crate) fn happens(random: &mut Random, percent: usize) -> bool {
    random.below(100) < percent
}

/// A length of time.
pub(crate) fn span(random: &mut Random) -> i64 {
    *one(random, &SPANS)
}

/// A value of a type. Strings come from small sets, by the name of their field, so that different values are often equal.
pub(crate) fn value(random: &mut Random, ty: &Type, name: &str, now: Time) -> Json {
    match ty.shape() {
        Type::Any => json!({"value": random.below(3)}),
        Type::Null => Json::Null,
        Type::Nullable(inner) => match random.below(3) {
            0 => Json::Null,
            _ => value(random, inner, name, now),
        },
        Type::Bool => json!(random.below(2) == 0),
        Type::Int => json!(*one(random, &[0, 1, 2, 3, 7, 100])),
        Type::Number => json!(*one(random, &[0.0, 0.5, 1.0, 99.5])),
        Type::String => json!(text(random, name)),
        Type::Time => json!(Time(now.0 + span(random) - span(random) / 2).to_string()),
        Type::Date => json!(now.to_string().get(..10).unwrap_or_default()),
        Type::Period => json!(*one(random, &["PT0S", "PT1S", "PT1H", "P1D"])),
        Type::Enum(members) => one(random, members).to_json(),
        Type::List(item) => (0..random.below(4)).map(|_| value(random, item, name, now)).collect(),
        Type::Object(fields) => {
            let mut object = Map::new();
            for (name, field) in fields {
                if !field.optional || random.below(2) == 0 {
                    object.insert(name.clone(), value(random, &field.ty, name, now));
                }
            }
            Json::Object(object)
        }
        Type::Schema(_) => Json::Null,
    }
}

fn text(random: &mut Random, name: &str) -> String {
    let nth = usize::from(random.below(5) == 0);
    match name.to_lowercase() {
        name if name.contains("mail") => format!("somebody{nth}@example.org"),
        name if name.contains("phone") => format!("+1500555000{nth}"),
        name => format!("{name}-{nth}"),
    }
}
