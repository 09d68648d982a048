//! Flows as data: a name, a configuration, what is wanted. The functions stay where they are, in every process that has the program.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Flow, Handle, Level, near};
use crate::{Error, Result};

/// What a flow is built from: values by name, any that JSON can say.
///
/// ```
/// use ndferry::flow::Config;
///
/// let config = Config::new().with("metrics", ["mean", "max"]).with("threshold", 0.5);
/// assert_eq!(config.get::<Vec<String>>("metrics")?, ["mean", "max"]);
/// assert_eq!(config.get_or("block", 64)?, 64);
/// let error = config.get::<f64>("treshold").unwrap_err();
/// assert!(error.to_string().contains("did you mean \"threshold\""));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(BTreeMap<String, Value>);

impl Config {
    /// One without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `value` under `name`.
    ///
    /// # Panics
    ///
    /// Where `value` is nothing that JSON can say: a map whose keys are no strings, or a value whose serialisation fails.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value =
            serde_json::to_value(value).expect("a configuration has values that JSON can say");
        self.0.insert(name.into(), value);
        self
    }

    /// The value under `name`.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let Some(value) = self.0.get(name) else {
            let close = near::list(name, self.0.keys().map(String::as_str));
            return Err(Error::invalid_input(format!("the configuration has no {name:?}{close}")));
        };
        T::deserialize(value).map_err(|error| {
            Error::invalid_input(format!("the configuration has {value} as {name:?}: {error}"))
        })
    }

    /// The value under `name`, or `default` where there is none.
    ///
    /// # Errors
    ///
    /// Where there is one, and it is no `T`.
    pub fn get_or<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        if self.0.contains_key(name) { self.get(name) } else { Ok(default) }
    }
}

/// A flow as data: how it is called in a table of [`Flows`], what it is built from, and the names of the nodes that are wanted. It goes
/// to a worker, or into a file, where the graph could not, and becomes a graph again where the table is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// The name in the table.
    pub flow: String,
    /// What the flow is built from.
    #[serde(default)]
    pub config: Config,
    /// The names of the nodes that are wanted.
    #[serde(default)]
    pub outputs: Vec<String>,
}

/// What builds a flow.
type Build = fn(&Config) -> Result<Flow>;

/// The flows that a program has, by name.
///
/// A table is made wherever it is needed, by a function of the program: in a worker as well as here.
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// use ndferry::{Pool, flow::{Config, Flow, FlowSpec, Flows, Handle}};
///
/// fn flows() -> Flows {
///     Flows::new().with("power", |config| {
///         let mut flow = Flow::new();
///         let base = flow.input::<f64>("base");
///         let exponent = flow.input_or("exponent", config.get_or("exponent", 2)?);
///         flow.node("power", (base, exponent), |base, exponent: &i32| base.powi(*exponent));
///         Ok(flow)
///     })
/// }
///
/// // A step of another flow, or a task of a pool: it gets the specification, and has the table from the program.
/// fn run((spec, base): (FlowSpec, f64)) -> ndferry::Result<Vec<f64>> {
///     let flow = flows().build(&spec)?;
///     let pool = Pool::new()?; // within a task: as many workers as there are free cores
///     let (input, wanted): (Handle<f64>, Vec<Handle<f64>>) = (flow.find("base")?, flow.find_all(&spec.outputs)?);
///     flow.on(&pool).set(input, base).get(wanted)
/// }
///
/// let spec: FlowSpec = serde_json::from_str(r#"{"flow": "power", "config": {"exponent": 3}, "outputs": ["power"]}"#).unwrap();
/// let pool = Pool::builder().workers(2).build()?;
/// assert_eq!(pool.try_map(run, [(spec.clone(), 2.0), (spec, 3.0)])?, [[8.0], [27.0]]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Flows(BTreeMap<String, Build>);

impl Flows {
    /// A table with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the flow that `build` makes, under `name`; in place of one that was there before.
    #[must_use]
    pub fn with(mut self, name: &str, build: Build) -> Self {
        self.0.insert(name.into(), build);
        self
    }

    /// The flow that `spec` names, built from its configuration.
    ///
    /// # Errors
    ///
    /// Where the table has none of that name, with those that are close to it; where it cannot be built from that configuration, or has
    /// [problems](Flow::check); where it has no node of a name that is wanted.
    pub fn build(&self, spec: &FlowSpec) -> Result<Flow> {
        let Some(build) = self.0.get(&spec.flow) else {
            let close = near::list(&spec.flow, self.0.keys().map(String::as_str));
            return Err(Error::invalid_input(format!("there is no flow {:?}{close}", spec.flow)));
        };
        let within = |error: Error| error.within(format_args!("flow {:?}", spec.flow));
        let flow = build(&spec.config).map_err(within)?;
        flow.check().map_err(within)?;
        spec.outputs
            .iter()
            .try_for_each(|name| flow.node_named(name).map(|_| ()))
            .map_err(within)?;
        Ok(flow)
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Flow {
    /// The handles of the nodes called `names`, all of one type.
    ///
    /// # Errors
    ///
    /// As [`find`](Flow::find).
    pub fn find_all<T: 'static, L: Level>(
        &self,
        names: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Vec<Handle<T, L>>> {
        names.into_iter().map(|name| self.find(name.as_ref())).collect()
    }
}
