//! Grids of images in one picture.

use crate::error::{Error, ErrorKind, Result};
use crate::picture::{PAPER, Picture, count};
use ddim::to_byte;

/// Pixels between the tiles of a grid.
const GAP: usize = 2;

/// Tiles smaller than this are enlarged by a whole factor, so that a grid can be looked at.
const COMFORTABLE: usize = 64;

/// Arranges the images of a batch [n, c, h, w] in [-1, 1] in rows of `columns`. Small images are enlarged to be visible; missing ones stay blank.
///
/// # Errors
/// [`ErrorKind::Channels`] as for [`check_drawable`](crate::check_drawable); [`ErrorKind::Shape`] if `batch` is not one or more images of this shape, or
/// `columns` is 0.
///
/// ```
/// use ddim_pictures::{grid, square_columns};
///
/// let batch = vec![0.0; 6 * 64 * 64];
/// let picture = grid(&batch, [1, 64, 64], square_columns(6))?;
/// let [channels, height, width] = picture.shape();
/// assert!(channels == 1 && height >= 2 * 64 && width >= 3 * 64);
/// # Ok::<(), ddim_pictures::Error>(())
/// ```
pub fn grid(batch: &[f32], [c, h, w]: [usize; 3], columns: usize) -> Result<Picture> {
    let n = count(batch.len(), [c, h, w])?;
    if columns == 0 {
        return Err(Error::new(ErrorKind::Shape, "a grid of 0 columns: expected 1 or more"));
    }
    let scale = (COMFORTABLE / h.max(w)).max(1);
    let rows = n.div_ceil(columns);
    let (tile_h, tile_w) = (h * scale, w * scale);
    let (width, height) = (columns * (tile_w + GAP) + GAP, rows * (tile_h + GAP) + GAP);
    let mut pixels = vec![PAPER; width * height * c];
    for (i, image) in batch.chunks_exact(c * h * w).enumerate() {
        let (top, left) = (GAP + i / columns * (tile_h + GAP), GAP + i % columns * (tile_w + GAP));
        for y in 0..tile_h {
            for x in 0..tile_w {
                let at = ((top + y) * width + left + x) * c;
                for channel in 0..c {
                    pixels[at + channel] = to_byte(image[(channel * h + y / scale) * w + x / scale]);
                }
            }
        }
    }
    Ok(Picture { width, height, channels: c, pixels })
}

/// The number of columns that arranges `n` tiles closest to a square.
pub fn square_columns(n: usize) -> usize {
    (1..=n).find(|columns| columns * columns >= n).unwrap_or(1)
}

/// Puts two pictures of the same height and number of channels side by side, with a gap between them.
///
/// # Errors
/// [`ErrorKind::Shape`] if their heights or channels differ.
pub fn beside(left: &Picture, right: &Picture) -> Result<Picture> {
    if (left.height, left.channels) != (right.height, right.channels) {
        let found = format!("{:?} beside {:?}", left.shape(), right.shape());
        return Err(Error::new(ErrorKind::Shape, format!("{found}: expected the same channels and height")));
    }
    let width = left.width + 4 * GAP + right.width;
    let mut pixels = Vec::with_capacity(width * left.height * left.channels);
    let rows = |picture: &Picture| picture.width * picture.channels;
    for (left_row, right_row) in left.pixels.chunks_exact(rows(left)).zip(right.pixels.chunks_exact(rows(right))) {
        pixels.extend_from_slice(left_row);
        pixels.extend(std::iter::repeat_n(PAPER, 4 * GAP * left.channels));
        pixels.extend_from_slice(right_row);
    }
    Ok(Picture { width, pixels, ..*left })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::single;

    #[test]
    fn grids_are_nearly_square() {
        for (n, columns) in [(1, 1), (2, 2), (4, 2), (5, 3), (64, 8), (65, 9)] {
            assert_eq!(square_columns(n), columns);
        }
        let picture = grid(&[1.0; 5 * 3 * 64 * 32], [3, 64, 32], 3).unwrap();
        assert_eq!((picture.width, picture.height), (3 * 34 + 2, 2 * 66 + 2));
        assert_eq!(grid(&[1.0; 4], [1, 2, 2], 0).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(grid(&[], [1, 2, 2], 1).unwrap_err().kind(), ErrorKind::Shape);
    }

    #[test]
    fn pictures_stand_beside_each_other() {
        let [dark, light] = [-1.0, 0.0].map(|x| single(&[x; 6], [1, 2, 3]).unwrap());
        let both = beside(&dark, &light).unwrap();
        assert_eq!(both.shape(), [1, 2, 3 + 8 + 3]);
        assert_eq!(both.pixels[14..], [0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 128, 128, 128]);
        let low = single(&[0.0; 3], [1, 1, 3]).unwrap();
        let error = beside(&dark, &low).unwrap_err();
        assert_eq!(error.to_string(), "[1, 2, 3] beside [1, 1, 3]: expected the same channels and height");
    }
}
