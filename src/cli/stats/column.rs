//! What has figures of its own: an array, or one field of an array of records.

use ndferry::{ArrayFile, ArrayInfo, DType, Fields};

use crate::cli::{failure::Failure, input};

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

/// The arrays of `file` with what has figures of each: all of them, the array called `name`, or the field that has a row of that name.
pub fn select<'a>(file: &'a ArrayFile, name: Option<&str>) -> Result<Vec<(&'a ArrayInfo, Vec<Column>)>, Failure> {
    let selected = input::select(file, name);
    if let (Err(_), Some(name)) = (&selected, name) {
        let field = |array| {
            let column = Column::all_of(array).into_iter().find(|column| column.name == name)?;
            Some((array, vec![column]))
        };
        let fields: Vec<_> = file.arrays().iter().filter_map(field).collect();
        if !fields.is_empty() {
            return Ok(fields);
        }
    }
    Ok(selected?.into_iter().map(|array| (array, Column::all_of(array))).collect())
}

impl Column {
    /// The array itself or, of records, every field that holds numbers.
    pub fn all_of(array: &ArrayInfo) -> Vec<Self> {
        let whole = Self {
            name: array.name().to_owned(),
            field: None,
            dtype: array.dtype().clone(),
            shape: array.shape().to_vec(),
        };
        let Some(fields) = array.dtype().fields() else {
            return vec![whole];
        };
        let mut columns = Vec::new();
        whole.collect(fields, &mut columns);
        columns
    }

    fn collect(&self, fields: &Fields, columns: &mut Vec<Self>) {
        for field in fields.iter() {
            let joined = |name: &str| if name.is_empty() { field.step() } else { format!("{name}.{}", field.step()) };
            let part = Self {
                name: joined(&self.name),
                field: Some(joined(self.field.as_deref().unwrap_or(""))),
                dtype: field.dtype().clone(),
                shape: [&*self.shape, field.shape()].concat(),
            };
            match field.dtype().fields() {
                Some(fields) => part.collect(fields, columns),
                None if field.dtype().scalar().is_some() => columns.push(part),
                None => {}
            }
        }
    }
}
