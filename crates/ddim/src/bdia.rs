//! Bi-directional integration approximation (BDIA, arXiv 2307.10829): ODE steps that can be reversed exactly.

use crate::batch::{batch_len, check_finite};
use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::NoiseSchedule;
use crate::trajectory::Trajectory;

/// The trajectory that BDIA with γ = 1 follows, in both directions.
///
/// Let Δ(t→u|x) = √ᾱ_u f_θ(x) + √(1-ᾱ_u) ε_θ(x) - x be DDIM's step from level t to u at x. The states at three neighbouring levels
/// s < t < u then satisfy x_s = x_u - Δ(t→u|x_t) + Δ(t→s|x_t). In either direction this needs the network only at x_t: one evaluation takes
/// the pair (x_s, x_t) to x_u, or (x_t, x_u) to x_s. Encoding therefore yields a pair, and decoding needs both halves.
///
/// States and differences are rounded to multiples of 2⁻²⁰, which makes their sums exact as long as |x| < 16: an image that is encoded and
/// then decoded comes back bit for bit, apart from that first rounding (5e-7), for any number of steps. The latent differs from that of
/// [`Encoding`](crate::Encoding), and if it is modified, the two halves may drift apart during decoding. BDIA is the cheapest choice for a
/// round trip alone; for a latent to work with, use [`Inversion::Anderson`](crate::Inversion::Anderson).
#[derive(Debug, Clone, PartialEq)]
pub struct Bdia {
    /// Levels 0, τ_1 … τ_S, each with its ᾱ.
    points: Vec<(usize, f64)>,
}

/// Images at two neighbouring levels of a trajectory, [n, c, h, w] each.
#[derive(Debug, Clone, PartialEq)]
pub struct BdiaPair<T = f32> {
    /// The state at the lower level: τ_{S-1} after encoding, the image after decoding.
    pub lower: Vec<T>,
    /// The state at the upper level: x_T after encoding, τ_1 after decoding.
    pub upper: Vec<T>,
}

impl Bdia {
    /// Creates a `Bdia` over the levels of `trajectory`.
    ///
    /// # Errors
    /// Returns an error if the trajectory was made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Self, Error> {
        trajectory.check_schedule(schedule)?;
        let first = std::iter::once((0, schedule.arrival_alpha_bar(0)));
        Ok(Self { points: first.chain(trajectory.levels().iter().map(|&level| (level, schedule.alpha_bar(level)))).collect() })
    }

    /// S of the trajectory.
    fn last(&self) -> usize {
        self.points.len() - 1
    }
}

/// A batch on its way up or down, advanced one [`step`](Self::step) at a time. Nothing is clipped.
///
/// ```
/// use ddim::{Bdia, BdiaRun, GaussianDenoiser, NoiseSchedule, Trajectory};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
/// let bdia = Bdia::new(&schedule, &Trajectory::trailing(1000, 10)?)?;
/// let image = vec![0.25f32, -0.5];
/// let latents = BdiaRun::encode(&bdia, &model, image.clone(), 0)?.finish()?;
/// let again = BdiaRun::decode(&bdia, &model, latents, 0)?.finish()?.lower;
/// assert_eq!(again, image);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BdiaRun<D, T = f32> {
    bdia: Bdia,
    denoiser: D,
    first: u64,
    pair: BdiaPair<T>,
    output: Vec<T>,
    up: bool,
    /// Whether both states of the pair exist; before, the one that was given is in both.
    whole: bool,
    /// Where the upper state is among the levels.
    upper: usize,
    done: usize,
    total: usize,
}

/// Exact sums need numbers on a grid: 2⁻²⁰ leaves f32 numbers up to 16.
const GRID: f64 = (1u64 << 20) as f64;

fn on_grid(x: f64) -> f64 {
    (x * GRID).round_ties_even() / GRID
}

impl<T: Real, D: Denoiser<T>> BdiaRun<D, T> {
    fn new(bdia: &Bdia, denoiser: D, mut pair: BdiaPair<T>, first: u64, up: bool, whole: bool) -> Result<Self, D::Error> {
        let (n, dim) = (batch_len(pair.upper.len(), denoiser.dim())?, denoiser.dim());
        if pair.lower.len() != pair.upper.len() {
            let message = format!("a pair of {} and {} elements: expected equal numbers", pair.lower.len(), pair.upper.len());
            return Err(Error::new(ErrorKind::Batch, message).into());
        }
        let steps = bdia.last();
        // Where the network is asked: at the two ends only by a run that starts there alone.
        let asked = if whole || up { 1..steps } else { 1..steps + 1 };
        denoiser.prediction().check_at(bdia.points[asked].iter().copied())?;
        for x in [&mut pair.lower, &mut pair.upper] {
            check_finite(if up { "the image" } else { "the latent" }, x, dim, first, None)?;
            x.iter_mut().for_each(|x| *x = T::from_f64(on_grid(x.to_f64())));
        }
        let total = steps - usize::from(whole);
        let done = if n == 0 { total } else { 0 };
        let output = vec![T::from_f64(0.0); pair.upper.len()];
        Ok(Self { bdia: bdia.clone(), denoiser, first, pair, output, up, whole, upper: if up { 0 } else { steps }, done, total })
    }

    /// Starts encoding images x_0 ([n, c, h, w], scale [-1, 1], any n), towards the pair at (τ_{S-1}, τ_S). This takes S evaluations, the
    /// first of which is Eq. 13. `first` is the number that error messages give the first image.
    ///
    /// # Errors
    /// [`ErrorKind::Batch`] if the batch is not a whole number of images or has an element that is not finite. [`ErrorKind::Prediction`]
    /// for ε-prediction if the network would be evaluated at a level with ᾱ = 0.
    pub fn encode(bdia: &Bdia, denoiser: D, images: Vec<T>, first: u64) -> Result<Self, D::Error> {
        Self::new(bdia, denoiser, BdiaPair { lower: images.clone(), upper: images }, first, true, false)
    }

    /// Starts decoding a pair at (τ_{S-1}, τ_S), as [`encode`](Self::encode) produces it. This takes S - 1 evaluations.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and for a pair whose halves differ in length.
    pub fn decode(bdia: &Bdia, denoiser: D, pair: BdiaPair<T>, first: u64) -> Result<Self, D::Error> {
        Self::new(bdia, denoiser, pair, first, false, true)
    }

    /// Starts decoding latents x_T alone. This takes S evaluations, the first of which is DDIM's step.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn sample(bdia: &Bdia, denoiser: D, latents: Vec<T>, first: u64) -> Result<Self, D::Error> {
        Self::new(bdia, denoiser, BdiaPair { lower: latents.clone(), upper: latents }, first, false, false)
    }

    /// Returns the number of steps run so far and the total; each step is one evaluation of the network.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.total)
    }

    /// Returns the current pair. Before the first step of [`encode`](Self::encode) or [`sample`](Self::sample), both halves are the input.
    pub fn pair(&self) -> &BdiaPair<T> {
        &self.pair
    }

    /// Returns the current pair, consuming the run.
    pub fn into_pair(self) -> BdiaPair<T> {
        self.pair
    }

    /// Runs one step, which is one evaluation of the network. Returns the level of the new state, or `None` if all steps have run.
    ///
    /// # Errors
    /// Returns the denoiser's errors, and [`ErrorKind::Batch`] if a prediction, or a state computed from it, is not finite. The batch is
    /// unusable after an error.
    pub fn step(&mut self) -> Result<Option<usize>, D::Error> {
        if self.done == self.total {
            return Ok(None);
        }
        let Self { bdia, denoiser, first, pair, output, up, whole, upper, .. } = self;
        let (dim, prediction) = (denoiser.dim(), denoiser.prediction());
        let points = &bdia.points;
        let BdiaPair { lower, upper: above } = pair;
        let arrives = match (*up, *whole) {
            (true, _) => *upper + 1,
            (false, true) => *upper - 2,
            (false, false) => *upper - 1,
        };
        if !*whole {
            // DDIM's step down, or Eq. 13 upwards, which tells the network the level where it arrives. One state stays as it is.
            let (from, told) = if *up { (points[0], points[1]) } else { (points[*upper], points[*upper]) };
            let x = if *up { &mut *above } else { &mut *lower };
            predict_at(denoiser, x, told.0, *first, output)?;
            for (x, output) in x.iter_mut().zip(&*output) {
                let (mut f, epsilon) = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), told.1);
                if *up {
                    f = Prediction::Epsilon.x0_and_epsilon(epsilon, x.to_f64(), from.1).0;
                }
                *x = T::from_f64(on_grid(points[arrives].1.sqrt() * f + (1.0 - points[arrives].1).sqrt() * epsilon));
            }
            *whole = true;
            *upper = arrives.max(*upper);
        } else {
            // The state in the middle is the newer of the two; the older makes room for the next.
            let middle = if *up { *upper } else { *upper - 1 };
            let (low, high) = (points[middle - 1].1, points[middle + 1].1);
            let (x, older) = if *up { (&*above, &mut *lower) } else { (&*lower, &mut *above) };
            predict_at(denoiser, x, points[middle].0, *first, output)?;
            for ((older, x), output) in older.iter_mut().zip(x).zip(&*output) {
                let (f, epsilon) = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), points[middle].1);
                // x_s - x_u = Δ(t→s|x_t) - Δ(t→u|x_t)
                let down = on_grid((low.sqrt() - high.sqrt()) * f + ((1.0 - low).sqrt() - (1.0 - high).sqrt()) * epsilon);
                *older = T::from_f64(if *up { older.to_f64() - down } else { older.to_f64() + down });
            }
            std::mem::swap(lower, above);
            *upper = if *up { *upper + 1 } else { *upper - 1 };
        }
        for x in [&*lower, &*above] {
            check_finite("x after the step", x, dim, *first, Some(points[arrives.max(1)].0))?;
        }
        self.done += 1;
        Ok(Some(self.bdia.points[arrives].0))
    }

    /// Runs the remaining steps and returns the pair.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<BdiaPair<T>, D::Error> {
        while self.step()?.is_some() {}
        Ok(self.pair)
    }
}
