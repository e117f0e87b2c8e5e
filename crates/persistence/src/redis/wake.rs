//! Wakes those who wait for a store to change: by what this process does, and by what others tell on the server.
//!
//! Word from others may get lost; whoever waits looks again at least once a second then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt as _;

use super::server::Server;
use crate::wake::Wake;

/// Longest time for which word from others is relied upon.
const POLL: Duration = Duration::from_secs(1);

/// Counts changes that this process made or heard of.
pub(super) struct RemoteWake {
    server: Arc<Server>,
    wake: Wake,
    listens: AtomicBool,
}

impl RemoteWake {
    pub(super) fn new(server: Arc<Server>) -> Arc<Self> {
        Arc::new(Self { server, wake: Wake::default(), listens: AtomicBool::new(false) })
    }

    /// Tells of a change that this process made.
    pub(super) fn notify(&self) {
        self.wake.notify();
    }

    /// Waits for a change after the one seen, at most this long; gives the newest count.
    pub(super) async fn changed(self: &Arc<Self>, seen: u64, at_most: Duration) -> u64 {
        if !self.listens.swap(true, Ordering::AcqRel) {
            tokio::spawn(listen(Arc::downgrade(self)));
        }
        // Returning early is allowed, and finds what was told while nobody listened.
        self.wake.changed(seen, at_most.min(POLL)).await
    }
}

/// Listens until the store is closed or its runtime ends.
async fn listen(wake: Weak<RemoteWake>) {
    // Set back also where the runtime drops this task, so that the next one starts it again.
    let _until = Until(Weak::clone(&wake));
    loop {
        let Some(known) = wake.upgrade() else { return };
        let (client, me) = (known.server.client().clone(), known.server.me.clone());
        let channel = known.server.key("changes");
        drop(known);
        if let Ok(mut messages) = client.get_async_pubsub().await
            && messages.subscribe(&channel).await.is_ok()
        {
            let mut stream = messages.on_message();
            loop {
                let next = tokio::time::timeout(POLL, stream.next()).await;
                let Some(known) = wake.upgrade() else { return };
                match next {
                    Ok(Some(message)) if message.get_payload_bytes() != me.as_bytes() => known.wake.notify(),
                    Ok(None) => break,
                    _ => {}
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

struct Until(Weak<RemoteWake>);

impl Drop for Until {
    fn drop(&mut self) {
        if let Some(wake) = self.0.upgrade() {
            wake.listens.store(false, Ordering::Release);
        }
    }
}
