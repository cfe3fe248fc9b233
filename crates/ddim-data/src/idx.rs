//! MNIST's format, IDX, plain or gzipped: <http://yann.lecun.com/exdb/mnist/>.
//!
//! The files have many names: `train-images-idx3-ubyte[.gz]` as published, `train-images.idx3-ubyte` as 7-Zip and Windows unpack them, in
//! `MNIST/raw` as torchvision lays them out, in folders of their own as Kaggle does. The first bytes decide what a file is.

use crate::batch::{Batch, Step, in_file};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Sizes and bytes of an IDX file of unsigned bytes.
#[derive(Debug, PartialEq)]
struct Idx {
    sizes: Vec<usize>,
    /// Of the first items, as many as were asked for.
    data: Vec<u8>,
}

/// Plain bytes, whether they come gzipped or not.
fn plain<'a>(mut reader: impl Read + 'a) -> Step<(bool, Box<dyn Read + 'a>)> {
    let mut first = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut first).map_err(|e| e.to_string())?;
    let gzipped = first == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(first).chain(reader);
    Ok((gzipped, if gzipped { Box::new(MultiGzDecoder::new(BufReader::new(whole))) } else { Box::new(whole) }))
}

/// Reads a header of `dimensions`.
fn header(reader: &mut dyn Read, dimensions: usize) -> Step<Vec<usize>> {
    let (mut bytes, len) = (Vec::new(), 4 + 4 * dimensions);
    let read = reader.take(len as u64).read_to_end(&mut bytes);
    if bytes.len() < len || bytes[..4] != [0, 0, 8, dimensions as u8] {
        let plural = if dimensions == 1 { "" } else { "s" };
        let why = read.err().map_or(String::new(), |e| format!(": {e}"));
        return Err(format!("not an IDX file of unsigned bytes in {dimensions} dimension{plural}{why}"));
    }
    Ok(bytes[4..].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect())
}

/// Reads an IDX file to its end, or to where it has more than its header says, and keeps the first `limit` items.
fn parse(reader: impl Read, dimensions: usize, limit: usize) -> Step<Idx> {
    let (gzipped, mut reader) = plain(reader)?;
    let sizes = header(&mut *reader, dimensions)?;
    let broken = |e: std::io::Error| if gzipped { format!("a truncated or damaged gzip file: {e}") } else { e.to_string() };
    let item = sizes[1..].iter().try_fold(1u64, |total, &n| total.checked_mul(n as u64));
    let expected = item.and_then(|item| item.checked_mul(sizes[0] as u64)).filter(|total| *total > 0);
    let Some((item, expected)) = item.zip(expected) else {
        return Err(format!("an IDX file of {sizes:?}: expected images of a possible size"));
    };
    let keep = item * limit.min(sizes[0]) as u64; // at most `expected`
    let mut data = Vec::new();
    let kept = reader.by_ref().take(keep).read_to_end(&mut data).map_err(broken)? as u64;
    // One more than there should be, to see that it is not there.
    let rest = std::io::copy(&mut reader.by_ref().take(expected - keep + 1), &mut std::io::sink()).map_err(broken)?;
    match kept + rest {
        found if found == expected => Ok(Idx { sizes, data }),
        found if found > expected => Err(format!("more than {expected} bytes of data: expected {sizes:?}, as its header says")),
        found => Err(format!("{found} bytes of data: expected {sizes:?}, as its header says")),
    }
}

/// A name that is the same however a program wrote it.
fn normal(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).replace(['.', '_'], "-")
}

/// Files of a folder, and those that lie in folders of their own name, by normal names. Plain ones come before gzipped ones, and what lies in the
/// folder itself before what lies deeper.
fn named(folder: &Path, wanted: &str) -> Option<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if normal(&name) != wanted || name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_file() {
            found.push((0, name.to_lowercase().ends_with(".gz"), path));
        } else if path.is_dir() {
            // As Kaggle unpacks them: a folder for each file.
            let inner = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|inner| inner.path());
            let file = inner.filter(|p| p.is_file() && p.file_name().is_some_and(|n| normal(&n.to_string_lossy()) == wanted)).min();
            found.extend(file.map(|file| (1, false, file)));
        }
    }
    found.sort();
    found.into_iter().next().map(|(.., path)| path)
}

/// The training images of MNIST, or of a data set of its format, in a folder, or where torchvision's layout has them below it.
///
/// # Errors
/// Several data sets below the folder.
pub(crate) fn find_in(folder: &Path) -> Result<Option<PathBuf>> {
    const TRAINING: &str = "train-images-idx3-ubyte";
    let here = named(folder, TRAINING).or_else(|| named(&folder.join("raw"), TRAINING));
    if here.is_some() {
        return Ok(here);
    }
    let below = ["MNIST", "FashionMNIST", "KMNIST"].map(|name| folder.join(name));
    let mut found = Vec::new();
    for data_set in below {
        found.extend(named(&data_set.join("raw"), TRAINING).or_else(|| named(&data_set, TRAINING)));
    }
    match found.as_slice() {
        [] | [_] => Ok(found.pop()),
        [a, b, ..] => Err(Error::at(folder, format!("{} and {}: expected one data set", a.display(), b.display()))),
    }
}

/// The test images of a folder that [`find_in`] finds no training images in.
pub(crate) fn test_part(folder: &Path) -> Option<PathBuf> {
    const TEST: &str = "t10k-images-idx3-ubyte";
    [folder.to_owned(), folder.join("raw"), folder.join("MNIST/raw"), folder.join("FashionMNIST/raw")].iter().find_map(|at| named(at, TEST))
}

/// Whether a file is one of images in IDX, plain or gzipped, whatever its name.
pub(crate) fn is_idx(path: &Path) -> bool {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()));
    file.is_some_and(|file| plain(BufReader::new(file)).is_ok_and(|(_, mut reader)| header(&mut *reader, 3).is_ok()))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| Error::at(path, &e).because(e))
}

/// The labels of a file of images: `train-images.idx3-ubyte` has them in `train-labels.idx1-ubyte`, or in that file by another of its names.
fn labels_of(path: &Path) -> Option<PathBuf> {
    let name = normal(&path.file_name()?.to_string_lossy());
    let wanted = name.replace("images", "labels").replace("idx3", "idx1");
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if wanted == name {
        return None;
    }
    named(folder, &wanted).or_else(|| {
        // Images in a folder of their own name have labels in another.
        let own = folder.file_name().is_some_and(|n| normal(&n.to_string_lossy()) == name);
        own.then(|| named(folder.parent()?, &wanted)).flatten()
    })
}

/// The first `limit` images of an IDX file, with the labels of the file beside it.
///
/// # Errors
/// Another kind of file; more or less data than its header says, of images or labels; labels of another count.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Batch> {
    let Idx { sizes, data } = in_file(path, parse(open(path)?, 3, limit))?;
    let mut labels = None;
    if let Some(file) = labels_of(path) {
        let found = in_file(&file, parse(open(&file)?, 1, limit))?;
        if found.sizes[0] != sizes[0] {
            return Err(Error::at(&file, format!("{} labels: expected {}, one per image", found.sizes[0], sizes[0])));
        }
        labels = Some(found.data.into_iter().map(usize::from).collect());
    }
    Ok(Batch { size: [sizes[1], sizes[2]], channels: 1, bytes: data, labels, class_names: None, warnings: Vec::new() })
}

/// Channels (1), height and width of the images of an IDX file, from its header.
///
/// # Errors
/// Another kind of file.
pub(crate) fn shape_of(path: &Path) -> Result<[usize; 3]> {
    let sizes = in_file(path, plain(open(path)?).and_then(|(_, mut reader)| header(&mut *reader, 3)))?;
    if sizes.contains(&0) {
        return Err(Error::at(path, format!("an IDX file of {sizes:?}: expected images of a possible size")));
    }
    Ok([1, sizes[1], sizes[2]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;
    use tempfile::TempDir;

    fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|n| file.extend(n.to_be_bytes()));
        file.extend(data);
        file
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images() -> Vec<u8> {
        idx(&[3, 4, 5], &(0..60).collect::<Vec<u8>>())
    }

    #[test]
    fn by_all_their_names() {
        let labels = idx(&[3], &[4, 0, 9]);
        for (images_at, labels_at) in [
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("train-images.idx3-ubyte.gz", "train-labels-idx1-ubyte"),
            ("train-images-idx3-ubyte", "train-labels.idx1-ubyte.gz"),
            ("TRAIN-IMAGES.IDX3-UBYTE", "Train-Labels.idx1-ubyte"),
            ("raw/train-images-idx3-ubyte", "raw/train-labels-idx1-ubyte"),
            ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
            ("FashionMNIST/raw/train-images-idx3-ubyte.gz", "FashionMNIST/raw/train-labels-idx1-ubyte.gz"),
            ("KMNIST/train-images-idx3-ubyte", "KMNIST/train-labels-idx1-ubyte"),
            ("train-images-idx3-ubyte/train-images-idx3-ubyte", "train-labels-idx1-ubyte/train-labels-idx1-ubyte"),
        ] {
            let folder = TempDir::new().unwrap();
            for (name, bytes) in [(images_at, images()), (labels_at, labels.clone())] {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, if name.ends_with(".gz") { gz(&bytes) } else { bytes }).unwrap();
            }
            let file = find_in(folder.path()).unwrap().unwrap_or_else(|| panic!("{images_at} is not found"));
            assert!(is_idx(&file));
            assert_eq!(shape_of(&file).unwrap(), [1, 4, 5]);
            let batch = read(&file, usize::MAX).unwrap();
            assert_eq!((batch.size, batch.channels, batch.len()), ([4, 5], 1, 3), "{images_at}");
            assert_eq!((batch.bytes, batch.labels), ((0..60).collect(), Some(vec![4, 0, 9])), "{images_at}");
            let two = read(&file, 2).unwrap();
            assert_eq!((two.len(), two.labels), (2, Some(vec![4, 0])));
        }
    }

    #[test]
    fn what_content_says_and_names_do_not() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(find_in(folder.path()).unwrap(), None);
        assert_eq!(find_in(&at("absent")).unwrap(), None);
        fs::write(at("digits"), gz(&images())).unwrap();
        assert_eq!(read(&at("digits"), 9).unwrap().labels, None);
        fs::write(at("labels-idx1-ubyte"), idx(&[3], &[1, 2, 3])).unwrap();
        assert!(is_idx(&at("digits")) && !is_idx(&at("labels-idx1-ubyte")) && !is_idx(folder.path()));
        fs::write(at("images-idx3-ubyte"), images()).unwrap();
        assert_eq!(read(&at("images-idx3-ubyte"), 9).unwrap().labels, Some(vec![1, 2, 3]));
        fs::write(at("labels-idx1-ubyte"), idx(&[2], &[1, 2])).unwrap();
        let error = read(&at("images-idx3-ubyte"), 9).unwrap_err().to_string();
        assert!(error.ends_with("labels-idx1-ubyte: 2 labels: expected 3, one per image"), "{error}");
        fs::write(at("labels-idx1-ubyte"), images()).unwrap();
        let error = read(&at("images-idx3-ubyte"), 9).unwrap_err().to_string();
        assert!(error.ends_with("labels-idx1-ubyte: not an IDX file of unsigned bytes in 1 dimension"), "{error}");
        for name in ["MNIST/raw", "FashionMNIST/raw"] {
            fs::create_dir_all(at(name)).unwrap();
            fs::write(at(name).join("train-images-idx3-ubyte"), images()).unwrap();
        }
        assert!(find_in(folder.path()).unwrap_err().to_string().contains("expected one data set"));
        assert!(find_in(&at("MNIST")).unwrap().is_some());
    }

    #[test]
    fn files_that_are_refused() {
        let refused = |bytes: &[u8], expected: &str| {
            for limit in [1, usize::MAX] {
                let error = parse(bytes, 3, limit).unwrap_err();
                assert!(error.contains(expected), "{error}: expected {expected}");
            }
        };
        let whole = images();
        refused(b"", "not an IDX file");
        refused(&whole[..10], "not an IDX file");
        refused(&whole[..70], "54 bytes of data: expected [3, 4, 5]");
        refused(&[&whole[..], b"x"].concat(), "more than 60 bytes of data: expected [3, 4, 5]");
        refused(&idx(&[u32::MAX; 3], &[0; 60]), "an IDX file of [4294967295, 4294967295, 4294967295]");
        refused(&idx(&[60000, 65536, 65536], &[0; 60]), "60 bytes of data");
        refused(&idx(&[3, 0, 5], &[]), "an IDX file of [3, 0, 5]");
        refused(&gz(&whole)[..40], "a truncated or damaged gzip file");
        refused(&gz(&whole)[..5], "not an IDX file");
        // A header of little before much.
        refused(&gz(&[&whole[..], &vec![0; 1 << 24]].concat()), "more than 60 bytes");
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib idx::tests::mutated`
    #[test]
    fn mutated() {
        fuzz(&[images(), gz(&images()), idx(&[3], &[4, 0, 9])], |bytes| {
            for (dimensions, limit) in [(3, usize::MAX), (3, 1), (1, usize::MAX)] {
                if let Ok(idx) = parse(bytes, dimensions, limit) {
                    assert!(idx.data.len() <= idx.sizes.iter().product::<usize>());
                }
            }
        });
    }
}
