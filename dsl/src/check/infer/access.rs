//! Members, indexes and methods.

use super::{Infer, Typed, text_of};
use crate::check::{facts, maybe_null, secret_leak, ty, type_mismatch, unknown_name};
use crate::expr::Expr;
use crate::expr::ast::{At, Link, LinkKind, Name, Term, TermKind};
use crate::types::Type;
use crate::value::Value;

impl Infer<'_> {
    pub(super) fn path(&mut self, expr: &Expr, term: &Term, base: &Term, links: &[Link]) -> Typed {
        let mut typed = match base.kind {
            TermKind::Path(..) => self.term(expr, base),
            _ => {
                let typed = self.base(expr, base);
                self.narrowed(base, typed)
            }
        };
        let mut written = facts::path(base);
        let mut skipped = None;
        for (number, link) in links.iter().enumerate() {
            let at = At {
                start: term.at.start.min(base.at.start),
                end: links[..number].last().map_or(base.at, |link| link.at).end,
            };
            if typed.may_be_null() {
                if link.safe {
                    skipped = skipped.or(Some(typed.absent));
                } else if typed.ty != Type::Null || typed.absent.is_some() || number > 0 {
                    let prefix = Term { at, kind: TermKind::Literal(Value::Null) };
                    let whole = text_of(expr, term.at);
                    let rest = whole.get((at.end - term.at.start) as usize..).unwrap_or_default();
                    let instead = rest.starts_with('.').then(|| format!("{}?{rest}", text_of(expr, at)));
                    self.null_read(expr, &prefix, &typed, instead);
                    return Typed::unknown();
                } else {
                    self.found.push(maybe_null::always(expr.place(at), text_of(expr, at)));
                    return Typed::unknown();
                }
                typed.ty = ty::non_null(typed.ty);
                typed.absent = None;
                if typed.ty == Type::Null {
                    // What always is null skips the rest of the chain.
                    return Typed::new(Type::Null);
                }
            }
            if typed.secret {
                self.found.push(secret_leak::read(expr.place(at)));
                return Typed::unknown();
            }
            typed = match &link.kind {
                LinkKind::Member(name) => {
                    let typed = self.member(expr, at, &typed, name);
                    written = written.map(|path| format!("{path}.{}", name.text));
                    match &written {
                        Some(path) => self.narrowed_path(path, typed),
                        None => typed,
                    }
                }
                LinkKind::Index(index) => {
                    written = None;
                    self.index(expr, at, &typed, index)
                }
                LinkKind::Method(method) => {
                    written = None;
                    self.method(expr, at, &typed, method)
                }
            };
        }
        // A whole path that is known not to be null did not skip anything.
        let known = written.as_deref().and_then(|path| self.facts.get(path)).is_some_and(|fact| fact.non_null);
        if let (Some(absent), false) = (skipped, known) {
            typed.ty = ty::nullable(typed.ty);
            typed.absent = typed.absent.or(absent);
        }
        typed
    }

    fn member(&mut self, expr: &Expr, of: At, typed: &Typed, name: &Name) -> Typed {
        let receiver = text_of(expr, of);
        match ty::plain(typed.ty.clone()) {
            Type::Any => Typed::unknown(),
            Type::Object(fields) => match fields.get(&*name.text) {
                Some(field) => {
                    let declared = Some(field.span).filter(|span| *span != crate::source::Span::NOWHERE);
                    Typed { declared, ..Typed::new(ty::plain(ty::of_field(field))) }
                }
                None => {
                    let names = fields.keys().map(String::as_str).collect::<Vec<_>>();
                    self.found.push(unknown_name::field(expr.place(name.at), receiver, &name.text, &names));
                    Typed::unknown()
                }
            },
            other => {
                self.found.push(unknown_name::no_fields(expr.place(name.at), receiver, &name.text, &other));
                Typed::unknown()
            }
        }
    }

    fn index(&mut self, expr: &Expr, of: At, typed: &Typed, index: &Term) -> Typed {
        let found = self.term(expr, index);
        let (wanted, result) = match ty::plain(typed.ty.clone()) {
            Type::Any => return Typed::unknown(),
            Type::List(item) => (Type::Int, *item),
            Type::Object(fields) => {
                let literal = match &index.kind {
                    TermKind::Literal(Value::String(name)) => Some(name.clone()),
                    _ => None,
                };
                let result = match &literal {
                    Some(name) => match fields.get(&**name) {
                        Some(field) => ty::of_field(field),
                        None => {
                            let names = fields.keys().map(String::as_str).collect::<Vec<_>>();
                            let span = expr.place(index.at);
                            self.found.push(unknown_name::field(span, text_of(expr, of), name, &names));
                            Type::Any
                        }
                    },
                    None => Type::Any,
                };
                (Type::String, result)
            }
            other => {
                self.found.push(type_mismatch::index(expr.place(of), &other));
                return Typed::unknown();
            }
        };
        self.wants(expr, index, &found, &wanted, "the index");
        Typed::new(result)
    }
}
