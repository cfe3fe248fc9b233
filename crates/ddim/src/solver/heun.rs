//! Heun's method in σ (arXiv 2206.00364, algorithm 1 without its noise).

use crate::step::Step;

/// The largest weight of a second evaluation. It grows with the σ that a step begins at, while ε changes by less the larger that is: from the 20,000 that a cosine's
/// betas begin with, what should correct the first of ten steps makes noise of the images.
const MOST: f64 = 3.0;

/// The weight of (ε at the end of the step - ε at its start): half of each counts. None where there is no second evaluation: at the image the network
/// has no level, and from ᾱ = 0, or nearly 0, σ has too far to go.
pub(super) fn weight(step: &Step) -> Option<f64> {
    let weight = (step.next > 0 && step.alpha_bar > 0.0).then(|| 0.5 * step.weight_of_epsilon());
    weight.filter(|weight| weight.abs() <= MOST)
}
