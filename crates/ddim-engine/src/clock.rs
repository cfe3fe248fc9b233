//! The clock that work is timed by. On wasm32-unknown-unknown, `std` has none and panics when asked for the time, so the embedder supplies one.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use std::time::Instant;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use given::set_clock;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(crate) use given::Instant;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod given {
    use std::sync::OnceLock;
    use std::time::Duration;

    static CLOCK: OnceLock<fn() -> f64> = OnceLock::new();

    /// Sets the engine's clock, which returns seconds since a fixed point in time. Until it is set, no time passes; later calls have no effect.
    pub fn set_clock(seconds: fn() -> f64) {
        // The first stays.
        let _ = CLOCK.set(seconds);
    }

    /// Seconds of the clock.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Instant(f64);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(CLOCK.get().map_or(0.0, |now| now()))
        }

        pub(crate) fn elapsed(self) -> Duration {
            Duration::try_from_secs_f64(Self::now().0 - self.0).unwrap_or_default()
        }
    }
}
