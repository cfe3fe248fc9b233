//! The settings by which a sweep recognises its own results.

use crate::choices::{Clipping, Guidance};
use crate::error::{Error, Result};
use crate::session::Session;
use ddim::Solver;
use ddim_data::Preparation;
use ddim_eval::{Images, Plain};
use serde_json::{Map, Value, json};

/// How the classes of images are found: by linear discriminant analysis, whose share of real images is of ten parts of each class.
const CLASSIFIER: &str = "lda, ten parts";

/// What all cells share, by which a sweep knows itself again: whatever moves a digit of them, but for the vectors of the processor. What things
/// are called is beside it. Trajectory, guidance and seed are those of the cells that are called by nothing else.
pub(crate) fn settings(
    session: &Session<'_, '_>,
    (count, clip, guidance): (usize, Clipping, &Guidance),
    plain: &Plain,
    prepared: &Preparation,
    (reference, reference_labels): (&Images, Option<&[usize]>),
) -> Result<Map<String, Value>> {
    let [h, w] = prepared.size;
    let [r, g, b] = prepared.background;
    let prepared = match reference {
        Images::Statistics(_) => "statistics".to_owned(),
        Images::Set(_) => format!("{h}x{w}, {:?} on #{r:02x}{g:02x}{b:02x}", prepared.fit).to_lowercase(),
    };
    let mut settings = as_object(json!({
        "weights": session.network.checksum(), "reference_images": reference.count(),
        "reference_prepared": prepared, "count": count, "seed": plain.seed, "trajectory": plain.trajectory,
        "guidance": plain.guidance, "guidance_interval": guidance.interval(), "guidance_rescale": guidance.rescale,
        "flags": (session.guided(1.0)?.flags(clip, Solver::Ddim) + &session.precision_flag()).trim(),
    }));
    let as_bytes = |labels: &[usize]| -> Vec<u8> { labels.iter().flat_map(|label| (*label as u64).to_le_bytes()).collect() };
    settings.insert("reference_classes".into(), json!(reference_labels.map(|labels| ddim_weights::checksum_of(&as_bytes(labels)))));
    settings.insert("classifier".into(), json!(reference_labels.map(|_| CLASSIFIER)));
    // A file of classes may change.
    let (labels, mixtures) = (session.classes.labels(plain.seed, 0..count), session.classes.mixtures(plain.seed, 0..count));
    if labels.is_some() || mixtures.is_some() {
        let mut bytes = labels.as_deref().map(as_bytes).unwrap_or_default();
        let mixed = mixtures.iter().flatten().flatten();
        bytes.extend(mixed.flat_map(|(label, share)| [(*label as u64).to_le_bytes(), share.to_le_bytes()]).flatten());
        settings.insert("classes".into(), ddim_weights::checksum_of(&bytes).into());
    }
    settings.insert("size".into(), json!([h, w]));
    // The same weights are another model under other settings: one key each, so that a difference is named.
    for (of, config) in [("network", to_value(session.network.config())?), ("scheduler", to_value(&session.scheduler)?)] {
        let told = as_object(config).into_iter().filter(|(key, _)| !key.starts_with('_'));
        settings.extend(told.map(|(key, value)| (format!("{of}.{key}"), value)));
    }
    Ok(settings)
}

fn to_value(config: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(config).map_err(Error::failure)
}

pub(crate) fn as_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
