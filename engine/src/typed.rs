//! Step kinds from async closures: the schemas come from the Rust types.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use wf_dsl::{Effect, ErrorCode, Kind};

use crate::kind::{BoxFuture, Output, StepContext, StepError, StepKind};

/// A step kind that is an async closure. Made by [`kind`].
pub struct Closure<A, O, F> {
    about: Kind,
    run: F,
    types: PhantomData<fn(A) -> O>,
}

/// Makes a step kind of an async closure.
///
/// `name` contains a dot, such as `crm.tag`: names without one belong to the language. `A` is the step's body and `O` its
/// output; their JSON Schemas are what workflows are checked against. Without [`Closure::effect`] the effect counts as
/// [`Effect::Unsafe`].
///
/// ```
/// # use wf_engine::{kind, StepContext, StepError};
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Tag {
///     contact: String,
///     tag: String,
/// }
///
/// let tag = kind("crm.tag", async |cx: StepContext, tag: Tag| {
///     println!("{} gets {}, once per {}", tag.contact, tag.tag, cx.key);
///     Ok::<_, StepError>(())
/// });
/// ```
pub fn kind<A, O, F, Running>(name: impl Into<String>, run: F) -> Closure<A, O, F>
where
    A: DeserializeOwned + JsonSchema,
    O: Serialize + JsonSchema,
    F: Fn(StepContext, A) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<O, StepError>> + Send + 'static,
{
    let about = Kind {
        name: name.into(),
        description: String::new(),
        body: schemars::schema_for!(A).to_value(),
        output: schemars::schema_for!(O).to_value(),
        errors: Vec::new(),
        effect: Effect::Unsafe,
        repeats: std::collections::BTreeMap::new(),
        literal_fields: Vec::new(),
        secret_fields: Vec::new(),
        connections: Vec::new(),
        open_output: false,
        returns_at: String::new(),
        examples: Vec::new(),
    };
    Closure { about, run, types: PhantomData }
}

impl<A, O, F> Closure<A, O, F> {
    /// One sentence about the kind, for `wf kinds`.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.about.description = text.into();
        self
    }

    /// How a second attempt looks to the world.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.about.effect = effect;
        self
    }

    /// An error code that the kind gives, and whether it is retried by default.
    #[must_use]
    pub fn error(mut self, code: impl Into<String>, retriable: bool) -> Self {
        self.about.errors.push(ErrorCode { code: code.into(), retriable });
        self
    }
}

impl<A, O, F, Running> StepKind for Closure<A, O, F>
where
    A: DeserializeOwned + JsonSchema + 'static,
    O: Serialize + JsonSchema + 'static,
    F: Fn(StepContext, A) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<O, StepError>> + Send + 'static,
{
    fn describe(&self) -> Kind {
        self.about.clone()
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let final_error =
                |code: &str, message: String| StepError { retriable: Some(false), ..StepError::new(code, message) };
            let args = serde_json::from_value(args)
                .map_err(|error| final_error("validation.input", format!("the body does not fit: {error}")))?;
            let output = (self.run)(cx.clone(), args).await?;
            let value = serde_json::to_value(output)
                .map_err(|error| final_error("validation.output", format!("the output is not JSON: {error}")))?;
            Ok(Output { value })
        })
    }
}
