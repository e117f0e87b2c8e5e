//! The store that the settings name, opened when somebody first needs it.
//!
//! Shared by the runtime and by those layers that keep books in the store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::SharedStore;
use tokio::sync::OnceCell;

use crate::store::{self, StoreAccess};

/// Opens the store once; cheap to clone.
#[derive(Clone)]
pub(crate) struct LazyStore(Arc<Inner>);

struct Inner {
    url: String,
    directory: PathBuf,
    access: StoreAccess,
    cell: OnceCell<SharedStore>,
}

impl fmt::Debug for LazyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store's URL may hold a password.
        f.debug_struct("LazyStore").finish_non_exhaustive()
    }
}

impl LazyStore {
    pub(crate) fn new(url: String, directory: PathBuf, access: StoreAccess) -> Self {
        Self(Arc::new(Inner { url, directory, access, cell: OnceCell::new() }))
    }

    /// Uses this store instead of the one that the settings name.
    ///
    /// # Errors
    /// `Conflict` when the store is open already.
    pub(crate) fn set(&self, store: SharedStore) -> Result<()> {
        self.0.cell.set(store).map_err(|_| Error::new(ErrorKind::Conflict, "the store is open already"))
    }

    /// Tells whether it is open, or may hold something already; opens and makes nothing.
    pub(crate) fn is_there(&self) -> bool {
        self.0.cell.initialized() || motet_persistence::is_there(&self.0.url, &self.0.directory)
    }

    /// Gives the store.
    ///
    /// # Errors
    /// As [`store::open`].
    pub(crate) async fn get(&self) -> Result<SharedStore> {
        let Inner { url, directory, access, cell } = &*self.0;
        cell.get_or_try_init(|| store::open(url, directory, access)).await.cloned()
    }
}
