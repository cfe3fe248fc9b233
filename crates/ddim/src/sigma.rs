//! How much fresh noise each step adds (Eq. 16).

use crate::error::{Error, ErrorKind};
use crate::schedule::NoiseSchedule;
use crate::trajectory::Trajectory;

/// How much fresh noise a step adds.
///
/// ```
/// use ddim::{NoiseSchedule, Sigma, Trajectory};
///
/// let (schedule, trajectory) = (NoiseSchedule::ddpm(), Trajectory::uniform(1000, 10)?);
/// assert_eq!(Sigma::Eta(0.0).values(&schedule, &trajectory)?, [0.0; 10]);
/// let ddpm = Sigma::Eta(1.0).values(&schedule, &trajectory)?;
/// let hat = Sigma::Hat.values(&schedule, &trajectory)?;
/// assert!(ddpm[1..].iter().zip(&hat[1..]).all(|(sigma, hat)| 0.0 < *sigma && sigma < hat));
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Sigma {
    /// σ(η) = η √((1-ᾱ_s)/(1-ᾱ_t)) √(1-ᾱ_t/ᾱ_s), Eq. 16, η in [0, 1]: 0 is DDIM, 1 is DDPM.
    Eta(f64),
    /// σ̂ = √(1-ᾱ_t/ᾱ_s), DDPM's larger variance (the authors' `ddpm_noisy`). Only the noise uses σ̂; the direction keeps σ(1), and the
    /// last step adds no noise. The authors also clip f_θ and re-derive ε: [`Clip::Range`](crate::Clip::Range) with
    /// [`Sampler::with_rederived_epsilon`](crate::Sampler::with_rederived_epsilon).
    Hat,
    /// σ of each step, in the order of [`Trajectory::levels`]. 0 ≤ σ² ≤ 1-ᾱ_s, except for the step to the clean image, whose σ_1 is free:
    /// that step draws from N(f_θ(x_1), σ_1² I) (Eq. 10).
    Explicit(Vec<f64>),
}

/// The two deviations of one step: σ in the direction √(1-ᾱ_s-σ²), and the one that multiplies the noise.
pub(crate) struct Deviation {
    pub(crate) direction: f64,
    pub(crate) noise: f64,
}

impl Sigma {
    /// One pair of deviations a step of the trajectory, ascending.
    pub(crate) fn deviations(&self, schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Vec<Deviation>, Error> {
        trajectory.check_schedule(schedule)?;
        let error = |message| Error::new(ErrorKind::Sigma, message);
        match self {
            Self::Eta(eta) if !(0.0..=1.0).contains(eta) => return Err(error(format!("eta {eta}: expected a number from 0 to 1"))),
            Self::Explicit(list) if list.len() != trajectory.len() => {
                return Err(error(format!("{} sigmas for {} steps: expected one per step", list.len(), trajectory.len())));
            }
            _ => {}
        }
        let step = |(i, (s, t)): (usize, (usize, usize))| {
            let (a_s, a_t) = (schedule.arrival_alpha_bar(s), schedule.alpha_bar(t));
            let hat = (1.0 - a_t / a_s).max(0.0).sqrt();
            // Eq. 16. Arriving at ᾱ = 1 nothing is left to randomise.
            let ddpm = ((1.0 - a_s) / (1.0 - a_t)).sqrt() * hat;
            Ok(match self {
                Self::Eta(eta) => Deviation { direction: eta * ddpm, noise: eta * ddpm },
                Self::Hat => Deviation { direction: ddpm, noise: if s == 0 { 0.0 } else { hat } },
                Self::Explicit(list) => {
                    let sigma = list[i];
                    if s == 0 && a_s == 1.0 {
                        if !(sigma.is_finite() && sigma >= 0.0) {
                            return Err(error(format!("sigma {sigma} of the last step: expected a finite number, 0 or more")));
                        }
                    } else {
                        check_sigma(sigma, a_s, s)?;
                    }
                    Deviation { direction: sigma, noise: sigma }
                }
            })
        };
        trajectory.pairs().enumerate().map(step).collect()
    }

    /// Returns the σ that multiplies the noise of each step, in the order of [`Trajectory::levels`].
    ///
    /// # Errors
    /// [`ErrorKind::Sigma`] if η is outside [0, 1], an explicit σ is out of range, or there is not one σ per step;
    /// [`ErrorKind::Trajectory`] if the trajectory was made for another T.
    pub fn values(&self, schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Vec<f64>, Error> {
        Ok(self.deviations(schedule, trajectory)?.iter().map(|d| d.noise).collect())
    }
}

/// 0 ≤ σ² ≤ 1-ᾱ_s, with room for the rounding of a σ that was computed to lie on the edge.
pub(crate) fn check_sigma(sigma: f64, alpha_bar_s: f64, s: usize) -> Result<(), Error> {
    let top = 1.0 - alpha_bar_s;
    if sigma >= 0.0 && sigma * sigma <= top * (1.0 + 1e-9) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Sigma,
        format!("sigma {sigma} of the step to level {s}: expected 0 <= sigma <= {:.6}, the square root of 1 - alpha_bar", top.sqrt()),
    ))
}
