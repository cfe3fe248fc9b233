//! Heun's method in σ (arXiv 2206.00364, algorithm 1 without its noise).

use crate::step::Step;

/// The largest weight of a second evaluation: of a step over which σ falls to a fifth. ε changes least where σ is large, so that the mean of both ends says
/// less than its start where σ falls further: with a cosine's betas, whose first σ is 20,000, the images of ten steps are noise.
const MOST: f64 = 2.0;

/// The weight of (ε at the end of the step - ε at its start): half of each counts. None where there is no second evaluation: at the image the network
/// has no level, and from ᾱ = 0, or nearly 0, σ has too far to go.
pub(super) fn weight(step: &Step) -> Option<f64> {
    let weight = (step.next > 0 && step.alpha_bar > 0.0).then(|| 0.5 * step.weight_of_epsilon());
    weight.filter(|weight| weight.abs() <= MOST)
}
