//! What became of images: the report, the picture, and by what edits are known.

use super::way::Way;
use crate::choices::Eta;
use crate::consistency::difference_of;
use crate::error::Result;
use crate::inversion::Inversion;
use crate::reports::DataReport;
use crate::session::Session;
use crate::used_folder;
use ddim::Solver;
use ddim_nn::Condition;
use ddim_pictures::{Picture, grid, labelled};
use serde::Serialize;

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "edit")]
pub struct EditReport {
    /// The model as it was named.
    pub model: String,
    /// The one that decoded, where it was another.
    pub to_model: Option<String>,
    /// Number of images.
    pub images: usize,
    /// Edits of each.
    pub variations: usize,
    /// What was left out.
    pub data: DataReport,
    /// Of the edit.
    pub strength: f64,
    /// Where it began; 0 where nothing ran.
    pub level: usize,
    /// Code timesteps in the order in which they were visited, without jumps.
    pub timesteps: Vec<usize>,
    /// Evaluations of an edit on its way down, jumps included, not counting guidance's second of each.
    pub evaluations: usize,
    /// Randomness.
    pub eta: Eta,
    /// How steps were solved.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName))]
    pub solver: Solver,
    /// How images were encoded; none where noise was added.
    pub inversion: Option<Inversion>,
    /// What the choice of timesteps is called.
    pub trajectory: String,
    /// The class that was drawn in each edit, of a model with classes; none where some are mixed.
    pub classes: Option<Vec<usize>>,
    /// The classes of each edit with their shares, where some are mixed.
    pub mixtures: Option<Vec<Vec<(usize, f64)>>>,
    /// Of the way down; 1 is none.
    pub guidance: f64,
    /// Of the noise.
    pub seed: u64,
    /// Root mean squared difference of edits and images, as pixels in [0, 1].
    pub rms: f64,
    /// What it took.
    pub seconds: f64,
    /// What was written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The images, [n, c, h, w], as they were edited.
    #[serde(skip)]
    pub originals: Vec<f32>,
    /// The edits, those of one image after those of another, [n, c, h, w] in [-1, 1], unclamped.
    #[serde(skip)]
    pub edits: Vec<f32>,
}

/// Images of a grid, beside each other.
const SHOWN: usize = 16;

/// A row of images, one of what stays of them, and one for each variation.
pub(super) fn picture(images: &[f32], mask: Option<&[f32]>, edits: &[f32], variations: usize, shape: [usize; 3]) -> Result<Picture> {
    let dim: usize = shape.iter().product();
    let shown = SHOWN.min(images.len() / dim);
    let (mut rows, mut labels) = (images[..shown * dim].to_vec(), vec!["original".to_owned()]);
    if let Some(mask) = mask {
        rows.extend(images.iter().zip(mask).take(shown * dim).map(|(x, part)| (1.0 - part) * x));
        labels.push("kept".to_owned());
    }
    for variation in 0..variations {
        (0..shown).for_each(|image| rows.extend_from_slice(&edits[(image * variations + variation) * dim..][..dim]));
        labels.push(if variations == 1 { "edited".to_owned() } else { format!("edited {}", variation + 1) });
    }
    Ok(labelled(&grid(&rows, shape, shown)?, &[], &labels))
}

/// By what the images of a folder are known: names stay when files are written anew.
pub(super) fn contents<'w, 'b: 'w>(
    sessions: impl IntoIterator<Item = &'w Session<'w, 'b>>,
    (way, images, mask): (Option<&Way>, &[f32], Option<&[f32]>),
    classes: &[Condition],
) -> Result<String> {
    let mut bytes = Vec::new();
    for session in sessions {
        bytes.extend(used_folder::contents_of(session)?);
    }
    bytes.extend(format!("{classes:?}").into_bytes());
    bytes.extend(way.iter().flat_map(|way| way.trajectory.levels()).flat_map(|level| (*level as u64).to_le_bytes()));
    bytes.extend(images.iter().chain(mask.unwrap_or_default()).flat_map(|x| x.to_le_bytes()));
    Ok(format!("models and images {:08x}", ddim_weights::checksum_of(&bytes)))
}

/// Root mean squared difference of edits and their images, as pixels in [0, 1].
pub(super) fn difference(images: &[f32], edits: &[f32], dim: usize, variations: usize) -> f64 {
    let of = |k: usize| &images[k / variations * dim..][..dim];
    difference_of(edits.chunks_exact(dim).enumerate().flat_map(|(k, edit)| edit.iter().zip(of(k))), edits.len())
}
