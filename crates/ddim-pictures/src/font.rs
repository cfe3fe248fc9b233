//! The font of all text in pictures.

use plotters::style::{FontStyle, register_font};
use std::sync::Once;

/// Part of DejaVu Sans: a system's fonts would make pictures differ.
const FONT: &[u8] = include_bytes!("../fonts/DejaVuSans-subset.ttf");

/// What plotters knows it as, and what SVG asks the viewer for.
pub(crate) const FAMILY: &str = "sans-serif";

/// Makes [`FAMILY`] known.
pub(crate) fn with_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| assert!(register_font(FAMILY, FontStyle::Normal, FONT).is_ok(), "the font is valid"));
}
