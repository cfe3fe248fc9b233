//! Editing: pixels that are kept (inpainting), and jumps back up the trajectory that harmonise the others with them (RePaint,
//! arXiv 2201.09865).

use crate::error::{Error, ErrorKind};
use crate::noise::{Batch, Draw};
use crate::real::Real;
use crate::step::Step;

/// The known pixels of a batch.
///
/// After each step they are set to those of the image at that step's noise level. The network sees them, so the pixels drawn around them
/// are conditioned on them.
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
    images: Images<T>,
    mask: Vec<T>,
}

/// What stays.
#[derive(Debug, Clone, PartialEq)]
enum Images<T> {
    /// The images, to which noise is added.
    Clean(Vec<T>),
    /// What they were at each level where a step arrives, as these are visited.
    Path(Vec<Vec<T>>),
}

impl<T: Real> Known<T> {
    /// Keeps pixels of images x_0 ([n, c, h, w]), to which each step adds fresh noise, a draw of q(x_s|x_0).
    ///
    /// `mask`, of the same shape, is 1 where pixels are drawn and 0 where they are kept. A pixel with a value in between is kept at the
    /// upper levels and drawn from that share of the levels downwards, so that the edit is weaker there (differential diffusion,
    /// arXiv 2306.00950).
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`] for a mask of another length, or with values outside 0 to 1.
    pub fn image(x_0: Vec<T>, mask: Vec<T>) -> Result<Self, Error> {
        check_mask(&x_0, &mask)?;
        Ok(Self { images: Images::Clean(x_0), mask })
    }

    /// Keeps pixels of images that were encoded, given as their states at each of the S levels where a step arrives: from the second
    /// highest down to the images themselves. The kept pixels are then as deterministic as the drawn ones.
    ///
    /// # Errors
    /// As [`image`](Self::image), for each entry.
    pub fn path(path: Vec<Vec<T>>, mask: Vec<T>) -> Result<Self, Error> {
        path.iter().try_for_each(|x| check_mask(x, &mask))?;
        Ok(Self { images: Images::Path(path), mask })
    }

    /// Whether this goes with a batch of so many elements on a trajectory of so many steps.
    pub(crate) fn check(&self, len: usize, steps: usize) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
        if self.mask.len() != len {
            return error(format!("known pixels of {} elements for a batch of {len}: expected as many", self.mask.len()));
        }
        match &self.images {
            Images::Path(path) if path.len() != steps => {
                error(format!("known pixels at {} levels for {steps} steps: expected as many", path.len()))
            }
            _ => Ok(()),
        }
    }

    /// Of each element whether it stays at a level of a way that starts at `top`.
    pub(crate) fn stays(&self, level: usize, top: usize) -> impl Fn(usize) -> bool {
        let share = level as f64 / top as f64;
        move |i| self.mask[i].to_f64() <= share
    }

    /// Puts them back into `x` after `step`, the `done`-th of a way from `top`, counted from 0.
    pub(crate) fn put_back(&self, (step, done, top): (&Step, usize, usize), x: &mut [T], (dim, batch, jumps): (usize, Batch, u16)) {
        let stays = self.stays(step.next, top);
        // The image itself, also where the schedule has the last step arrive at some noise.
        let arrives = if step.next == 0 { 1.0 } else { step.alpha_bar_next };
        let (signal, spread) = (arrives.sqrt(), (1.0 - arrives).sqrt());
        let mut noise = vec![T::from_f64(0.0); dim];
        for (image, x) in x.chunks_mut(dim).enumerate() {
            let at = image * dim;
            match &self.images {
                Images::Path(path) => {
                    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| stays(at + i)) {
                        *x = path[done][at + i];
                    }
                }
                Images::Clean(x_0) => {
                    if arrives < 1.0 {
                        batch.key(image, Draw::Known { level: step.next, jumps }).fill(&mut noise);
                    }
                    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| stays(at + i)) {
                        *x = T::from_f64(signal * x_0[at + i].to_f64() + spread * noise[i].to_f64());
                    }
                }
            }
        }
    }
}

fn check_mask<T: Real>(x: &[T], mask: &[T]) -> Result<(), Error> {
    let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
    if x.len() != mask.len() {
        return error(format!("a mask of {} elements for images of {}: expected as many", mask.len(), x.len()));
    }
    // NaN is in no range.
    match mask.iter().find(|part| !(0.0..=1.0).contains(&part.to_f64())) {
        Some(part) => error(format!("{} in a mask: expected 0, where pixels stay, to 1, where they are drawn", part.to_f64())),
        None => Ok(()),
    }
}

/// RePaint's jumps: after every `jump` steps, the trajectory goes back up by as many, `times` - 1 times.
///
/// This lets the drawn pixels come to agree with the kept ones.
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
    /// The number of steps of a jump, and the number of steps between two places where jumps are made.
    pub jump: usize,
    /// How often each stretch is traversed, at least 1; 1 means no jumps.
    pub times: usize,
}

impl Default for Resampling {
    /// Returns a single pass without jumps.
    fn default() -> Self {
        Self { jump: 1, times: 1 }
    }
}

impl Resampling {
    /// Returns how many of S steps are done after each move: one more after a step, `jump` fewer after a
    /// [`Sampling::jump`](crate::Sampling::jump). As in the authors' code, the last place to jump from is one step before the end.
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`] if `jump` or `times` is 0, or if there are more than 65,535 jumps.
    pub fn visits(&self, steps: usize) -> Result<Vec<usize>, Error> {
        let Self { jump, times } = *self;
        let error = |message| Err(Error::new(ErrorKind::Inpainting, message));
        if jump == 0 || times == 0 {
            return error(format!("jumps of {jump} steps, {times} times: expected 1 or more of each"));
        }
        let is_place = |done: usize| done >= jump && done < steps && (steps - 1 - done) % jump == 0;
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
