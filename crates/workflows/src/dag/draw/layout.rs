//! Places the boxes of a graph: in layers by what they wait for, each layer in an order with few crossings.

use super::Drawing;

/// Height of a box.
pub(super) const HEIGHT: f64 = 44.0;
/// Space between boxes of a layer, and around all.
pub(super) const GAP: f64 = 24.0;
/// Space between layers.
const LAYER_GAP: f64 = 48.0;
/// Width of a letter, about.
const LETTER: f64 = 7.4;
/// How often the order of the layers is mended, down and up in turn.
const SWEEPS: usize = 6;

/// Where a box is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

impl Spot {
    pub(super) fn middle(self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// Where everything is, and how large the picture is.
pub(super) struct Layout {
    pub(super) spots: Vec<Spot>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Places every box; `top` is left free above.
pub(super) fn layout(drawing: &Drawing, top: f64) -> Layout {
    let depths = depths(drawing);
    let deepest = depths.iter().copied().max().map_or(0, |deepest| deepest + 1);
    let mut layers = vec![Vec::new(); deepest];
    for (node, depth) in depths.iter().enumerate() {
        layers.get_mut(*depth).into_iter().for_each(|layer: &mut Vec<usize>| layer.push(node));
    }
    order(drawing, &mut layers);
    let widths: Vec<f64> =
        drawing.nodes.iter().map(|node| width(&node.name).max(width(&node.detail))).collect();
    let width_of = |node: &usize| widths.get(*node).copied().unwrap_or_default();
    let row = |layer: &Vec<usize>| layer.iter().map(|node| width_of(node) + GAP).sum::<f64>() - GAP;
    let widest = layers.iter().map(row).fold(0.0, f64::max);
    let mut spots = vec![Spot { x: 0.0, y: 0.0, width: 0.0 }; drawing.nodes.len()];
    let mut y = top + GAP;
    for layer in &layers {
        let mut x = GAP + (widest - row(layer)) / 2.0;
        for node in layer {
            let width = width_of(node);
            spots.get_mut(*node).into_iter().for_each(|spot| *spot = Spot { x, y, width });
            x += width + GAP;
        }
        y += HEIGHT + LAYER_GAP;
    }
    Layout { spots, width: widest + 2.0 * GAP, height: (y - LAYER_GAP + GAP).max(top + GAP) }
}

/// Gives the width of a box around a text; letters of some scripts are twice as wide.
fn width(text: &str) -> f64 {
    let letters: f64 = text.chars().map(|c| if u32::from(c) >= 0x1100 { 2.0 } else { 1.0 }).sum();
    letters.max(6.0) * LETTER + 24.0
}

/// Gives the longest way to each box from one that waits for nothing. The graph has no circles.
fn depths(drawing: &Drawing) -> Vec<usize> {
    let count = drawing.nodes.len();
    let (mut waits, mut next) = (vec![0_usize; count], vec![Vec::new(); count]);
    for edge in &drawing.edges {
        waits.get_mut(edge.to).into_iter().for_each(|waits| *waits += 1);
        next.get_mut(edge.from).into_iter().for_each(|next: &mut Vec<usize>| next.push(edge.to));
    }
    let mut depths = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|node| waits.get(*node) == Some(&0)).collect();
    while let Some(node) = ready.pop() {
        let below = depths.get(node).map_or(0, |depth| depth + 1);
        for to in next.get(node).into_iter().flatten() {
            depths.get_mut(*to).into_iter().for_each(|depth| *depth = below.max(*depth));
            if let Some(waits) = waits.get_mut(*to) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push(*to);
                }
            }
        }
    }
    depths
}

/// Moves each box to the middle of those that it is joined to, layer by layer, a few times.
fn order(drawing: &Drawing, layers: &mut [Vec<usize>]) {
    let count = drawing.nodes.len();
    let mut joined = vec![Vec::new(); count];
    for edge in &drawing.edges {
        for (one, other) in [(edge.from, edge.to), (edge.to, edge.from)] {
            joined.get_mut(one).into_iter().for_each(|joined: &mut Vec<usize>| joined.push(other));
        }
    }
    let mut places = vec![0.0_f64; count];
    for layer in layers.iter() {
        number(layer, &mut places);
    }
    for sweep in 0..SWEEPS {
        let numbers: Vec<usize> =
            if sweep % 2 == 0 { (0..layers.len()).collect() } else { (0..layers.len()).rev().collect() };
        for at in numbers {
            let Some(layer) = layers.get_mut(at) else { continue };
            let middle = |node: &usize| {
                let others = joined.get(*node).map_or(&[][..], Vec::as_slice);
                let own = places.get(*node).copied().unwrap_or_default();
                let sum: f64 = others.iter().filter_map(|other| places.get(*other)).sum();
                if others.is_empty() {
                    own
                } else {
                    sum / f64::from(u32::try_from(others.len()).unwrap_or(1))
                }
            };
            let mut keyed: Vec<(f64, usize)> = layer.iter().map(|node| (middle(node), *node)).collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            *layer = keyed.into_iter().map(|(_, node)| node).collect();
            number(layer, &mut places);
        }
    }
}

/// Writes down where the boxes of a layer stand, from 0 to 1, so that layers of any length compare.
fn number(layer: &[usize], places: &mut [f64]) {
    let count = f64::from(u32::try_from(layer.len()).unwrap_or(u32::MAX));
    let mut at = 0.5;
    for node in layer {
        places.get_mut(*node).into_iter().for_each(|place| *place = at / count);
        at += 1.0;
    }
}
