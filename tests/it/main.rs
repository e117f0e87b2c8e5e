//! Integration tests.

mod arrows;
mod complete;
mod corpus;
mod crash;
mod engine;
mod readme;
mod rows;
mod workflow;
