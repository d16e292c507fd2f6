/**
 * Limits how many requests or streams a connection has open at once. A request or stream counts until its event
 * `close`.
 *
 * @returns a function that counts one request or stream of a connection. If the connection has `max` open already,
 *   the function counts nothing and returns `false`.
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
