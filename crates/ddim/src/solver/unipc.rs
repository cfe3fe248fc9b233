//! UniPC's corrector UniC-2 (arXiv 2302.04867), in f_θ, with B(h) = e^h - 1.

use super::dpmpp::ratio;
use crate::step::Step;

/// What the answer at the end of step i - 1 adds to Eq. 12 of that step: weights of (m_i - m_{i-1}) and (m_{i-2} - m_{i-1}), m = f_θ.
///
/// With z = -h and φ_1 = (e^z - 1)/z, φ_{k+1} = (φ_k - 1/k!)/z, the ρ solve ρ_1 + ρ_2 = φ_2/φ_1 and r ρ_1 + ρ_2 = 2 φ_3/φ_1, where r = -h_prev/h; the step
/// is exact for an f_θ that is quadratic in the log-SNR. With one answer before, ρ_2 = ½, as published.
pub(super) fn correction(steps: &[Step], i: usize, past: usize) -> [f64; 2] {
    let step = &steps[i - 1];
    let weight = step.weight_of_x_0();
    if past < 2 {
        return [0.5 * weight, 0.0];
    }
    let [one, two, three] = phi(-step.log_snr_gain());
    let (first, second) = (two / one, 2.0 * three / one);
    // ρ in q = 1/r, which is 0 after a step from ᾱ = 0.
    let q = -ratio(step, &steps[i - 2]);
    let rho = (first - second) * q / (q - 1.0);
    [weight * (first - rho), weight * rho * q]
}

/// φ_1, φ_2 and φ_3 at z < 0.
fn phi(z: f64) -> [f64; 3] {
    if z > -0.5 {
        // Σ z^j/(j + k)!, where the differences would cancel.
        let series = |k: u32| {
            let (mut term, mut sum) = (1.0 / (1..=k).map(f64::from).product::<f64>(), 0.0);
            for j in 1..=16 {
                sum += term;
                term *= z / f64::from(j + k);
            }
            sum
        };
        return [series(1), series(2), series(3)];
    }
    let one = z.exp_m1() / z;
    let two = (one - 1.0) / z;
    [one, two, (two - 0.5) / z]
}

#[cfg(test)]
mod tests {
    use super::phi;

    #[test]
    fn phi_is_its_series_and_its_closed_form() {
        // Where the two meet, and far away.
        let (left, right) = (phi(-0.5), phi(-0.5 + 1e-12));
        assert!(left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-11), "{left:?} {right:?}");
        assert!(phi(-1e-9).iter().zip([1.0, 0.5, 1.0 / 6.0]).all(|(a, b)| (a - b).abs() < 1e-9));
        assert!((phi(-40.0)[0] - 1.0 / 40.0).abs() < 1e-15);
    }
}
