//! Interpolation between latents (appendix D.5).

use crate::choices::{Clipping, Model};
use crate::class_words::Mixture;
use crate::classes::mixed;
use crate::error::{Error, Result};
use crate::job::{Request, Within};
use crate::output::{OutputFile, animation_format, check_drawable, check_paths, joined, shown};
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{Sigma, Solver};
use ddim_data::npy_bytes;
use ddim_pictures::{labelled, shown_frames};
use ddim_train::quoted;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Draws images between two latents, or over a grid between four, by slerp; deterministic.
///
/// If the ends have different classes, the class embeddings between them are mixed: linearly between two, bilinearly between four.
///
/// ```
/// use ddim_engine::{Control, Engine, Interpolate};
///
/// let request = Interpolate { seeds: vec![3, 8], frames: Some(3), steps: 2, ..Interpolate::default() };
/// let walk = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((walk.count, walk.images.len()), (3, 3 * 3072));
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Interpolate {
    /// The model, and how to run it.
    pub model: Model,
    /// Two seeds, or four (top left, top right, bottom left, bottom right); each stands for the latent of its image 0.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 4))]
    pub seeds: Vec<u64>,
    /// A .npy file of two or four latents, instead of seeds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub latents: Option<PathBuf>,
    /// Number of images from one of two latents to the other, both included. Defaults to 11.
    pub frames: Option<usize>,
    /// Number of rows between four latents. Defaults to 8.
    pub rows: Option<usize>,
    /// Number of columns between four latents. Defaults to 8.
    pub cols: Option<usize>,
    /// S, the number of steps.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub steps: usize,
    /// How the S timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How a step uses earlier predictions of the network: `ddim`, or one of the other [`Solver`]s.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName, default = crate::schemas::default_solver))]
    pub solver: Solver,
    /// How the predicted x_0 is clipped.
    pub clip: Clipping,
    /// Write the images as one picture to this file.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub grid: Option<PathBuf>,
    /// Leave out the positions, from 0 to 1, above the columns of the grid.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub no_labels: bool,
    /// Write a GIF or an animated PNG of the walk there and back.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub animate: Option<PathBuf>,
    /// Write the images to this .npy file, [n, c, h, w].
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub save_npy: Option<PathBuf>,
}

impl Default for Interpolate {
    fn default() -> Self {
        Self {
            model: Model::default(),
            seeds: vec![0, 1],
            latents: None,
            frames: None,
            rows: None,
            cols: None,
            steps: 50,
            trajectory: None,
            solver: Solver::Ddim,
            clip: Clipping::default(),
            grid: None,
            no_labels: false,
            animate: None,
            save_npy: None,
        }
    }
}

/// The result of an [`Interpolate`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "interpolate")]
pub struct InterpolateReport {
    /// The model, as named in the request.
    pub model: String,
    /// Number of images.
    pub count: usize,
    /// Number of images in a row.
    pub columns: usize,
    /// S, the number of steps per image: one network evaluation each, or two with heun or guidance.
    pub steps: usize,
    /// Sampling time in seconds.
    pub seconds: f64,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The images, [count, c, h, w], row by row.
    #[serde(skip)]
    pub images: Vec<f32>,
}

impl Request for Interpolate {
    type Report = InterpolateReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<InterpolateReport> {
        check_paths(
            &self.model.reading(&[("latents", self.latents.as_deref())]),
            &[],
            &[("grid", self.grid.as_deref()), ("save_npy", self.save_npy.as_deref()), ("animate", self.animate.as_deref())],
        )?;
        // Before a latent is made of each.
        if self.latents.is_none() && ![2, 4].contains(&self.seeds.len()) {
            return Err(Error::request(format!("`seeds`: {} seeds: expected two, or four for a grid", self.seeds.len())));
        }
        let (mut session, given) = Session::with_latents(&self.model, self.latents.as_deref(), watch)?;
        let (shape, dim) = (session.shape(), session.dim());
        let ends: Vec<Vec<f32>> = match &given {
            Some(latents) => latents.chunks_exact(dim).map(<[f32]>::to_vec).collect(),
            None => self.seeds.iter().map(|&seed| session.latents(seed, 0, 1)).collect(),
        };
        let (latents, columns) = self.walk(&ends)?;
        if self.animate.is_some() && ends.len() != 2 {
            return Err(Error::field("animate", "expected two seeds or latents, found four"));
        }
        self.mix_classes(&mut session, ends.len(), columns, latents.len() / dim)?;
        let trajectory = session.trajectory(self.trajectory.as_ref(), self.steps, self.solver)?;
        let sampler = session.sampler(&trajectory, &Sigma::Eta(0.0), self.clip, self.solver)?;
        if self.grid.is_some() || self.animate.is_some() {
            check_drawable(shape)?;
        }
        let animation = animation_format(self.animate.as_deref())?;
        let grid = OutputFile::create_optional(self.grid.as_ref())?;
        let animated = OutputFile::create_optional(self.animate.as_ref())?.zip(animation);
        let npy = OutputFile::create_optional(self.save_npy.as_ref())?;

        let count = latents.len() / dim;
        watch.begin("interpolating", "image-steps", count * trajectory.len());
        let images = session.sample(&sampler, &latents, (0, 0))?;
        let seconds = watch.end();

        let source = self
            .latents
            .as_ref()
            .map_or_else(|| format!("--seeds {}", joined(&self.seeds, ",")), |path| format!("--latents {}", quoted(path)));
        let size = if ends.len() == 2 { format!("--frames {count}") } else { format!("--rows {} --cols {columns}", count / columns) };
        let spacing = session.spacing_word(self.trajectory.as_ref());
        let (model, flags) = (session.model_flags(), session.flags(self.clip, self.solver));
        let caption = format!("ddim interpolate {model} {source} {size} --steps {} --trajectory {spacing}{flags}", self.steps);
        let mut files = Vec::new();
        if let Some(file) = grid {
            let picture = ddim_pictures::grid(&images, shape, columns)?;
            // How far along each column is.
            let way = |i: usize| format!("{:.2}", i as f64 / (columns - 1).max(1) as f64);
            let labels: Vec<String> = (0..columns).map(way).collect();
            let picture = if self.no_labels { picture } else { labelled(&picture, &labels, &[]) };
            files.push(file.commit(&picture.to_png(&caption))?);
        }
        if let Some((file, format)) = animated {
            let there_and_back: Vec<usize> = (0..count).chain((1..count.saturating_sub(1)).rev()).collect();
            let draw = |i: usize| ddim_pictures::grid(&images[i * dim..(i + 1) * dim], shape, 1);
            let frames = shown_frames(there_and_back.len()).into_iter().map(|frame| Ok(draw(there_and_back[frame])?));
            let frames = frames.collect::<Result<Vec<_>>>()?;
            files.push(file.commit(&format.encode(&frames, false, &caption)?)?);
        }
        if let Some(file) = npy {
            files.push(file.commit(&npy_bytes(&images, shape))?);
        }
        let (steps, files) = (trajectory.len(), shown(&files));
        Ok(InterpolateReport { model: session.model, count, columns, steps, seconds, files, shape, images })
    }
}

impl Interpolate {
    /// Default number of images between two latents.
    pub const FRAMES: usize = 11;

    /// Where the ends have different classes, what lies between has their embeddings mixed, by the way that it has come: linearly between two, bilinearly
    /// between four.
    fn mix_classes(&self, session: &mut Session<'_, '_>, ends: usize, columns: usize, count: usize) -> Result<()> {
        let classes = &session.classes;
        if let Some(turns) =
            classes.turns().filter(|turns| *turns != 1 && *turns != ends && self.model.classes.as_deref() != Some("each".as_ref()))
        {
            return Err(Error::field("classes", format!("{turns} classes: expected one, or one for each of the {ends} ends")));
        }
        // Drawn as `sample` draws that of the seed's image 0, which the latent is of.
        let drawn = |end: usize| if self.latents.is_none() && classes.is_random() { (self.seeds[end], 0) } else { (0, end) };
        let of_ends: Option<Vec<Mixture>> = (0..ends).map(|end| classes.of(drawn(end).0, drawn(end).1)).collect();
        let Some(of_ends) = of_ends else { return Ok(()) };
        let share = |i: usize, n: usize| if n > 1 { i as f64 / (n - 1) as f64 } else { 0.0 };
        let of_image = |i: usize| {
            let (across, down) = (share(i % columns, columns), share(i / columns, count / columns));
            let along =
                |[left, right]: [usize; 2], weight: f64| [(&of_ends[left], weight * (1.0 - across)), (&of_ends[right], weight * across)];
            // Between two there is one row.
            let top = along([0, 1], 1.0 - down);
            mixed(top.into_iter().chain((ends == 4).then(|| along([2, 3], down)).into_iter().flatten()))
        };
        session.classes = classes.with_each((0..count).map(of_image).collect());
        let checked = session.network.with_condition(session.classes.examples());
        checked.map(|_| ()).map_err(|e| Error::field("classes", e))
    }

    /// The latents of the walk, and how many lie beside each other.
    fn walk(&self, ends: &[Vec<f32>]) -> Result<(Vec<f32>, usize)> {
        match ends {
            [a, b] => {
                if self.rows.is_some() || self.cols.is_some() {
                    return Err(Error::request("`rows` and `cols`: expected four seeds or latents, found two (use `frames`)"));
                }
                let frames = self.frames.unwrap_or(Self::FRAMES);
                check_size("frames", frames)?;
                Ok((ddim::frames(a, b, frames).map_err(Error::request)?, frames))
            }
            [a, b, c, d] => {
                if self.frames.is_some() {
                    return Err(Error::field("frames", "expected two seeds or latents, found four (use `rows` and `cols`)"));
                }
                let (rows, cols) = (self.rows.unwrap_or(8), self.cols.unwrap_or(8));
                check_size("rows", rows)?;
                check_size("cols", cols)?;
                Ok((ddim::slerp_grid([a, b, c, d], rows, cols).map_err(Error::request)?, cols))
            }
            other => {
                let n = other.len();
                let found =
                    self.latents.as_ref().map_or_else(|| format!("`seeds`: {n} seeds"), |p| format!("{}: {n} latents", p.display()));
                Err(Error::request(format!("{found}: expected two, or four for a grid")))
            }
        }
    }
}

fn check_size(field: &str, n: usize) -> Result<()> {
    if (1..=10_000).contains(&n) {
        return Ok(());
    }
    Err(Error::field(field, format!("{n}: expected 1 to 10000")))
}
