//! Labels around a grid.

use crate::font::{FAMILY, with_font};
use crate::picture::{PAPER, Picture};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a line of labels.
const LINE: usize = 22;
const TEXT: f64 = 14.0;

/// Adds a label above each column and to the left of each row of a picture whose rows and columns are of equal size. Either list of labels may be empty. The
/// result is RGB without alpha.
///
/// ```
/// use ddim_pictures::{grid, labelled};
///
/// let pictures = grid(&[0.0; 2 * 64 * 64], [1, 64, 64], 2)?;
/// let with_words = labelled(&pictures, &["S = 10".into(), "S = 100".into()], &[]);
/// assert!(with_words.shape()[0] == 3 && with_words.shape()[1] > pictures.shape()[1]);
/// # Ok::<(), ddim_pictures::Error>(())
/// ```
pub fn labelled(picture: &Picture, columns: &[String], rows: &[String]) -> Picture {
    with_font();
    let picture = picture.in_colours();
    let style = TextStyle::from((FAMILY, TEXT).into_font()).color(&BLACK);
    let widths = rows.iter().map(|row| style.font.box_size(row).map_or(0, |(width, _)| width as usize));
    let left = widths.max().map_or(0, |width| width + 12);
    let top = if columns.is_empty() { 0 } else { LINE };
    let (width, height) = (left + picture.width, top + picture.height);
    let mut pixels = vec![PAPER; width * height * 3];
    for (y, row) in picture.pixels.chunks_exact(picture.width * 3).enumerate() {
        pixels[((top + y) * width + left) * 3..][..row.len()].copy_from_slice(row);
    }
    let middle = |i: usize, of: usize, length: usize| ((2 * i + 1) * length / (2 * of.max(1))) as i32;
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width as u32, height as u32)).into_drawing_area();
        let write = |text: &str, anchor: Pos, at: (i32, i32)| area.draw_text(text, &style.pos(anchor), at).expect("drawing to memory");
        for (i, label) in columns.iter().enumerate() {
            let at = (left as i32 + middle(i, columns.len(), picture.width), top as i32 / 2);
            write(label, Pos::new(HPos::Center, VPos::Center), at);
        }
        for (i, label) in rows.iter().enumerate() {
            let at = (left as i32 - 6, top as i32 + middle(i, rows.len(), picture.height));
            write(label, Pos::new(HPos::Right, VPos::Center), at);
        }
        area.present().expect("drawing to memory");
    }
    Picture { width, height, channels: 3, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_beside_the_picture() {
        let picture = Picture { width: 64, height: 32, channels: 3, pixels: vec![7; 64 * 32 * 3] };
        let out = labelled(&picture, &["10".into(), "20".into()], &["η = 0".into()]);
        assert_eq!((out.width - 64 > 12, out.height), (true, 32 + LINE));
        assert_eq!(out.pixels.iter().filter(|b| **b == 7).count(), 64 * 32 * 3);
        assert!(out.pixels[..out.width * LINE * 3].contains(&0), "ink above the columns");
        assert_eq!(labelled(&picture, &[], &[]), picture);
    }
}
