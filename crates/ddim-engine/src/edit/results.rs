//! Results of an edit: the report, the picture, and what identifies the edits in a folder.

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

/// The result of an [`Edit`](crate::Edit).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "edit")]
pub struct EditReport {
    /// The model, as named in the request.
    pub model: String,
    /// The model that decoded, if it was another.
    pub to_model: Option<String>,
    /// Number of images.
    pub images: usize,
    /// Number of edits of each image.
    pub variations: usize,
    /// Files left out, and warnings.
    pub data: DataReport,
    /// Strength of the edit, from 0 to 1.
    pub strength: f64,
    /// The level where the edit started; 0 if nothing was run.
    pub level: usize,
    /// Code timesteps in the order in which they were visited, without jumps.
    pub timesteps: Vec<usize>,
    /// Network evaluations per edit while decoding, including jumps; the second evaluation that guidance takes is not counted.
    pub evaluations: usize,
    /// Noise added while sampling.
    pub eta: Eta,
    /// How sampling steps were solved.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName))]
    pub solver: Solver,
    /// How images were encoded. None where noise was added instead.
    pub inversion: Option<Inversion>,
    /// Name of the spacing of timesteps.
    pub trajectory: String,
    /// The class of each edit, for models with classes. None where some are mixed.
    pub classes: Option<Vec<usize>>,
    /// The classes of each edit with their weights, if some are mixed.
    pub mixtures: Option<Vec<Vec<(usize, f64)>>>,
    /// Guidance scale while decoding; 1 means no guidance.
    pub guidance: f64,
    /// Levels that guidance is limited to, as fractions of T; [0, 1] is all.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub guidance_interval: [f64; 2],
    /// How far guided predictions are rescaled to their standard deviation without guidance, from 0 to 1.
    pub guidance_rescale: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Root mean squared difference between the edits and the images, of pixels in [0, 1].
    pub rms: f64,
    /// Time taken in seconds.
    pub seconds: f64,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The prepared input images, [n, c, h, w].
    #[serde(skip)]
    pub originals: Vec<f32>,
    /// The edits, [n, c, h, w] in [-1, 1], unclamped; all edits of one image precede those of the next.
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
