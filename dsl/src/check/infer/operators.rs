//! Operators and conditions.

use super::{Infer, Typed};
use crate::check::facts::{self, Facts};
use crate::check::{impossible_comparison, impossible_value, ty, type_mismatch};
use crate::expr::Expr;
use crate::expr::ast::{At, Comparator, Operator, Term, TermKind};
use crate::types::Type;
use crate::value::Value;

impl Infer<'_> {
    /// Checks that a term is a bool.
    pub(in crate::check) fn condition(&mut self, expr: &Expr, term: &Term, place: &str) {
        let typed = self.term(expr, term);
        self.wants(expr, term, &typed, &Type::Bool, place);
    }

    /// Checks that a term is of a type.
    pub(super) fn wants(&mut self, expr: &Expr, term: &Term, typed: &Typed, wanted: &Type, place: &str) {
        match ty::misfit(&typed.ty, wanted) {
            None => {}
            Some(ty::Misfit::Null) => self.null(expr, term, typed, &format!("{place} cannot be null")),
            Some(ty::Misfit::Type) => {
                let span = expr.place(term.at);
                self.found.push(type_mismatch::wanted(span, place, wanted, &typed.ty, typed.declared));
            }
        }
    }

    pub(super) fn choice(&mut self, expr: &Expr, parts: &[Term; 3]) -> Typed {
        let [condition, yes_term, no_term] = parts;
        self.condition(expr, condition, "the condition");
        let yes = self.knowing(Facts::of(condition, true), |infer| infer.term(expr, yes_term));
        let no = self.knowing(Facts::of(condition, false), |infer| infer.term(expr, no_term));
        self.same_sort(expr, no_term, "`then` and `else`", &yes, &no);
        Typed {
            secret: yes.secret || no.secret,
            absent: yes.absent.or(no.absent),
            ..Typed::new(ty::join(&yes.ty, &no.ty))
        }
    }

    /// Checks that something is known of a value that is one of two.
    fn same_sort(&mut self, expr: &Expr, place: &Term, what: &str, one: &Typed, other: &Typed) {
        if ty::mixes(&one.ty, &other.ty) {
            let span = expr.place(place.at);
            let diagnostic = type_mismatch::operands(span, what, "two of one type", &one.ty, &other.ty, None);
            self.found.push(diagnostic);
        }
    }

    /// `and` and `or`: each side knows what those before it told.
    pub(super) fn connected(&mut self, expr: &Expr, terms: &[Term], truth: bool) -> Typed {
        let before = self.facts.clone();
        let place = if truth { "`and`" } else { "`or`" };
        for term in terms {
            self.condition(expr, term, place);
            self.facts.add(Facts::of(term, truth));
        }
        self.facts = before;
        Typed::new(Type::Bool)
    }

    fn knowing<T>(&mut self, facts: Facts, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.facts.clone();
        self.facts.add(facts);
        let result = work(self);
        self.facts = before;
        result
    }

    pub(super) fn coalesce(&mut self, expr: &Expr, terms: &[Term]) -> Typed {
        let mut result: Option<Typed> = None;
        for (number, term) in terms.iter().enumerate() {
            let mut typed = self.term(expr, term);
            if number + 1 < terms.len() {
                typed.ty = match typed.ty {
                    Type::Null => continue,
                    other => ty::non_null(other),
                };
                typed.absent = None;
            }
            if let Some(before) = &result {
                self.same_sort(expr, term, "`??`", before, &typed);
            }
            result = Some(match result {
                None => typed,
                Some(before) => Typed {
                    secret: before.secret || typed.secret,
                    absent: typed.absent,
                    ..Typed::new(ty::join(&before.ty, &typed.ty))
                },
            });
        }
        result.unwrap_or_else(Typed::unknown)
    }

    pub(super) fn compare(&mut self, expr: &Expr, term: &Term, comparator: Comparator, sides: &[Term; 2]) -> Typed {
        let [left_term, right_term] = sides;
        let (left, right) = (self.term(expr, left_term), self.term(expr, right_term));
        if left.secret || right.secret {
            return Typed { secret: true, ..Typed::new(Type::Bool) };
        }
        match comparator {
            Comparator::Equal | Comparator::NotEqual => self.equal(expr, term, comparator, sides, [&left, &right]),
            Comparator::In | Comparator::NotIn => self.contained(expr, comparator, sides, [&left, &right]),
            Comparator::Less | Comparator::LessOrEqual | Comparator::Greater | Comparator::GreaterOrEqual => {
                let place = format!("`{}`", comparator.symbol());
                let mut null = false;
                for (term, typed) in [(left_term, &left), (right_term, &right)] {
                    if typed.may_be_null() {
                        self.null(expr, term, typed, &format!("{place} does not compare with null"));
                        null = true;
                    }
                }
                if !null && !ty::ordered(&left.ty, &right.ty) {
                    let span = expr.place(term.at);
                    let needs = "two numbers, strings, timestamps, durations or dates";
                    let declared = left.declared.or(right.declared);
                    self.found.push(type_mismatch::operands(span, &place, needs, &left.ty, &right.ty, declared));
                }
            }
        }
        Typed::new(Type::Bool)
    }

    fn equal(&mut self, expr: &Expr, term: &Term, comparator: Comparator, sides: &[Term; 2], types: [&Typed; 2]) {
        let [left, right] = types;
        for (one, other, written) in [(left, right, &sides[0]), (right, left, &sides[1])] {
            if one.ty == Type::Null && !matches!(other.ty, Type::Any | Type::Null | Type::Nullable(_)) {
                let other_term = if std::ptr::eq(written, &sides[0]) { &sides[1] } else { &sides[0] };
                if facts::path(other_term).is_some_and(|path| self.above.get(&path).is_some()) {
                    return;
                }
                let text = super::text_of(expr, other_term.at);
                let always = comparator == Comparator::NotEqual;
                let span = expr.place(term.at);
                self.found.push(impossible_comparison::with_null(span, text, &other.ty, always, other.declared));
                return;
            }
        }
        for (known, literal, at) in [(left, right, &sides[1]), (right, left, &sides[0])] {
            if let (Type::Enum(members), TermKind::Literal(value)) = (ty::non_null(known.ty.clone()), &at.kind)
                && members.len() > 1
                && matches!(literal.ty, Type::Enum(_))
                && !members.iter().any(|member| member.same(value))
                && comparable(&known.ty, &literal.ty)
            {
                let span = inside_quotes(expr, at);
                self.found.push(impossible_value::compared(span, value, &members, known.declared));
                return;
            }
        }
        if !comparable(&left.ty, &right.ty) {
            let place = format!("`{}`", comparator.symbol());
            let declared = left.declared.or(right.declared);
            let span = expr.place(term.at);
            self.found.push(type_mismatch::operands(span, &place, "two of one type", &left.ty, &right.ty, declared));
        }
    }

    fn contained(&mut self, expr: &Expr, comparator: Comparator, sides: &[Term; 2], types: [&Typed; 2]) {
        let [left, right] = types;
        let place = format!("the right side of `{}`", comparator.symbol());
        let list = Type::List(Box::new(Type::Any));
        if ty::misfit(&right.ty, &list).is_some() {
            self.wants(expr, &sides[1], right, &list, &place);
            return;
        }
        if let (Type::Enum(members), TermKind::List { items, .. }) = (ty::non_null(left.ty.clone()), &sides[1].kind) {
            for item in items {
                if let TermKind::Literal(value) = &item.kind
                    && members.len() > 1
                    && comparable(&left.ty, &ty::of_value(value))
                    && !value.is_null()
                    && !members.iter().any(|member| member.same(value))
                {
                    let span = inside_quotes(expr, item);
                    self.found.push(impossible_value::compared(span, value, &members, left.declared));
                }
            }
        }
        if let TermKind::List { items, .. } = &sides[1].kind {
            for item in items {
                let TermKind::Literal(value) = &item.kind else { continue };
                if !comparable(&left.ty, &ty::of_value(value)) {
                    let span = expr.place(item.at);
                    let place = format!("an item of `{}`", comparator.symbol());
                    let found = ty::of_value(value);
                    self.found.push(type_mismatch::wanted(span, &place, &ty::widened(&left.ty), &found, left.declared));
                }
            }
            return;
        }
        if let Type::List(item) = &right.ty
            && !comparable(&left.ty, item)
        {
            let span = expr.place(At { start: sides[0].at.start, end: sides[1].at.end });
            let place = format!("`{}`", comparator.symbol());
            let needs = "a value and a list of such values";
            self.found.push(type_mismatch::operands(span, &place, needs, &left.ty, &right.ty, left.declared));
        }
    }

    pub(super) fn arithmetic(&mut self, expr: &Expr, first: &Term, rest: &[(Operator, Term)]) -> Typed {
        let mut left = self.term(expr, first);
        let mut left_at = first.at;
        for (operator, term) in rest {
            let right = self.term(expr, term);
            let at = left_at.to(term.at);
            let secret = left.secret || right.secret;
            let left_term = Term { at: left_at, kind: TermKind::Literal(Value::Null) };
            let mut null = false;
            for (term, typed) in [(&left_term, &left), (term, &right)] {
                if typed.may_be_null() {
                    self.null(expr, term, typed, &format!("`{}` does not take null", operator.symbol()));
                    null = true;
                }
            }
            let result = if null { Some(Type::Any) } else { applied(*operator, &left.ty, &right.ty) };
            let ty = result.unwrap_or_else(|| {
                let (place, needs) = (format!("`{}`", operator.symbol()), needs(*operator, &left.ty, &right.ty));
                let declared = left.declared.or(right.declared);
                let span = expr.place(at);
                self.found.push(type_mismatch::operands(span, &place, needs, &left.ty, &right.ty, declared));
                Type::Any
            });
            left = Typed { secret, ..Typed::new(ty) };
            left_at = at;
        }
        left
    }

    pub(super) fn negate(&mut self, expr: &Expr, term: &Term, inner: &Term) -> Typed {
        let typed = self.term(expr, inner);
        if typed.may_be_null() {
            self.null(expr, inner, &typed, "`-` does not take null");
            return Typed::unknown();
        }
        match ty::widened(&typed.ty) {
            ty @ (Type::Any | Type::Int | Type::Number | Type::Period) => {
                Typed { secret: typed.secret, ..Typed::new(ty) }
            }
            _ => {
                let span = expr.place(term.at);
                self.found.push(type_mismatch::operand(span, "`-`", "a number or a duration", &typed.ty));
                Typed::unknown()
            }
        }
    }
}

/// Where a literal stands, without its quotes.
fn inside_quotes(expr: &Expr, term: &Term) -> crate::source::Span {
    let quoted = matches!(&term.kind, TermKind::Literal(Value::String(_)));
    let at = if quoted { At { start: term.at.start + 1, end: term.at.end - 1 } } else { term.at };
    expr.place(at)
}

/// Whether values of the two types can be equal, as far as is known.
fn comparable(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Any | Type::Null | Type::Schema(_), _) | (_, Type::Any | Type::Null | Type::Schema(_)) => true,
        (Type::Nullable(one), other) => comparable(one, other),
        (one, Type::Nullable(other)) => comparable(one, other),
        (Type::Int | Type::Number, Type::Int | Type::Number) => true,
        (Type::Enum(_), _) => match ty::widened(one) {
            Type::Enum(_) => true,
            widened => comparable(&widened, other),
        },
        (_, Type::Enum(_)) => comparable(other, one),
        (Type::List(one), Type::List(other)) => comparable(one, other),
        (Type::Object(_), Type::Object(_)) => true,
        (one, other) => one == other,
    }
}

/// The type of an operator's result; none if it does not take these operands.
fn applied(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    use Operator::{Add, Multiply, Subtract};
    match (operator, ty::widened(left), ty::widened(right)) {
        (_, Type::Any | Type::Schema(_), Type::Any | Type::Schema(_)) => Some(Type::Any),
        (Operator::Divide, Type::Int | Type::Number, Type::Int | Type::Number) => Some(Type::Number),
        (_, Type::Int, Type::Int) => Some(Type::Int),
        (_, Type::Int | Type::Number, Type::Int | Type::Number) => Some(Type::Number),
        (Add, Type::String, Type::String) => Some(Type::String),
        (Add, Type::List(left), Type::List(right)) if ty::mixes(&left, &right) => None,
        (Add, Type::List(left), Type::List(right)) => Some(Type::List(Box::new(ty::join(&left, &right)))),
        (Add | Subtract, Type::Time, Type::Period) => Some(Type::Time),
        (Subtract, Type::Time, Type::Time) => Some(Type::Period),
        (Add | Subtract, Type::Period, Type::Period) => Some(Type::Period),
        (Multiply, Type::Period, Type::Int) => Some(Type::Period),
        (_, Type::Any | Type::Schema(_), ty) => takes(operator, &ty, false).then_some(Type::Any),
        (_, ty, Type::Any | Type::Schema(_)) => takes(operator, &ty, true).then_some(Type::Any),
        _ => None,
    }
}

/// Whether an operator takes this type on its left or right side.
fn takes(operator: Operator, ty: &Type, left: bool) -> bool {
    match ty {
        Type::Int | Type::Number => true,
        Type::String | Type::List(_) => operator == Operator::Add,
        Type::Time => match operator {
            Operator::Add => left,
            Operator::Subtract => true,
            _ => false,
        },
        Type::Period => match operator {
            Operator::Add | Operator::Subtract => true,
            Operator::Multiply => left,
            _ => false,
        },
        _ => false,
    }
}

/// What an operator needs, said with regard to what it found.
fn needs(operator: Operator, left: &Type, right: &Type) -> &'static str {
    let has = |wanted: &Type| ty::widened(left) == *wanted || ty::widened(right) == *wanted;
    match operator {
        Operator::Add | Operator::Subtract if has(&Type::Period) => "a timestamp and a duration",
        Operator::Subtract if has(&Type::Time) => "two timestamps, or a timestamp and a duration",
        Operator::Add if has(&Type::Time) => "a timestamp and a duration",
        Operator::Add if has(&Type::String) => "two strings",
        Operator::Add => "two numbers, two strings or two lists",
        Operator::Multiply if has(&Type::Period) => "a duration and an int",
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => "two numbers",
    }
}
