//! A plot as SVG: plain elements, no script, no style sheet, a white ground, so that it looks the same everywhere.

use std::fmt::Write as _;

use super::{
    Curve, Plot,
    scale::{Range, written},
};

const WIDTH: f64 = 760.0;
/// Without the legend.
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 56.0;
/// Of one line of the legend.
const LINE: f64 = 20.0;
const FONT: &str = "font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\"";
/// Told apart by the colour-blind too (Okabe and Ito), dark first.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

pub(super) fn picture(plot: &Plot) -> Option<String> {
    let points = || plot.curves.iter().flat_map(|curve| &curve.points);
    let spread = || plot.curves.iter().flat_map(|curve| &curve.spread);
    let x = Range::around(plot.x.scale, points().map(|point| point.0))?;
    let heights = points().map(|point| point.1).chain(spread().flat_map(|(low, high)| [*low, *high]));
    let y = Range::around(plot.y.scale, heights)?;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut out, plot, &Frame { x, y });
    Some(out)
}

/// Where values are in the picture.
struct Frame {
    x: Range,
    y: Range,
}

impl Frame {
    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - BOTTOM - TOP)
    }
}

fn draw(out: &mut String, plot: &Plot, frame: &Frame) -> std::fmt::Result {
    let height = HEIGHT + LINE * plot.curves.len() as f64 + 8.0;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" {FONT} font-size=\"13\" fill=\"#222\">"
    )?;
    writeln!(out, "<title>{}</title>", escaped(&plot.title))?;
    writeln!(out, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>")?;
    text(out, (LEFT, 26.0), "start", "font-size=\"17\" font-weight=\"bold\"", &plot.title)?;
    text(out, (LEFT, 46.0), "start", "fill=\"#555\" font-size=\"12\"", &plot.subtitle)?;
    axes(out, plot, frame)?;
    for (n, curve) in plot.curves.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        draw_curve(out, curve, colour, frame, n)?;
        let at = HEIGHT + LINE * n as f64 + 4.0;
        line(out, (LEFT, at), (LEFT + 28.0, at), &stroke(curve, colour))?;
        text(out, (LEFT + 36.0, at + 4.5), "start", "", &curve.name)?;
    }
    writeln!(out, "</svg>")
}

fn axes(out: &mut String, plot: &Plot, frame: &Frame) -> std::fmt::Result {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for mark in frame.y.marks() {
        let at = frame.down(mark);
        line(out, (LEFT, at), (right, at), "stroke=\"#ddd\"")?;
        text(out, (LEFT - 8.0, at + 4.5), "end", "", &written(mark))?;
    }
    for mark in frame.x.marks() {
        let at = frame.across(mark);
        line(out, (at, bottom), (at, bottom + 5.0), "stroke=\"#222\"")?;
        text(out, (at, bottom + 20.0), "middle", "", &written(mark))?;
    }
    line(out, (LEFT, TOP), (LEFT, bottom), "stroke=\"#222\"")?;
    line(out, (LEFT, bottom), (right, bottom), "stroke=\"#222\"")?;
    text(out, ((LEFT + right) / 2.0, bottom + 42.0), "middle", "", &plot.x.name)?;
    let middle = (TOP + bottom) / 2.0;
    text(out, (18.0, middle), "middle", &format!("transform=\"rotate(-90 18 {middle})\""), &plot.y.name)
}

fn draw_curve(out: &mut String, curve: &Curve, colour: &str, frame: &Frame, n: usize) -> std::fmt::Result {
    for ((x, _), (low, high)) in curve.points.iter().zip(&curve.spread) {
        // Beside each other where curves lie close.
        let at = frame.across(*x) + 3.0 * (n as f64 - 0.5);
        line(
            out,
            (at, frame.down(*low)),
            (at, frame.down(*high)),
            &format!("stroke=\"{colour}\" stroke-opacity=\"0.6\" stroke-width=\"1.5\""),
        )?;
    }
    let mut path = String::new();
    for (n, (x, y)) in curve.points.iter().enumerate() {
        write!(path, "{}{:.1} {:.1}", if n == 0 { "M" } else { " L" }, frame.across(*x), frame.down(*y))?;
    }
    writeln!(out, "<path d=\"{path}\" fill=\"none\" {}/>", stroke(curve, colour))?;
    if !curve.computed {
        for (x, y) in &curve.points {
            let (x, y) = (frame.across(*x), frame.down(*y));
            writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>")?;
        }
    }
    Ok(())
}

fn stroke(curve: &Curve, colour: &str) -> String {
    let dashes = if curve.computed { " stroke-dasharray=\"7 5\"" } else { "" };
    format!("stroke=\"{colour}\" stroke-width=\"2\"{dashes}")
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), how: &str) -> std::fmt::Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {how}/>")
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, how: &str, what: &str) -> std::fmt::Result {
    let (x, y) = at;
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {how}>{}</text>", escaped(what))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::{
        super::{Axis, Scale},
        *,
    };

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let axis = |name: &str, scale| Axis { name: name.to_owned(), scale };
        Plot {
            title: "a < b & c".to_owned(),
            subtitle: "how".to_owned(),
            x: axis("connections", Scale::Logarithmic),
            y: axis("µs", Scale::Linear),
            curves: vec![Curve { name: "one".to_owned(), points, spread: vec![(1.0, 9.0)], computed: false }],
        }
    }

    #[test]
    fn every_point_is_in_the_picture() {
        let svg = plot(vec![(1_000.0, 5.0), (18_000.0, 10.0)]).svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains(">20 k<") && svg.contains(">µs<"), "{svg}");
        for number in svg.split(['"', ' ', 'M', 'L']).filter_map(|word| word.parse::<f64>().ok()) {
            assert!((-90.0..=760.0).contains(&number), "{number}: {svg}");
        }
    }

    #[test]
    fn nothing_measured_is_no_picture() {
        assert_eq!(plot(Vec::new()).svg(), None);
    }
}
