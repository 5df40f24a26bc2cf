import type { Part } from './part.ts';

/** Everything that a release is made of, in the order in which it is made. */
export const parts: readonly Part[] = [];
