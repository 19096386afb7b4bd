//! Values as they come back from another type: the loss of a re-saved file, without writing one.

/// A type in which models are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F16,
    Bf16,
    E4m3,
    E5m2,
    /// GGUF's blocks of 32 values with one scale: 8 and 4 bits.
    Q8,
    Q4,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [Kind::F16, Kind::Bf16, Kind::Q8, Kind::E4m3, Kind::E5m2, Kind::Q4];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::F16 => "fp16",
            Kind::Bf16 => "bf16",
            Kind::E4m3 => "fp8 (e4m3)",
            Kind::E5m2 => "fp8 (e5m2)",
            Kind::Q8 => "Q8_0",
            Kind::Q4 => "Q4_0",
        }
    }

    /// The values after saving and reading.
    pub(crate) fn saved(self, values: &[f32]) -> Vec<f32> {
        match self {
            Kind::F16 => values.iter().map(|value| float(*value, 10, -14, 65504.0)).collect(),
            Kind::Bf16 => values.iter().map(|value| float(*value, 7, -126, f64::from(f32::MAX))).collect(),
            Kind::E4m3 => values.iter().map(|value| float(*value, 3, -6, 448.0)).collect(),
            Kind::E5m2 => values.iter().map(|value| float(*value, 2, -14, 57344.0)).collect(),
            Kind::Q8 => blocks(values, |block| {
                let largest = block.iter().fold(0f32, |most, value| most.max(value.abs()));
                let scale = float(largest / 127.0, 10, -14, 65504.0);
                (scale, -127.0, 127.0)
            }),
            // The scale takes the sign of the largest value, which then is -8.
            Kind::Q4 => blocks(values, |block| {
                let largest = block
                    .iter()
                    .fold(0f32, |most, value| if value.abs() > most.abs() { *value } else { most });
                (float(largest / -8.0, 10, -14, 65504.0), -8.0, 7.0)
            }),
        }
    }
}

/// The nearest float with this many bits of fraction and this least exponent, ties to even.
fn float(value: f32, fraction_bits: i32, exponent_min: i32, max: f64) -> f32 {
    let wide = f64::from(value);
    if wide == 0.0 {
        return value;
    }
    let exponent = (wide.abs().log2().floor() as i32).max(exponent_min);
    let unit = 2f64.powi(exponent - fraction_bits);
    ((wide / unit).round_ties_even() * unit).clamp(-max, max) as f32
}

fn blocks(values: &[f32], scale_of: impl Fn(&[f32]) -> (f32, f32, f32)) -> Vec<f32> {
    let block = |block: &[f32]| -> Vec<f32> {
        let (scale, least, most) = scale_of(block);
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        block.iter().map(|value| (value * inverse).round().clamp(least, most) * scale).collect()
    };
    values.chunks(32).flat_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_roundings() {
        assert_eq!(Kind::F16.saved(&[0.1, 1e-8, 70000.0]), [0.099_975_586, 0.0, 65504.0]);
        assert_eq!(Kind::Bf16.saved(&[1.0, 0.1]), [1.0, 0.100_097_656]);
        assert_eq!(Kind::E4m3.saved(&[0.3, 500.0, 0.001]), [0.3125, 448.0, 0.001_953_125]);
        assert_eq!(Kind::E5m2.saved(&[0.3]), [0.3125]);
        let ramp: Vec<f32> = (0..32).map(|n| n as f32 / 31.0).collect();
        for (kind, step) in [(Kind::Q8, 1.0 / 127.0), (Kind::Q4, 1.0 / 8.0)] {
            let saved = kind.saved(&ramp);
            assert!(saved.iter().zip(&ramp).all(|(a, b)| (a - b).abs() <= step), "{kind:?}");
            assert!(saved.iter().zip(&ramp).any(|(a, b)| a != b));
        }
    }
}
