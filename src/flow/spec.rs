//! Flows as data: a name, a configuration and the names of the outputs.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use super::{engine::Quoted, graph::Flow};
use crate::{Error, Result};

/// The configuration that a flow is built from: JSON values by name.
///
/// Functions in a [`FlowRegistry`] get it. It can be part of a configuration file, because it is
/// serde data.
///
/// # Examples
///
/// ```
/// use ndferry::flow::FlowConfig;
///
/// let config = FlowConfig::new().with("metrics", ["mean", "max"]).with("threshold", 0.5);
/// assert_eq!(config.get::<Vec<String>>("metrics")?, ["mean", "max"]);
/// assert_eq!(config.get_or("block", 64)?, 64);
/// let error = config.get::<f64>("treshold").unwrap_err();
/// assert!(error.to_string().contains("did you mean"));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowConfig(BTreeMap<String, Json>);

impl FlowConfig {
    /// Creates an empty configuration.
    ///
    /// # Examples
    ///
    /// ```
    /// let config = ndferry::flow::FlowConfig::new();
    /// assert!(config.get::<bool>("verbose").is_err());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `value` under `name`, or replaces the value of that name.
    ///
    /// # Examples
    ///
    /// ```
    /// let config = ndferry::flow::FlowConfig::new().with("verbose", true);
    /// assert!(config.get::<bool>("verbose")?);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if JSON cannot represent `value`, such as a map with keys that are not strings.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("JSON can represent the value");
        self.0.insert(name.into(), value);
        self
    }

    /// Returns the value of `name`.
    ///
    /// If the value is optional, use [`get_or`](FlowConfig::get_or).
    ///
    /// # Examples
    ///
    /// ```
    /// let config = ndferry::flow::FlowConfig::new().with("block", 64);
    /// assert_eq!(config.get::<u32>("block")?, 64);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration has no such name (the error lists similar names), or
    /// if the value cannot be read as a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let Some(value) = self.0.get(name) else {
            let close = crate::near::hint(name, self.0.keys().map(String::as_str));
            return Err(Error::invalid_input(format!(
                "the configuration has no {}{close}",
                Quoted(name)
            )));
        };
        T::deserialize(value).map_err(|error| {
            Error::invalid_input(format!(
                "the configuration has {value} as {}: {error}",
                Quoted(name)
            ))
        })
    }

    /// Returns the value of `name`, or `default` if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// let config = ndferry::flow::FlowConfig::new();
    /// assert_eq!(config.get_or("block", 64)?, 64);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if there is a value that cannot be read as a `T`.
    pub fn get_or<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        if self.0.contains_key(name) { self.get(name) } else { Ok(default) }
    }
}

/// A flow as data: its name in a [`FlowRegistry`], its configuration and its outputs.
///
/// A [`Flow`] contains functions and cannot be sent. Send a `FlowSpec` to a worker or store it in
/// a file, and [build](FlowRegistry::build) the flow where you need it.
///
/// # Examples
///
/// ```
/// use ndferry::flow::FlowSpec;
///
/// let text = r#"{"flow": "power", "config": {"exponent": 3}, "outputs": ["power"]}"#;
/// let spec: FlowSpec = serde_json::from_str(text).unwrap();
/// assert_eq!(spec.flow, "power");
/// assert_eq!(spec.config.get::<i32>("exponent")?, 3);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// The name of the flow in the registry.
    pub flow: String,
    /// The configuration that the flow is built from.
    #[serde(default)]
    pub config: FlowConfig,
    /// The names of the requested nodes.
    #[serde(default)]
    pub outputs: Vec<String>,
}

type BuildFlow = fn(&FlowConfig) -> Result<Flow>;

/// The flows of a program, by name.
///
/// Write a function that returns the registry and call it where you need it, in the parent and in
/// workers.
///
/// # Examples
///
/// A task gets a specification, builds the flow and runs it on a pool of its own:
///
/// ```
/// use ndferry::{
///     Pool,
///     flow::{Flow, FlowRegistry, FlowSpec, Handle},
/// };
///
/// fn flows() -> FlowRegistry {
///     FlowRegistry::new().with("power", |config| {
///         let mut flow = Flow::new();
///         let base = flow.input::<f64>("base");
///         let exponent = flow.input_or("exponent", config.get_or("exponent", 2)?);
///         flow.node("power", (base, exponent), |base, exponent: &i32| base.powi(*exponent));
///         Ok(flow)
///     })
/// }
///
/// fn run((spec, base): (FlowSpec, f64)) -> ndferry::Result<Vec<f64>> {
///     let flow = flows().build(&spec)?;
///     let pool = Pool::new()?; // in a task: as many workers as there are free cores
///     let input: Handle<f64> = flow.find("base")?;
///     let outputs: Vec<Handle<f64>> = flow.find_all(&spec.outputs)?;
///     flow.on(&pool).set(input, base).get(outputs)
/// }
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init(); // in a worker, this call does not return
///     let text = r#"{"flow": "power", "config": {"exponent": 3}, "outputs": ["power"]}"#;
///     let spec: FlowSpec = serde_json::from_str(text).unwrap();
///     let pool = Pool::builder().workers(2).build()?;
///     assert_eq!(pool.try_map(run, [(spec.clone(), 2.0), (spec, 3.0)])?, [[8.0], [27.0]]);
///     Ok(())
/// }
/// ```
#[derive(Clone, Default)]
pub struct FlowRegistry(BTreeMap<String, BuildFlow>);

impl FlowRegistry {
    /// Creates an empty registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::flow::{Flow, FlowRegistry};
    ///
    /// let registry = FlowRegistry::new().with("empty", |_| Ok(Flow::new()));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the flow that `build` makes under `name`, or replaces the flow of that name.
    ///
    /// # Examples
    ///
    /// See [`FlowRegistry`].
    #[must_use]
    pub fn with(mut self, name: &str, build: fn(&FlowConfig) -> Result<Flow>) -> Self {
        self.0.insert(name.into(), build);
        self
    }

    /// Builds the flow that `spec` describes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::flow::{Flow, FlowConfig, FlowRegistry, FlowSpec};
    ///
    /// let registry = FlowRegistry::new().with("empty", |_| Ok(Flow::new()));
    /// let (flow, config) = ("empty".into(), FlowConfig::new());
    /// let mut spec = FlowSpec { flow, config, outputs: vec![] };
    /// registry.build(&spec)?;
    /// spec.outputs.push("mean".into());
    /// let error = registry.build(&spec).unwrap_err();
    /// assert_eq!(error.to_string(), "flow `empty`: no node `mean`");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the registry has no flow of that name (the error lists similar names),
    /// - the function that builds the flow returns one,
    /// - the flow fails its [check](Flow::check), or
    /// - the flow has no node with the name of a requested output.
    pub fn build(&self, spec: &FlowSpec) -> Result<Flow> {
        let name = Quoted(&spec.flow);
        let Some(build) = self.0.get(&spec.flow) else {
            let close = crate::near::hint(&spec.flow, self.0.keys().map(String::as_str));
            return Err(Error::invalid_input(format!("no flow {name}{close}")));
        };
        let checked = || {
            let flow = build(&spec.config)?;
            flow.check()?;
            spec.outputs.iter().try_for_each(|output| flow.index_of(output).map(|_| ()))?;
            Ok(flow)
        };
        checked().map_err(|error: Error| error.within(format_args!("flow {name}")))
    }
}

impl fmt::Debug for FlowRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
