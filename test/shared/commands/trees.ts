import type { Command } from 'commander';
import { createProgram as createBroker } from '../../../broker/program.ts';
import type { Deps as BrokerDeps } from '../../../broker/surroundings.ts';
import { createProgram as createKleis } from '../../../cli/program.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { pathOf } from '../../../shared/commands/tree.ts';

/** Both trees of commands, to be read and not run. */
export const roots: readonly Command[] = [
  createKleis([], {} as Deps),
  createBroker([], {} as BrokerDeps, () => undefined),
];

/** Every command that help shows, by its path. */
export const commands: readonly (readonly [string, Command])[] = roots.flatMap((root) => withChildren(root));

function withChildren(command: Command): (readonly [string, Command])[] {
  const children = command.createHelp().visibleCommands(command);
  return [[pathOf(command), command], ...children.flatMap((child) => withChildren(child))];
}
