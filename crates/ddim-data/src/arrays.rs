//! NumPy's arrays: `.npy` files and `.npz` archives of them.
//!
//! Headers are NEP 1's, versions 1 to 3, read strictly: a dictionary of `descr`, `fortran_order` and `shape`. Nothing of the size that a header
//! claims is allocated before the file is known to be that large; entries of an archive are read as they come.

use crate::batch::{Batch, MOST_CLASSES, Step, in_file, interleave, listed};
use crate::error::{Error, Result};
use ddim::to_byte;
use half::f16;
use npyz::WriterBuilder;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// What numbers an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

/// The type of an array's numbers, as NumPy spells it: `|u1`, `<f4`, `>i8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    kind: Kind,
    /// Bytes of a number.
    pub(crate) size: usize,
    big: bool,
}

impl Numbers {
    /// None for types that hold no real numbers, or longer ones than f64.
    pub(crate) fn parse(descr: &str) -> Option<Self> {
        let (big, rest) = match descr.as_bytes().first()? {
            b'>' => (true, &descr[1..]),
            b'<' | b'|' | b'=' => (false, &descr[1..]),
            _ => (false, descr),
        };
        let (kind, size) = match rest {
            "b1" | "?" => (Kind::Bool, 1),
            "u1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "f2" => (Kind::Float, 2),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self { kind, size, big })
    }

    fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// Whether these are unsigned bytes.
    pub(crate) fn is_byte(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// The number in `bytes`, of which there are `size`; integers beyond 2⁵³ are rounded.
    fn number(self, bytes: &[u8]) -> f64 {
        let mut b = [0; 8];
        b[..self.size].copy_from_slice(&bytes[..self.size]);
        if self.big {
            b[..self.size].reverse();
        }
        let whole = u64::from_le_bytes(b);
        match (self.kind, self.size) {
            (Kind::Float, 2) => f64::from(f16::from_bits(whole as u16).to_f32()),
            (Kind::Float, 4) => f64::from(f32::from_bits(whole as u32)),
            (Kind::Float, _) => f64::from_bits(whole),
            (Kind::Signed, size) => {
                let unused = 64 - 8 * size as u32;
                (((whole << unused) as i64) >> unused) as f64
            }
            (Kind::Bool | Kind::Unsigned, _) => whole as f64,
        }
    }

    /// All numbers of `bytes`.
    pub(crate) fn numbers(self, bytes: &[u8]) -> impl Iterator<Item = f64> {
        bytes.chunks_exact(self.size).map(move |b| self.number(b))
    }

    /// All numbers of `bytes` as f32.
    fn singles(self, bytes: &[u8], out: &mut Vec<f32>) {
        match (self.kind, self.size, self.big) {
            // The one that is common and large.
            (Kind::Float, 4, false) => out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            _ => out.extend(self.numbers(bytes).map(|x| x as f32)),
        }
    }
}

/// What a `.npy` file says of its array.
#[derive(Debug, Clone, PartialEq)]
struct Header {
    descr: String,
    /// None for types that are not read.
    numbers: Option<Numbers>,
    fortran: bool,
    shape: Vec<u64>,
    /// Bytes of the file before the array's.
    len: u64,
}

/// The longest header, of which NumPy reads 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 16;

impl Header {
    fn read(reader: &mut impl Read) -> Step<Self> {
        let mut first = Vec::new();
        reader.take(8).read_to_end(&mut first).map_err(|e| e.to_string())?;
        if first.len() < 8 || first[..6] != *b"\x93NUMPY" {
            return Err("not a .npy file: it does not begin as one".into());
        }
        let width = match (first[6], first[7]) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            (major, minor) => return Err(format!("not a .npy file: version {major}.{minor}: expected 1.0 to 3.0")),
        };
        let mut len = [0; 4];
        reader.read_exact(&mut len[..width]).map_err(|_| "not a .npy file: it ends within its header")?;
        let len = u32::from_le_bytes(len) as usize;
        if len > LONGEST_HEADER {
            return Err(format!("not a .npy file: a header of {len} bytes"));
        }
        let mut text = Vec::new();
        reader.take(len as u64).read_to_end(&mut text).map_err(|e| e.to_string())?;
        if text.len() < len {
            return Err("not a .npy file: it ends within its header".into());
        }
        let parsed = Literal { text: &text, at: 0 }.header();
        let (descr, fortran, shape) = parsed.ok_or("not a .npy file: a header without descr, fortran_order and shape")?;
        let numbers = Numbers::parse(&descr);
        Ok(Self { descr, numbers, fortran, shape, len: (8 + width + len) as u64 })
    }

    /// Bytes of the array; more than any file where that is no number.
    fn bytes(&self, size: usize) -> u128 {
        self.shape.iter().fold(size as u128, |total, &n| total.saturating_mul(n.into()))
    }

    /// The error of an array of which `found` bytes are there.
    fn short(&self, found: u64, numbers: Numbers) -> String {
        format!("too short for shape {:?}: {found} bytes of data: expected {}", self.shape, self.bytes(numbers.size))
    }

    /// Like NumPy's own way of saying it.
    fn said(&self) -> String {
        format!("{} {:?}", self.descr, self.shape)
    }
}

/// The Python literal of a header. It knows no nesting but that of a type, which is passed over.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn header(mut self) -> Option<(String, bool, Vec<u64>)> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.skip(b'{')?;
        loop {
            match self.next()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let key = self.string()?;
                    self.skip(b':')?;
                    match key.as_str() {
                        "descr" => descr = Some(self.dtype()?),
                        "fortran_order" => fortran = Some(self.boolean()?),
                        "shape" => shape = Some(self.shape()?),
                        _ => return None,
                    }
                }
            }
        }
        Some((descr?, fortran?, shape?))
    }

    /// The next byte that is no space, which stays.
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, expected: u8) -> Option<()> {
        let found = self.next()?;
        self.at += 1;
        (found == expected).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.next().filter(|b| matches!(b, b'\'' | b'"'))?;
        let rest = &self.text[self.at + 1..];
        let len = rest.iter().position(|b| *b == quote)?;
        self.at += len + 2;
        Some(String::from_utf8_lossy(&rest[..len]).into_owned())
    }

    /// A plain type, or the beginning of what a record is written as.
    fn dtype(&mut self) -> Option<String> {
        if self.next()? != b'[' {
            return self.string();
        }
        let (start, mut depth, mut quote) = (self.at, 0usize, None);
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match (quote, byte) {
                (Some(open), _) => quote = Some(open).filter(|open| *open != byte),
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[') => depth += 1,
                (None, b']') if depth == 1 => break,
                (None, b']') => depth -= 1,
                _ => (),
            }
        }
        let whole = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        Some(if whole.chars().count() > 60 { whole.chars().take(60).chain("...".chars()).collect() } else { whole })
    }

    fn boolean(&mut self) -> Option<bool> {
        self.next()?;
        let rest = &self.text[self.at..];
        let value = [(&b"True"[..], true), (b"False", false)].into_iter().find(|(word, _)| rest.starts_with(word));
        value.map(|(word, value)| {
            self.at += word.len();
            value
        })
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        let end = match self.next()? {
            b'(' => b')',
            b'[' => b']',
            _ => return None,
        };
        self.at += 1;
        let mut shape = Vec::new();
        loop {
            match self.next()? {
                b if b == end => {
                    self.at += 1;
                    // NumPy has 64 dimensions at most.
                    return (shape.len() <= 64).then_some(shape);
                }
                b',' => self.at += 1,
                _ => {
                    let digits = self.text[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
                    let number = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok()?;
                    shape.push(number.parse().ok()?);
                    self.at += digits;
                    // Python 2's long integers.
                    self.at += usize::from(self.text.get(self.at) == Some(&b'L'));
                }
            }
        }
    }
}

/// An array of which the header was read.
struct Opened<R> {
    header: Header,
    /// Its numbers, and perhaps more.
    reader: R,
    /// Bytes after the header, as the file or archive says.
    available: u64,
}

impl<R: Read> Opened<R> {
    fn new(mut reader: R, total: u64) -> Step<Self> {
        let header = Header::read(&mut reader)?;
        let available = total.saturating_sub(header.len);
        Ok(Self { header, reader, available })
    }

    /// The type of numbers, of which as many are there as the header says.
    fn checked(&self, expected: &str) -> Step<Numbers> {
        let numbers = self.header.numbers.ok_or_else(|| format!("numbers of type {}: expected {expected}", self.header.descr))?;
        if self.header.bytes(numbers.size) > u128::from(self.available) {
            return Err(self.header.short(self.available, numbers));
        }
        Ok(numbers)
    }

    /// The next `len` bytes; memory grows with what is there.
    fn take(&mut self, len: u64, before: u64, numbers: Numbers, out: &mut Vec<u8>) -> Step<()> {
        let found = self.reader.by_ref().take(len).read_to_end(out).map_err(|e| e.to_string())?;
        if (found as u64) < len {
            return Err(self.header.short(before + found as u64, numbers));
        }
        Ok(())
    }

    /// The whole array in C order, of numbers that were checked.
    fn whole(&mut self, numbers: Numbers) -> Step<Vec<u8>> {
        let (mut bytes, len) = (Vec::new(), self.header.bytes(numbers.size) as u64);
        self.take(len, 0, numbers, &mut bytes)?;
        self.end()?;
        if self.header.fortran {
            bytes = from_fortran(&bytes, &self.header.shape, numbers.size);
        }
        Ok(bytes)
    }

    /// Reads on by a byte: an archive compares its checksum when an entry ends.
    fn end(&mut self) -> Step<()> {
        self.reader.read(&mut [0]).map(|_| ()).map_err(|e| e.to_string())
    }
}

/// An array whose first index runs fastest, as one whose last does.
fn from_fortran(bytes: &[u8], shape: &[u64], size: usize) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new(); // of a shape whose other numbers may be anything
    }
    let shape: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
    let strides: Vec<usize> = shape
        .iter()
        .scan(size, |stride, n| {
            let here = *stride;
            *stride *= n;
            Some(here)
        })
        .collect();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    while out.len() < bytes.len() {
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

/// How images lie in an array.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    images: usize,
    size: [usize; 2],
    channels: usize,
    /// [c, h, w], not [h, w, c].
    planes: bool,
}

const EXPECTED: &str = "bytes [n, h, w] or [n, h, w, c], or f16, f32 or f64 [n, c, h, w] in [-1, 1], c 1 or 3";

/// How images lie in an array that holds some; none where its type or shape is another.
fn layout(header: &Header) -> Option<Layout> {
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
fn expect_layout(header: &Header) -> Step<Layout> {
    match header.numbers {
        Some(n) if n.is_byte() || n.is_float() => (),
        _ => return Err(format!("numbers of type {}: expected {EXPECTED}", header.descr)),
    }
    // [32, 32, 3] is a picture, whatever could be said of 32 that are 3 wide.
    if let [h, w, c @ (1 | 3)] = header.shape[..]
        && h > 0
        && w > 0
    {
        return Err(format!("an array of shape {:?}, as of one image: expected [1, {h}, {w}, {c}]", header.shape));
    }
    layout(header).ok_or_else(|| format!("an array of shape {:?}: expected {EXPECTED}", header.shape))
}

/// Values that samples may have before they are clamped.
const MOST: f32 = 10.0;

/// The images of an array, the first `limit` of them.
fn images<R: Read>(mut array: Opened<R>, limit: usize) -> Step<Batch> {
    let Layout { images, size, channels, planes } = expect_layout(&array.header)?;
    let numbers = array.checked(EXPECTED)?;
    let kept = images.min(limit);
    // Fits: all of it is less than the file.
    let len = size[0] * size[1] * channels;
    let mut warnings = Vec::new();
    if let [3, h, w] = array.header.shape[..] {
        warnings.push(format!("shape [3, {h}, {w}] is read as 3 gray images (one in colours is [1, 3, {h}, {w}])"));
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

/// Arrays of an archive, by their names without the ending.
fn names<R: Read + Seek>(archive: &ZipArchive<R>) -> Vec<(usize, String)> {
    let name = |i| Some((i, archive.name_for_index(i)?.ok()?.strip_suffix(".npy")?.to_owned()));
    (0..archive.len()).filter_map(name).collect()
}

fn open_entry<R: Read + Seek>(archive: &mut ZipArchive<R>, index: usize) -> Step<Opened<impl Read>> {
    let entry = archive.by_index(index).map_err(|e| e.to_string())?;
    let total = entry.size();
    Opened::new(entry, total)
}

fn in_array<T>(name: &str, step: Step<T>) -> Step<T> {
    step.map_err(|e| format!("array {name}: {e}"))
}

const LABELS: [&str; 3] = ["label", "labels", "y"];

/// The array of images of an archive, by its place.
fn find_images(headers: &[(usize, String, Header)]) -> Step<usize> {
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

fn read_headers<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Step<Vec<(usize, String, Header)>> {
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
fn npz_images<R: Read + Seek>(archive: &mut ZipArchive<R>, limit: usize) -> Step<Batch> {
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
            return Err(format!("array {name}: {} labels: expected {n}, one an image", header.shape[0]));
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
            batch.warnings.push(format!("arrays {} may each be labels: none is taken", listed(&names)));
        }
    }
    if let [one] = unused.as_slice() {
        batch.warnings.push(format!("array {one} is not used"));
    } else if !unused.is_empty() {
        batch.warnings.push(format!("arrays {} are not used", listed(&unused)));
    }
    Ok(batch)
}

/// Whether bytes begin as those of an archive do.
fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// A file, or what came through a pipe.
trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// Looks at the first bytes of a source and goes back.
fn first_bytes(source: &mut (impl Read + Seek)) -> std::io::Result<Vec<u8>> {
    let mut first = Vec::new();
    source.by_ref().take(8).read_to_end(&mut first)?;
    source.rewind()?;
    Ok(first)
}

fn open(path: &Path) -> Result<Box<dyn Source>> {
    let io = |e| Error::at(path, e);
    let mut file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_file() {
        return Ok(Box::new(BufReader::new(file)));
    }
    // Arrays may come from another program; nothing else may, without end.
    let mut bytes = Vec::new();
    file.by_ref().take(8).read_to_end(&mut bytes).map_err(io)?;
    if bytes.starts_with(b"\x93NUMPY") || is_zip(&bytes) {
        file.read_to_end(&mut bytes).map_err(io)?;
    }
    Ok(Box::new(Cursor::new(bytes)))
}

/// A `.npy` or `.npz`, by its first bytes.
enum Container<R> {
    Npy(Opened<R>),
    Npz(Box<ZipArchive<R>>),
}

impl<R: Read + Seek> Container<R> {
    fn of(mut source: R) -> Step<Self> {
        let io = |e: std::io::Error| e.to_string();
        let first = first_bytes(&mut source).map_err(io)?;
        if is_zip(&first) {
            let archive = ZipArchive::new(source).map_err(|e| format!("not a .npz file: {e}"))?;
            return Ok(Self::Npz(Box::new(archive)));
        }
        let total = source.seek(SeekFrom::End(0)).map_err(io)?;
        source.rewind().map_err(io)?;
        Ok(Self::Npy(Opened::new(source, total)?))
    }
}

fn opened(path: &Path) -> Result<Container<Box<dyn Source>>> {
    let named_npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    let container = Container::of(open(path)?);
    in_file(path, container.map_err(|e| if named_npz { e.replacen("not a .npy file", "not a .npz file", 1) } else { e }))
}

fn batch_of<R: Read + Seek>(container: Container<R>, limit: usize) -> Step<Batch> {
    match container {
        Container::Npy(array) => images(array, limit),
        Container::Npz(mut archive) => npz_images(&mut archive, limit),
    }
}

/// Whether a file is an array, or an archive of arrays, whatever its name.
pub(crate) fn is_array(path: &Path) -> bool {
    let Some(mut file) = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file())) else { return false };
    match first_bytes(&mut file) {
        Ok(first) if first.starts_with(b"\x93NUMPY") => true,
        Ok(first) if is_zip(&first) => {
            ZipArchive::new(BufReader::new(file)).is_ok_and(|archive| !archive.is_empty() && names(&archive).len() == archive.len())
        }
        _ => false,
    }
}

/// The first `limit` images of a `.npy`, or of the one array of a `.npz` that holds images, with the labels beside them.
///
/// Images are bytes [n, h, w], [n, h, w, c] or [n, c, h, w], or f16, f32 or f64 [n, c, h, w] or [n, h, w, c] in [-1, 1], which are clamped.
///
/// # Errors
/// Another kind of file; other shapes or numbers; more than one array of images; numbers beyond ±10 or not finite; labels of another count.
pub(crate) fn read_batch(path: &Path, limit: usize) -> Result<Batch> {
    Ok(in_file(path, batch_of(opened(path)?, limit))?.of_file(path))
}

fn shape_in<R: Read + Seek>(container: Container<R>) -> Step<[usize; 3]> {
    let Layout { size: [h, w], channels, .. } = match container {
        Container::Npy(array) => expect_layout(&array.header)?,
        Container::Npz(mut archive) => {
            let headers = read_headers(&mut archive)?;
            let index = find_images(&headers)?;
            let (_, name, header) = headers.iter().find(|(i, ..)| *i == index).expect("found in it");
            in_array(name, expect_layout(header))?
        }
    };
    Ok([channels, h, w])
}

/// Whether a `.npy`, or a `.npz` of one array, holds floats.
///
/// # Errors
/// Another kind of file, a broken header.
pub(crate) fn is_floats(path: &Path) -> Result<bool> {
    let header = match opened(path)? {
        Container::Npy(array) => Some(array.header),
        Container::Npz(mut archive) => {
            let mut headers = in_file(path, read_headers(&mut archive))?;
            if headers.len() == 1 { headers.pop().map(|(.., header)| header) } else { None }
        }
    };
    Ok(header.is_some_and(|header| header.numbers.is_some_and(Numbers::is_float)))
}

/// Channels, height and width of the images of a `.npy` or `.npz`, of which only headers are read.
///
/// # Errors
/// As [`read_batch`]'s, as far as headers tell.
pub(crate) fn shape_of(path: &Path) -> Result<[usize; 3]> {
    in_file(path, shape_in(opened(path)?))
}

/// Floats of a batch [n, c, h, w], with that shape, which must be of `shape` [c, h, w] where that is given.
fn floats_of<R: Read>(mut array: Opened<R>, shape: Option<[usize; 3]>) -> Step<([usize; 4], Vec<f32>)> {
    let found: Vec<usize> = array.header.shape.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect();
    let expected = || shape.map_or("[n, c, h, w]".into(), |[c, h, w]| format!("[n, {c}, {h}, {w}]"));
    let right = !found.contains(&0) && shape.is_none_or(|shape| found.get(1..) == Some(&shape[..]));
    let (&[n, c, h, w], true) = (found.as_slice(), right) else {
        return Err(format!("an array of shape {found:?}: expected {}", expected()));
    };
    let wrong = "f32 (or f16, f64) in [-1, 1]";
    if !array.header.numbers.is_some_and(Numbers::is_float) {
        return Err(format!("numbers of type {}: expected {wrong}", array.header.descr));
    }
    let numbers = array.checked(wrong)?;
    let bytes = array.whole(numbers)?;
    let mut data = Vec::with_capacity(bytes.len() / numbers.size);
    numbers.singles(&bytes, &mut data);
    if let Some(at) = data.iter().position(|x| !x.is_finite()) {
        return Err(format!("{} in image {}: expected finite numbers", data[at], at / (c * h * w)));
    }
    Ok(([n, c, h, w], data))
}

fn floats_in<R: Read + Seek>(container: Container<R>, shape: Option<[usize; 3]>) -> Step<([usize; 4], Vec<f32>)> {
    match container {
        Container::Npy(array) => floats_of(array, shape),
        Container::Npz(mut archive) => match names(&archive).as_slice() {
            [(index, name)] => in_array(name, open_entry(&mut archive, *index).and_then(|array| floats_of(array, shape))),
            several => Err(format!("an archive of {} arrays: expected a .npy, or one array", several.len())),
        },
    }
}

/// A batch of floats [n, c, h, w] of images of `shape` [c, h, w], unclamped, in the network's scale [-1, 1]; f16 and f64 are converted.
///
/// # Errors
/// Another kind of file, another shape or type, numbers that are not finite.
pub fn read_floats(path: &Path, shape: [usize; 3]) -> Result<Vec<f32>> {
    Ok(in_file(path, floats_in(opened(path)?, Some(shape)))?.1)
}

/// As [`read_floats`], of images of any shape, with the shape [n, c, h, w] that was found.
///
/// # Errors
/// Another kind of file, other than four dimensions, another type, numbers that are not finite.
pub fn read_floats_any(path: &Path) -> Result<([usize; 4], Vec<f32>)> {
    in_file(path, floats_in(opened(path)?, None))
}

/// The bytes of a `.npy` file of images of `shape` [c, h, w], which follow each other in `data`.
///
/// # Panics
/// On an empty shape, or a part of an image.
pub fn npy_bytes(data: &[f32], shape: [usize; 3]) -> Vec<u8> {
    let [c, h, w] = shape;
    let mut bytes = Vec::with_capacity(data.len() * 4 + 128);
    let shape = [data.len() / (c * h * w), c, h, w].map(|d| d as u64);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().expect("writing to memory");
    writer.extend(data.iter().copied()).and_then(|()| writer.finish()).expect("writing to memory");
    bytes
}

/// An array of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct RealArray {
    /// Its sizes, the slowest first.
    pub shape: Vec<usize>,
    /// Its numbers in C order.
    pub data: Vec<f64>,
    /// The distance from 1 to the next number of the file's type.
    pub epsilon: f64,
}

/// An open `.npz`, for those who know the names in it.
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens an archive; no array is read.
    ///
    /// # Errors
    /// A file that is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::at(path, e))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| Error::at(path, format!("not a .npz file: {e}")))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// The names of its arrays, without their ending, as they come.
    pub fn names(&self) -> Vec<String> {
        names(&self.archive).into_iter().map(|(_, name)| name).collect()
    }

    /// An array in C order, of any type of real numbers; none where there is no array of that name.
    ///
    /// # Errors
    /// Other types; fewer numbers than the shape says.
    pub fn numbers(&mut self, name: &str) -> Result<Option<RealArray>> {
        let Some(index) = self.archive.index_for_name(&format!("{name}.npy")) else { return Ok(None) };
        let read = open_entry(&mut self.archive, index).and_then(numbers_of);
        in_file(&self.path, in_array(name, read)).map(Some)
    }
}

fn numbers_of<R: Read>(mut array: Opened<R>) -> Step<RealArray> {
    let numbers = array.checked("real numbers")?;
    let bytes = array.whole(numbers)?;
    let shape = array.header.shape.iter().map(|n| *n as usize).collect();
    let epsilon = match (numbers.kind, numbers.size) {
        (Kind::Float, 2) => f64::from(half::f16::EPSILON),
        (Kind::Float, 4) => f64::from(f32::EPSILON),
        _ => f64::EPSILON,
    };
    Ok(RealArray { shape, data: numbers.numbers(&bytes).collect(), epsilon })
}

/// The shape and numbers of a `.npy` file in memory, as [`Npz::numbers`].
///
/// # Errors
/// As there; one line that names no file.
pub fn npy_numbers(bytes: &[u8]) -> Result<RealArray> {
    Opened::new(bytes, bytes.len() as u64).and_then(numbers_of).map_err(Error::new)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fuzz::fuzz;
    use std::io::Write;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    pub(crate) fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn singles(data: impl IntoIterator<Item = f32>) -> Vec<u8> {
        data.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    pub(crate) fn zip(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn read(bytes: &[u8]) -> Step<Batch> {
        batch_of(Container::of(Cursor::new(bytes))?, usize::MAX)
    }

    fn refused(bytes: &[u8], expected: &str) {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}: expected {expected}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn bytes_in_every_layout() {
        let data: Vec<u8> = (0..2 * 2 * 4 * 3).collect();
        let last = read(&npy("|u1", "False", "(2, 2, 4, 3)", &data)).unwrap();
        assert_eq!((last.size, last.channels, last.len()), ([2, 4], 3, 2));
        assert_eq!(last.bytes, data);
        assert!(last.warnings.is_empty());
        let first = read(&npy("|u1", "False", "(2, 3, 2, 4)", &data)).unwrap();
        assert_eq!((first.size, first.channels), ([2, 4], 3));
        assert_eq!(first.bytes[..6], [0, 8, 16, 1, 9, 17]);
        let gray = read(&npy("|u1", "False", "(2, 4, 6)", &data)).unwrap();
        assert_eq!((gray.size, gray.channels, gray.bytes), ([4, 6], 1, data.clone()));
        let limited = batch_of(Container::of(Cursor::new(npy("|u1", "False", "(2, 4, 6)", &data))).unwrap(), 1).unwrap();
        assert_eq!(limited.bytes, data[..24]);
        // Columns first, as MATLAB and NumPy's transposes are written.
        let mut fortran = vec![0; data.len()];
        for (i, byte) in data.iter().enumerate() {
            let (n, y, x, c) = (i / 24, i / 12 % 2, i / 3 % 4, i % 3);
            fortran[n + 2 * (y + 2 * (x + 4 * c))] = *byte;
        }
        assert_eq!(read(&npy("|u1", "True", "(2, 2, 4, 3)", &fortran)).unwrap().bytes, data);
    }

    #[test]
    fn floats_of_every_width() {
        let values: Vec<f32> = (0..2 * 3 * 16).map(|i| i as f32 / 48.0 - 1.0).collect();
        let expected: Vec<u8> = {
            let planes: Vec<u8> = values.iter().map(|x| to_byte(*x)).collect();
            let mut out = Vec::new();
            planes.chunks_exact(48).for_each(|image| interleave(image, 3, &mut out));
            out
        };
        let doubles: Vec<u8> = values.iter().flat_map(|x| f64::from(*x).to_be_bytes()).collect();
        for bytes in [npy("<f4", "False", "(2, 3, 4, 4)", &singles(values.clone())), npy(">f8", "False", "(2, 3, 4, 4)", &doubles)] {
            let batch = read(&bytes).unwrap();
            assert_eq!((batch.bytes, batch.warnings.len()), (expected.clone(), 0));
        }
        let halves: Vec<u8> = (0..16).flat_map(|i| f16::from_f32(i as f32 / 8.0 - 1.0).to_le_bytes()).collect();
        let batch = read(&npy("<f2", "False", "(1, 4, 4, 1)", &halves)).unwrap();
        assert_eq!(batch.bytes[..3], [0, 16, 32]);
        let wide = npy("<f4", "False", "(1, 1, 2, 2)", &singles([-9.5, 0.0, 0.0, 9.5]));
        assert_eq!(read(&wide).unwrap().bytes, [0, 128, 128, 255], "unclamped samples");
    }

    #[test]
    fn floats_that_are_no_images_in_the_networks_scale() {
        let of = |values: [f32; 8]| npy("<f4", "False", "(2, 1, 2, 2)", &singles(values));
        refused(&of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 255.0]), "values from 0 to 255: expected f32 in [-1, 1]");
        refused(&of([0.0, -300.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]), "values from -300 to 0.5");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            refused(&of([0.0, 0.0, 0.0, 0.0, 0.0, bad, 0.0, 0.0]), "image 1 has numbers that are not finite");
        }
        let warned = read(&of([0.0, 0.5, 1.0, 0.0, 0.0, 0.5, 1.0, 0.0])).unwrap().warnings;
        assert_eq!(warned, ["no value below 0: data in [0, 1]? expected [-1, 1]"]);
        assert!(read(&of([0.0; 8])).unwrap().warnings.is_empty(), "gray pictures are nothing to warn of");
    }

    #[test]
    fn arrays_that_are_refused() {
        refused(&npy("<c8", "False", "(1, 3, 4, 4)", &[0; 384]), "numbers of type <c8: expected bytes");
        refused(&npy("<i8", "False", "(1, 4, 4)", &[0; 128]), "numbers of type <i8");
        refused(&npy("|b1", "False", "(1, 4, 4)", &[0; 16]), "numbers of type |b1");
        refused(&npy("<f4", "False", "(1, 3, 16, 16)", &[0; 472]), "472 bytes of data: expected 3072");
        refused(&npy("|u1", "False", "(99999999999, 32, 32, 3)", &[0; 100]), "100 bytes of data");
        refused(&npy("|u1", "False", "(18446744073709551615, 32, 32, 3)", &[0; 100]), "100 bytes of data");
        refused(&npy("|u1", "False", "(32, 32, 3)", &[0; 3072]), "as of one image: expected [1, 32, 32, 3]");
        refused(&npy("|u1", "False", "(10, 784)", &[0; 7840]), "an array of shape [10, 784]");
        refused(&npy("|u1", "False", "(0, 4, 4)", &[]), "an array of shape [0, 4, 4]");
        refused(&npy("|u1", "False", "(2, 4, 4, 4)", &[0; 128]), "an array of shape [2, 4, 4, 4]");
        refused(b"\x93NUMPY\x03\x00\xff\xff\xff\xff{", "a header of 4294967295 bytes");
        refused(b"\x93NUMPY\x01\x00\x76\x00{'descr'", "ends within its header");
        refused(b"text", "not a .npy file");
        refused(b"", "not a .npy file");
        refused(&npy("|u1', 'descr': [('a', '<f4'), ('b", "False", "(1,)", &[]), "without descr");
        let record = b"{'descr': [('a', '<f4'), ('b', '<f4', (2,))], 'fortran_order': False, 'shape': (1,), }";
        let bytes = [b"\x93NUMPY\x01\x00", &(record.len() as u16).to_le_bytes()[..], record].concat();
        refused(&bytes, "numbers of type [('a', '<f4'), ('b', '<f4', (2,))]");
        let warned = read(&npy("|u1", "False", "(3, 32, 32)", &[0; 3072])).unwrap().warnings;
        assert!(warned[0].contains("3 gray images"), "{warned:?}");
    }

    #[test]
    fn headers_as_other_programs_write_them() {
        for header in [
            "{\"shape\":[2L,2L,2L],\"fortran_order\":False,\"descr\":\"|u1\"}",
            "{'descr': 'u1', 'fortran_order': False, 'shape': (2, 2, 2)}   ",
            "  {'fortran_order':False,'descr':'|u1','shape':(2,2,2,),}",
        ] {
            let bytes = [b"\x93NUMPY\x02\x00", &(header.len() as u32).to_le_bytes()[..], header.as_bytes(), &[1; 8]].concat();
            assert_eq!(read(&bytes).unwrap().bytes, [1; 8], "{header}");
        }
    }

    #[test]
    fn archives_of_images_and_labels() {
        let images = npy("|u1", "False", "(3, 2, 2, 3)", &[7; 36]);
        let whole = npy("<i8", "False", "(3,)", &[2i64, 0, 1].map(i64::to_le_bytes).concat());
        let column = npy("<f4", "False", "(3, 1)", &singles([2.0, 0.0, 1.0]));
        let scores = npy("<f4", "False", "(3,)", &singles([0.5, 0.1, 0.2]));
        let other = npy("<i4", "False", "(5,)", &[0; 20]);
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            for entries in [
                &[("arr_0.npy", &images[..]), ("arr_1.npy", &whole)],
                &[("arr_0.npy", &whole), ("arr_1.npy", &images)],
                &[("labels.npy", &column), ("samples.npy", &images)],
            ] {
                let batch = read(&zip(entries, method)).unwrap();
                assert_eq!((batch.len(), batch.labels, batch.warnings.len()), (3, Some(vec![2, 0, 1]), 0));
            }
        }
        let stored = |entries: &[(&str, &[u8])]| zip(entries, CompressionMethod::Stored);
        let batch = read(&stored(&[("x.npy", &images), ("score.npy", &scores), ("five.npy", &other)])).unwrap();
        assert_eq!((batch.labels, batch.warnings), (None, vec![
                "arrays score (0.5 of image 0: expected class numbers from 0 to 1048575) and five (5 numbers for 3 images) are not used".to_owned()
            ]));
        let batch = read(&stored(&[("x.npy", &images), ("a.npy", &whole), ("b.npy", &column)])).unwrap();
        assert_eq!((batch.labels, batch.warnings), (None, vec!["arrays a and b may each be labels: none is taken".to_owned()]));
        let batch = read(&stored(&[("x.npy", &images), ("a.npy", &whole), ("y.npy", &column)])).unwrap();
        assert_eq!((batch.labels, batch.warnings), (Some(vec![2, 0, 1]), vec!["array a is not used".to_owned()]));
        refused(&stored(&[("x.npy", &images), ("labels.npy", &other)]), "array labels: 5 labels: expected 3");
        refused(&stored(&[("x.npy", &images), ("y.npy", &scores)]), "array y: 0.5 of image 0");
        refused(&stored(&[("x.npy", &images), ("z.npy", &images)]), "arrays x (|u1 [3, 2, 2, 3]) and z (|u1 [3, 2, 2, 3]): expected one");
        refused(&stored(&[("mu.npy", &whole), ("sigma.npy", &scores)]), "no array of images among mu (<i8 [3]) and sigma (<f4 [3])");
        refused(&stored(&[("x.npy", &npy("<i8", "False", "(1, 2, 2)", &[0; 32])), ("y.npy", &other)]), "array x: numbers of type <i8");
        refused(&stored(&[("x.npy", &images[..100])]), "array x: too short");
        refused(&stored(&[("a.txt", b"text")]), "an archive without arrays");
        let mut broken = stored(&[("x.npy", &images)]);
        let at = broken.windows(36).position(|w| w == [7; 36]).unwrap();
        broken[at] = 8;
        refused(&broken, "array x: ");
    }

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let values: Vec<f32> = (0..2 * 12).map(|i| i as f32 - 12.5).collect();
        std::fs::write(&path, npy_bytes(&values, [3, 2, 2])).unwrap();
        assert_eq!(read_floats(&path, [3, 2, 2]).unwrap(), values);
        assert_eq!(read_floats_any(&path).unwrap(), ([2, 3, 2, 2], values.clone()));
        assert_eq!(shape_of(&path).unwrap(), [3, 2, 2]);
        assert!(is_array(&path) && !is_array(folder.path()) && !is_array(&folder.path().join("absent")));
        let refused = |bytes: &[u8], expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let error = read_floats(&path, [3, 2, 2]).unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{error}");
        };
        refused(&npy_bytes(&values, [3, 4, 2]), "an array of shape [1, 3, 4, 2]: expected [n, 3, 2, 2]");
        refused(&npy("<f4", "False", "(1, 3, 2, 2)", &singles([f32::NAN; 12])), "NaN in image 0: expected finite numbers");
        refused(&npy("<f4", "False", "(1, 3, 2, 2)", &[0; 40]), "too short for shape [1, 3, 2, 2]: 40 bytes of data: expected 48");
        refused(&npy("<i4", "False", "(1, 3, 2, 2)", &[0; 48]), "numbers of type <i4: expected f32");
        let halves: Vec<u8> = (0..12).flat_map(|i| f16::from_f32(i as f32).to_be_bytes()).collect();
        std::fs::write(&path, npy(">f2", "False", "(1, 3, 2, 2)", &halves)).unwrap();
        assert_eq!(read_floats(&path, [3, 2, 2]).unwrap(), (0..12).map(|i| i as f32).collect::<Vec<_>>());
        // Images 0 and 1 take turns where the first index runs fastest.
        std::fs::write(&path, npy("<f4", "True", "(2, 1, 1, 2)", &singles([0.0, 2.0, 1.0, 3.0]))).unwrap();
        assert_eq!(read_floats(&path, [1, 1, 2]).unwrap(), [0.0, 1.0, 2.0, 3.0]);

        let npz = folder.path().join("x.npz");
        let mu = npy("<f8", "False", "(2,)", &[1.5f64, 2.5].map(f64::to_le_bytes).concat());
        let count = npy("<i8", "False", "()", &7i64.to_le_bytes());
        std::fs::write(&npz, zip(&[("mu.npy", &mu), ("count.npy", &count)], CompressionMethod::Stored)).unwrap();
        let mut archive = Npz::open(&npz).unwrap();
        assert_eq!(archive.names(), ["mu", "count"]);
        let mu = archive.numbers("mu").unwrap().unwrap();
        assert_eq!((mu.shape, mu.data), (vec![2], vec![1.5, 2.5]));
        let count = archive.numbers("count").unwrap().unwrap();
        assert_eq!((count.shape, count.data), (vec![], vec![7.0]));
        assert_eq!(archive.numbers("sigma").unwrap(), None);
        std::fs::write(&npz, b"text").unwrap();
        assert!(read_batch(&npz, 9).unwrap_err().to_string().contains("x.npz: not a .npz file"));
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib arrays::tests::mutated`
    #[test]
    fn mutated_npy() {
        let valid = [
            npy("|u1", "False", "(2, 4, 4, 3)", &[9; 96]),
            npy("<f4", "True", "(2, 3, 4, 4)", &singles((0..96).map(|i| i as f32 / 48.0 - 1.0))),
            npy(">f2", "False", "(1, 1, 4, 4)", &[0; 32]),
        ];
        fuzz(&valid, |bytes| {
            if let Ok(batch) = read(bytes) {
                assert!(batch.bytes.len() <= bytes.len());
            }
            let floats = |shape| floats_in(Container::of(Cursor::new(bytes))?, shape);
            let _ = floats(Some([3, 4, 4]));
            let _ = floats(None);
            let _ = npy_numbers(bytes);
            let _ = Container::of(Cursor::new(bytes)).and_then(shape_in);
        });
    }

    /// As above.
    #[test]
    fn mutated_npz() {
        let images = npy("<f4", "False", "(2, 3, 2, 2)", &singles([0.5; 24]));
        let labels = npy("<i8", "False", "(2,)", &[0; 16]);
        let entries = [("arr_0.npy", &images[..]), ("y.npy", &labels)];
        fuzz(&[zip(&entries, CompressionMethod::Stored), zip(&entries, CompressionMethod::Deflated)], |bytes| {
            let _ = read(bytes);
            let _ = Container::of(Cursor::new(bytes)).and_then(shape_in);
            let _ = floats_in_npz(bytes);
        });
    }

    fn floats_in_npz(bytes: &[u8]) -> Step<()> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        for (index, _) in names(&archive) {
            let _ = open_entry(&mut archive, index).and_then(numbers_of);
        }
        Ok(())
    }
}
