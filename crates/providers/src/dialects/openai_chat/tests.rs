//! Requests as they go over the wire, and answers in the forms that servers send them.

mod answers;
mod equal;
mod history;
mod requests;
mod rows;
