//! How good a state of a run is: its objective on held-out images, and images that it draws.

use super::Trainer;
use super::drawn::noisy;
use crate::error::Result;
use ddim::noise::{Batch, Draw, Key};
use ddim::{Denoiser, Sampler, Sampling, Sigma};
use ddim_nn::{Condition, Network, Pipeline};

/// The objective on held-out images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluated {
    /// For the first average, which checkpoints sample with.
    pub average: f64,
    /// For the weights themselves, whose loss training reports.
    pub raw: f64,
}

/// Images that are evaluated together.
const EVALUATED: usize = 64;

impl Trainer {
    /// A network, to be evaluated where steps are taken.
    fn network_of(&self, pipeline: Pipeline) -> Result<Network> {
        let Some(there) = &self.elsewhere else { return Ok(Network::new(pipeline)?) };
        let network = Network::on(pipeline, &*there.device)?;
        // Beside the state of training there may be memory for fewer at once.
        network.prepare(EVALUATED, &mut |_, _| Ok(()))?;
        Ok(network)
    }

    /// Evaluates the objective on the held-out images, with the same timestep weights as in training. `None` if there are none.
    ///
    /// Each image is evaluated at one timestep, with noise that is always the same, and without what training varies (flips, windows,
    /// dropout, dropped labels).
    ///
    /// # Errors
    /// Returns the network's errors.
    pub fn evaluate(&mut self) -> Result<Option<Evaluated>> {
        self.fetch()?;
        if self.held.is_empty() {
            return Ok(None);
        }
        let (average, raw) = (self.pipeline(0)?, self.pipeline_of(self.unet.clone()));
        Ok(Some(Evaluated { average: self.evaluate_one(average)?, raw: self.evaluate_one(raw)? }))
    }

    fn evaluate_one(&self, pipeline: Pipeline) -> Result<f64> {
        let network = self.network_of(pipeline)?;
        let [c, h, w] = self.data.shape;
        let dim = c * h * w;
        let levels_total = self.schedule.levels();
        let mut sum = 0.0;
        for (g, group) in self.held.chunks(EVALUATED).enumerate() {
            let n = group.len();
            let (mut x, mut target) = (vec![0.0; n * dim], vec![0.0; n * dim]);
            let mut levels = Vec::with_capacity(n);
            for (i, (&index, (x, target))) in group.iter().zip(x.chunks_mut(dim).zip(target.chunks_mut(dim))).enumerate() {
                let number = (g * EVALUATED + i) as u64;
                // Spread evenly over all timesteps: multiples of the golden ratio.
                let level = 1 + (((number as f64 + 0.5) * 0.618_033_988_749_894_9).fract() * levels_total as f64) as usize;
                self.data.write(index, [0.5; 2], false, || 0.0, x);
                Key { seed: self.config.seed, image: number, draw: Draw::Evaluation }.fill(target);
                noisy(x, target, self.schedule.alpha_bar(level), self.prediction);
                levels.push(level as f64);
            }
            let condition = self.data.labels.as_ref().map(|labels| group.iter().map(|&i| labels[i]).collect());
            let network = network.with_condition(condition.map_or(Condition::None, Condition::Labels))?;
            let mut out = vec![0.0; n * dim];
            network.predict(&x, &levels, &mut out)?;
            for ((out, target), level) in out.chunks_exact(dim).zip(target.chunks_exact(dim)).zip(&levels) {
                let error = out.iter().zip(target).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                sum += self.weights[*level as usize - 1] * error;
            }
        }
        Ok(sum / (self.held.len() * dim) as f64)
    }

    /// Draws images [count, c, h, w] of the first average by the deterministic process, from latents that are always the same. Classes take
    /// turns.
    ///
    /// # Errors
    /// Returns the network's errors.
    pub fn preview(&mut self, count: usize, steps: usize) -> Result<Vec<f32>> {
        self.fetch()?;
        let network = self.network_of(self.pipeline(0)?)?;
        let sampler =
            Sampler::new(&self.schedule, &self.scheduler.trajectory(steps)?, &Sigma::Eta(0.0))?.with_clip(self.scheduler.clip())?;
        let dim = network.dim();
        let mut x = Vec::with_capacity(count * dim);
        for first in (0..count).step_by(EVALUATED) {
            let n = EVALUATED.min(count - first);
            let labels = || (first..first + n).map(|i| i % self.data.classes.max(1)).collect();
            let condition = if network.is_conditional() { Condition::Labels(labels()) } else { Condition::None };
            let batch = Batch { seed: self.config.seed, first: first as u64 };
            x.extend(Sampling::new(&sampler, network.with_condition(condition)?, batch.latents(dim, n), batch)?.finish()?);
        }
        Ok(x)
    }
}
