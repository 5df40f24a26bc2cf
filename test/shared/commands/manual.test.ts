import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manualPages } from '../../../manual.ts';
import { manual } from '../../../shared/commands/manual.ts';
import { pageOf } from '../../../shared/commands/page.ts';
import { needs } from '../../support/needs.ts';
import { commands } from './trees.ts';

const exec = promisify(execFile);
const mandoc = needs('mandoc') ?? '';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-manual-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Bold and underlined is what stands twice in one place. */
// oxlint-disable-next-line no-control-regex -- so mandoc says bold
const plainOf = (text: string) => text.replace(/.\u0008/gu, '');

/** As a reader sees it: one line, without what a terminal makes bold. */
async function read(text: string): Promise<string> {
  const file = join(folder, 'page.1');
  await writeFile(file, text);
  const { stdout } = await exec(mandoc, ['-Tutf8', '-Owidth=990', file]);
  return plainOf(stdout);
}

/** Nothing if mandoc, groff_man(7)'s stricter sibling, finds nothing. */
async function lint(files: readonly string[]): Promise<string> {
  return exec(mandoc, ['-Tlint', '-Wwarning', ...files]).then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
}

it.skipIf(mandoc === '')('every command has a page without a fault, which has every flag and the example', async () => {
  const pages = manualPages('2026-11-26');
  const files = await Promise.all(
    [...pages].map(async ([name, text]) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    }),
  );
  expect(await lint(files)).toBe('');
  const all = commands.filter(([path]) => !path.endsWith(' help'));
  expect([...pages.keys()].toSorted()).toEqual(all.map(([path]) => `${path.replaceAll(' ', '-')}.1`).toSorted());
  // One run for all: most of it is the start of mandoc.
  const { stdout } = await exec(mandoc, ['-Tutf8', '-Owidth=990', ...files], { maxBuffer: 16 * 1024 * 1024 });
  const shown = plainOf(stdout).split(/^(?=[A-Z-]+\(1\) .*Kleis Manual)/m);
  for (const [path, command] of all) {
    const title = `${path.replaceAll(' ', '-').toUpperCase()}(1) `;
    const text = shown.find((each) => each.startsWith(title)) ?? '';
    for (const { items } of pageOf(command).groups) {
      for (const { term } of items) expect(text, path).toContain(term.replace(/[<>]/g, ''));
    }
    if (command.commands.length === 0) expect(text, path).toMatch(/^EXAMPLES$/m);
  }
});

describe.skipIf(mandoc === '')('what roff acts on', () => {
  const odd = ['a \\fBb\\fR \\n(ck', '.TH x', "'br x", '"q" \'q\' ~^-- \\', '\\&x', '\\'];

  it.each(odd)('%j is text, wherever it stands', async (text) => {
    const page = {
      name: 'kleis x',
      usage: '[options]',
      description: text,
      groups: [{ title: 'Options:', kind: 'options' as const, items: [{ term: '--x <y>', text }] }],
      notes: `${text}\n\n  kleis x ${text}\n\n  term  ${text}`,
    };
    const sections = [{ title: 'MORE', items: [{ term: text, text: 'said' }] }];
    const made = manual({
      page,
      version: '1',
      date: '2026-11-26',
      references: new Map(),
      sections,
      seeAlso: ['kleis'],
    });
    await writeFile(join(folder, 'odd.1'), made);
    expect(await lint([join(folder, 'odd.1')])).toBe('');
    const shown = await read(made);
    const plain = text.replaceAll('`', '');
    // In the name, what it does, the flag, the list, the example and the section.
    expect(shown.replaceAll('`', '').split(plain).length, shown).toBeGreaterThan(5);
  });
});
