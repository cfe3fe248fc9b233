//! Interpolation between latents (appendix D.5): spherical, because latents of N(0, I) lie close to a sphere.

use crate::error::{Error, ErrorKind};
use crate::real::Real;

/// Below this sine the great circle between two latents is too short, or not unique, to divide by.
const FLAT: f64 = 1e-6;

/// Interpolates spherically: sin((1-α)θ)/sin θ · a + sin(αθ)/sin θ · b, with θ the angle between `a` and `b` as whole tensors.
///
/// α = 0 gives `a`, 1 gives `b`. Parallel latents are interpolated linearly.
///
/// # Errors
/// Returns an error if the latents differ in length, if one is zero or not finite, if they point in opposite directions, or if α is not
/// finite.
///
/// ```
/// let half = ddim::slerp(&[1.0f64, 0.0], &[0.0, 1.0], 0.5)?;
/// assert!(half.iter().all(|x| (x - 0.5f64.sqrt()).abs() < 1e-12)); // as long as both
/// # Ok::<(), ddim::Error>(())
/// ```
pub fn slerp<T: Real>(a: &[T], b: &[T], alpha: f64) -> Result<Vec<T>, Error> {
    if !alpha.is_finite() {
        return error(format!("interpolation at {alpha}: expected a finite number"));
    }
    Ok(at(a, b, angle(a, b)?, alpha).collect())
}

fn error<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(ErrorKind::Batch, message))
}

/// θ, or what keeps two latents from having a great circle.
fn angle<T: Real>(a: &[T], b: &[T]) -> Result<f64, Error> {
    if a.len() != b.len() {
        return error(format!("latents of {} and {} elements: expected the same", a.len(), b.len()));
    }
    let dot = |u: &[T], v: &[T]| u.iter().zip(v).map(|(u, v)| u.to_f64() * v.to_f64()).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if !(norms > 0.0 && norms.is_finite()) {
        return error("a latent that is zero or not finite: no angle to interpolate along");
    }
    let theta = (dot(a, b) / norms).clamp(-1.0, 1.0).acos();
    if theta > 1.0 && theta.sin() <= FLAT {
        return error("latents that point in opposite directions: the great circle between them is not unique");
    }
    Ok(theta)
}

/// The latent at a share `alpha` of the way, for an angle that [`angle`] found.
fn at<'a, T: Real>(a: &'a [T], b: &'a [T], theta: f64, alpha: f64) -> impl Iterator<Item = T> + 'a {
    let (wa, wb) = if theta.sin() > FLAT {
        (((1.0 - alpha) * theta).sin() / theta.sin(), (alpha * theta).sin() / theta.sin())
    } else {
        (1.0 - alpha, alpha)
    };
    a.iter().zip(b).map(move |(a, b)| T::from_f64(wa * a.to_f64() + wb * b.to_f64()))
}

/// An empty vector with room for `count` latents of `dim` elements.
fn room<T>(dim: usize, count: Option<usize>) -> Result<Vec<T>, Error> {
    let mut out = Vec::new();
    match count.and_then(|count| count.checked_mul(dim)) {
        Some(len) if out.try_reserve_exact(len).is_ok() => Ok(out),
        _ => error(format!("so many latents of {dim} elements do not fit in memory: expected fewer")),
    }
}

/// Returns `count` evenly spaced slerps from `a` to `b`, both included, one after the other. A single frame is `a`.
///
/// # Errors
/// As [`slerp`], and for a `count` that does not fit in memory.
///
/// ```
/// let (a, b) = ([1.0f64, 0.0], [0.0, 1.0]);
/// let frames = ddim::frames(&a, &b, 5)?;
/// assert_eq!(frames.len(), 5 * 2);
/// assert_eq!(frames[..2], a);
/// # Ok::<(), ddim::Error>(())
/// ```
pub fn frames<T: Real>(a: &[T], b: &[T], count: usize) -> Result<Vec<T>, Error> {
    let theta = angle(a, b)?;
    let mut out = room(a.len(), Some(count))?;
    for i in 0..count {
        out.extend(at(a, b, theta, share(i, count)));
    }
    Ok(out)
}

/// Returns a grid of `rows` x `cols` latents spanned by four corners, in row-major order.
///
/// The top row runs from `corners[0]` to `corners[1]`, the bottom row from `corners[2]` to `corners[3]`: slerp within each pair, then
/// across.
///
/// # Errors
/// As [`frames`], for each pair of corners and for what lies between.
///
/// ```
/// use ddim::noise::Batch;
///
/// let latents: Vec<f32> = Batch { seed: 0, first: 0 }.latents(3, 4);
/// let corners = [0, 1, 2, 3].map(|i| &latents[3 * i..][..3]);
/// let grid = ddim::slerp_grid(corners, 4, 5)?;
/// assert_eq!(grid.len(), 4 * 5 * 3);
/// assert_eq!(grid[..3], *corners[0]);
/// # Ok::<(), ddim::Error>(())
/// ```
pub fn slerp_grid<T: Real>(corners: [&[T]; 4], rows: usize, cols: usize) -> Result<Vec<T>, Error> {
    let dim = corners[0].len();
    if let Some(other) = corners.iter().find(|corner| corner.len() != dim) {
        return error(format!("latents of {dim} and {} elements: expected the same", other.len()));
    }
    let mut out = room(dim, rows.checked_mul(cols))?;
    let top = frames(corners[0], corners[1], cols)?;
    let bottom = frames(corners[2], corners[3], cols)?;
    if cols == 0 {
        return Ok(out); // whatever the number of rows
    }
    for row in 0..rows {
        for (top, bottom) in top.chunks_exact(dim).zip(bottom.chunks_exact(dim)) {
            out.extend(slerp(top, bottom, share(row, rows))?);
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
    use crate::noise::Batch;
    use proptest::prelude::*;

    fn latent(seed: u64) -> Vec<f64> {
        Batch { seed, first: 0 }.latents(768, 1)
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
        assert!(message(slerp::<f64>(&[], &[], 0.5)).contains("zero"));
        // Nothing is drawn, and the latents are wrong all the same.
        assert!(message(frames(&a, &a[1..], 0)).contains("767"));
        for count in [usize::MAX, usize::MAX / 768, 1 << 60] {
            assert!(message(frames(&a, &latent(2), count)).contains("memory"));
            assert!(message(slerp_grid([&a, &latent(2), &latent(3), &latent(4)], count, 2)).contains("memory"));
        }
        assert!(slerp_grid([&a, &latent(2), &latent(3), &latent(4)], usize::MAX, 0).unwrap().is_empty());
        let short = &latent(3)[1..];
        assert!(message(slerp_grid([&a, &latent(2), short, short], 2, 2)).contains("767"));
    }
}
