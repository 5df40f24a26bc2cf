import { execFileSync } from 'node:child_process';

/**
 * Seconds: when what is made is said to be made. Of the commit, unless SOURCE_DATE_EPOCH says another
 * (https://reproducible-builds.org/specs/source-date-epoch).
 */
export const epoch = (): number =>
  Number(
    process.env['SOURCE_DATE_EPOCH'] ?? execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' }).trim(),
  );
