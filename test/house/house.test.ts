import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { circlesOf, type Import, importsOf } from './imports.ts';
import { house, roomOf, workshops } from './rooms.ts';
import { stale } from './generated.ts';

const programs = house.map(({ name }) => name);
const files = programs.flatMap((program) =>
  readdirSync(program, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => `${program}/${name}`)
    .filter((file) => workshops.every((place) => !file.startsWith(`${place}/`))),
);
const within = importsOf(files).filter(({ to }) => programs.some((program) => to.startsWith(`${program}/`)));
const placeOf = (file: string) => roomOf(file)?.place ?? '(no room)';
const programOf = (file: string) => file.slice(0, file.indexOf('/'));
const floorOf = (file: string) =>
  house.find(({ name }) => name === programOf(file))?.rooms.findIndex(({ place }) => place === placeOf(file)) ?? -1;

describe('the house', () => {
  it('has a room for every source file, and a file in every room', () => {
    expect(files.filter((file) => roomOf(file) === undefined)).toEqual([]);
    const empty = house
      .flatMap(({ rooms }) => rooms)
      .filter(({ place }) => !files.some((each) => placeOf(each) === place));
    expect(empty).toEqual([]);
  });

  it('has no more than four loose files at the top of a program', () => {
    for (const program of ['cli', 'broker']) {
      const loose = files.filter((file) => programOf(file) === program && file.split('/').length === 2);
      expect(loose.length, loose.join(' ')).toBeLessThanOrEqual(4);
    }
  });

  it('has no import upwards, and none from one program to the other, types included', () => {
    const wrong = within.filter(({ from, to }) => {
      const [a, b] = [programOf(from), programOf(to)];
      return a === b ? floorOf(to) > floorOf(from) : b !== 'shared';
    });
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('has nothing that makes parts of a release in a program', () => {
    const wrong = within.filter(({ to }) => workshops.some((place) => to.startsWith(`${place}/`)));
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('keeps undici from whatever the plugin loads, whichever command it is', () => {
    const reached = new Set(files.filter((file) => programOf(file) === 'cli'));
    for (const file of reached) for (const { from, to } of within) if (from === file) reached.add(to);
    const loading = [...reached].filter((file) => readFileSync(file, 'utf8').includes("'undici"));
    expect(loading).toEqual([]);
  });

  it('has no circle of files and none of rooms, types included', () => {
    expect(circlesOf(within)).toEqual([]);
    const rooms: Import[] = within.map(({ from, to }) => ({ from: placeOf(from), to: placeOf(to) }));
    expect(circlesOf(rooms)).toEqual([]);
  });
});

describe('what is made from the code', () => {
  it('is fresh, the walls of the lint among it: `npm run generate` writes it', () => {
    expect(stale().map(({ file }) => file)).toEqual([]);
  });
});

describe('the reader of imports', () => {
  it('sees static, dynamic and type-only ones, and every one that the sources have', () => {
    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      const lines = text.split('\n').filter((line) => /(?:\bfrom |^import |import\()\s*'\.{1,2}\//.test(line));
      expect(importsOf([file]).length, file).toBeGreaterThanOrEqual(lines.length);
    }
  });

  it('finds a circle by the way round', () => {
    const arrows = [
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
      { from: 'c', to: 'a' },
      { from: 'c', to: 'd' },
    ];
    expect(circlesOf(arrows)).toEqual([['a', 'b', 'c', 'a']]);
    expect(circlesOf(arrows.slice(1))).toEqual([]);
  });
});
