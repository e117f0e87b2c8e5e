//! Writes objects the way Python shows them: `Name(field=value, …)`.

use pyo3::prelude::*;

/// Shows an object by the named attributes that are not `None`.
pub(crate) fn show(object: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<String> {
    let mut shown = Vec::with_capacity(fields.len());
    for field in fields {
        let value = object.getattr(*field)?;
        if !value.is_none() {
            shown.push(format!("{field}={}", value.repr()?));
        }
    }
    Ok(format!("{}({})", object.get_type().name()?, shown.join(", ")))
}
