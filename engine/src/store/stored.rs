//! All rows of the store: those in the tree, hidden by those that are on their way to it.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use super::group::Base;
use super::pending::{Layers, Pending};
use super::tree::Tree;
use super::wal::Values;
use super::{Key, Row, StoreError};

/// The rows, as whoever reads the store sees them.
#[derive(Debug)]
pub(super) struct Stored {
    tree: RwLock<Arc<Tree>>,
    pub(super) pending: Pending,
}

/// A key with its value, none if it was deleted.
type Item = Result<(Key, Option<Vec<u8>>), StoreError>;

impl Stored {
    pub(super) fn new(tree: Tree, pending: Pending) -> Self {
        Stored { tree: RwLock::new(Arc::new(tree)), pending }
    }

    /// The tree that counts now.
    pub(super) fn tree(&self) -> Arc<Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another tree with the same rows in its place, while nothing is on its way; gives the old one.
    pub(super) fn replace(&self, tree: Tree) -> Arc<Tree> {
        std::mem::replace(&mut *self.tree.write().unwrap_or_else(PoisonError::into_inner), Arc::new(tree))
    }

    /// At most `most` rows of a range.
    pub(super) fn scan(&self, range: Range<Key>, newest_first: bool, most: usize) -> Result<Vec<Row>, StoreError> {
        let row = |(key, value): (Key, Option<Vec<u8>>)| value.map(|value| Row { key, value });
        self.pending.read(|layers| {
            let tree = self.tree();
            let items = items(&tree, layers, range, newest_first);
            items.filter_map(|item| item.map(row).transpose()).take(most).collect()
        })
    }
}

/// The rows of a range, deleted ones included, in either direction.
fn items<'a>(
    tree: &'a Tree,
    layers: &'a Layers,
    range: Range<Key>,
    newest_first: bool,
) -> Box<dyn Iterator<Item = Item> + 'a> {
    let in_tree = tree.range(range.clone()).map(|row| row.map(|row| (row.key, Some(row.value))));
    let layer = |values: &'a Values| {
        // A map takes a range that ends before it starts for an error of the program.
        let end = range.end.clone().max(range.start.clone());
        values.range(range.start.clone()..end).map(|(key, value)| Ok((key.clone(), value.clone())))
    };
    let (newer, older) = (layer(&layers.newer), layer(&layers.older));
    if newest_first {
        let before = |one: &Key, other: &Key| other.cmp(one);
        Box::new(hide(newer.rev(), hide(older.rev(), in_tree.rev(), before), before))
    } else {
        Box::new(hide(newer, hide(older, in_tree, Key::cmp), Key::cmp))
    }
}

impl Base for Stored {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let pending = self.pending.read(|layers| layers.newer.get(key).or_else(|| layers.older.get(key)).cloned());
        // What was on its way a moment ago is in the tree now.
        pending.map_or_else(|| self.tree().get(key), Ok)
    }

    fn last(&self, range: Range<Key>) -> Result<Option<Row>, StoreError> {
        Ok(self.scan(range, true, 1)?.pop())
    }
}

/// Merges two ordered sources: where both have a key, the upper one hides the lower one.
fn hide<A, B>(upper: A, lower: B, order: fn(&Key, &Key) -> Ordering) -> Hide<A, B>
where
    A: Iterator<Item = Item>,
    B: Iterator<Item = Item>,
{
    Hide { upper: upper.peekable(), lower: lower.peekable(), order }
}

struct Hide<A: Iterator, B: Iterator> {
    upper: Peekable<A>,
    lower: Peekable<B>,
    order: fn(&Key, &Key) -> Ordering,
}

impl<A: Iterator<Item = Item>, B: Iterator<Item = Item>> Iterator for Hide<A, B> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let order = match (self.upper.peek(), self.lower.peek()) {
            (Some(Ok((upper, _))), Some(Ok((lower, _)))) => (self.order)(upper, lower),
            (Some(_), _) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.upper.next(),
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
            Ordering::Greater => self.lower.next(),
        }
    }
}
