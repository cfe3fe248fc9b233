//! The features of timesteps and of what else comes as a number.

use crate::graph::Features;

/// A number's features; `table` gives the numbers of a parameter.
// Angles round as PyTorch's f32 does, because at 1000 radians one rounding is 6e-5; the functions themselves are then evaluated in f64.
pub(crate) fn write_features<'a>(features: &Features, number: f32, table: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    match *features {
        Features::Table(id) => out.copy_from_slice(&table(id)[number as usize * out.len()..][..out.len()]),
        Features::Sinusoid { flip_sin_to_cos, freq_shift } => {
            let half = out.len() / 2;
            let angle = |i: usize| {
                let exponent = -(1e4f64.ln()) as f32 * i as f32 / (half as f64 - freq_shift) as f32;
                f64::from(number * f64::from(exponent).exp() as f32)
            };
            out.fill(0.0);
            let (first, second) = out.split_at_mut(half);
            let (sines, cosines) = if flip_sin_to_cos { (second, first) } else { (first, second) };
            sines.iter_mut().take(half).enumerate().for_each(|(i, out)| *out = angle(i).sin() as f32);
            cosines.iter_mut().take(half).enumerate().for_each(|(i, out)| *out = angle(i).cos() as f32);
        }
        Features::Fourier(id) => {
            let weight = table(id);
            let angle = |w: &f32| f64::from((number as f64).ln() as f32 * w * 2.0 * std::f32::consts::PI);
            let (sines, cosines) = out.split_at_mut(weight.len());
            sines.iter_mut().zip(weight).for_each(|(out, w)| *out = angle(w).sin() as f32);
            cosines.iter_mut().zip(weight).for_each(|(out, w)| *out = angle(w).cos() as f32);
        }
    }
}
