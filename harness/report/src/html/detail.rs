//! How much of everything a cell shows: levels, of which the first is taken for every cell, and a lower one
//! for the longest as long as the page is too long.

/// How much is shown of one cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// Operations of one list.
    pub(super) operations: usize,
    /// Programs of one tree.
    pub(super) programs: usize,
    /// Paths of one op.
    pub(super) paths: usize,
    /// Files of one op of which it is shown what they say.
    pub(super) files: usize,
    /// Lines of that, of each.
    pub(super) lines: usize,
    /// Lines of output, of each channel.
    pub(super) output: usize,
    /// Ops, packages, requests and whatever else is a plain list.
    pub(super) rows: usize,
    /// Characters of a command.
    pub(super) command: usize,
}

impl Detail {
    /// From the most that is of use to the least.
    pub(super) const LEVELS: [Self; 6] = [
        Self::of([400, 2000, 4000, 200, 400, 400, 1000, 4000]),
        Self::of([200, 600, 1500, 60, 120, 120, 400, 2000]),
        Self::of([100, 200, 500, 20, 60, 60, 120, 1000]),
        Self::of([40, 60, 150, 6, 30, 20, 40, 400]),
        Self::of([10, 12, 20, 1, 10, 8, 12, 160]),
        Self::of([3, 0, 0, 0, 0, 0, 3, 80]),
    ];

    const fn of(most: [usize; 8]) -> Self {
        let [
            operations,
            programs,
            paths,
            files,
            lines,
            output,
            rows,
            command,
        ] = most;
        Self {
            operations,
            programs,
            paths,
            files,
            lines,
            output,
            rows,
            command,
        }
    }
}
