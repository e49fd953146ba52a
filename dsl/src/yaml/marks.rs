//! The first pass: where everything stands, and whether the file may be read at all.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::syntax::{self, floor};
use super::{ALIASES_MAX, NESTING_MAX, NODES_MAX};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::source::{FileId, Span};

/// The places of a document. Aliases are not expanded here.
#[derive(Debug, Default)]
pub(super) struct Marks {
    all: Vec<Mark>,
}

/// The place of a value in [`Marks`].
#[derive(Clone, Copy, Debug)]
pub(super) struct MarkIx(usize);

#[derive(Debug)]
pub(super) struct Mark {
    pub(super) span: Span,
    pub(super) what: What,
    /// Values in it, itself included, aliases expanded.
    nodes: usize,
    /// Lists and maps in each other in it, aliases expanded.
    height: usize,
}

#[derive(Debug)]
pub(super) enum What {
    Scalar { text_at: Option<usize>, plain: bool },
    List(Vec<MarkIx>),
    Map(Vec<(KeyMark, MarkIx)>),
    Alias(MarkIx),
}

/// The place of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyMark {
    pub(super) span: Span,
    /// The same key stands further up in the map.
    pub(super) again: bool,
}

impl Marks {
    pub(super) const ROOT: MarkIx = MarkIx(0);

    pub(super) fn get(&self, ix: MarkIx) -> &Mark {
        &self.all[ix.0]
    }
}

/// Finds the places of all values, and everything that wf refuses; `text` is read from `start` on. None if the
/// document is empty, or if it cannot be read any further, which the findings then say.
pub(super) fn mark(file: FileId, text: &str, start: usize, found: &mut Findings) -> Option<Marks> {
    let mut pass = Pass {
        file,
        text,
        start,
        found,
        marks: Marks::default(),
        open: Vec::new(),
        anchors: HashMap::new(),
        aliases: 0,
        nodes: 0,
    };
    match pass.run() {
        Ok(()) if pass.marks.all.is_empty() => None,
        Ok(()) => Some(pass.marks),
        Err(Stop) => None,
    }
}

/// The document cannot be read; the findings say why.
struct Stop;

struct Pass<'a> {
    file: FileId,
    text: &'a str,
    start: usize,
    found: &'a mut Findings,
    marks: Marks,
    open: Vec<Open>,
    anchors: HashMap<usize, MarkIx>,
    aliases: usize,
    nodes: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    mark: MarkIx,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<KeyMark>,
    keys: HashMap<String, Span>,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let mut options =
            granit_parser::options! { flow_nesting_limit: NESTING_MAX + 1, block_nesting_limit: NESTING_MAX + 1 };
        options.set_emit_comments(false);
        let mut fatal = false;
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(&self.text[self.start..], options) {
            let (event, place) = event.map_err(|error| {
                self.found.push(syntax::explain(&error, self.file, self.text, self.start));
                Stop
            })?;
            let span = self.span(&place);
            if let Some(tag) = place.tag_span() {
                let message = "tags are not part of the language";
                let tag = self.span(&tag);
                self.found.push(Diagnostic::error(Code::YAML, tag, message).help("remove the tag"));
                fatal = true;
            }
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second document starts here; a file holds one";
                        let place = Span { end: (span.start + 3).min(self.text.len()), ..span };
                        self.error(place, message, "move it to a file of its own");
                        return Err(Stop);
                    }
                }
                Event::Scalar(value, style, anchor, _) => {
                    let what = self.scalar(&value, style, span);
                    if self.at_key() {
                        fatal |= self.key(&value, span)?;
                    } else {
                        let span = self.scalar_span(style, span);
                        self.add(anchor, Mark { span, what, nodes: 1, height: 0 })?;
                    }
                }
                Event::SequenceStart(_, anchor, _) => self.enter(anchor, span, What::List(Vec::new()))?,
                Event::MappingStart(_, anchor, _) => self.enter(anchor, span, What::Map(Vec::new()))?,
                Event::SequenceEnd | Event::MappingEnd => self.leave(span),
                Event::Alias(anchor) => self.alias(anchor, span)?,
                _ => {}
            }
        }
        if fatal { Err(Stop) } else { Ok(()) }
    }

    /// Whether the next value is the key of a map.
    fn at_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| open.key.is_none() && matches!(self.marks.get(open.mark).what, What::Map(_)))
    }

    /// Takes a key; gives back whether the document is beyond repair.
    fn key(&mut self, key: &str, span: Span) -> Result<bool, Stop> {
        let Some(open) = self.open.last_mut() else { return Ok(false) };
        let first = open.keys.get(key).copied();
        open.key = Some(KeyMark { span, again: first.is_some() });
        if let Some(first) = first {
            let duplicate = Diagnostic::error(Code::YAML, span, format!("the key `{key}` stands here a second time"));
            self.found.push(duplicate.related(first, "it stands here already").help("keep one of the two"));
        } else {
            open.keys.insert(key.to_owned(), span);
        }
        if key == "<<" {
            self.error(
                span,
                "merge keys are not part of the language",
                "write the keys out, or use an alias for a whole value",
            );
        }
        Ok(key == "<<")
    }

    fn enter(&mut self, anchor: usize, span: Span, what: What) -> Result<(), Stop> {
        if self.at_key() {
            self.error(span, "a key must be a string", "put the list or map into the value");
            return Err(Stop);
        }
        if self.open.len() >= NESTING_MAX {
            return Err(self.too_deep(span));
        }
        // Its values are counted one by one; what it adds by itself is known only when it ends.
        let mark = self.add(0, Mark { span, what, nodes: 1, height: 1 })?;
        self.open.push(Open { mark, anchor, key: None, keys: HashMap::new() });
        Ok(())
    }

    fn leave(&mut self, end: Span) {
        let Some(open) = self.open.pop() else { return };
        let children: Vec<MarkIx> = match &self.marks.get(open.mark).what {
            What::List(items) => items.clone(),
            What::Map(entries) => entries.iter().map(|(_, value)| *value).collect(),
            What::Scalar { .. } | What::Alias(_) => Vec::new(),
        };
        let nodes = children.iter().map(|child| self.marks.get(*child).nodes).sum::<usize>();
        let height = children.iter().map(|child| self.marks.get(*child).height).max().unwrap_or_default();
        let last = children.last().map(|child| self.marks.get(*child).span.end);
        let mark = &mut self.marks.all[open.mark.0];
        mark.nodes += nodes;
        mark.height += height;
        // The end of a block stands at the next token, which is far away; that of `]` and `}` is exact.
        mark.span.end = if end.end > end.start { end.end } else { last.unwrap_or(mark.span.end) }.max(mark.span.start);
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, open.mark);
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.at_key() {
            self.error(span, "a key must be a string, not an alias", "write the key out");
            return Err(Stop);
        }
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            let message = format!("the file has more than {ALIASES_MAX} aliases");
            self.error(span, &message, "write some of the values out");
            return Err(Stop);
        }
        let Some(target) = self.anchors.get(&anchor).copied() else {
            self.error(span, "this alias stands inside of what it names", "a value cannot contain itself");
            return Err(Stop);
        };
        let (nodes, height) = (self.marks.get(target).nodes, self.marks.get(target).height);
        if self.open.len() + height > NESTING_MAX {
            return Err(self.too_deep(span));
        }
        self.add(0, Mark { span, what: What::Alias(target), nodes, height })?;
        Ok(())
    }

    /// Adds a value to the list or map that is open.
    fn add(&mut self, anchor: usize, mark: Mark) -> Result<MarkIx, Stop> {
        self.nodes += mark.nodes;
        if self.nodes > NODES_MAX {
            let message = format!("the file has more than {NODES_MAX} values, aliases expanded");
            self.error(mark.span, &message, "split the file, or use fewer aliases");
            return Err(Stop);
        }
        let ix = MarkIx(self.marks.all.len());
        self.marks.all.push(mark);
        if anchor != 0 {
            self.anchors.insert(anchor, ix);
        }
        if let Some(open) = self.open.last_mut() {
            let key = open.key.take();
            let parent = open.mark;
            let value = &mut self.marks.all[ix.0];
            if let (Some(key), What::Scalar { .. }) = (&key, &value.what)
                && value.span.start == value.span.end
            {
                // An empty value has no place of its own.
                value.span = key.span;
            }
            match (&mut self.marks.all[parent.0].what, key) {
                (What::List(items), _) => items.push(ix),
                (What::Map(entries), Some(key)) => entries.push((key, ix)),
                _ => {}
            }
        }
        Ok(ix)
    }

    fn scalar(&self, value: &str, style: ScalarStyle, span: Span) -> What {
        let written = &self.text[span.start..span.end];
        let plain = style == ScalarStyle::Plain;
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        let text_at = if plain && written == value {
            Some(span.start)
        } else if quoted && written.len() >= 2 && &written[1..written.len() - 1] == value {
            Some(span.start + 1)
        } else {
            None
        };
        What::Scalar { text_at, plain }
    }

    /// A block scalar without the white space at its end, which would reach into the next key's line.
    fn scalar_span(&self, style: ScalarStyle, span: Span) -> Span {
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            let written = self.text[span.start..span.end].trim_end();
            return Span { end: span.start + written.len(), ..span };
        }
        span
    }

    fn span(&self, place: &granit_parser::Span) -> Span {
        let range = place.byte_range().unwrap_or_default();
        let start = floor(self.text, self.start + range.start);
        Span { file: self.file, start, end: floor(self.text, self.start + range.end).max(start) }
    }

    fn error(&mut self, span: Span, message: &str, help: &str) {
        self.found.push(Diagnostic::error(Code::YAML, span, message).help(help));
    }

    fn too_deep(&mut self, span: Span) -> Stop {
        self.found.push(syntax::too_deep(span));
        Stop
    }
}
