//! Animations: GIF and animated PNG.

use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;
use crate::png::encoder;
use std::path::Path;

/// Frames of an animation beyond which some are left out.
const MOST_FRAMES: usize = 100;

/// The file format of an animation.
///
/// ```
/// use ddim_pictures::{AnimationFormat, single};
///
/// let frames = [-1.0, 0.0, 1.0].map(|gray| single(&[gray; 16], [1, 4, 4]).unwrap());
/// let format = AnimationFormat::of("fade.gif".as_ref())?;
/// assert_eq!(format, AnimationFormat::Gif);
/// assert!(format.encode(&frames, false, "")?.starts_with(b"GIF89a"));
/// # Ok::<(), ddim_pictures::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnimationFormat {
    /// [`to_gif`]: small, with at most 256 colours per frame and without alpha.
    Gif,
    /// [`to_apng`]: the pictures unchanged.
    Apng,
}

impl AnimationFormat {
    /// The format for a file name: `.gif` or `.png`, in upper or lower case.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] for any other ending.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("gif") => Ok(Self::Gif),
            Some("png") => Ok(Self::Apng),
            _ => Err(Error::new(ErrorKind::Name, format!("{}: expected a name that ends in .gif or .png", path.display()))),
        }
    }

    /// Encodes an endless animation of about four seconds, which pauses on its last frame if `rest` is set. A GIF has no caption.
    ///
    /// # Errors
    /// Those of [`to_gif`] and [`to_apng`].
    pub fn encode(self, frames: &[Picture], rest: bool, caption: &str) -> Result<Vec<u8>> {
        match self {
            Self::Gif => to_gif(frames, rest),
            Self::Apng => to_apng(frames, rest, caption),
        }
    }
}

/// The indices of the frames that an animation of `total` frames shows: evenly spaced, including the first and the last.
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

/// Encodes an endless GIF of about four seconds, which pauses on its last frame if `rest` is set. Alpha is blended onto white; frames of more than 256 colours
/// lose some.
///
/// # Errors
/// [`ErrorKind::Animation`] if there are no frames, or they differ in size or are larger than a GIF can be.
pub fn to_gif(frames: &[Picture], rest: bool) -> Result<Vec<u8>> {
    first(frames)?;
    let frames: Vec<Picture> = frames.iter().map(Picture::on_paper).collect();
    let failed = |error: gif::EncodingError| Error::new(ErrorKind::Animation, &error).because(error);
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

/// Encodes an endless animated PNG of about four seconds, which pauses on its last frame if `rest` is set, with `caption` as its Description.
///
/// Colours, gray levels and alpha are those of the pictures. Software without support for animations shows the first frame.
///
/// # Errors
/// [`ErrorKind::Animation`] if there are no frames, or they differ in size.
pub fn to_apng(frames: &[Picture], rest: bool, caption: &str) -> Result<Vec<u8>> {
    let first = first(frames)?;
    let mut bytes = Vec::new();
    let mut encoder = encoder(&mut bytes, first, caption);
    encoder.set_animated(frames.len() as u32, 0).expect("there are frames");
    let mut writer = encoder.write_header().expect("writing to memory");
    for (i, frame) in frames.iter().enumerate() {
        writer.set_frame_delay(delay(i, frames.len(), rest), 100).expect("it is animated");
        writer.write_image_data(&frame.pixels).expect("as many pixels as the header says");
    }
    writer.finish().expect("writing to memory");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::single;
    use std::io::Cursor;

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
    fn an_animated_png_has_every_colour() {
        for (c, rest) in [(1, true), (2, false), (3, true), (4, false)] {
            let frames = frames(c);
            let bytes = to_apng(&frames, rest, "three of them").unwrap();
            assert_eq!(crate::png::description(Cursor::new(&bytes)).as_deref(), Some("three of them"));
            let mut reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
            let animation = reader.info().animation_control.unwrap();
            assert_eq!((animation.num_frames, animation.num_plays), (3, 0), "endless");
            let mut pixels = vec![0; c * 6];
            for (i, frame) in frames.iter().enumerate() {
                reader.next_frame(&mut pixels).unwrap();
                let control = reader.info().frame_control.unwrap();
                let delay = if rest && i == 2 { 150 } else { 40 };
                assert_eq!((&pixels, control.delay_num, control.delay_den), (&frame.pixels, delay, 100));
            }
            assert!(Picture::from_png(&bytes).unwrap_err().to_string().contains("an animation"));
        }
        let many = vec![frames(1)[0].clone(); 100];
        let bytes = to_apng(&many, false, "").unwrap();
        let reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        assert_eq!(reader.info().frame_control.unwrap().delay_num, 4);
    }

    #[test]
    fn names_say_the_format() {
        let of = |name: &str| AnimationFormat::of(Path::new(name));
        assert_eq!((of("a/b.gif").unwrap(), of("b.PNG").unwrap()), (AnimationFormat::Gif, AnimationFormat::Apng));
        for name in ["b.webp", "gif", ".png", "b.gif.txt", ""] {
            let error = of(name).unwrap_err();
            let message = format!("{name}: expected a name that ends in .gif or .png");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Name, message));
        }
        let one = &frames(3)[..1];
        assert_eq!(AnimationFormat::Gif.encode(one, true, "x").unwrap()[..4], *b"GIF8");
        assert_eq!(AnimationFormat::Apng.encode(one, true, "x").unwrap(), to_apng(one, true, "x").unwrap());
    }

    #[test]
    fn frames_that_make_no_animation() {
        let mut two = frames(1);
        two.push(single(&[0.0; 6], [1, 3, 2]).unwrap());
        let wide = single(&vec![0.0; 1 << 16], [1, 1, 1 << 16]).unwrap();
        for (frames, word) in [(vec![], "without frames"), (two, "frames of [1, 2, 3] and [1, 3, 2]")] {
            for format in [AnimationFormat::Gif, AnimationFormat::Apng] {
                let error = format.encode(&frames, false, "").unwrap_err();
                assert!(error.kind() == ErrorKind::Animation && error.to_string().contains(word), "{error}");
            }
        }
        let error = to_gif(std::slice::from_ref(&wide), false).unwrap_err();
        assert!(error.kind() == ErrorKind::Animation && error.to_string().contains("65536 x 1 pixels"), "{error}");
        assert!(to_apng(&[wide], false, "").is_ok());
    }
}
