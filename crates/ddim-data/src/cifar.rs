//! CIFAR-10 and CIFAR-100, in both of the authors' versions: <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! The binary version has records of a label (two in CIFAR-100) and 3,072 bytes, the Python version pickled dictionaries of `data` [n,
//! 3072] and `labels` (`fine_labels`); an image is three planes of 32×32.

use crate::batch::{Batch, MOST_CLASSES, Step, in_file, interleave, listed, thousands};
use crate::error::{Error, Result};
use crate::pickle::Pickle;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of an image.
const IMAGE: usize = 3 * 32 * 32;
/// CIFAR-10's classes, as `batches.meta` names them.
const TEN: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// The longest file: that of CIFAR-100 has 155 MB.
const MOST: u64 = 1 << 31;

/// The images of one file.
#[derive(Debug, Default, PartialEq)]
struct Part {
    /// How many the file has.
    total: usize,
    /// [n, 32, 32, 3] of the first.
    bytes: Vec<u8>,
    labels: Option<Vec<usize>>,
    /// CIFAR-100, by what its labels are called or how many there are.
    hundred: bool,
}

/// A pickle begins with its protocol, or (before there was one) with a dictionary; a binary file with a label.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 0..=5, ..] | [b'(', b'd', ..] | [b'}', ..])
}

/// Records of `labels` labels, of which the last is the image's.
fn binary(bytes: &[u8], labels: usize, classes: u8, limit: usize) -> Step<Part> {
    let record = labels + IMAGE;
    let name = if labels == 1 { "CIFAR-10" } else { "CIFAR-100" };
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(format!("{} bytes: expected {name} records of {record} bytes", bytes.len()));
    }
    let mut part = Part { total: bytes.len() / record, hundred: labels == 2, ..Part::default() };
    let mut found = Vec::new();
    for record in bytes.chunks_exact(record).take(limit) {
        let label = record[labels - 1];
        if label >= classes || (labels == 2 && record[0] >= 20) {
            return Err(format!("label {label}: expected {name} records, labels 0 to {}", classes - 1));
        }
        found.push(usize::from(label));
        interleave(&record[labels..], 3, &mut part.bytes);
    }
    part.labels = Some(found);
    Ok(part)
}

fn pickled(bytes: &[u8], limit: usize) -> Step<Part> {
    let wrong = |e: String| format!("not a batch of CIFAR's Python version: {e}");
    let pickle = Pickle::parse(bytes).map_err(wrong)?;
    let Some(data) = pickle.get("data") else {
        let what = if pickle.is_dictionary() { "a dictionary without data" } else { "not a dictionary" };
        return Err(wrong(format!("{what}: expected data [n, 3072] and labels")));
    };
    let array = pickle.array(data).map_err(|e| wrong(format!("data: {e}")))?;
    let planes = match array.shape[..] {
        [n, IMAGE] | [n, 3, 32, 32] if n > 0 => true,
        [n, 32, 32, 3] if n > 0 => false,
        _ => return Err(wrong(format!("data of shape {:?}: expected [n, 3072]", array.shape))),
    };
    if !array.numbers.is_byte() {
        return Err(wrong("data of another type: expected bytes".into()));
    }
    let total = array.shape[0];
    let kept = &array.bytes[..total.min(limit) * IMAGE];
    let mut part = Part { total, ..Part::default() };
    if planes {
        kept.chunks_exact(IMAGE).for_each(|image| interleave(image, 3, &mut part.bytes));
    } else {
        part.bytes = kept.to_vec();
    }
    let named = ["labels", "fine_labels"].into_iter().find_map(|name| Some((name, pickle.get(name)?)));
    if let Some((name, id)) = named {
        let labels = pickle.integers(id).ok_or_else(|| wrong(format!("{name}: expected a list of whole numbers")))?;
        if labels.len() != total {
            return Err(wrong(format!("{} {name}: expected {total}, one per image", labels.len())));
        }
        let label = |n: &i64| usize::try_from(*n).ok().filter(|n| *n < MOST_CLASSES);
        let labels: Option<Vec<_>> = labels.iter().take(limit).map(label).collect();
        part.labels = Some(labels.ok_or_else(|| wrong(format!("{name}: expected class numbers")))?);
        part.hundred = name == "fine_labels";
    }
    Ok(part)
}

/// The first `limit` images of a file of either version.
fn parse(bytes: &[u8], limit: usize) -> Step<Part> {
    if is_pickle(bytes) {
        return pickled(bytes, limit);
    }
    let ten = binary(bytes, 1, 10, limit);
    if ten.is_err() && bytes.len().is_multiple_of(2 + IMAGE) {
        return binary(bytes, 2, 100, limit).or(ten);
    }
    ten
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = |e| Error::at(path, &e).because(e);
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > most {
        return Err(Error::at(path, format!("{len} bytes: expected at most {most}")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Whether a file's first bytes are those of a CIFAR batch, binary or pickled, of `len` bytes.
fn begins_as_cifar(first: &[u8], len: u64) -> bool {
    if is_pickle(first) {
        let begin = &first[..first.len().min(256)];
        let holds = |key: &[u8]| begin.windows(key.len()).any(|window| window == key);
        return [&b"data"[..], b"labels", b"batch_label", b"filenames"].into_iter().any(holds);
    }
    let records = |labels: usize, most: &[u8]| {
        let record = labels + IMAGE;
        len.is_multiple_of(record as u64) && first.chunks_exact(record).all(|r| r.iter().zip(most).all(|(label, most)| label <= most))
    };
    len > 0 && (records(1, &[9]) || records(2, &[19, 99]))
}

/// Whether a file is a batch of CIFAR-10 or CIFAR-100, binary or pickled, by its first records and its length, whatever its name.
pub(crate) fn is_cifar_file(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let Some(len) = file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len()) else { return false };
    let mut first = Vec::new();
    file.take(64 * (2 + IMAGE) as u64).read_to_end(&mut first).is_ok() && begins_as_cifar(&first, len)
}

/// A data set's training files.
#[derive(Debug)]
struct Found {
    folder: PathBuf,
    /// Those that are there.
    files: Vec<String>,
    missing: Vec<String>,
    hundred: bool,
    /// The images of the training part.
    all: usize,
}

/// The layouts of the two data sets' two versions: the folder that an archive makes, the training files, the images of them.
fn layouts() -> [(&'static str, bool, Vec<String>); 4] {
    let five = |end: &str| (1..=5).map(|i| format!("data_batch_{i}{end}")).collect();
    [
        ("cifar-10-batches-bin", false, five(".bin")),
        ("cifar-10-batches-py", false, five("")),
        ("cifar-100-binary", true, vec!["train.bin".into()]),
        ("cifar-100-python", true, vec!["train".into()]),
    ]
}

fn resolve(path: &Path) -> Result<Option<Found>> {
    let mut found: Vec<Found> = Vec::new();
    for (name, hundred, names) in layouts() {
        for folder in [path.to_owned(), path.join(name)] {
            // `train` may be anything else.
            let there = |name: &String| folder.join(name).is_file() && (!hundred || is_cifar_file(&folder.join(name)));
            let (files, missing): (Vec<_>, Vec<_>) = names.iter().cloned().partition(there);
            if !files.is_empty() {
                found.push(Found { folder, files, missing, hundred, all: 50_000 });
            }
        }
    }
    if let (Some(a), Some(b)) = (found.iter().find(|f| !f.hundred), found.iter().find(|f| f.hundred)) {
        let message = format!("CIFAR-10 in {} and CIFAR-100 in {}: expected one data set", a.folder.display(), b.folder.display());
        return Err(Error::at(path, message));
    }
    if found.is_empty() {
        for folder in [path.to_owned(), path.join("cifar-10-batches-bin"), path.join("cifar-10-batches-py")] {
            for (name, end) in [("test_batch.bin", ".bin"), ("test_batch", "")] {
                if is_cifar_file(&folder.join(name)) {
                    let missing = (1..=5).map(|i| format!("data_batch_{i}{end}")).collect();
                    found.push(Found { folder: folder.clone(), files: vec![name.into()], missing, hundred: false, all: 60_000 });
                }
            }
        }
    }
    // Both versions of one data set: that of which more is there.
    let most = found.iter().map(|f| f.files.len()).max();
    Ok(found.into_iter().find(|f| Some(f.files.len()) == most))
}

/// The folder with the training part of CIFAR-10 or CIFAR-100, of either version: this one, or that which their archives make in it.
///
/// # Errors
/// Both data sets.
pub(crate) fn find_in(folder: &Path) -> Result<Option<PathBuf>> {
    Ok(resolve(folder)?.map(|found| found.folder))
}

/// The names of classes beside the batches.
fn class_names(folder: &Path, hundred: bool) -> Option<Vec<String>> {
    let (text, pickled, key) = match hundred {
        false => ("batches.meta.txt", "batches.meta", "label_names"),
        true => ("fine_label_names.txt", "meta", "fine_label_names"),
    };
    let from_text = || {
        let text = String::from_utf8(read_file(&folder.join(text), 1 << 20).ok()?).ok()?;
        let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        (!names.is_empty()).then_some(names)
    };
    let from_pickle = || {
        let bytes = read_file(&folder.join(pickled), 1 << 20).ok()?;
        let pickle = Pickle::parse(&bytes).ok()?;
        pickle.strings(pickle.get(key)?)
    };
    from_text().or_else(from_pickle).or_else(|| (!hundred).then(|| TEN.map(str::to_owned).to_vec()))
}

/// The first `limit` images of a file, or of the training part in a folder, with their labels and the names of the classes.
///
/// # Errors
/// Another kind of file; no such files in the folder.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Batch> {
    let mut batch = Batch { size: [32, 32], channels: 3, bytes: Vec::new(), labels: None, class_names: None, warnings: Vec::new() };
    if !path.is_dir() {
        let part = in_file(path, parse(&read_file(path, MOST)?, limit))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (batch.bytes, batch.labels) = (part.bytes, part.labels);
        name_classes(&mut batch, folder, part.hundred);
        return Ok(batch.of_file(path));
    }
    let found = resolve(path)?
        .ok_or_else(|| Error::at(path, "expected the batches of CIFAR-10 or CIFAR-100, data_batch_*[.bin] or train[.bin]"))?;
    let (mut labels, mut total, mut short) = (Some(Vec::new()), Some(0), Vec::new());
    for name in &found.files {
        let file = found.folder.join(name);
        let left = limit - batch.len();
        if left == 0 {
            // What is not read is counted where that costs nothing.
            let len = std::fs::metadata(&file).map_err(|e| Error::at(&file, &e).because(e))?.len() as usize;
            let record = IMAGE + if found.hundred { 2 } else { 1 };
            total = total.filter(|_| name.ends_with(".bin")).map(|total| total + len / record);
            continue;
        }
        let part = in_file(&file, parse(&read_file(&file, MOST)?, left))?;
        if part.total < found.all / (found.files.len() + found.missing.len()) {
            short.push(format!("{name} has {}", thousands(part.total)));
        }
        total = total.map(|total| total + part.total);
        batch.bytes.extend(part.bytes);
        labels = labels.zip(part.labels).map(|(mut all, more)| {
            all.extend(more);
            all
        });
    }
    batch.labels = labels;
    let count = total.map_or(String::new(), |total| format!(": {} of {} images", thousands(total), thousands(found.all)));
    if !found.missing.is_empty() {
        let verb = if found.missing.len() == 1 { "is" } else { "are" };
        batch.warnings.push(format!("{} {verb} missing{count}", listed(&found.missing)));
    } else if !short.is_empty() && total.is_some() {
        batch.warnings.push(format!("{}{count}", listed(&short)));
    }
    name_classes(&mut batch, &found.folder, found.hundred);
    Ok(batch.of_file(&found.folder))
}

/// Adds the names of classes, where there are labels and enough names for them.
fn name_classes(batch: &mut Batch, folder: &Path, hundred: bool) {
    let Some(most) = batch.labels.as_ref().and_then(|labels| labels.iter().max()) else { return };
    match class_names(folder, hundred) {
        Some(names) if names.len() > *most => batch.class_names = Some(names),
        Some(names) => batch.warnings.push(format!("{} class names for labels up to {most}: the names are not used", names.len())),
        None => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;
    use std::fs;
    use tempfile::TempDir;

    /// Planes of one image whose pixel p is (p, p + 1, p + 2) with `first` added.
    fn planes(first: usize) -> Vec<u8> {
        (0..3).flat_map(|c| (0..1024).map(move |p| (p + c + first) as u8)).collect()
    }

    fn records(labels: &[&[u8]]) -> Vec<u8> {
        labels.iter().enumerate().flat_map(|(i, label)| [label, &planes(i)[..]].concat()).collect()
    }

    /// A batch as Python 2's cPickle wrote those of the authors.
    fn batch(key: &str, labels: &[u8]) -> Vec<u8> {
        let n = labels.len();
        let mut out = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U".to_vec();
        out.push(key.len() as u8);
        out.extend(key.bytes());
        out.extend(b"q\x04]q\x05(");
        labels.iter().for_each(|label| out.extend([b'K', *label]));
        out.extend(b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01M");
        out.extend((n as u16).to_le_bytes());
        out.extend(
            b"M\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
        );
        out.extend((n as u32 * 3072).to_le_bytes());
        (0..n).for_each(|i| out.extend(planes(i)));
        out.extend(b"tbu.");
        out
    }

    fn write(folder: &Path, files: &[(&str, Vec<u8>)]) {
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    #[test]
    fn both_versions_of_both_data_sets() {
        for (files, labels, hundred) in [
            (["data_batch_1.bin", "data_batch_2.bin"].map(|n| (n, records(&[&[6], &[9]]))).to_vec(), vec![6, 9, 6, 9], false),
            (["cifar-10-batches-bin/data_batch_5.bin"].map(|n| (n, records(&[&[6], &[9]]))).to_vec(), vec![6, 9], false),
            (["data_batch_1", "data_batch_3"].map(|n| (n, batch("labels", &[6, 9]))).to_vec(), vec![6, 9, 6, 9], false),
            (["cifar-10-batches-py/data_batch_1"].map(|n| (n, batch("labels", &[6, 9]))).to_vec(), vec![6, 9], false),
            (vec![("cifar-100-binary/train.bin", records(&[&[19, 99], &[0, 40]]))], vec![99, 40], true),
            (vec![("train", batch("fine_labels", &[99, 40]))], vec![99, 40], true),
        ] {
            let folder = TempDir::new().unwrap();
            write(folder.path(), &files);
            let found = find_in(folder.path()).unwrap().unwrap();
            let name = files[0].0;
            assert_eq!(found, folder.path().join(name).parent().unwrap());
            for path in [folder.path(), &found] {
                let read = read(path, usize::MAX).unwrap();
                assert_eq!((read.size, read.channels, read.len()), ([32, 32], 3, labels.len()), "{name}");
                assert_eq!(read.bytes[3072..][..6], [1, 2, 3, 2, 3, 4], "{name}");
                assert_eq!(read.labels.as_ref(), Some(&labels), "{name}");
                assert_eq!(read.class_names.is_some(), !hundred, "{name}");
                assert_eq!(read.warnings.len(), 1, "{name}: {:?}", read.warnings);
            }
            let file = folder.path().join(name);
            assert!(is_cifar_file(&file), "{name}");
            let one = read(&file, 1).unwrap();
            assert_eq!((one.len(), one.labels, one.warnings), (1, Some(labels[..1].to_vec()), vec![]));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        let full = records(&vec![&[3][..]; 10_000]);
        for i in [1, 2, 4, 5] {
            fs::write(at.join(format!("data_batch_{i}.bin")), &full).unwrap();
        }
        let warning = |limit| read(at, limit).unwrap().warnings;
        let expected = format!("{}: data_batch_3.bin is missing: 40,000 of 50,000 images", at.display());
        assert_eq!(warning(10_001), [expected]);
        fs::write(at.join("data_batch_3.bin"), &full).unwrap();
        assert!(warning(10).is_empty());
        fs::write(at.join("data_batch_3.bin"), &full[..3073 * 12]).unwrap();
        assert_eq!(warning(20_013), [format!("{}: data_batch_3.bin has 12: 40,012 of 50,000 images", at.display())]);
        fs::write(at.join("data_batch_3.bin"), &full[..3000]).unwrap();
        let error = read(at, usize::MAX).unwrap_err().to_string();
        assert!(error.ends_with("data_batch_3.bin: 3000 bytes: expected CIFAR-10 records of 3073 bytes"), "{error}");

        let test = TempDir::new().unwrap();
        write(test.path(), &[("test_batch", batch("labels", &[1]))]);
        let read = read(test.path(), 9).unwrap();
        assert!(read.warnings[0].contains("data_batch_4 and data_batch_5 are missing: 1 of 60,000 images"), "{:?}", read.warnings);
    }

    #[test]
    fn names_of_classes() {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        write(at, &[("data_batch_1.bin", records(&[&[1]]))]);
        let names = || read(at, 9).unwrap().class_names.unwrap();
        assert_eq!((names().len(), names()[9].as_str()), (10, "truck"));
        write(
            at,
            &[("batches.meta", b"\x80\x03}q\x00X\x0b\x00\x00\x00label_namesq\x01]q\x02(X\x01\x00\x00\x00aX\x01\x00\x00\x00bes.".to_vec())],
        );
        assert_eq!(names(), ["a", "b"]);
        write(at, &[("batches.meta.txt", b"x\ny\r\nz\n\n".to_vec())]);
        assert_eq!(names(), ["x", "y", "z"]);
        write(at, &[("batches.meta.txt", b"x\n".to_vec())]);
        let read = read(at, 9).unwrap();
        assert!(read.class_names.is_none() && read.warnings.iter().any(|w| w.contains("1 class names")), "{:?}", read.warnings);
    }

    #[test]
    fn what_is_something_else() {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        // Folders of pictures are often called so.
        write(at, &[("train/cat/1.png", vec![1]), ("test/cat/1.png", vec![1]), ("train.bin", b"nonsense".to_vec())]);
        assert_eq!(find_in(at).unwrap(), None);
        assert!(!is_cifar_file(at) && !is_cifar_file(&at.join("train.bin")) && !is_cifar_file(&at.join("absent")));
        assert!(read(at, 9).unwrap_err().to_string().contains("expected the batches"));
        write(at, &[("cifar-10-batches-py/data_batch_1", batch("labels", &[1])), ("cifar-100-python/train", batch("fine_labels", &[1]))]);
        assert!(find_in(at).unwrap_err().to_string().contains("expected one data set"));
        let refused = |bytes: &[u8], expected: &str| {
            let error = parse(bytes, usize::MAX).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        refused(b"", "0 bytes: expected CIFAR-10 records of 3073 bytes");
        refused(&records(&[&[10]]), "label 10: expected CIFAR-10 records, labels 0 to 9");
        refused(&records(&[&[1, 100]]), "expected CIFAR-10 records");
        refused(b"\x80\x02}.", "a dictionary without data");
        refused(b"\x80\x02].", "not a dictionary");
        refused(&batch("labels", &[1, 2])[..5000], "it ends within its pickle");
        refused(b"\x80\x02}(U\x04dataK\x01u.", "data: not a NumPy array");
        let mut wrong = batch("labels", &[1, 2]);
        let at = wrong.windows(3).position(|w| w == b"K\x01K").unwrap();
        wrong.splice(at..at + 2, []);
        refused(&wrong, "1 labels: expected 2");
    }

    /// `DDIM_FUZZ_CASES=1000000 cargo test --release -p ddim-data --lib cifar::tests::mutated`
    #[test]
    fn mutated() {
        let valid = [records(&[&[6], &[9]]), records(&[&[19, 99]]), batch("labels", &[6, 9]), batch("fine_labels", &[99])];
        fuzz(&valid, |bytes| {
            for limit in [1, usize::MAX] {
                if let Ok(part) = parse(bytes, limit) {
                    assert!(part.bytes.len() <= bytes.len() && part.bytes.len() == part.total.min(limit) * IMAGE);
                }
            }
            begins_as_cifar(bytes, bytes.len() as u64);
        });
    }
}
