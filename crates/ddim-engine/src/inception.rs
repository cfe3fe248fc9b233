//! The Inception network, and features of the references that it evaluates.

use crate::error::Result;
use crate::job::Watch;
use ddim_data::ImageSet;
use ddim_eval::{Images, KeptFeatures, SweepReference, features, set_checksum};
use ddim_nn::{Inception, Precision};
use std::collections::BTreeSet;
use std::path::Path;

/// The Inception network, downloaded once where nobody has it.
pub(crate) fn load_inception(file: Option<&Path>, watch: &Watch<'_>) -> Result<Inception> {
    let load = |path: &Path| match watch.device() {
        // What measures is the same for all that is measured.
        Some(device) => Inception::load_on(path, &*device.in_precision(Precision::F32)?),
        None => Inception::load(path),
    };
    let mut known = None;
    let inception = ddim_eval::load_inception(file, &load, &mut |come, total| {
        let before = known.replace(come).unwrap_or_else(|| {
            watch.begin("downloading Inception", "bytes", total as usize);
            0
        });
        watch.advance((come - before) as usize);
        watch.check().map_err(ddim_eval::Error::observer)
    });
    if known.is_some() {
        watch.end();
    }
    Ok(inception?)
}

/// Tells `watch` how much more is done, and ends the work where it says so.
pub(crate) fn counted<'a>(watch: &'a Watch<'_>) -> impl FnMut(usize) -> ddim_eval::Result<()> + 'a {
    |n| {
        watch.advance(n);
        watch.check().map_err(ddim_eval::Error::observer)
    }
}

/// What features are computed by, between which their last digits may differ: the version, and the vectors or the device.
pub(crate) fn computed_by(watch: &Watch<'_>) -> String {
    let by = watch.device().map_or_else(|| ddim_nn::vectors().to_owned(), |device| device.described());
    format!("ddim {}, {by}", env!("CARGO_PKG_VERSION"))
}

/// The checksum of a reference, told as it is read: that may take a while.
pub(crate) fn reference_checksum(reference: &Images, watch: &Watch<'_>) -> Result<String> {
    let total = if let Images::Set(set) = reference { set.len() } else { 0 };
    watch.begin("reading the reference", "images", total);
    let checksum = reference.checksum(&mut counted(watch))?;
    watch.end();
    Ok(checksum)
}

/// The features of a reference, which are kept for the next time. Its images are told to `watch` as they are done; that features cannot be
/// kept is said to `warn`.
pub(crate) fn reference_features(
    inception: &Inception,
    set: &ImageSet,
    watch: &Watch<'_>,
    warn: &mut dyn FnMut(String),
) -> ddim_eval::Result<Vec<f32>> {
    let checksum = set_checksum(set, &mut |_| watch.check().map_err(ddim_eval::Error::observer))?;
    let kept = KeptFeatures::of(&checksum, inception.checksum(), &computed_by(watch), set.len());
    if let Some(features) = kept.read() {
        watch.advance(set.len());
        return Ok(features);
    }
    let features = features(inception, set, &mut counted(watch))?;
    kept.write(&features).unwrap_or_else(|error| warn(error.to_string()));
    Ok(features)
}

/// Why images that are `drawn` for classes count for no accuracy, or some of them.
pub(crate) fn unknown_classes(names: &[String], reference: &SweepReference, drawn: &[usize]) -> Option<String> {
    if !reference.knows_classes() {
        let found = "the reference has fewer than 20 images or only one class to learn from";
        return Some(format!("{found}: accuracy is not computed"));
    }
    let unknown: BTreeSet<usize> = drawn.iter().copied().filter(|class| !reference.knows(*class)).collect();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let names: Vec<String> = unknown.into_iter().map(name).collect();
    (!names.is_empty()).then(|| format!("the reference has no images of {}: these classes do not count towards accuracy", names.join(", ")))
}
