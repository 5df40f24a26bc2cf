import type { WriteStream } from 'node:tty';
import { useColour } from '../colour.ts';
import type { HelpPage } from './page.ts';
import { render, widthOf } from './render.ts';

/** The help of a command, which the build took from the tree of commands: without the tree, whose making takes longer than all else. */
export function printAtOnce(
  page: HelpPage,
  stdout: WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): void {
  // Whoever read it may have gone: `kleis --help | head -1`.
  stdout.on('error', () => undefined);
  stdout.write(render(page, { width: widthOf(stdout), colour: useColour(stdout, env) }));
}
