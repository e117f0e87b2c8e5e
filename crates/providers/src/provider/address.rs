//! The address of a server as the environment names it: a host, a host and port, or a whole URL.

/// An environment variable that holds the server's address in the way that the provider's own tools read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressVariable {
    /// Name of the variable.
    pub name: &'static str,
    /// Port where the variable names none, unless it names the scheme, whose port then counts.
    pub port: u16,
}

impl AddressVariable {
    /// Gives the base URL: server and path of the variable's value, then the path of the row's own base URL.
    ///
    /// An address by which a server listens on all interfaces is reached on this machine.
    #[must_use]
    pub fn base_url(&self, value: &str, own: Option<&str>) -> Option<String> {
        let value = value.trim().trim_end_matches('/');
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let (server, path) = rest.split_once('/').map_or((rest, ""), |(server, path)| (server, path));
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => (host, Some(port)),
            _ => (server, None),
        };
        if host.is_empty() && port.is_none() {
            return None;
        }
        let host = match host.trim_matches(['[', ']']) {
            "" | "0.0.0.0" => "127.0.0.1".to_owned(),
            "::" => "[::1]".to_owned(),
            version_6 if version_6.contains(':') => format!("[{version_6}]"),
            name => name.to_owned(),
        };
        let port = match port {
            Some(port) => format!(":{port}"),
            None if value.contains("://") => String::new(),
            None => format!(":{}", self.port),
        };
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let after_scheme = own.and_then(|own| own.split_once("://")).map(|(_, rest)| rest);
        let own_path = after_scheme.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        Some(format!("{scheme}://{host}{port}{path}{}", own_path.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let variable = AddressVariable { name: "SERVER", port: 11_434 };
        for (value, expected) in [
            ("localhost", Some("http://localhost:11434")),
            ("0.0.0.0", Some("http://127.0.0.1:11434")),
            ("0.0.0.0:8080", Some("http://127.0.0.1:8080")),
            (":8080", Some("http://127.0.0.1:8080")),
            (" http://box/ ", Some("http://box")),
            ("https://box:443/models/", Some("https://box:443/models")),
            ("[::1]:8080", Some("http://[::1]:8080")),
            ("::", Some("http://[::1]:11434")),
            ("[fe80::1]", Some("http://[fe80::1]:11434")),
            ("", None),
        ] {
            assert_eq!(
                variable.base_url(value, Some("http://localhost:11434")).as_deref(),
                expected,
                "{value}"
            );
        }
        let with_path = variable.base_url("box", Some("http://localhost:11434/v1"));
        assert_eq!(with_path.as_deref(), Some("http://box:11434/v1"));
    }
}
