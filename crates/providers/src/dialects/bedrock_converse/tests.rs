//! What is sent for what is asked, and what is read.
