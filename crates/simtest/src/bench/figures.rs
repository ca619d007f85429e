//! Figures of several runs.

/// The middle of some figures; the upper one of two. Zero of none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The greatest of some figures. Zero of none.
#[must_use]
pub fn greatest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

/// How much `y` grows with each `x`, between the first and the last point.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let ((x0, y0), (x1, y1)) = (points.first()?, points.last()?);
    (x1 > x0).then(|| (y1 - y0) / (x1 - x0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_several_runs() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[])), (2.0, 0.0));
        assert_eq!((greatest(&[1.0, 3.0, 2.0]), greatest(&[])), (3.0, 0.0));
        assert_eq!(slope(&[(1.0, 5.0), (2.0, 0.0), (3.0, 9.0)]), Some(2.0));
        assert_eq!((slope(&[(1.0, 5.0)]), slope(&[])), (None, None));
    }
}
