//! The source of the Inception network's weights.

use crate::cache::{cache_folder, home_cache};
use crate::error::{Error, Result};
use crate::fetch::{SIZE, fetch};
use ddim_nn::Inception;
use ddim_weights::lock_folder;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// As pytorch-fid publishes them.
const NAME: &str = "pt_inception-2015-12-05-6726825d.pth";
const URL: &str = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth";

/// How often it is asked whether another process has finished.
const MOMENT: Duration = Duration::from_millis(200);

/// Names a file of the weights.
const VARIABLE: &str = "DDIM_INCEPTION";

/// Names another place to download from.
const MIRROR: &str = "DDIM_INCEPTION_URL";

/// Loads the Inception network from `file`, or else from its usual places.
///
/// These are, in order: the file that `$DDIM_INCEPTION` names; the cache (`$DDIM_CACHE`, or `ddim` in the user's cache folder), or
/// PyTorch's, where pytorch-fid puts it; and a download into the cache, once, from pytorch-fid's release or from `$DDIM_INCEPTION_URL`.
/// `load` reads a file: [`Inception::load`], or on a device [`Inception::load_on`]. `observe` receives the bytes received and their total,
/// and can end the download.
///
/// # Errors
/// Returns an error for a file of something else, for a download that fails or is not what it should be, with where to put the file by
/// hand, and whatever error `observe` returns.
///
/// ```no_run
/// use ddim_eval::{Statistics, features, load_inception};
/// use ddim_data::{BadFiles, ImageSet, Look};
///
/// let inception = load_inception(None, &ddim_nn::Inception::load, &mut |_done, _bytes| Ok(()))?;
/// let set = ImageSet::open("photos".as_ref(), Look::AsTheyAre { background: None }, None, BadFiles::Stop, &[])?;
/// let features = features(&inception, &set, &mut |_images| Ok(()))?;
/// let statistics = Statistics::of(&features, ddim_nn::Inception::FEATURES)?;
/// std::fs::write("photos.npz", statistics.to_npz())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_inception(
    file: Option<&Path>,
    load: &dyn Fn(&Path) -> ddim_nn::Result<Inception>,
    observe: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Inception> {
    if let Some(file) = file {
        return Ok(load(file)?);
    }
    if let Some(file) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return load(Path::new(&file)).map_err(|e| Error::weights(format!("{VARIABLE}: {e}")).because(e));
    }
    let folder = cache_folder();
    let torch = home_cache().map(|cache| cache.join("torch/hub/checkpoints"));
    let known = folder.iter().chain(&torch).map(|folder| folder.join(NAME)).find(|path| path.is_file());
    match (known, folder) {
        (Some(path), _) => Ok(load(&path)?),
        (None, Some(folder)) => Ok(load(&download(&folder, observe)?)?),
        (None, None) => Err(Error::weights(format!(
            "no cache folder: expected DDIM_CACHE or HOME to be set, or --inception or {VARIABLE} to name the weights of FID's Inception",
        ))),
    }
}

fn download(folder: &Path, observe: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<PathBuf> {
    let url = std::env::var(MIRROR).ok().filter(|url| !url.is_empty()).unwrap_or_else(|| URL.to_owned());
    let path = folder.join(NAME);
    let help = format!("put {NAME} into {}, or name it with --inception or {VARIABLE}", folder.display());
    let failed = |what: &dyn std::fmt::Display| {
        Error::weights(format!("the Inception network's weights could not be downloaded from {url}: {what}: {help}"))
    };
    std::fs::create_dir_all(folder).map_err(|e| failed(&e).because(e))?;
    // One process downloads, and others wait for it.
    let _alone = loop {
        match lock_folder(folder) {
            Ok(lock) => break lock,
            Err(e) if e.kind() == ErrorKind::WouldBlock => observe(0, SIZE)?,
            Err(e) => return Err(failed(&e).because(e)),
        }
        std::thread::sleep(MOMENT);
    };
    if path.is_file() {
        return Ok(path);
    }
    // What a killed process left of it is written over.
    let part = folder.join(format!("{NAME}.part"));
    let come = fetch(&url, &part, &failed, observe).and_then(|()| std::fs::rename(&part, &path).map_err(|e| failed(&e).because(e)));
    if come.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    come.map(|()| path)
}
