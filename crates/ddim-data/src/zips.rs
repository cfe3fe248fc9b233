//! Zip archives of images: those of StyleGAN and EDM, described by `dataset.json`, and plain ones.

use crate::batch::{MOST_CLASSES, Step, in_file};
use crate::error::{Error, Result};
use crate::find::named_as_image;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zip::{CompressionMethod, ZipArchive};

/// The longest image, and the longest `dataset.json` (that of ImageNet has 50 MB), in bytes.
const MOST: u64 = 1 << 28;

/// Bytes by which it is seen what a file is.
const HEAD: u64 = 32;

/// The files of an archive, which are read one at a time, from any thread.
pub(crate) struct ZipImages<R = File> {
    path: PathBuf,
    /// Sorted; all but folders, links, hidden files and `dataset.json`. Their parts are parted by `/`.
    pub(crate) names: Vec<String>,
    /// The label of each, where `dataset.json` has labels; none of those that it does not name.
    pub(crate) labels: Option<Vec<Option<usize>>>,
    /// Whether there is a `dataset.json`: folders are no classes then.
    pub(crate) described: bool,
    /// The folder that everything lies in, with its `/`, below which other folders are classes; empty where that is the archive itself.
    pub(crate) root: String,
    /// What was left out or assumed, one line each, naming the file.
    pub(crate) warnings: Vec<String>,
    /// The places of `names` in the archive.
    places: Vec<usize>,
    archive: ZipArchive<Shared<R>>,
}

impl<R> std::fmt::Debug for ZipImages<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZipImages").field("path", &self.path).field("names", &self.names).finish_non_exhaustive()
    }
}

/// One file that several read, each from its own position.
struct Shared<R> {
    file: Arc<Mutex<R>>,
    len: u64,
    at: u64,
    buffer: Vec<u8>,
    /// Where the buffer's bytes stand in the file.
    buffered: u64,
}

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), len: self.len, at: self.at, buffer: Vec::new(), buffered: 0 }
    }
}

impl<R: Read + Seek> Read for Shared<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        const BUFFER: u64 = 1 << 14;
        let inside = self.at.checked_sub(self.buffered).filter(|offset| *offset < self.buffer.len() as u64);
        let offset = match inside {
            Some(offset) => offset as usize,
            None => {
                let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(self.at))?;
                if out.len() as u64 >= BUFFER {
                    let read = file.read(out)?;
                    self.at += read as u64;
                    return Ok(read);
                }
                self.buffer.clear();
                self.buffered = self.at;
                file.by_ref().take(BUFFER).read_to_end(&mut self.buffer)?;
                0
            }
        };
        let rest = &self.buffer[offset..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        self.at += len as u64;
        Ok(len)
    }
}

impl<R: Read + Seek> Seek for Shared<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidInput, "a seek to before the beginning"))?;
        Ok(self.at)
    }
}

/// What is written at the top of StyleGAN's and EDM's data sets.
#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    labels: Option<Vec<(String, f64)>>,
}

/// The classes of images by their names, of the bytes of a `dataset.json`.
fn parse_labels(json: &[u8]) -> Step<Option<HashMap<String, usize>>> {
    let expected = "expected {\"labels\": [[name, class], ..]} or null";
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let description: Description = serde_json::from_slice(json).map_err(|e| format!("{e}: {expected}"))?;
    let Some(labels) = description.labels else { return Ok(None) };
    let class = |(name, label): (String, f64)| {
        let whole = label.fract() == 0.0 && (0.0..MOST_CLASSES as f64).contains(&label);
        if whole { Ok((name.replace('\\', "/"), label as usize)) } else { Err(format!("label {label} of {name}: {expected}")) }
    };
    labels.into_iter().map(class).collect::<Step<_>>().map(Some)
}

/// The classes of images by their names below a folder, of its `dataset.json`; none where the data set has none.
///
/// # Errors
/// Another kind of file; labels that are no class numbers.
pub(crate) fn edm_labels(dataset_json: &Path) -> Result<Option<HashMap<String, usize>>> {
    let io = |e| Error::at(dataset_json, &e).because(e);
    let mut json = Vec::new();
    File::open(dataset_json).map_err(io)?.take(MOST).read_to_end(&mut json).map_err(io)?;
    in_file(dataset_json, parse_labels(&json))
}

/// Whether a file is a zip archive, whatever its name; one of arrays is a zip archive too.
pub(crate) fn is_zip(path: &Path) -> bool {
    let Some(file) = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file())) else { return false };
    let mut first = Vec::new();
    file.take(4).read_to_end(&mut first).is_ok() && matches!(first[..], [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6])
}

/// Opens an archive of images; none of them is read.
///
/// # Errors
/// Another kind of file; several entries of one name; a `dataset.json` that is none.
pub(crate) fn open(path: &Path) -> Result<ZipImages> {
    let io = |e| Error::at(path, &e).because(e);
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    in_file(path, ZipImages::new(file, len, path))
}

/// The folder that all names share, as long as there are folders below it.
fn common_root(names: &BTreeMap<String, usize>) -> String {
    let mut root = String::new();
    loop {
        let below = || names.keys().map(|name| &name[root.len()..]);
        let Some((first, _)) = below().next().and_then(|name| name.split_once('/')) else { return root };
        let next = format!("{first}/");
        let shared = below().all(|name| name.starts_with(&next));
        if !shared || !below().any(|name| name[next.len()..].contains('/')) {
            return root;
        }
        root.push_str(&next);
    }
}

impl<R: Read + Seek> ZipImages<R> {
    fn new(file: R, len: u64, path: &Path) -> Step<Self> {
        let file = Shared { file: Arc::new(Mutex::new(file)), len, at: 0, buffer: Vec::new(), buffered: 0 };
        let archive = ZipArchive::new(file).map_err(|e| format!("not a zip archive: {e}"))?;
        if archive.has_duplicate_names() {
            return Err("several entries have the same name: expected each name once".into());
        }
        let (mut files, mut descriptions) = (BTreeMap::new(), Vec::new());
        for place in 0..archive.len() {
            let entry = archive.by_index_data(place).map_err(|e| e.to_string())?;
            let name = entry.name().unwrap_or_else(|_| String::from_utf8_lossy(entry.name_raw())).replace('\\', "/");
            let hidden = name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
            if !entry.is_file() || name.ends_with('/') || hidden {
                continue;
            }
            let folder = name.strip_suffix("dataset.json").filter(|folder| folder.is_empty() || folder.ends_with('/'));
            match folder.map(str::to_owned) {
                Some(folder) => descriptions.push((folder.matches('/').count(), folder, place)),
                None if files.insert(name, place).is_none() => (),
                None => return Err("several entries have the same name: expected each name once".into()),
            }
        }
        descriptions.sort();
        // A licence beside the folders does not make them one class.
        let pictures =
            files.iter().filter(|(name, _)| named_as_image(Path::new(name))).map(|(name, place)| (name.clone(), *place)).collect();
        let mut images = Self {
            path: path.to_owned(),
            names: Vec::new(),
            labels: None,
            described: !descriptions.is_empty(),
            root: common_root(&pictures),
            warnings: Vec::new(),
            places: files.values().copied().collect(),
            archive,
        };
        images.names = files.into_keys().collect();
        match descriptions.as_slice() {
            [] => (),
            [(depth, ..), (other, ..), ..] if depth == other => {
                images.warnings.push(format!("{}: several dataset.json files: none is used", path.display()));
            }
            [(_, folder, place), ..] => images.describe(folder, *place)?,
        }
        Ok(images)
    }

    /// Takes the labels of the `dataset.json` of a folder.
    fn describe(&mut self, folder: &str, place: usize) -> Step<()> {
        let json = self.read_place(place, None).and_then(|json| parse_labels(&json)).map_err(|e| format!("{folder}dataset.json: {e}"))?;
        folder.clone_into(&mut self.root);
        let Some(labels) = json else { return Ok(()) };
        let label = |name: &String| name.strip_prefix(folder).and_then(|name| labels.get(name)).copied();
        let found: Vec<_> = self.names.iter().map(label).collect();
        // Each name of an image is there once.
        let absent = labels.len() - found.iter().flatten().count();
        if absent > 0 {
            let there = |name: &String| self.names.binary_search(&format!("{folder}{name}")).is_ok();
            let first = labels.keys().filter(|name| !there(name)).min().map_or("", String::as_str);
            let message = format!("{folder}dataset.json labels {absent} missing files, the first: {first}");
            self.warnings.push(format!("{}: {message}", self.path.display()));
        }
        self.labels = Some(found);
        Ok(())
    }

    /// The bytes of an entry: all of them, or its first `most`.
    fn read_place(&self, place: usize, most: Option<u64>) -> Step<Vec<u8>> {
        // A position of its own over the one file; the directory is shared.
        let mut archive = self.archive.clone();
        let data = archive.by_index_data(place).map_err(|e| e.to_string())?;
        if data.encrypted() {
            return Err("encrypted: expected an archive without a password".into());
        }
        if !matches!(data.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(format!("compressed by {:?}: expected it stored or deflated", data.compression()));
        }
        let size = data.size();
        if size > MOST {
            return Err(format!("{size} bytes: expected at most {MOST}"));
        }
        let mut bytes = Vec::new();
        let entry = archive.by_index(place).map_err(|e| e.to_string())?;
        if let Some(most) = most {
            entry.take(most).read_to_end(&mut bytes).map_err(|e| format!("a broken entry: {e}"))?;
            return Ok(bytes);
        }
        entry.take(size + 1).read_to_end(&mut bytes).map_err(|e| format!("a broken entry: {e}"))?;
        if bytes.len() as u64 != size {
            let more = if bytes.len() as u64 > size { "more than " } else { "" };
            return Err(format!("{more}{} bytes: expected {size}, as the archive's directory says", bytes.len().min(size as usize)));
        }
        Ok(bytes)
    }

    /// The bytes of a file, by its place in `names`.
    ///
    /// # Errors
    /// An entry that is broken, encrypted, too large or compressed in another way than by deflate.
    ///
    /// # Panics
    /// On an index out of range.
    pub(crate) fn read(&self, index: usize) -> Result<Vec<u8>> {
        self.read_place(self.places[index], None).map_err(|e| Error::at(&self.path, format!("{}: {e}", self.names[index])))
    }

    /// The first bytes of a file, enough to see what it is; none where it cannot be read.
    pub(crate) fn head(&self, index: usize) -> Option<Vec<u8>> {
        self.read_place(self.places[index], Some(HEAD)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::tests::zip;
    use crate::fuzz::fuzz;
    use std::io::Cursor;
    use std::thread;

    fn opened(bytes: Vec<u8>) -> Step<ZipImages<Cursor<Vec<u8>>>> {
        let len = bytes.len() as u64;
        ZipImages::new(Cursor::new(bytes), len, Path::new("x.zip"))
    }

    fn refused(bytes: Vec<u8>, expected: &str) {
        let error = opened(bytes).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{error}: expected {expected}");
    }

    const JSON: &[u8] = br#"{"labels": [["00001/img1.png", 6], ["00000/img0.png", 9.0], ["00000/img2.png", 1]]}"#;

    #[test]
    fn described_archives() {
        for (method, root) in [(CompressionMethod::Stored, ""), (CompressionMethod::Deflated, "data set/")] {
            let names = ["00001/img1.png", "00000/img0.png", "dataset.json", "00000/"].map(|name| format!("{root}{name}"));
            let contents = [&b"one"[..], b"zero", JSON, b""];
            let entries: Vec<_> = names.iter().map(String::as_str).zip(contents).collect();
            let images = opened(zip(&entries, method)).unwrap();
            assert_eq!(images.names, [format!("{root}00000/img0.png"), format!("{root}00001/img1.png")]);
            assert_eq!((images.labels.as_deref(), images.root.as_str(), images.described), (Some(&[Some(9), Some(6)][..]), root, true));
            assert_eq!(images.read(0).unwrap(), b"zero");
            assert!(images.warnings[0].contains("dataset.json labels 1 missing files, the first: 00000/img2.png"));
        }
        let of = |json: &[u8]| opened(zip(&[("0/a.png", b"a"), ("dataset.json", json)], CompressionMethod::Stored));
        for json in [&br#"{"labels": null}"#[..], b"{}", b"\xef\xbb\xbf{\"labels\": null, \"more\": [1]}"] {
            let images = of(json).unwrap();
            assert_eq!((images.labels, images.described), (None, true));
        }
        assert_eq!(of(br#"{"labels": []}"#).unwrap().labels, Some(vec![None]));
        assert_eq!(of(br#"{"labels": [["0\\a.png", 3]]}"#).unwrap().labels, Some(vec![Some(3)]));
        for json in [&b"text"[..], br#"{"labels": [["0/a.png", [0, 1]]]}"#, br#"{"labels": [["0/a.png", -1]]}"#, br#"{"labels": 3}"#] {
            let error = of(json).map(|_| ()).unwrap_err();
            assert!(error.starts_with("dataset.json: ") && error.contains("expected {\"labels\""), "{error}");
        }
    }

    #[test]
    fn plain_archives() {
        let files = ["b/2.png", "a/1.png", "a/.hidden.png", "__MACOSX/a/._1.png", ".DS_Store", "a/", "top.txt"];
        let entries: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, name.as_bytes())).collect();
        let images = opened(zip(&entries[..5], CompressionMethod::Deflated)).unwrap();
        assert_eq!(images.names, ["a/1.png", "b/2.png"]);
        assert_eq!((images.labels.as_deref(), images.root.as_str(), images.described), (None, "", false));
        let root = |names: &[&str]| {
            let entries: Vec<_> = names.iter().map(|name| (*name, &b"x"[..])).collect();
            opened(zip(&entries, CompressionMethod::Stored)).unwrap().root
        };
        assert_eq!(root(&["pets/cat/1.png", "pets/dog/1.png"]), "pets/");
        assert_eq!(root(&["pets/cat/1.png", "pets/2.png"]), "pets/");
        assert_eq!(root(&["cat/1.png", "cat/2.png"]), "", "a class");
        assert_eq!(root(&["1.png", "cat/2.png"]), "");
        assert_eq!(root(&[]), "");
    }

    #[test]
    fn broken_archives() {
        refused(b"text".to_vec(), "not a zip archive");
        refused(Vec::new(), "not a zip archive");
        let whole = zip(&[("a.png", &[7; 40]), ("b.png", &[8; 40])], CompressionMethod::Stored);
        refused(whole[..whole.len() / 2].to_vec(), "not a zip archive");
        let read = |bytes: Vec<u8>| opened(bytes).unwrap().read(0).unwrap_err().to_string();
        let mut broken = whole.clone();
        let at = broken.windows(40).position(|w| w == [7; 40]).unwrap();
        broken[at] = 9;
        assert!(read(broken).starts_with("x.zip: a.png: a broken entry"));
        // The directory's flags, method and sizes of the first entry.
        let at = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let with = |offset: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[at + offset..][..bytes.len()].copy_from_slice(bytes);
            changed
        };
        assert!(read(with(8, &[1])).contains("a.png: encrypted: expected an archive without a password"));
        assert!(read(with(10, &[93])).contains("compressed by"));
        assert!(read(with(24, &[0xff, 0xff, 0xff, 0x7f])).contains("a.png: 2147483647 bytes: expected at most"));
        assert!(read(with(24, &[41])).starts_with("x.zip: a.png: "));
    }

    #[test]
    fn from_many_threads() {
        let names: Vec<String> = (0..200).map(|i| format!("{i:03}.png")).collect();
        let contents: Vec<Vec<u8>> = (0..200).map(|i| (0..40_000u32).map(|j| (j * (i + 1)) as u8).collect()).collect();
        let entries: Vec<_> = names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        std::fs::write(&path, zip(&entries, CompressionMethod::Deflated)).unwrap();
        assert!(is_zip(&path) && !is_zip(folder.path()));
        let images = open(&path).unwrap();
        thread::scope(|scope| {
            for first in 0..4 {
                let (images, contents) = (&images, &contents);
                scope.spawn(move || {
                    for i in (first..200).step_by(4) {
                        assert_eq!(&images.read(i).unwrap(), &contents[i]);
                    }
                });
            }
        });
        std::fs::write(folder.path().join("dataset.json"), JSON).unwrap();
        let labels = edm_labels(&folder.path().join("dataset.json")).unwrap().unwrap();
        assert_eq!((labels.len(), labels["00001/img1.png"]), (3, 6));
        assert!(edm_labels(&folder.path().join("absent.json")).unwrap_err().to_string().contains("absent.json"));
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib zips::tests::mutated`
    #[test]
    fn mutated() {
        let entries = [("00000/img0.png", &b"some bytes of a picture, or more"[..]), ("00001/img1.png", b"one"), ("dataset.json", JSON)];
        fuzz(&[zip(&entries, CompressionMethod::Stored), zip(&entries, CompressionMethod::Deflated)], |bytes| {
            if let Ok(images) = opened(bytes.to_vec()) {
                for i in 0..images.names.len() {
                    assert!(images.read(i).map_or(0, |b| b.len()) < 1 << 20);
                }
            }
        });
    }
}
