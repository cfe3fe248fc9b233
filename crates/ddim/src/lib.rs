//! Denoising Diffusion Implicit Models ([arXiv 2010.02502](https://arxiv.org/abs/2010.02502)): the paper, and nothing else.
//!
//! One network that predicts noise, trained once with the DDPM objective, serves a whole family of generative processes. This crate
//! holds their mathematics: no framework, no files, no clock.
//!
//! # Conventions
//! * **Levels.** Noise levels are `0..=T`: level 0 is the clean image, ᾱ_0 = 1. The network's *code timestep* of level `t` is
//!   `t - 1`; a [`Denoiser`] receives levels and converts in one place.
//! * **ᾱ** is the cumulative product that the paper writes α.
//! * **Images** are flat slices, one after the other, in the network's scale [-1, 1]; [`Denoiser::dim`] is the number of elements of
//!   one. Coefficients are `f64`; elements are `f32`, or `f64` where exactness is wanted (see [`Real`]).
//! * **Noise is keyed, not streamed** ([`noise`]): sample `i` of a seed is the same whatever the batch it is drawn in.
//!
//! # A whole sampler
//! ```
//! use ddim::{NoiseSchedule, Sampler, Sigma, Trajectory, denoiser::GaussianDenoiser, noise, sample};
//!
//! let schedule = NoiseSchedule::ddpm();                        // linear betas, T = 1000
//! let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5); // the exact ε of data N(0.3, 0.5²)
//! let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 50)?, &Sigma::Eta(0.0))?;
//! let mut x = vec![0f32; 8 * 4];
//! noise::fill_batch(&mut x, 4, 7, 0, noise::LATENT);           // x_T of samples 0..8 of seed 7
//! sample(&sampler, &model, &mut x, 7, 0, |_| {})?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod denoiser;
mod encode;
mod error;
mod interpolate;
pub mod noise;
pub mod objective;
mod pixels;
pub mod process;
mod sample;
mod schedule;
mod trajectory;

pub use denoiser::{Denoiser, Real};
pub use encode::{EncodeStep, Encoder, encode};
pub use error::{Error, ErrorKind};
pub use interpolate::{frames, slerp, slerp_grid};
pub use pixels::{from_byte, to_byte};
pub use process::Prediction;
pub use sample::{Clip, Observed, Sampler, Sigma, Step, sample};
pub use schedule::{BetaSchedule, MOST_LEVELS, NoiseSchedule};
pub use trajectory::Trajectory;
