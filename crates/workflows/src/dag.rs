//! Task graphs: reading them, checking them, and running them.

pub mod check;
pub mod draw;
pub mod machine;
pub mod outline;
pub mod plan;
pub mod read;
pub mod reference;
pub mod scope;
pub mod source;
pub mod worker;
pub mod yaml;
