//! iPNDM (arXiv 2202.09778, 2204.13902): Adams-Bashforth on ε, as if the steps were equal.

use crate::step::Step;

/// Weights of (ε_{i-k} - ε_i), k = 1, 2, 3: DDIM's step with Σ c_k ε_{i-k} for ε, in f_θ as well as in the direction.
pub(super) fn weights(steps: &[Step], i: usize, past: usize) -> [f64; 3] {
    // Lowered into the image: where σ falls to 0 in one step, an extrapolation is worth nothing.
    let order = (past + 1).min(steps.len() - i).min(4);
    let c = match order {
        1 => return [0.0; 3],
        2 => [-1.0 / 2.0, 0.0, 0.0],
        3 => [-16.0 / 12.0, 5.0 / 12.0, 0.0],
        _ => [-59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    };
    // The c sum to 1, so that Σ c_k ε_{i-k} = ε_i + Σ c_k (ε_{i-k} - ε_i).
    let weight = steps[i].weight_of_epsilon();
    c.map(|c| weight * c)
}
