//! A call of a built-in function: its receiver, and its arguments as the function asks for them.

use std::sync::Arc;

use regex::Regex;

use super::ast::{Arg, Lambda};
use super::eval::Eval;
use super::fault::{Fault, Outcome, TYPE};
use super::functions::Function;
use crate::time::Time;
use crate::value::{Object, Value};

/// One call. Arguments are evaluated when the function asks for them; it asks for each once, in their order.
pub(crate) struct Call<'c, 'e> {
    pub(super) eval: &'c mut Eval<'e>,
    /// The receiver of a method; null for a global function.
    pub(super) receiver: Value,
    function: &'static Function,
    args: &'c [Arg],
    regex: Option<&'c Regex>,
}

impl<'c, 'e> Call<'c, 'e> {
    pub(super) fn new(eval: &'c mut Eval<'e>, function: &'static Function, receiver: Value, args: &'c [Arg]) -> Self {
        Call { eval, receiver, function, args, regex: None }
    }

    pub(super) fn with_regex(mut self, regex: Option<&'c Regex>) -> Self {
        self.regex = regex;
        self
    }

    pub(super) fn run(mut self) -> Outcome {
        let (least, most) = self.function.arity();
        if !(least..=most).contains(&self.args.len()) {
            let found = self.args.len();
            return Err(Fault::new(TYPE, format!("`{}` does not take {found} arguments", self.function)));
        }
        (self.function.run)(&mut self)
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.args.len()
    }

    /// Whether there is an argument at this place.
    pub(super) fn has(&self, place: usize) -> bool {
        place < self.args.len()
    }

    pub(super) fn value(&mut self, place: usize) -> Outcome {
        let args = self.args;
        match &args[place] {
            Arg::Value(term) => self.eval.term(term),
            Arg::Lambda(_) => Err(self.wrong(place, "a value", "a function")),
        }
    }

    pub(super) fn text(&mut self, place: usize) -> Result<Arc<str>, Box<Fault>> {
        match self.value(place)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(place, "a string", other.a_type())),
        }
    }

    pub(super) fn int(&mut self, place: usize) -> Result<i64, Box<Fault>> {
        match self.value(place)? {
            Value::Int(value) => Ok(value),
            other => Err(self.wrong(place, "an int", other.a_type())),
        }
    }

    /// An int or a number.
    pub(super) fn number(&mut self, place: usize) -> Outcome {
        match self.value(place)? {
            value @ (Value::Int(_) | Value::Number(_)) => Ok(value),
            other => Err(self.wrong(place, "a number", other.a_type())),
        }
    }

    pub(super) fn object(&mut self, place: usize) -> Result<Arc<Object>, Box<Fault>> {
        match self.value(place)? {
            Value::Object(fields) => Ok(fields),
            other => Err(self.wrong(place, "an object", other.a_type())),
        }
    }

    pub(super) fn lambda(&self, place: usize) -> Result<&'c Lambda, Box<Fault>> {
        let args = self.args;
        match &args[place] {
            Arg::Lambda(lambda) => Ok(lambda),
            Arg::Value(_) => Err(self.wrong(place, "a function such as `x => …`", "a value")),
        }
    }

    /// What a lambda that must give a bool gives for an item.
    pub(super) fn test(&mut self, lambda: &Lambda, item: &Value, index: usize) -> Result<bool, Box<Fault>> {
        match self.eval.apply(lambda, item.clone(), index)? {
            Value::Bool(value) => Ok(value),
            other => {
                let message = format!("`{}` needs a bool for each item, found {}", self.function.name, other.a_type());
                Err(Fault::new(TYPE, message).at(lambda.body.at))
            }
        }
    }

    /// The pattern that was compiled with the expression.
    pub(super) fn regex(&self) -> Result<&'c Regex, Box<Fault>> {
        self.regex.ok_or_else(|| self.wrong(0, "a literal pattern", "something else"))
    }

    pub(super) fn receiver_text(&self) -> Result<Arc<str>, Box<Fault>> {
        match &self.receiver {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.wrong_receiver()),
        }
    }

    pub(super) fn receiver_list(&self) -> Result<Arc<Vec<Value>>, Box<Fault>> {
        match &self.receiver {
            Value::List(items) => Ok(items.clone()),
            _ => Err(self.wrong_receiver()),
        }
    }

    pub(super) fn receiver_object(&self) -> Result<Arc<Object>, Box<Fault>> {
        match &self.receiver {
            Value::Object(fields) => Ok(fields.clone()),
            _ => Err(self.wrong_receiver()),
        }
    }

    pub(super) fn receiver_time(&self) -> Result<Time, Box<Fault>> {
        self.receiver.as_time().ok_or_else(|| self.wrong_receiver())
    }

    /// The fault of a receiver for which the function is not made.
    pub(super) fn wrong_receiver(&self) -> Box<Fault> {
        Fault::new(TYPE, format!("{} has no method `{}`", self.receiver.a_type(), self.function.name))
    }

    /// A fault at an argument that is right in type and wrong in itself.
    pub(super) fn bad(&self, code: &'static str, place: usize, message: impl Into<String>) -> Box<Fault> {
        Fault::new(code, message).at(self.args[place].at())
    }

    fn wrong(&self, place: usize, expected: &str, found: &str) -> Box<Fault> {
        let message = format!("`{}` takes {expected} here, found {found}", self.function.name);
        Fault::new(TYPE, message).at(self.args[place].at())
    }
}
