//! Answers what a server asks of its client, which is nothing that Motet does, and hears what it tells.
#![expect(deprecated, reason = "servers of today still ask for roots and send their log")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rmcp::model::{
    ClientConfig, Implementation, ListRootsRequestMethod, ListRootsResult, LoggingMessageNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, ErrorData, RoleClient};

/// The ear of one connection. Requests for a model are refused as unknown, and those for a person declined.
#[derive(Debug)]
pub(super) struct Listener {
    server: String,
    /// Counts how often the server said that its tools have changed.
    changes: Arc<AtomicU64>,
}

impl Listener {
    pub(super) fn new(server: &str, changes: Arc<AtomicU64>) -> Self {
        Self { server: server.to_owned(), changes }
    }
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info = Implementation::new("motet", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListRootsRequestMethod>())
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    async fn on_logging_message(
        &self,
        told: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        tracing::debug!(server = %self.server, level = ?told.level, "a server logs: {}", told.data);
    }
}
