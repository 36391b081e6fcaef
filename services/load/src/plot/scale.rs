//! From values to places on an axis.

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps.
    Linear,
    /// Equal factors.
    Logarithmic,
}

/// An axis with its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    /// So that all values lie on it, its ends on marks. `None` without values, or where a logarithm is asked of zero.
    pub(super) fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        match scale {
            _ if low > high => None,
            Scale::Linear => {
                let low = low.min(0.0);
                let step = step(high - low);
                Some(Self { scale, low: (low / step).floor() * step, high: (high / step).ceil().max(1.0) * step })
            }
            Scale::Logarithmic if low <= 0.0 => None,
            Scale::Logarithmic => {
                let (low, high) = (mark_below(low), mark_above(high));
                Some(Self { scale, low, high: if high > low { high } else { high * 10.0 } })
            }
        }
    }

    /// From 0, the low end, to 1, the high end.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// The values that have a mark.
    pub(super) fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high - self.low);
                let count = ((self.high - self.low) / step).round() as usize;
                (0..=count).map(|n| self.low + n as f64 * step).collect()
            }
            Scale::Logarithmic => {
                let mut marks: Vec<f64> =
                    decades(self.low, self.high).flat_map(|ten| [ten, 2.0 * ten, 5.0 * ten]).collect();
                let near = 1.0 + 1e-9;
                marks.retain(|mark| *mark * near >= self.low && *mark <= self.high * near);
                if marks.len() > 10 {
                    marks.retain(|mark| (mark.log10() - mark.log10().round()).abs() < 1e-9);
                }
                marks
            }
        }
    }
}

fn decades(low: f64, high: f64) -> impl Iterator<Item = f64> {
    (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|exponent| 10f64.powi(exponent))
}

fn mark_below(value: f64) -> f64 {
    let ten = 10f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].map(|n| n * ten).into_iter().find(|mark| *mark <= value * 1.000_001).unwrap_or(ten)
}

fn mark_above(value: f64) -> f64 {
    let ten = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|mark| *mark >= value * 0.999_999).unwrap_or(ten)
}

/// 1, 2 or 5 times a power of ten, about five times in `span`.
fn step(span: f64) -> f64 {
    let rough = if span > 0.0 { span / 5.0 } else { 1.0 };
    let ten = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|n| n * ten).into_iter().find(|step| *step >= rough * 0.999_999).unwrap_or(10.0 * ten)
}

/// As people write it: 0.25, 40, 18 k, 1 M.
pub(super) fn written(value: f64) -> String {
    let (number, unit) = match value.abs() {
        huge if huge >= 1e6 => (value / 1e6, " M"),
        large if large >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match number.abs() {
        n if n >= 100.0 || n == n.trunc() => 0,
        n if n >= 10.0 => 1,
        n if n >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_on_a_mark() {
        let range = Range::around(Scale::Linear, [3.2, 18.0, 7.0].into_iter()).unwrap();
        assert_eq!(range.marks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!((range.place(0.0), range.place(10.0), range.place(20.0)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn a_logarithmic_axis_gives_equal_room_to_equal_factors() {
        let range = Range::around(Scale::Logarithmic, [1_000.0, 1_000_000.0].into_iter()).unwrap();
        assert_eq!(range.marks().first().zip(range.marks().last().copied()).unwrap(), (&1_000.0, 1_000_000.0));
        assert!((range.place(1_000.0)).abs() < 1e-9 && (range.place(1_000_000.0) - 1.0).abs() < 1e-9);
        assert!((range.place(31_622.776_6) - 0.5).abs() < 1e-6);
        assert_eq!(
            Range::around(Scale::Logarithmic, [1_000.0, 18_000.0].into_iter()).unwrap().marks().last(),
            Some(&20_000.0)
        );
    }

    #[test]
    fn without_values_there_is_no_axis() {
        assert!(Range::around(Scale::Linear, std::iter::empty()).is_none());
        assert!(Range::around(Scale::Linear, [f64::NAN].into_iter()).is_none());
        assert!(Range::around(Scale::Logarithmic, [0.0, 1.0].into_iter()).is_none());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.25, "0.25"), (40.0, "40"), (1_000.0, "1000"), (18_000.0, "18 k"), (2.5e6, "2.5 M")]
        {
            assert_eq!(written(value), text);
        }
    }
}
