/** Which image: the broker's has nothing else in it; the one for CI jobs has all programs. */
export type Target = 'broker' | 'ci';
