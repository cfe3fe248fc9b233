//! One step of Eq. 12.

/// One step of Eq. 12, from level `level` down to `next`.
///
/// ```
/// use ddim::{NoiseSchedule, Sampler, Sigma, Trajectory};
///
/// let sampler = Sampler::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 10)?, &Sigma::Eta(0.0))?;
/// let last = sampler.steps()[9];
/// assert_eq!((last.level, last.next), (1, 0));
/// assert_eq!(last.apply(0.25, 0.7, 0.0), 0.25); // of DDIM's last step, f_θ remains
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The level that the step leaves, τ_i; the network's code timestep is one less.
    pub level: usize,
    /// The level that it arrives at, τ_{i-1}; 0 is the image.
    pub next: usize,
    /// ᾱ of `level`.
    pub alpha_bar: f64,
    /// ᾱ of `next`.
    pub alpha_bar_next: f64,
    /// The coefficient of ε_θ, √(1-ᾱ_next-σ²), where σ is σ(1) for [`Sigma::Hat`](crate::Sigma::Hat).
    pub direction: f64,
    /// The standard deviation of the fresh noise.
    pub sigma: f64,
}

impl Step {
    /// Applies Eq. 12 to one element: √ᾱ_next · `x_0` + √(1-ᾱ_next-σ²) · `epsilon` + σ · `noise`, where `x_0` is f_θ(x_t), `epsilon` is
    /// ε_θ(x_t), and `noise` is a draw from N(0, 1), which is ignored if σ is 0.
    pub fn apply(&self, x_0: f64, epsilon: f64, noise: f64) -> f64 {
        let mean = self.alpha_bar_next.sqrt() * x_0 + self.direction * epsilon;
        if self.sigma > 0.0 { mean + self.sigma * noise } else { mean }
    }

    /// h = λ_next - λ_level, λ = ½ ln(ᾱ/(1-ᾱ)): infinite from ᾱ = 0 and into ᾱ = 1.
    pub(crate) fn log_snr_gain(&self) -> f64 {
        let (from, to) = (self.alpha_bar, self.alpha_bar_next);
        0.5 * (to * (1.0 - from) / ((1.0 - to) * from)).ln()
    }

    /// What Eq. 12 has f_θ count where x_t is given, so that ε is (x_t - √ᾱ f_θ)/√(1-ᾱ); -√ᾱ_next expm1(-h) for σ = 0.
    pub(crate) fn weight_of_x_0(&self) -> f64 {
        self.alpha_bar_next.sqrt() - self.direction * (self.alpha_bar / (1.0 - self.alpha_bar)).sqrt()
    }

    /// What Eq. 12 has ε count where x_t is given, so that f_θ is (x_t - √(1-ᾱ) ε)/√ᾱ. Infinite from ᾱ = 0.
    pub(crate) fn weight_of_epsilon(&self) -> f64 {
        self.direction - (self.alpha_bar_next * (1.0 - self.alpha_bar) / self.alpha_bar).sqrt()
    }
}
