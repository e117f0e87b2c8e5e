//! What references lead to: written once each under `$defs`, with the graph of who refers to whom.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compiler::Step;
use super::rules::Recursion;

/// Everything that is referred to.
#[derive(Default)]
pub(super) struct Definitions<'a> {
    /// Number of each target by its pointer; the root is 0.
    numbers: BTreeMap<String, usize>,
    targets: Vec<(String, &'a Value)>,
    names: BTreeSet<String>,
    edges: Vec<(usize, usize, Way)>,
    /// Number of the target that is being written.
    current: usize,
    /// How the node that is being written stands within its target.
    pub(super) way: Way,
}

/// What lies between a target and a reference within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Way {
    /// Nothing that a value could end at.
    #[default]
    Bare,
    /// A property or an item.
    Nested,
    /// A property that is not required.
    Optional,
}

impl<'a> Definitions<'a> {
    /// Gives the reference by which a target is reached, and sees to it that it is written.
    pub(super) fn refer(&mut self, pointer: String, target: &'a Value) -> String {
        if pointer.is_empty() {
            self.edges.push((self.current, 0, self.way));
            return "#".to_owned();
        }
        let number = match self.numbers.get(&pointer) {
            Some(number) => *number,
            None => {
                let name = self.name(&pointer);
                self.targets.push((name, target));
                self.numbers.insert(pointer, self.targets.len());
                self.targets.len()
            }
        };
        self.edges.push((self.current, number, self.way));
        let name = self.targets.get(number - 1).map_or("", |(name, _)| name);
        format!("#/$defs/{name}")
    }

    /// Gives the next target to write.
    pub(super) fn next(&mut self) -> Option<(String, &'a Value)> {
        let (name, target) = self.targets.get(self.current)?;
        self.current += 1;
        self.way = Way::Bare;
        Some((name.clone(), target))
    }

    /// Refuses circles that are not accepted, and those that no value would ever end.
    pub(super) fn check(&self, recursion: Recursion) -> Step<()> {
        if self.has_circle(|way| way == Way::Bare) {
            return Err("a `$ref` leads in a circle".to_owned());
        }
        let refused = match recursion {
            Recursion::Never => self.has_circle(|_| true),
            Recursion::Optional => self.has_circle(|way| way != Way::Optional),
            Recursion::Always => false,
        };
        if refused { Err("it is recursive".to_owned()) } else { Ok(()) }
    }

    /// Takes away target after target that nobody left refers to; what remains refers to each other.
    fn has_circle(&self, counts: impl Fn(Way) -> bool) -> bool {
        let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); self.targets.len() + 1];
        let mut incoming = vec![0_usize; self.targets.len() + 1];
        for (from, to, _) in self.edges.iter().filter(|(_, _, way)| counts(*way)) {
            if let (Some(list), Some(count)) = (outgoing.get_mut(*from), incoming.get_mut(*to)) {
                list.push(*to);
                *count += 1;
            }
        }
        let mut free: Vec<usize> =
            (0..incoming.len()).filter(|node| incoming.get(*node) == Some(&0)).collect();
        let mut taken = 0;
        while let Some(node) = free.pop() {
            taken += 1;
            for to in outgoing.get(node).into_iter().flatten() {
                if let Some(count) = incoming.get_mut(*to) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(*to);
                    }
                }
            }
        }
        taken < incoming.len()
    }

    /// Gives a name of plain letters that no other target has.
    fn name(&mut self, pointer: &str) -> String {
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || "_-.".contains(letter) { letter } else { '_' }
        };
        let mut stem: String = last.chars().take(64).map(plain).collect();
        if stem.is_empty() {
            stem.push('_');
        }
        let mut name = stem.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{stem}_{number}");
            number += 1;
        }
        name
    }
}
