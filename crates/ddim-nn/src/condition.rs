//! The classes of a batch.

/// The class condition of a batch.
#[derive(Debug, Clone, Default)]
pub enum Condition {
    /// None: for networks without class embedding.
    #[default]
    None,
    /// One label per image, for a table (`num_class_embeds`) or `class_embed_type: timestep`.
    Labels(Vec<usize>),
    /// One embedding per image, [n, time_embed_dim] flat, for `class_embed_type: identity`.
    Embeddings(Vec<f32>),
}

impl Condition {
    /// Whether images `i` and `j` of `n` have the same condition.
    pub(crate) fn alike(&self, i: usize, j: usize, n: usize) -> bool {
        match self {
            Self::None => true,
            Self::Labels(labels) => labels[i] == labels[j],
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
            Self::Embeddings(e) => {
                let width = e.len() / n;
                Self::Embeddings(images.flat_map(|i| &e[i * width..(i + 1) * width]).copied().collect())
            }
        }
    }
}
