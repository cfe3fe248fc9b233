//! JSON schemas (utoipa's, feature `openapi`) of the types that are serialised as text, or as either a number or text.
//!
//! The others are derived where the types are defined. What a server must not be asked for has no schema: files to write, and files to read besides the model.

use crate::batches::BatchSize;
use crate::choices::Eta;
use crate::inversion::Inversion;
use crate::spacing::Spacing;
use ddim::Solver;
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A positive number that [`f64::from_str`](std::str::FromStr) reads, without exponents.
const POSITIVE: &str = r"(0*[1-9][0-9]*(\.[0-9]+)?|0*\.0*[1-9][0-9]*)";

/// [`Solver`] as requests have it: its name.
pub(crate) struct SolverName;

/// Where a request names none.
pub(crate) fn default_solver() -> &'static str {
    Solver::default().name()
}

/// Text that is one of these.
fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

impl PartialSchema for SolverName {
    fn schema() -> RefOr<Schema> {
        let description = "How a step uses earlier predictions of the network; ddim is Eq. 12 itself.";
        one_of(Solver::ALL.map(Solver::name)).description(Some(description)).into()
    }
}

impl ToSchema for SolverName {
    fn name() -> std::borrow::Cow<'static, str> {
        "Solver".into()
    }
}

impl PartialSchema for Eta {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
            .minimum(Some(0.0))
            .maximum(Some(1.0));
        let description = "How much noise sampling adds: η from 0 (DDIM) to 1 (DDPM), or \"hat\", the paper's σ̂.";
        OneOfBuilder::new().item(number).item(one_of(["hat"])).description(Some(description)).into()
    }
}

impl ToSchema for Eta {}

impl PartialSchema for BatchSize {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1.0));
        let description = "How many images are in memory at once: a number, or \"auto\".";
        OneOfBuilder::new().item(number).item(one_of(["auto"])).description(Some(description)).into()
    }
}

impl ToSchema for BatchSize {}

impl PartialSchema for Spacing {
    /// Without files of tuned trajectories.
    fn schema() -> RefOr<Schema> {
        let forms = Self::ALL.map(|spacing| match spacing {
            Self::Power(_) | Self::Karras(_) => format!("{}(:{POSITIVE})?", spacing.kind()),
            _ => spacing.kind().to_owned(),
        });
        let description = "How S timesteps are chosen from the T of training; power and karras optionally take a number after a colon.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({})$", forms.join("|"))))
            .examples(Self::ALL.map(|spacing| json!(spacing)))
            .description(Some(description))
            .into()
    }
}

impl ToSchema for Spacing {}

impl PartialSchema for Inversion {
    fn schema() -> RefOr<Schema> {
        let description = "How images are encoded: euler is Eq. 13; fixed-point and anderson iterate, up to the given number of times per step and to the given \
            tolerance, both of which may be left out; bdia keeps pairs of states, which decode bit for bit.";
        // As `FromStr` reads it: 1 to 1000 iterations, a tolerance of 0 or more.
        let numbers = format!(r"(:([1-9][0-9]{{0,2}}|1000)(:(0+(\.0+)?|{POSITIVE}))?)?");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^(euler|bdia|(fixed-point|anderson){numbers})$")))
            .examples(
                [Self::Euler, Self::FixedPoint { iterations: 10, tolerance: Self::TOLERANCE }, Self::ANDERSON, Self::Bdia]
                    .map(|way| json!(way)),
            )
            .description(Some(description))
            .into()
    }
}

impl ToSchema for Inversion {}
