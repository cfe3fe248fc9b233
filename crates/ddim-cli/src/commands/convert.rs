//! `ddim convert`

use crate::args::{Convert, Dtype};
use crate::error::Result;
use crate::models;
use crate::output::report;
use ddim_nn::WeightsDtype;
use serde_json::json;

pub(crate) fn run(args: &Convert) -> Result<()> {
    let pipeline = models::load(&args.source)?;
    let (dtype, name) = match args.dtype {
        Dtype::F32 => (WeightsDtype::F32, "f32"),
        Dtype::F16 => (WeightsDtype::F16, "f16"),
        Dtype::Bf16 => (WeightsDtype::Bf16, "bf16"),
    };
    pipeline.save(&args.destination, dtype)?;
    let object = json!({
        "command": "convert", "source": args.source, "parameters": pipeline.parameters(), "dtype": name, "files": [args.destination],
    });
    report(args.json, &object, &format!("{} parameters as {name}\n{}\n", pipeline.parameters(), args.destination.display()))
}
