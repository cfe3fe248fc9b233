//! The images of one array.

use super::array::Opened;
use super::header::Header;
use crate::batch::{Batch, Step, interleave};
use ddim::to_byte;
use std::io::Read;

/// How images lie in an array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    images: usize,
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    /// [c, h, w], not [h, w, c].
    planes: bool,
}

pub(super) const EXPECTED: &str = "bytes [n, h, w] or [n, h, w, c], or f16, f32 or f64 [n, c, h, w] in [-1, 1], c 1 or 3";

/// How images lie in an array that holds some; none where its type or shape is another.
pub(super) fn layout(header: &Header) -> Option<Layout> {
    let numbers = header.numbers?;
    let shape: Vec<usize> = header.shape.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?;
    if shape.contains(&0) {
        return None;
    }
    let layout = |images, size, channels, planes| Some(Layout { images, size, channels, planes });
    match (numbers, shape.as_slice()) {
        (n, &[images, h, w]) if n.is_byte() => layout(images, [h, w], 1, false),
        (n, &[images, h, w, c @ (1 | 3)]) if n.is_byte() => layout(images, [h, w], c, false),
        (n, &[images, c @ (1 | 3), h, w]) if n.is_byte() || n.is_float() => layout(images, [h, w], c, true),
        (n, &[images, h, w, c @ (1 | 3)]) if n.is_float() => layout(images, [h, w], c, false),
        _ => None,
    }
}

/// The layout of an array that should hold images.
pub(super) fn expect_layout(header: &Header) -> Step<Layout> {
    match header.numbers {
        Some(n) if n.is_byte() || n.is_float() => (),
        _ => return Err(format!("numbers of type {}: expected {EXPECTED}", header.descr)),
    }
    // [32, 32, 3] is a picture, whatever could be said of 32 that are 3 wide.
    if let [h, w, c @ (1 | 3)] = header.shape[..]
        && h > 0
        && w > 0
    {
        return Err(format!("an array of shape {:?}, a single image: expected [1, {h}, {w}, {c}]", header.shape));
    }
    layout(header).ok_or_else(|| format!("an array of shape {:?}: expected {EXPECTED}", header.shape))
}

/// Values that samples may have before they are clamped.
const MOST: f32 = 10.0;

/// The images of an array, the first `limit` of them.
pub(super) fn images<R: Read>(mut array: Opened<R>, limit: usize) -> Step<Batch> {
    let Layout { images, size, channels, planes } = expect_layout(&array.header)?;
    let numbers = array.checked(EXPECTED)?;
    let kept = images.min(limit);
    // Fits: all of it is less than the file.
    let len = size[0] * size[1] * channels;
    let mut warnings = Vec::new();
    if let [3, h, w] = array.header.shape[..] {
        warnings.push(format!("shape [3, {h}, {w}] is read as 3 gray images (one colour image is [1, 3, {h}, {w}])"));
    }
    let fortran = array.header.fortran.then(|| array.whole(numbers)).transpose()?;
    let (mut bytes, mut raw, mut floats) = (Vec::new(), Vec::new(), Vec::new());
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    let one = len * numbers.size;
    for image in 0..kept {
        raw.clear();
        match &fortran {
            Some(all) => raw.extend_from_slice(&all[image * one..][..one]),
            None => array.take(one as u64, (image * one) as u64, numbers, &mut raw)?,
        }
        if numbers.is_float() {
            floats.clear();
            numbers.singles(&raw, &mut floats);
            for x in &floats {
                (least, most) = (least.min(*x), most.max(*x));
            }
            if !floats.iter().all(|x| x.is_finite()) {
                return Err(format!("image {image} has numbers that are not finite"));
            }
            raw.clear();
            raw.extend(floats.iter().map(|x| to_byte(*x)));
        }
        if planes {
            interleave(&raw, channels, &mut bytes);
        } else {
            bytes.extend_from_slice(&raw);
        }
    }
    if kept == images && fortran.is_none() {
        array.end()?;
    }
    if numbers.is_float() && kept > 0 {
        warnings.extend(in_range([least, most])?);
    }
    Ok(Batch { size, channels, bytes, labels: None, class_names: None, warnings })
}

/// Whether the least and the largest number can be those of images in the network's scale; a warning where they hardly are.
fn in_range([least, most]: [f32; 2]) -> Step<Option<String>> {
    if least < -MOST || most > MOST {
        return Err(format!("values from {least} to {most}: expected f32 in [-1, 1]"));
    }
    Ok((least >= 0.0 && most > least).then(|| "no value below 0: data in [0, 1]? expected [-1, 1]".into()))
}

/// The same of images themselves.
pub(crate) fn check_range(images: &[f32]) -> Step<Option<String>> {
    in_range(images.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[least, most], x| [least.min(*x), most.max(*x)]))
}
