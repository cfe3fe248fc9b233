//! Adam's update of one parameter, and other operations of training on long slices.

use crate::simd::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// One step of Adam on every number: with g = scale · gradient, m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g² and value ← kept · value - step_size · m /
/// (root_scale · √v + ε).
///
/// ```
/// use ddim_kernels::Adam;
///
/// // The first step (t = 1) goes α along the gradient's sign.
/// let (alpha, betas) = (0.25, [0.9, 0.999]);
/// let (step_size, root_scale) = (alpha / (1.0 - betas[0]), (1.0f64 - betas[1]).sqrt().recip());
/// let adam = Adam { scale: 1.0, betas, step_size, root_scale, epsilon: 1e-8, kept: 1.0 };
/// let (mut values, mut first, mut second) = ([1.0f32, 1.0], [0.0; 2], [0.0; 2]);
/// adam.apply(&mut values, &[3.0, -0.5], [&mut first, &mut second], Vec::new());
/// assert!((values[0] - 0.75).abs() < 1e-5 && (values[1] - 1.25).abs() < 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Factor of the gradient.
    pub scale: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// α / (1 - β₁ᵗ).
    pub step_size: f64,
    /// 1 / √(1 - β₂ᵗ).
    pub root_scale: f64,
    /// ε.
    pub epsilon: f64,
    /// 1, or less with weight decay.
    pub kept: f64,
}

/// Numbers that a task takes.
const PART: usize = 1 << 14;

impl Adam {
    /// Updates all numbers by one step. Each average moves towards the new values by its share, as [`approach`] does, while they are in cache.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(&self, values: &mut [f32], gradient: &[f32], [first, second]: [&mut [f32]; 2], averages: Vec<(&mut [f32], f64)>) {
        let len = values.len();
        assert!(gradient.len() == len && first.len() == len && second.len() == len && averages.iter().all(|(a, _)| a.len() == len));
        let parts = values.chunks_mut(PART).zip(gradient.chunks(PART)).zip(first.chunks_mut(PART)).zip(second.chunks_mut(PART));
        let mut tasks: Vec<Update<'_>> = parts
            .map(|(((values, gradient), first), second)| Update { rule: *self, values, gradient, first, second, averages: Vec::new() })
            .collect();
        for (average, share) in averages {
            tasks.iter_mut().zip(average.chunks_mut(PART)).for_each(|(task, part)| task.averages.push((part, share)));
        }
        tasks.into_par_iter().for_each(|task| arch().dispatch(task));
    }
}

struct Update<'a> {
    rule: Adam,
    values: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    averages: Vec<(&'a mut [f32], f64)>,
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Plain arithmetic, which the compiler makes vectors of under the dispatched features.
        let Adam { scale, betas: [b1, b2], step_size, root_scale, epsilon, kept } = self.rule;
        // 1 - 0.999 taken in f32 would be wrong by 1e-5 of itself.
        let [scale, step_size, root_scale, epsilon, kept] = [scale, step_size, root_scale, epsilon, kept].map(|v| v as f32);
        let [b1, b2, rest1, rest2] = [b1, b2, 1.0 - b1, 1.0 - b2].map(|v| v as f32);
        let values = self.values;
        for (((value, &g), m), v) in values.iter_mut().zip(self.gradient).zip(self.first).zip(self.second) {
            let g = g * scale;
            *m = b1 * *m + rest1 * g;
            *v = b2 * *v + rest2 * g * g;
            *value = kept * *value - step_size * *m / (v.sqrt() * root_scale + epsilon);
        }
        for (average, share) in self.averages {
            toward(average, values, share as f32);
        }
    }
}

/// Updates an exponential moving average: average ← average + share · (x - average).
///
/// # Panics
/// If the slices differ in length.
pub fn approach(average: &mut [f32], x: &[f32], share: f64) {
    assert_eq!(average.len(), x.len());
    average.par_chunks_mut(PART).zip(x.par_chunks(PART)).for_each(|(average, x)| toward(average, x, share as f32));
}

#[inline(always)]
fn toward(average: &mut [f32], x: &[f32], share: f32) {
    average.iter_mut().zip(x).for_each(|(average, x)| *average += share * (x - *average));
}

/// Σ x², with runs summed in f32 and their sums in f64.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let runs = x.par_chunks(PART).map(|part| arch().dispatch(Squares { part }));
    // In order, whoever computed them.
    runs.collect::<Vec<f64>>().iter().sum()
}

struct Squares<'a> {
    part: &'a [f32],
}

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut total = 0.0;
        for run in self.part.chunks(1024) {
            let (vectors, rest) = S::as_simd_f32s(run);
            let mut sums = simd.splat_f32s(0.0);
            for &v in vectors {
                sums = simd.mul_add_e_f32s(v, v, sums);
            }
            total += f64::from(simd.reduce_sum_f32s(sums)) + rest.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
        }
        total
    }
}
