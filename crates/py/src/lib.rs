//! The Python wheel of Motet.
