//! From text to tree, by the grammar in `spec/expression.pest`.

use std::sync::Arc;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use regex::{Regex, RegexBuilder};

use super::ast::{Arg, At, Comparator, Lambda, Link, LinkKind, Method, Name, Operator, Term, TermKind};
use super::functions::{Function, Sig, global, method};
use super::{ROOTS, depth, explain, scan};
use crate::codes::Code;
use crate::time::{Period, Time};
use crate::value::{VALUE_DEPTH_MAX, Value};

/// How large a compiled regular expression may be, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512 * 1024;

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../spec/expression.pest"]
    pub(crate) struct Grammar;
}

pub(super) use grammar::{Grammar, Rule};

/// What is wrong with a text that should be an expression.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) code: Code,
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(at: At, message: impl Into<String>) -> Wrong {
        Wrong { code: Code::EXPRESSION, at, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Wrong {
        self.help = Some(help.into());
        self
    }

    /// The form is right, the content is not.
    fn literal(at: At, message: impl Into<String>) -> Wrong {
        Wrong { code: Code::LITERAL, ..Wrong::new(at, message) }
    }
}

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Term, Wrong> {
    scan::check(text)?;
    let mut pairs = Grammar::parse(Rule::expression, text).map_err(|error| explain::explain(text, &error))?;
    let expression = pairs.next().expect("a match of the rule `expression` is one pair");
    let mut builder = Builder { params: Vec::new() };
    let term = builder.expr(first(expression))?;
    if depth::built(&term) > VALUE_DEPTH_MAX {
        let message = format!("the expression builds lists and objects of more than {VALUE_DEPTH_MAX} levels");
        return Err(Wrong::new(term.at, message));
    }
    Ok(term)
}

type Built = Result<TermKind, Wrong>;

struct Builder {
    /// The parameters of all lambdas around the current place, the outermost first.
    params: Vec<Arc<str>>,
}

/// The one pair that rules of the form `a = { b | c }` hold.
fn first(pair: Pair<'_, Rule>) -> Pair<'_, Rule> {
    pair.into_inner().next().expect("the grammar gives this rule content")
}

fn at(pair: &Pair<'_, Rule>) -> At {
    let span = pair.as_span();
    // A rule that could go on has already skipped the space behind it.
    scan::place(span.start(), span.start() + span.as_str().trim_end().len())
}

impl Builder {
    fn expr(&mut self, pair: Pair<'_, Rule>) -> Result<Term, Wrong> {
        let inner = first(pair);
        if inner.as_rule() == Rule::disjunction {
            return self.ranked(inner);
        }
        let at = at(&inner);
        let mut terms = inner.into_inner().filter(|pair| pair.as_rule() == Rule::expr);
        let mut next = || self.expr(terms.next().expect("a conditional holds three expressions"));
        let terms = Box::new([next()?, next()?, next()?]);
        Ok(Term { at, kind: TermKind::If(terms) })
    }

    /// Builds what the rules from `disjunction` to `unary` match. Where a rule has only one part and no operator, the
    /// part itself is built.
    fn ranked(&mut self, mut pair: Pair<'_, Rule>) -> Result<Term, Wrong> {
        loop {
            let rule = pair.as_rule();
            if rule == Rule::postfix {
                return self.postfix(pair);
            }
            let at = at(&pair);
            let mut inner = pair.into_inner();
            let part = inner.next().expect("every rank holds the next one");
            let Some(next) = inner.next() else {
                pair = part;
                continue;
            };
            let kind = match rule {
                Rule::unary => return self.minus(at, next),
                Rule::negation => TermKind::Not(Box::new(self.ranked(next)?)),
                Rule::comparison => self.comparison(part, next, inner)?,
                Rule::additive | Rule::multiplicative => self.arithmetic(part, next, inner)?,
                Rule::disjunction => TermKind::Or(self.operands(part, inner)?),
                Rule::conjunction => TermKind::And(self.operands(part, inner)?),
                _ => TermKind::Coalesce(self.operands(part, inner)?),
            };
            return Ok(Term { at, kind });
        }
    }

    fn comparison<'i>(&mut self, left: Pair<'i, Rule>, symbol: Pair<'i, Rule>, mut rest: Pairs<'i, Rule>) -> Built {
        let right = rest.next().expect("a comparator stands between two operands");
        let left = self.ranked(left)?;
        let right = self.ranked(right)?;
        Ok(TermKind::Compare(comparator(symbol.as_str()), Box::new([left, right])))
    }

    fn arithmetic<'i>(&mut self, left: Pair<'i, Rule>, symbol: Pair<'i, Rule>, mut rest: Pairs<'i, Rule>) -> Built {
        let left = self.ranked(left)?;
        let mut symbol = Some(symbol);
        let mut operations = Vec::new();
        while let Some((operator, right)) = symbol.zip(rest.next()) {
            let right = self.ranked(right)?;
            operations.push((operator_of(operator.as_str()), right));
            symbol = rest.next();
        }
        Ok(TermKind::Arithmetic(Box::new(left), operations))
    }

    /// The operands of an operator that stands between any number of them; the first operator was read already.
    fn operands<'i>(&mut self, left: Pair<'i, Rule>, mut rest: Pairs<'i, Rule>) -> Result<Vec<Term>, Wrong> {
        let mut terms = vec![self.ranked(left)?];
        while let Some(operand) = rest.next() {
            terms.push(self.ranked(operand)?);
            rest.next();
        }
        Ok(terms)
    }

    /// A minus in front of a number or duration belongs to the literal, so that the smallest int can be written.
    fn minus(&mut self, whole: At, operand: Pair<'_, Rule>) -> Result<Term, Wrong> {
        let mut inner = operand.clone().into_inner();
        let primary = inner.next().expect("a postfix expression holds a primary one");
        if inner.next().is_none() {
            let candidate = first(primary);
            if candidate.as_rule() == Rule::literal {
                let literal = first(candidate);
                if matches!(literal.as_rule(), Rule::number | Rule::duration) {
                    let value = literal_value(whole, &literal, "-")?;
                    return Ok(Term { at: whole, kind: TermKind::Literal(value) });
                }
            }
        }
        Ok(Term { at: whole, kind: TermKind::Negate(Box::new(self.postfix(operand)?)) })
    }

    fn postfix(&mut self, pair: Pair<'_, Rule>) -> Result<Term, Wrong> {
        let whole = at(&pair);
        let mut inner = pair.into_inner().peekable();
        let primary = inner.next().expect("a postfix expression holds a primary one");
        let base = self.primary(primary, &mut inner)?;
        let mut links = Vec::new();
        for pair in inner {
            links.push(self.link(pair)?);
        }
        if links.is_empty() {
            return Ok(base);
        }
        Ok(Term { at: whole, kind: TermKind::Path(Box::new(base), links) })
    }

    fn primary<'i>(
        &mut self,
        pair: Pair<'i, Rule>,
        after: &mut std::iter::Peekable<impl Iterator<Item = Pair<'i, Rule>>>,
    ) -> Result<Term, Wrong> {
        let whole = at(&pair);
        let inner = first(pair);
        let kind = match inner.as_rule() {
            Rule::literal => TermKind::Literal(literal_value(whole, &first(inner), "")?),
            Rule::expr => return Ok(Term { at: whole, ..self.expr(inner)? }),
            Rule::list => self.list(inner)?,
            Rule::object => TermKind::Object(self.fields(inner)?),
            Rule::call => self.call(inner)?,
            _ => return self.root(name(first(inner)), after),
        };
        Ok(Term { at: whole, kind })
    }

    fn list(&mut self, pair: Pair<'_, Rule>) -> Built {
        let mut items = Vec::new();
        for item in pair.into_inner().filter(|pair| pair.as_rule() == Rule::expr) {
            items.push(self.expr(item)?);
        }
        let constant = constant_list(&items);
        Ok(TermKind::List { items, constant })
    }

    fn call(&mut self, pair: Pair<'_, Rule>) -> Built {
        let mut parts = pair.into_inner();
        let name = name(parts.next().expect("a call holds a name"));
        let args = self.args(parts.next().expect("a call holds arguments"))?;
        let function = global(&name.text);
        if let Some(function) = function {
            check_args(function, &args)?;
        }
        Ok(TermKind::Call { name, function, args })
    }

    /// A name that stands alone; `steps`, `vars` and `secrets` take the member after them along.
    fn root<'i>(
        &mut self,
        name: Name,
        after: &mut std::iter::Peekable<impl Iterator<Item = Pair<'i, Rule>>>,
    ) -> Result<Term, Wrong> {
        if let Some(slot) = self.params.iter().rposition(|param| *param == name.text) {
            return Ok(Term { at: name.at, kind: TermKind::Param(name, slot) });
        }
        let member: fn(Name) -> TermKind = match &*name.text {
            "steps" => TermKind::Step,
            "vars" => TermKind::Var,
            "secrets" => TermKind::Secret,
            _ => return Ok(Term { at: name.at, kind: TermKind::Root(name) }),
        };
        let what = match &*name.text {
            "steps" => "a step's id",
            "vars" => "a variable's name",
            _ => "a secret's name",
        };
        let missing = || {
            let root = &name.text;
            Wrong::new(name.at, format!("`{root}` needs {what} after it")).help(format!("write `{root}.` and the name"))
        };
        let link = after.next().ok_or_else(missing)?;
        let Link { at, safe: false, kind: LinkKind::Member(field) } = self.link(link)? else { return Err(missing()) };
        Ok(Term { at: name.at.to(at), kind: member(field) })
    }

    fn fields(&mut self, pair: Pair<'_, Rule>) -> Result<Vec<(Name, Term)>, Wrong> {
        let mut fields: Vec<(Name, Term)> = Vec::new();
        for field in pair.into_inner().filter(|pair| pair.as_rule() == Rule::field) {
            let mut parts = field.into_inner();
            let key = parts.next().expect("a field holds a name");
            let key = match key.as_rule() {
                Rule::string => Name { at: at(&key), text: unescape(at(&key), key.as_str())?.into() },
                _ => name(key),
            };
            if fields.iter().any(|(other, _)| other.text == key.text) {
                return Err(Wrong::new(key.at, format!("the object has two fields `{}`", key.text)));
            }
            let value = parts.next_back().expect("a field holds a value");
            fields.push((key, self.expr(value)?));
        }
        Ok(fields)
    }

    fn link(&mut self, pair: Pair<'_, Rule>) -> Result<Link, Wrong> {
        let whole = at(&pair);
        let rule = pair.as_rule();
        let mut parts = pair.into_inner();
        let head = parts.next().expect("an access holds a dot, an index an expression");
        if rule == Rule::index {
            return Ok(Link { at: whole, safe: false, kind: LinkKind::Index(self.expr(head)?) });
        }
        let safe = head.as_str() == "?.";
        let name = name(parts.next().expect("an access holds a name"));
        let Some(arguments) = parts.next() else {
            return Ok(Link { at: whole, safe, kind: LinkKind::Member(name) });
        };
        let args = self.args(arguments)?;
        let set = method(&name.text);
        let mut regex = None;
        for function in set.into_iter().flat_map(|set| set.iter()) {
            check_args(function, &args)?;
            if function.params.first().is_some_and(|param| param.ty == Sig::Pattern) && !args.is_empty() {
                regex = Some(pattern(&name, &args[0])?);
            }
        }
        Ok(Link { at: whole, safe, kind: LinkKind::Method(Method { name, set, args, regex }) })
    }

    fn args(&mut self, pair: Pair<'_, Rule>) -> Result<Vec<Arg>, Wrong> {
        let arguments = pair.into_inner().filter(|pair| pair.as_rule() == Rule::argument);
        arguments
            .map(|argument| {
                let inner = first(argument);
                match inner.as_rule() {
                    Rule::lambda => self.lambda(inner).map(Arg::Lambda),
                    _ => self.expr(inner).map(Arg::Value),
                }
            })
            .collect()
    }

    fn lambda(&mut self, pair: Pair<'_, Rule>) -> Result<Lambda, Wrong> {
        let whole = at(&pair);
        let mut params = Vec::new();
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => params.push(name(part)),
                Rule::expr => body = Some(part),
                _ => {}
            }
        }
        if let Some(taken) = params.iter().find(|param| ROOTS.contains(&&*param.text)) {
            let message = format!("`{}` already means something else in expressions", taken.text);
            return Err(Wrong::new(taken.at, message).help("give the parameter another name"));
        }
        if let [item, index] = &*params
            && item.text == index.text
        {
            return Err(Wrong::new(index.at, format!("two parameters are called `{}`", index.text)));
        }
        let outer = self.params.len();
        self.params.extend(params.iter().map(|param| param.text.clone()));
        let body = self.expr(body.expect("a lambda holds its body"));
        self.params.truncate(outer);
        Ok(Lambda { at: whole, params, body: body? })
    }
}

fn name(pair: Pair<'_, Rule>) -> Name {
    Name { at: at(&pair), text: pair.as_str().into() }
}

fn comparator(symbol: &str) -> Comparator {
    match symbol {
        "==" => Comparator::Equal,
        "!=" => Comparator::NotEqual,
        "<" => Comparator::Less,
        "<=" => Comparator::LessOrEqual,
        ">" => Comparator::Greater,
        ">=" => Comparator::GreaterOrEqual,
        "in" => Comparator::In,
        _ => Comparator::NotIn,
    }
}

fn operator_of(symbol: &str) -> Operator {
    match symbol {
        "+" => Operator::Add,
        "-" => Operator::Subtract,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        _ => Operator::Remainder,
    }
}

fn constant_list(items: &[Term]) -> Option<Value> {
    let constant = |item: &Term| match &item.kind {
        TermKind::Literal(value) => Some(value.clone()),
        TermKind::List { constant, .. } => constant.clone(),
        _ => None,
    };
    items.iter().map(constant).collect::<Option<Vec<_>>>().map(Value::from)
}

fn literal_value(whole: At, literal: &Pair<'_, Rule>, sign: &str) -> Result<Value, Wrong> {
    let text = literal.as_str();
    match literal.as_rule() {
        Rule::null => Ok(Value::Null),
        Rule::boolean => Ok(Value::Bool(text == "true")),
        Rule::string => unescape(whole, text).map(Value::from),
        Rule::duration => {
            let period = format!("{sign}{text}").parse::<Period>();
            period.map(Value::Period).map_err(|error| Wrong::literal(whole, error.to_string()))
        }
        Rule::timestamp => {
            let time = text[1..].parse::<Time>();
            time.map(Value::Time).map_err(|_| Wrong::literal(whole, format!("there is no such time: `{text}`")))
        }
        _ if text.contains(['.', 'e', 'E']) => {
            let number = format!("{sign}{text}").parse::<f64>().ok().filter(|number| number.is_finite());
            number
                .map(Value::Number)
                .ok_or_else(|| Wrong::literal(whole, format!("`{text}` is too large for a number")))
        }
        _ => {
            let int = format!("{sign}{text}").parse::<i64>();
            int.map(Value::Int).map_err(|_| {
                Wrong::literal(whole, format!("`{text}` does not fit an int of 64 bits"))
                    .help(format!("for a number write `{text}.0`"))
            })
        }
    }
}

/// The text of a string literal with its quotes.
fn unescape(whole: At, literal: &str) -> Result<String, Wrong> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut units = Vec::new();
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == '\\' {
            let escaped = rest.chars().next().unwrap_or('\\');
            rest = &rest[escaped.len_utf8()..];
            if escaped == 'u' {
                let (digits, after) = rest.split_at_checked(4).unwrap_or((rest, ""));
                // Two escapes may be the halves of one character, so they are put together at the end of the row.
                units.push(u16::from_str_radix(digits, 16).unwrap_or(0));
                rest = after;
                if !rest.starts_with("\\u") {
                    let decoded = String::from_utf16(&std::mem::take(&mut units));
                    text.push_str(&decoded.map_err(|_| {
                        Wrong::literal(whole, "the string has half of a character")
                            .help("characters above `\\uffff` are two escapes, or stand as themselves")
                    })?);
                }
                continue;
            }
            text.push(match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
        } else {
            text.push(character);
        }
    }
    Ok(text)
}

fn check_args(function: &Function, args: &[Arg]) -> Result<(), Wrong> {
    function.check_literals(args).map_err(|(place, message)| Wrong::literal(args[place].at(), message))
}

fn pattern(name: &Name, arg: &Arg) -> Result<Arc<Regex>, Wrong> {
    let Some(pattern) = arg.as_text() else {
        let message = format!("the pattern of `{}` must be a literal string", name.text);
        return Err(Wrong::literal(arg.at(), message));
    };
    let regex = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
    regex.map(Arc::new).map_err(|error| {
        let why = match &error {
            regex::Error::CompiledTooBig(_) => format!("it compiles to more than {PATTERN_BYTES_MAX} bytes"),
            // The last line of the report says what is wrong; those before draw the pattern.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        Wrong::literal(arg.at(), format!("the regular expression cannot be used: {why}"))
    })
}
