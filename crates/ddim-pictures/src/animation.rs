//! Pictures that follow each other: GIF.

use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;

/// Frames of an animation beyond which some are left out.
const MOST_FRAMES: usize = 100;

/// The numbers of the frames that an animation of `total` frames shows: evenly spaced, the first and the last among them.
pub fn shown_frames(total: usize) -> Vec<usize> {
    let shown = total.min(MOST_FRAMES);
    (0..shown).map(|i| if shown > 1 { i * (total - 1) / (shown - 1) } else { 0 }).collect()
}

/// The first of frames that make an animation: one or more of one size.
fn first(frames: &[Picture]) -> Result<&Picture> {
    let Some(first) = frames.first() else { return Err(Error::new(ErrorKind::Animation, "an animation without frames")) };
    match frames.iter().find(|frame| frame.shape() != first.shape()) {
        None => Ok(first),
        Some(other) => {
            let found = format!("frames of {:?} and {:?}", first.shape(), other.shape());
            Err(Error::new(ErrorKind::Animation, format!("{found}: expected one size")))
        }
    }
}

/// How long frame `i` of `frames` stays, in hundredths of a second: about four seconds for all, and longer for the last where it rests.
fn delay(i: usize, frames: usize, rest: bool) -> u16 {
    if rest && i + 1 == frames {
        return 150;
    }
    // Viewers slow down below 2.
    (400 / frames).clamp(3, 40) as u16
}

/// An endless GIF of about four seconds, which rests on its last frame where `rest` says so. Alpha is laid on paper; frames of more colours than 256
/// lose some.
///
/// # Errors
/// [`ErrorKind::Animation`] where there are no frames, or they are of several sizes, or larger than a GIF can be.
pub fn to_gif(frames: &[Picture], rest: bool) -> Result<Vec<u8>> {
    first(frames)?;
    let frames: Vec<Picture> = frames.iter().map(Picture::on_paper).collect();
    let failed = |error: gif::EncodingError| Error::new(ErrorKind::Animation, error);
    let (width, height) = (frames[0].width, frames[0].height);
    let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Error::new(ErrorKind::Animation, format!("an animation of {width} x {height} pixels: a GIF has at most 65535")));
    };
    let gray: Vec<u8> = if frames[0].channels == 1 { (0..=255).flat_map(|v| [v; 3]).collect() } else { Vec::new() };
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &gray).map_err(failed)?;
    encoder.set_repeat(gif::Repeat::Infinite).map_err(failed)?;
    for (i, picture) in frames.iter().enumerate() {
        // Gray pixels index the file's palette, colours get one of their own.
        let mut frame = match picture.channels {
            1 => gif::Frame { width, height, buffer: picture.pixels.as_slice().into(), ..gif::Frame::default() },
            _ => gif::Frame::from_rgb_speed(width, height, &picture.pixels, 10),
        };
        frame.delay = delay(i, frames.len(), rest);
        encoder.write_frame(&frame).map_err(failed)?;
    }
    drop(encoder);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::single;

    fn frames(c: usize) -> Vec<Picture> {
        [-1.0, 0.0, 1.0].iter().map(|x| single(&vec![*x; c * 6], [c, 2, 3]).unwrap()).collect()
    }

    #[test]
    fn long_animations_are_thinned_out() {
        assert_eq!((shown_frames(0), shown_frames(1), shown_frames(3)), (vec![], vec![0], vec![0, 1, 2]));
        let many = shown_frames(1001);
        assert_eq!((many.len(), many[0], many[99]), (100, 0, 1000));
    }

    #[test]
    fn a_gif_is_endless_and_rests() {
        for c in 1..=4 {
            let bytes = to_gif(&frames(c), true).unwrap();
            let mut options = gif::DecodeOptions::new();
            options.set_color_output(gif::ColorOutput::RGBA);
            let mut decoder = options.read_info(&bytes[..]).unwrap();
            let mut delays = Vec::new();
            while let Some(frame) = decoder.read_next_frame().unwrap() {
                assert_eq!((frame.width, frame.height), (3, 2));
                delays.push(frame.delay);
            }
            assert_eq!((delays, decoder.repeat()), (vec![40, 40, 150], gif::Repeat::Infinite));
        }
    }

    #[test]
    fn frames_that_make_no_animation() {
        let mut two = frames(1);
        two.push(single(&[0.0; 6], [1, 3, 2]).unwrap());
        let wide = single(&vec![0.0; 1 << 16], [1, 1, 1 << 16]).unwrap();
        for (frames, word) in [(vec![], "without frames"), (two, "frames of [1, 2, 3] and [1, 3, 2]"), (vec![wide], "65536 x 1 pixels")] {
            let error = to_gif(&frames, false).unwrap_err();
            assert!(error.kind() == ErrorKind::Animation && error.to_string().contains(word), "{error}");
        }
    }
}
