//! Input images of requests, and reporting of those that were left out.

use crate::choices::Preparing;
use crate::error::{Error, Result};
use crate::event::{Event, NoteKind};
use crate::job::Watch;
use crate::reports::ClassReport;
use ddim_data::{DataSet, Inputs, LeftOut, Report, read_floats_any, read_inputs, read_labelled_inputs};
use ddim_nn::{SampleSize, UNetConfig};
use std::path::Path;

/// The first `limit` images of `path`, for a network of `shape`, as they are or prepared; with their classes where these are wanted.
pub(crate) fn read_with(
    path: &Path,
    shape @ [_, h, w]: [usize; 3],
    how: Preparing,
    limit: Option<usize>,
    labelled: bool,
    watch: &Watch<'_>,
) -> Result<Inputs> {
    if limit == Some(0) {
        return Err(Error::field("count", "0: expected 1 or more"));
    }
    let prepared = how.fit.map(|_| how.for_size([h, w]));
    let reading = if labelled { read_labelled_inputs } else { read_inputs };
    let inputs = reading(path, shape, prepared, how.background, limit, how.bad_files())?;
    say(&inputs.report, watch);
    Ok(inputs)
}

/// Reads latents of any size that a network takes, or of the one given; also the shape [c, h, w] of one.
pub(crate) fn read_latents(path: &Path, config: &UNetConfig, size: Option<[usize; 2]>) -> Result<(Vec<f32>, [usize; 3])> {
    let (channels, m) = (config.in_channels, config.size_multiple());
    let ([n, c, h, w], latents) = read_floats_any(path)?;
    let fits = |n: usize| n > 0 && n.is_multiple_of(m);
    if c == channels && size.map_or(fits(h) && fits(w), |size| [h, w] == size) {
        return Ok((latents, [c, h, w]));
    }
    let n = if n == 0 { "0 (no latents)".to_owned() } else { n.to_string() };
    let expected = match (size, config.sample_size.map(SampleSize::dims)) {
        (Some([h, w]), _) => format!("[n, {channels}, {h}, {w}]"),
        (None, Some([h, w])) => format!("[n, {channels}, {h}, {w}], or other multiples of {m}"),
        (None, None) => format!("[n, {channels}, h, w], h and w multiples of {m}"),
    };
    Err(Error::file(path, format!("an array of shape [{n}, {c}, {h}, {w}]: expected {expected}")))
}

/// Tells what was left out, and warnings.
pub(crate) fn say(report: &Report, watch: &Watch<'_>) {
    lines(report).chain(runs(report)).for_each(|note| watch.tell(note));
}

/// What was left out, but for folders of runs, and warnings.
pub(crate) fn lines(report: &Report) -> impl Iterator<Item = Event> {
    let left = report.left_out.iter().filter(|left| !matches!(left, LeftOut::Run(_))).map(left_out);
    left.chain(report.warnings.iter().map(|warning| Event::Note { kind: NoteKind::Warning, text: warning.to_string() }))
}

/// Folders of runs, which hardly anyone takes for data: a remark, after what matters.
pub(crate) fn runs(report: &Report) -> impl Iterator<Item = Event> {
    report.left_out.iter().filter(|left| matches!(left, LeftOut::Run(_))).map(left_out)
}

fn left_out(left: &LeftOut) -> Event {
    Event::Note { kind: NoteKind::LeftOut, text: left.to_string() }
}

/// The classes of a data set; none where it has no labels.
pub(crate) fn classes(data: &DataSet) -> Option<Vec<ClassReport>> {
    let each = |(class, images): (usize, &usize)| ClassReport { class, name: data.class_names.get(class).cloned(), images: *images };
    data.labels.as_ref().map(|_| data.class_counts().iter().enumerate().map(each).collect())
}
