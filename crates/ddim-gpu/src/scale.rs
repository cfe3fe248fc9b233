//! Loss scaling: the factor of gradients in the backward pass that keeps them in the range of f16.

/// The first.
const FIRST: f32 = (1u32 << 15) as f32;
/// Beyond this there is nothing to gain.
const MOST: f32 = (1u32 << 24) as f32;
/// Batches without an overflow before a larger one is tried.
const PATIENCE: u32 = 1000;

/// A power of two that is halved when gradients overflow, and doubled when they have not for long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    value: f32,
    /// Batches since it was changed.
    held: u32,
}

impl Default for Scale {
    fn default() -> Self {
        Self::from(FIRST)
    }
}

impl From<f32> for Scale {
    fn from(value: f32) -> Self {
        Self { value, held: 0 }
    }
}

impl Scale {
    pub(crate) fn value(self) -> f32 {
        self.value
    }

    /// After gradients that overflowed; false where it cannot be less.
    pub(crate) fn halve(&mut self) -> bool {
        let can = self.value > 1.0;
        if can {
            *self = Self::from((self.value / 2.0).max(1.0));
        }
        can
    }

    /// After gradients that did not.
    pub(crate) fn held(&mut self) {
        self.held += 1;
        if self.held == PATIENCE {
            *self = Self::from((2.0 * self.value).min(MOST.max(self.value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_halved_to_one_and_doubled_in_time() {
        let mut scale = Scale::default();
        assert_eq!((0..20).take_while(|_| scale.halve()).count(), 15);
        assert_eq!(scale.value(), 1.0);
        (0..999).for_each(|_| scale.held());
        assert_eq!(scale.value(), 1.0);
        scale.held();
        assert_eq!(scale.value(), 2.0);
        // What overflows starts the count again.
        (0..999).for_each(|_| scale.held());
        assert!(scale.halve());
        (0..999).for_each(|_| scale.held());
        assert_eq!(scale.value(), 1.0);
        (0..100_000).for_each(|_| scale.held());
        assert_eq!(scale.value(), MOST);
    }
}
