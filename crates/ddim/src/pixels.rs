//! Conversion between bytes of pictures and image elements in [-1, 1].

/// Converts a number in [-1, 1] to a byte: clamps it, then rounds 255 (x + 1)/2 half up, as the authors' code does.
///
/// ```
/// assert_eq!([-7.0, -1.0, 0.0, 1.0].map(ddim::to_byte), [0, 0, 128, 255]);
/// ```
pub fn to_byte(x: f32) -> u8 {
    ((x.clamp(-1.0, 1.0) + 1.0) * 0.5 * 255.0 + 0.5).floor() as u8
}

/// Converts a byte to a number in [-1, 1].
///
/// ```
/// assert_eq!((ddim::from_byte(0), ddim::from_byte(255)), (-1.0, 1.0));
/// assert!((0..=255).all(|byte| ddim::to_byte(ddim::from_byte(byte)) == byte));
/// ```
pub fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 255.0 * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_half_up_after_clamping() {
        for (x, b) in [(-2.0, 0), (-1.0, 0), (0.0, 128), (1.0, 255), (9.0, 255), (f32::NAN, 0)] {
            assert_eq!(to_byte(x), b, "{x}");
        }
        for b in 0..=255 {
            assert_eq!(to_byte(from_byte(b)), b);
        }
    }
}
