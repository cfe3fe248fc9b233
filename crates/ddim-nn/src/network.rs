//! The U-Net as a [`ddim::Denoiser`].

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::unet::{Condition, SampleSize, UNet, UNetConfig};
use burn::tensor::{Device, Tensor, TensorData};
use ddim::{Denoiser, Prediction};
use rayon::prelude::*;

/// A network with all that a sampler must know of it: the size of its images and what it predicts.
///
/// Groups of images are evaluated in parallel over rayon's current pool. Every operation treats each image by itself, so that a
/// prediction has the same bits in any batch.
#[derive(Debug, Clone)]
pub struct Network {
    unet: UNet,
    config: UNetConfig,
    prediction: Prediction,
    size: [usize; 2],
    timesteps: usize,
    condition: Condition,
    device: Device,
}

impl Network {
    /// The network of a pipeline, for images of its `sample_size`.
    ///
    /// # Errors
    /// A config without `sample_size`, or one whose outputs are not of the size of its inputs, so that it cannot be sampled from.
    pub fn new(pipeline: Pipeline, device: &Device) -> Result<Self> {
        let Pipeline { unet, config, scheduler, .. } = pipeline;
        let Some(size) = config.sample_size.map(SampleSize::dims) else {
            return Err(Error::input("sample_size is null in unet/config.json: expected the height and width of the images"));
        };
        if config.in_channels != config.out_channels {
            let (i, o) = (config.in_channels, config.out_channels);
            return Err(Error::input(format!("in_channels is {i} and out_channels {o} in unet/config.json: expected the same, to sample")));
        }
        let timesteps = scheduler.num_train_timesteps;
        if let Some(rows) = config.num_train_timesteps.filter(|rows| config.time_embedding_type == "learned" && *rows < timesteps) {
            return Err(Error::input(format!("num_train_timesteps is {rows} in unet/config.json and {timesteps} in the scheduler's")));
        }
        Ok(Self { unet, config, prediction: scheduler.prediction(), size, timesteps, condition: Condition::None, device: device.clone() })
    }

    /// The same network, for a batch under this condition.
    ///
    /// # Errors
    /// A condition of another kind than the network's class embedding, a label outside its table, or embeddings that do not divide into
    /// rows of its width.
    pub fn with_condition(&self, condition: Condition) -> Result<Self> {
        let identity = self.config.class_embed_type.as_deref() == Some("identity");
        let width = self.config.time_embed_dim();
        match &condition {
            Condition::None => {}
            _ if !self.is_conditional() => return Err(Error::input("a class condition for a network without classes")),
            Condition::Labels(_) if identity => {
                return Err(Error::input("class_embed_type is identity: the network takes embeddings, not labels"));
            }
            Condition::Labels(labels) => {
                let rows = self.config.num_class_embeds.filter(|_| self.config.class_embed_type.is_none());
                if let Some((label, rows)) = rows.and_then(|rows| labels.iter().find(|l| **l >= rows).map(|l| (l, rows))) {
                    return Err(Error::input(format!("class label {label}: expected 0 to {}", rows - 1)));
                }
            }
            Condition::Embeddings(_) if !identity => return Err(Error::input("class embeddings: this network takes class labels")),
            Condition::Embeddings(e) if e.len() % width != 0 => {
                return Err(Error::input(format!("class embeddings of {} numbers: expected rows of {width}", e.len())));
            }
            Condition::Embeddings(_) => {}
        }
        Ok(Self { condition, ..self.clone() })
    }

    /// [channels, height, width] of one image.
    pub fn shape(&self) -> [usize; 3] {
        [self.config.in_channels, self.size[0], self.size[1]]
    }

    /// Whether [`with_condition`](Self::with_condition) is needed.
    pub fn is_conditional(&self) -> bool {
        self.config.is_conditional()
    }

    fn check(&self, n: usize, levels: &[usize]) -> Result<()> {
        if levels.len() != n {
            return Err(Error::input(format!("{} levels for {n} images: expected one an image", levels.len())));
        }
        if let Some(level) = levels.iter().find(|l| !(1..=self.timesteps).contains(*l)) {
            return Err(Error::input(format!("level {level}: expected 1 to {}", self.timesteps)));
        }
        if self.config.time_embedding_type == "fourier" && levels.contains(&1) {
            let why = "time_embedding_type fourier takes the logarithm of the timestep, and 0 has none";
            return Err(Error::input(format!("timestep 0: {why}: choose a trajectory without it, such as trailing")));
        }
        let conditions = match &self.condition {
            Condition::None if self.is_conditional() => return Err(Error::input("a network with classes: expected class labels")),
            Condition::None => n,
            Condition::Labels(labels) => labels.len(),
            Condition::Embeddings(e) => e.len() / self.config.time_embed_dim(),
        };
        if conditions != n {
            return Err(Error::input(format!("{conditions} class conditions for {n} images: expected one an image")));
        }
        Ok(())
    }
}

/// Pixels of the images that are evaluated together: more would only push each other out of the cache.
const MOST_PIXELS: usize = 4 * 32 * 32;

impl Denoiser<f32> for Network {
    type Error = Error;

    fn dim(&self) -> usize {
        self.shape().iter().product()
    }

    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x_t: &[f32], levels: &[usize], out: &mut [f32]) -> Result<()> {
        let [c, h, w] = self.shape();
        let dim = self.dim();
        let n = x_t.len() / dim;
        self.check(n, levels)?;
        let group = (n / (2 * rayon::current_num_threads())).clamp(1, (MOST_PIXELS / (h * w)).max(1));
        x_t.par_chunks(group * dim).zip(out.par_chunks_mut(group * dim)).enumerate().try_for_each(|(g, (x, out))| {
            let images: Vec<usize> = (0..x.len() / dim).map(|i| g * group + i).collect();
            let alike = images.iter().all(|&i| levels[i] == levels[images[0]] && self.condition.alike(i, images[0], n));
            // An embedding is computed for one image whether it serves one or many: a matrix product may round by its number of rows.
            let size = if alike { images.len() } else { 1 };
            for ((x, out), images) in x.chunks(size * dim).zip(out.chunks_mut(size * dim)).zip(images.chunks(size)) {
                let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), [size, c, h, w]), &self.device);
                // The one place where a level becomes the network's timestep.
                let y = self.unet.forward(x, &[levels[images[0]] - 1], &self.condition.of(images[0], n));
                let data = y.try_into_data().map_err(|e| Error::input(format!("reading the network's output: {e}")))?;
                out.copy_from_slice(data.as_slice().map_err(|e| Error::input(format!("reading the network's output: {e:?}")))?);
            }
            Ok(())
        })
    }
}
