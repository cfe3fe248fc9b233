//! Trajectories τ: which noise levels a sampler visits (section 4.2 and appendix D.2 of the paper).

use crate::error::{Error, ErrorKind};
use crate::schedule::{MOST_LEVELS, NoiseSchedule, linspace};

/// An increasing sub-sequence τ_1 < … < τ_S of the levels 1..=T, with τ_0 = 0 implied.
///
/// Constructors are named after their authors' conventions and take (T, S), or the schedule and S if they need ᾱ. If a convention repeats a
/// timestep, the duplicate is dropped, so [`Trajectory::len`] may be less than the requested S; the authors' [`uniform`](Self::uniform) may
/// exceed it. All errors are of kind [`ErrorKind::Trajectory`].
///
/// ```
/// use ddim::{NoiseSchedule, Trajectory};
///
/// let trajectory = Trajectory::uniform(1000, 4)?;
/// assert_eq!(trajectory.levels(), [1, 251, 501, 751]);
/// assert_eq!(trajectory.timesteps().collect::<Vec<_>>(), [750, 500, 250, 0]);
/// assert_eq!(Trajectory::from_timesteps(1000, &[999, 500, 0])?.levels(), [1, 501, 1000]);
///
/// // Code timesteps, as the network has them; levels are one more.
/// let timesteps = |t: Trajectory| t.timesteps().collect::<Vec<_>>();
/// assert_eq!(timesteps(Trajectory::trailing(1000, 5)?), [999, 799, 599, 399, 199]);
/// assert_eq!(timesteps(Trajectory::power(1000, 5, 1.5)?), [999, 715, 464, 252, 88]);
/// // Even in the logarithm of σ, and in its seventh root: from ᾱ itself, and down to level 1.
/// let schedule = NoiseSchedule::ddpm();
/// assert_eq!(timesteps(Trajectory::log_snr(&schedule, 5)?), [999, 722, 302, 30, 0]);
/// assert_eq!(timesteps(Trajectory::karras(&schedule, 5, 7.0)?), [999, 843, 593, 142, 0]);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trajectory {
    levels: Vec<usize>,
    total: usize,
}

fn check(total: usize, steps: usize) -> Result<(), Error> {
    check_total(total)?;
    if steps == 0 || steps > total {
        return Err(Error::new(ErrorKind::Trajectory, format!("{steps} steps: expected 1 to {total}, the model's timesteps")));
    }
    Ok(())
}

fn check_total(total: usize) -> Result<(), Error> {
    if (1..=MOST_LEVELS).contains(&total) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Trajectory, format!("a trajectory over {total} timesteps: expected 1 to {MOST_LEVELS}")))
}

fn check_positive(what: &str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Trajectory, format!("{what} {value}: expected a positive number")))
}

impl Trajectory {
    /// Whether this was made for a schedule of so many levels.
    pub(crate) fn check_schedule(&self, schedule: &NoiseSchedule) -> Result<(), Error> {
        if schedule.levels() == self.total {
            return Ok(());
        }
        let message = format!("a trajectory over {} timesteps: expected {}, the schedule's", self.total, schedule.levels());
        Err(Error::new(ErrorKind::Trajectory, message))
    }

    /// From ascending code timesteps that may repeat or overshoot; both are mended.
    fn from_ascending_codes(total: usize, codes: impl IntoIterator<Item = usize>) -> Self {
        let mut levels: Vec<usize> = codes.into_iter().map(|code| code.min(total - 1) + 1).collect();
        levels.dedup();
        Self { levels, total }
    }

    /// Returns the authors' `uniform`: `range(0, T, T // S)`. If S does not divide T, it has more than S steps (S = 300: 334).
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn uniform(total: usize, steps: usize) -> Result<Self, Error> {
        check(total, steps)?;
        Ok(Self::from_ascending_codes(total, (0..total).step_by(total / steps)))
    }

    /// Returns the authors' `quad`: `int(linspace(0, √(0.8 T), S)²)`, with duplicates dropped.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn quadratic(total: usize, steps: usize) -> Result<Self, Error> {
        check(total, steps)?;
        let end = (total as f64 * 0.8).sqrt();
        Ok(Self::from_ascending_codes(total, linspace(0.0, end, steps).map(|root| (root * root) as usize)))
    }

    /// Returns the paper's quadratic trajectory: τ_i = ⌊c i²⌋ with c = T/S², so that the last level is T itself. Levels below 1 are raised
    /// to 1, and duplicates are dropped.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn quadratic_full(total: usize, steps: usize) -> Result<Self, Error> {
        check(total, steps)?;
        // Integers, so that the floor is exact.
        let level = |i: usize| (i as u128 * i as u128 * total as u128 / (steps as u128 * steps as u128)) as usize;
        Ok(Self::from_ascending_codes(total, (1..=steps).map(|i| level(i).max(1) - 1)))
    }

    /// Returns diffusers' `leading`: `i·(T // S) + steps_offset`. Timesteps that the offset pushes past T - 1 are moved back to it.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn leading(total: usize, steps: usize, offset: usize) -> Result<Self, Error> {
        check(total, steps)?;
        Ok(Self::from_ascending_codes(total, (0..steps).map(|i| (i * (total / steps)).saturating_add(offset))))
    }

    /// Returns diffusers' `trailing`: `round_half_even(T, T - T/S, …) - 1`, in the floating-point arithmetic of numpy's `arange`.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn trailing(total: usize, steps: usize) -> Result<Self, Error> {
        check(total, steps)?;
        let start = total as f64;
        let delta = (start - start / steps as f64) - start;
        let code = |i: usize| ((start + i as f64 * delta).round_ties_even() as usize).max(1) - 1;
        Ok(Self::from_ascending_codes(total, (0..steps).rev().map(code)))
    }

    /// Returns diffusers' `linspace`: `round(linspace(0, T - 1, S))`.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or T is above [`MOST_LEVELS`].
    pub fn linspace(total: usize, steps: usize) -> Result<Self, Error> {
        check(total, steps)?;
        let end = (total - 1) as f64;
        Ok(Self::from_ascending_codes(total, linspace(0.0, end, steps).map(|code| code.round_ties_even() as usize)))
    }

    /// Returns the levels round(T (1 - i/S)^p), i = 0..S: evenly spaced for p = 1 (`trailing` up to rounding), denser towards the image for
    /// p > 1. p = 1.5 was best for all solvers on the built-in models of emoji and garments.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, T is above [`MOST_LEVELS`], or p is not a positive number.
    pub fn power(total: usize, steps: usize, p: f64) -> Result<Self, Error> {
        check(total, steps)?;
        check_positive("power", p)?;
        let level = |i: usize| (total as f64 * libm::pow(i as f64 / steps as f64, p)).round_ties_even() as usize;
        Ok(Self::from_ascending_codes(total, (1..=steps).map(|i| level(i).max(1) - 1)))
    }

    /// Returns levels evenly spaced in log-SNR, from T to 1 (DPM-Solver, arXiv 2206.00927; diffusers' `use_lu_lambdas`): equidistant
    /// λ = ½ ln(ᾱ/(1-ᾱ)), each at the level whose λ is nearest. If ᾱ_T = 0, T is one of the levels and the spacing starts from T - 1.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T.
    pub fn log_snr(schedule: &NoiseSchedule, steps: usize) -> Result<Self, Error> {
        Self::by_sigma(schedule, steps, |high, low, part| high + part * (low - high))
    }

    /// Returns the levels of Karras et al. (arXiv 2206.00364, Eq. 5; diffusers' `use_karras_sigmas`, with ρ = 7): equidistant σ^(1/ρ),
    /// σ = √((1-ᾱ)/ᾱ), from level T to level 1, each at the level whose log σ is nearest. If ᾱ_T = 0, T is one of the levels and the
    /// spacing starts from T - 1.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T, or ρ is not a positive number.
    pub fn karras(schedule: &NoiseSchedule, steps: usize, rho: f64) -> Result<Self, Error> {
        check_positive("rho", rho)?;
        Self::by_sigma(schedule, steps, |high, low, part| {
            // Over σ_max, which is raised to no power that overflows: ln(σ/σ_max) = ρ ln(1 + part ((σ_min/σ_max)^(1/ρ) - 1)).
            high + rho * libm::log1p(part * libm::expm1((low - high) / rho))
        })
    }

    /// `log_sigma`: from ln σ at the top and at the bottom, and the part of the way between them, to ln σ there.
    fn by_sigma(schedule: &NoiseSchedule, steps: usize, log_sigma: impl Fn(f64, f64, f64) -> f64) -> Result<Self, Error> {
        let total = schedule.levels();
        check(total, steps)?;
        let at = |level: usize| 0.5 * libm::log((1.0 - schedule.alpha_bar(level)) / schedule.alpha_bar(level));
        // At ᾱ = 0 there is no logarithm: that level goes first, and has no part in the distances.
        let endless = usize::from(schedule.alpha_bar(total) == 0.0 && total > 1);
        let (top, steps) = (total - endless, steps - endless);
        let nearest = |goal: f64| {
            let (mut low, mut high) = (1, top);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if at(middle) <= goal { low = middle } else { high = middle }
            }
            if goal - at(low) <= at(high) - goal { low } else { high }
        };
        let parts = linspace(0.0, 1.0, steps);
        let mut levels: Vec<usize> = match top {
            1 => vec![1; steps.min(1)],
            _ => parts.map(|part| if part == 0.0 { top } else { nearest(log_sigma(at(top), at(1), part)) }).collect(),
        };
        levels.reverse();
        levels.extend((endless == 1).then_some(total));
        levels.dedup();
        Ok(Self { levels, total })
    }

    /// Returns the same levels in a model with `total` levels, of which this trajectory was made for the lowest
    /// ([`NoiseSchedule::truncated`]). All S steps then run below the level where an edit starts.
    ///
    /// # Errors
    /// Returns an error if `total` is below this trajectory's, or above [`MOST_LEVELS`].
    ///
    /// ```
    /// use ddim::Trajectory;
    ///
    /// let below = Trajectory::trailing(400, 4)?.widened(1000)?;
    /// assert_eq!((below.levels(), below.total()), (&[100, 200, 300, 400][..], 1000));
    /// # Ok::<(), ddim::Error>(())
    /// ```
    pub fn widened(self, total: usize) -> Result<Self, Error> {
        check_total(total)?;
        if total < self.total {
            return Err(Error::new(ErrorKind::Trajectory, format!("a trajectory over {total} timesteps: expected {} or more", self.total)));
        }
        Ok(Self { total, ..self })
    }

    /// Creates a trajectory from explicit code timesteps (0..T-1) in the order in which a sampler visits them: strictly descending.
    ///
    /// # Errors
    /// Returns an error if T is outside 1..=[`MOST_LEVELS`], the list is empty, or a timestep is T or more, or not below its predecessor.
    pub fn from_timesteps(total: usize, timesteps: &[usize]) -> Result<Self, Error> {
        check_total(total)?;
        let error = |message| Err(Error::new(ErrorKind::Trajectory, message));
        if timesteps.is_empty() {
            return error("an explicit trajectory needs at least one timestep, found none".to_owned());
        }
        if let Some(t) = timesteps.iter().find(|&&t| t >= total) {
            return error(format!("timestep {t}: expected 0 to {}", total - 1));
        }
        if let Some(w) = timesteps.windows(2).find(|w| w[1] >= w[0]) {
            return error(format!("timestep {} after {}: expected strictly descending timesteps", w[1], w[0]));
        }
        Ok(Self { levels: timesteps.iter().rev().map(|t| t + 1).collect(), total })
    }

    /// Returns every level, 1..=T.
    ///
    /// # Errors
    /// Returns an error if T = 0, or T is above [`MOST_LEVELS`].
    pub fn full(total: usize) -> Result<Self, Error> {
        Self::uniform(total, total)
    }

    /// Returns τ_1 < … < τ_S as levels in 1..=T.
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// Returns the code timesteps (0..T-1) in the order in which a sampler visits them: descending.
    pub fn timesteps(&self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
        self.levels.iter().rev().map(|level| level - 1)
    }

    /// Returns (τ_{i-1}, τ_i) for i = 1..=S in ascending order, with τ_0 = 0.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
        (0..self.levels.len()).map(|i| (if i == 0 { 0 } else { self.levels[i - 1] }, self.levels[i]))
    }

    /// Returns S, the number of steps.
    #[allow(clippy::len_without_is_empty)] // a trajectory is never empty
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Returns T of the schedule that this trajectory was made for.
    pub fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(t: &Trajectory) -> Vec<usize> {
        t.timesteps().rev().collect()
    }

    #[test]
    fn the_authors_examples() {
        assert_eq!(codes(&Trajectory::quadratic(1000, 10).unwrap()), [0, 9, 39, 88, 158, 246, 355, 483, 632, 800]);
        assert_eq!(codes(&Trajectory::uniform(1000, 10).unwrap()), (0..10).map(|i| i * 100).collect::<Vec<_>>());
        assert_eq!(Trajectory::uniform(1000, 300).unwrap().len(), 334);
        assert_eq!(Trajectory::uniform(1000, 1000).unwrap(), Trajectory::full(1000).unwrap());
        // Appendix D.2 asks for a last level close to T.
        assert_eq!(*Trajectory::quadratic_full(1000, 50).unwrap().levels().last().unwrap(), 1000);
        assert_eq!(Trajectory::quadratic_full(1000, 10).unwrap().levels(), [10, 40, 90, 160, 250, 360, 490, 640, 810, 1000]);
    }

    #[test]
    fn diffusers_examples() {
        assert_eq!(codes(&Trajectory::leading(1000, 4, 1).unwrap()), [1, 251, 501, 751]);
        assert_eq!(codes(&Trajectory::trailing(1000, 4).unwrap()), [249, 499, 749, 999]);
        assert_eq!(codes(&Trajectory::linspace(1000, 4).unwrap()), [0, 333, 666, 999]);
        // steps_offset 1 at S = T: the last would be T.
        assert_eq!(*Trajectory::leading(1000, 1000, 1).unwrap().levels().last().unwrap(), 1000);
    }

    #[test]
    fn bad_counts_and_lists_are_refused() {
        for steps in [0, 1001] {
            assert!(Trajectory::trailing(1000, steps).unwrap_err().to_string().contains("1 to 1000"));
        }
        for list in [&[][..], &[1, 2], &[5, 5], &[1000], &[900, 500, 600]] {
            assert_eq!(Trajectory::from_timesteps(1000, list).unwrap_err().kind(), ErrorKind::Trajectory, "{list:?}");
        }
        assert_eq!(Trajectory::from_timesteps(1000, &[999, 500, 0]).unwrap().levels(), [1, 501, 1000]);
    }

    #[test]
    fn powers_of_the_level() {
        assert_eq!(Trajectory::power(1000, 10, 1.0).unwrap(), Trajectory::trailing(1000, 10).unwrap());
        assert_eq!(Trajectory::power(1000, 10, 2.0).unwrap(), Trajectory::quadratic_full(1000, 10).unwrap());
        assert_eq!(Trajectory::power(1000, 5, 1.5).unwrap().levels(), [89, 253, 465, 716, 1000]);
        assert_eq!(Trajectory::power(10, 10, 3.0).unwrap().levels(), [1, 2, 3, 5, 7, 10], "duplicates are dropped, and 0 is raised to 1");
    }

    /// Where the nearest levels of so few steps lie is known: σ by its formula, and no other level nearer.
    #[test]
    fn even_in_log_snr_and_in_powers_of_sigma() {
        for zero in [false, true] {
            let schedule = NoiseSchedule::ddpm();
            let schedule = if zero { schedule.rescale_zero_terminal_snr().unwrap() } else { schedule };
            let log_sigma = |t: usize| 0.5 * ((1.0 - schedule.alpha_bar(t)) / schedule.alpha_bar(t)).ln();
            let (top, steps) = if zero { (999, 11) } else { (1000, 10) };
            let (high, low) = (log_sigma(top), log_sigma(1));
            let lu = (0..10).map(|i| high + f64::from(i) / 9.0 * (low - high)).collect::<Vec<_>>();
            let ends = [high, low].map(|log| (log / 7.0).exp());
            let karras = (0..10).map(|i| 7.0 * (ends[0] + f64::from(i) / 9.0 * (ends[1] - ends[0])).ln()).collect::<Vec<_>>();
            for (found, goals) in [(Trajectory::log_snr(&schedule, steps), lu), (Trajectory::karras(&schedule, steps, 7.0), karras)] {
                let off = |level: usize, goal: f64| (log_sigma(level) - goal).abs();
                let nearest = |goal: &f64| (1..=top).min_by(|a, b| off(*a, *goal).total_cmp(&off(*b, *goal))).unwrap();
                let mut expected: Vec<usize> = zero.then_some(1000).into_iter().chain(goals.iter().map(nearest)).collect();
                expected.dedup();
                expected.reverse();
                assert_eq!(found.unwrap().levels(), expected);
            }
        }
        let one = NoiseSchedule::ddpm();
        assert_eq!(Trajectory::log_snr(&one, 1).unwrap().levels(), [1000]);
        assert_eq!(Trajectory::karras(&one, 1000, 7.0).unwrap().levels()[0], 1);
        for rho in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Trajectory::karras(&one, 5, rho).unwrap_err().kind(), ErrorKind::Trajectory);
            assert_eq!(Trajectory::power(1000, 5, rho).unwrap_err().kind(), ErrorKind::Trajectory);
        }
    }

    proptest! {
        #[test]
        fn every_spacing_is_strictly_increasing_within_the_levels(total in 1usize..2000, share in 0.0f64..=1.0, offset in 0usize..3) {
            let steps = ((total as f64 * share) as usize).clamp(1, total);
            for t in [
                Trajectory::uniform(total, steps), Trajectory::quadratic(total, steps), Trajectory::quadratic_full(total, steps),
                Trajectory::leading(total, steps, offset), Trajectory::trailing(total, steps), Trajectory::linspace(total, steps),
            ] {
                let t = t.unwrap();
                prop_assert!(!t.levels().is_empty());
                prop_assert!(t.levels()[0] >= 1 && *t.levels().last().unwrap() <= total);
                prop_assert!(t.levels().windows(2).all(|w| w[0] < w[1]));
            }
        }
    }
}
