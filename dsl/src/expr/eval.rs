//! The evaluator: walks the tree, counts its steps, and stops at the limits.

use std::cmp::Ordering;

use super::Scope;
use super::arithmetic;
use super::ast::{Arg, At, Comparator, Lambda, Link, LinkKind, Method, Name, Operator, Term, TermKind};
use super::call::Call;
use super::fault::{Fault, INDEX, LIMIT, Outcome, TYPE, UNDEFINED};
use super::functions::Function;
use crate::value::{Object, Value};

/// How many steps an evaluation may take: one for each part of the expression and each item that a function visits,
/// and one for every [`BYTES_PER_STEP`] of text that is read or made.
pub const EVAL_STEPS_MAX: usize = 100_000;

/// How large a text that an expression makes, and its result as a whole, may be, in bytes as JSON.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// How much text counts as one evaluation step.
pub const BYTES_PER_STEP: usize = 256;

/// One evaluation of one expression.
pub(super) struct Eval<'e> {
    pub(super) scope: &'e dyn Scope,
    steps_left: usize,
    /// The values of the parameters of all lambdas around the current term, the outermost first.
    params: Vec<Value>,
}

impl<'e> Eval<'e> {
    pub(super) fn new(scope: &'e dyn Scope) -> Self {
        Eval { scope, steps_left: EVAL_STEPS_MAX, params: Vec::new() }
    }

    /// The value of a whole expression, checked against the limits of results.
    pub(super) fn whole(&mut self, term: &Term) -> Outcome {
        let value = self.term(term)?;
        match value.size_within(RESULT_BYTES_MAX) {
            Some(_) => Ok(value),
            None => {
                Err(Fault::new(LIMIT, "the result is larger than 1 MiB or nests deeper than 64 levels").at(term.at))
            }
        }
    }

    /// Counts this many steps.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Box<Fault>> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                self.steps_left = 0;
                Err(Fault::new(LIMIT, format!("the expression takes more than {EVAL_STEPS_MAX} steps")))
            }
        }
    }

    /// Counts the steps for reading this much text.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Box<Fault>> {
        self.spend(bytes / BYTES_PER_STEP)
    }

    /// Counts the steps for making a text of this size, before it is made.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), Box<Fault>> {
        if bytes > RESULT_BYTES_MAX {
            return Err(Fault::new(LIMIT, "the expression makes a text of more than 1 MiB"));
        }
        self.read(bytes)
    }

    /// The value of a term. The arms are calls, so that each level of nesting takes little of the stack.
    pub(super) fn term(&mut self, term: &Term) -> Outcome {
        self.spend(1).map_err(|fault| fault.at(term.at))?;
        match &term.kind {
            TermKind::Literal(value) | TermKind::List { constant: Some(value), .. } => Ok(value.clone()),
            TermKind::Param(_, slot) => Ok(self.params[*slot].clone()),
            TermKind::Step(name) => Ok(self.scope.step(&name.text).unwrap_or_default()),
            TermKind::Root(name) | TermKind::Var(name) | TermKind::Secret(name) => self.named(term, name),
            TermKind::Path(base, links) => self.path(base, links),
            TermKind::Compare(comparator, sides) => self.comparison(term, *comparator, sides),
            TermKind::Or(terms) => self.any(terms, true, "or"),
            TermKind::And(terms) => self.any(terms, false, "and"),
            TermKind::Not(inner) => self.bool(inner, "not").map(|value| Value::Bool(!value)),
            TermKind::If(terms) => self.conditional(terms),
            TermKind::Coalesce(terms) => self.coalesce(terms),
            TermKind::Arithmetic(first, rest) => self.arithmetic(first, rest),
            TermKind::Negate(inner) => self.term(inner).and_then(arithmetic::negate).map_err(|fault| fault.at(term.at)),
            TermKind::List { items, constant: None } => self.list(items),
            TermKind::Object(fields) => self.object(fields),
            TermKind::Call { name, function, args } => self.call(term, name, *function, args),
        }
    }

    fn named(&mut self, term: &Term, name: &Name) -> Outcome {
        let found = match &term.kind {
            TermKind::Var(_) => self.scope.var(&name.text),
            TermKind::Secret(_) => self.scope.secret(&name.text),
            _ => self.scope.root(&name.text),
        };
        found.ok_or_else(|| {
            let message = match &term.kind {
                TermKind::Var(_) => format!("there is no variable `{}`", name.text),
                TermKind::Secret(_) => format!("the secret `{}` is not set", name.text),
                _ => format!("there is no `{}` here", name.text),
            };
            undefined(message, term.at)
        })
    }

    fn list(&mut self, terms: &[Term]) -> Outcome {
        let mut items = Vec::with_capacity(terms.len());
        for term in terms {
            items.push(self.term(term)?);
        }
        Ok(items.into())
    }

    fn object(&mut self, fields: &[(Name, Term)]) -> Outcome {
        let mut object = Object::with_capacity(fields.len());
        for (name, term) in fields {
            let value = self.term(term)?;
            object.insert(name.text.to_string(), value);
        }
        Ok(object.into())
    }

    fn conditional(&mut self, terms: &[Term; 3]) -> Outcome {
        let [condition, then, otherwise] = terms;
        if self.bool(condition, "if")? { self.term(then) } else { self.term(otherwise) }
    }

    /// Looks for the first term that is `decisive`; if there is none, the result is the other bool.
    fn any(&mut self, terms: &[Term], decisive: bool, word: &str) -> Outcome {
        for term in terms {
            if self.bool(term, word)? == decisive {
                return Ok(Value::Bool(decisive));
            }
        }
        Ok(Value::Bool(!decisive))
    }

    fn coalesce(&mut self, terms: &[Term]) -> Outcome {
        let mut value = Value::Null;
        for term in terms {
            value = self.term(term)?;
            if !value.is_null() {
                break;
            }
        }
        Ok(value)
    }

    fn comparison(&mut self, term: &Term, comparator: Comparator, sides: &[Term; 2]) -> Outcome {
        let left = self.term(&sides[0])?;
        let right = self.term(&sides[1])?;
        self.compare(comparator, &left, &right).map(Value::Bool).map_err(|fault| fault.at(term.at))
    }

    fn arithmetic(&mut self, first: &Term, rest: &[(Operator, Term)]) -> Outcome {
        let mut left = self.term(first)?;
        for (operator, term) in rest {
            let right = self.term(term)?;
            left = arithmetic::apply(self, *operator, left, right).map_err(|fault| fault.at(first.at.to(term.at)))?;
        }
        Ok(left)
    }

    fn call(&mut self, term: &Term, name: &Name, function: Option<&'static Function>, args: &[Arg]) -> Outcome {
        let function = function.ok_or_else(|| unknown("function", &name.text, name.at))?;
        Call::new(self, function, Value::Null, args).run().map_err(|fault| fault.at(term.at))
    }

    fn bool(&mut self, term: &Term, word: &str) -> Result<bool, Box<Fault>> {
        match self.term(term)? {
            Value::Bool(value) => Ok(value),
            other => Err(Fault::new(TYPE, format!("`{word}` needs a bool, found {}", other.a_type())).at(term.at)),
        }
    }

    fn path(&mut self, base: &Term, links: &[Link]) -> Outcome {
        let mut value = self.term(base)?;
        // Whether the value may be missing because its step did not run; only said while no access came between.
        let mut step = matches!(base.kind, TermKind::Step(_));
        for link in links {
            self.spend(1).map_err(|fault| fault.at(link.at))?;
            if value.is_null() {
                if link.safe {
                    return Ok(Value::Null);
                }
                if !self.works_on_null(link) {
                    let place = base.at.to(link.at);
                    return Err(undefined(on_null(link, step), place));
                }
            }
            value = self.link(value, link).map_err(|fault| fault.at(base.at.to(link.at)))?;
            step = false;
        }
        Ok(value)
    }

    /// `null.type()` and the like have a value; everything else on null is an error.
    fn works_on_null(&self, link: &Link) -> bool {
        matches!(&link.kind, LinkKind::Method(method) if method.set.is_some_and(|set| set.for_value(&Value::Null).is_some()))
    }

    fn link(&mut self, value: Value, link: &Link) -> Outcome {
        match &link.kind {
            LinkKind::Member(name) => match &value {
                // An optional key that is absent reads as null; undeclared keys are the checker's business.
                Value::Object(fields) => Ok(fields.get(&*name.text).cloned().unwrap_or_default()),
                other => Err(Fault::new(TYPE, format!("{} has no field `{}`", other.a_type(), name.text))),
            },
            LinkKind::Index(index) => {
                let index = self.term(index)?;
                self.index(&value, &index)
            }
            LinkKind::Method(method) => self.method(value, method),
        }
    }

    fn index(&mut self, value: &Value, index: &Value) -> Outcome {
        match (value, index) {
            (Value::List(items), Value::Int(place)) => {
                let item = usize::try_from(*place).ok().and_then(|place| items.get(place)).cloned();
                item.ok_or_else(|| Fault::new(INDEX, format!("there is no item {place} in a list of {}", items.len())))
            }
            (Value::Object(fields), Value::String(name)) => {
                let field = fields.get(&**name).cloned();
                field.ok_or_else(|| {
                    Fault::new(INDEX, format!("the object has no field `{}`", brief(name, VALUE_CHARS_MAX)))
                })
            }
            (Value::List(_), other) => {
                Err(Fault::new(TYPE, format!("a list is indexed by an int, found {}", other.a_type())))
            }
            (Value::Object(_), other) => {
                Err(Fault::new(TYPE, format!("an object is indexed by a string, found {}", other.a_type())))
            }
            (other, _) => Err(Fault::new(TYPE, format!("{} has no items", other.a_type()))),
        }
    }

    fn method(&mut self, receiver: Value, method: &Method) -> Outcome {
        let set = method.set.ok_or_else(|| unknown("method", &method.name.text, method.name.at))?;
        let Some(function) = set.for_value(&receiver) else {
            let message = format!("{} has no method `{}`", receiver.a_type(), method.name.text);
            return Err(Fault::new(TYPE, message));
        };
        Call::new(self, function, receiver, &method.args).with_regex(method.regex.as_deref()).run()
    }

    pub(super) fn compare(&mut self, comparator: Comparator, left: &Value, right: &Value) -> Result<bool, Box<Fault>> {
        match comparator {
            Comparator::Equal => self.equal(left, right),
            Comparator::NotEqual => self.equal(left, right).map(|equal| !equal),
            Comparator::In => self.contains(left, right),
            Comparator::NotIn => self.contains(left, right).map(|contained| !contained),
            Comparator::Less => self.order(comparator, left, right).map(Ordering::is_lt),
            Comparator::LessOrEqual => self.order(comparator, left, right).map(Ordering::is_le),
            Comparator::Greater => self.order(comparator, left, right).map(Ordering::is_gt),
            Comparator::GreaterOrEqual => self.order(comparator, left, right).map(Ordering::is_ge),
        }
    }

    fn equal(&mut self, left: &Value, right: &Value) -> Result<bool, Box<Fault>> {
        let comparable = left.is_null()
            || right.is_null()
            || std::mem::discriminant(left) == std::mem::discriminant(right)
            || (left.as_number().is_some() && right.as_number().is_some());
        if !comparable {
            let message = format!("{} and {} are never equal", left.a_type(), right.a_type());
            return Err(Fault::new(TYPE, message));
        }
        self.same(left, right)
    }

    /// [`Value::same`], counted.
    pub(super) fn same(&mut self, left: &Value, right: &Value) -> Result<bool, Box<Fault>> {
        match (left, right) {
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                self.spend(left.len())?;
                for (left, right) in left.iter().zip(right.iter()) {
                    if !self.same(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                self.spend(left.len())?;
                for (name, left) in left.iter() {
                    let Some(right) = right.get(name) else { return Ok(false) };
                    if !self.same(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::String(left), Value::String(right)) => {
                self.read(left.len().min(right.len()))?;
                Ok(left == right)
            }
            _ => Ok(left.same(right)),
        }
    }

    fn contains(&mut self, item: &Value, list: &Value) -> Result<bool, Box<Fault>> {
        let Value::List(items) = list else {
            return Err(Fault::new(TYPE, format!("`in` needs a list on its right, found {}", list.a_type())));
        };
        for candidate in items.iter() {
            self.spend(1)?;
            if self.same(item, candidate)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn order(&mut self, comparator: Comparator, left: &Value, right: &Value) -> Result<Ordering, Box<Fault>> {
        if let (Value::String(left), Value::String(right)) = (left, right) {
            self.read(left.len().min(right.len()))?;
        }
        left.order(right).ok_or_else(|| {
            let (left, right) = (left.a_type(), right.a_type());
            Fault::new(TYPE, format!("`{}` cannot compare {left} and {right}", comparator.symbol()))
        })
    }

    /// What a lambda gives for an item.
    pub(super) fn apply(&mut self, lambda: &Lambda, item: Value, index: usize) -> Outcome {
        let outer = self.params.len();
        self.params.push(item);
        if lambda.params.len() > 1 {
            self.params.push(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        }
        let outcome = self.term(&lambda.body);
        self.params.truncate(outer);
        outcome
    }

    /// A text that only equal values share, counted by the size of the value.
    pub(super) fn identity(&mut self, value: &Value) -> Result<String, Box<Fault>> {
        self.measured(value)?;
        Ok(value.canonical())
    }

    /// Counts the steps for visiting every part of a value.
    pub(super) fn measured(&mut self, value: &Value) -> Result<(), Box<Fault>> {
        let size = value.size_within(RESULT_BYTES_MAX);
        let size =
            size.ok_or_else(|| Fault::new(LIMIT, "a value is larger than 1 MiB or nests deeper than 64 levels"))?;
        // A part takes at least four bytes, and visiting it costs more than reading four bytes of text.
        self.spend(1 + size / 32)
    }
}

/// How much of a value a message quotes.
pub(super) const VALUE_CHARS_MAX: usize = 40;

/// A text, or its beginning if it has more than this many characters.
pub(super) fn brief(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn on_null(link: &Link, step: bool) -> String {
    let why = if step { ": the step has not run, or gave nothing" } else { "" };
    match &link.kind {
        LinkKind::Member(name) => format!("cannot read `{}` of null{why}", name.text),
        LinkKind::Method(method) => format!("cannot call `{}` on null{why}", method.name.text),
        LinkKind::Index(_) => format!("cannot take an item of null{why}"),
    }
}

fn undefined(message: String, at: At) -> Box<Fault> {
    Fault::new(UNDEFINED, message).at(at)
}

fn unknown(what: &str, name: &str, at: At) -> Box<Fault> {
    Fault::new(TYPE, format!("there is no {what} `{name}`")).at(at)
}
