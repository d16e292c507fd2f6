/**
 * Limits what a connection has open at once: requests or streams, each of which closes later.
 *
 * @returns a function that counts one; it returns `false`, without counting, when the connection has `max` open
 */
export function limitPerConnection(max: number) {
  const openOf = new WeakMap<object, number>();
  return (connection: object, opened: { once(event: 'close', listener: () => void): unknown }): boolean => {
    const open = openOf.get(connection) ?? 0;
    if (open >= max) return false;
    openOf.set(connection, open + 1);
    opened.once('close', () => openOf.set(connection, (openOf.get(connection) ?? 1) - 1));
    return true;
  };
}
