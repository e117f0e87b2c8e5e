//! Definitions of the runs that a worker has tasks of, read once for each run and each change, and forgotten in time.

use std::collections::HashMap;
use std::sync::Arc;

use motet_core::RunId;
use motet_core::error::Result;
use motet_core::store::Claim;

use super::Shared;
use super::attempt::Definition;

/// How many runs are remembered.
const MOST: usize = 256;

/// What was read, with the place of its last use.
#[derive(Default)]
pub(super) struct Definitions {
    known: HashMap<RunId, (Arc<Definition>, u64)>,
    uses: u64,
}

impl Definitions {
    /// Gives the definition of a claimed task's run, read anew where a person changed it.
    ///
    /// # Errors
    /// `Store` when the store cannot be read, `Unsupported` when what it gives is not understood, and `Conflict` when the
    /// run is no workflow.
    pub(super) async fn of(&mut self, shared: &Shared, claim: &Claim) -> Result<Arc<Definition>> {
        self.uses += 1;
        let (run, number) = (&claim.token.run, claim.definition);
        if let Some((known, used)) = self.known.get_mut(run).filter(|(known, _)| known.number == number) {
            *used = self.uses;
            return Ok(Arc::clone(known));
        }
        let definition = Arc::new(Definition::load(shared, run, number).await?);
        if self.known.len() >= MOST {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(run, _)| run.clone());
            oldest.and_then(|run| self.known.remove(&run));
        }
        self.known.insert(run.clone(), (Arc::clone(&definition), self.uses));
        Ok(definition)
    }
}
