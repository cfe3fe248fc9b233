//! The classes of a batch.

/// The class condition of a batch.
///
/// ```
/// use ddim_nn::{Condition, Network, Pipeline, SchedulerConfig, UNetConfig};
///
/// let config = UNetConfig { num_class_embeds: Some(10), ..UNetConfig::preset("tiny").unwrap() };
/// let network = Network::new(Pipeline::untrained(config, SchedulerConfig::default())?)?;
/// assert!(network.with_condition(Condition::Labels(vec![3, 9])).is_ok()); // for batches of two images
/// assert!(network.with_condition(Condition::Labels(vec![10])).is_err());
/// let between = Condition::Mixtures(vec![vec![(3, 0.5), (9, 0.5)]]);
/// assert!(network.with_condition(between).is_ok()); // for one image, half of each
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Condition {
    /// No condition: for networks without class embedding.
    #[default]
    None,
    /// One label per image, for a table (`num_class_embeds`) or `class_embed_type: timestep`.
    Labels(Vec<usize>),
    /// For each image, labels of a table (`num_class_embeds`) with their weights: its embedding is the weighted sum of their rows, in this
    /// order. A single label of weight 1 is that label, bit for bit.
    Mixtures(Vec<Vec<(usize, f64)>>),
    /// One embedding per image, [n, time_embed_dim] flat, for `class_embed_type: identity`.
    Embeddings(Vec<f32>),
}

impl Condition {
    /// Whether images `i` and `j` of `n` have the same condition.
    pub(crate) fn alike(&self, i: usize, j: usize, n: usize) -> bool {
        match self {
            Self::None => true,
            Self::Labels(labels) => labels[i] == labels[j],
            Self::Mixtures(mixtures) => mixtures[i] == mixtures[j],
            Self::Embeddings(e) => {
                let width = e.len() / n;
                e[i * width..(i + 1) * width] == e[j * width..(j + 1) * width]
            }
        }
    }

    /// That of some images of `n`.
    pub(crate) fn of(&self, images: impl Iterator<Item = usize>, n: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Labels(labels) => Self::Labels(images.map(|i| labels[i]).collect()),
            Self::Mixtures(mixtures) => Self::Mixtures(images.map(|i| mixtures[i].clone()).collect()),
            Self::Embeddings(e) => {
                let width = e.len() / n;
                Self::Embeddings(images.flat_map(|i| &e[i * width..(i + 1) * width]).copied().collect())
            }
        }
    }
}
