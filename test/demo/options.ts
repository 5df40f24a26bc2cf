import { parseArgs } from 'node:util';

export const actNames = ['person', 'job', 'admin'] as const;
export type ActName = (typeof actNames)[number];

export interface Options {
  readonly acts: readonly ActName[];
  readonly stepwise: boolean;
  readonly realBrowser: boolean;
  /** The web page stays until the reader has looked at it. */
  readonly open: boolean;
  /** Where the picture goes. */
  readonly picture: string | undefined;
}

export const title = 'Kleis: short-lived access to Kubernetes, for people and for jobs';

export const usage = `Usage: npm run demo [-- OPTIONS]

  --act NAME       plays one act: ${actNames.join(', ')}
  --step           waits for Enter after each step
  --open           leaves the broker's web page open until Enter
  --browser        signs in with your own browser instead of a scripted one
  --picture FILE   draws a picture of what it shows (SVG)`;

/** Undefined for --help. Throws what is wrong with them. */
export function readOptions(args: readonly string[]): Options | undefined {
  const boolean = { type: 'boolean', default: false } as const;
  const string = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      act: string,
      step: boolean,
      open: boolean,
      browser: boolean,
      picture: string,
      help: { ...boolean, short: 'h' },
    },
  });
  if (values.help) return undefined;
  const acts = actNames.filter((name) => name === (values.act ?? name));
  if (acts.length === 0) throw new Error(`There is no act ${values.act}.`);
  return {
    acts,
    stepwise: values.step,
    realBrowser: values.browser,
    open: values.open || (values.step && process.stdin.isTTY && process.stdout.isTTY),
    picture: values.picture,
  };
}
