//! Pictures that need no program to be drawn: boxes, curves, and texts.

use std::fmt::Write as _;

use motet_core::store::TaskState;

use super::layout::{GAP, HEIGHT, Spot, layout};
use super::{Drawing, colours};

/// Space for the title.
const TITLE: f64 = 28.0;
/// Space for a line that names the colours.
const LEGEND: f64 = 24.0;

pub(super) fn draw(drawing: &Drawing) -> String {
    let layout = layout(drawing, TITLE);
    let states = drawing.states();
    let legend = if states.is_empty() { 0.0 } else { LEGEND };
    let title = escaped(&drawing.title);
    let letters = f64::from(u32::try_from(drawing.title.chars().count()).unwrap_or(u32::MAX));
    let named = f64::from(u32::try_from(states.len()).unwrap_or(0)) * 96.0;
    let width = layout.width.max(letters * 9.0 + 2.0 * GAP).max(named + 2.0 * GAP);
    let height = layout.height + legend;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{title}</title>\n\
         <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#57606a\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{GAP:.0}\" y=\"30\" font-size=\"16\" fill=\"#1f2328\">{title}</text>\n"
    );
    let spot = |at: usize| layout.spots.get(at).copied();
    for edge in &drawing.edges {
        if let (Some(from), Some(to)) = (spot(edge.from), spot(edge.to)) {
            curve(from, to, edge.whatever, &mut text);
        }
    }
    for (node, spot) in drawing.nodes.iter().zip(&layout.spots) {
        let (fill, line) = colours(node.state);
        let dashes = if node.is_conditional { " stroke-dasharray=\"5 3\"" } else { "" };
        let Spot { x, y, width } = *spot;
        text.push_str("<g>");
        if let Some(state) = node.state {
            let _ = write!(text, "<title>{}: {}</title>", escaped(&node.name), state.as_str());
        }
        if node.is_many {
            let _ = write!(
                text,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{HEIGHT:.1}\" rx=\"6\" fill=\"{fill}\" stroke=\"{line}\"/>",
                x + 4.0,
                y + 4.0
            );
        }
        let middle = spot.middle();
        let _ = writeln!(
            text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT:.1}\" rx=\"6\" fill=\"{fill}\" stroke=\"{line}\"{dashes}/>\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#1f2328\">{}</text>\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#57606a\">{}</text></g>",
            y + 19.0,
            escaped(&node.name),
            y + 35.0,
            escaped(&node.detail),
        );
    }
    legend_of(&states, layout.height, &mut text);
    text.push_str("</svg>\n");
    text
}

/// Names the colours of the states below the boxes.
fn legend_of(states: &[TaskState], y: f64, text: &mut String) {
    let mut x = GAP;
    for state in states.iter().copied() {
        let (fill, line) = colours(Some(state));
        let _ = writeln!(
            text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{fill}\" stroke=\"{line}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#57606a\">{}</text>",
            x + 18.0,
            y + 10.0,
            state.as_str(),
        );
        x += 96.0;
    }
}

/// Draws an arrow from the bottom of one box to the top of another.
fn curve(from: Spot, to: Spot, dashed: bool, text: &mut String) {
    let (x1, y1, x2, y2) = (from.middle(), from.y + HEIGHT, to.middle(), to.y);
    let bend = (y2 - y1) / 2.0;
    let dashes = if dashed { " stroke-dasharray=\"4 3\"" } else { "" };
    let _ = writeln!(
        text,
        "<path d=\"M{x1:.1} {y1:.1} C{x1:.1} {:.1} {x2:.1} {:.1} {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"#57606a\"{dashes} marker-end=\"url(#end)\"/>",
        y1 + bend,
        y2 - bend,
    );
}

/// Writes a text so that nothing of it is markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
