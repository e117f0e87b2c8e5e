//! What is sent for what is asked, and what is read of what comes.
