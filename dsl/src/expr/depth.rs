//! How deep the values are that an expression builds, known before it is evaluated.

use super::ast::{Arg, Link, LinkKind, Method, Term, TermKind};
use super::functions::{Function, Sig};

/// How many levels of lists and objects a term, or any term inside of it, can put around what it reads.
///
/// Values from outside have at most [`crate::VALUE_DEPTH_MAX`] levels. Together the two bound every value on the way to
/// the result, so that none is too deep to walk or to drop.
pub(super) fn built(term: &Term) -> usize {
    let mut depths = Depths { params: Vec::new(), most: 0 };
    depths.term(term);
    depths.most
}

struct Depths {
    /// How deep the values of the lambdas' parameters are, the outermost first.
    params: Vec<usize>,
    /// The most that was met so far.
    most: usize,
}

impl Depths {
    fn term(&mut self, term: &Term) -> usize {
        let depth = match &term.kind {
            TermKind::List { items, .. } => 1 + self.deepest(items),
            TermKind::Object(fields) => 1 + fields.iter().map(|(_, value)| self.term(value)).max().unwrap_or(0),
            TermKind::If(terms) => self.deepest(&**terms),
            TermKind::Coalesce(terms) => self.deepest(terms),
            TermKind::Arithmetic(left, rest) => {
                rest.iter().fold(self.term(left), |deepest, (_, right)| deepest.max(self.term(right)))
            }
            TermKind::Param(_, slot) => self.params.get(*slot).copied().unwrap_or(0),
            TermKind::Path(base, links) => self.path(base, links),
            // These give no list or object of their own, but what they hold may be built first.
            TermKind::Or(terms) | TermKind::And(terms) => {
                self.deepest(terms);
                0
            }
            TermKind::Compare(_, terms) => {
                self.deepest(&**terms);
                0
            }
            TermKind::Not(inner) | TermKind::Negate(inner) => {
                self.term(inner);
                0
            }
            TermKind::Call { args, .. } => {
                for arg in args {
                    self.term(arg.term());
                }
                0
            }
            TermKind::Literal(_) | TermKind::Root(_) | TermKind::Step(_) | TermKind::Var(_) | TermKind::Secret(_) => 0,
        };
        self.most = self.most.max(depth);
        depth
    }

    fn path(&mut self, base: &Term, links: &[Link]) -> usize {
        let mut depth = self.term(base);
        for link in links {
            match &link.kind {
                LinkKind::Method(method) => depth = self.method(depth, method),
                LinkKind::Index(index) => {
                    self.term(index);
                }
                LinkKind::Member(_) => {}
            }
            self.most = self.most.max(depth);
        }
        depth
    }

    fn deepest(&mut self, terms: &[Term]) -> usize {
        terms.iter().map(|term| self.term(term)).max().unwrap_or(0)
    }

    fn method(&mut self, receiver: usize, method: &Method) -> usize {
        let mut values = 0;
        let mut mapped = 0;
        for arg in &method.args {
            match arg {
                Arg::Value(term) => values = values.max(self.term(term)),
                Arg::Lambda(lambda) => {
                    let outer = self.params.len();
                    self.params.push(receiver.saturating_sub(1));
                    // The second parameter is an index.
                    self.params.resize(outer + lambda.params.len(), 0);
                    mapped = mapped.max(self.term(&lambda.body));
                    self.params.truncate(outer);
                }
            }
        }
        let known = Known { receiver, values, mapped };
        let functions = method.set.into_iter().flat_map(|set| set.iter());
        functions.map(|function: &Function| known.depth(&function.result)).max().unwrap_or(0)
    }
}

/// How deep the things are that a method's result is made of.
struct Known {
    receiver: usize,
    values: usize,
    mapped: usize,
}

impl Known {
    fn depth(&self, sig: &Sig) -> usize {
        match sig {
            Sig::List(item) => 1 + self.depth(item),
            Sig::Fields(fields) => 1 + fields.iter().map(|(_, field)| self.depth(field)).max().unwrap_or(0),
            Sig::Nullable(inner) => self.depth(inner),
            Sig::Receiver => self.receiver,
            Sig::Object => self.receiver.max(self.values),
            Sig::Mapped => self.mapped,
            // Of no declared type means out of the receiver.
            Sig::Item | Sig::Any => self.receiver.saturating_sub(1),
            _ => 0,
        }
    }
}
