//! `ddim convert`

use crate::args::{Convert, Dtype};
use crate::error::{Error, Result};
use crate::models;
use crate::output::report;
use ddim_nn::{Choices, Pipeline};
use ddim_weights::WeightsDtype;
use serde_json::json;

pub(crate) fn run(args: &Convert) -> Result<()> {
    let choices = Choices { config: args.config.clone(), size: args.size, ..args.choices.choices() };
    let pipeline = if args.source.is_file() {
        Pipeline::load_file(&args.source, &choices)?
    } else if args.config.is_some() {
        return Err(Error::usage("--config: a folder has its own config.json: expected a file of weights as SRC"));
    } else {
        models::read(&args.source, &choices)?
    };
    let (dtype, name) = match args.dtype {
        Dtype::F32 => (WeightsDtype::F32, "f32"),
        Dtype::F16 => (WeightsDtype::F16, "f16"),
        Dtype::Bf16 => (WeightsDtype::Bf16, "bf16"),
    };
    pipeline.save(&args.destination, dtype)?;
    models::say(&pipeline);
    let destination = args.destination.display().to_string();
    let object = json!({
        "command": "convert", "source": args.source.display().to_string(), "weights": pipeline.weights_file.display().to_string(),
        "parameters": pipeline.parameters(), "dtype": name, "notes": pipeline.notes, "files": [destination],
    });
    report(args.json, &object, &format!("{} parameters as {name}\n{destination}\n", pipeline.parameters()))
}
