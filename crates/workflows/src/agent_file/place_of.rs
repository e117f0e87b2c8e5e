//! Where keys and words of an agent's file stand.

use super::selection::Of;
use crate::dag::yaml::{Content, Node, Place};

/// Finds places in a file that was read.
pub(super) struct Places<'n> {
    root: &'n Node,
    /// Places of the words by which lines of the list of tools name what code may call; those lines are not in the tree.
    of_code: Vec<Place>,
}

impl<'n> Places<'n> {
    pub(super) fn new(root: &'n Node, of_code: Vec<Place>) -> Self {
        Self { root, of_code }
    }

    /// Gives the place of a key of the agent.
    pub(super) fn key(&self, key: &str) -> Place {
        match &self.root.content {
            Content::Map(fields) => {
                fields.iter().find(|field| field.key == key).map_or(self.root.place, |field| field.place)
            }
            _ => self.root.place,
        }
    }

    /// Gives the place of a word that stands for tools, by its list and its number there.
    pub(super) fn word(&self, of: Of, number: usize) -> Place {
        let (key, list) = match of {
            Of::Only => ("offered", "only"),
            Of::Without => ("offered", "without"),
            Of::Category => ("offered", "categories"),
            Of::Always => ("router", "always"),
            Of::Code => return self.of_code.get(number).copied().unwrap_or(self.root.place),
        };
        let words = below(self.root, key).and_then(|node| below(node, list));
        let word = words.and_then(|words| match &words.content {
            Content::List(items) => items.get(number),
            _ => None,
        });
        word.map_or_else(|| self.key(key), |word| word.place)
    }
}

fn below<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.content {
        Content::Map(fields) => fields.iter().find(|field| field.key == key).map(|field| &field.node),
        _ => None,
    }
}
