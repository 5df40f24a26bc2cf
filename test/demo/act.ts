import { DemoFailure, type CommandOptions, type Outcome } from './commands.ts';
import { createClient, type Client } from './client.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Home, Kubectl } from './home.ts';
import type { House } from './house.ts';
import type { Pause } from './pause.ts';
import type { Screen } from './screen.ts';

/** What an act is told with. */
export interface Telling {
  readonly house: House;
  readonly pause: Pause;
  /** The web page stays until the reader has looked at it. */
  readonly open: boolean;
}

export interface Step {
  readonly title: string;
  /** The picture shows it. */
  readonly pictured: boolean;
  /** Everything that it claims is looked at; what has not happened is a DemoFailure. */
  play(): Promise<void>;
}

export interface Act {
  readonly title: string;
  /** What is started for it, for who waits. */
  readonly starts: string;
  /** Starts what it needs and says where that is; gives its steps. */
  prepare(telling: Telling): Promise<readonly Step[]>;
}

type Play<Scene> = readonly [title: string, play: (scene: Scene) => Promise<void>, pictured?: 'pictured'];

export function toSteps<Scene>(scene: Scene, plays: readonly Play<Scene>[]): readonly Step[] {
  return plays.map(([title, play, pictured]) => ({
    title,
    pictured: pictured !== undefined,
    play: () => play(scene),
  }));
}

type TypistOptions = CommandOptions & { /** 0 if not given. */ readonly code?: number };

/** Somebody who types in a home, for the reader to see. */
export interface Typist {
  readonly house: House;
  readonly screen: Screen;
  readonly home: Home;
  readonly client: Client;
  /** A line as a shell takes it, or words. Shows it and what it prints. A DemoFailure if it ends with another exit code. */
  readonly run: (command: string | readonly string[], options?: TypistOptions) => Promise<Outcome>;
  readonly kleis: (args: readonly string[], options?: TypistOptions) => Promise<Outcome>;
}

export async function createTypist(house: House, home: Home): Promise<Typist> {
  const { screen, realBrowser } = house;
  // A person needs longer than a script.
  const limit = realBrowser ? 330_000 : 30_000;
  const run: Typist['run'] = async (command, { code: expected = 0, ...options } = {}) => {
    screen.command(command);
    const words = typeof command === 'string' ? ['sh', '-c', command] : command;
    const outcome = await home.commands.run(words, { onOutput: screen.output, limit, ...options });
    const { code, stderr } = outcome;
    const what = typeof command === 'string' ? command : command.slice(0, 2).join(' ');
    check(code === expected, `${what} ended with exit code ${code} instead of ${expected}. ${stderr}`.trimEnd());
    return outcome;
  };
  return {
    house,
    screen,
    home,
    client: createClient({ home, kubectl: await house.kubectl(), screen, limit }),
    run,
    kleis: (args, options) => run(['kleis', ...args], options),
  };
}

export function describeCluster({ kind }: Cluster): string {
  return kind === 'stand-in' ? 'a stand-in, in this process' : `kube-apiserver ${kind}`;
}

export function describeKubectl(kubectl: Kubectl | undefined): string {
  return kubectl ? `${kubectl.program} ${kubectl.version}` : 'none here: the demo does what it would do';
}

export function check(claim: boolean, otherwise: string): asserts claim {
  if (!claim) throw new DemoFailure(otherwise);
}
