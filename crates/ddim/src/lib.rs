//! Denoising Diffusion Implicit Models ([arXiv 2010.02502](https://arxiv.org/abs/2010.02502)): the paper and nothing else.
//!
//! One network that predicts noise, trained once with the DDPM objective, serves a whole family of generative processes. This crate holds
//! their mathematics: no framework, no files, no clock.
//!
//! # Conventions
//! * **Levels.** Noise levels are `0..=T`: level 0 is the clean image, ᾱ_0 = 1. The network's *code timestep* of level `t` is
//!   `t - 1`; a [`Denoiser`] receives levels and converts in one place.
//! * **ᾱ** is the cumulative product, which the paper writes as α.
//! * **Images** are flat slices, one after the other, in the network's scale [-1, 1]; [`Denoiser::dim`] is the number of elements of one
//!   image. Coefficients are `f64`; elements are `f32`, or `f64` where exactness matters (see [`Real`]).
//! * **Noise is keyed, not streamed** ([`noise`]): sample `i` of a seed is the same in whatever batch it is drawn.
//!
//! # A whole sampler
//! ```
//! use ddim::{GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Trajectory, noise::Batch};
//!
//! let schedule = NoiseSchedule::ddpm();                            // linear betas, T = 1000
//! let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5); // the exact ε of data N(0.3, 0.5²)
//! let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 50)?, &Sigma::Eta(0.0))?;
//! let batch = Batch { seed: 7, first: 0 };                         // images 0, 1, … of seed 7
//! let x: Vec<f32> = Sampling::new(&sampler, &model, batch.latents(4, 8), batch)?.finish()?;
//! # assert_eq!(x.len(), 32);
//! # Ok::<(), ddim::Error>(())
//! ```
//! [`Sampling`] runs one step at a time, and can be stopped, inspected and modified between steps; [`sample`] is the loop around it, with
//! an observer. A [`Solver`] gets more out of fewer steps. [`Encoding`] goes the other way (Eq. 13, or exactly: [`Inversion`], [`Bdia`]).
//! An edit starts from an image instead of noise, at a chosen level ([`NoiseSchedule::truncated`], [`Trajectory::widened`]), and can keep
//! some pixels as they are ([`Known`]). The crate's `examples/` show a custom denoiser and a custom trajectory.

mod batch;
mod bdia;
mod clip;
pub mod denoiser;
mod encode;
mod error;
mod gaussian;
mod history;
mod inpaint;
mod interpolate;
mod inversion;
pub mod noise;
pub mod objective;
mod pixels;
mod prediction;
pub mod process;
mod real;
mod sample;
mod sampler;
mod schedule;
mod sigma;
mod solver;
mod step;
mod trajectory;
mod tune;

pub use bdia::{Bdia, BdiaPair, BdiaRun};
pub use clip::Clip;
pub use denoiser::Denoiser;
pub use encode::{EncodeStep, Encoder, Encoding, encode};
pub use error::{Error, ErrorKind};
pub use gaussian::GaussianDenoiser;
pub use inpaint::{Known, Resampling};
pub use interpolate::{frames, slerp, slerp_grid};
pub use inversion::Inversion;
pub use pixels::{from_byte, to_byte};
pub use prediction::Prediction;
pub use real::Real;
pub use sample::{Sampling, sample};
pub use sampler::Sampler;
pub use schedule::{BetaSchedule, MOST_LEVELS, NoiseSchedule};
pub use sigma::Sigma;
pub use solver::Solver;
pub use step::Step;
pub use trajectory::Trajectory;
pub use tune::{Target, Tuned, tune};
