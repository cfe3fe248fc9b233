//! The path of an edit: up to a level, by adding noise or by encoding, and down again.

use crate::encoded::Encoded;
use crate::error::Result;
use crate::inversion::Inversion;
use crate::job::Watch;
use crate::session::Session;
use ddim::noise::{Batch, Draw};
use ddim::{BdiaPair, Known, NoiseSchedule, Sampler, Sampling, Trajectory};

/// From a level down to images.
pub(super) struct Way {
    /// Of the model that decodes.
    pub(super) trajectory: Trajectory,
    /// Of the model that encodes: another where its timesteps are others.
    pub(super) up: Trajectory,
    pub(super) sampler: Sampler,
    /// [`ddim::Resampling::visits`].
    pub(super) visits: Vec<usize>,
}

/// Where edits begin, for each image.
pub(super) enum Start<'a> {
    /// The image, to which noise is added; with the share of it that is left.
    Image(&'a [f32], f64),
    /// Its latent at the top; where pixels stay, also what it was on its way there, from the level below the top down to the image.
    Latent(Encoded, Vec<Vec<f32>>),
    /// Of BDIA.
    Pair(BdiaPair),
}

impl Way {
    /// Of the network, for one image on its way down.
    pub(super) fn evaluations(&self, inversion: Option<Inversion>) -> usize {
        if inversion == Some(Inversion::Bdia) {
            // Of two states one is there already.
            return self.trajectory.len() - 1;
        }
        let mut before = 0;
        let steps = self.visits.iter().filter(|done| std::mem::replace(&mut before, **done) < **done);
        steps.map(|done| self.sampler.evaluations_of(done - 1)).sum()
    }

    /// Where the edits of a batch of images begin, of which `first` is the number of the first; `keeps` where pixels stay.
    pub(super) fn start<'a>(
        &self,
        encoder: Option<(&Session<'_, '_>, Inversion)>,
        images: &'a [f32],
        (keeps, strength): (bool, f64),
        (seed, first): (u64, usize),
    ) -> Result<Start<'a>> {
        let Some((session, inversion)) = encoder else {
            // At strength 1 nothing of the image is left: it is what sampling draws.
            let signal = if strength == 1.0 { 0.0 } else { self.sampler.steps()[0].alpha_bar };
            return Ok(Start::Image(images, signal));
        };
        let Some(how) = inversion.of_encoder() else {
            let pair = BdiaPair { lower: images.to_vec(), upper: images.to_vec() };
            return Ok(Start::Pair(session.bdia(&self.up, pair, (seed, first), true)?));
        };
        let mut path = Vec::new();
        let encoder = session.encoder(&self.up, how)?;
        let encoded = session.encode_batch(&encoder, images.to_vec(), (seed, first), |_, x| {
            if keeps {
                path.push(x.to_vec());
            }
        })?;
        if keeps {
            path.pop();
            path.insert(0, images.to_vec());
            path.reverse();
        }
        Ok(Start::Latent(encoded, path))
    }

    /// One batch; `of` repeats what each image has for its edits.
    pub(super) fn draw(
        &self,
        session: &Session<'_, '_>,
        start: &Start<'_>,
        of: impl Fn(&[f32]) -> Vec<f32>,
        mask: Option<Vec<f32>>,
        (seed, first): (u64, usize),
        watch: &Watch<'_>,
    ) -> Result<Vec<f32>> {
        let (x, known) = match start {
            Start::Pair(pair) => {
                let pair = BdiaPair { lower: of(&pair.lower), upper: of(&pair.upper) };
                return Ok(session.bdia(&self.trajectory, pair, (seed, first), false)?.lower);
            }
            Start::Latent(encoded, path) => {
                (of(&encoded.latents), mask.map(|mask| Known::path(path.iter().map(|x| of(x)).collect(), mask)).transpose()?)
            }
            Start::Image(images, signal) => {
                let x_0 = of(images);
                // Sampling's own where nothing of the image is left. Else noise of its own: an image that was drawn with this seed has its latent in it.
                let draw = if *signal > 0.0 { Draw::Marginal(self.sampler.steps()[0].level) } else { Draw::Latent };
                let mut x = vec![0.0; x_0.len()];
                Batch { seed, first: first as u64 }.fill(&mut x, session.dim(), draw);
                if *signal > 0.0 {
                    let (share, spread) = (signal.sqrt(), (1.0 - signal).sqrt());
                    x.iter_mut().zip(&x_0).for_each(|(z, x)| *z = (share * f64::from(*x) + spread * f64::from(*z)) as f32);
                }
                (x, mask.map(|mask| Known::image(x_0, mask)).transpose()?)
            }
        };
        watch.check()?;
        let n = x.len() / session.dim();
        let network = session.network_for(seed, first..first + n)?;
        let mut sampling = Sampling::new(&self.sampler, network, x, Batch { seed, first: first as u64 })?;
        if let Some(known) = known {
            sampling = sampling.with_known(known)?;
        }
        for &done in &self.visits {
            if done < sampling.progress().0 {
                sampling.jump(done)?;
            } else if let Some(step) = sampling.step()? {
                watch.step(step.level - 1, sampling.progress(), [first, n], [sampling.x(), sampling.x_0()], session.shape());
            }
            watch.advance(n);
            watch.check()?;
        }
        Ok(sampling.into_x())
    }
}

/// Whether two schedules have the same noise at each level: the last digits of betas, and where sampling's last step arrives, do not matter.
pub(super) fn same_noise(a: &NoiseSchedule, b: &NoiseSchedule) -> bool {
    let near = |level: usize| (a.alpha_bar(level) - b.alpha_bar(level)).abs() <= 1e-5 * a.alpha_bar(level);
    a.levels() == b.levels() && (1..=a.levels()).all(near)
}

/// The same steps from `top` on: some spacings do not reach the highest level.
pub(super) fn reaching(top: usize, trajectory: &Trajectory) -> Result<Trajectory> {
    let timesteps: Vec<usize> = std::iter::once(top - 1).chain(trajectory.timesteps().skip(1)).collect();
    Ok(Trajectory::from_timesteps(trajectory.total(), &timesteps)?)
}
