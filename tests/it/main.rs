//! One integration binary over all crates: the command, workflows, crashes, recorded traffic, and the house rules.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod arrows;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod checking;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod eval;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod methods;
#[cfg(test)]
mod money;
#[cfg(test)]
mod older_spelling;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod outsiders;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod rpc;
#[cfg(test)]
mod server;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod switching;
#[cfg(test)]
mod workers;
#[cfg(test)]
mod workflow;
