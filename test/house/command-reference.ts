import { helpPages } from '../../manual.ts';
import { metrics } from '../../broker/service/telemetry.ts';
import { optionOf } from '../../cli/settings/flags.ts';
import { names, settingOf } from '../../cli/settings/table.ts';
import { type HelpItem, type HelpPage, optionText } from '../../shared/commands/page.ts';
import { type Part, table } from './reference.ts';

/** Parts of the reference that are made from the trees of commands and from what is counted. */
export const commandParts: readonly Part[] = [
  { file: 'docs/commands.md', name: 'commands', make: () => helpPages.map(commandText).join('\n\n') },
  { file: 'docs/broker.md', name: 'metrics', make: metricsTable },
];

/** They are the same wherever they are taken, and have a table of their own. */
const signInFlags = new Map(
  names
    .filter((name) => settingOf(name).flag !== undefined)
    .map((name) => optionOf(name))
    .map((option) => [option.long, optionText(option)] as const),
);
const nameOf = ({ term }: HelpItem) => /--[\w-]+/.exec(term)?.[0] ?? '';
const isSignInFlag = (item: HelpItem) => signInFlags.get(nameOf(item)) === item.text;
/** Said once, at the top of the page. */
const everywhere = /^-[hvV], /;

function commandText({ name, usage, description, groups, notes }: HelpPage): string {
  const depth = name.includes(' ') ? '###' : '##';
  const words = usage.replaceAll(/\[(?:options|command)\] ?/g, '').trim();
  const items = groups.flatMap((group) => (group.kind === 'commands' ? [] : group.items));
  const own = items.filter((item) => !everywhere.test(item.term) && !isSignInFlag(item));
  const shared = items.filter(isSignInFlag).map(nameOf);
  const children = groups.flatMap((group) => (group.kind === 'commands' ? group.items : []));
  const also =
    shared.length === 0 ? '' : `Of the [sign-in flags](cli.md#sign-in-flags): ${shared.map(code).join(', ')}.`;
  return [
    `${depth} ${name}`,
    `${description.replace(/\.$/, '')}.`.replace(/^./, (first) => first.toUpperCase()),
    words === '' ? '' : `Takes ${code(words)}.`,
    own.length === 0 ? '' : table(['argument, flag', 'meaning'], own.map(row)),
    also,
    children.length === 0 ? '' : table(['command', 'what it does'], children.filter(isCommand).map(childRow(name))),
    notes === '' ? '' : `\`\`\`\n${notes}\n\`\`\``,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

const code = (text: string) => `\`${text}\``;
const row = ({ term, text }: HelpItem) => [code(term), escape(text)];
const isCommand = ({ term }: HelpItem) => !term.startsWith('help ');
const childRow =
  (parent: string) =>
  ({ term, text }: HelpItem) => {
    const name = `${parent} ${term.split(' ')[0] ?? ''}`;
    return [`[\`${name}\`](#${name.replaceAll(' ', '-')})`, escape(text)];
  };
/** A name in angle brackets is no tag of HTML. */
const escape = (text: string) => text.replaceAll('<', '&lt;');

function metricsTable(): string {
  const rows = metrics.map(({ name, kind, labels, help }) => [code(name), kind, labels.map(code).join(', '), help]);
  return table(['metric', 'kind', 'labels', 'meaning'], rows);
}
