/**
 * True in `npm run test:long` and `npm run test:resilience`. The same tests then run longer: they measure the
 * effects that `npm test` only shows, and they reach rare interleavings.
 */
export const LONG = process.env.TEST_LONG === '1';
