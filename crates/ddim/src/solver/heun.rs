//! Heun's method in σ (arXiv 2206.00364, algorithm 1 without its noise).

use crate::step::Step;

/// The weight of (ε at the end of the step - ε at its start): half of each counts. None where there is no second evaluation: at the image the network
/// has no level, and from ᾱ = 0 σ has infinitely far to go.
pub(super) fn weight(step: &Step) -> Option<f64> {
    (step.next > 0 && step.alpha_bar > 0.0).then(|| 0.5 * step.weight_of_epsilon())
}
