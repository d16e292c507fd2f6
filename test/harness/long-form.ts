/** More of the same, for `npm run test:long` and `npm run test:faults`: what `npm test` only shows to be there is measured, and rare orders come up. */
export const LONG = process.env.TEST_LONG === '1';
