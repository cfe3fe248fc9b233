//! Noise schedules: betas -> ᾱ over the levels 0..=T.

use crate::error::{Error, ErrorKind};
use std::str::FromStr;

/// How β_1..β_T are spaced between `beta_start` and `beta_end`.
///
/// Names are diffusers' and, for the last three, the authors'.
///
/// ```
/// use ddim::{BetaSchedule, NoiseSchedule};
///
/// let cosine: BetaSchedule = "squaredcos_cap_v2".parse()?;
/// let schedule = NoiseSchedule::new(cosine, 1e-4, 0.02, 500)?;
/// assert_eq!((cosine.name(), schedule.levels()), ("squaredcos_cap_v2", 500));
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Evenly spaced: DDPM's.
    Linear,
    /// Evenly spaced in √β (the authors' `quad`).
    ScaledLinear,
    /// ᾱ(u) = cos²((u + 0.008)/1.008 · π/2), β at most 0.999. Ignores `beta_start` and `beta_end`.
    SquaredCosCapV2,
    /// A logistic curve over [-6, 6].
    Sigmoid,
    /// The authors' name for [`BetaSchedule::ScaledLinear`].
    Quad,
    /// β_t = `beta_end`.
    Const,
    /// β_t = 1/(T - t + 1): ends in pure noise, ᾱ_T = 0. Ignores `beta_start` and `beta_end`.
    Jsd,
}

impl BetaSchedule {
    const ALL: [(&str, BetaSchedule); 7] = [
        ("linear", Self::Linear),
        ("scaled_linear", Self::ScaledLinear),
        ("squaredcos_cap_v2", Self::SquaredCosCapV2),
        ("sigmoid", Self::Sigmoid),
        ("quad", Self::Quad),
        ("const", Self::Const),
        ("jsd", Self::Jsd),
    ];

    /// Returns the name used in `scheduler_config.json`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, s)| *s == self).expect("every schedule is listed").0
    }
}

impl FromStr for BetaSchedule {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL.iter().find(|(name, _)| *name == s).map(|(_, schedule)| *schedule).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Error::new(ErrorKind::Schedule, format!("beta schedule {s:?}: expected one of {}", names.join(", ")))
        })
    }
}

/// The largest T of a [`NoiseSchedule`] or a [`Trajectory`](crate::Trajectory). A wrong number is thus an error rather than an exhausted
/// memory.
pub const MOST_LEVELS: usize = 1_000_000;

/// ᾱ over the levels 0..=T: ᾱ_0 = 1, strictly decreasing, and never below 0 (section 2 of the paper, where ᾱ is written α).
///
/// ```
/// use ddim::NoiseSchedule;
///
/// let schedule = NoiseSchedule::ddpm();
/// assert_eq!((schedule.levels(), schedule.alpha_bar(0)), (1000, 1.0));
/// assert!((schedule.beta(1000) - 0.02).abs() < 1e-9);
/// assert!(schedule.alpha_bar(1000) < 1e-4); // hardly anything is left of the image
/// assert_eq!(schedule.rescale_zero_terminal_snr()?.alpha_bar(1000), 0.0);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    alpha_bar: Vec<f64>,
    /// ᾱ of what the last sampling step arrives at: 1, or ᾱ_1 where a scheduler says `set_alpha_to_one: false`.
    final_alpha_bar: f64,
}

/// `n` numbers from `a` to `b`, both included, in numpy's arithmetic; one number is `a`.
pub(crate) fn linspace(a: f64, b: f64, n: usize) -> impl Iterator<Item = f64> {
    let step = if n > 1 { (b - a) / (n - 1) as f64 } else { 0.0 };
    (0..n).map(move |i| if n > 1 && i + 1 == n { b } else { a + step * i as f64 })
}

/// 1 ≤ T ≤ [`MOST_LEVELS`].
fn check_levels(levels: usize) -> Result<(), Error> {
    if (1..=MOST_LEVELS).contains(&levels) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Schedule, format!("a schedule of {levels} levels: expected 1 to {MOST_LEVELS}, one beta each")))
}

impl NoiseSchedule {
    /// Returns the schedule of the paper and of DDPM: linear betas from 1e-4 to 0.02, T = 1000.
    pub fn ddpm() -> Self {
        Self::new(BetaSchedule::Linear, 1e-4, 0.02, 1000).expect("DDPM's betas are valid")
    }

    /// Creates a schedule of `levels` = T betas between `beta_start` and `beta_end`.
    ///
    /// # Errors
    /// [`ErrorKind::Schedule`] if T = 0, T is above [`MOST_LEVELS`], or [`from_betas`](Self::from_betas) rejects the betas.
    pub fn new(schedule: BetaSchedule, beta_start: f64, beta_end: f64, levels: usize) -> Result<Self, Error> {
        check_levels(levels)?;
        let betas: Vec<f64> = match schedule {
            BetaSchedule::Linear => linspace(beta_start, beta_end, levels).collect(),
            BetaSchedule::ScaledLinear | BetaSchedule::Quad => {
                linspace(beta_start.sqrt(), beta_end.sqrt(), levels).map(|b| b * b).collect()
            }
            BetaSchedule::SquaredCosCapV2 => {
                let alpha_bar = |u: f64| ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
                let t = levels as f64;
                (0..levels).map(|i| (1.0 - alpha_bar((i + 1) as f64 / t) / alpha_bar(i as f64 / t)).min(0.999)).collect()
            }
            BetaSchedule::Sigmoid => {
                linspace(-6.0, 6.0, levels).map(|u| (beta_end - beta_start) / (1.0 + (-u).exp()) + beta_start).collect()
            }
            BetaSchedule::Const => vec![beta_end; levels],
            BetaSchedule::Jsd => linspace(levels as f64, 1.0, levels).map(|d| 1.0 / d).collect(),
        };
        Self::from_betas(&betas)
    }

    /// Creates a schedule from explicit β_1..β_T: ᾱ_t = Π_{s ≤ t} (1 - β_s).
    ///
    /// # Errors
    /// [`ErrorKind::Schedule`], naming the code timestep: if there are no betas, or more than [`MOST_LEVELS`]; if a β is outside (0, 1] (1
    /// is allowed at T only) or not finite; or if one is so small, or follows so many large ones, that ᾱ does not decrease in double
    /// precision.
    pub fn from_betas(betas: &[f64]) -> Result<Self, Error> {
        check_levels(betas.len())?;
        let mut alpha_bar = Vec::with_capacity(betas.len() + 1);
        let mut product = 1.0;
        alpha_bar.push(product);
        for (i, &b) in betas.iter().enumerate() {
            let last = i + 1 == betas.len();
            if !(b > 0.0 && (b < 1.0 || last && b == 1.0)) {
                let message = format!("beta {b} at code timestep {i}: expected a number in (0, 1); 1 is allowed at the last only");
                return Err(Error::new(ErrorKind::Schedule, message));
            }
            let above = product;
            product *= 1.0 - b;
            if product >= above {
                let message = format!("beta {b} at code timestep {i} leaves alpha_bar at {above:e}: expected one that makes it fall");
                return Err(Error::new(ErrorKind::Schedule, message));
            }
            alpha_bar.push(product);
        }
        Ok(Self { alpha_bar, final_alpha_bar: 1.0 })
    }

    /// Shifts and scales √ᾱ so that ᾱ_T = 0 and ᾱ_1 is unchanged (arXiv 2305.08891, algorithm 1; diffusers' `rescale_betas_zero_snr`). A
    /// schedule with ᾱ_T = 0 stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Schedule`] if T = 1, where the first level is also the last, or if levels are so close that they coincide.
    pub fn rescale_zero_terminal_snr(&self) -> Result<Self, Error> {
        let error = |message| Err(Error::new(ErrorKind::Schedule, message));
        let root: Vec<f64> = self.alpha_bar[1..].iter().map(|a| a.sqrt()).collect();
        let (first, last) = (root[0], root[root.len() - 1]);
        if last == 0.0 {
            return Ok(self.clone());
        }
        if root.len() == 1 {
            return error("a schedule of one level cannot be rescaled to end at alpha_bar 0: expected 2 or more".to_owned());
        }
        let scaled = root.iter().map(|r| ((r - last) * first / (first - last)).powi(2));
        let alpha_bar: Vec<f64> = std::iter::once(1.0).chain(scaled).collect();
        // Where first and last have one root the quotient is NaN, which is not less either.
        if let Some(i) = alpha_bar.windows(2).position(|w| w[1].partial_cmp(&w[0]) != Some(std::cmp::Ordering::Less)) {
            return error(format!("alpha_bar rescaled to end in 0 does not fall at code timestep {i}: expected levels further apart"));
        }
        let final_alpha_bar = if self.final_alpha_bar == 1.0 { 1.0 } else { alpha_bar[1] };
        Ok(Self { alpha_bar, final_alpha_bar })
    }

    /// Returns T: the number of noisy levels, and of the network's code timesteps.
    pub fn levels(&self) -> usize {
        self.alpha_bar.len() - 1
    }

    /// Returns levels 0..=`top` of this schedule as a schedule of their own, for trajectories that start at `top`.
    ///
    /// These are the trajectories that [`Trajectory::widened`](crate::Trajectory::widened) takes back to this schedule.
    ///
    /// # Errors
    /// [`ErrorKind::Level`] for a level outside 1..=T.
    pub fn truncated(&self, top: usize) -> Result<Self, Error> {
        if !(1..=self.levels()).contains(&top) {
            return Err(Error::new(ErrorKind::Level, format!("level {top}: expected 1 to {}", self.levels())));
        }
        Ok(Self { alpha_bar: self.alpha_bar[..=top].to_vec(), final_alpha_bar: self.final_alpha_bar })
    }

    /// Returns ᾱ_t for a level `t` in 0..=T.
    ///
    /// # Panics
    /// Panics if `level` > T.
    pub fn alpha_bar(&self, level: usize) -> f64 {
        self.alpha_bar[level]
    }

    /// Returns ᾱ at any level from 1 to T, whole or not.
    ///
    /// At whole levels it is [`alpha_bar`](Self::alpha_bar). Between two of them, the logarithm of the signal-to-noise ratio ᾱ/(1-ᾱ) is
    /// linear in the level, as in the conversion of σ to timesteps in diffusers and k-diffusion. Towards a level with ᾱ = 0, whose
    /// logarithm is not finite, ᾱ itself is linear.
    ///
    /// # Panics
    /// Panics if `level` is not in 1..=T.
    pub fn alpha_bar_between(&self, level: f64) -> f64 {
        assert!((1.0..=self.levels() as f64).contains(&level), "level {level}: expected 1 to {}", self.levels());
        let (below, part) = (level as usize, level.fract());
        let low = self.alpha_bar[below];
        if part == 0.0 {
            return low;
        }
        let high = self.alpha_bar[below + 1];
        if high == 0.0 {
            return low * (1.0 - part);
        }
        let log_snr = |alpha_bar: f64| (alpha_bar / (1.0 - alpha_bar)).ln();
        let between = log_snr(low) + part * (log_snr(high) - log_snr(low));
        1.0 / (1.0 + (-between).exp())
    }

    /// Sets diffusers' `set_alpha_to_one`: whether the last sampling step arrives at the clean image (true, as in the paper) or at the
    /// noise of ᾱ_1 (false). Marginals are not affected: ᾱ_0 is 1.
    #[must_use]
    pub fn with_set_alpha_to_one(self, set_alpha_to_one: bool) -> Self {
        let final_alpha_bar = if set_alpha_to_one { 1.0 } else { self.alpha_bar[1] };
        Self { final_alpha_bar, ..self }
    }

    /// Returns ᾱ at the lower end of a sampling step: [`alpha_bar`](Self::alpha_bar), except at level 0, where it is as chosen by
    /// [`with_set_alpha_to_one`](Self::with_set_alpha_to_one).
    ///
    /// # Panics
    /// Panics if `level` > T.
    pub fn arrival_alpha_bar(&self, level: usize) -> f64 {
        if level == 0 { self.final_alpha_bar } else { self.alpha_bar[level] }
    }

    /// Returns β_t = 1 - ᾱ_t/ᾱ_{t-1} for a level in 1..=T.
    ///
    /// # Panics
    /// Panics if `level` is 0 or > T.
    pub fn beta(&self, level: usize) -> f64 {
        1.0 - self.alpha_bar[level] / self.alpha_bar[level - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, relative: f64) -> bool {
        (a - b).abs() <= relative * b.abs().max(1e-300)
    }

    #[test]
    fn ddpm_alpha_bar_is_the_papers() {
        let s = NoiseSchedule::ddpm();
        assert_eq!(s.levels(), 1000);
        assert_eq!(s.alpha_bar(0), 1.0);
        for (code, expected) in [(0, 0.9999), (499, 0.0785872), (999, 4.03583e-5)] {
            assert!(close(s.alpha_bar(code + 1), expected, 2e-6), "{code}: {}", s.alpha_bar(code + 1));
        }
    }

    #[test]
    fn every_schedule_falls_strictly() {
        for (name, schedule) in BetaSchedule::ALL {
            for levels in [1, 2, 10, 1000] {
                let s = NoiseSchedule::new(schedule, 1e-4, 0.02, levels).unwrap_or_else(|e| panic!("{name} {levels}: {e}"));
                assert!((1..=levels).all(|t| s.alpha_bar(t) < s.alpha_bar(t - 1)), "{name} {levels}");
            }
            assert_eq!(name.parse::<BetaSchedule>().unwrap().name(), name);
        }
    }

    #[test]
    fn zero_snr_ends_at_zero_and_keeps_the_first() {
        let s = NoiseSchedule::ddpm();
        let z = s.rescale_zero_terminal_snr().unwrap();
        assert_eq!(z.alpha_bar(1000), 0.0);
        assert!(close(z.alpha_bar(1), s.alpha_bar(1), 1e-12));
        assert_eq!(z.rescale_zero_terminal_snr().unwrap(), z);
        let one = NoiseSchedule::from_betas(&[0.5]).unwrap();
        assert_eq!(one.rescale_zero_terminal_snr().unwrap_err().kind(), ErrorKind::Schedule);
        // One unit in the last place apart: their roots are the same number.
        let flat = NoiseSchedule::from_betas(&[1e-16, 1e-16]).unwrap();
        assert!(flat.alpha_bar(2) < flat.alpha_bar(1));
        assert!(flat.rescale_zero_terminal_snr().unwrap_err().to_string().contains("code timestep"));
    }

    #[test]
    fn between_levels_the_log_snr_is_linear() {
        let s = NoiseSchedule::ddpm();
        for level in [1, 2, 500, 999, 1000] {
            assert_eq!(s.alpha_bar_between(level as f64), s.alpha_bar(level));
        }
        let sigma = |a: f64| ((1.0 - a) / a).sqrt();
        for level in [1, 37, 999] {
            // k-diffusion's t_to_sigma: the geometric mean of two σ half-way.
            let (low, high) = (sigma(s.alpha_bar(level)), sigma(s.alpha_bar(level + 1)));
            let half = sigma(s.alpha_bar_between(level as f64 + 0.5));
            assert!(close(half, (low * high).sqrt(), 1e-12), "{level}: {half}");
        }
        let zero = s.rescale_zero_terminal_snr().unwrap();
        let near = zero.alpha_bar_between(999.75);
        assert!(near > 0.0 && near < zero.alpha_bar(999));
        assert!(std::panic::catch_unwind(|| s.alpha_bar_between(0.5)).is_err());
    }

    #[test]
    fn bad_betas_are_refused() {
        for betas in [&[][..], &[0.0], &[-0.1], &[1.0, 0.5], &[1.5], &[f64::NAN], &[f64::INFINITY]] {
            assert_eq!(NoiseSchedule::from_betas(betas).unwrap_err().kind(), ErrorKind::Schedule, "{betas:?}");
        }
        // Beta 0 by rounding, and an ᾱ that has fallen to 0 before the end.
        for (betas, named) in [(vec![0.1, 1e-17, 0.1], "timestep 1 "), (vec![1.0 - 1e-16; 40], "timestep 21 ")] {
            let message = NoiseSchedule::from_betas(&betas).unwrap_err().to_string();
            assert!(message.contains(named) && message.contains("fall"), "{message}");
        }
        for levels in [0, MOST_LEVELS + 1, usize::MAX] {
            let message = NoiseSchedule::new(BetaSchedule::Linear, 1e-4, 0.02, levels).unwrap_err().to_string();
            assert!(message.contains("1 to 1000000"), "{message}");
        }
        assert!(NoiseSchedule::new(BetaSchedule::Linear, f64::NAN, 0.02, 10).is_err());
        assert!("cosine".parse::<BetaSchedule>().unwrap_err().to_string().contains("squaredcos_cap_v2"));
    }
}
