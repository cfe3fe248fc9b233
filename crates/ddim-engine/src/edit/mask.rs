//! Masks: which pixels are redrawn, and which are kept.

use crate::choices::Preparing;
use crate::error::{Error, Result};
use crate::inputs;
use crate::job::Watch;
use std::path::Path;

/// Masks of images [c, h, w]: 1 where something is drawn, 0 where pixels stay, for all channels of `count` images. Of a file with more of them, the first
/// `limit`. Colours count as their brightness.
pub(super) fn read(
    path: &Path,
    [c, h, w]: [usize; 3],
    (count, limit): (usize, Option<usize>),
    preparation: Preparing,
    watch: &Watch<'_>,
) -> Result<Vec<f32>> {
    // What lies around a mask, or shines through it, stays. None is left out: the others would be those of other images.
    let how = Preparing { background: Some([0; 3]), skip_bad_files: false, ..preparation };
    let read = |channels: usize| inputs::read_with(path, [channels, h, w], how, limit, false, watch);
    let masks = match read(1) {
        Ok(gray) => gray.images,
        Err(refused) => {
            let colours = read(3).map_err(|_| refused)?.images;
            let brightness = |rgb: &[f32], i: usize| 0.299 * rgb[i] + 0.587 * rgb[h * w + i] + 0.114 * rgb[2 * h * w + i];
            colours.chunks_exact(3 * h * w).flat_map(|rgb| (0..h * w).map(move |i| brightness(rgb, i))).collect()
        }
    };
    let found = masks.len() / (h * w);
    if found != 1 && found != count {
        return Err(Error::field("mask", format!("{}: {found} masks for {count} images: expected one, or one for each", path.display())));
    }
    let of = |image: usize| masks[if found == 1 { 0 } else { image } * h * w..][..h * w].iter();
    // White is white, however it was summed.
    let part = |v: &f32| ((v + 1.0) / 2.0).clamp(0.0, 1.0);
    let part = move |v: &f32| if part(v) > 1.0 - 1e-6 { 1.0 } else { part(v) };
    Ok((0..count).flat_map(|image| (0..c).flat_map(move |_| of(image).map(part))).collect())
}
