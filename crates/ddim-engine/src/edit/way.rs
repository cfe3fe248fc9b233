//! The way of an edit: up to a level, by noise or by encoding, and down again.

use crate::error::Result;
use crate::inversion::Inversion;
use crate::job::Watch;
use crate::session::Session;
use ddim::noise::Batch;
use ddim::{BdiaPair, Known, Sampler, Sampling, Trajectory};

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
    Latent(Vec<f32>, Vec<Vec<f32>>),
    /// Of BDIA.
    Pair(BdiaPair),
}

impl Way {
    /// Of the network, for one image on its way down.
    pub(super) fn evaluations(&self) -> usize {
        let jumps = self.visits.windows(2).filter(|visit| visit[1] < visit[0]).count();
        let down = self.visits.len() - jumps;
        // Heun's second evaluations, of every step but the last.
        if self.sampler.evaluations() > self.trajectory.len() { 2 * down - 1 } else { down }
    }

    /// Where the edits of `images` begin; `keeps` where pixels stay.
    pub(super) fn start<'a>(
        &self,
        encoder: Option<(&Session<'_, '_>, Inversion)>,
        images: &'a [f32],
        (keeps, strength): (bool, f64),
        watch: &Watch<'_>,
    ) -> Result<Start<'a>> {
        let Some((session, inversion)) = encoder else {
            // At strength 1 nothing of the image is left: it is what sampling draws.
            let signal = if strength == 1.0 { 0.0 } else { self.sampler.steps()[0].alpha_bar };
            return Ok(Start::Image(images, signal));
        };
        let Some(how) = inversion.of_encoder() else {
            let pair = BdiaPair { lower: images.to_vec(), upper: images.to_vec() };
            return Ok(Start::Pair(session.bdia(&self.up, pair, (0, 0), true)?));
        };
        let mut path = vec![Vec::new(); if keeps { self.up.len() } else { 0 }];
        let encoded = session.encode_telling(&session.encoder(&self.up, how)?, images, |step, x| {
            if let Some(state) = path.get_mut(step) {
                state.extend_from_slice(x);
            }
        })?;
        encoded.note(images.len() / session.dim(), watch);
        if keeps {
            path.pop();
            path.insert(0, images.to_vec());
            path.reverse();
        }
        Ok(Start::Latent(encoded.latents, path))
    }

    /// One batch; `of` repeats what each image has for its edits.
    pub(super) fn draw(
        &self,
        session: &Session<'_, '_>,
        start: &Start<'_>,
        of: impl Fn(&[f32]) -> Vec<f32>,
        mask: Option<&[f32]>,
        (seed, first): (u64, usize),
        watch: &Watch<'_>,
    ) -> Result<Vec<f32>> {
        let mask = mask.map(&of);
        let (x, known) = match start {
            Start::Pair(pair) => {
                let pair = BdiaPair { lower: of(&pair.lower), upper: of(&pair.upper) };
                return Ok(session.bdia(&self.trajectory, pair, (seed, first), false)?.lower);
            }
            Start::Latent(latents, path) => {
                (of(latents), mask.map(|mask| Known::path(path.iter().map(|x| of(x)).collect(), mask)).transpose()?)
            }
            Start::Image(images, signal) => {
                let x_0 = of(images);
                let mut x = session.latents(seed, first, x_0.len() / session.dim());
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
