//! A whole sampler over a diffusers pipeline folder, or the emoji model without one: `pipeline [FOLDER [STEPS]]`. Writes nothing; says what came out.

#![allow(clippy::print_stdout)] // it is a program

use ddim::noise::Batch;
use ddim::{Denoiser, Sampler, Sampling, Sigma, to_byte};
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
    let mut args = std::env::args().skip(1);
    let pipeline = args.next().map_or_else(|| Pipeline::embedded(&EMOJI), |folder| Pipeline::load(folder.as_ref()))?;
    let steps = args.next().map_or(Ok(10), |n| n.parse())?;
    let (schedule, trajectory) = (pipeline.scheduler.schedule(), pipeline.scheduler.trajectory(steps)?);
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0))?.with_clip(pipeline.scheduler.clip())?;
    let network = Network::new(pipeline)?;
    // Of a model with classes, an image of each of the first two.
    let condition = if network.is_conditional() { Condition::Labels(vec![0, 1]) } else { Condition::None };
    let network = network.with_condition(condition)?;

    let batch = Batch { seed: 0, first: 0 };
    let mut sampling = Sampling::new(&sampler, &network, batch.latents(network.dim(), 2), batch)?;
    while let Some(step) = sampling.step()? {
        println!("timestep {:3}, {:?} steps", step.level - 1, sampling.progress());
    }
    let images: Vec<u8> = sampling.x().iter().map(|x| to_byte(*x)).collect();
    println!("2 images of {:?}, the first pixels {:?}", network.shape(), &images[..8]);
    Ok(())
}
