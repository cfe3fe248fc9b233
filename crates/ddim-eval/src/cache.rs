//! The user's cache folder, and the features of reference images in it, which take longer to compute than most tables made with them.

use crate::error::{Error, ErrorKind, Result};
use crate::statistics::{npy, to_npz};
use ddim_nn::Inception;
use ddim_weights::TEMPORARY;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// `$DDIM_CACHE`, or `ddim` in the user's cache folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    set("DDIM_CACHE").map(PathBuf::from).or_else(|| home_cache().map(|cache| cache.join("ddim")))
}

/// The user's cache folder.
pub(crate) fn home_cache() -> Option<PathBuf> {
    let named = |name| set(name).map(PathBuf::from);
    named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).or_else(|| named("HOME").map(|home| home.join(".cache")))
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Fewer images are looked at again.
const WORTH_KEEPING: usize = 256;

/// Bytes of all files that are kept: 5 references of CIFAR-10's size.
const MOST_KEPT: u64 = 2 << 30;

/// A file that is so old is not being written.
const A_DAY: Duration = Duration::from_hours(24);

/// The place of one set's features in the cache: `features/` in the folder that `$DDIM_CACHE` names, or in `ddim` in the user's cache
/// folder.
///
/// The files there take at most 2 GiB; the most recently used ones stay. Sets of fewer than 256 images are not kept.
///
/// ```
/// use ddim_eval::KeptFeatures;
///
/// let kept = KeptFeatures::of("5d41…", 7, "ddim 0.1.0, AVX-512", 50_000);
/// assert!(kept.read().is_none()); // until somebody writes them
/// # Ok::<(), ddim_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct KeptFeatures {
    /// None: they are not kept.
    path: Option<PathBuf>,
    count: usize,
}

impl KeptFeatures {
    /// Returns the place of the features of `count` images whose checksum is `images` ([`Images::checksum`](crate::Images::checksum)).
    ///
    /// They are those of the Inception network whose checksum is `inception` ([`Inception::checksum`]), as `computed_by` computes them:
    /// versions, vectors and devices may differ in the last digits.
    pub fn of(images: &str, inception: u32, computed_by: &str, count: usize) -> Self {
        let folder = cache_folder().filter(|_| count >= WORTH_KEEPING).map(|folder| folder.join("features"));
        Self::within(folder, images, inception, computed_by, count)
    }

    fn within(folder: Option<PathBuf>, images: &str, inception: u32, computed_by: &str, count: usize) -> Self {
        let key = Sha256::digest(format!("{images} {inception:08x} {computed_by}"));
        Self { path: folder.map(|folder| folder.join(format!("{}.npz", crate::features::hex(&key[..16])))), count }
    }

    /// Returns the path where they are, or will be, kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the features [n, 2048] if they are kept. A damaged file counts as missing.
    pub fn read(&self) -> Option<Vec<f32>> {
        let path = self.path.as_deref()?;
        let features = read(path).filter(|features| features.len() == self.count * Inception::FEATURES)?;
        // Used last. Whoever may not write there can read all the same.
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(features)
    }

    /// Keeps features [n, 2048], and removes the least recently used files if all of them exceed 2 GiB.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be created or a file cannot be written. Nothing depends on it.
    ///
    /// # Panics
    /// Panics on features of another number of images.
    pub fn write(&self, features: &[f32]) -> Result<()> {
        assert_eq!(features.len(), self.count * Inception::FEATURES, "features of other images");
        let Some((path, folder)) = self.path.as_deref().and_then(|path| Some((path, path.parent()?))) else { return Ok(()) };
        let array = npy(features, &[self.count as u64, Inception::FEATURES as u64]);
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| ddim_weights::write_file(path, &to_npz(&[("features", array)])))
            .and_then(|()| remove_oldest(folder, path, MOST_KEPT));
        written.map_err(|e| {
            Error::new(ErrorKind::Data, format!("{}: the reference's features cannot be kept: {e}", path.display())).because(e)
        })
    }
}

/// What [`KeptFeatures::write`] wrote; the archive has a checksum.
fn read(path: &Path) -> Option<Vec<f32>> {
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path).ok()?)).ok()?;
    let mut entry = archive.by_name("features.npy").ok()?;
    let features = npyz::NpyFile::new(&mut entry).ok()?.into_vec().ok()?;
    // The checksum is looked at where the entry ends.
    std::io::copy(&mut entry.by_ref().take(1), &mut std::io::sink()).ok()?;
    Some(features)
}

/// Removes files from `folder` until all of them have at most `most` bytes: first those that were used least recently, and never `new`. What a process that was killed
/// left under a temporary name goes after a day, when nobody writes it any more.
fn remove_oldest(folder: &Path, new: &Path, most: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        // Another process may have removed it.
        let Ok(about) = entry.metadata() else { continue };
        let ours = entry.path().extension().is_some_and(|extension| extension == "npz");
        if about.is_file() && ours {
            files.push((about.modified()?, about.len(), entry.path()));
        } else if entry.file_name().to_string_lossy().starts_with(TEMPORARY) && about.modified()?.elapsed().is_ok_and(|age| age > A_DAY) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    files.sort();
    let mut whole: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if whole <= most {
            break;
        }
        if path != new {
            let _ = std::fs::remove_file(&path);
            whole -= bytes;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_found_again_by_what_they_are_of() {
        let folder = tempfile::tempdir().unwrap();
        let here = |images: &str, inception, by: &str| KeptFeatures::within(Some(folder.path().join("features")), images, inception, by, 2);
        let kept = here("a", 1, "AVX2");
        assert_eq!(kept.read(), None);
        let features: Vec<f32> = (0..2 * Inception::FEATURES).map(|i| (i as f32).sin()).collect();
        kept.write(&features).unwrap();
        assert_eq!(here("a", 1, "AVX2").read(), Some(features.clone()));
        for other in [here("b", 1, "AVX2"), here("a", 2, "AVX2"), here("a", 1, "AVX-512")] {
            assert_eq!(other.read(), None);
        }
        // Of another number of images, damaged anywhere, or cut short: they are taken again.
        assert_eq!(KeptFeatures { count: 3, ..kept.clone() }.read(), None);
        let path = kept.path().unwrap();
        let whole = std::fs::read(path).unwrap();
        for at in [200, whole.len() / 2, whole.len() - 300] {
            let mut damaged = whole.clone();
            damaged[at] ^= 64;
            std::fs::write(path, &damaged).unwrap();
            assert_eq!(kept.read(), None, "byte {at}");
            std::fs::write(path, &whole[..at]).unwrap();
            assert_eq!(kept.read(), None, "cut at {at}");
        }
        kept.write(&features).unwrap();
        assert_eq!(kept.read(), Some(features));
    }

    #[test]
    fn few_images_are_not_kept() {
        let few = KeptFeatures::of("a", 1, "AVX2", WORTH_KEEPING - 1);
        assert!(few.path().is_none() && few.read().is_none());
        few.write(&vec![0.0; (WORTH_KEEPING - 1) * Inception::FEATURES]).unwrap();
    }

    #[test]
    fn what_was_used_last_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (i, name) in ["c.npz", "a.npz", "b.npz", "d.npz"].into_iter().enumerate() {
            std::fs::write(at(name), [0; 10]).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(i as u64);
            File::options().append(true).open(at(name)).unwrap().set_modified(time).unwrap();
        }
        std::fs::write(at("notes.txt"), [0; 100]).unwrap();
        // Of processes that were killed, and of one that may be at work.
        let [dead, alive] = ["dead", "alive"].map(|name| at(&format!("{TEMPORARY}{name}")));
        [&dead, &alive].into_iter().for_each(|path| std::fs::write(path, [0; 10]).unwrap());
        File::options().append(true).open(&dead).unwrap().set_modified(SystemTime::now() - 2 * A_DAY).unwrap();
        let there = || ["a.npz", "b.npz", "c.npz", "d.npz", "notes.txt"].map(|name| at(name).exists());
        remove_oldest(folder.path(), &at("a.npz"), 40).unwrap();
        assert_eq!(there(), [true; 5]);
        assert!(!dead.exists() && alive.exists());
        remove_oldest(folder.path(), &at("a.npz"), 25).unwrap();
        assert_eq!(there(), [true, false, false, true, true]);
        // The new one stays, however large it is.
        remove_oldest(folder.path(), &at("a.npz"), 5).unwrap();
        assert_eq!(there(), [true, false, false, false, true]);
    }

    /// Parts of a run by another version are used, and their features not said to be this one's.
    #[test]
    fn features_of_two_versions_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let settings = match serde_json::json!({ "trajectory": "uniform", "guidance": 1.0, "seed": 0 }) {
            serde_json::Value::Object(settings) => settings,
            _ => unreachable!(),
        };
        let n = 40;
        let kept = KeptFeatures::within(Some(folder.path().join("features")), "a", 1, "2", n);
        let taken = |name: &str, by: &str, at_most: usize| {
            let sweep = crate::Sweep::open(&folder.path().join(name), &settings, &serde_json::Map::new(), by, [1, 8, 8]).unwrap();
            let mut features = |range: std::ops::Range<usize>| {
                if range.end > at_most {
                    return Err(Error::new(ErrorKind::Data, "stopped"));
                }
                Ok(range.flat_map(|i| (0..Inception::FEATURES).map(move |j| ((i * 7 + j) as f32).sin())).collect())
            };
            sweep.reference(n, None, &kept, &mut features, &mut |_| Ok(())).is_ok()
        };
        assert!(!taken("parts", "1", 32) && taken("parts", "2", n));
        assert_eq!(kept.read(), None);
        // Where the other version took none, all are this one's.
        assert!(!taken("none", "1", 0) && taken("none", "2", n));
        assert!(kept.read().is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let kept = KeptFeatures::within(Some(folder.path().join("file/features")), "a", 1, "AVX2", 1);
        let error = kept.write(&vec![0.0; Inception::FEATURES]).unwrap_err().to_string();
        assert!(error.contains("file/features") && error.contains("cannot be kept"), "{error}");
    }
}
