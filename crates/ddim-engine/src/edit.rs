//! Images changed: drawn again from some of their noise, within a mask, under another class, or by another model.

use crate::choices::{Clipping, Eta, Guidance, Model, Preparing};
use crate::error::{Error, Result};
use crate::inputs;
use crate::inversion::Inversion;
use crate::job::{Request, Watch, Within};
use crate::output::{OutputFile, check_drawable, check_paths, create_folder, shown};
use crate::reports::DataReport;
use crate::sample::write_singles;
use crate::session::{Session, check_count};
use crate::spacing::Spacing;
use crate::used_folder;
use ddim::{Resampling, Solver};
use ddim_data::npy_bytes;
use ddim_pictures::{Picture, grid, labelled};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use way::Way;

mod way;

/// Images of a grid, beside each other.
const SHOWN: usize = 16;

/// Images drawn again from a level of noise that `strength` chooses, in S steps below it.
///
/// The state there is the image with fresh noise (SDEdit, arXiv 2108.01073), or, with an `inversion`, its latent: then what is drawn is a function of the image alone,
/// and under another class or by another model a translation of it (dual diffusion implicit bridges, arXiv 2203.08382). With a `mask` the rest stays as it is
/// (RePaint, arXiv 2201.09865).
///
/// diffusers' image-to-image pipelines run S·strength steps; here all S lie below the level.
///
/// ```
/// use ddim_engine::{Control, Edit, Engine};
///
/// # let folder = tempfile::tempdir()?;
/// let input = folder.path().join("x_0.npy"); // one image [3, 32, 32] in [-1, 1]
/// std::fs::write(&input, ddim_data::npy_bytes(&[0.5; 3072], [3, 32, 32]))?;
/// let request = Edit { input, strength: Some(0.4), steps: 2, ..Edit::default() };
/// let edited = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((edited.edits.len(), edited.level), (3072, 201)); // of two steps below level 400
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// Which model; its `classes` are those that are drawn.
    pub model: Model,
    /// Images of any kind that is read.
    pub input: PathBuf,
    /// Only the first so many.
    pub count: Option<usize>,
    /// How they become those of the model.
    pub preparation: Preparing,
    /// From 0, which returns the image, to 1, where nothing of it is left but what a latent keeps. None: 1 with a mask or an inversion, else 0.5.
    pub strength: Option<f64>,
    /// S.
    pub steps: usize,
    /// Randomness of the way down.
    pub eta: Eta,
    /// How the S timesteps are chosen from those up to the level.
    pub trajectory: Option<Spacing>,
    /// How steps are solved.
    #[serde(with = "crate::choices::by_name")]
    pub solver: Solver,
    /// Of the noise.
    pub seed: u64,
    /// From the image's latent, found like this, instead of noise. None: noise, but [`Inversion::ANDERSON`] where `from_classes` or `to_model` are given.
    pub inversion: Option<Inversion>,
    /// The classes under which images are encoded, as `classes` of a model. None: those that are drawn.
    pub from_classes: Option<PathBuf>,
    /// Another model of images of the same shape, which decodes; the classes that are drawn are its own.
    pub to_model: Option<PathBuf>,
    /// An image of the model's size for all, or one for each: white is drawn, black stays, gray is between.
    pub mask: Option<PathBuf>,
    /// Jumps back up, with a mask. None: [`Repaint::default`] with a mask; `times: 1` makes none.
    pub repaint: Option<Repaint>,
    /// Of each image so many edits, from noise of their own.
    pub variations: usize,
    /// What is done to the predicted x_0.
    pub clip: Clipping,
    /// Files to write.
    pub files: EditFiles,
}

/// [`Resampling`], as a request has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repaint {
    /// How often a stretch of the trajectory is gone through; 1: once.
    pub times: usize,
    /// Steps of a stretch.
    pub jump: usize,
}

impl Default for Repaint {
    /// Five times every five steps: without jumps, what is drawn does not fit what stays.
    fn default() -> Self {
        Self { times: 5, jump: 5 }
    }
}

/// The files that an [`Edit`] is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditFiles {
    /// A folder for each edit as a PNG of its number.
    pub out: Option<PathBuf>,
    /// The first 16 images, what stays of them under a mask, and their edits, as one picture.
    pub grid: Option<PathBuf>,
    /// The edits, [n, c, h, w].
    pub save_npy: Option<PathBuf>,
}

impl Default for Edit {
    fn default() -> Self {
        Self {
            model: Model::default(),
            input: PathBuf::new(),
            count: None,
            preparation: Preparing::default(),
            strength: None,
            steps: 50,
            eta: Eta::Value(0.0),
            trajectory: None,
            solver: Solver::Ddim,
            seed: 0,
            inversion: None,
            from_classes: None,
            to_model: None,
            mask: None,
            repaint: None,
            variations: 1,
            clip: Clipping::default(),
            files: EditFiles::default(),
        }
    }
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "edit")]
pub struct EditReport {
    /// The model as it was named.
    pub model: String,
    /// The one that decoded, where it was another.
    pub to_model: Option<String>,
    /// Number of images.
    pub images: usize,
    /// Edits of each.
    pub variations: usize,
    /// What was left out.
    pub data: DataReport,
    /// Of the edit.
    pub strength: f64,
    /// Where it began; 0 where nothing ran.
    pub level: usize,
    /// Code timesteps in the order in which they were visited, without jumps.
    pub timesteps: Vec<usize>,
    /// Evaluations of an edit on its way down, jumps included.
    pub evaluations: usize,
    /// Randomness.
    pub eta: Eta,
    /// How steps were solved.
    #[serde(with = "crate::choices::by_name")]
    pub solver: Solver,
    /// How images were encoded; none where noise was added.
    pub inversion: Option<Inversion>,
    /// The class that was drawn in each edit, of a model with classes.
    pub classes: Option<Vec<usize>>,
    /// Of the noise.
    pub seed: u64,
    /// Root mean squared difference of edits and images, as pixels in [0, 1].
    pub rms: f64,
    /// What it took.
    pub seconds: f64,
    /// What was written.
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The edits, those of one image after those of another, [n, c, h, w] in [-1, 1], unclamped.
    #[serde(skip)]
    pub edits: Vec<f32>,
}

impl Request for Edit {
    type Report = EditReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<EditReport> {
        let files = &self.files;
        check_paths(
            &[("input", Some(&self.input)), ("mask", self.mask.as_deref())],
            &[("out", files.out.as_deref())],
            &[("grid", files.grid.as_deref()), ("save_npy", files.save_npy.as_deref())],
        )?;
        let inversion = self.inversion.or((self.from_classes.is_some() || self.to_model.is_some()).then_some(Inversion::ANDERSON));
        let strength = self.strength.unwrap_or(if self.mask.is_some() || inversion.is_some() { 1.0 } else { 0.5 });
        self.check(inversion, strength)?;
        let (mut encoder, mut decoder) = self.sessions(inversion.is_some(), watch)?;
        check_models(encoder.as_ref(), &decoder, strength)?;
        let (shape, dim) = (decoder.shape(), decoder.dim());
        let way = self.way(encoder.as_ref(), &decoder, strength, watch)?;
        let labelled = decoder.awaits_labels() || encoder.as_ref().is_some_and(Session::awaits_labels);
        let inputs = inputs::read_with(&self.input, shape, self.preparation, self.count, labelled, watch)?;
        encoder.iter_mut().try_for_each(|encoder| encoder.label(&inputs, 1))?;
        decoder.label(&inputs, self.variations)?;
        let images = &inputs.images;
        let count = images.len() / dim;
        let total = count.saturating_mul(self.variations);
        check_count(total).map_err(|_| Error::field("variations", format!("{} of {count} images: expected fewer", self.variations)))?;
        let mask = self.mask.as_ref().map(|path| self.read_mask(path, shape, count, watch)).transpose()?;
        if files.grid.is_some() || files.out.is_some() {
            check_drawable(shape)?;
        }
        let folders: Vec<&PathBuf> = files.out.iter().collect();
        let grid_file = OutputFile::create_within(files.grid.as_ref(), &folders)?;
        let npy = OutputFile::create_within(files.save_npy.as_ref(), &folders)?;
        let settings = self.settings(&decoder, strength, inversion);
        let contents = contents([Some(&decoder), encoder.as_ref()], images, mask.as_deref());
        let caption = |number: usize| {
            let class = decoder.classes.said(self.seed, number).map_or(String::new(), |class| format!(", {class}"));
            format!("ddim edit {settings}, image {number}{class} ({contents})")
        };
        if let Some(folder) = &files.out {
            used_folder::images(folder, Some(total), caption)?;
            create_folder(folder)?;
        }

        let mut edits = Vec::with_capacity(total * dim);
        let (mut timesteps, mut evaluations, mut seconds) = (Vec::new(), 0, 0.0);
        match &way {
            None => images.chunks_exact(dim).for_each(|image| edits.extend(image.repeat(self.variations))),
            Some(way) => {
                (timesteps, evaluations) = (way.trajectory.timesteps().collect(), way.evaluations());
                let up = if encoder.is_some() { count * way.up.len() } else { 0 };
                watch.begin("editing", "image-steps", up + total * way.visits.len());
                let start = way.start(encoder.as_ref().zip(inversion), images, (mask.is_some(), strength), watch)?;
                for first in (0..total).step_by(decoder.batch_size()) {
                    let batch: Vec<usize> = (first..total.min(first + decoder.batch_size())).collect();
                    // Of each edit its image's.
                    let of = |all: &[f32]| -> Vec<f32> {
                        batch.iter().flat_map(|k| &all[k / self.variations * dim..][..dim]).copied().collect()
                    };
                    edits.extend(way.draw(&decoder, &start, of, mask.as_deref(), (self.seed, first), watch)?);
                }
                seconds = watch.end();
            }
        }
        if let Some(folder) = &files.out {
            write_singles(folder, &edits, shape, 0, caption)?;
        }
        let mut written: Vec<PathBuf> = files.out.iter().cloned().collect();
        if let Some(file) = grid_file {
            written.push(file.commit(&self.picture(images, mask.as_deref(), &edits, shape)?.to_png(&format!("ddim edit {settings}")))?);
        }
        if let Some(file) = npy {
            written.push(file.commit(&npy_bytes(&edits, shape))?);
        }
        Ok(EditReport {
            to_model: self.to_model.as_ref().map(|model| model.display().to_string()),
            model: self.model.model.display().to_string(),
            images: count,
            variations: self.variations,
            data: (&inputs.report).into(),
            strength,
            level: timesteps.first().map_or(0, |t| t + 1),
            timesteps,
            evaluations,
            eta: self.eta,
            solver: self.solver,
            inversion,
            classes: decoder.classes.labels(self.seed, 0..total),
            seed: self.seed,
            rms: difference(images, &edits, dim, self.variations),
            seconds,
            files: shown(&written),
            shape,
            edits,
        })
    }
}

impl Edit {
    /// What can be told from the request alone.
    fn check(&self, inversion: Option<Inversion>, strength: f64) -> Result<()> {
        // NaN is in no range.
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::field("strength", format!("{strength}: expected a number from 0, the image as it is, to 1")));
        }
        if self.variations == 0 {
            return Err(Error::field("variations", "0: expected 1 or more"));
        }
        if let Some(Repaint { times, .. }) = self.repaint.filter(|_| self.mask.is_none()) {
            return Err(Error::field("repaint", format!("{times} times without a mask: expected `mask`")));
        }
        if inversion == Some(Inversion::Bdia) {
            let expected = "the inversion bdia decodes as it encodes";
            if self.mask.is_some() {
                return Err(Error::field("mask", format!("{expected}: expected another inversion with a mask")));
            }
            if self.solver != Solver::Ddim || self.eta != Eta::Value(0.0) {
                return Err(Error::field("inversion", format!("{expected}: expected `solver` ddim and `eta` 0")));
            }
        }
        Ok(())
    }

    /// What encodes, where something does, and what decodes.
    fn sessions<'w, 'b>(&self, encodes: bool, watch: &'w Watch<'b>) -> Result<(Option<Session<'w, 'b>>, Session<'w, 'b>)> {
        let other = |model: &PathBuf| Model { model: model.clone(), raw: false, scheduler: None, ..self.model.clone() };
        let decoder = Session::of_data(&self.to_model.as_ref().map_or_else(|| self.model.clone(), other), watch)?;
        let drawn = if self.to_model.is_some() { None } else { self.model.classes.clone() };
        // Encoded under the class alone: what is taken beyond it on the way down is what changes.
        let classes = self.from_classes.clone().or(drawn);
        let model = Model { classes, guidance: Guidance::default(), ..self.model.clone() };
        let encoder = encodes.then(|| Session::of_data(&model, watch)).transpose();
        Ok((encoder.map_err(|e| if self.from_classes.is_some() { e.renamed("classes", "from_classes") } else { e })?, decoder))
    }

    /// The way down; none for strength 0.
    fn way(&self, encoder: Option<&Session<'_, '_>>, session: &Session<'_, '_>, strength: f64, watch: &Watch<'_>) -> Result<Option<Way>> {
        let top = (strength * session.schedule.levels() as f64).round() as usize;
        if top == 0 {
            return Ok(None);
        }
        if self.steps > top && top < session.schedule.levels() {
            watch.note(format!("`steps` {}: {top}, as many as there are below the level of strength {strength}", self.steps));
        }
        let steps = if top < session.schedule.levels() { self.steps.min(top) } else { self.steps };
        let trajectory = session.trajectory_below(top, self.trajectory.as_ref(), steps, self.solver)?;
        let sampler = session.sampler(&trajectory, &self.eta.into(), self.clip, self.solver)?;
        let Repaint { times, jump } = self.jumps();
        let visits = Resampling { jump, times }.visits(trajectory.len()).map_err(|e| Error::field("repaint", &e).because(e))?;
        let up = match encoder.filter(|encoder| encoder.schedule.levels() != session.schedule.levels()) {
            Some(encoder) => encoder.trajectory(self.trajectory.as_ref(), self.steps, self.solver)?,
            None => trajectory.clone(),
        };
        Ok(Some(Way { trajectory, up, sampler, visits }))
    }

    /// Jumps, which only an edit under a mask makes.
    fn jumps(&self) -> Repaint {
        let once = Repaint { times: 1, ..Repaint::default() };
        if self.mask.is_some() { self.repaint.unwrap_or_default() } else { once }
    }

    /// 1 where something is drawn, for all channels of `count` images.
    fn read_mask(&self, path: &Path, [c, h, w]: [usize; 3], count: usize, watch: &Watch<'_>) -> Result<Vec<f32>> {
        let how = Preparing { background: self.preparation.background.or(Some([0; 3])), ..self.preparation };
        let masks = inputs::read_with(path, [1, h, w], how, None, false, watch)?.images;
        let found = masks.len() / (h * w);
        if found != 1 && found != count {
            return Err(Error::field(
                "mask",
                format!("{}: {found} masks for {count} images: expected one, or one for each", path.display()),
            ));
        }
        let of = |image: usize| masks[if found == 1 { 0 } else { image } * h * w..][..h * w].iter();
        let part = |v: &f32| ((v + 1.0) / 2.0).clamp(0.0, 1.0);
        Ok((0..count).flat_map(|image| (0..c).flat_map(move |_| of(image).map(part))).collect())
    }

    /// What decides the pictures, as one would type it.
    fn settings(&self, session: &Session<'_, '_>, strength: f64, inversion: Option<Inversion>) -> String {
        let noise = match self.eta {
            Eta::Hat => "--sigma-hat".to_owned(),
            Eta::Value(eta) => format!("--eta {eta}"),
        };
        let path = |flag: &str, path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| format!(" {flag} {}", path.display()));
        let others = path("--to-model", &self.to_model) + &path("--from-class", &self.from_classes) + &path("--mask", &self.mask);
        let Repaint { times, jump } = self.jumps();
        let repaint = if self.mask.is_none() { String::new() } else { format!(" --repaint {times}:{jump}") };
        let inversion = inversion.map_or(String::new(), |inversion| format!(" --inversion {inversion}"));
        let variations = if self.variations == 1 { String::new() } else { format!(" --variations {}", self.variations) };
        format!(
            "--model {} --input {} --strength {strength} --steps {} --trajectory {} {noise} --seed {}{}{others}{repaint}{inversion}{variations}",
            self.model.model.display(),
            self.input.display(),
            self.steps,
            session.spacing_name(self.trajectory.as_ref()),
            self.seed,
            session.flags(self.clip, self.solver),
        )
    }

    /// A row of images, one of what stays of them, and one for each variation.
    fn picture(&self, images: &[f32], mask: Option<&[f32]>, edits: &[f32], shape: [usize; 3]) -> Result<Picture> {
        let dim: usize = shape.iter().product();
        let shown = SHOWN.min(images.len() / dim);
        let (mut rows, mut labels) = (images[..shown * dim].to_vec(), vec!["original".to_owned()]);
        if let Some(mask) = mask {
            rows.extend(images.iter().zip(mask).take(shown * dim).map(|(x, part)| (1.0 - part) * x));
            labels.push("kept".to_owned());
        }
        for variation in 0..self.variations {
            (0..shown).for_each(|image| rows.extend_from_slice(&edits[(image * self.variations + variation) * dim..][..dim]));
            labels.push(if self.variations == 1 { "edited".to_owned() } else { format!("edited {}", variation + 1) });
        }
        Ok(labelled(&grid(&rows, shape, shown)?, &[], &labels))
    }
}

/// Two models go together where what one encodes is what the other decodes.
fn check_models(encoder: Option<&Session<'_, '_>>, decoder: &Session<'_, '_>, strength: f64) -> Result<()> {
    let Some(encoder) = encoder else { return Ok(()) };
    if encoder.shape() != decoder.shape() {
        let ([c, h, w], [oc, oh, ow]) = (encoder.shape(), decoder.shape());
        let found = format!("{}: images of {oc}x{oh}x{ow}", decoder.model);
        return Err(Error::field("to_model", format!("{found}: expected {c}x{h}x{w}, those of {}", encoder.model)));
    }
    if strength < 1.0 && encoder.schedule != decoder.schedule {
        let why = format!("{} and {} have other noise at the same level", encoder.model, decoder.model);
        return Err(Error::field("strength", format!("{strength}: {why}: expected 1")));
    }
    Ok(())
}

/// By what the images of a folder are known: names stay when files are written anew.
fn contents(sessions: [Option<&Session<'_, '_>>; 2], images: &[f32], mask: Option<&[f32]>) -> String {
    let mut bytes: Vec<u8> = sessions.into_iter().flatten().flat_map(|session| session.network.checksum().to_le_bytes()).collect();
    bytes.extend(images.iter().chain(mask.unwrap_or_default()).flat_map(|x| x.to_le_bytes()));
    format!("models and images {:08x}", ddim_weights::checksum_of(&bytes))
}

/// Root mean squared difference of edits and their images, as pixels in [0, 1].
fn difference(images: &[f32], edits: &[f32], dim: usize, variations: usize) -> f64 {
    let shown = |x: &f32| f64::from(x.clamp(-1.0, 1.0)) / 2.0;
    let of = |k: usize| &images[k / variations * dim..][..dim];
    let squares = edits.chunks_exact(dim).enumerate().flat_map(|(k, edit)| edit.iter().zip(of(k)));
    (squares.map(|(a, b)| (shown(a) - shown(b)).powi(2)).sum::<f64>() / edits.len() as f64).sqrt()
}
