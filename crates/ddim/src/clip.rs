//! Clipping and thresholding of the predicted image.

use crate::error::{Error, ErrorKind};

/// What is done to the predicted image f_θ(x_t) before it is used.
///
/// ```
/// use ddim::Clip;
///
/// assert!(Clip::Dynamic { ratio: 0.995, max: 1.5 }.check().is_ok());
/// assert_eq!(Clip::Range(0.0).check().unwrap_err().to_string(), "clip range 0: expected a number above 0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// No clipping: the authors' choice for DDIM.
    None,
    /// Clamping to [-r, r]: diffusers' `clip_sample` with `clip_sample_range` r.
    Range(f64),
    /// Dynamic thresholding (Imagen, arXiv 2205.11487): f_θ is clamped to ±s and divided by s, where s is the `ratio` quantile of the
    /// image's |f_θ|, itself clamped to [1, `max`].
    Dynamic {
        /// diffusers' `dynamic_thresholding_ratio`, in [0, 1].
        ratio: f64,
        /// diffusers' `sample_max_value`, at least 1.
        max: f64,
    },
}

impl Clip {
    /// Checks that the parameters are valid.
    ///
    /// # Errors
    /// [`ErrorKind::Clip`] if a parameter is out of range or not a number.
    pub fn check(&self) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Clip, message));
        match *self {
            Self::Range(r) if r.is_nan() || r <= 0.0 => error(format!("clip range {r}: expected a number above 0")),
            Self::Dynamic { ratio, .. } if !(0.0..=1.0).contains(&ratio) => {
                error(format!("dynamic thresholding ratio {ratio}: expected a number from 0 to 1"))
            }
            Self::Dynamic { max, .. } if max.is_nan() || max < 1.0 => error(format!("sample max value {max}: expected a number from 1")),
            _ => Ok(()),
        }
    }

    /// Applies to f_θ of one image.
    pub(crate) fn apply(&self, x_0: &mut [f64], scratch: &mut Vec<f64>) {
        match *self {
            Self::None => {}
            Self::Range(r) => x_0.iter_mut().for_each(|x| *x = x.clamp(-r, r)),
            Self::Dynamic { ratio, max } => {
                scratch.clear();
                scratch.extend(x_0.iter().map(|x| x.abs()));
                let s = quantile(scratch, ratio).clamp(1.0, max);
                x_0.iter_mut().for_each(|x| *x = x.clamp(-s, s) / s);
            }
        }
    }
}

/// The linearly interpolated quantile, as `torch.quantile`. Reorders `values`.
fn quantile(values: &mut [f64], ratio: f64) -> f64 {
    let rank = ratio * (values.len() - 1) as f64;
    let below = rank.floor() as usize;
    let (_, &mut low, rest) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (rank - below as f64)
}
