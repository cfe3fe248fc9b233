//! Encode, edit, decode: a picture goes up to its latent (Eq. 13), is changed half-way, and comes down again (Eq. 12 with σ = 0).
//! `edit [FOLDER]`: a diffusers pipeline folder, or the emoji model without one.

#![allow(clippy::print_stdout)] // it is a program

use ddim::noise::Batch;
use ddim::{Denoiser, Encoder, Encoding, Sampler, Sampling, Sigma};
use ddim_nn::{Condition, EmbeddedPipeline, Network, Pipeline};

const EMOJI: EmbeddedPipeline<'_> = EmbeddedPipeline {
    name: ddim_model_emoji::NAME,
    config: ddim_model_emoji::CONFIG,
    scheduler: ddim_model_emoji::SCHEDULER,
    safetensors: ddim_model_emoji::SAFETENSORS,
    classes: ddim_model_emoji::CLASSES,
    sampling: ddim_model_emoji::SAMPLING,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pipeline = std::env::args().nth(1).map_or_else(|| Pipeline::embedded(&EMOJI), |folder| Pipeline::load(folder.as_ref()))?;
    let (schedule, trajectory) = (pipeline.scheduler.schedule(), pipeline.scheduler.trajectory(20)?);
    let (encoder, sampler) = (Encoder::new(&schedule, &trajectory)?, Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0))?);
    // Of a model with classes, none of them.
    let condition = pipeline.null_class().map_or(Condition::None, |null| Condition::Labels(vec![null]));
    let network = Network::new(pipeline)?.with_condition(condition)?;

    // Something to edit: the first image of seed 3.
    let batch = Batch { seed: 3, first: 0 };
    let image = Sampling::new(&sampler, &network, batch.latents(network.dim(), 1), batch)?.finish()?;

    let latent = Encoding::new(&encoder, &network, image.clone(), 0)?.finish()?;
    let again = Sampling::new(&sampler, &network, latent.clone(), batch)?.finish()?;
    // The edit: as the picture has become recognisable, its left and right change places.
    let mut sampling = Sampling::new(&sampler, &network, latent, batch)?;
    while sampling.progress().0 < 10 {
        sampling.step()?;
    }
    let width = network.shape()[2];
    sampling.x_mut().chunks_exact_mut(width).for_each(<[f32]>::reverse);
    let mirrored = sampling.finish()?;

    let rms = |a: &[f32], b: &[f32]| (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt() / 2.0;
    let mut flipped = image.clone();
    flipped.chunks_exact_mut(width).for_each(<[f32]>::reverse);
    println!("encoded and decoded: RMS {:.4} of the scale [0, 1]", rms(&again, &image));
    println!(
        "mirrored half-way: RMS {:.4} from the picture, {:.4} from its mirror image",
        rms(&mirrored, &image),
        rms(&mirrored, &flipped)
    );
    Ok(())
}
