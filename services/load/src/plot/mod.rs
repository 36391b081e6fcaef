//! Plots as SVG files: lines with points over two axes, linear or logarithmic. Only what the growth curves need.
//!
//! | file | what |
//! |---|---|
//! | `scale` | from values to places, and where an axis has its marks |
//! | `svg` | the picture as text |

mod scale;
mod svg;

pub use scale::Scale;

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What is shown, in one line.
    pub title: String,
    /// How it was measured; smaller, below the title.
    pub subtitle: String,
    /// To the right.
    pub x: Axis,
    /// Upwards; it always begins at zero where it is linear.
    pub y: Axis,
    /// The curves, in the order of the legend.
    pub curves: Vec<Curve>,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What, with its unit.
    pub name: String,
    /// Equal steps or equal factors.
    pub scale: Scale,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// (x, y), in the order of x.
    pub points: Vec<(f64, f64)>,
    /// The lowest and the highest of the rounds at each point; empty where there was one round.
    pub spread: Vec<(f64, f64)>,
    /// A calculation, not a measurement: drawn dashed and without points.
    pub computed: bool,
}

impl Plot {
    /// The file's text; `None` where no curve has a point.
    pub fn svg(&self) -> Option<String> {
        svg::picture(self)
    }
}
