//! Editing: pixels that stay (inpainting), and jumps back up the trajectory that let the others agree with them (RePaint, arXiv 2201.09865).

use crate::error::{Error, ErrorKind};
use crate::noise::{Batch, Draw};
use crate::real::Real;
use crate::step::Step;

/// Pixels of a batch that are known. After each step they are those of the image at that step's noise; what is drawn around them is conditioned on
/// them because the network sees them.
///
/// ```
/// use ddim::{GaussianDenoiser, Known, NoiseSchedule, Sampler, Sampling, Sigma, Trajectory, noise::Batch};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
/// let sampler = Sampler::new(&schedule, &Trajectory::trailing(1000, 10)?, &Sigma::Eta(0.0))?;
/// let batch = Batch { seed: 7, first: 0 };
/// let known = Known::image(vec![0.25f32, -0.75], vec![1.0, 0.0])?; // the first element is drawn, the second stays
/// let x = Sampling::new(&sampler, &model, batch.latents(2, 1), batch)?.with_known(known)?.finish()?;
/// assert_eq!(x[1], -0.75);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Known<T> {
    /// What stays, at each level where a step arrives, as it is visited; or the image alone.
    path: Vec<Vec<T>>,
    /// 1 where something is drawn, 0 where pixels stay, between the two at soft edges.
    mask: Vec<T>,
}

impl<T: Real> Known<T> {
    /// Pixels of images x_0 ([n, c, h, w]), to which each step adds fresh noise, a draw of q(x_s|x_0). `mask`, of the same shape, is 1 where something is drawn
    /// and 0 where pixels stay; between the two it is their mean.
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`]: a mask of another length, or with numbers outside of 0 to 1.
    pub fn image(x_0: Vec<T>, mask: Vec<T>) -> Result<Self, Error> {
        Self::path(vec![x_0], mask)
    }

    /// Pixels of images that were encoded, at each level as they passed it on their way up: `path` has the images themselves last, and S entries. What stays
    /// is then deterministic, as what is drawn.
    ///
    /// # Errors
    /// As [`image`](Self::image), of each entry.
    pub fn path(path: Vec<Vec<T>>, mask: Vec<T>) -> Result<Self, Error> {
        let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
        if let Some(x) = path.iter().find(|x| x.len() != mask.len()) {
            return error(format!("a mask of {} elements for images of {}: expected as many", mask.len(), x.len()));
        }
        // NaN is in no range.
        if let Some(part) = mask.iter().find(|part| !(0.0..=1.0).contains(&part.to_f64())) {
            return error(format!("{} in a mask: expected 0, where pixels stay, to 1, where they are drawn", part.to_f64()));
        }
        Ok(Self { path, mask })
    }

    /// Whether this goes with a batch of so many elements on a trajectory of so many steps.
    pub(crate) fn check(&self, len: usize, steps: usize) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
        if self.mask.len() != len {
            return error(format!("known pixels of {} elements for a batch of {len}: expected as many", self.mask.len()));
        }
        if self.path.len() != 1 && self.path.len() != steps {
            return error(format!("known pixels at {} levels for {steps} steps: expected as many", self.path.len()));
        }
        Ok(())
    }

    /// Puts them back into `x` after `step`, the `done`-th of the trajectory, counted from 0.
    pub(crate) fn put_back(&self, step: &Step, done: usize, x: &mut [T], (dim, batch, jumps): (usize, Batch, u16)) {
        // The image itself, also where the schedule has the last step arrive at some noise.
        let arrives = if step.next == 0 { 1.0 } else { step.alpha_bar_next };
        let noisy = self.path.len() == 1 && arrives < 1.0;
        let (signal, spread) = if noisy { (arrives.sqrt(), (1.0 - arrives).sqrt()) } else { (1.0, 0.0) };
        let known = self.path.get(done).unwrap_or(&self.path[0]);
        let mut noise = vec![T::from_f64(0.0); dim];
        for (i, (x, (known, mask))) in x.chunks_mut(dim).zip(known.chunks(dim).zip(self.mask.chunks(dim))).enumerate() {
            if noisy {
                batch.key(i, Draw::Known { level: step.next, jumps }).fill(&mut noise);
            }
            for ((x, known), (part, z)) in x.iter_mut().zip(known).zip(mask.iter().zip(&noise)) {
                let (part, stays) = (part.to_f64(), signal * known.to_f64() + spread * z.to_f64());
                // To the bit at both ends.
                if part == 0.0 {
                    *x = T::from_f64(stays);
                } else if part < 1.0 {
                    *x = T::from_f64(part * x.to_f64() + (1.0 - part) * stays);
                }
            }
        }
    }
}

/// RePaint's jumps: every `jump` steps the trajectory is gone back up by as many, `times` - 1 times, so that what is drawn comes to agree with what stays.
///
/// ```
/// use ddim::Resampling;
///
/// let visits = Resampling { jump: 2, times: 2 }.visits(6)?;
/// assert_eq!(visits, [1, 2, 3, 1, 2, 3, 4, 5, 3, 4, 5, 6]); // steps done
/// assert_eq!(Resampling::default().visits(3)?, [1, 2, 3]);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// Steps of a jump, and between two places where jumps are made.
    pub jump: usize,
    /// How often a stretch is gone through, 1 or more: 1 has no jumps.
    pub times: usize,
}

impl Default for Resampling {
    /// Once, without jumps.
    fn default() -> Self {
        Self { jump: 1, times: 1 }
    }
}

impl Resampling {
    /// How many of S steps are done, after each move: one more after a step, `jump` fewer after a [`Sampling::jump`](crate::Sampling::jump). As the authors'
    /// code and diffusers' `RePaintScheduler` have it: the last place to jump from is one step before the end.
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`]: a jump of nothing, no times, or more than 65,535 jumps.
    pub fn visits(&self, steps: usize) -> Result<Vec<usize>, Error> {
        let Self { jump, times } = *self;
        let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
        if jump == 0 || times == 0 {
            return error(format!("jumps of {jump} steps, {times} times: expected 1 or more of each"));
        }
        let is_place = |done: usize| done >= jump && done < steps && (steps - 1 - done).is_multiple_of(jump);
        let places = steps.saturating_sub(jump).div_ceil(jump);
        if places.saturating_mul(times - 1) > usize::from(u16::MAX) {
            return error(format!("{places} jumps, {times} times: expected {} or fewer", u16::MAX));
        }
        let mut visits = Vec::new();
        for done in 1..=steps {
            visits.push(done);
            for _ in 1..if is_place(done) { times } else { 1 } {
                visits.extend(done - jump..=done);
            }
        }
        Ok(visits)
    }
}
