/**
 * The deadline of a call whose caller names no deadline. A user in front of a screen waits for about this
 * long.
 */
export const DEFAULT_TIMEOUT_MS = 3_000;

/** The longest deadline that a caller may ask for. */
export const MAX_TIMEOUT_MS = 30_000;
