//! What has figures of its own: an array, or one field of an array of records.

use ndferry::{
    DType,
    dtype::{DTypeKind, Field},
    file::{ArrayFile, ArrayInfo},
};

use crate::{
    failure::Failure,
    input::{self, Found},
};

/// One array, or one field of one.
pub struct Column {
    /// The array's name and the field's path, joined by a dot.
    pub name: String,
    /// The path of the field within the array.
    pub field: Option<String>,
    pub dtype: DType,
    /// Of the array, then of the field.
    pub shape: Vec<usize>,
}

/// The arrays of `file` with the columns of each: all of them, the array called `name`, or what has a row of that name or rows below it.
pub fn select<'a>(
    file: &'a ArrayFile,
    name: Option<&str>,
) -> Result<Vec<(&'a ArrayInfo, Vec<Column>)>, Failure> {
    input::check_paths(file)?;
    let all = |array| (array, Column::all_of(array));
    let Some(name) = name else {
        return Ok(file.arrays().iter().map(all).collect());
    };
    match input::find(file, name)? {
        Found::Array(array) => Ok(vec![all(array)]),
        Found::Field(array, path) => {
            let is_below = |column: &Column| {
                let rest = column.field.as_deref().and_then(|field| field.strip_prefix(&path));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            Ok(vec![(array, Column::all_of(array).into_iter().filter(is_below).collect())])
        }
    }
}

impl Column {
    /// The array itself or, of records, every field that holds no others.
    pub fn all_of(array: &ArrayInfo) -> Vec<Self> {
        let whole = Self {
            name: array.name().to_owned(),
            field: None,
            dtype: array.dtype().clone(),
            shape: array.shape().to_vec(),
        };
        let Some(fields) = array.dtype().fields().filter(|fields| !fields.is_empty()) else {
            return vec![whole];
        };
        let mut columns = Vec::new();
        whole.collect(fields, &mut columns);
        columns
    }

    fn collect(&self, fields: &[Field], columns: &mut Vec<Self>) {
        for field in fields.iter() {
            let joined = |path: &str| input::joined(path, &field.escaped_name());
            let part = Self {
                name: joined(&self.name),
                field: Some(joined(self.field.as_deref().unwrap_or(""))),
                dtype: field.dtype().clone(),
                shape: [&*self.shape, field.shape()].concat(),
            };
            match field.dtype().fields() {
                Some(fields) if !fields.is_empty() => part.collect(fields, columns),
                _ => columns.push(part),
            }
        }
    }

    /// What its elements are that have no figures, in a word or two; `None` where they have.
    pub fn without_figures(&self) -> Option<&'static str> {
        match self.dtype.kind() {
            DTypeKind::Scalar(scalar) => scalar.is_complex().then_some("complex numbers"),
            DTypeKind::Text(_) => Some("text"),
            DTypeKind::Bytes(_) => Some("strings of bytes"),
            DTypeKind::DateTime(_) => Some("datetimes"),
            DTypeKind::TimeDelta(_) => Some("lengths of time"),
            DTypeKind::Struct(_) => Some("records without fields"),
            _ => Some("bytes of no known type"),
        }
    }
}
