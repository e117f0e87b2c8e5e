//! Tables for people: columns, no lines, no trailing spaces.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Lays out rows below a header.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|line| format!("{}\n", line.trim_start_matches(' ').trim_end())).collect()
}
