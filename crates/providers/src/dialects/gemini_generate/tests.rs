//! What is sent for what is asked, and what answers become.

mod answers;
mod history;
mod requests;
