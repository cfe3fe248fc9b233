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

/// A trajectory run upwards: diffusers' `DDIMInverseScheduler`, with the true predecessor in τ where that assumes T // S, and ε of a
/// network that predicts x_0 or v derived at the level that it was told.
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
/// A batch of no images is left as it is, without a step.
///
/// # Errors
/// What the denoiser says. [`ErrorKind::Batch`]: a batch that is not a whole number of images; images, a prediction or what is made of it
/// that are not finite. [`ErrorKind::Prediction`]: steps from a level with ᾱ = 0, where nothing of the image is left.
pub fn encode<T: Real, D: Denoiser<T> + ?Sized>(
    encoder: &Encoder,
    denoiser: &D,
    x: &mut [T],
    mut observe: impl FnMut(Observed<'_, T>),
) -> Result<(), D::Error> {
    let dim = denoiser.dim();
    let n = batch_len(x.len(), dim)?;
    let prediction = denoiser.prediction();
    if encoder.steps.iter().any(|s| s.alpha_bar_from == 0.0) {
        return Err(Error::new(ErrorKind::Prediction, "nothing can be encoded beyond a level with alpha_bar 0").into());
    }
    if n == 0 {
        return Ok(());
    }
    check_finite("the image", x, dim, 0, None)?;
    let mut output = vec![T::from_f64(0.0); x.len()];
    let mut x_0_batch = output.clone();
    for (index, step) in encoder.steps.iter().enumerate() {
        denoiser.predict(x, &vec![step.to; n], &mut output)?;
        check_finite("the network's output", &output, dim, 0, Some(step.to))?;
        let (signal, spread) = (step.alpha_bar_to.sqrt(), (1.0 - step.alpha_bar_to).sqrt());
        for ((x, output), x_0_out) in x.iter_mut().zip(&output).zip(&mut x_0_batch) {
            // Eq. 13 is in ε, which the network's x_0 or v determines at the level it was told: read where the step comes from, v would
            // have an error of the first order that ε has not, and four times the error of a reconstruction.
            let epsilon = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), step.alpha_bar_to).1;
            let x_0 = Prediction::Epsilon.x0_and_epsilon(epsilon, x.to_f64(), step.alpha_bar_from).0;
            *x = T::from_f64(signal * x_0 + spread * epsilon);
            *x_0_out = T::from_f64(x_0);
        }
        check_finite("x after the step", x, dim, 0, Some(step.to))?;
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
