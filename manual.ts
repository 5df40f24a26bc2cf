/** For build.mjs: what the package has from the trees of commands, beside the programs. */
import type { Command } from 'commander';
import { createProgram as createBroker } from './broker/program.ts';
import type { Deps as BrokerDeps } from './broker/surroundings.ts';
import { createProgram as createKleis } from './cli/program.ts';
import { environment } from './cli/settings/environment.ts';
import { optionOf } from './cli/settings/flags.ts';
import { names, settingOf } from './cli/settings/table.ts';
import type { Deps } from './cli/surroundings/deps.ts';
import packageJson from './package.json' with { type: 'json' };
import { manual, manualName } from './shared/commands/manual.ts';
import { type HelpItem, type HelpPage, optionText, pageOf } from './shared/commands/page.ts';
import { exitCodes, exitMeanings } from './shared/errors.ts';

const roots: readonly Command[] = [createKleis([], {} as Deps), createBroker([], {} as BrokerDeps, () => undefined)];

/** The help of every command that help shows. */
export const helpPages: readonly HelpPage[] = roots.flatMap((root) => pagesOf(root));

function pagesOf(command: Command): HelpPage[] {
  const children = command.createHelp().visibleCommands(command);
  return [pageOf(command), ...children.filter((child) => child.name() !== 'help').flatMap((child) => pagesOf(child))];
}

const programs = roots.map((root) => root.name());
const isProgram = ({ name }: HelpPage) => programs.includes(name);

const references = new Map(
  names.flatMap((name) => {
    const { help, reference } = settingOf(name);
    return reference === undefined
      ? []
      : [[optionText(optionOf(name)), reference] as const, [help, reference] as const];
  }),
);

const variables: HelpItem[] = Object.entries(environment).map(([term, { help, reference }]) => ({
  term,
  text: reference ?? help,
}));

const exits: HelpItem[] = Object.entries(exitMeanings).map(([name, { means }]) => ({
  term: String(exitCodes[name as keyof typeof exitCodes]),
  text: means,
}));

/** All pages of the manual, by the name of their file. @param date `2026-11-26` */
export function manualPages(date: string): ReadonlyMap<string, string> {
  return new Map(
    helpPages.map((page) => [
      `${manualName(page.name)}.1`,
      manual({
        page,
        version: packageJson.version,
        date,
        references,
        sections: [
          ...(page.name === 'kleis' || page.name === 'kleis config'
            ? [{ title: 'ENVIRONMENT', items: variables }]
            : []),
          ...(isProgram(page) ? [{ title: 'EXIT STATUS', items: exits }] : []),
        ],
        seeAlso: related(page),
      }),
    ]),
  );
}

/** The group that it is in, what is below it, and the program. */
function related({ name }: HelpPage): string[] {
  const words = name.split(' ');
  const above = words.slice(0, -1).map((_, index) => words.slice(0, index + 1).join(' '));
  const below = helpPages.filter(
    (other) => other.name.startsWith(`${name} `) && other.name.split(' ').length === words.length + 1,
  );
  const others = programs.filter((program) => words.length === 1 && program !== name);
  return [...above, ...below.map((other) => other.name), ...others].map((each) => manualName(each));
}
