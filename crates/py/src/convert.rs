//! Carries JSON values between Rust and Python as native objects.
//!
//! Nothing is lost on the way: what JSON cannot hold exactly is refused with its place.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// How deeply lists and dictionaries may be nested, which also stops those that hold themselves.
const MAX_DEPTH: usize = 128;

/// Makes native Python objects of a value.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Number(number) => number_to_python(py, number)?,
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items = items.iter().map(|item| to_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(fields) => map_to_python(py, fields)?.into_any(),
    })
}

/// Makes a dictionary of an object.
pub(crate) fn map_to_python<'py>(
    py: Python<'py>,
    fields: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, field) in fields {
        dict.set_item(name, to_python(py, field)?)?;
    }
    Ok(dict)
}

fn number_to_python<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    if let Some(whole) = number.as_u64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    Ok(PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any())
}

/// Reads a Python object as JSON; `name` is what the caller knows it by, for errors.
pub(crate) fn from_python(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Value> {
    read(object, 0).map_err(|refused| refused.raise(name))
}

/// Reads a dictionary as a JSON object.
pub(crate) fn map_from_python(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Map<String, Value>> {
    match from_python(object, name)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(PyTypeError::new_err(format!("`{name}` must be a dict, not {}", type_name(object)))),
    }
}

/// Gives the name of an object's type, for errors.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

/// Why an object cannot be carried over, and where in it, innermost piece first.
struct Refused {
    path: Vec<String>,
    reason: Reason,
}

enum Reason {
    Type(String),
    Value(String),
    Python(PyErr),
}

impl Refused {
    fn new(reason: Reason) -> Self {
        Self { path: Vec::new(), reason }
    }

    fn inside(mut self, piece: String) -> Self {
        self.path.push(piece);
        self
    }

    fn raise(mut self, name: &str) -> PyErr {
        self.path.reverse();
        let place = format!("{name}{}", self.path.concat());
        match self.reason {
            Reason::Type(reason) => PyTypeError::new_err(format!("`{place}` {reason}")),
            Reason::Value(reason) => PyValueError::new_err(format!("`{place}` {reason}")),
            Reason::Python(error) => error,
        }
    }
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::new(Reason::Python(error))
    }
}

fn read(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::new(Reason::Value(format!("is nested more than {MAX_DEPTH} deep"))));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::from(text.to_str()?));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    // Truth values are integers to Python, so they come first.
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if let Ok(whole) = object.cast::<PyInt>() {
        return whole_number(whole);
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        let finite = Number::from_f64(number.value()).map(Value::Number);
        return finite.ok_or_else(|| Refused::new(Reason::Value("is not a finite number".to_owned())));
    }
    if let Ok(fields) = object.cast::<PyDict>() {
        return read_fields(fields, depth);
    }
    if let Ok(items) = object.cast::<PyList>() {
        return read_items(items.iter(), depth);
    }
    if let Ok(items) = object.cast::<PyTuple>() {
        return read_items(items.iter(), depth);
    }
    let reason = format!("is of type {}; use dict, list, str, int, float, bool, or None", type_name(object));
    Err(Refused::new(Reason::Type(reason)))
}

fn whole_number(whole: &Bound<'_, PyInt>) -> Result<Value, Refused> {
    if let Ok(number) = whole.extract::<i64>() {
        return Ok(Value::from(number));
    }
    whole.extract::<u64>().map(Value::from).map_err(|_| {
        Refused::new(Reason::Value("does not fit into 64 bits; give it as text to keep it exact".to_owned()))
    })
}

fn read_fields(fields: &Bound<'_, PyDict>, depth: usize) -> Result<Value, Refused> {
    let mut map = Map::with_capacity(fields.len());
    for (key, value) in fields.iter() {
        let Ok(key) = key.cast::<PyString>() else {
            let reason = format!("has a key of type {}; keys are texts", type_name(&key));
            return Err(Refused::new(Reason::Type(reason)));
        };
        let key = key.to_str()?;
        let value = read(&value, depth + 1).map_err(|refused| refused.inside(format!(".{key}")))?;
        map.insert(key.to_owned(), value);
    }
    Ok(Value::Object(map))
}

fn read_items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> Result<Value, Refused> {
    let item = |(index, item): (usize, Bound<'py, PyAny>)| {
        read(&item, depth + 1).map_err(|refused| refused.inside(format!("[{index}]")))
    };
    items.enumerate().map(item).collect()
}
