//! Images that the verbs read, and what is said of those that were left out.

use crate::args::{FitArg, PreparationArgs};
use crate::error::{Error, Result};
use crate::output::joined;
use ddim_data::{BadFiles, DataSet, Fit, Inputs, LeftOut, Preparation, Report, read_inputs};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

impl PreparationArgs {
    pub(crate) fn bad_files(&self) -> BadFiles {
        if self.skip_bad_files { BadFiles::Skip } else { BadFiles::Stop }
    }
}

/// What the flags say of preparing images of `size`: the middle is cut out where they do not say.
pub(crate) fn preparation(args: &PreparationArgs, size: [usize; 2]) -> Preparation {
    let fit = match args.fit {
        None | Some(FitArg::Crop) => Fit::Crop,
        Some(FitArg::Pad) => Fit::Pad,
        Some(FitArg::Stretch) => Fit::Stretch,
    };
    Preparation { size, fit, background: args.background.unwrap_or([255; 3]) }
}

/// The first `limit` images of `path`, for a network of `shape`: as they are, or as `--fit` says.
pub(crate) fn read(path: &Path, shape @ [_, h, w]: [usize; 3], args: &PreparationArgs, limit: Option<usize>) -> Result<Inputs> {
    if limit == Some(0) {
        return Err(Error::flag("--count", "0: expected 1 or more"));
    }
    let how = args.fit.map(|_| preparation(args, [h, w]));
    let inputs = read_inputs(path, shape, how, args.background, limit, args.bad_files())?;
    say(&inputs.report);
    Ok(inputs)
}

/// Lines on standard error: what was left out, and warnings. `--quiet` is for progress: never a subset without a word.
pub(crate) fn say(report: &Report) {
    for line in lines(report).chain(runs(report)) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The same but for folders of runs, to be printed by who has a view of its own.
pub(crate) fn lines(report: &Report) -> impl Iterator<Item = String> {
    let left = report.left_out.iter().filter(|left| !matches!(left, LeftOut::Run(_))).map(|left| format!("left out: {left}"));
    left.chain(report.warnings.iter().map(|warning| format!("warning: {warning}")))
}

/// Folders of runs, which hardly anyone takes for data: a remark, after what matters.
pub(crate) fn runs(report: &Report) -> impl Iterator<Item = String> {
    report.left_out.iter().filter(|left| matches!(left, LeftOut::Run(_))).map(|left| format!("left out: {left}"))
}

/// The classes of a data set: number, name and images of each.
pub(crate) fn classes(data: &DataSet) -> Option<String> {
    let name = |k: usize| data.class_names.get(k).map_or(String::new(), |name| format!(" {name}"));
    let each = |(k, count): (usize, &usize)| format!("{k}{} ({count})", name(k));
    data.labels.as_ref().map(|_| format!("classes: {}", joined(data.class_counts().iter().enumerate().map(each), ", ")))
}

/// The same for `--json`; null where there are none.
pub(crate) fn classes_as_json(data: &DataSet) -> Value {
    let each = |(k, count): (usize, &usize)| json!({ "class": k, "name": data.class_names.get(k), "images": count });
    data.labels.as_ref().map_or(Value::Null, |_| data.class_counts().iter().enumerate().map(each).collect())
}

/// For `--json`.
pub(crate) fn as_json(report: &Report) -> Value {
    let texts = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>();
    json!({
        "left_out": texts(&mut report.left_out.iter().map(ToString::to_string)),
        "warnings": texts(&mut report.warnings.iter().map(ToString::to_string)),
    })
}
