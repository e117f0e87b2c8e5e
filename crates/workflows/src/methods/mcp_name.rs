//! Names of tools of servers, as tasks write them behind `mcp/`.
//!
//! Knows no server, only the names that it is told.

/// Divides `<server>.<tool>` into its parts; `None` where there is no tool in it.
///
/// A server's name may hold a dot itself, so the longest known name that fits is the one that is meant. Where none fits, the
/// first dot divides.
#[must_use]
pub fn server_and_tool<'n, 's>(
    name: &'n str,
    servers: impl IntoIterator<Item = &'s str>,
) -> Option<(&'n str, &'n str)> {
    let fitting = servers.into_iter().filter(|server| {
        name.strip_prefix(server).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
    });
    let longest = fitting.map(str::len).max().or_else(|| name.find('.'))?;
    let (server, tool) = (name.get(..longest)?, name.get(longest + 1..)?);
    (!tool.is_empty()).then_some((server, tool))
}

#[cfg(test)]
mod tests {
    use super::server_and_tool;

    #[test]
    fn the_longest_known_name_of_a_server_divides() {
        for (name, servers, divided) in [
            ("git.status", &["git"][..], Some(("git", "status"))),
            ("my.server.tool", &["my", "my.server"], Some(("my.server", "tool"))),
            ("my.server.tool", &["my.serv"], Some(("my", "server.tool"))),
            ("my.server", &["my.server"], Some(("my", "server"))),
            ("tool", &["tool"], None),
            ("git.", &["git"], None),
        ] {
            assert_eq!(server_and_tool(name, servers.iter().copied()), divided, "{name}");
        }
    }
}
