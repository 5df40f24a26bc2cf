import { rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Act } from './act.ts';
import { admin } from './acts/admin.ts';
import { job } from './acts/job.ts';
import { person } from './acts/person.ts';
import { buildPrograms } from './build.ts';
import { DemoFailure } from './commands.ts';
import { openHouse, type House } from './house.ts';
import { title, type ActName, type Options } from './options.ts';
import { createPause } from './pause.ts';
import { createRecorder, type Recorder } from './picture.ts';
import { onBoth, type Screen } from './screen.ts';

const acts: Readonly<Record<ActName, Act>> = { person, job, admin };

export interface PlayOptions extends Options {
  readonly root: string;
  readonly screen: Screen;
  readonly interrupted: AbortSignal;
}

/** Plays the acts, and leaves nothing behind. */
export async function play(options: PlayOptions): Promise<'told' | 'failed' | 'interrupted'> {
  const { root, realBrowser, interrupted } = options;
  const recorder = options.picture === undefined ? undefined : createRecorder();
  recorder?.screen.title(title);
  const screen = recorder ? onBoth(options.screen, recorder.screen) : options.screen;
  const began = performance.now();
  const programs = buildPrograms(interrupted);
  // Whoever needs them hears of it.
  programs.catch(() => undefined);
  const people = options.acts.includes('admin');
  const house = openHouse({ root, screen, realBrowser, interrupted, programs, people });
  try {
    await tell(options, house);
    await leave(house);
    const took = Math.round((performance.now() - began) / 1000);
    screen.closing(`All of it worked, in ${took} seconds, and nothing of it is left. Next: README.md`);
    await draw(options.picture, recorder);
    return 'told';
  } catch (error) {
    await leave(house);
    if (interrupted.aborted) {
      screen.closing('Interrupted. Nothing is left behind.');
      return 'interrupted';
    }
    screen.failure(error instanceof DemoFailure ? error.message : String(error instanceof Error ? error.stack : error));
    return 'failed';
  }
}

async function tell({ acts: names, open, stepwise }: PlayOptions, house: House): Promise<void> {
  const { screen, interrupted } = house;
  const pause = createPause(screen, stepwise, interrupted);
  const interruption = new Promise<never>((_, reject) => {
    interrupted.addEventListener('abort', () => reject(interrupted.reason as Error), { once: true });
  });
  // It is only raced, and may have nobody to hear it.
  interruption.catch(() => undefined);
  const orInterrupted = <T>(work: Promise<T>) => Promise.race([work, interruption]);
  // oxlint-disable no-await-in-loop -- a story has an order
  for (const [index, name] of names.entries()) {
    const act = acts[name];
    screen.act(names.length === 1 ? act.title : `Act ${index + 1}: ${act.title}`);
    screen.passing(`starting ${act.starts} …`);
    const steps = await orInterrupted(act.prepare({ house, pause, open }));
    for (const [number, step] of steps.entries()) {
      screen.step(`${number + 1}/${steps.length}`, step.title, step.pictured);
      await orInterrupted(step.play());
      const isLast = index === names.length - 1 && number === steps.length - 1;
      if (!isLast) await orInterrupted(pause.turn());
    }
  }
  // oxlint-enable no-await-in-loop
}

async function leave(house: House): Promise<void> {
  house.screen.passing('cleaning up …');
  await Promise.race([house.end(), sleep(15_000)]);
  rmSync(house.root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

async function draw(file: string | undefined, recorder: Recorder | undefined): Promise<void> {
  if (file !== undefined && recorder !== undefined) await writeFile(file, recorder.draw());
}
