//! Columns: the arrays, and the fields of arrays of records, that get a row each.

use ndferry::{
    DType,
    dtype::{DTypeKind, Field},
    file::{ArrayFile, ArrayInfo},
};

use crate::{
    failure::Failure,
    input::{self, Selected},
};

/// An array, or a field of an array of records.
pub struct Column {
    /// The name of the array and the path of the field, joined by a dot.
    pub name: String,
    /// The path of the field within the array.
    pub field: Option<String>,
    pub dtype: DType,
    /// The axes of the array, then those of the field.
    pub shape: Vec<usize>,
}

/// The selected arrays of `file` with their columns. A selected field has only its own columns.
pub fn select<'a>(
    file: &'a ArrayFile,
    names: &[String],
) -> Result<Vec<(&'a ArrayInfo, Vec<Column>)>, Failure> {
    input::check_field_paths(file)?;
    let columns = |selected: Selected<'a>| {
        let Selected { array, field } = selected;
        let is_below = |column: &Column| {
            let Some(path) = &field else { return true };
            let rest = column.field.as_deref().and_then(|field| field.strip_prefix(path));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (array, Column::of(array).into_iter().filter(is_below).collect())
    };
    Ok(input::select(file, names)?.into_iter().map(columns).collect())
}

impl Column {
    /// The columns of an array: the array itself, or every field without fields
    /// of its own.
    pub fn of(array: &ArrayInfo) -> Vec<Self> {
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
            let joined = |path: &str| input::join_path(path, &field.escaped_name());
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

    /// The kind of elements without statistics, or `None` if they have some.
    pub fn kind_without_statistics(&self) -> Option<&'static str> {
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
