//! Activation functions on their own, and their gradients. SiLU after a group norm needs neither: see [`Normal`](crate::Normal).

use crate::simd::{arch, exp, silu};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// An elementwise activation function. NaN is propagated.
///
/// ```
/// use ddim_kernels::Activation;
///
/// let mut out = [0.0; 3];
/// Activation::Relu.apply(&[-1.0, 0.5, 2.0], &mut out);
/// assert_eq!(out, [0.0, 0.5, 2.0]);
/// Activation::Relu.gradient(&[-1.0, 0.5, 2.0], &[3.0; 3], &mut out);
/// assert_eq!(out, [0.0, 3.0, 3.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e^-x).
    Silu,
    /// x tanh(ln(1 + e^x)).
    Mish,
    /// x Φ(x), where Φ is the standard normal distribution function.
    Gelu,
    /// max(0, x).
    Relu,
}

/// Numbers that a task takes.
const PART: usize = 1 << 12;

impl Activation {
    /// Applies the function to each number.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        let parts = x.par_chunks(PART).zip(out.par_chunks_mut(PART));
        parts.for_each(|(x, out)| arch().dispatch(Each { x, out, f: Function { activation: self, slope: false } }));
    }

    /// Multiplies `dy` by the function's derivative at `x`, number by number.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn gradient(self, x: &[f32], dy: &[f32], out: &mut [f32]) {
        assert!(x.len() == out.len() && dy.len() == out.len());
        let parts = x.par_chunks(PART).zip(dy.par_chunks(PART)).zip(out.par_chunks_mut(PART));
        parts.for_each(|((x, dy), out)| {
            arch().dispatch(Each { x, out, f: Function { activation: self, slope: true } });
            out.iter_mut().zip(dy).for_each(|(out, dy)| *out *= dy);
        });
    }
}

#[derive(Clone, Copy)]
struct Function {
    activation: Activation,
    slope: bool,
}

struct Each<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    f: Function,
}

impl WithSimd for Each<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, out, f } = self;
        let scalar = match (f.activation, f.slope) {
            (Activation::Relu, false) => Some((|x| if x < 0.0 { 0.0 } else { x }) as fn(f32) -> f32),
            (Activation::Relu, true) => Some(relu_slope as fn(f32) -> f32),
            (Activation::Gelu, false) => Some((|x| x * phi(x)) as fn(f32) -> f32),
            (Activation::Gelu, true) => Some(gelu_slope as fn(f32) -> f32),
            _ => None,
        };
        if let Some(function) = scalar {
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = function(x));
            return;
        }
        let (xs, rest) = S::as_simd_f32s(x);
        let (outs, out_rest) = S::as_mut_simd_f32s(out);
        for (out, &x) in outs.iter_mut().zip(xs) {
            *out = vector(simd, x, f);
        }
        if !rest.is_empty() {
            simd.partial_store_f32s(out_rest, vector(simd, simd.partial_load_f32s(rest), f));
        }
    }
}

#[inline(always)]
fn vector<S: Simd>(simd: S, x: S::f32s, f: Function) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let mish = f.activation == Activation::Mish;
    if !mish && !f.slope {
        return silu(simd, x);
    }
    let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))));
    if !mish {
        return silu_slope(simd, x, sigmoid);
    }
    // tanh(ln(1 + e)) = w / (w + 2) with w = e (e + 2); beyond 20 it is 1 in f32. What min makes of NaN depends on the processor.
    let limit = simd.splat_f32s(20.0);
    let e = exp(simd, simd.select_f32s(simd.greater_than_f32s(x, limit), limit, x));
    let w = simd.mul_f32s(e, simd.add_f32s(e, simd.splat_f32s(2.0)));
    let t = simd.div_f32s(w, simd.add_f32s(w, simd.splat_f32s(2.0)));
    if !f.slope {
        return simd.mul_f32s(x, t);
    }
    // t + x σ(x) (1 - t²), where 1 - t² = 4 (w + 1) / (w + 2)².
    let w2 = simd.add_f32s(w, simd.splat_f32s(2.0));
    let rest = simd.div_f32s(simd.mul_f32s(simd.splat_f32s(4.0), simd.add_f32s(w, one)), simd.mul_f32s(w2, w2));
    simd.mul_add_e_f32s(simd.mul_f32s(x, sigmoid), rest, t)
}

/// d/dx x σ(x) = σ (1 + x (1 - σ)).
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(simd: S, x: S::f32s, sigmoid: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.mul_f32s(sigmoid, simd.mul_add_e_f32s(x, simd.sub_f32s(one, sigmoid), one))
}

fn relu_slope(x: f32) -> f32 {
    if x.is_nan() { x } else { f32::from(u8::from(x > 0.0)) }
}

fn phi(x: f32) -> f32 {
    0.5 * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2)
}

fn gelu_slope(x: f32) -> f32 {
    // The density of the normal distribution.
    let density = (-0.5 * x * x).exp() * 0.398_942_3;
    phi(x) + x * density
}

#[cfg(test)]
mod tests {
    use super::Activation;

    /// Against f64, and the slopes against differences of f64.
    #[test]
    fn values_and_slopes() {
        let erf = |x: f64| libm::erf(x);
        let of = |activation: Activation, x: f64| match activation {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Mish => x * x.exp().ln_1p().tanh(),
            Activation::Gelu => x * 0.5 * (1.0 + erf(x / 2f64.sqrt())),
            Activation::Relu => x.max(0.0),
        };
        let x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.05 + 0.01).chain([-80.0, 60.0]).collect();
        for activation in [Activation::Silu, Activation::Mish, Activation::Gelu, Activation::Relu] {
            let (mut y, mut slopes) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            activation.apply(&x, &mut y);
            activation.gradient(&x, &vec![2.0; x.len()], &mut slopes);
            for ((&x, &y), &slope) in x.iter().zip(&y).zip(&slopes) {
                let x = f64::from(x);
                let (value, h) = (of(activation, x), 1e-5);
                let difference = (of(activation, x + h) - of(activation, x - h)) / (2.0 * h);
                assert!((f64::from(y) - value).abs() < 4e-7 * value.abs().max(1.0), "{activation:?} {x}: {y} {value}");
                assert!((f64::from(slope) / 2.0 - difference).abs() < 1e-6, "{activation:?} {x}: {slope} {difference}");
            }
            let mut y = [0.0];
            activation.apply(&[f32::NAN], &mut y);
            assert!(y[0].is_nan(), "{activation:?}");
            activation.gradient(&[f32::NAN], &[1.0], &mut y);
            assert!(y[0].is_nan(), "{activation:?}");
        }
    }
}
