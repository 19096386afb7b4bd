//! From full-size luma to the 64 x 64 samples that are transformed.
//!
//! The reference blurs the whole picture four times (rows, columns, rows, columns; each a running
//! mean) between two full-size buffers and then picks 64 x 64 values. Here the four passes are
//! chained: a few rows at a time go through the first two, and the last two compute only what is picked
//! in the end. Memory is a window of rows instead of two pictures.
//!
//! Exactness: a running mean keeps a sum, adds the value that enters the window, subtracts the one
//! that leaves, and divides by the number inside. Rounding depends on that order, so each row and
//! each column keeps its own sum and goes through exactly these steps from its first value to its
//! last. What is free is which rows or columns advance side by side: eight rows in the lanes of an
//! array when running along rows, a whole row of columns when running down columns. Both are plain
//! loops over arrays which the compiler turns into vector instructions. A mean that nobody picks is
//! not divided out; the sum goes on regardless.

/// Samples along each side.
pub(super) const SIDE: usize = 64;

/// The blurred picture at 64 x 64 points, row by row.
pub(super) type Samples = [[f32; SIDE]; SIDE];

/// Rows that run along in the lanes of one array.
const LANES: usize = 8;

/// One column of [`LANES`] neighbouring rows.
type Lanes = [f32; LANES];

/// The window of one running mean: two passes over it cover one 64th of the side.
fn window_of(side: usize) -> usize {
    side.div_ceil(2 * SIDE)
}

/// Where in a side of `side` values the samples are: the centres of 64 equal parts.
fn sample_positions(side: usize) -> [usize; SIDE] {
    std::array::from_fn(|i| (2 * i + 1) * side / (2 * SIDE))
}

/// How a running mean over `window` values walks: output `o` has `before` values entered ahead of it
/// and loses its first value at output `full`.
#[derive(Clone, Copy)]
struct Walk {
    window: usize,
    /// Values added before the first output.
    before: usize,
    /// Outputs while the window fills; from then on one value leaves for each output.
    full: usize,
}

impl Walk {
    fn new(window: usize) -> Self {
        let half = (window + 2) / 2;
        Self { window, before: half - 1, full: window - half + 1 }
    }
}

/// Runs the mean along `input`, one sum for each lane, and shows every output position, sums and count of
/// values in the window to `emit`, in order. `input` is at least as long as the window.
#[inline(always)]
fn run<const L: usize>(input: &[[f32; L]], walk: Walk, mut emit: impl FnMut(usize, &[f32; L], f32)) {
    let (first, entering) = input.split_at(walk.before);
    let (filling, entering) = entering.split_at(walk.full);
    let (leaving, last) = input.split_at(input.len() - walk.window);
    let mut sums = [0.0f32; L];
    let mut output = 0;

    for x in first {
        add(&mut sums, x);
    }
    for x in filling {
        add(&mut sums, x);
        emit(output, &sums, (walk.before + output + 1) as f32);
        output += 1;
    }
    for (x, gone) in entering.iter().zip(leaving) {
        add(&mut sums, x);
        subtract(&mut sums, gone);
        emit(output, &sums, walk.window as f32);
        output += 1;
    }
    for (i, gone) in last[..walk.before].iter().enumerate() {
        subtract(&mut sums, gone);
        emit(output, &sums, (walk.window - i - 1) as f32);
        output += 1;
    }
}

#[inline(always)]
fn add<const L: usize>(sums: &mut [f32; L], x: &[f32; L]) {
    for (s, x) in sums.iter_mut().zip(x) {
        *s += x;
    }
}

#[inline(always)]
fn subtract<const L: usize>(sums: &mut [f32; L], x: &[f32; L]) {
    for (s, x) in sums.iter_mut().zip(x) {
        *s -= x;
    }
}

/// Runs the mean along `input` and keeps only the outputs at `positions` (ascending, may repeat).
fn run_sampled<const L: usize>(
    input: &[[f32; L]],
    walk: Walk,
    positions: &[usize; SIDE],
    mut keep: impl FnMut(usize, [f32; L]),
) {
    let mut next = 0;
    run(input, walk, |output, sums, count| {
        while next < SIDE && positions[next] == output {
            keep(next, sums.map(|s| s / count));
            next += 1;
        }
    });
}

/// Blurs a picture of `width` x `height` (both at least 5), whose luma rows `fill_row` writes on request,
/// once each from top to bottom, and samples it.
///
/// A picture of 64 x 64 is taken as it is, since the reference's plain hash does so. (Its dihedral hashes
/// do not, and run four means over windows of one value; that moves values by rounding errors.)
pub(super) fn to_64x64(
    width: usize,
    height: usize,
    mut fill_row: impl FnMut(usize, &mut [f32]),
) -> Box<Samples> {
    if width == SIDE && height == SIDE {
        let mut samples = Box::new([[0.0; SIDE]; SIDE]);
        for (row, out) in samples.iter_mut().enumerate() {
            fill_row(row, out);
        }
        return samples;
    }
    let mut top = RowPass::new(width, height);
    let mut columns = ColumnPass::new(width, height);
    let mut narrow = NarrowPass::new(width, height);

    for output in 0..height {
        let needed = (output + columns.walk.before + 1).min(height);
        while top.rows_done < needed {
            top.next_batch(&mut fill_row);
        }
        let mean = narrow.row_slot(output);
        columns.output_row(output, &top, mean);
        if output % LANES == LANES - 1 || output == height - 1 {
            narrow.finish_batch(output);
        }
    }
    narrow.sample_columns(height)
}

/// First pass, along rows: a ring of blurred rows, filled a batch of lanes at a time.
struct RowPass {
    width: usize,
    height: usize,
    walk: Walk,
    rows_done: usize,
    /// Raw luma of one batch, row by row.
    luma: Vec<f32>,
    /// The same, with the rows in lanes.
    input: Vec<Lanes>,
    output: Vec<Lanes>,
    /// Blurred rows; row `r` is at `r % ring_rows`.
    ring: Vec<f32>,
    ring_rows: usize,
}

impl RowPass {
    fn new(width: usize, height: usize) -> Self {
        // The column pass looks back by one window from the newest row, and a batch is written whole.
        let ring_rows = (window_of(height) + LANES).next_multiple_of(LANES) + LANES;
        Self {
            width,
            height,
            walk: Walk::new(window_of(width)),
            rows_done: 0,
            luma: vec![0.0; width * LANES],
            input: vec![[0.0; LANES]; width],
            output: vec![[0.0; LANES]; width],
            ring: vec![0.0; width * ring_rows],
            ring_rows,
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        let at = row % self.ring_rows * self.width;
        &self.ring[at..at + self.width]
    }

    fn next_batch(&mut self, fill_row: &mut impl FnMut(usize, &mut [f32])) {
        // In the last batch, lanes past the bottom keep old rows; nobody reads what they become.
        let rows = LANES.min(self.height - self.rows_done);
        for (lane, out) in self.luma.chunks_exact_mut(self.width).take(rows).enumerate() {
            fill_row(self.rows_done + lane, out);
        }
        rows_to_lanes(&self.luma, &mut self.input);
        let output = &mut self.output;
        run(&self.input, self.walk, |col, sums, count| output[col] = sums.map(|s| s / count));
        let at = self.rows_done % self.ring_rows * self.width;
        lanes_to_rows(&self.output, &mut self.ring[at..at + LANES * self.width]);
        self.rows_done += rows;
    }
}

/// Second pass, down columns: one sum for each column, all advancing together row by row.
struct ColumnPass {
    walk: Walk,
    height: usize,
    sums: Vec<f32>,
    count: usize,
}

impl ColumnPass {
    fn new(width: usize, height: usize) -> Self {
        Self { walk: Walk::new(window_of(height)), height, sums: vec![0.0; width], count: 0 }
    }

    /// Writes the means for row `output`; called for each row in order, with its window's rows ready.
    fn output_row(&mut self, output: usize, rows: &RowPass, mean: &mut [f32]) {
        if output == 0 {
            for r in 0..self.walk.before {
                self.enter(rows.row(r));
            }
        }
        let entering = output + self.walk.before;
        let entering = (entering < self.height).then(|| rows.row(entering));
        let leaving = output.checked_sub(self.walk.full).map(|r| rows.row(r));
        match (entering, leaving) {
            (Some(x), Some(gone)) => {
                let count = self.count as f32;
                for (((s, x), gone), m) in self.sums.iter_mut().zip(x).zip(gone).zip(mean) {
                    *s += x;
                    *s -= gone;
                    *m = *s / count;
                }
                return;
            }
            (Some(x), None) => self.enter(x),
            (None, Some(gone)) => self.leave(gone),
            (None, None) => {}
        }
        let count = self.count as f32;
        for (s, m) in self.sums.iter().zip(mean) {
            *m = s / count;
        }
    }

    fn enter(&mut self, row: &[f32]) {
        self.count += 1;
        for (s, x) in self.sums.iter_mut().zip(row) {
            *s += x;
        }
    }

    fn leave(&mut self, row: &[f32]) {
        self.count -= 1;
        for (s, x) in self.sums.iter_mut().zip(row) {
            *s -= x;
        }
    }
}

/// Third and fourth pass: along rows, keeping the 64 sampled columns, then down those, keeping 64 rows.
struct NarrowPass {
    width: usize,
    walk: Walk,
    columns: [usize; SIDE],
    batch: Vec<f32>,
    input: Vec<Lanes>,
    /// One entry for each row of the picture, only at the sampled columns.
    rows: Vec<[f32; SIDE]>,
}

impl NarrowPass {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            walk: Walk::new(window_of(width)),
            columns: sample_positions(width),
            batch: vec![0.0; width * LANES],
            input: vec![[0.0; LANES]; width],
            rows: vec![[0.0; SIDE]; height],
        }
    }

    fn row_slot(&mut self, row: usize) -> &mut [f32] {
        let at = row % LANES * self.width;
        &mut self.batch[at..at + self.width]
    }

    fn finish_batch(&mut self, last_row: usize) {
        rows_to_lanes(&self.batch, &mut self.input);
        let first_row = last_row / LANES * LANES;
        let rows = &mut self.rows[first_row..=last_row];
        run_sampled(&self.input, self.walk, &self.columns, |i, means| {
            for (row, mean) in rows.iter_mut().zip(means) {
                row[i] = mean;
            }
        });
    }

    fn sample_columns(&self, height: usize) -> Box<Samples> {
        let mut samples = Box::new([[0.0; SIDE]; SIDE]);
        let walk = Walk::new(window_of(height));
        run_sampled(&self.rows, walk, &sample_positions(height), |i, means| samples[i] = means);
        samples
    }
}

/// Transposes [`LANES`] rows, one after the other in `rows`, into lanes.
fn rows_to_lanes(rows: &[f32], lanes: &mut [Lanes]) {
    let width = lanes.len();
    let rows: [&[f32]; LANES] = std::array::from_fn(|l| &rows[l * width..][..width]);
    for (col, lane) in lanes.iter_mut().enumerate() {
        *lane = std::array::from_fn(|l| rows[l][col]);
    }
}

/// The reverse of [`rows_to_lanes`].
fn lanes_to_rows(lanes: &[Lanes], rows: &mut [f32]) {
    let width = lanes.len();
    for (l, row) in rows.chunks_exact_mut(width).enumerate() {
        for (x, lane) in row.iter_mut().zip(lanes) {
            *x = lane[l];
        }
    }
}
