//! Functions and methods.

use indexmap::IndexMap;

use super::{Infer, Typed, text_of};
use crate::check::facts::Facts;
use crate::check::{secret_leak, ty, type_mismatch, unknown_name};
use crate::expr::ast::{Arg, At, Lambda, Method, Name, Term, TermKind};
use crate::expr::{Expr, Function, Receiver, Sig};
use crate::types::{Field, Type};
use crate::value::Value;

impl Infer<'_> {
    pub(super) fn call(
        &mut self,
        expr: &Expr,
        name: &Name,
        function: Option<&'static Function>,
        args: &[Arg],
    ) -> Typed {
        let Some(function) = function else {
            self.found.push(unknown_name::function(expr.place(name.at), &name.text));
            self.arguments_of_unknown(expr, args);
            return Typed::unknown();
        };
        self.apply(expr, name, function, &Type::Null, args)
    }

    pub(super) fn method(&mut self, expr: &Expr, of: At, typed: &Typed, method: &Method) -> Typed {
        let name = &method.name;
        let Some(set) = method.set else {
            self.found.push(unknown_name::method(expr.place(name.at), &name.text));
            self.arguments_of_unknown(expr, &method.args);
            return Typed::unknown();
        };
        let receiver = ty::plain(typed.ty.clone());
        let function = match receiver_of(&receiver) {
            Some(receiver) => set.get(receiver),
            // Of a value that may be anything, the method is known if only one type has it.
            None if receiver == Type::Any => match set.iter().collect::<Vec<_>>()[..] {
                [only] => Some(only),
                _ => {
                    self.arguments_of_unknown(expr, &method.args);
                    return Typed::unknown();
                }
            },
            None => set.get(Receiver::Any).filter(|_| set.receivers().any(|other| other == Receiver::Any)),
        };
        match function {
            Some(function) => self.apply(expr, name, function, &receiver, &method.args),
            None => {
                let owners: Vec<_> = set.receivers().map(Receiver::words).collect();
                let span = expr.place(name.at);
                let text = text_of(expr, of);
                self.found.push(type_mismatch::receiver(span, &name.text, text, &owners, &typed.ty, typed.declared));
                self.arguments_of_unknown(expr, &method.args);
                Typed::unknown()
            }
        }
    }

    fn apply(&mut self, expr: &Expr, name: &Name, function: &'static Function, receiver: &Type, args: &[Arg]) -> Typed {
        let (least, most) = function.arity();
        if args.len() < least || args.len() > most {
            self.found.push(type_mismatch::arguments(expr.place(name.at), function, args.len()));
            self.arguments_of_unknown(expr, args);
            return Typed::new(self.result(function, receiver, &Type::Any, args, &[]));
        }
        let item = match receiver {
            Type::List(item) => (**item).clone(),
            _ => Type::Any,
        };
        self.items(expr, name, receiver);
        let mut mapped = Type::Any;
        let mut types = Vec::new();
        for (place, arg) in args.iter().enumerate() {
            let Some(param) = function.param(place) else { continue };
            match (arg, param.ty) {
                (Arg::Lambda(lambda), Sig::Lambda(wanted)) => {
                    mapped = self.lambda(expr, lambda, &item, *wanted, function.name);
                }
                (Arg::Lambda(lambda), _) => {
                    self.found.push(type_mismatch::lambda(expr.place(lambda.at), function.name, false));
                }
                (Arg::Value(term), Sig::Lambda(_)) => {
                    self.term(expr, term);
                    self.found.push(type_mismatch::lambda(expr.place(term.at), function.name, true));
                }
                (Arg::Value(term), sig) => {
                    let typed = self.term(expr, term);
                    types.push(ty::widened(&typed.ty));
                    if typed.secret && sig != Sig::Secret {
                        self.found.push(secret_leak::read(expr.place(term.at)));
                        continue;
                    }
                    let wanted = wanted(sig);
                    let label = format!("`{}`", function.name);
                    self.wants(expr, term, &typed, &wanted, &label);
                    self.suits(expr, term, &typed, sig, &label);
                }
            }
        }
        Typed::new(self.result(function, receiver, &mapped, args, &types))
    }

    fn lambda(&mut self, expr: &Expr, lambda: &Lambda, item: &Type, sig: Sig, function: &str) -> Type {
        let outer = self.params.len();
        self.params.push(item.clone());
        if lambda.params.len() > 1 {
            self.params.push(Type::Int);
        }
        let typed = self.term(expr, &lambda.body);
        self.params.truncate(outer);
        let wanted = self::wanted(sig);
        let label = format!("what `{function}` is given");
        self.wants(expr, &lambda.body, &typed, &wanted, &label);
        self.suits(expr, &lambda.body, &typed, sig, &label);
        typed.ty
    }

    /// Checks what is no single type: something with an order, a string or an int, an object of any sort.
    fn suits(&mut self, expr: &Expr, term: &Term, typed: &Typed, sig: Sig, place: &str) {
        let ty = ty::widened(&typed.ty);
        let inner = ty::non_null(ty.clone());
        let (suits, needs) = match sig {
            Sig::Ordered => (ty::ordered(&inner, &inner), "numbers, strings, timestamps, durations or dates"),
            Sig::StringOrInt => (matches!(inner, Type::String | Type::Int | Type::Any), "a string or an int"),
            Sig::Object | Sig::Fields(_) => (matches!(inner, Type::Object(_) | Type::Any), "an object"),
            _ => return,
        };
        if typed.may_be_null() {
            self.null(expr, term, typed, &format!("{place} cannot be null"));
        } else if !suits {
            self.found.push(type_mismatch::operand(expr.place(term.at), place, needs, &typed.ty));
        }
    }

    /// Checks that a list's method can do its work on the items.
    fn items(&mut self, expr: &Expr, name: &Name, receiver: &Type) {
        let Type::List(item) = receiver else { return };
        let (null, inner) = match ty::widened(item) {
            Type::Null => (true, Type::Any),
            Type::Nullable(inner) => (true, *inner),
            other => (false, other),
        };
        let (suits, needs) = match &*name.text {
            "sum" => (matches!(inner, Type::Int | Type::Number | Type::Any), "numbers"),
            "min" | "max" => (ty::ordered(&inner, &inner), "numbers, strings, timestamps, durations or dates"),
            "join" => (!matches!(inner, Type::List(_) | Type::Object(_)), "items that can stand in text"),
            "flatten" => (matches!(inner, Type::List(_) | Type::Any), "lists"),
            _ => return,
        };
        if !suits || null {
            let place = format!("`{}`", name.text);
            let diagnostic = type_mismatch::operand(expr.place(name.at), &place, needs, receiver);
            let help = "drop what is null first: `.without(null)`";
            self.found.push(if suits { diagnostic.help(help) } else { diagnostic });
        }
    }

    /// The type of the items that a `filter` or `without` leaves over.
    fn left_over(&self, function: &Function, item: &Type, args: &[Arg]) -> Type {
        let drops_null = match (function.name, args) {
            ("filter", [Arg::Lambda(lambda)]) => {
                let slot = format!("${}", self.params.len());
                Facts::of(&lambda.body, true).get(&slot).is_some_and(|fact| fact.non_null)
            }
            ("without", [Arg::Value(term)]) => matches!(term.kind, TermKind::Literal(Value::Null)),
            _ => false,
        };
        if drops_null { ty::non_null(item.clone()) } else { item.clone() }
    }

    /// Looks into arguments although nothing is known of what takes them.
    fn arguments_of_unknown(&mut self, expr: &Expr, args: &[Arg]) {
        for arg in args {
            match arg {
                Arg::Value(term) => drop(self.term(expr, term)),
                Arg::Lambda(lambda) => drop(self.lambda(expr, lambda, &Type::Any, Sig::Any, "")),
            }
        }
    }

    fn result(&self, function: &Function, receiver: &Type, mapped: &Type, args: &[Arg], types: &[Type]) -> Type {
        let literal = |arg: &Arg| match arg {
            Arg::Value(term) => match &term.kind {
                TermKind::Literal(Value::String(text)) => Some(text.to_string()),
                _ => None,
            },
            Arg::Lambda(_) => None,
        };
        // What a signature cannot say.
        match (function.name, receiver) {
            ("filter" | "without", Type::List(item)) => Type::List(Box::new(self.left_over(function, item, args))),
            // A bound may be the result.
            ("clamp", _) if types.contains(&Type::Any) => Type::Any,
            ("clamp", _) if types.iter().any(|ty| *ty != Type::Int) => Type::Number,
            ("merge", Type::Object(fields)) => match types {
                [Type::Object(more)] => Type::Object(merged(fields, more)),
                _ => Type::Any,
            },
            ("round", _) if args.is_empty() => Type::Int,
            ("sum", Type::List(item)) if ty::widened(item) == Type::Int => Type::Int,
            ("flatten", Type::List(item)) if matches!(**item, Type::List(_)) => (**item).clone(),
            ("values", Type::Object(fields)) => ty::list_of(fields.values().map(ty::of_field)),
            ("get", Type::Object(fields)) => match args.first().and_then(literal) {
                Some(name) => ty::nullable(fields.get(&name).map_or(Type::Any, ty::of_field)),
                None => Type::Any,
            },
            ("pick", Type::Object(fields)) => {
                let names: Option<Vec<String>> = args.iter().map(literal).collect();
                names.map_or(Type::Any, |names| {
                    let kept = fields.iter().filter(|(name, _)| names.contains(name));
                    Type::Object(kept.map(|(name, field)| (name.clone(), field.clone())).collect())
                })
            }
            _ => given(function.result, receiver, mapped),
        }
    }
}

/// The fields of one object with those of another over them.
fn merged(fields: &IndexMap<String, Field>, over: &IndexMap<String, Field>) -> IndexMap<String, Field> {
    let mut merged = fields.clone();
    for (name, field) in over {
        let below = fields.get(name).filter(|_| field.optional);
        let field = match below {
            Some(below) => Field { ty: ty::join(&below.ty, &field.ty), optional: below.optional, span: field.span },
            None => field.clone(),
        };
        merged.insert(name.clone(), field);
    }
    merged
}

/// The methods that values of a type have; none if that is not known or there are only those of every value.
fn receiver_of(ty: &Type) -> Option<Receiver> {
    match ty::widened(ty) {
        Type::String => Some(Receiver::String),
        Type::List(_) => Some(Receiver::List),
        Type::Object(_) => Some(Receiver::Object),
        Type::Int | Type::Number => Some(Receiver::Number),
        Type::Time => Some(Receiver::Time),
        Type::Period => Some(Receiver::Period),
        _ => None,
    }
}

/// The type that a parameter takes; what is not one type is not checked here.
fn wanted(sig: Sig) -> Type {
    match sig {
        Sig::Bool => Type::Bool,
        Sig::Int => Type::Int,
        Sig::Number => Type::Number,
        Sig::String | Sig::Zone | Sig::Unit | Sig::Clock | Sig::TimeFormat | Sig::Pattern | Sig::Secret => Type::String,
        Sig::Time => Type::Time,
        Sig::Period => Type::Period,
        Sig::Date => Type::Date,
        Sig::List(inner) => Type::List(Box::new(wanted(*inner))),
        Sig::Nullable(inner) => ty::nullable(wanted(*inner)),
        Sig::Any
        | Sig::Object
        | Sig::Fields(_)
        | Sig::Receiver
        | Sig::Item
        | Sig::Mapped
        | Sig::Lambda(_)
        | Sig::StringOrInt
        | Sig::Ordered => Type::Any,
    }
}

/// The type that a function gives.
fn given(sig: Sig, receiver: &Type, mapped: &Type) -> Type {
    let inner = |sig: Sig| given(sig, receiver, mapped);
    match sig {
        Sig::Receiver => ty::widened(receiver),
        Sig::Item => match receiver {
            Type::List(item) => (**item).clone(),
            _ => Type::Any,
        },
        Sig::Mapped => mapped.clone(),
        Sig::List(item) => Type::List(Box::new(inner(*item))),
        Sig::Nullable(ty) => ty::nullable(inner(*ty)),
        Sig::Fields(fields) => ty::object(fields.iter().map(|(name, sig)| (*name, inner(*sig)))),
        other => wanted(other),
    }
}
