/**
 * Orders rows in rounds: the first row of each user, then the second row of each user, and so on. So the rows of a user
 * do not wait for all rows of another user. Within a round, the rows keep their order.
 */
export function inTurns<Row>(rows: readonly Row[], userOf: (row: Row) => string): Row[] {
  const rounds = new Map<string, number>();
  const withRound = rows.map((row) => {
    const user = userOf(row);
    const round = rounds.get(user) ?? 0;
    rounds.set(user, round + 1);
    return { row, round };
  });
  // The sort is stable.
  return withRound.sort((a, b) => a.round - b.round).map(({ row }) => row);
}
