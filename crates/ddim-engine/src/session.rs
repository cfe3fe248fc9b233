//! A loaded model that requests work with: its network, its scheduler, and runs over batches.

use crate::batches::{self, BatchSize};
use crate::choices::{self, Clipping, EVERYWHERE, Model, Preparing};
use crate::class_words::{DATA, EACH, FIELD, Known, REFERENCE};
use crate::classes::{Classes, Purpose};
use crate::encoded::Encoded;
use crate::error::{Error, Result};
use crate::inputs;
use crate::job::Watch;
use crate::models;
use ddim::noise::Batch;
use ddim::{Bdia, BdiaPair, BdiaRun, Encoder, Encoding, NoiseSchedule, Sampler, Sampling, Sigma, Solver, Step, Trajectory};
use ddim_data::Inputs;
use ddim_eval::Images;
use ddim_nn::{Guidance, Guided, Network, SchedulerConfig};
use ddim_train::quoted;
use std::ops::Range;
use std::path::Path;

/// What is said of guidance where there is nothing to guide.
pub(crate) const UNGUIDED: &str = "`guidance` has no effect: images without a class are not guided";

/// A model, ready to be evaluated.
#[derive(Clone)]
pub(crate) struct Session<'w, 'b> {
    pub(crate) model: String,
    pub(crate) network: Network,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) classes: Classes,
    pub(crate) guidance: Option<Guidance>,
    /// Guidance as the model's `sampling.json` says, where images are drawn from a seed.
    usual_guidance: choices::Guidance,
    pub(crate) choice: Model,
    batch_size: usize,
    pub(crate) watch: &'w Watch<'b>,
}

impl<'w, 'b> Session<'w, 'b> {
    /// A model for images from noise: of a seed, where nobody says otherwise, of each class in turn, or of those that the model's `sampling.json` says, and
    /// guided as it says.
    pub(crate) fn drawing(choice: &Model, latents: Option<&Path>, watch: &'w Watch<'b>) -> Result<(Self, Option<Vec<f32>>)> {
        let purpose = if latents.is_none() { Purpose::Drawing } else { Purpose::Other };
        Self::open(choice, latents, purpose, watch)
    }

    /// The same for latents of a file, which also say the size of the images.
    pub(crate) fn with_latents(choice: &Model, latents: Option<&Path>, watch: &'w Watch<'b>) -> Result<(Self, Option<Vec<f32>>)> {
        Self::open(choice, latents, Purpose::Other, watch)
    }

    /// The same where classes may be those of images that [`read`](Self::read) reads.
    pub(crate) fn of_data(choice: &Model, watch: &'w Watch<'b>) -> Result<Self> {
        Self::open(choice, None, Purpose::Shown(DATA), watch).map(|(session, _)| session)
    }

    /// The same where classes may be drawn as often as those of a reference, which [`see`](Self::see) is shown.
    pub(crate) fn of_reference(choice: &Model, watch: &'w Watch<'b>) -> Result<Self> {
        Self::open(choice, None, Purpose::Shown(REFERENCE), watch).map(|(session, _)| session)
    }

    fn open(choice: &Model, latents: Option<&Path>, purpose: Purpose, watch: &'w Watch<'b>) -> Result<(Self, Option<Vec<f32>>)> {
        if choice.batch_size == BatchSize::Of(0) {
            return Err(Error::field("batch_size", "0: expected 1 or more"));
        }
        let mut pipeline = models::load(&choice.model, &choice.choices(), watch)?;
        let latents = latents.map(|path| inputs::read_latents(path, &pipeline.config, choice.size)).transpose()?;
        if let Some(size) = choice.size.or(latents.as_ref().map(|(_, [_, h, w])| [*h, *w])) {
            pipeline = pipeline.with_size(size).map_err(|e| Error::field("size", e))?;
        }
        let model = choice.model.display().to_string();
        if pipeline.config.sample_size.is_none() {
            let what = "does not say the size of its images (sample_size is null)";
            return Err(Error::request(format!("`size` is missing: {model} {what}")));
        }
        let (known, mut choice) = (Known::of(&pipeline), choice.clone());
        let mut usual_guidance = choices::Guidance::default();
        let unsaid = purpose == Purpose::Drawing && choice.classes.is_none();
        let listed = pipeline.usual_classes().filter(|_| unsaid);
        if unsaid {
            choice.classes = listed.or(known.has_some().then_some(EACH)).map(Into::into);
        }
        let classes = match listed {
            Some(list) => Classes::listed(&choice.model.join("sampling.json"), list, &known, watch)?,
            None => Classes::new(FIELD, choice.classes.as_deref(), &known, watch)?,
        };
        // Without a class there is nothing to go beyond.
        if purpose == Purpose::Drawing && !classes.is_unguided() {
            usual_guidance.scale = pipeline.usual_guidance();
            usual_guidance.interval = pipeline.usual_guidance_interval();
            choice.guidance = choice.guidance.or(usual_guidance);
        }
        let mut guidance = choice.guidance.with_null(classes.null(), &model)?;
        // A reference has yet to say which classes there are.
        if guidance.is_some() && classes.is_unguided() && (purpose != Purpose::Shown(REFERENCE) || choice.classes.is_some()) {
            // A sweep may have several scales, and says it itself.
            if purpose != Purpose::Shown(REFERENCE) {
                watch.note(UNGUIDED);
            }
            (guidance, choice.guidance) = (None, choices::Guidance::default());
        } else if let (None, Some((field, value))) = (guidance, choice.guidance.shape().next()) {
            watch.note(format!("`{field}` {value} has no effect: `guidance` is 1, so nothing is guided"));
        }
        let (scheduler, schedule) = (pipeline.scheduler.clone(), pipeline.scheduler.schedule());
        let network = watch.network(pipeline)?;
        classes.check(FIELD, purpose, &network, &model)?;
        let latents = latents.map(|(latents, _)| latents);
        let batch_size = batches::prepared(&network, choice.batch_size, 1 + usize::from(guidance.is_some()), watch)?;
        Ok((Self { batch_size, model, network, scheduler, schedule, classes, guidance, usual_guidance, choice, watch }, latents))
    }

    /// The same model under the classes that `field` of a request says, or its own where that says none, and without guidance.
    pub(crate) fn under(&self, field: &str, classes: Option<&Path>) -> Result<Self> {
        let mut other = Self { guidance: None, ..self.clone() };
        if classes.is_some() {
            other.classes = self.classes.instead(field, classes, self.watch)?;
            other.classes.check(field, Purpose::Shown(DATA), &self.network, &self.model)?;
        }
        Ok(other)
    }

    /// The same model guided by another scale.
    pub(crate) fn guided(&self, scale: f64) -> Result<Self> {
        let guidance = choices::Guidance { scale: Some(scale), ..self.choice.guidance };
        let choice = Model { guidance, ..self.choice.clone() };
        let guided = guidance.with_null(self.classes.null(), &self.model)?;
        // Where nobody said which, a reference may have yet to say.
        if self.classes.is_unguided() && choice.classes.is_some() {
            let choice = Model { guidance: choices::Guidance::default(), ..choice };
            return Ok(Self { guidance: None, choice, ..self.clone() });
        }
        Ok(Self { guidance: guided, choice, ..self.clone() })
    }

    /// How often the network is evaluated for an image: as the sampler does, and where guidance acts under no class as well.
    pub(crate) fn evaluations(&self, sampler: &Sampler) -> usize {
        let levels = self.schedule.levels();
        let times = |level: usize| 1 + usize::from(self.guidance.is_some_and(|guidance| guidance.acts_at(level as f64, levels)));
        // A second look is at the end of a step.
        let of = |(i, step): (usize, &Step)| times(step.level) + (sampler.evaluations_of(i) - 1) * times(step.next);
        sampler.steps().iter().enumerate().map(of).sum()
    }

    /// Gives `times` images in turn the class that one had, of `count` of a seed.
    pub(crate) fn repeat_classes(&mut self, seed: u64, count: usize, times: usize) {
        let each: Option<Vec<_>> = (0..count * times).map(|image| self.classes.of(seed, image / times)).collect();
        if let Some(each) = each {
            self.classes = self.classes.with_each(each);
        }
    }

    /// Reads the first `limit` images of `path` for the network; their classes are those of the request where it says so.
    pub(crate) fn read(&mut self, path: &Path, how: Preparing, limit: Option<usize>) -> Result<Inputs> {
        let inputs = inputs::read_with(path, self.shape(), how, limit, self.awaits_labels(), self.watch)?;
        self.label(&inputs, 1)?;
        Ok(inputs)
    }

    /// Whether the request says that classes are those of images that are read.
    pub(crate) fn awaits_labels(&self) -> bool {
        self.classes.awaited() == Some(DATA)
    }

    /// Takes the classes of images where the request says so, each for so many of ours.
    pub(crate) fn label(&mut self, inputs: &Inputs, times: usize) -> Result<()> {
        if let Some(labels) = inputs.labels.as_ref().filter(|_| self.awaits_labels()) {
            let each: Vec<usize> = labels.iter().flat_map(|label| std::iter::repeat_n(*label, times)).collect();
            self.classes = self.classes.of_data(&each, &inputs.class_names, self.watch)?;
        }
        Ok(())
    }

    /// Takes the classes of a reference, where the request says so; where it says nothing, those of the reference if it has the model's, else each in
    /// turn. What comes back is the class of each image of the reference, as the model numbers it, where they have any; and what is wrong with those of
    /// others.
    pub(crate) fn see(&mut self, reference: &Images, path: &Path) -> Result<(Option<Vec<usize>>, Option<Error>)> {
        let labels = if let Images::Set(set) = reference { set.labels() } else { None };
        let (awaited, can_be_each) = (self.classes.awaited() == Some(REFERENCE), self.classes.can_be_each());
        let numbered = labels.filter(|_| awaited || can_be_each);
        let numbered = numbered.map(|(labels, names)| self.classes.numbered(&labels, &names, self.watch));
        if self.choice.classes.is_none() && can_be_each {
            let word = if matches!(numbered, Some(Ok(_))) { REFERENCE } else { EACH };
            self.classes = self.classes.instead(FIELD, Some(word.as_ref()), self.watch)?;
        }
        match (numbered, self.classes.awaited() == Some(REFERENCE)) {
            (Some(Ok(numbers)), awaited) => {
                if awaited {
                    self.classes = self.classes.drawn_as(&numbers);
                }
                Ok((Some(numbers), None))
            }
            (Some(Err(wrong)), false) => Ok((None, Some(wrong))),
            (Some(Err(wrong)), true) => Err(wrong),
            (None, false) => Ok((None, None)),
            (None, true) => {
                let found = format!("reference: {} has no classes, or none for some of its images", path.display());
                Err(Error::field(FIELD, found))
            }
        }
    }

    /// [c, h, w] of one image.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.network.shape()
    }

    pub(crate) fn dim(&self) -> usize {
        self.shape().iter().product()
    }

    /// Eq. 12 over `trajectory`, clipped as the request and the model say.
    pub(crate) fn sampler(&self, trajectory: &Trajectory, sigma: &Sigma, clipping: Clipping, solver: Solver) -> Result<Sampler> {
        if self.guidance.is_some() {
            let [from, to] = self.choice.guidance.interval();
            let total = self.schedule.levels() as f64;
            if !trajectory.levels().iter().any(|level| (from..=to).contains(&(*level as f64 / total))) {
                self.watch.note(format!(
                    "`guidance_interval` {from} to {to}: none of the {} steps falls within it, so nothing is guided",
                    trajectory.len()
                ));
            }
        }
        let sampler = Sampler::new(&self.schedule, trajectory, sigma).map_err(|e| Error::field("eta", &e).because(e))?;
        let sampler = sampler.with_solver(solver).map_err(|e| Error::field("solver", &e).because(e))?;
        sampler.check_prediction(self.scheduler.prediction())?;
        let once = sampler.steps().iter().enumerate().filter(|(i, step)| step.next > 0 && sampler.evaluations_of(*i) == 1).count();
        if solver == Solver::Heun && once > 0 {
            self.watch.note(format!(
                "`solver` heun: {once} of {} steps fall back to ddim, because σ drops too far to average both ends",
                trajectory.len()
            ));
        }
        Ok(sampler.with_clip(clipping.of(&self.scheduler))?.with_rederived_epsilon(clipping.rederive_epsilon))
    }

    /// The latents x_T of images `first`, … of a seed.
    pub(crate) fn latents(&self, seed: u64, first: usize, count: usize) -> Vec<f32> {
        Batch { seed, first: first as u64 }.latents(self.dim(), count)
    }

    /// The network for images of a seed, by their numbers, each under its class, guided.
    pub(crate) fn network_for(&self, seed: u64, images: Range<usize>) -> Result<Guided> {
        self.network_under(&self.classes, self.guidance, seed, images)
    }

    /// The same under other classes and another guidance.
    pub(crate) fn network_under(&self, classes: &Classes, guidance: Option<Guidance>, seed: u64, images: Range<usize>) -> Result<Guided> {
        Ok(Guided::new(&self.network, classes.condition(seed, images), guidance)?)
    }

    /// Samples one batch to its images; `first` is the number of its first. `observe` tells of progress.
    pub(crate) fn sample_batch(
        &self,
        sampler: &Sampler,
        x: Vec<f32>,
        (seed, first): (u64, usize),
        mut observe: impl FnMut(&Step, &Sampling<Guided>) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let n = x.len() / self.dim();
        self.watch.check()?;
        let batch = Batch { seed, first: first as u64 };
        let mut sampling = Sampling::new(sampler, self.network_for(seed, first..first + n)?, x, batch)?;
        while let Some(step) = sampling.step()? {
            self.watch.step(step.level - 1, sampling.progress(), [first, n], [sampling.x(), sampling.x_0()], self.shape());
            observe(&step, &sampling)?;
            self.watch.check()?;
        }
        Ok(sampling.into_x())
    }

    /// Samples any number of images, a batch at a time; `first` is the number of the first.
    pub(crate) fn sample(&self, sampler: &Sampler, x: &[f32], key: (u64, usize)) -> Result<Vec<f32>> {
        self.sample_telling(sampler, x, key, |n| self.watch.advance(n))
    }

    /// The same; `tell` is told of the images of each step.
    pub(crate) fn sample_telling(
        &self,
        sampler: &Sampler,
        x: &[f32],
        (seed, first): (u64, usize),
        tell: impl Fn(usize),
    ) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(x.len());
        for (i, batch) in x.chunks(self.batch_len()).enumerate() {
            let n = batch.len() / self.dim();
            out.extend(self.sample_batch(sampler, batch.to_vec(), (seed, first + i * self.batch_size), |_, _| {
                tell(n);
                Ok(())
            })?);
        }
        Ok(out)
    }

    /// What encodes images over a trajectory.
    pub(crate) fn encoder(&self, trajectory: &Trajectory, inversion: ddim::Inversion) -> Result<Encoder> {
        if inversion != ddim::Inversion::default() && trajectory.len() == 1 && self.schedule.alpha_bar(trajectory.levels()[0]) == 0.0 {
            return Err(Error::field(
                "steps",
                "1: one step from an image to pure noise determines nothing: expected 2 or more for this `inversion`",
            ));
        }
        let encoder = Encoder::new(&self.schedule, trajectory)?;
        encoder.with_inversion(inversion).map_err(|e| Error::field("inversion", &e).because(e))
    }

    /// Encodes any number of images, a batch at a time; their classes are those of seed 0.
    pub(crate) fn encode(&self, encoder: &Encoder, x: &[f32]) -> Result<Encoded> {
        let mut out = Encoded::default();
        for (i, batch) in x.chunks(self.batch_len()).enumerate() {
            out.add(self.encode_batch(encoder, batch.to_vec(), (0, i * self.batch_size), |_, _| ())?);
        }
        Ok(out)
    }

    /// Encodes one batch; `first` is the number of its first image among those of a seed. `see` is shown what became of it in each step, by its number.
    pub(crate) fn encode_batch(
        &self,
        encoder: &Encoder,
        x: Vec<f32>,
        (seed, first): (u64, usize),
        mut see: impl FnMut(usize, &[f32]),
    ) -> Result<Encoded> {
        let n = x.len() / self.dim();
        self.watch.check()?;
        let mut encoding = Encoding::new(encoder, self.network_for(seed, first..first + n)?, x, first as u64)?;
        while let Some(step) = encoding.step()? {
            self.watch.step(step.to - 1, encoding.progress(), [first, n], [encoding.x(), encoding.x_0()], self.shape());
            self.watch.advance(n);
            see(encoding.progress().0 - 1, encoding.x());
            self.watch.check()?;
        }
        let tolerance = match encoder.inversion() {
            ddim::Inversion::Euler => f64::INFINITY,
            ddim::Inversion::FixedPoint { tolerance, .. } | ddim::Inversion::Anderson { tolerance, .. } => tolerance,
        };
        let unsettled = encoding.changes().iter().filter(|change| **change > tolerance).count();
        let change = encoding.changes().iter().copied().fold(0.0, f64::max);
        Ok(Encoded { evaluations: encoding.evaluations().iter().sum(), unsettled, change, latents: encoding.into_x() })
    }

    /// BDIA over a trajectory, up or down, a batch at a time: up from a pair that is the image twice, down to the image in `lower`. The first image is
    /// number `start` of a seed.
    pub(crate) fn bdia(&self, trajectory: &Trajectory, pair: BdiaPair, (seed, start): (u64, usize), up: bool) -> Result<BdiaPair> {
        let bdia = Bdia::new(&self.schedule, trajectory)?;
        let mut out = BdiaPair { lower: Vec::new(), upper: Vec::new() };
        for (i, (lower, upper)) in pair.lower.chunks(self.batch_len()).zip(pair.upper.chunks(self.batch_len())).enumerate() {
            self.watch.check()?;
            let (n, first) = (lower.len() / self.dim(), start + i * self.batch_size);
            let network = self.network_for(seed, first..first + n)?;
            let mut run = match up {
                true => BdiaRun::encode(&bdia, network, lower.to_vec(), first as u64)?,
                false => BdiaRun::decode(&bdia, network, BdiaPair { lower: lower.to_vec(), upper: upper.to_vec() }, first as u64)?,
            };
            while run.step()?.is_some() {
                self.watch.advance(n);
                self.watch.check()?;
            }
            let pair = run.finish()?;
            out.lower.extend(pair.lower);
            out.upper.extend(pair.upper);
        }
        Ok(out)
    }

    /// Images in memory at once.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Elements of a whole batch.
    fn batch_len(&self) -> usize {
        self.batch_size.saturating_mul(self.dim())
    }

    /// The model and what decides what it is and says here, as flags of the command line.
    pub(crate) fn model_flags(&self) -> String {
        let mut flags = format!("--model {}", quoted(Path::new(&self.model)));
        if let Some([h, w]) = self.choice.size {
            flags += &format!(" --size {h}x{w}");
        }
        if let Some(path) = &self.choice.scheduler {
            flags += &format!(" --scheduler {}", quoted(path));
        }
        if self.choice.raw {
            flags += " --raw";
        }
        if let Some(rate) = self.choice.ema {
            flags += &format!(" --ema {rate}");
        }
        flags + &self.precision_flag()
    }

    /// What the network computes with, where it is not f32, as a flag of the command line.
    pub(crate) fn precision_flag(&self) -> String {
        self.watch.precision().flag()
    }

    /// A solver other than the default, clipping and classes as flags of the command line.
    pub(crate) fn flags(&self, clipping: Clipping, solver: Solver) -> String {
        let by = if solver == Solver::Ddim { String::new() } else { format!(" --solver {solver}") };
        format!("{by}{}{}", clipping.flags(), self.class_flags())
    }

    /// Classes and guidance as flags of the command line.
    pub(crate) fn class_flags(&self) -> String {
        // What the command line takes from the model, unless it is told otherwise.
        let otherwise = match (self.guidance_scale() == 1.0, self.usual_guidance.scale() == 1.0) {
            (true, false) => " --guidance 1",
            (false, _) if self.choice.guidance.interval() == EVERYWHERE && self.usual_guidance.interval() != EVERYWHERE => {
                " --guidance-interval 0,1"
            }
            _ => "",
        };
        format!("{}{}{otherwise}", self.classes.flag(), self.guidance_flags())
    }

    /// Guidance alone, by which tuned timesteps are found again.
    pub(crate) fn guidance_flags(&self) -> String {
        self.choice.guidance.flags()
    }

    /// How far the network goes beyond no class: 1 is not at all.
    pub(crate) fn guidance_scale(&self) -> f64 {
        self.choice.guidance.scale()
    }

    /// The levels that are guided, as fractions of T.
    pub(crate) fn guidance_interval(&self) -> [f64; 2] {
        self.choice.guidance.interval()
    }

    pub(crate) fn guidance_rescale(&self) -> f64 {
        self.choice.guidance.rescale
    }
}
