//! Line charts, as SVG and as pixels.

use crate::font::{FAMILY, with_font};
use crate::picture::Picture;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What the axis measures.
    pub label: String,
    /// Whether the axis is logarithmic.
    pub log: bool,
    /// Positions of the tick labels; if empty, round numbers are chosen.
    pub ticks: Vec<f64>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), in the order in which they are joined. Points that an axis cannot show are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether to mark each point.
    pub marked: bool,
    /// Length of the error bar above and below each point; empty for no error bars.
    pub errors: Vec<f64>,
}

/// A line chart over two axes.
///
/// ```
/// use ddim_pictures::{Axis, Chart, Series};
///
/// let points = vec![(10.0, 13.4), (20.0, 6.8), (50.0, 4.7), (100.0, 4.2)];
/// let chart = Chart {
///     title: "CIFAR-10".into(),
///     x: Axis { label: "S".into(), log: true, ticks: points.iter().map(|point| point.0).collect() },
///     y: Axis { label: "FID".into(), log: false, ticks: Vec::new() },
///     series: vec![Series { name: "DDIM".into(), points, marked: true, errors: Vec::new() }],
/// };
/// assert!(chart.to_svg().contains("CIFAR-10"));
/// assert_eq!(chart.to_picture().shape(), [3, 520, 800]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Title above the chart.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, which take the colours in order; any beyond the last colour are dashed. The legend stands where it hides least of them.
    pub series: Vec<Series>,
}

const SIZE: (u32, u32) = (800, 520);

/// Around the legend's text, and before it for the lines, in pixels.
const LEGEND: (i32, i32) = (10, 30);
const LEGEND_FONT: (&str, i32) = (FAMILY, 14);

/// Told apart by people who do not see all colours (Okabe and Ito's).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// An axis that knows its range and its ticks.
#[derive(Clone)]
struct Scale {
    range: Range<f64>,
    log: bool,
    ticks: Vec<f64>,
}

impl Scale {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let shown = |v: &f64| v.is_finite() && (!axis.log || *v > 0.0);
        let (mut low, mut high) = values.filter(shown).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = if axis.log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        let range = if axis.log {
            let room = (high / low).powf(0.06).max(1.1);
            low / room..high * room
        } else {
            let room = if high > low { 0.05 * (high - low) } else { 0.5 * high.abs().max(1.0) };
            // From 0, where that is near.
            (if low >= 0.0 && low < 0.5 * high { 0.0 } else { low - room })..high + room
        };
        let ticks = match (axis.ticks.as_slice(), axis.log) {
            ([], true) if range.end / range.start > 4.0 => round_factors(&range),
            ([], true) => RangedCoordf64::from(range.clone()).key_points(8),
            ([], false) => RangedCoordf64::from(range.clone()).key_points(8),
            (given, _) => given.to_vec(),
        };
        Self { range, log: axis.log, ticks }
    }

    fn share(&self, value: f64) -> f64 {
        let along = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        (along(value) - along(self.range.start)) / (along(self.range.end) - along(self.range.start))
    }
}

/// 1, 2 and 5 times powers of ten; of those, powers alone where they are many.
fn round_factors(range: &Range<f64>) -> Vec<f64> {
    let powers = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let factors: &[f64] = if range.end / range.start > 1e4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    powers.flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power))).filter(|v| range.contains(v)).collect()
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(value: &f64) -> String {
        match value.abs() {
            0.0 => "0".to_owned(),
            v if (1e-3..1e5).contains(&v) => format!("{}", (value * 1e6).round() / 1e6),
            _ => format!("{value:.0e}"),
        }
    }
}

/// The upper left corner of a legend of this size in an area of this size, in pixels: of nine places, the first where the polylines have least of their length
/// behind it.
fn legend_corner(polylines: &[Vec<(i32, i32)>], size: (i32, i32), area: (i32, i32)) -> (i32, i32) {
    const FROM_EDGE: i32 = 5;
    // A marker's radius, and some air.
    const AROUND: i32 = 8;
    let hidden = |&(left, top): &(i32, i32)| {
        let behind =
            |x: i32, y: i32| (left - AROUND..=left + size.0 + AROUND).contains(&x) && (top - AROUND..=top + size.1 + AROUND).contains(&y);
        let segment = |(from, to): (&(i32, i32), &(i32, i32))| {
            let pixels = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
            (0..=pixels).filter(|i| behind(from.0 + (to.0 - from.0) * i / pixels, from.1 + (to.1 - from.1) * i / pixels)).count()
        };
        // The last point is a segment of its own: a line may have no other.
        polylines.iter().flat_map(|line| line.iter().zip(line.iter().skip(1).chain(line.last()))).map(segment).sum::<usize>()
    };
    let places = |size: i32, area: i32| [FROM_EDGE, (area - size) / 2, area - size - FROM_EDGE];
    let ([left, centre, right], [top, middle, bottom]) = (places(size.0, area.0), places(size.1, area.1));
    let corners = [(right, top), (left, top), (left, bottom), (right, bottom)];
    let between = [(centre, top), (right, middle), (centre, bottom), (left, middle), (centre, middle)];
    corners.into_iter().chain(between).min_by_key(hidden).expect("there are nine")
}

impl Chart {
    /// Renders the chart as SVG text.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area());
        svg
    }

    /// Renders the chart as pixels: 800×520 in RGB.
    pub fn to_picture(&self) -> Picture {
        let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
        let mut pixels = vec![0; width * height * 3];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area());
        Picture { width, height, channels: 3, pixels }
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) {
        with_font();
        self.try_draw(area).expect("drawing to memory");
    }

    fn try_draw<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let points = || self.series.iter().flat_map(|s| s.points.iter());
        let x = Scale::new(&self.x, points().map(|p| p.0));
        let y = Scale::new(&self.y, points().map(|p| p.1));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FAMILY, 18))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(BLACK.mix(0.12))
            .light_line_style(TRANSPARENT)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style((FAMILY, 14))
            .axis_desc_style((FAMILY, 15))
            .draw()?;
        let shown = |&(px, py): &(f64, f64)| {
            let fits = |v: f64, scale: &Scale| v.is_finite() && (!scale.log || v > 0.0);
            fits(px, &x) && fits(py, &y)
        };
        let mut polylines = Vec::new();
        for (i, (series, colour)) in self.series.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let points: Vec<(f64, f64)> = series.points.iter().copied().filter(shown).collect();
            // Points stay in view; what reaches below a logarithmic axis ends at its foot.
            let bars = series.points.iter().zip(&series.errors).filter(|(point, error)| shown(point) && **error > 0.0).map(
                |(&(px, py), error)| {
                    PathElement::new([(px, (py - error).max(y.range.start)), (px, (py + error).min(y.range.end))], colour.stroke_width(1))
                },
            );
            chart.draw_series(bars)?;
            polylines.push(points.iter().map(|point| chart.plotting_area().map_coordinate(point)).collect::<Vec<_>>());
            let style = colour.stroke_width(2);
            if i < COLOURS.len() {
                let line = chart.draw_series(LineSeries::new(points.clone(), style))?;
                line.label(&series.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            } else {
                // The same colours again.
                let line = chart.draw_series(DashedLineSeries::new(points.clone(), 6, 5, style))?;
                let dash = move |x| PathElement::new([(x, 0), (x + 7, 0)], style);
                line.label(&series.name).legend(move |at| EmptyElement::at(at) + dash(0) + dash(11));
            }
            if series.marked {
                chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, colour.filled())))?;
            }
        }
        if self.series.len() > 1 {
            let plot = chart.plotting_area().strip_coord_spec();
            let font = LEGEND_FONT.into_text_style(&plot);
            let mut names = MultiLineText::<_, &str>::new((0, 0), &font);
            self.series.iter().for_each(|series| names.push_line(series.name.as_str()));
            // Without a font, drawing fails below.
            let text = names.estimate_dimension().unwrap_or_default();
            let (margin, dashes) = LEGEND;
            let (size, area) = ((text.0 + dashes + 2 * margin, text.1 + 2 * margin), plot.dim_in_pixel());
            let base = plot.get_base_pixel();
            polylines.iter_mut().flatten().for_each(|(x, y)| (*x, *y) = (*x - base.0, *y - base.1));
            let (left, top) = legend_corner(&polylines, size, (area.0 as i32, area.1 as i32));
            chart
                .configure_series_labels()
                .margin(margin)
                .legend_area_size(dashes)
                .position(SeriesLabelPosition::Coordinate(left, top))
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.2))
                .label_font(LEGEND_FONT)
                .draw()?;
        }
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(log: bool) -> Chart {
        let axis = |label: &str| Axis { label: label.into(), log, ticks: Vec::new() };
        let series =
            |name: &str, points: &[(f64, f64)]| Series { name: name.into(), points: points.to_vec(), marked: true, errors: Vec::new() };
        Chart {
            title: "FID and η".into(),
            x: Axis { ticks: vec![10.0, 20.0, 50.0, 100.0], ..axis("steps S") },
            y: axis("FID"),
            series: vec![
                series("η = 0", &[(10.0, 13.4), (20.0, 6.8), (50.0, 4.7), (100.0, 4.2)]),
                series("σ hat", &[(10.0, 367.0), (20.0, 133.0), (50.0, f64::NAN), (100.0, 0.0)]),
            ],
        }
    }

    #[test]
    fn charts_have_what_was_put_in() {
        for log in [false, true] {
            let chart = chart(log);
            let svg = chart.to_svg();
            assert!(["FID", "η = 0", "steps S", "</svg>", "\n100\n"].iter().all(|word| svg.contains(word)), "{svg}");
            let picture = chart.to_picture();
            assert_eq!((picture.shape(), picture.pixels.len()), ([3, 520, 800], 800 * 520 * 3));
            let coloured = picture.pixels.chunks_exact(3).filter(|p| **p == [0, 114, 178]).count();
            assert!(coloured > 300, "{coloured} pixels of the first line");
            // Bars, of which one would reach below a logarithmic axis.
            let mut with_bars = chart;
            with_bars.series[0].errors = vec![2.0, 40.0, 0.5, 0.0];
            let tall = with_bars.to_picture().pixels.chunks_exact(3).filter(|p| **p == [0, 114, 178]).count();
            assert!(tall > coloured, "{tall} {coloured}");
        }
        // The eighth line has the first's colour, and gaps.
        let line = |y: f64| Series { name: y.to_string(), points: vec![(10.0, y), (100.0, y)], marked: false, errors: Vec::new() };
        let many = Chart { series: (1..=8).map(|y| line(f64::from(y))).collect(), ..chart(false) }.to_picture();
        let inked = |row: &[u8]| row.chunks_exact(3).filter(|p| **p == [0, 114, 178]).count();
        let rows: Vec<usize> = many.pixels.chunks_exact(many.width * 3).map(inked).filter(|n| *n > 100).collect();
        let (least, most) = (*rows.iter().min().unwrap(), *rows.iter().max().unwrap());
        assert!(least < most * 2 / 3 && least > most / 3, "{rows:?}");
        let empty = Chart { series: Vec::new(), ..chart(true) };
        assert!(empty.to_svg().contains("</svg>"));
    }

    #[test]
    fn legends_stand_beside_the_lines() {
        let (size, area) = ((100, 80), (600, 400));
        // Pixels count from above: the second line rises.
        let (falling, rising) = (vec![(0, 0), (600, 400)], vec![(0, 400), (600, 0)]);
        let place = |lines: &[&Vec<(i32, i32)>]| legend_corner(&lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>(), size, area);
        assert_eq!(place(&[&falling]), (495, 5));
        assert_eq!(place(&[&rising]), (5, 5));
        assert_eq!(place(&[&rising, &vec![(0, 20), (600, 20)]]), (495, 315));
        assert_eq!(place(&[&rising, &falling]), (250, 5));
        assert_eq!(place(&[&Vec::new(), &vec![(550, 20)]]), (5, 5));
        // In a chart: no marker lies behind the legend, the last rectangle drawn.
        let ends = [(38.1, 34.9), (38.4, 35.0), (39.8, 35.5), (55.4, 38.4), (301.3, 249.5)];
        let series = ends.map(|(from, to)| Series {
            name: "η = 0.5".into(),
            points: vec![(10.0, from), (20.0, to)],
            marked: true,
            errors: Vec::new(),
        });
        let svg = Chart { series: series.into(), ..chart(true) }.to_svg();
        let numbers = |tag: &str| {
            let quoted = |line: &str| line.split('"').skip(1).step_by(2).map_while(|v| v.parse().ok()).collect::<Vec<f64>>();
            svg.lines().filter(|line| line.starts_with(tag)).map(quoted).collect::<Vec<_>>()
        };
        let (markers, rectangles) = (numbers("<circle"), numbers("<rect"));
        let [x, y, width, height, ..] = rectangles[rectangles.len() - 1][..] else { panic!("{rectangles:?}") };
        assert!(width < 200.0 && height < 200.0 && markers.len() == 10, "{rectangles:?} {markers:?}");
        for marker in markers {
            let [cx, cy, r, ..] = marker[..] else { panic!("{marker:?}") };
            assert!(cx + r < x || cx - r > x + width || cy + r < y || cy - r > y + height, "{marker:?} {x} {y} {width} {height}");
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_factors(&(3.0..150.0)), [5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(round_factors(&(1e-3..2e3)), [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0]);
    }
}
