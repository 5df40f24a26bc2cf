/** A part of a release: what it is made of is told where it is made; here is what `npm run release` asks of each. */
export interface Part {
  /** As `npm run release:dry -- NAME` has it. */
  readonly name: string;
  /**
   * Writes its files into that folder from `dist/`, as `node build.mjs` left it, and from what other parts have written
   * there before. Returns their names within the folder.
   */
  readonly make: (into: string) => Promise<readonly string[]>;
  readonly checks: readonly Check[];
}

/** Uses what was made as its user would. */
export interface Check {
  /** What is true if it passes, as the table says it: "starts without a Node". */
  readonly says: string;
  /** What this machine lacks for it; undefined if nothing. */
  readonly lacks?: (folder: string) => string | undefined;
  /** Throws if it is not true. The folder is the one that the part was made into. */
  readonly run: (folder: string) => Promise<void>;
}

export interface CheckOutcome {
  readonly says: string;
  readonly state: 'passed' | 'failed' | 'not run';
  /** Why it failed, or was not run. */
  readonly why?: string;
}

/** What became of a part. */
export interface Outcome {
  readonly part: string;
  readonly files: readonly { readonly name: string; readonly size: number; readonly sha256: string }[];
  readonly checks: readonly CheckOutcome[];
  /** Why it could not be made. */
  readonly failure?: string;
  readonly seconds: number;
}
