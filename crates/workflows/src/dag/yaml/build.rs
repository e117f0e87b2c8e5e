//! Builds the tree from the events of the YAML scanner, within the bounds on depth, values, and text.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::scalar::{self, Unfit};
use super::surrogates::Joined;
use super::{Content, Document, Fault, Field, MAX_DEPTH, MAX_FAULTS, MAX_NODES, MAX_TEXT_BYTES, Node, Place};

pub(super) fn document(joined: &Joined<'_>) -> Result<Document, Fault> {
    let parser = Parser::new_from_str(&joined.text);
    let mut builder =
        Builder { joined, parser, anchors: HashMap::new(), faults: Vec::new(), nodes: 0, text_bytes: 0 };
    let root = loop {
        match builder.event()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd, _) => break Node { content: Content::Null, place: Place::START },
            (event, place) => break builder.node(event, place, 1)?,
        }
    };
    builder.end()?;
    Ok(Document { root, faults: builder.faults })
}

/// A node that aliases repeat, and what each repetition costs.
struct Anchor {
    node: Node,
    nodes: usize,
    text_bytes: usize,
    height: usize,
}

struct Builder<'t> {
    joined: &'t Joined<'t>,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchor>,
    faults: Vec<Fault>,
    nodes: usize,
    text_bytes: usize,
}

impl<'t> Builder<'t> {
    fn event(&mut self) -> Result<(Event<'t>, Place), Fault> {
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, Place::START)),
            Some(Ok((event, span))) => Ok((event, self.place(span))),
            Some(Err(error)) => Err(self.syntax(&error)),
        }
    }

    fn place(&self, span: Span) -> Place {
        self.joined.in_file(Place { line: span.start.line(), column: span.start.col() + 1 })
    }

    /// Reads what follows the one document: nothing, if all is well.
    fn end(&mut self) -> Result<(), Fault> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), place) => {
                    let fault = Fault::new(place, "a second document begins here, but a file holds one")
                        .with_hint("remove the `---`, or move the second document to a file of its own");
                    self.faults.push(fault);
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    /// Counts values and text against the bounds.
    fn charge(&mut self, place: Place, nodes: usize, text_bytes: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > MAX_NODES {
            return Err(Fault::new(place, format!("there are more than {MAX_NODES} values")).with_hint(
                "values that `*aliases` repeat count each time; keep data in files of their own",
            ));
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            let message = format!("the texts have more than {} MiB", MAX_TEXT_BYTES >> 20);
            return Err(Fault::new(place, message)
                .with_hint("texts that `*aliases` repeat count each time; keep data in files of their own"));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, Fault> {
        let (nodes, text_bytes) = (self.nodes, self.text_bytes);
        let (content, anchor) = match event {
            Event::Alias(id) => return self.alias(id, place, depth),
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(place, 1, text.len())?;
                (self.scalar(&text, style == ScalarStyle::Plain, tag.as_deref(), place), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(tag, "seq", place, depth)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.open(tag, "map", place, depth)?;
                (self.map(depth)?, anchor)
            }
            _ => return Err(Fault::new(place, "a value is missing here")),
        };
        let node = Node { content, place };
        if anchor != 0 {
            let (nodes, text_bytes) = (self.nodes - nodes, self.text_bytes - text_bytes);
            // The copy that is kept for aliases counts too, or nested anchors would multiply memory.
            self.charge(place, nodes, text_bytes)?;
            let anchored = Anchor { height: height(&node), node: node.clone(), nodes, text_bytes };
            self.anchors.insert(anchor, anchored);
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, place: Place, depth: usize) -> Result<Node, Fault> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Fault::new(place, "the alias refers to a value that it is part of"));
        };
        let (nodes, text_bytes, height) = (anchor.nodes, anchor.text_bytes, anchor.height);
        if depth + height > MAX_DEPTH + 1 {
            return Err(too_deep(place));
        }
        self.charge(place, nodes, text_bytes)?;
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Fault::new(place, "the alias is unknown"));
        };
        Ok(Node { content: anchor.node.content.clone(), place })
    }

    /// Begins a list or mapping.
    fn open(
        &mut self,
        tag: Option<Cow<'_, Tag>>,
        kind: &str,
        place: Place,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let fits = tag.as_ref().is_none_or(|tag| tag.is_yaml_core_schema() && tag.suffix == kind);
        if let Some(tag) = tag.filter(|_| !fits) {
            self.fault(unknown_tag(&tag, place));
        }
        self.charge(place, 1, 0)
    }

    fn scalar(&mut self, text: &str, plain: bool, tag: Option<&Tag>, place: Place) -> Content {
        let unfit = match scalar::value(text, plain, tag) {
            Ok(content) => return content,
            Err(unfit) => unfit,
        };
        let shown: String = text.chars().take(40).collect();
        let quote = format!("put it in quotes if it is a text: `\"{shown}\"`");
        let fault = match (unfit, tag) {
            (Unfit::TooLarge, _) => {
                Fault::new(place, format!("the number `{shown}` is beyond 64 bits")).with_hint(quote)
            }
            (Unfit::NotFinite, _) => {
                Fault::new(place, format!("the number `{shown}` is not finite")).with_hint(quote)
            }
            (Unfit::Tag(expected), _) => {
                Fault::new(place, format!("its tag says {expected}, but it is `{shown}`"))
            }
            (Unfit::UnknownTag, Some(tag)) => unknown_tag(tag, place),
            (Unfit::UnknownTag, None) => Fault::new(place, "its tag is not known"),
        };
        self.fault(fault);
        Content::Null
    }

    fn list(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut mapping = Mapping::default();
        loop {
            let (event, place) = self.event()?;
            if event == Event::MappingEnd {
                return Ok(Content::Map(mapping.finish()));
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, place, depth + 1)?;
            let (event, value_place) = self.event()?;
            let node = self.node(event, value_place, depth + 1)?;
            if merges {
                self.merge(&mut mapping, node);
                continue;
            }
            let Content::String(key) = key.content else {
                let fault =
                    Fault::new(place, format!("a key must be a text, but this is {}", described(&key)));
                self.fault(fault.with_hint("put the key in quotes"));
                continue;
            };
            if let Some(first) = mapping.add(key, place, node) {
                let message = format!("the key `{}` stands twice", first.0);
                self.fault(
                    Fault::new(place, message)
                        .with_hint(format!("it stands at {} already; remove one", first.1)),
                );
            }
        }
    }

    /// Takes over the keys of `<<: *base`, or of a list of such mappings.
    fn merge(&mut self, mapping: &mut Mapping, node: Node) {
        let place = node.place;
        let sources = match node.content {
            Content::List(items) => items,
            _ => vec![node],
        };
        for source in sources {
            match source.content {
                Content::Map(fields) => mapping.merged.extend(fields),
                _ => self.fault(
                    Fault::new(place, "`<<` takes a mapping or a list of mappings")
                        .with_hint("write `<<: *name` where `&name` stands before a mapping"),
                ),
            }
        }
    }

    /// Says what the scanner stumbled over, in words that help more often than its own.
    fn syntax(&self, error: &ScanError) -> Fault {
        let marker = error.marker();
        let place = self.joined.in_file(Place { line: marker.line(), column: marker.col() + 1 });
        let line = self.joined.text.lines().nth(place.line - 1).unwrap_or_default();
        if error.info().contains("recursion limit") {
            return too_deep(place);
        }
        let (message, hint) = explained(error.info());
        let reference_in_flow = line.contains("${") && error.info().contains("while parsing a flow");
        let hint = if reference_in_flow {
            Some("inside `[…]` and `{…}`, put a text with a reference in quotes: `\"${…}\"`")
        } else {
            hint
        };
        let fault = Fault::new(place, message);
        match hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }
}

/// The fields of a mapping that is being read.
#[derive(Default)]
struct Mapping {
    fields: Vec<Field>,
    places: HashMap<String, Place>,
    merged: Vec<Field>,
}

impl Mapping {
    /// Adds a field; gives the key and the place of the first one where there is one of that name already.
    fn add(&mut self, key: String, place: Place, node: Node) -> Option<(String, Place)> {
        if let Some(first) = self.places.get(&key) {
            return Some((key, *first));
        }
        self.places.insert(key.clone(), place);
        self.fields.push(Field { key, place, node });
        None
    }

    /// Adds the merged fields that are not written out; of several of one name the first counts.
    fn finish(mut self) -> Vec<Field> {
        for field in std::mem::take(&mut self.merged) {
            self.add(field.key, field.place, field.node);
        }
        self.fields
    }
}

fn height(node: &Node) -> usize {
    match &node.content {
        Content::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Content::Map(fields) => 1 + fields.iter().map(|field| height(&field.node)).max().unwrap_or(0),
        _ => 0,
    }
}

fn too_deep(place: Place) -> Fault {
    Fault::new(place, format!("lists and mappings are nested more than {MAX_DEPTH} deep"))
}

fn unknown_tag(tag: &Tag, place: Place) -> Fault {
    Fault::new(place, format!("the tag `{tag}` is not known"))
        .with_hint("only `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!seq`, and `!!map` are")
}

fn described(node: &Node) -> String {
    match &node.content {
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
        _ => format!("`{}`", node.to_json()),
    }
}

fn explained(info: &str) -> (String, Option<&'static str>) {
    let quotes = "put the text in quotes";
    if info.starts_with("mapping values are not allowed") {
        let hint = "put a text that holds `: ` in quotes, or check the indentation";
        return ("a `:` is not allowed here".to_owned(), Some(hint));
    }
    if info.contains("tab") {
        return ("a tab is not allowed here".to_owned(), Some("indent with spaces"));
    }
    if let Some(character) =
        info.strip_prefix("unexpected character: `").and_then(|rest| rest.strip_suffix('\''))
    {
        return (format!("a text cannot start with `{character}`"), Some(quotes));
    }
    if info.contains("found unexpected end of stream") {
        return ("the text that begins here has no closing quote".to_owned(), Some("add the quote"));
    }
    if info.contains("unknown anchor") {
        return (
            "the alias has no anchor before it".to_owned(),
            Some("mark the value with `&name` first; a text that begins with `*` needs quotes"),
        );
    }
    let hint = if info.contains("expected key")
        || info.contains("invalid indentation")
        || info.contains("block collection")
    {
        Some("check the indentation of this line and of those before it")
    } else {
        None
    };
    (format!("not valid YAML: {info}"), hint)
}
