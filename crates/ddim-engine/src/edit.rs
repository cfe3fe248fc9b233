//! Image editing: images redrawn from partial noise, within a mask, under another class, or by another model.

use crate::choices::{Clipping, Eta, Guidance, Model, Preparing, check_count};
use crate::encoded::Encoded;
use crate::error::{Error, Result};
use crate::inputs;
use crate::inversion::Inversion;
use crate::job::{Request, Watch, Within};
use crate::output::{OutputFile, check_drawable, check_paths, create_folder, shown};
use crate::sample::write_singles;
use crate::session::Session;
use crate::spacing::Spacing;
use crate::used_folder;
use ddim::{Resampling, Solver};
use ddim_data::npy_bytes;
pub use results::EditReport;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use way::{Start, Way, reaching, same_noise};

mod caption;
mod mask;
mod results;
mod way;

/// Redraws images from a noise level that `strength` chooses, in S steps below it.
///
/// The starting point is the image with fresh noise (SDEdit, arXiv 2108.01073) or, with an `inversion`, its latent: the result is then a function of the image
/// alone, and under another class or by another model it is a translation (dual diffusion implicit bridges, arXiv 2203.08382). With a `mask`, the rest of the
/// image is kept (RePaint, arXiv 2201.09865).
///
/// Unlike diffusers' image-to-image pipelines, which run S·strength steps, all S steps lie below the level.
///
/// ```
/// use ddim_engine::{Control, Edit, Engine};
///
/// # let folder = tempfile::tempdir()?;
/// let input = folder.path().join("x_0.npy"); // one image [3, 32, 32] in [-1, 1]
/// std::fs::write(&input, ddim_data::npy_bytes(&[0.5; 3072], [3, 32, 32]))?;
/// let request = Edit { input, strength: Some(0.4), steps: 2, ..Edit::default() };
/// let edited = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((edited.edits.len(), edited.level), (3072, 400)); // of 1000
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// The model; its `classes` are the classes that are drawn.
    pub model: Model,
    /// Images in any format that can be read.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub input: PathBuf,
    /// Use only the first `count` images.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub count: Option<usize>,
    /// How images are fitted to the model.
    pub preparation: Preparing,
    /// From 0, which returns the image unchanged, to 1, which keeps nothing of it but what a latent holds. Defaults to 1 with a mask or an inversion, else to
    /// 0.5.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub strength: Option<f64>,
    /// S, the number of steps.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub steps: usize,
    /// Noise added while sampling.
    pub eta: Eta,
    /// How the S timesteps are chosen from those up to the level.
    pub trajectory: Option<Spacing>,
    /// How sampling steps are solved.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName, default = crate::schemas::default_solver))]
    pub solver: Solver,
    /// Seed of the noise.
    pub seed: u64,
    /// Start from the image's latent, found by this inversion, instead of from noise. Defaults to noise, or to [`Inversion::ANDERSON`] with `from_class` or
    /// `to_model`.
    pub inversion: Option<Inversion>,
    /// Classes to encode the images under, in the form of a model's `classes`, one for each image; the model's `classes` are then one for each edit. By default
    /// images are encoded and decoded under the model's `classes`, one for each image.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub from_class: Option<PathBuf>,
    /// Another model, of images of the same shape, that decodes; the classes that are drawn are then its classes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub to_model: Option<PathBuf>,
    /// A mask of the model's size: one image for all, or one for each. White is redrawn and black is kept; gray is redrawn only from that
    /// fraction of the levels downwards, and so changes less.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub mask: Option<PathBuf>,
    /// RePaint's resampling jumps, with a mask. Defaults to [`Repaint::default`] with a mask and without an inversion; `times: 1` disables them.
    pub repaint: Option<Repaint>,
    /// Number of edits of each image, each from its own noise.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub variations: usize,
    /// How the predicted x_0 is clipped.
    pub clip: Clipping,
    /// Files to write.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: EditFiles,
}

/// [`Resampling`], as part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Repaint {
    /// How many times each stretch of the trajectory is run; 1 means no jumps.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub times: usize,
    /// Number of steps in a stretch.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub jump: usize,
}

impl Default for Repaint {
    /// Five times every five steps: without jumps, the redrawn part does not match the rest.
    fn default() -> Self {
        Self { times: 5, jump: 5 }
    }
}

/// The output files of an [`Edit`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditFiles {
    /// A folder that receives each edit as a numbered PNG.
    pub out: Option<PathBuf>,
    /// One picture of the first 16 images, what the mask keeps of them, and their edits.
    pub grid: Option<PathBuf>,
    /// The edits as a .npy file, [n, c, h, w].
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
            from_class: None,
            to_model: None,
            mask: None,
            repaint: None,
            variations: 1,
            clip: Clipping::default(),
            files: EditFiles::default(),
        }
    }
}

impl Request for Edit {
    type Report = EditReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<EditReport> {
        let files = &self.files;
        check_paths(
            &self.model.reading(&[
                ("input", Some(&self.input)),
                ("mask", self.mask.as_deref()),
                ("from_class", self.from_class.as_deref().filter(|path| path.is_file())),
            ]),
            &[("out", files.out.as_deref())],
            &[("grid", files.grid.as_deref()), ("save_npy", files.save_npy.as_deref())],
        )?;
        let inversion = self.inversion.or((self.from_class.is_some() || self.to_model.is_some()).then_some(Inversion::ANDERSON));
        let strength = self.strength.unwrap_or(if self.mask.is_some() || inversion.is_some() { 1.0 } else { 0.5 });
        self.check(inversion, strength)?;
        let (mut encoder, mut decoder) = self.sessions(inversion.is_some(), watch)?;
        self.check_models(encoder.as_ref().zip(inversion), &decoder, strength)?;
        let (shape, dim) = (decoder.shape(), decoder.dim());
        let way = self.way(encoder.as_ref(), &decoder, strength, watch)?;
        let labelled = decoder.awaits_labels() || encoder.as_ref().is_some_and(Session::awaits_labels);
        let inputs = inputs::read_with(&self.input, shape, self.preparation, self.count, labelled, watch)?;
        if self.from_class.is_some() && self.model.classes.is_none() && decoder.network.is_conditional() {
            watch.note("`classes` is missing: decoding without a class");
        }
        let in_field = |e: Error| if self.from_class.is_some() { e.renamed("classes", "from_class") } else { e };
        encoder.iter_mut().try_for_each(|encoder| encoder.label(&inputs, 1)).map_err(in_field)?;
        // Labels are given to each edit at once.
        let is_labelled = decoder.awaits_labels();
        decoder.label(&inputs, self.variations)?;
        let images = &inputs.images;
        let count = images.len() / dim;
        let total = count.saturating_mul(self.variations);
        check_count(total).map_err(|_| Error::field("variations", format!("{} of {count} images: expected fewer", self.variations)))?;
        if encoder.is_some() && self.from_class.is_none() && self.variations > 1 && !is_labelled {
            // Decoded under the class under which they were encoded.
            decoder.repeat_classes(self.seed, count, self.variations);
        }
        let mask = self.mask.as_ref().map(|path| mask::read(path, shape, (count, self.count), self.preparation, watch)).transpose()?;
        if files.grid.is_some() || files.out.is_some() {
            check_drawable(shape)?;
        }
        let folders: Vec<&PathBuf> = files.out.iter().collect();
        let grid_file = OutputFile::create_within(files.grid.as_ref(), &folders)?;
        let npy = OutputFile::create_within(files.save_npy.as_ref(), &folders)?;
        self.note(inversion, watch);
        let settings = self.settings(encoder.as_ref(), &decoder, strength, inversion);
        let told = encoder.iter().map(|encoder| encoder.classes.condition(self.seed, 0..count)).collect::<Vec<_>>();
        let contents = results::contents(encoder.iter().chain([&decoder]), (way.as_ref(), images, mask.as_deref()), &told)?;
        let caption = |number: usize| {
            let class = decoder.classes.said(self.seed, number).map_or(String::new(), |class| format!(", {class}"));
            format!("ddim edit {settings}, image {number}{class} ({contents})")
        };
        if let Some(folder) = &files.out {
            used_folder::images(folder, Some(total), caption)?;
            create_folder(folder)?;
        }

        let mut edits: Vec<f32> = Vec::new();
        edits
            .try_reserve_exact(total * dim)
            .map_err(|_| Error::field("variations", format!("{} of {count} images: more than fits in memory", self.variations)))?;
        let (mut timesteps, mut evaluations, mut seconds) = (Vec::new(), 0, 0.0);
        match &way {
            None => {
                images.chunks_exact(dim).for_each(|image| edits.extend(image.repeat(self.variations)));
                files.out.iter().try_for_each(|folder| write_singles(folder, &edits, shape, 0, caption))?;
            }
            Some(way) => {
                (timesteps, evaluations) = (way.trajectory.timesteps().collect(), way.evaluations(inversion));
                let up = if encoder.is_some() { count * way.up.len() } else { 0 };
                watch.begin("editing", "image-steps", up + total * way.visits.len());
                let mut encoded = Encoded::default();
                let together = (decoder.batch_size() / self.variations).max(1);
                for first in (0..count).step_by(together) {
                    let last = count.min(first + together);
                    let part = first * dim..last * dim;
                    let start =
                        way.start(encoder.as_ref().zip(inversion), &images[part.clone()], (mask.is_some(), strength), (self.seed, first))?;
                    let numbers: Vec<usize> = (first * self.variations..last * self.variations).collect();
                    for batch in numbers.chunks(decoder.batch_size()) {
                        // Of each edit its image's.
                        let of =
                            |all: &[f32]| batch.iter().flat_map(|k| &all[(k / self.variations - first) * dim..][..dim]).copied().collect();
                        let mask = mask.as_ref().map(|mask| of(&mask[part.clone()]));
                        let drawn = way.draw(&decoder, &start, of, mask, (self.seed, batch[0]), watch)?;
                        if let Some(folder) = &files.out {
                            write_singles(folder, &drawn, shape, batch[0], caption)?;
                        }
                        edits.extend(drawn);
                    }
                    if let Start::Latent(part, _) = start {
                        encoded.add(part);
                    }
                }
                encoded.note(count, way.trajectory.len(), watch);
                seconds = watch.end();
            }
        }
        let mut written: Vec<PathBuf> = files.out.iter().cloned().collect();
        if let Some(file) = grid_file {
            written.push(file.commit(
                &results::picture(images, mask.as_deref(), &edits, self.variations, shape)?.to_png(&format!("ddim edit {settings}")),
            )?);
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
            trajectory: decoder.spacing_name(self.trajectory.as_ref()),
            classes: decoder.classes.labels(self.seed, 0..total),
            mixtures: decoder.classes.mixtures(self.seed, 0..total),
            guidance: decoder.guidance_scale(),
            guidance_interval: decoder.guidance_interval(),
            guidance_rescale: decoder.guidance_rescale(),
            seed: self.seed,
            rms: results::difference(images, &edits, dim, self.variations),
            seconds,
            files: shown(&written),
            shape,
            edits,
            originals: inputs.images,
        })
    }
}

impl Edit {
    /// What can be told from the request alone.
    fn check(&self, inversion: Option<Inversion>, strength: f64) -> Result<()> {
        // NaN is in no range.
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::field("strength", format!("{strength}: expected a number from 0 (the image unchanged) to 1")));
        }
        if self.variations == 0 {
            return Err(Error::field("variations", "0: expected 1 or more"));
        }
        if let Some(Repaint { times, .. }) = self.repaint.filter(|_| self.mask.is_none()) {
            return Err(Error::field("repaint", format!("{times} times without a mask: expected `mask`")));
        }
        if inversion == Some(Inversion::Bdia) {
            if self.steps < 2 {
                return Err(Error::field("steps", "1: the first of bdia's two states is the image itself: expected 2 or more"));
            }
            let expected = "the bdia inversion decodes exactly as it encodes";
            if self.mask.is_some() {
                return Err(Error::field("mask", format!("{expected}: expected another inversion with a mask")));
            }
            if self.clip.clip == Some(true) || self.clip.rederive_epsilon {
                return Err(Error::field("clip", format!("{expected}, without clipping: expected none")));
            }
            if self.solver != Solver::Ddim || self.eta != Eta::Value(0.0) {
                return Err(Error::field("inversion", format!("{expected}: expected `solver` ddim and `eta` 0")));
            }
        }
        Ok(())
    }

    /// What encodes, where something does, and what decodes.
    fn sessions<'w, 'b>(&self, encodes: bool, watch: &'w Watch<'b>) -> Result<(Option<Session<'w, 'b>>, Session<'w, 'b>)> {
        let other = |model: &PathBuf| Model { model: model.clone(), raw: false, ema: None, scheduler: None, ..self.model.clone() };
        let decoder = Session::of_data(&self.to_model.as_ref().map_or_else(|| self.model.clone(), other), watch)?;
        if !encodes {
            return Ok((None, decoder));
        }
        // Encoded under the class alone: what guidance takes beyond it on the way down is what changes.
        let encoder = match &self.to_model {
            None => decoder.under("from_class", self.from_class.as_deref())?,
            Some(_) => {
                let model = Model { classes: self.from_class.clone(), guidance: Guidance::default(), ..self.model.clone() };
                Session::of_data(&model, watch).map_err(|e| e.renamed("classes", "from_class"))?
            }
        };
        Ok((Some(encoder), decoder))
    }

    /// Two models go together where what one encodes is what the other decodes.
    fn check_models(&self, encoder: Option<(&Session<'_, '_>, Inversion)>, decoder: &Session<'_, '_>, strength: f64) -> Result<()> {
        let Some((encoder, inversion)) = encoder else { return Ok(()) };
        if encoder.shape() != decoder.shape() {
            let ([c, h, w], [oc, oh, ow]) = (encoder.shape(), decoder.shape());
            let found = format!("{}: images of {oc}x{oh}x{ow}", decoder.model);
            return Err(Error::field("to_model", format!("{found}: expected {c}x{h}x{w}, those of {}", encoder.model)));
        }
        let why = format!("{} and {} have different noise at the same level", encoder.model, decoder.model);
        // What bdia takes back it takes back to the bit, the last step as well.
        let same = match inversion {
            Inversion::Bdia => encoder.schedule == decoder.schedule,
            _ => same_noise(&encoder.schedule, &decoder.schedule),
        };
        match same {
            false if strength < 1.0 => Err(Error::field("strength", format!("{strength}: {why}: expected 1"))),
            // The lower state of its pair is no noise.
            false if inversion == Inversion::Bdia => Err(Error::field("inversion", format!("bdia: {why}: expected anderson or another"))),
            false if self.mask.is_some() => Err(Error::field("to_model", format!("{why}: expected no `mask`"))),
            _ => Ok(()),
        }
    }

    /// The way down; none for strength 0.
    fn way(&self, encoder: Option<&Session<'_, '_>>, session: &Session<'_, '_>, strength: f64, watch: &Watch<'_>) -> Result<Option<Way>> {
        let top = (strength * session.schedule.levels() as f64).round() as usize;
        if top == 0 {
            if strength > 0.0 {
                watch.note(format!("`strength` {strength}: below the first timestep, images are left unchanged"));
            }
            return Ok(None);
        }
        if self.steps > top && top < session.schedule.levels() {
            watch.note(format!("`steps` {}: reduced to {top}, the number of timesteps below strength {strength}", self.steps));
        }
        let steps = if top < session.schedule.levels() { self.steps.min(top) } else { self.steps };
        let mut trajectory = session.trajectory_below(top, self.trajectory.as_ref(), steps, self.solver)?;
        let of_two = encoder.is_some_and(|encoder| !same_noise(&encoder.schedule, &session.schedule));
        if top < session.schedule.levels() || of_two {
            // An edit begins where its strength says, and what two schedules share is noise alone.
            trajectory = reaching(top, &trajectory)?;
        }
        let mut clipping = self.clip;
        if encoder.is_some() && clipping.clip.is_none() {
            // Latents are of steps that clip nothing: only such steps take them back.
            clipping.clip = Some(false);
            if session.scheduler.clip() != ddim::Clip::None {
                watch.note(
                    "the model's scheduler clips predicted images: clipping is off here, because latents decode to their images only without it",
                );
            }
        }
        let sampler = session.sampler(&trajectory, &self.eta.into(), clipping, self.solver)?;
        let Repaint { times, jump } = self.jumps(encoder.is_some());
        let most = (trajectory.len() / 2).max(1);
        if self.repaint.is_some() && times > 1 && jump > most {
            watch.note(format!("`repaint` jumps of {jump} steps: reduced to {most}, half of the steps"));
        }
        let jump = jump.min(most);
        let visits = Resampling { jump, times }.visits(trajectory.len()).map_err(|e| Error::field("repaint", &e).because(e))?;
        let up = match encoder.filter(|other| other.schedule.levels() != session.schedule.levels()) {
            Some(other) => reaching(other.schedule.levels(), &other.trajectory(self.trajectory.as_ref(), self.steps, self.solver)?)?,
            None => trajectory.clone(),
        };
        Ok(Some(Way { trajectory, up, sampler, visits }))
    }

    /// Jumps, which an edit makes under a mask; from a latent, of which it is a function, only where it is told to.
    fn jumps(&self, encodes: bool) -> Repaint {
        let once = Repaint { times: 1, ..Repaint::default() };
        let usual = if self.mask.is_some() && !encodes { Repaint::default() } else { once };
        self.repaint.unwrap_or(usual)
    }

    /// What one may not have expected.
    fn note(&self, inversion: Option<Inversion>, watch: &Watch<'_>) {
        let Some(inversion) = inversion else { return };
        if self.solver != Solver::Ddim {
            watch.note(format!(
                "`solver` {}: latents are encoded with ddim's steps, which other solvers do not invert exactly",
                self.solver
            ));
        }
        let noisy = self.eta != Eta::Value(0.0) || self.jumps(true).times > 1;
        if self.model.classes.is_some() && self.from_class.is_none() && self.to_model.is_none() && !noisy {
            watch.note("`classes` without `from_class`: images are encoded and decoded under the same classes, so without guidance they come back unchanged");
        }
        if self.variations > 1 && !noisy && self.from_class.is_none() {
            watch.note(format!("`variations` {}: all identical, because `inversion` {inversion} adds no noise", self.variations));
        }
    }
}
