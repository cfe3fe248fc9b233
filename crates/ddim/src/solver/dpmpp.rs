//! DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2), and UniPC's predictor, which for B(h) = e^h - 1 is the same.

use crate::step::Step;

/// The weight of (m_{i-1} - m_i), m = f_θ: in x̄ = x/√ᾱ, σ = √((1-ᾱ)/ᾱ), x̄_s = (σ_s/σ_t) x̄_t - expm1(-h) D with D = m_i + (m_i - m_{i-1})/2r,
/// r = h_prev/h. Order 1 without history and into the image.
pub(super) fn weights(steps: &[Step], i: usize, past: usize) -> [f64; 3] {
    let step = &steps[i];
    if past == 0 || step.next == 0 {
        return [0.0; 3];
    }
    [-0.5 * step.weight_of_x_0() * ratio(step, &steps[i - 1]), 0.0, 0.0]
}

/// 1/r = h/h_prev: 0 after a step from ᾱ = 0, and where levels so close precede that their log-SNR is one.
pub(super) fn ratio(step: &Step, before: &Step) -> f64 {
    let before = before.log_snr_gain();
    if before > 0.0 { step.log_snr_gain() / before } else { 0.0 }
}
