//! The features of timesteps and of other numbers that come with images.

use crate::condition::Condition;
use crate::graph::{Features, Index};

/// The features of every image, a row each; `table` gives the numbers of a parameter.
pub(crate) fn write_features<'a, 'o>(
    features: &Features,
    index: Index,
    timesteps: &[f32],
    condition: &Condition,
    table: impl Fn(usize) -> &'a [f32],
    out: impl Iterator<Item = &'o mut [f32]>,
) {
    match *features {
        Features::Table(id) => out.zip(index.rows(timesteps, condition)).for_each(|(out, rows)| mix(table(id), &rows, out)),
        _ => out.zip(&*index.numbers(timesteps, condition)).for_each(|(out, &number)| write_waves(features, number, &table, out)),
    }
}

/// Σ weight · row of a table.
fn mix(table: &[f32], rows: &[(usize, f64)], out: &mut [f32]) {
    let width = out.len();
    for (i, out) in out.iter_mut().enumerate() {
        // From the first term on, not from 0: one row of weight 1 keeps its bits, a negative zero among them.
        let terms = rows.iter().map(|(row, weight)| weight * f64::from(table[row * width + i]));
        *out = terms.reduce(|sum, term| sum + term).unwrap_or(0.0) as f32;
    }
}

/// Sines and cosines of a number.
// Angles round as PyTorch's f32 does, because at 1000 radians one rounding is 6e-5; the functions themselves are then evaluated in f64.
fn write_waves<'a>(features: &Features, number: f32, table: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    match *features {
        Features::Table(_) => unreachable!("rows of a table are mixed"),
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
