/** Deadline of a call that names none: how long a user in front of a screen waits. */
export const DEFAULT_TIMEOUT_MS = 3_000;

/** The longest deadline that a caller may ask for. */
export const MAX_TIMEOUT_MS = 30_000;
