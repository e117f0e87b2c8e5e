//! One integration binary over all crates: the command, workflows, crashes, recorded traffic, and the house rules.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod switching;
#[cfg(test)]
mod workflow;
