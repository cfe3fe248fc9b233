//! Interpolation between latents (appendix D.5): spherical, because latents of N(0, I) lie near a sphere.

use crate::denoiser::Real;
use crate::error::{Error, ErrorKind};

/// Below this sine the great circle between two latents is too short, or not unique, to divide by.
const FLAT: f64 = 1e-6;

/// sin((1-α)θ)/sin θ · a + sin(αθ)/sin θ · b, with θ the angle between `a` and `b` as whole tensors. α = 0 gives `a`, 1 gives `b`.
///
/// Parallel latents are interpolated linearly.
///
/// # Errors
/// Latents of different lengths, one that is zero or not finite, two that point in opposite directions, or an α that is not finite.
pub fn slerp<T: Real>(a: &[T], b: &[T], alpha: f64) -> Result<Vec<T>, Error> {
    let error = |message: String| Err(Error::new(ErrorKind::Batch, message));
    if a.len() != b.len() {
        return error(format!("latents of {} and {} elements: expected the same", a.len(), b.len()));
    }
    if !alpha.is_finite() {
        return error(format!("interpolation at {alpha}: expected a finite number"));
    }
    let dot = |u: &[T], v: &[T]| u.iter().zip(v).map(|(u, v)| u.to_f64() * v.to_f64()).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if !(norms > 0.0 && norms.is_finite()) {
        return error("a latent that is zero or not finite: no angle to interpolate along".to_owned());
    }
    let cosine = (dot(a, b) / norms).clamp(-1.0, 1.0);
    let theta = cosine.acos();
    let (wa, wb) = if theta.sin() > FLAT {
        (((1.0 - alpha) * theta).sin() / theta.sin(), (alpha * theta).sin() / theta.sin())
    } else if cosine > 0.0 {
        (1.0 - alpha, alpha)
    } else {
        return error("latents that point in opposite directions: the great circle between them is not unique".to_owned());
    };
    Ok(a.iter().zip(b).map(|(a, b)| T::from_f64(wa * a.to_f64() + wb * b.to_f64())).collect())
}

/// `count` evenly spaced slerps from `a` to `b`, both included, one after the other. One frame is `a`.
///
/// # Errors
/// As [`slerp`].
pub fn frames<T: Real>(a: &[T], b: &[T], count: usize) -> Result<Vec<T>, Error> {
    let mut out = Vec::with_capacity(a.len() * count);
    for i in 0..count {
        out.extend(slerp(a, b, share(i, count))?);
    }
    Ok(out)
}

/// A grid over four corner latents, `rows` x `cols`, row by row: `corners[0]` to `corners[1]` along the top, `corners[2]` to
/// `corners[3]` along the bottom; slerp within each pair, then across.
///
/// # Errors
/// As [`slerp`].
pub fn slerp_grid<T: Real>(corners: [&[T]; 4], rows: usize, cols: usize) -> Result<Vec<T>, Error> {
    let dim = corners[0].len();
    let top = frames(corners[0], corners[1], cols)?;
    let bottom = frames(corners[2], corners[3], cols)?;
    let mut out = Vec::with_capacity(dim * rows * cols);
    for row in 0..rows {
        for col in 0..cols {
            let at = col * dim..(col + 1) * dim;
            out.extend(slerp(&top[at.clone()], &bottom[at], share(row, rows))?);
        }
    }
    Ok(out)
}

fn share(i: usize, count: usize) -> f64 {
    if count > 1 { i as f64 / (count - 1) as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise;
    use proptest::prelude::*;

    fn latent(seed: u64) -> Vec<f64> {
        let mut x = vec![0.0; 768];
        noise::fill(&mut x, seed, 0, noise::LATENT);
        x
    }

    fn norm(x: &[f64]) -> f64 {
        x.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    proptest! {
        #[test]
        fn slerp_keeps_equal_norms_and_splits_the_angle(seed in 0u64..1000, alpha in 0.0f64..=1.0) {
            let (mut a, mut b) = (latent(seed), latent(seed + 1));
            let (na, nb) = (norm(&a), norm(&b));
            a.iter_mut().for_each(|v| *v /= na);
            b.iter_mut().for_each(|v| *v /= nb);
            let m = slerp(&a, &b, alpha).unwrap();
            let angle = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>().clamp(-1.0, 1.0).acos();
            prop_assert!((norm(&m) - 1.0).abs() < 1e-12);
            prop_assert!((angle(&a, &m) - alpha * angle(&a, &b)).abs() < 1e-6);
        }
    }

    #[test]
    fn ends_are_the_latents() {
        let (a, b) = (latent(1), latent(2));
        for (alpha, end) in [(0.0, &a), (1.0, &b)] {
            assert!(slerp(&a, &b, alpha).unwrap().iter().zip(end).all(|(x, y)| (x - y).abs() < 1e-12));
        }
        assert_eq!(frames(&a, &b, 11).unwrap().len(), 11 * 768);
        assert_eq!(slerp(&a, &a, 0.5).unwrap(), a);
    }

    #[test]
    fn a_grid_has_its_corners() {
        let c: Vec<_> = (0..4).map(latent).collect();
        let g = slerp_grid([&c[0], &c[1], &c[2], &c[3]], 3, 5).unwrap();
        for (cell, corner) in [(0, 0), (4, 1), (10, 2), (14, 3)] {
            assert!(g[cell * 768..(cell + 1) * 768].iter().zip(&c[corner]).all(|(x, y)| (x - y).abs() < 1e-9));
        }
        assert_eq!(slerp_grid([&c[0], &c[1], &c[2], &c[3]], 1, 1).unwrap(), c[0]);
    }

    #[test]
    fn degenerate_latents_are_refused() {
        let a = latent(1);
        let minus: Vec<_> = a.iter().map(|v| -v).collect();
        let message = |r: Result<Vec<f64>, Error>| r.unwrap_err().to_string();
        assert!(message(slerp(&a, &minus, 0.5)).contains("opposite"));
        assert!(message(slerp(&a, &vec![0.0; 768], 0.5)).contains("zero"));
        assert!(message(slerp(&a, &a[1..], 0.5)).contains("767"));
        assert!(message(slerp(&a, &latent(2), f64::NAN)).contains("NaN"));
    }
}
