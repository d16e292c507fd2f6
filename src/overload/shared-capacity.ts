export type SharedCapacity = ReturnType<typeof createSharedCapacity>;

/**
 * A capacity that users share. Each user may hold as much as is free. So a lone user can fill half of the
 * capacity, two greedy users a third each, and there is always room for a new user. This rule is the dynamic
 * threshold of shared buffers (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
 *
 * A fixed share per user was rejected: the share would have to suit many users, and would then refuse the
 * burst of a lone user while nothing else is served.
 */
export function createSharedCapacity(max: number) {
  let taken = 0;
  /** Contains only users that hold capacity, so that the map does not grow with the number of users. */
  const takenBy = new Map<string | undefined, number>();
  return {
    /** The capacity that all users together hold at this moment. */
    get taken(): number {
      return taken;
    },
    /**
     * The user `undefined` stands for all callers that have not proved to be a gateway.
     *
     * @returns `false`, without taking anything, when this user may not take that much
     */
    take(user: string | undefined, amount: number): boolean {
      const own = takenBy.get(user) ?? 0;
      if (own + amount > max - taken) return false;
      taken += amount;
      takenBy.set(user, own + amount);
      return true;
    },
    giveBack(user: string | undefined, amount: number): void {
      taken -= amount;
      const others = (takenBy.get(user) ?? 0) - amount;
      if (others > 0) takenBy.set(user, others);
      else takenBy.delete(user);
    },
  };
}
