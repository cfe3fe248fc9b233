//! Limits on the size of a job.

use crate::config::Limits;
use crate::error::Problem;
use ddim_engine::Interpolate;
use ddim_jobs::Work;

/// Sets what is left to the server, and refuses what is too much; the number of images that are drawn.
///
/// # Errors
/// What is none, or too much.
pub(crate) fn bound(work: &mut Work, limits: &Limits) -> Result<usize, Problem> {
    let images = limits.images;
    let each = |steps: &[usize]| steps.iter().try_for_each(|steps| within("steps", *steps, limits.steps));
    // All numbers of steps, of as many images, within the limit of one.
    let columns = |count: usize, steps: &[usize]| {
        within("steps", steps.len(), images)?;
        each(steps)?;
        within("count", count.saturating_mul(steps.len()), images).map_err(|_| {
            let found = format!("{count} with {} numbers of steps: expected {images} images at most", steps.len());
            Problem::field("count", found)
        })
    };
    let count = match work {
        Work::Sample(request) => {
            match &request.timesteps {
                Some(timesteps) => within("timesteps", timesteps.len(), limits.steps)?,
                None => within("steps", request.steps, limits.steps)?,
            }
            // Of latents as many as there are, which are within what an upload may be.
            match (request.count, &request.latents) {
                (Some(count), _) => count,
                (None, Some(_)) => 1,
                (None, None) => *request.count.insert(64.min(images)),
            }
        }
        Work::Consistency(request) => {
            within("count", request.count, images)?;
            columns(request.count, &request.steps)?;
            request.count * request.steps.len()
        }
        Work::Interpolate(request) => {
            within("steps", request.steps, limits.steps)?;
            let frames = request.frames.unwrap_or(Interpolate::FRAMES);
            within("frames", frames, images)?;
            let (rows, cols) = (request.rows.unwrap_or(8), request.cols.unwrap_or(8));
            let grid = || -> Result<usize, Problem> {
                within("rows", rows, images)?;
                within("cols", cols, images)?;
                within("rows", rows * cols, images)
                    .map_err(|_| Problem::field("rows", format!("{rows} by {cols}: expected {images} images at most")))?;
                Ok(rows * cols)
            };
            match (&request.latents, request.seeds.len()) {
                // Only who reads them knows how many there are.
                (Some(_), _) => grid()?.max(frames),
                (None, 2) => frames,
                (None, _) => grid()?,
            }
        }
        Work::Encode(request) => {
            within("steps", request.steps, limits.steps)?;
            1
        }
        Work::Reconstruct(request) => {
            let count = *request.count.get_or_insert(1);
            within("count", count, images)?;
            columns(count, &request.steps)?;
            count * request.steps.len()
        }
        Work::Edit(request) => {
            within("steps", request.steps, limits.steps)?;
            let count = *request.count.get_or_insert(1);
            within("count", count, images)?;
            within("variations", request.variations, images)?;
            if let Some(repaint) = request.repaint {
                within("repaint", repaint.times, 20)?;
            }
            count.saturating_mul(request.variations)
        }
    };
    within("count", count, images)?;
    Ok(count)
}

/// # Errors
/// None, or more than `most`.
pub(crate) fn within(field: &str, n: usize, most: usize) -> Result<(), Problem> {
    if (1..=most).contains(&n) { Ok(()) } else { Err(Problem::field(field, format!("{n}: expected 1 to {most}"))) }
}
