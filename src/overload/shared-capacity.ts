export type SharedCapacity = ReturnType<typeof createSharedCapacity>;

/**
 * A capacity that users share. A user may take an amount if the user then holds no more than was free before. With
 * amounts that are small beside the capacity, a single user can hold about half of it, and two users who take side by
 * side about a third each. So no user alone can fill the capacity. Each further user finds room until the free rest is
 * smaller than the amount.
 *
 * This rule is the dynamic threshold of shared buffers (Choudhury and Hahne, IEEE/ACM Transactions on Networking
 * 6(2), 1998).
 *
 * A fixed share for each user was rejected. The share would have to be small, to suit many users. A single user
 * with many calls at once would then be refused while most of the capacity is free.
 */
export function createSharedCapacity<Holder = string | undefined>(max: number) {
  let taken = 0;
  /** Contains only users that hold capacity, so that the map does not grow with the number of users. */
  const takenBy = new Map<Holder, number>();
  return {
    /** The capacity that all users together hold at this moment. */
    get taken(): number {
      return taken;
    },
    /**
     * Takes capacity for a user. All callers that have not authenticated as a gateway (the trusted caller that names
     * the user) share the user `undefined`.
     *
     * @returns `false`, without taking anything, when this user may not take that much
     */
    take(user: Holder, amount: number): boolean {
      const own = takenBy.get(user) ?? 0;
      if (own + amount > max - taken) return false;
      taken += amount;
      takenBy.set(user, own + amount);
      return true;
    },
    giveBack(user: Holder, amount: number): void {
      taken -= amount;
      const others = (takenBy.get(user) ?? 0) - amount;
      if (others > 0) takenBy.set(user, others);
      else takenBy.delete(user);
    },
  };
}
