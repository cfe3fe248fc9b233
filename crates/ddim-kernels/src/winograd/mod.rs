//! 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3): 36 products instead of 144 for each tile of 4×4 outputs.
//!
//! y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A: `transforms.rs` has the matrices, `weights.rs` G g Gᵀ, `input.rs` Bᵀ d B, `forward.rs` the products and what
//! becomes of them, `gradient.rs` the same for the gradient of g.

mod forward;
mod gradient;
mod input;
mod transforms;
mod weights;

pub(crate) use forward::run;
pub(crate) use gradient::weight_gradient;
pub(crate) use transforms::{HALVES, POINTS, SPREAD, TILE, outputs, points_of_input};
pub(crate) use weights::{Operand, Weights, transformed_bytes};
