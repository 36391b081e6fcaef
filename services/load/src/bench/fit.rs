//! A plane through measured points: `y = c₁ x₁ + c₂ x₂ + …`, by least squares of the relative errors, so that small
//! values count as much as large ones.

/// One measurement: the terms, and what came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<const N: usize> {
    /// x₁, x₂, …
    pub(crate) terms: [f64; N],
    /// y; not zero.
    pub(crate) value: f64,
}

/// The constants, and how well they fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fit<const N: usize> {
    /// c₁, c₂, …
    pub(crate) constants: [f64; N],
    /// Root of the mean square of the relative errors.
    pub(crate) error: f64,
    /// The largest relative error.
    pub(crate) worst: f64,
}

impl<const N: usize> Fit<N> {
    /// `None` if the samples do not tell the terms apart.
    pub(crate) fn of(samples: &[Sample<N>]) -> Option<Fit<N>> {
        let usable: Vec<_> = samples.iter().filter(|sample| sample.value.abs() > f64::EPSILON).collect();
        // Normal equations of the samples divided by their values: the right side is one for each.
        let (mut matrix, mut right) = ([[0.0; N]; N], [0.0; N]);
        for sample in &usable {
            let scaled = sample.terms.map(|term| term / sample.value);
            for row in 0..N {
                right[row] += scaled[row];
                for column in 0..N {
                    matrix[row][column] += scaled[row] * scaled[column];
                }
            }
        }
        let constants = solve(matrix, right)?;
        let mut fit = Fit { constants, error: 0.0, worst: 0.0 };
        let errors: Vec<f64> =
            usable.iter().map(|sample| (fit.at(&sample.terms) - sample.value) / sample.value).collect();
        fit.error = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
        fit.worst = errors.iter().fold(0.0, |worst, error| error.abs().max(worst));
        Some(fit)
    }

    /// What the constants say of these terms.
    pub(crate) fn at(&self, terms: &[f64; N]) -> f64 {
        self.constants.iter().zip(terms).map(|(constant, term)| constant * term).sum()
    }
}

/// Gauss, with pivots.
fn solve<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for step in 0..N {
        let pivot = (step..N).max_by(|a, b| matrix[*a][step].abs().total_cmp(&matrix[*b][step].abs()))?;
        matrix.swap(step, pivot);
        right.swap(step, pivot);
        if matrix[step][step].abs() < 1e-12 {
            return None;
        }
        let (above, below) = matrix.split_at_mut(step + 1);
        let pivot = &above[step];
        for (below, row) in below.iter_mut().zip(step + 1..) {
            let factor = below[step] / pivot[step];
            below.iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            right[row] -= factor * right[step];
        }
    }
    let mut solution = [0.0; N];
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn constants_are_found_again() {
        let samples: Vec<_> = [(1e4, 0.0), (5e4, 0.0), (1e5, 1e4), (1e4, 2e4), (0.0, 2e4)]
            .map(|(x, y)| Sample { terms: [x, y], value: 1.1 * x + 7.5 * y })
            .into();
        let fit = Fit::of(&samples).unwrap();
        assert!((fit.constants[0] - 1.1).abs() < 1e-6 && (fit.constants[1] - 7.5).abs() < 1e-6, "{fit:?}");
        assert!(fit.error < 1e-9 && fit.worst < 1e-9);
        assert!((fit.at(&[1e6, 1e5]) - 1.85e6).abs() < 1.0);
    }

    #[test]
    fn a_measurement_that_is_off_shows() {
        let sample = |x: f64, value| Sample { terms: [x], value };
        let fit = Fit::of(&[sample(1.0, 1.0), sample(10.0, 10.0), sample(100.0, 150.0)]).unwrap();
        assert!(fit.worst > 0.1 && fit.error > 0.05 && fit.error < fit.worst, "{fit:?}");
    }

    #[test]
    fn terms_that_go_together_cannot_be_told_apart() {
        let sample = |x: f64| Sample { terms: [x, 2.0 * x], value: x };
        assert_eq!(Fit::of(&[sample(1.0), sample(2.0), sample(5.0)]), None);
        assert_eq!(Fit::<2>::of(&[]), None);
    }
}
