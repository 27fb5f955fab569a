"""A linear or mixed-integer program, put together block by block and solved by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparring.errors import MissingExtra

Array = NDArray[np.float64]
GAP = 0.5
"a solution of a mixed-integer program need not be better than this: half of the best"


@dataclass(frozen=True)
class Solved:
    """The values of all unknowns, or None where no solution is known; `proved`: there is none, or these are good."""

    values: Array | None
    cost: float
    proved: bool


@dataclass
class Program:
    """Minimise the cost over bounded unknowns, some of them whole numbers, with low <= a v <= high for each row."""

    low: list[Array] = field(default_factory=list)
    high: list[Array] = field(default_factory=list)
    cost: list[Array] = field(default_factory=list)
    whole: list[Array] = field(default_factory=list)
    blocks: list[tuple[int, int, Array]] = field(default_factory=list)
    row_low: list[Array] = field(default_factory=list)
    row_high: list[Array] = field(default_factory=list)
    width: int = 0
    height: int = 0

    def columns(self, low: Array, high: Array, cost: float = 0.0, whole: bool = False) -> int:
        """Add unknowns between bounds; the number of the first."""
        first, count = self.width, len(low)
        self.low.append(low)
        self.high.append(high)
        self.cost.append(np.full(count, cost))
        self.whole.append(np.full(count, float(whole)))
        self.width += count
        return first

    def rows(self, blocks: Sequence[tuple[int, Array]], low: Array | float, high: Array | float) -> None:
        """Add inequalities: the sum of a [m, n] times the n unknowns from `first` on, for each (first, a)."""
        count = len(blocks[0][1])
        self.blocks += [(self.height, first, a) for first, a in blocks]
        self.row_low.append(np.broadcast_to(np.asarray(low, dtype=float), count))
        self.row_high.append(np.broadcast_to(np.asarray(high, dtype=float), count))
        self.height += count

    def solve(self, seconds: float) -> Solved:
        """Solve it, for so long at most.

        Raises:
            MissingExtra: HiGHS is not installed.
        """
        try:
            import highspy
        except ImportError:
            raise MissingExtra("the exact smallest perturbation", "certify") from None
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.width, self.height
        program.col_cost_ = np.concatenate(self.cost)
        program.col_lower_, program.col_upper_ = np.concatenate(self.low), np.concatenate(self.high)
        program.row_lower_, program.row_upper_ = np.concatenate(self.row_low), np.concatenate(self.row_high)
        row, column, value = self._entries()
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.concatenate([[0], np.bincount(row, minlength=self.height).cumsum()])
        program.a_matrix_.index_, program.a_matrix_.value_ = column, value
        whole = np.concatenate(self.whole) > 0
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        if whole.any():
            program.integrality_ = [kinds[int(each)] for each in whole]
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("time_limit", max(0.1, seconds))
        solver.setOptionValue("mip_rel_gap", GAP)
        solver.passModel(program)
        solver.run()
        status, info = solver.getModelStatus(), solver.getInfo()
        if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
            values = np.array(solver.getSolution().col_value)
            return Solved(values, float(info.objective_function_value), status == highspy.HighsModelStatus.kOptimal)
        return Solved(None, np.inf, status == highspy.HighsModelStatus.kInfeasible)

    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """The entries that are not zero: row by row, their columns and values."""
        found = [(first_row, first, a, a.nonzero()) for first_row, first, a in self.blocks]
        row = np.concatenate([at[0] + first_row for first_row, _, _, at in found])
        column = np.concatenate([at[1] + first for _, first, _, at in found])
        value = np.concatenate([a[at] for _, _, a, at in found])
        order = np.lexsort((column, row))
        return row[order], column[order], value[order]
