//! The events of a job, as a page receives them.

use crate::place::Place;
use crate::preview::sheet;
use ddim_engine::{Control, Event};
use serde_json::{Value, json};

/// Number of previews of a job that does not specify it.
pub const PREVIEWS: usize = 16;

/// Progress is told no more often, in seconds.
const EVERY: f64 = 0.1;

/// Encodes the engine's events as names and JSON, and requests previews from the engine.
///
/// Previews are x_t and the predicted x_0 of the first images of a batch, arranged side by side, as data URLs of PNGs. Event names are `began`, `step`,
/// `progress`, `preview`, `note`, `line` and `ended`; their data are those of [`Event`].
#[derive(Debug)]
pub struct EventEncoder {
    place: Place,
    control: Control,
    /// How many previews of a phase are wanted.
    previews: usize,
    /// The first image of a phase: batches that begin with another are not shown.
    first: Option<u64>,
    step: usize,
    told: f64,
}

impl EventEncoder {
    /// Creates an encoder for the job that `control` controls; of each phase it previews this many steps, evenly spaced and including the last.
    pub fn new(control: Control, previews: usize, place: Place) -> Self {
        Self { place, control, previews, first: None, step: 0, told: f64::NEG_INFINITY }
    }

    /// Returns the name and data of an event, or `None` if it is not to be sent.
    pub fn encode(&mut self, event: &Event) -> Option<(&'static str, Value)> {
        let name = match event {
            Event::Note { .. } => "note",
            Event::Began { .. } => {
                (self.first, self.told) = (None, f64::NEG_INFINITY);
                "began"
            }
            Event::Progress { done, total, seconds, .. } => {
                if done < total && seconds - self.told < EVERY {
                    return None;
                }
                self.told = *seconds;
                "progress"
            }
            Event::Step { step, steps, first, .. } => {
                self.step = *step;
                if *self.first.get_or_insert(*first) == *first && is_shown(*step, *steps, self.previews) {
                    // It comes after this very step.
                    self.control.preview();
                }
                "step"
            }
            Event::Preview { timestep, first, shape, x, x_0 } => {
                let [x_t, x_0] =
                    [x, x_0].map(|batch| sheet(batch, *shape).map_or(Value::Null, |png| json!(format!("data:image/png;base64,{png}"))));
                let data = json!({ "step": self.step, "timestep": timestep, "first": first, "shape": shape, "x_t": x_t, "x_0": x_0 });
                return Some(("preview", data));
            }
            Event::Line { .. } => "line",
            Event::Ended { .. } => "ended",
            // Of training, which is no job here.
            _ => return None,
        };
        let mut data = serde_json::to_value(event).unwrap_or_default();
        data.as_object_mut().and_then(|fields| fields.shift_remove("event"));
        Some((name, self.place.named_json(data)))
    }
}

/// Whether step `step` of 1..=`steps` is one of so many that are shown, spread evenly; the last is.
fn is_shown(step: usize, steps: usize, shown: usize) -> bool {
    step.saturating_mul(shown) / steps != (step - 1).saturating_mul(shown) / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_spread_and_the_last_is_one() {
        let shown = |steps, previews| (1..=steps).filter(|step| is_shown(*step, steps, previews)).collect::<Vec<_>>();
        assert_eq!(shown(10, 3), [4, 7, 10]);
        assert_eq!(shown(3, 16), [1, 2, 3]);
        assert_eq!(shown(5, 0), [0; 0]);
    }

    #[test]
    fn progress_is_told_now_and_then_and_at_the_end() {
        let mut encoder = EventEncoder::new(Control::default(), 0, Place::new(""));
        let mut told = |done, seconds| encoder.encode(&Event::Progress { done, total: 4, seconds, eta_seconds: None }).is_some();
        assert_eq!([told(1, 0.0), told(2, 0.05), told(3, 0.11), told(4, 0.12)], [true, false, true, true]);
    }
}
