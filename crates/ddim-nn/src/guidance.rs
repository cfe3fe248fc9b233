//! Classifier-free guidance (arXiv 2207.12598): a network evaluated twice at once, with the classes and without.

use crate::condition::Condition;
use crate::defaults::is_interval;
use crate::error::{Error, Result};
use crate::network::Network;
use ddim::{Denoiser, Prediction};

/// How far a prediction is pushed beyond the prediction without a class.
///
/// ```
/// use ddim_nn::Guidance;
///
/// let guidance = Guidance::new(3.0, 10)?.with_interval([0.1, 0.8])?.with_rescale(0.7)?;
/// assert!(guidance.with_interval([0.8, 0.1]).is_err() && Guidance::new(f64::NAN, 10).is_err());
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    scale: f64,
    null: usize,
    interval: [f64; 2],
    rescale: f64,
}

impl Guidance {
    /// Creates a guidance that acts at every level, without rescaling.
    ///
    /// `scale` is w in out(null) + w (out(class) - out(null)), diffusers' `guidance_scale` (the paper's w is one less): 1 is the class
    /// alone, 0 is no class. `null` is the label that stands for no class: [`Pipeline::null_class`](crate::Pipeline::null_class).
    ///
    /// # Errors
    /// Returns an error if the scale is below 0 or not finite.
    pub fn new(scale: f64, null: usize) -> Result<Self> {
        if !scale.is_finite() || scale < 0.0 {
            return Err(Error::input(format!("guidance {scale}: expected a number, 0 or more")));
        }
        Ok(Self { scale, null, interval: [0.0, 1.0], rescale: 0.0 })
    }

    /// Restricts the guidance to levels t with from ≤ t/T ≤ to; elsewhere the class alone is used (arXiv 2404.07724).
    ///
    /// # Errors
    /// Returns an error unless 0 ≤ from < to ≤ 1.
    pub fn with_interval(self, interval: [f64; 2]) -> Result<Self> {
        let [from, to] = interval;
        if !is_interval(interval) {
            return Err(Error::input(format!("guidance from {from} to {to} of T: expected two shares from 0 to 1, the smaller one first")));
        }
        Ok(Self { interval, ..self })
    }

    /// Sets φ: how far each image's standard deviation is brought back to that under the class alone (arXiv 2305.08891, section 3.4).
    ///
    /// # Errors
    /// Returns an error unless 0 ≤ φ ≤ 1.
    pub fn with_rescale(self, rescale: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rescale) {
            return Err(Error::input(format!("guidance rescaled by {rescale}: expected a number from 0 to 1")));
        }
        Ok(Self { rescale, ..self })
    }

    /// Returns whether it changes anything, and so takes a second evaluation, at `level` of T = `levels`.
    pub fn acts_at(&self, level: f64, levels: usize) -> bool {
        // A share such as 0.57 times T is a little beside the level that is meant.
        const ROUNDING: f64 = 1e-6;
        let [from, to] = self.interval.map(|share| share * levels as f64);
        self.scale != 1.0 && (from - ROUNDING..=to + ROUNDING).contains(&level)
    }

    /// Makes of an image's prediction under its class the guided one. ε, x_0 and v are each linear in the others where x_t is given, so that all of them are
    /// guided alike; clipping of f_θ comes after.
    fn apply(&self, class: &mut [f32], none: &[f32]) {
        let before = if self.rescale > 0.0 { deviation(class) } else { 0.0 };
        for (class, none) in class.iter_mut().zip(none) {
            let (with, without) = (f64::from(*class), f64::from(*none));
            *class = (without + self.scale * (with - without)) as f32;
        }
        if self.rescale > 0.0 {
            let factor = before / deviation(class);
            // A prediction of one value has no deviation to be brought back.
            let factor = if factor.is_finite() { self.rescale * factor + (1.0 - self.rescale) } else { 1.0 };
            class.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
        }
    }
}

/// Of the numbers of one image.
fn deviation(x: &[f32]) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// A network conditioned on the classes of a batch, with guidance.
///
/// Images whose guidance is not 1 are, at levels in its interval, evaluated a second time without a class, in the same batch as the first.
/// If there are no such images, this is the plain network: the same bits, and one evaluation.
///
/// ```
/// use ddim::Denoiser;
/// use ddim_nn::{Condition, Guidance, Guided, Network, Pipeline, SchedulerConfig, UNetConfig};
///
/// // Ten classes, and a row for none of them.
/// let config = UNetConfig { num_class_embeds: Some(11), ..UNetConfig::preset("tiny").unwrap() };
/// let mut pipeline = Pipeline::untrained(config, SchedulerConfig::default())?;
/// pipeline.classes = (0..10).map(|digit| digit.to_string()).collect();
/// let null = pipeline.null_class().expect("the last row");
/// let network = Network::new(pipeline)?;
/// let guided = Guided::new(&network, Condition::Labels(vec![3, 9]), Some(Guidance::new(3.0, null)?))?;
/// let mut out = vec![0.0; 2 * network.dim()];
/// guided.predict(&vec![0.5; out.len()], &[500.0; 2], &mut out)?;
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Guided {
    network: Network,
    condition: Condition,
    guidance: Option<Guidance>,
}

impl Guided {
    /// Conditions a network on a batch of images: [`Labels`](Condition::Labels) or [`Mixtures`](Condition::Mixtures) if there is a
    /// guidance.
    ///
    /// # Errors
    /// As [`Network::with_condition`], also for the null class, and an error for a guidance without classes.
    pub fn new(network: &Network, condition: Condition, guidance: Option<Guidance>) -> Result<Self> {
        let guided = Self { network: network.with_condition(condition.clone())?, condition, guidance };
        if let Some(guidance) = &guided.guidance {
            network.with_condition(Condition::Labels(vec![guidance.null]))?;
            guided.with_null(&[], guidance.null)?;
        }
        Ok(guided)
    }

    /// The condition of all images, and after them of `again` without their classes.
    fn with_null(&self, again: &[usize], null: usize) -> Result<Condition> {
        match self.condition.clone() {
            Condition::Labels(mut labels) => {
                labels.extend(again.iter().map(|_| null));
                Ok(Condition::Labels(labels))
            }
            Condition::Mixtures(mut mixtures) => {
                mixtures.extend(again.iter().map(|_| vec![(null, 1.0)]));
                Ok(Condition::Mixtures(mixtures))
            }
            Condition::None | Condition::Embeddings(_) => Err(Error::input("guidance without class labels: expected those of each image")),
        }
    }
}

impl Denoiser<f32> for Guided {
    type Error = Error;

    fn dim(&self) -> usize {
        self.network.dim()
    }

    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x_t: &[f32], levels: &[f64], out: &mut [f32]) -> Result<()> {
        let acts = |guidance: &Guidance| -> Vec<usize> {
            (0..levels.len()).filter(|&i| guidance.acts_at(levels[i], self.network.levels())).collect()
        };
        let guided = self.guidance.map(|guidance| (guidance, acts(&guidance))).filter(|(_, images)| !images.is_empty());
        let Some((guidance, images)) = guided else { return self.network.predict(x_t, levels, out) };
        self.network.check(x_t, levels, out)?;
        let dim = self.dim();
        let (mut x, mut at) = (x_t.to_vec(), levels.to_vec());
        for &i in &images {
            x.extend_from_slice(&x_t[i * dim..(i + 1) * dim]);
            at.push(levels[i]);
        }
        let mut predictions = vec![0.0; x.len()];
        self.network.with_condition(self.with_null(&images, guidance.null)?)?.predict(&x, &at, &mut predictions)?;
        let (under_class, under_none) = predictions.split_at(out.len());
        out.copy_from_slice(under_class);
        for (i, none) in images.into_iter().zip(under_none.chunks_exact(dim)) {
            guidance.apply(&mut out[i * dim..(i + 1) * dim], none);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_goes_beyond() {
        let guidance = Guidance::new(3.0, 0).unwrap();
        let mut out = [1.0, -2.0, 0.5];
        guidance.apply(&mut out, &[0.5, 0.0, 0.5]);
        assert_eq!(out, [2.0, -6.0, 0.5]);
    }

    /// Deviations by hand: of (1, 3) 1, of (1, 5) 2.
    #[test]
    fn deviations_are_brought_back() {
        let rescaled = |rescale: f64| {
            let mut out = [1.0, 3.0];
            Guidance::new(2.0, 0).unwrap().with_rescale(rescale).unwrap().apply(&mut out, &[1.0, 1.0]);
            out
        };
        assert_eq!(rescaled(0.0), [1.0, 5.0]);
        assert_eq!(rescaled(1.0), [0.5, 2.5]);
        assert_eq!(rescaled(0.5), [0.75, 3.75]);
        let mut flat = [2.0, 2.0];
        Guidance::new(2.0, 0).unwrap().with_rescale(1.0).unwrap().apply(&mut flat, &[1.0, 1.0]);
        assert_eq!(flat, [3.0, 3.0]);
    }

    #[test]
    fn intervals_have_both_ends() {
        let guidance = Guidance::new(2.0, 0).unwrap().with_interval([0.29, 0.57]).unwrap();
        let acting: Vec<usize> = (1..=1000).filter(|&level| guidance.acts_at(level as f64, 1000)).collect();
        assert_eq!((acting[0], acting[acting.len() - 1], acting.len()), (290, 570, 281));
        let all = Guidance::new(2.0, 0).unwrap();
        assert!(all.acts_at(1.0, 1000) && all.acts_at(1000.0, 1000));
        assert!(!Guidance::new(1.0, 0).unwrap().acts_at(500.0, 1000));
    }

    #[test]
    fn numbers_out_of_range() {
        let guidance = Guidance::new(0.0, 0).unwrap();
        for scale in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Guidance::new(scale, 0).unwrap_err().to_string().starts_with(&format!("guidance {scale}: ")));
        }
        for interval in [[0.5, 0.5], [0.8, 0.2], [-0.1, 0.5], [0.5, 1.1], [f64::NAN, 1.0]] {
            assert!(guidance.with_interval(interval).unwrap_err().to_string().contains("smaller one first"), "{interval:?}");
        }
        for rescale in [-0.1, 1.1, f64::NAN] {
            assert!(guidance.with_rescale(rescale).unwrap_err().to_string().contains("0 to 1"), "{rescale}");
        }
    }
}
