//! What a call borrows from its caller, or owns where a layer changed it.
//!
//! Differs from the standard library's `Cow` in that what is owned lies in a box: a request is large, and a call that
//! held one in itself would be copied with it at every layer.

use std::ops::Deref;

/// Something borrowed, or owned.
#[derive(Debug, Clone)]
pub enum Lent<'a, T> {
    /// It belongs to the caller.
    Borrowed(&'a T),
    /// It was made on the way.
    Owned(Box<T>),
}

impl<T> Lent<'_, T> {
    /// Owns something.
    #[must_use]
    pub fn owned(value: T) -> Self {
        Lent::Owned(Box::new(value))
    }
}

impl<T: Clone> Lent<'_, T> {
    /// Gives it to be changed, and copies it before where it is borrowed.
    #[must_use]
    pub fn to_mut(&mut self) -> &mut T {
        loop {
            match self {
                Lent::Owned(value) => return value,
                Lent::Borrowed(value) => *self = Lent::owned(value.clone()),
            }
        }
    }

    /// Gives it to be kept, and copies it where it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Lent<'static, T> {
        match self {
            Lent::Borrowed(value) => Lent::owned(value.clone()),
            Lent::Owned(value) => Lent::Owned(value),
        }
    }
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Lent::Borrowed(value) => value,
            Lent::Owned(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borrowed_is_copied_only_to_be_changed() {
        let text = "a".to_owned();
        let mut lent = Lent::Borrowed(&text);
        assert!(std::ptr::eq(&*lent, &raw const text));
        lent.to_mut().push('b');
        lent.to_mut().push('c');
        assert_eq!((text.as_str(), lent.as_str()), ("a", "abc"));
        assert_eq!(lent.into_owned().as_str(), "abc");
    }
}
