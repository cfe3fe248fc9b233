//! The ODE upwards (Eq. 13): images to latents, along the trajectory that decodes them.

use crate::denoiser::{Denoiser, Real, batch_len};
use crate::error::{Error, ErrorKind};
use crate::process::Prediction;
use crate::sample::{Observed, Step, check_finite, check_total};
use crate::schedule::NoiseSchedule;
use crate::trajectory::Trajectory;

/// One Euler step upwards, from level `from` to `to`, with ε evaluated at (x_from, `to`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncodeStep {
    /// The level that the step leaves, τ_{i-1}; 0 is the image.
    pub from: usize,
    /// The level that it arrives at, τ_i, and that the network is told.
    pub to: usize,
    /// ᾱ of `from`.
    pub alpha_bar_from: f64,
    /// ᾱ of `to`.
    pub alpha_bar_to: f64,
}

/// A trajectory run upwards: diffusers' `DDIMInverseScheduler`, with the true predecessor in τ where that assumes T // S.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    steps: Vec<EncodeStep>,
}

impl Encoder {
    /// The steps of `trajectory` upwards.
    ///
    /// # Errors
    /// A trajectory made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Self, Error> {
        check_total(schedule, trajectory)?;
        let steps = trajectory.pairs().map(|(from, to)| EncodeStep {
            from,
            to,
            alpha_bar_from: schedule.arrival_alpha_bar(from),
            alpha_bar_to: schedule.alpha_bar(to),
        });
        Ok(Self { steps: steps.collect() })
    }

    /// The steps in the order in which they run: ascending levels.
    pub fn steps(&self) -> &[EncodeStep] {
        &self.steps
    }
}

/// Runs `encoder` in place on a batch of images x_0 (scale [-1, 1]); leaves the latents x_{τ_S}. Nothing is clipped.
///
/// `observe` is called after each step; its step is read upwards: `level` is where x now lies, `next` where it came from.
///
/// # Errors
/// What the denoiser says; a batch that is not a whole number of images; ε-prediction from a level with ᾱ = 0; a prediction that is
/// not finite.
pub fn encode<T: Real, D: Denoiser<T> + ?Sized>(
    encoder: &Encoder,
    denoiser: &D,
    x: &mut [T],
    mut observe: impl FnMut(Observed<'_, T>),
) -> Result<(), D::Error> {
    let dim = denoiser.dim();
    let n = batch_len(x.len(), dim)?;
    let prediction = denoiser.prediction();
    if encoder.steps.iter().any(|s| s.alpha_bar_from == 0.0) && prediction == Prediction::Epsilon {
        return Err(Error::new(ErrorKind::Prediction, "epsilon prediction cannot encode beyond a level with alpha_bar 0").into());
    }
    let mut output = vec![T::from_f64(0.0); x.len()];
    let mut x_0_batch = output.clone();
    for (index, step) in encoder.steps.iter().enumerate() {
        denoiser.predict(x, &vec![step.to; n], &mut output)?;
        check_finite(&output, dim, 0, step.to)?;
        // The clean image does not determine ε from x_0: read the prediction at the level that the network was told.
        let read_at = if step.alpha_bar_from == 1.0 && prediction == Prediction::Sample { step.alpha_bar_to } else { step.alpha_bar_from };
        let (signal, spread) = (step.alpha_bar_to.sqrt(), (1.0 - step.alpha_bar_to).sqrt());
        for ((x, output), x_0_out) in x.iter_mut().zip(&output).zip(&mut x_0_batch) {
            let (x_0, epsilon) = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), read_at);
            *x = T::from_f64(signal * x_0 + spread * epsilon);
            *x_0_out = T::from_f64(x_0);
        }
        let read = Step {
            level: step.to,
            next: step.from,
            alpha_bar: step.alpha_bar_to,
            alpha_bar_next: step.alpha_bar_from,
            direction: spread,
            sigma: 0.0,
        };
        observe(Observed { index, step: &read, x, x_0: &x_0_batch });
    }
    Ok(())
}
