//! Archives of arrays, and the images in them with their labels.

use super::array::Opened;
use super::header::Header;
use super::images::{EXPECTED, expect_layout, images, layout};
use super::numbers::Kind;
use crate::batch::{Batch, MOST_CLASSES, Step, listed};
use std::io::{Read, Seek};
use zip::ZipArchive;

/// Arrays of an archive, by their names without the ending.
pub(super) fn names<R: Read + Seek>(archive: &ZipArchive<R>) -> Vec<(usize, String)> {
    let name = |i| Some((i, archive.name_for_index(i)?.ok()?.strip_suffix(".npy")?.to_owned()));
    (0..archive.len()).filter_map(name).collect()
}

pub(super) fn open_entry<R: Read + Seek>(archive: &mut ZipArchive<R>, index: usize) -> Step<Opened<impl Read>> {
    let entry = archive.by_index(index).map_err(|e| e.to_string())?;
    let total = entry.size();
    Opened::new(entry, total)
}

pub(super) fn in_array<T>(name: &str, step: Step<T>) -> Step<T> {
    step.map_err(|e| format!("array {name}: {e}"))
}

const LABELS: [&str; 3] = ["label", "labels", "y"];

/// The array of images of an archive, by its place.
pub(super) fn find_images(headers: &[(usize, String, Header)]) -> Step<usize> {
    let said = |all: &[&(usize, String, Header)]| {
        listed(&all.iter().map(|(_, name, header)| format!("{name} ({})", header.said())).collect::<Vec<_>>())
    };
    let found: Vec<_> = headers.iter().filter(|(.., header)| layout(header).is_some()).collect();
    match found.as_slice() {
        [(index, ..)] => return Ok(*index),
        [] => (),
        several => return Err(format!("arrays {}: expected one array of images", said(several))),
    }
    // The one that was meant, so that its own fault is named.
    let meant: Vec<_> = headers.iter().filter(|(.., header)| header.shape.len() > 2).collect();
    match (headers, meant.as_slice()) {
        ([(_, name, header)], _) | (_, [(_, name, header)]) => in_array(name, expect_layout(header)).and(Err("no images".into())),
        ([], _) => Err(format!("an archive without arrays: expected {EXPECTED}")),
        _ => Err(format!("no array of images among {}: expected {EXPECTED}", said(&headers.iter().collect::<Vec<_>>()))),
    }
}

pub(super) fn read_headers<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Step<Vec<(usize, String, Header)>> {
    let mut headers = Vec::new();
    for (index, name) in names(archive) {
        let header = in_array(&name, open_entry(archive, index).map(|opened| opened.header))?;
        headers.push((index, name, header));
    }
    Ok(headers)
}

/// Class numbers, or why an array holds none.
fn labels<R: Read>(mut array: Opened<R>, limit: usize) -> Step<Vec<usize>> {
    let numbers = array.checked("whole numbers")?;
    let bytes = array.whole(numbers)?;
    let class = |x: f64| (x.fract() == 0.0 && (0.0..MOST_CLASSES as f64).contains(&x)).then_some(x as usize);
    let mut labels = Vec::new();
    for (i, x) in numbers.numbers(&bytes).enumerate() {
        labels.push(class(x).ok_or_else(|| format!("{x} of image {i}: expected class numbers from 0 to {}", MOST_CLASSES - 1))?);
    }
    labels.truncate(limit);
    Ok(labels)
}

/// The one array of images of a `.npz`, with its labels.
pub(super) fn npz_images<R: Read + Seek>(archive: &mut ZipArchive<R>, limit: usize) -> Step<Batch> {
    let headers = read_headers(archive)?;
    let images_at = find_images(&headers)?;
    let (_, images_name, images_header) = headers.iter().find(|(index, ..)| *index == images_at).expect("found in it");
    let n = images_header.shape[0];
    let mut batch = in_array(images_name, open_entry(archive, images_at).and_then(|array| images(array, limit)))?;
    let (mut found, mut unused) = (Vec::new(), Vec::new());
    for (index, name, header) in headers.iter().filter(|(index, ..)| *index != images_at) {
        let named = LABELS.contains(&name.to_lowercase().as_str());
        let column = matches!(header.shape[..], [_] | [_, 1]) && header.numbers.is_some_and(|n| n.kind != Kind::Bool);
        if named && column && header.shape[0] != n {
            return Err(format!("array {name}: {} labels: expected {n}, one per image", header.shape[0]));
        }
        if !column || header.shape[0] != n {
            let count = if column { format!(" ({} numbers for {n} images)", header.shape[0]) } else { String::new() };
            unused.push(format!("{name}{count}"));
            continue;
        }
        match open_entry(archive, *index).and_then(|array| labels(array, limit)) {
            Ok(labels) => found.push((named, name, labels)),
            Err(e) if named => return Err(format!("array {name}: {e}")),
            Err(e) => unused.push(format!("{name} ({e})")),
        }
    }
    // A name says more than what could be labels as well.
    if found.iter().filter(|(named, ..)| *named).count() == 1 {
        unused.extend(found.iter().filter(|(named, ..)| !named).map(|(_, name, _)| (*name).clone()));
        found.retain(|(named, ..)| *named);
    }
    match found.len() {
        0 | 1 => batch.labels = found.pop().map(|(.., labels)| labels),
        _ => {
            let names: Vec<String> = found.iter().map(|(_, name, _)| (*name).clone()).collect();
            batch.warnings.push(format!("arrays {} could each be labels: none is used", listed(&names)));
        }
    }
    if let [one] = unused.as_slice() {
        batch.warnings.push(format!("array {one} is not used"));
    } else if !unused.is_empty() {
        batch.warnings.push(format!("arrays {} are not used", listed(&unused)));
    }
    Ok(batch)
}
