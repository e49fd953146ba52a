//! What an expression refers to by name, for checks that look names up.

use super::Expr;
use super::ast::{At, LinkKind, Name, Term, TermKind};
use crate::source::Span;

/// One name that an expression refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference<'e> {
    /// What sort of name it is.
    pub kind: ReferenceKind,
    /// The name.
    pub name: &'e str,
    /// Where the name stands.
    pub span: Span,
    /// Where the whole access starts and the name ends: `steps.x` as a whole for a step.
    pub whole: Span,
    /// The members that are read from it, up to the first index or method call; empty for functions and methods.
    pub path: Vec<Access<'e>>,
    /// Whether an index or a method call follows the `path`.
    pub more: bool,
    /// Whether the built-in function or method exists; true for everything else.
    pub known: bool,
}

/// A member that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Access<'e> {
    /// Its name.
    pub name: &'e str,
    /// Where the name stands.
    pub span: Span,
    /// `?.` instead of `.`
    pub safe: bool,
}

/// What sort of name a [`Reference`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// `event`, `run`, a loop's name and the like.
    Root,
    /// A step's id after `steps.`
    Step,
    /// A variable after `vars.`
    Var,
    /// A secret after `secrets.`
    Secret,
    /// A global function.
    Function,
    /// A method of a value.
    Method,
}

pub(super) fn collect(expr: &Expr) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    // The walk meets a base right after the path that it was reported with.
    let mut reported: Option<&Term> = None;
    expr.term().walk(&mut |term| {
        if !reported.is_some_and(|base| std::ptr::eq(base, term)) {
            visit(expr, term, &mut found);
        }
        reported = if let TermKind::Path(base, _) = &term.kind { Some(base) } else { None };
    });
    found
}

fn visit<'e>(expr: &'e Expr, term: &'e Term, found: &mut Vec<Reference<'e>>) {
    match &term.kind {
        TermKind::Path(base, links) => {
            if let Some((kind, name)) = named(base) {
                let members = links.iter().map_while(|link| match &link.kind {
                    LinkKind::Member(name) => Some(access(expr, name, link.safe)),
                    LinkKind::Index(_) | LinkKind::Method(_) => None,
                });
                let path: Vec<_> = members.collect();
                let more = path.len() < links.len();
                found.push(reference(expr, kind, name, base.at, path, more));
            }
            for link in links {
                if let LinkKind::Method(method) = &link.kind {
                    let known = method.set.is_some();
                    let at = link.at;
                    let reference = reference(expr, ReferenceKind::Method, &method.name, at, Vec::new(), false);
                    found.push(Reference { known, ..reference });
                }
            }
        }
        TermKind::Call { name, function, .. } => {
            let known = function.is_some();
            let reference = reference(expr, ReferenceKind::Function, name, name.at, Vec::new(), false);
            found.push(Reference { known, ..reference });
        }
        _ => {
            if let Some((kind, name)) = named(term) {
                found.push(reference(expr, kind, name, term.at, Vec::new(), false));
            }
        }
    }
}

fn named(term: &Term) -> Option<(ReferenceKind, &Name)> {
    match &term.kind {
        TermKind::Root(name) => Some((ReferenceKind::Root, name)),
        TermKind::Step(name) => Some((ReferenceKind::Step, name)),
        TermKind::Var(name) => Some((ReferenceKind::Var, name)),
        TermKind::Secret(name) => Some((ReferenceKind::Secret, name)),
        _ => None,
    }
}

fn reference<'e>(
    expr: &'e Expr,
    kind: ReferenceKind,
    name: &'e Name,
    whole: At,
    path: Vec<Access<'e>>,
    more: bool,
) -> Reference<'e> {
    let (span, whole) = (expr.place(name.at), expr.place(whole));
    Reference { kind, name: &name.text, span, whole, path, more, known: true }
}

fn access<'e>(expr: &'e Expr, name: &'e Name, safe: bool) -> Access<'e> {
    Access { name: &name.text, span: expr.place(name.at), safe }
}
