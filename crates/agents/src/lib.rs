//! The one tool loop as a pure machine, its drivers, and function tools.
