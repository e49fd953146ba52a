//! The built-in functions: one table per type of receiver, each function with its signature as data.

mod any;
mod global;
mod list;
mod number;
mod object;
mod period;
mod string;
mod time;
mod zone;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::ast::Arg;
use super::call::Call;
use super::fault::Outcome;
use crate::value::Value;

/// A built-in function or method.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes, without the receiver of a method.
    pub params: &'static [Param],
    /// What it gives.
    pub result: Sig,
    /// One sentence.
    pub doc: &'static str,
    pub(super) run: fn(&mut Call<'_, '_>) -> Outcome,
}

/// A parameter of a [`Function`].
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it accepts.
    pub ty: Sig,
    /// Whether it may be left out or repeated.
    pub presence: Presence,
}

/// How often an argument stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Once.
    Required,
    /// Once or not at all.
    Optional,
    /// Once or more; only the last parameter.
    Many,
}

/// A type in the signature of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sig {
    /// Anything.
    Any,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `int` or `number`
    Number,
    /// `string`
    String,
    /// `timestamp`
    Time,
    /// `duration`
    Period,
    /// `date`
    Date,
    /// Any object.
    Object,
    /// An object with these fields.
    Fields(&'static [(&'static str, Sig)]),
    /// The type of the receiver.
    Receiver,
    /// The type of the receiver's items.
    Item,
    /// What the lambda in the arguments gives.
    Mapped,
    /// A list.
    List(&'static Sig),
    /// Or null.
    Nullable(&'static Sig),
    /// A function of an item (and its index) that gives this.
    Lambda(&'static Sig),
    /// A string or an int.
    StringOrInt,
    /// What has an order: numbers, strings, timestamps, durations or dates.
    Ordered,
    /// A regular expression; must be a literal.
    Pattern,
    /// An IANA time zone.
    Zone,
    /// `"day"`, `"week"` or `"month"`
    Unit,
    /// A time of day such as `"09:00"`.
    Clock,
    /// A strftime pattern.
    TimeFormat,
    /// A string, which may be a secret.
    Secret,
}

/// The methods of one name, one for each type of receiver that has it.
#[derive(Debug)]
pub struct MethodSet {
    by_receiver: [Option<&'static Function>; Receiver::ALL.len()],
}

/// The types that have methods of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Every value.
    Any,
    /// `string`
    String,
    /// Lists.
    List,
    /// Objects.
    Object,
    /// `int` and `number`
    Number,
    /// `timestamp`
    Time,
    /// `duration`
    Period,
}

impl Receiver {
    /// All of them.
    pub const ALL: [Receiver; 7] = [
        Receiver::Any,
        Receiver::String,
        Receiver::List,
        Receiver::Object,
        Receiver::Number,
        Receiver::Time,
        Receiver::Period,
    ];

    /// The methods of this type alone, without those of [`Receiver::Any`].
    pub fn methods(self) -> &'static [Function] {
        match self {
            Receiver::Any => any::METHODS,
            Receiver::String => string::METHODS,
            Receiver::List => list::METHODS,
            Receiver::Object => object::METHODS,
            Receiver::Number => number::METHODS,
            Receiver::Time => time::METHODS,
            Receiver::Period => period::METHODS,
        }
    }

    /// The type in words, such as "a list".
    pub fn words(self) -> &'static str {
        match self {
            Receiver::Any => "any value",
            Receiver::String => "a string",
            Receiver::List => "a list",
            Receiver::Object => "an object",
            Receiver::Number => "a number",
            Receiver::Time => "a timestamp",
            Receiver::Period => "a duration",
        }
    }

    fn of(value: &Value) -> Option<Receiver> {
        match value {
            Value::String(_) => Some(Receiver::String),
            Value::List(_) => Some(Receiver::List),
            Value::Object(_) => Some(Receiver::Object),
            Value::Int(_) | Value::Number(_) => Some(Receiver::Number),
            Value::Time(_) => Some(Receiver::Time),
            Value::Period(_) => Some(Receiver::Period),
            Value::Null | Value::Bool(_) | Value::Date(_) => None,
        }
    }
}

/// The functions that have no receiver.
pub fn globals() -> &'static [Function] {
    global::FUNCTIONS
}

/// The global function of this name.
pub fn global(name: &str) -> Option<&'static Function> {
    globals().iter().find(|function| function.name == name)
}

/// The methods of this name; none if no type has one.
pub fn method(name: &str) -> Option<&'static MethodSet> {
    static SETS: LazyLock<HashMap<&'static str, MethodSet>> = LazyLock::new(|| {
        let mut sets: HashMap<&'static str, MethodSet> = HashMap::new();
        for receiver in Receiver::ALL {
            for function in receiver.methods() {
                let set = sets.entry(function.name).or_insert(MethodSet { by_receiver: Default::default() });
                set.by_receiver[receiver as usize] = Some(function);
            }
        }
        sets
    });
    SETS.get(name)
}

/// The names of all methods; one that several types have comes several times.
pub fn method_names() -> impl Iterator<Item = &'static str> {
    Receiver::ALL.into_iter().flat_map(|receiver| receiver.methods().iter().map(|function| function.name))
}

impl MethodSet {
    /// The method for receivers of this type.
    pub fn get(&self, receiver: Receiver) -> Option<&'static Function> {
        self.by_receiver[receiver as usize].or(self.by_receiver[Receiver::Any as usize])
    }

    /// The types that have the method.
    pub fn receivers(&self) -> impl Iterator<Item = Receiver> {
        Receiver::ALL.into_iter().filter(|receiver| self.by_receiver[*receiver as usize].is_some())
    }

    /// All methods of the name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Function> {
        self.by_receiver.iter().flatten().copied()
    }

    pub(super) fn for_value(&self, value: &Value) -> Option<&'static Function> {
        let any = self.by_receiver[Receiver::Any as usize];
        Receiver::of(value).and_then(|receiver| self.by_receiver[receiver as usize]).or(any)
    }
}

impl Function {
    /// The fewest and the most arguments it takes.
    pub fn arity(&self) -> (usize, usize) {
        let least = self.params.iter().filter(|param| param.presence != Presence::Optional).count();
        let many = self.params.last().is_some_and(|param| param.presence == Presence::Many);
        (least, if many { usize::MAX } else { self.params.len() })
    }

    /// The parameter that an argument is for.
    pub fn param(&self, place: usize) -> Option<&'static Param> {
        let last = self.params.last().filter(|param| param.presence == Presence::Many);
        self.params.get(place).or(last)
    }

    /// Finds the first argument that is a literal and wrong, such as an unknown time zone; says what is wrong with it.
    ///
    /// # Errors
    /// The argument's place and one lower-case phrase.
    pub(super) fn check_literals(&self, args: &[Arg]) -> Result<(), (usize, String)> {
        for (place, arg) in args.iter().enumerate() {
            let (Some(param), Some(text)) = (self.param(place), arg.as_text()) else { continue };
            let checked = match param.ty {
                Sig::Zone => zone::find(text).map(drop),
                Sig::Unit => zone::Unit::read(text).map(drop),
                Sig::Clock => zone::read_clock(text).map(drop),
                Sig::TimeFormat => zone::check_format(text),
                _ => Ok(()),
            };
            checked.map_err(|message| (place, message))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({self})")
    }
}

impl fmt::Display for Function {
    /// The signature: `slice(from: int, to?: int): string`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (place, param) in self.params.iter().enumerate() {
            let before = if place == 0 { "" } else { ", " };
            match param.presence {
                Presence::Required => write!(f, "{before}{}: {}", param.name, param.ty)?,
                Presence::Optional => write!(f, "{before}{}?: {}", param.name, param.ty)?,
                Presence::Many => write!(f, "{before}{}…: {}", param.name, param.ty)?,
            }
        }
        write!(f, "): {}", self.result)
    }
}

impl fmt::Display for Sig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Sig::Any => "any",
            Sig::Bool => "bool",
            Sig::Int => "int",
            Sig::Number => "number",
            Sig::String => "string",
            Sig::Time => "timestamp",
            Sig::Period => "duration",
            Sig::Date => "date",
            Sig::Object => "object",
            Sig::Receiver => "same",
            Sig::Item => "item",
            Sig::Mapped => "result",
            Sig::StringOrInt => "string or int",
            Sig::Ordered => "ordered",
            Sig::Pattern => "pattern",
            Sig::Zone => "zone",
            Sig::Unit => "\"day\", \"week\" or \"month\"",
            Sig::Clock => "time of day",
            Sig::TimeFormat => "strftime pattern",
            Sig::Secret => "string or secret",
            Sig::List(item) => return write!(f, "{item}[]"),
            Sig::Nullable(inner) => return write!(f, "{inner} or null"),
            Sig::Lambda(result) => return write!(f, "item => {result}"),
            Sig::Fields(fields) => {
                f.write_str("{")?;
                for (place, (name, ty)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {ty}", if place == 0 { "" } else { ", " })?;
                }
                return f.write_str("}");
            }
        };
        f.write_str(word)
    }
}

/// A required parameter.
const fn required(name: &'static str, ty: Sig) -> Param {
    Param { name, ty, presence: Presence::Required }
}

/// A parameter that may be left out.
const fn optional(name: &'static str, ty: Sig) -> Param {
    Param { name, ty, presence: Presence::Optional }
}

/// A parameter that takes one argument or more.
const fn many(name: &'static str, ty: Sig) -> Param {
    Param { name, ty, presence: Presence::Many }
}
