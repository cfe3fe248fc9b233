//! `ddim convert`

use crate::args::{Convert, Dtype};
use crate::error::{Error, Result};
use crate::models;
use crate::output::report;
use ddim_nn::{Pipeline, WeightsDtype, cpu};
use serde_json::json;
use std::path::Path;

pub(crate) fn run(args: &Convert) -> Result<()> {
    let file = Path::new(&args.source);
    let pipeline = if file.is_file() {
        Pipeline::load_authors(file, args.raw, args.size, &cpu())?
    } else if args.size.is_some() {
        return Err(Error::usage("--size is for a checkpoint of the authors' code: expected a file as SRC"));
    } else if args.raw {
        models::load_raw(&args.source)?
    } else {
        models::load(&args.source)?
    };
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
